/* SPDX-License-Identifier: MIT */
/*
 * A file to which a program that will be killed writes what it has done, a line a deed.
 *
 * A line is one write(2) to a file opened for appending: once the call has returned it survives
 * the process, and lines of several threads do not mix. It is not meant to survive the machine. A
 * line that a killed process did not finish ends with JOURNAL_TORN when the next one opens the
 * file.
 */
#ifndef GODWIT_TESTS_FAULT_LOAD_JOURNAL_H
#define GODWIT_TESTS_FAULT_LOAD_JOURNAL_H

#include <stddef.h>

#include <godwit/api.h>

#define JOURNAL_TORN " torn\n"

/* Returns the file's descriptor, -1 with errno set when it cannot be opened. */
int journal_open(const char *path);

/* Write a line; ends the process with a message when that fails: no test is right without it. */
void journal_write(int fd, const char *format, ...) GW_PRINTF(2, 3);

/* The name of a message's body: what stands before its first space, cut at `size`. */
void journal_key(const void *body, size_t len, char *ret_key, size_t size);

#endif
