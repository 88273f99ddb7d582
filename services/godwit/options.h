/* SPDX-License-Identifier: MIT */
/**
 * @file options.h
 * Options of the command line: one dash or two, "--name value" or "--name=value", before, between
 * and behind the other words; "--" ends them. Knows no command.
 */
#ifndef GODWIT_OPTIONS_H
#define GODWIT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_URL_ENV      "GODWIT_AMQP_SERVER_URL"
#define OPTIONS_LIMIT_MAX    1000000u
#define OPTIONS_FAULT_MAX    512
#define OPTIONS_TIMEOUT_MS   10000u
#define OPTIONS_TIMEOUT_TEXT "10s"

/** Which options a command has. --help belongs to all. */
enum {
    OPTION_URL = 1,
    OPTION_TIMEOUT = 2,
    OPTION_LIMIT = 4,
    OPTION_JSON = 8,
    OPTION_ALL = 16,
    OPTION_BODY = 32,
    OPTION_ID = 64,
    OPTION_TO = 128,
    OPTION_DEAD = 256,
    OPTION_WAITING = 512
};

typedef struct options {
    const char *url;     /**< of --url, otherwise of the environment; NULL: neither */
    unsigned timeout_ms; /**< OPTIONS_TIMEOUT_MS unless given */
    size_t limit;        /**< 0: not given */
    const char *to;      /**< NULL: not given */
    bool json;
    bool all;
    bool body;
    bool id;
    bool dead;
    bool waiting;
    bool help;
    const char **words; /**< the other words */
    int n_words;
} options;

/**
 * Read the arguments. A URL with a password is refused: others can read the command line.
 *
 * @param argv rearranged: ret_options->words points into it.
 * @param fault one line that names the option that is wrong.
 * @return false, with `fault` filled in.
 */
bool options_read(unsigned known, int argc, const char **argv, options *ret_options,
                  char fault[OPTIONS_FAULT_MAX]);

/** The value of a word of digits; 0 for any other word, and above `max`. */
uint64_t options_number(const char *word, uint64_t max);

#endif
