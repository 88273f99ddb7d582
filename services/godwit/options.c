/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/url.h>

#define TIMEOUT_MAX_MS 3600000u

typedef struct option {
    unsigned bit;
    const char *name;
    const char *value_name; /* NULL: a switch */
} option;

static const option table[] = {
    {OPTION_URL, "url", "URL"},        {OPTION_TIMEOUT, "timeout", "TIME"},
    {OPTION_LIMIT, "limit", "NUMBER"}, {OPTION_JSON, "json", NULL},
    {OPTION_ALL, "all", NULL},         {OPTION_BODY, "body", NULL},
    {OPTION_ID, "id", NULL},           {OPTION_TO, "to", "QUEUE"},
    {OPTION_DEAD, "dead", NULL},       {OPTION_WAITING, "waiting", NULL},
};

static uint64_t number_of(const char *text, size_t len, uint64_t max)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || digit > max || number > (max - digit) / 10) {
            return 0;
        }
        number = number * 10 + digit;
    }
    return number;
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

static bool set_url(options *given, const char *value, char *fault)
{
    if (value[0] != '\0' && has_password(value)) {
        snprintf(fault, OPTIONS_FAULT_MAX,
                 "--url has a password, and everybody on this machine can read the command line: "
                 "set the whole URL as " OPTIONS_URL_ENV " in the environment, or name a file "
                 "with the password: amqp://user@host/?password_file=/path");
        return false;
    }
    given->url = value;
    return true;
}

static bool set_number(const char *value, size_t *ret_number, char *fault)
{
    uint64_t number = options_number(value, OPTIONS_LIMIT_MAX);
    if (number == 0) {
        snprintf(fault, OPTIONS_FAULT_MAX, "--limit '%.64s' is not a number from 1 to %u", value,
                 OPTIONS_LIMIT_MAX);
        return false;
    }
    *ret_number = (size_t)number;
    return true;
}

static bool set_value(options *given, unsigned bit, const char *value, char *fault)
{
    switch (bit) {
    case OPTION_URL: return set_url(given, value, fault);
    case OPTION_LIMIT: return set_number(value, &given->limit, fault);
    case OPTION_TO: given->to = value; return true;
    default:
        if (!parse_timeout(value, &given->timeout_ms)) {
            snprintf(fault, OPTIONS_FAULT_MAX,
                     "--timeout '%.64s' is not a time such as 500ms, 3s or 1m (1h at most)", value);
            return false;
        }
        return true;
    }
}

static void set_switch(options *given, unsigned bit)
{
    given->json = given->json || bit == OPTION_JSON;
    given->all = given->all || bit == OPTION_ALL;
    given->body = given->body || bit == OPTION_BODY;
    given->id = given->id || bit == OPTION_ID;
    given->dead = given->dead || bit == OPTION_DEAD;
    given->waiting = given->waiting || bit == OPTION_WAITING;
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
    if (found->value_name == NULL) {
        if (name[len] == '=') {
            snprintf(fault, OPTIONS_FAULT_MAX, "--%s takes no value", found->name);
            return false;
        }
        set_switch(given, found->bit);
        return true;
    }
    *ret_used_next = name[len] != '=';
    const char *value = name[len] == '=' ? name + len + 1 : next;
    if (value == NULL || value[0] == '\0') {
        snprintf(fault, OPTIONS_FAULT_MAX, "--%s needs a value: --%s %s", found->name, found->name,
                 found->value_name);
        return false;
    }
    return set_value(given, found->bit, value, fault);
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
    if ((known & OPTION_URL) != 0 && given.url == NULL) {
        given.url = getenv(OPTIONS_URL_ENV);
    }
    *ret_options = given;
    return true;
}
