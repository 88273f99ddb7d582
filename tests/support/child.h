/* SPDX-License-Identifier: MIT */
/* A program run by a test: its output is kept, and whatever it is waited for comes within 20 s or
 * the test fails. */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_TEXT_MAX 65536

typedef struct child {
    pid_t pid; /* 0 once it has ended */
    int fds[2];
    char text[2][CHILD_TEXT_MAX]; /* standard output, standard error */
    size_t len[2];
} child;

#define child_out(it) ((it)->text[0])
#define child_err(it) ((it)->text[1])

/* Run it; both lists end in NULL. `env` is all of its environment. It is killed with the test. */
void child_start(child *it, const char *const *argv, const char *const *env);

/* Wait until its standard output, or error, holds the text; returns what follows. */
const char *child_wait_out(child *it, const char *text);
const char *child_wait_err(child *it, const char *text);

void child_signal(child *it, int signum);

/* Wait until it ends, with all it wrote read; its exit status, or minus the signal that ended it.
 * Closes everything. */
int child_wait_exit(child *it);

/* Start it and wait until it ends. */
int child_run(child *it, const char *const *argv, const char *const *env);

/* The port in the line "serving HTTP on port N". */
unsigned child_wait_port(child *it);

/* Make a directory for a test, and remove it with what is in it. */
void make_test_dir(char *ret_path, size_t size);
void remove_test_dir(const char *path);

#endif
