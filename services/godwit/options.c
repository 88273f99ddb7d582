/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/url.h>

#define TIMEOUT_MAX_MS 3600000u

typedef struct option {
    unsigned bit;
    const char *name;
    const char *value_name; /* NULL: a switch */
    size_t offset;          /* of a text that is kept as it is, and of a switch that is set: where
                               in the options; 0: none */
} option;

#define TEXT(member)   offsetof(options, member)
#define SWITCH(member) offsetof(options, member)

static const option table[] = {
    {OPTION_URL, "url", "URL", 0},
    {OPTION_TIMEOUT, "timeout", "TIME", 0},
    {OPTION_LIMIT, "limit", "NUMBER", 0},
    {OPTION_JSON, "json", NULL, 0},
    {OPTION_ALL, "all", NULL, 0},
    {OPTION_BODY, "body", NULL, 0},
    {OPTION_ID, "id", NULL, 0},
    {OPTION_TO, "to", "QUEUE", TEXT(to)},
    {OPTION_DEAD, "dead", NULL, 0},
    {OPTION_WAITING, "waiting", NULL, 0},
    {OPTION_TO_URL, "to", "URL", 0},
    {OPTION_N, "n", "NUMBER", 0},
    {OPTION_FULL, "full", NULL, 0},
    {OPTION_YES, "yes", NULL, 0},
    {OPTION_FOLLOW, "follow", NULL, 0},
    {OPTION_DRY_RUN, "dry-run", NULL, 0},
    {OPTION_WATCH, "watch", NULL, 0},
    {OPTION_TARGET, "exchange", "NAME", TEXT(message.exchange)},
    {OPTION_TARGET, "type", "TYPE", TEXT(message.type)},
    {OPTION_TARGET, "key", "KEY", TEXT(message.key)},
    {OPTION_PROPERTIES, "message-id", "ID", TEXT(message.message_id)},
    {OPTION_PROPERTIES, "content-type", "TEXT", TEXT(message.content_type)},
    {OPTION_PROPERTIES, "content-encoding", "TEXT", TEXT(message.content_encoding)},
    {OPTION_PROPERTIES, "correlation-id", "ID", TEXT(message.correlation_id)},
    {OPTION_PROPERTIES, "reply-to", "NAME", TEXT(message.reply_to)},
    {OPTION_PROPERTIES, "message-type", "TEXT", TEXT(message.message_type)},
    {OPTION_PROPERTIES, "app-id", "TEXT", TEXT(message.app_id)},
    {OPTION_PROPERTIES, "priority", "NUMBER", TEXT(message.priority)},
    {OPTION_PROPERTIES, "expiration", "TIME", 0},
    {OPTION_PROPERTIES, "header", "NAME=VALUE", 0},
    {OPTION_LIMITS, "max-messages", "NUMBER", TEXT(max_messages)},
    {OPTION_LIMITS, "max-bytes", "NUMBER", TEXT(max_bytes)},
    {OPTION_LIMITS, "overflow", "POLICY", TEXT(overflow)},
    {OPTION_SERVER, "url", "URL", 0},
    {OPTION_SERVER, "token-file", "FILE", TEXT(config.token_file)},
    {OPTION_FORMAT, "format", "FORMAT", TEXT(config.format)},
    {OPTION_REPO, "repo", "DIR", TEXT(config.repo)},
    {OPTION_LABEL, "label", "LABEL", TEXT(config.label)},
    {OPTION_SHOW_SECRETS, "show-secrets", NULL, 0},
    {OPTION_PROPERTY, "key", "KEY", TEXT(config.property)},
    {OPTION_KEYS, "key", "KEY", 0},
    {OPTION_KEYS, "key-file", "FILE", TEXT(config.key_file)},
    {OPTION_KEYS, "keystore", "FILE", TEXT(config.keystore)},
    {OPTION_KEYS, "keystore-password", "PASSWORD", 0},
    {OPTION_KEYS, "keystore-password-file", "FILE", TEXT(config.keystore_password_file)},
    {OPTION_KEYS, "alias", "NAME", TEXT(config.alias)},
    {OPTION_KEYS, "salt", "HEX", TEXT(config.salt)},
    {OPTION_KEYS, "oaep", NULL, 0},
    {OPTION_UTF8, "utf8-properties", NULL, 0},
    {OPTION_STORE, "store", "STORE", 0},
    {OPTION_IMPORT, "replace", NULL, SWITCH(accounts.replace)},
    {OPTION_IMPORT, "keep-going", NULL, SWITCH(accounts.keep_going)},
    {OPTION_IMPORT, "batch", "NUMBER", 0},
    {OPTION_EXPORT, "after", "ID", TEXT(accounts.after)},
    {OPTION_EXPORT, "force", NULL, SWITCH(accounts.force)},
};

