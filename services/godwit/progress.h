/* SPDX-License-Identifier: MIT */
/**
 * @file progress.h
 * How far a long command is: a line that is written over itself, on a terminal and nowhere else.
 */
#ifndef GODWIT_TOOL_PROGRESS_H
#define GODWIT_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct progress {
    FILE *err;
    const char *what; /**< such as "accounts"; static */
    bool is_shown;
    bool has_line;
    uint64_t begin_ms;
    uint64_t next_ms;
} progress;

/** `is_shown`: false keeps it silent even on a terminal. */
void progress_begin(progress *it, const char *what, bool is_shown, FILE *err);

/**
 * To be called often: it writes a few times a second.
 *
 * @param count what was done.
 * @param done, whole the same in any unit, of all there is to do; whole 0: nobody knows.
 */
void progress_say(progress *it, uint64_t count, uint64_t done, uint64_t whole);

/** Clear the line, for others to write. */
void progress_clear(progress *it);

/** What is shown, for a time since the beginning. */
void progress_format(char *ret_text, size_t size, const char *what, uint64_t count, uint64_t done,
                     uint64_t whole, uint64_t elapsed_ms);

#endif
