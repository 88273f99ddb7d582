/* SPDX-License-Identifier: MIT */
/**
 * @file tool.h
 * The command line as a whole: finds the command, reads its options, runs it.
 */
#ifndef GODWIT_TOOL_H
#define GODWIT_TOOL_H

#include <stdio.h>

#include "options.h"

#define TOOL_OK        0
#define TOOL_FAILED    1
#define TOOL_USAGE     2

#define TOOL_BODY_ACTS "the body has bytes that act on a terminal: write it to a file or a pipe"

/** A command such as "dead list". */
typedef struct command {
    const char *name;
    unsigned options; /**< those it has, OPTION_* */
    int n_words_min;  /**< arguments that are no options */
    int n_words_max;  /**< -1: any number */
    const char *help; /**< what --help prints: at most 23 lines, with an example */
    int (*run)(const options *given, FILE *out, FILE *err);
} command;

/** Commands with a word in common. */
typedef struct command_group {
    const char *name;
    const char *help;
    const command *commands;
    size_t n_commands;
} command_group;

/** The whole program. @return its exit status. */
int tool_run(int argc, char **argv, FILE *out, FILE *err);

/** "godwit: ..." on `err`; control characters are made visible. @return `status`. */
int tool_fail(FILE *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Write out what is in `out`: a full disk is a failure. @return TOOL_OK or TOOL_FAILED. */
int tool_flush(FILE *out, FILE *err);

#endif