/* False when it is no number or above `max`. */
static bool read_number(const char *text, size_t len, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || digit > max || number > (max - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return len > 0;
}

static uint64_t number_of(const char *text, size_t len, uint64_t max)
{
    uint64_t number;
    return read_number(text, len, max, &number) ? number : 0;
}

bool options_count(const char *word, uint64_t max, uint64_t *ret_number)
{
    return read_number(word, strlen(word), max, ret_number);
}

uint64_t options_number(const char *word, uint64_t max)
{
    return number_of(word, strlen(word), max);
}

static bool parse_timeout(const char *text, unsigned *ret_ms)
{
    static const struct {
        const char *name;
        unsigned ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
    size_t n_digits = strspn(text, "0123456789");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t number = number_of(text, n_digits, TIMEOUT_MAX_MS / units[i].ms);
        if (strcmp(text + n_digits, units[i].name) == 0 && number > 0) {
            *ret_ms = (unsigned)number * units[i].ms;
            return true;
        }
    }
    return false;
}

/* Whether a text has a password as a URL has one. What cannot be parsed is taken for one when there
 * is anything to mask. */
static bool has_password(const char *text)
{
    gw_url url;
    if (gw_url_parse(text, &url, NULL) == GW_OK) {
        bool has = url.password != NULL;
        gw_url_dispose(&url);
        if (has) {
            return true;
        }
    }
    gw_buf masked;
    gw_buf_init(&masked, 0);
    gw_url_mask(&masked, text);
    bool has = masked.data == NULL || strcmp(masked.data, text) != 0;
    gw_buf_dispose(&masked);
    return has;
}

static bool set_url(options *given, const char *name, const char *value, char *fault)
{
    if (value[0] != '\0' && has_password(value)) {
        snprintf(fault, OPTIONS_FAULT_MAX,
                 "--%s has a password, and everybody on this machine can read the command line: "
                 "set the whole URL as " OPTIONS_URL_ENV " in the environment, or name a file "
                 "with the password: amqp://user@host/?password_file=/path",
                 name);
        return false;
    }
    given->url = value;
    return true;
}

static bool set_server(options *given, const char *value, char *fault)
{
    if (has_password(value)) {
        snprintf(fault, OPTIONS_FAULT_MAX,
                 "--url has a password, and everybody on this machine can read the command line: "
                 "set the whole URL as " OPTIONS_SERVER_ENV " in the environment, or name a file "
                 "with a token: --token-file /path");
        return false;
    }
    given->config.server = value;
    return true;
}

/* A directory may be called as it likes. */
static bool set_store(options *given, const char *value, char *fault)
{
    bool is_url = strstr(value, "://") != NULL;
    if (!is_url && strncmp(value, "postgres", 8) == 0 && strchr(value, ':') != NULL) {
        snprintf(fault, OPTIONS_FAULT_MAX, "--store is no URL: postgresql://user@host/database");
        return false;
    }
    if (is_url && (has_password(value) || strcasestr(value, "password=") != NULL)) {
        snprintf(fault, OPTIONS_FAULT_MAX,
                 "--store has a password, and everybody on this machine can read the command line: "
                 "set the whole URL as " OPTIONS_STORE_ENV " in the environment, or the password "
                 "as GODWIT_STORE_PASSWORD, or name its file as GODWIT_STORE_PASSWORD_FILE");
        return false;
    }
    given->accounts.store = value;
    return true;
}

static bool refuse_secret(const char *name, char *fault)
{
    snprintf(fault, OPTIONS_FAULT_MAX,
             "there is no --%s, since everybody on this machine can read the command line: name a "
             "file with --%s-file%s",
             name, name,
             strcmp(name, "key") == 0 ? ", or set " OPTIONS_KEY_ENV " in the environment" : "");
    return false;
}

/* As the help writes it: -n, --limit. */
static const char *dashes(const char *name)
{
    return name[1] == '\0' ? "-" : "--";
}

static bool set_number(const char *name, const char *value, size_t *ret_number, char *fault)
{
    uint64_t number = options_number(value, OPTIONS_LIMIT_MAX);
    if (number == 0) {
        snprintf(fault, OPTIONS_FAULT_MAX, "%s%s '%.64s' is not a number from 1 to %u",
                 dashes(name), name, value, OPTIONS_LIMIT_MAX);
        return false;
    }
    *ret_number = (size_t)number;
    return true;
}

static bool set_time(const char *name, const char *value, unsigned *ret_ms, char *fault)
{
    if (!parse_timeout(value, ret_ms)) {
        snprintf(fault, OPTIONS_FAULT_MAX,
                 "--%s '%.64s' is not a time such as 500ms, 3s or 1m (1h at most)", name, value);
        return false;
    }
    return true;
}

static bool add_header(options_message *message, const char *value, char *fault)
{
    if (value[0] == '=' || strchr(value, '=') == NULL) {
        snprintf(fault, OPTIONS_FAULT_MAX, "--header '%.64s' is not NAME=VALUE", value);
        return false;
    }
    if (message->n_headers == OPTIONS_HEADERS_MAX) {
        snprintf(fault, OPTIONS_FAULT_MAX, "no more than %d headers can be given",
                 OPTIONS_HEADERS_MAX);
        return false;
    }
    message->headers[message->n_headers++] = value;
    return true;
}

static bool set_value(options *given, const option *found, const char *value, char *fault)
{
    if (found->offset != 0) {
        memcpy((char *)given + found->offset, &value, sizeof(value));
        return true;
    }
    switch (found->bit) {
    case OPTION_URL:
    case OPTION_TO_URL: return set_url(given, found->name, value, fault);
    case OPTION_SERVER: return set_server(given, value, fault);
    case OPTION_STORE: return set_store(given, value, fault);
    case OPTION_IMPORT: return set_number(found->name, value, &given->accounts.batch, fault);
    case OPTION_LIMIT:
    case OPTION_N: return set_number(found->name, value, &given->limit, fault);
    case OPTION_WATCH: return set_time(found->name, value, &given->watch_ms, fault);
    case OPTION_PROPERTIES:
        return strcmp(found->name, "header") == 0
                   ? add_header(&given->message, value, fault)
                   : set_time(found->name, value, &given->message.expiration_ms, fault);
    default: return set_time(found->name, value, &given->timeout_ms, fault);
    }
}

static void set_switch(options *given, const option *found)
{
    unsigned bit = found->bit;
    if (found->offset != 0) {
        *(bool *)((char *)given + found->offset) = true;
        return;
    }
    given->json = given->json || bit == OPTION_JSON;
    given->all = given->all || bit == OPTION_ALL;
    given->body = given->body || bit == OPTION_BODY;
    given->id = given->id || bit == OPTION_ID;
    given->dead = given->dead || bit == OPTION_DEAD;
    given->waiting = given->waiting || bit == OPTION_WAITING;
    given->full = given->full || bit == OPTION_FULL;
    given->yes = given->yes || bit == OPTION_YES;
    given->follow = given->follow || bit == OPTION_FOLLOW;
    given->dry_run = given->dry_run || bit == OPTION_DRY_RUN;
    given->config.show_secrets = given->config.show_secrets || bit == OPTION_SHOW_SECRETS;
    given->config.oaep = given->config.oaep || bit == OPTION_KEYS;
    given->config.utf8_properties = given->config.utf8_properties || bit == OPTION_UTF8;
    given->watch_ms = bit == OPTION_WATCH ? OPTIONS_WATCH_MS : given->watch_ms;
}

static const option *find(unsigned known, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if ((table[i].bit & known) != 0 && strlen(table[i].name) == len &&
            strncmp(table[i].name, name, len) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* One option. `next` is the word behind it, or NULL; `ret_used_next`: it was the value. */
static bool read_option(options *given, unsigned known, const char *word, const char *next,
                        bool *ret_used_next, char *fault)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    *ret_used_next = false;
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        given->help = true;
        return true;
    }
    const option *found = find(known, name, len);
    if (found == NULL) {
        snprintf(fault, OPTIONS_FAULT_MAX, "there is no option --%.*s here",
                 len > 64 ? 64 : (int)len, name);
        return false;
    }
    if (found->bit == OPTION_KEYS && found->value_name != NULL && found->offset == 0) {
        return refuse_secret(found->name, fault);
    }
    if (found->value_name == NULL && (found->bit != OPTION_WATCH || name[len] != '=')) {
        if (name[len] == '=') {
            snprintf(fault, OPTIONS_FAULT_MAX, "--%s takes no value", found->name);
            return false;
        }
        set_switch(given, found);
        return true;
    }
    *ret_used_next = name[len] != '=';
    const char *value = name[len] == '=' ? name + len + 1 : next;
    if (value == NULL || value[0] == '\0') {
        snprintf(fault, OPTIONS_FAULT_MAX, "%s%s needs a value: %s%s %s", dashes(found->name),
                 found->name, dashes(found->name), found->name,
                 found->value_name != NULL ? found->value_name : "TIME");
        return false;
    }
    return set_value(given, found, value, fault);
}

bool options_read(unsigned known, int argc, const char **argv, options *ret_options,
                  char fault[OPTIONS_FAULT_MAX])
{
    options given = {.timeout_ms = OPTIONS_TIMEOUT_MS, .words = argv};
    bool ended = false;
    for (int i = 0; i < argc && !given.help; i++) {
        const char *word = argv[i];
        if (ended || word[0] != '-' || word[1] == '\0') {
            argv[given.n_words++] = word; /* never ahead of `i` */
            continue;
        }
        if (strcmp(word, "--") == 0) {
            ended = true;
            continue;
        }
        bool used_next;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (!read_option(&given, known, word, next, &used_next, fault)) {
            return false;
        }
        i += used_next ? 1 : 0;
    }
    if ((known & (OPTION_URL | OPTION_TO_URL)) != 0 && given.url == NULL) {
        given.url = getenv(OPTIONS_URL_ENV);
    }
    if ((known & OPTION_SERVER) != 0 && given.config.server == NULL) {
        given.config.server = getenv(OPTIONS_SERVER_ENV);
    }
    *ret_options = given;
    return true;
}
