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

#define OPTIONS_URL_ENV       "GODWIT_AMQP_SERVER_URL"
#define OPTIONS_SERVER_ENV    "GODWIT_CONFIG_SERVER_URL"
#define OPTIONS_KEY_ENV       "ENCRYPT_KEY"
#define OPTIONS_STORE_ENV     "GODWIT_ACCOUNT_STORE"
#define OPTIONS_STORE_DIR_ENV "GODWIT_STORE_DIR"
#define OPTIONS_LIMIT_MAX     1000000u
#define OPTIONS_FAULT_MAX     512
#define OPTIONS_TIMEOUT_MS    10000u
#define OPTIONS_TIMEOUT_TEXT  "10s"

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
    OPTION_WAITING = 512,
    OPTION_TO_URL = 1 << 10,
    OPTION_N = 1 << 11,
    OPTION_FULL = 1 << 12,
    OPTION_YES = 1 << 13,
    OPTION_FOLLOW = 1 << 14,
    OPTION_DRY_RUN = 1 << 15,
    OPTION_WATCH = 1 << 16,
    OPTION_TARGET = 1 << 17,     /**< --exchange, --type, --key */
    OPTION_PROPERTIES = 1 << 18, /**< --id, --content-type, ..., --header */
    OPTION_LIMITS = 1 << 19,     /**< --max-messages, --max-bytes, --overflow */
    OPTION_SERVER = 1 << 20,     /**< --url of a configuration server, --token-file */
    OPTION_FORMAT = 1 << 21,
    OPTION_REPO = 1 << 22,
    OPTION_LABEL = 1 << 23,
    OPTION_SHOW_SECRETS = 1 << 24,
    OPTION_PROPERTY = 1 << 25, /**< --key of a configuration */
    OPTION_KEYS = 1 << 26,     /**< --key-file, --keystore, ...; a --key is refused */
    OPTION_UTF8 = 1 << 27,     /**< --utf8-properties */
    OPTION_STORE = 1 << 28,
    OPTION_IMPORT = 1 << 29, /**< --replace, --batch, --keep-going */
    OPTION_EXPORT = 1 << 30  /**< --after, --force */
};

#define OPTIONS_HEADERS_MAX 32
#define OPTIONS_WATCH_MS    1000u

/** What a message is published with; NULL: not given. */
typedef struct options_message {
    const char *exchange;
    const char *type; /**< of the exchange */
    const char *key;
    const char *message_id;
    const char *content_type;
    const char *content_encoding;
    const char *correlation_id;
    const char *reply_to;
    const char *message_type;
    const char *app_id;
    const char *priority;
    unsigned expiration_ms;                   /**< 0: not given */
    const char *headers[OPTIONS_HEADERS_MAX]; /**< NAME=VALUE each */
    size_t n_headers;
} options_message;

/** Of "godwit config"; NULL: not given. */
typedef struct options_config {
    const char *server; /**< of --url, otherwise of the environment */
    const char *token_file;
    const char *format;
    const char *repo;
    const char *label;
    const char *property;
    const char *key_file;
    const char *keystore;
    const char *keystore_password_file;
    const char *alias;
    const char *salt;
    bool oaep;
    bool show_secrets;
    bool utf8_properties;
} options_config;

/** Of "godwit accounts". */
typedef struct options_accounts {
    const char *store; /**< NULL: not given */
    const char *after; /**< NULL: not given */
    size_t batch;      /**< 0: not given */
    bool replace;
    bool keep_going;
    bool force;
} options_accounts;

typedef struct options {
    const char *url;     /**< of --url or --to, otherwise of the environment; NULL: neither */
    unsigned timeout_ms; /**< OPTIONS_TIMEOUT_MS unless given */
    size_t limit;        /**< 0: not given */
    const char *to;      /**< NULL: not given */
    bool json;
    bool all;
    bool body;
    bool id;
    bool dead;
    bool waiting;
    bool full;
    bool yes;
    bool follow;
    bool dry_run;
    unsigned watch_ms; /**< 0: not given */
    options_message message;
    const char *max_messages; /**< these three: NULL: not given */
    const char *max_bytes;
    const char *overflow;
    options_config config;
    options_accounts accounts;
    bool help;
    const char **words; /**< the other words */
    int n_words;
} options;

/**
 * Read the arguments. A URL with a password is refused, and so is a key: others can read the
 * command line.
 *
 * @param argv rearranged: ret_options->words points into it.
 * @param fault one line that names the option that is wrong.
 * @return false, with `fault` filled in.
 */
bool options_read(unsigned known, int argc, const char **argv, options *ret_options,
                  char fault[OPTIONS_FAULT_MAX]);

/** The value of a word of digits, zero included; false for any other word, and above `max`. */
bool options_count(const char *word, uint64_t max, uint64_t *ret_number);

/** The value of a word of digits; 0 for any other word, and above `max`. */
uint64_t options_number(const char *word, uint64_t max);

#endif
