/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT    "6767"
#define DEFAULT_TIMEOUT "3s"
#define TIMEOUT_MAX_MS  3600000u

/* The flags as they were given; NULL for one that was not. */
typedef struct flags {
    const char *port;
    const char *url;
    const char *timeout;
} flags;

void settings_print_help(void)
{
    puts("healthchecker: asks a service for its health over HTTP\n"
         "\n"
         "usage: healthchecker [-flag value]...\n"
         "\n"
         "  -port NUMBER             ask http://127.0.0.1:NUMBER/health (" DEFAULT_PORT ")\n"
         "                             or GODWIT_HEALTH_PORT\n"
         "  -url URL                 ask this URL instead, http:// only\n"
         "                             or GODWIT_HEALTH_URL\n"
         "  -timeout TIME            for everything together: 500ms, 3s, 1m, 1h (" DEFAULT_TIMEOUT
         ")\n"
         "                             or GODWIT_HEALTH_TIMEOUT\n"
         "  --help --version         print this or the version\n"
         "\n"
         "A flag takes one dash or two, its value follows after a blank or '='. Flags win\n"
         "over the environment.\n"
         "\n"
         "Prints one line. Exits with 0 if the answer comes in time and its status is 200 to\n"
         "299, otherwise with 1, also for wrong flags: a container's HEALTHCHECK knows no\n"
         "other.\n"
         "\n"
         "example:\n"
         "  healthchecker -port 6868 -timeout 1s");
}

/* If `arg` is the flag `name`, its value, from behind '=' or from the next argument. */
static bool take_flag(const char *arg, const char *next, const char *name, const char **ret_value,
                      bool *ret_used_next)
{
    size_t len = strlen(name);
    if (strncmp(arg, name, len) != 0 || (arg[len] != '\0' && arg[len] != '=')) {
        return false;
    }
    *ret_used_next = arg[len] == '\0';
    *ret_value = *ret_used_next ? next : arg + len + 1;
    return true;
}

static bool read_flags(flags *ret_flags, settings *s, int argc, char **argv, char *fault,
                       size_t size)
{
    struct {
        const char *name;
        const char **value;
    } known[] = {
        {"port", &ret_flags->port}, {"url", &ret_flags->url}, {"timeout", &ret_flags->timeout}};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char *name = arg[0] == '-' ? arg + 1 + (arg[1] == '-') : "";
        s->wants_help = s->wants_help || strcmp(name, "help") == 0 || strcmp(name, "h") == 0;
        s->wants_version = s->wants_version || strcmp(name, "version") == 0;
        if (s->wants_help || s->wants_version) {
            return true;
        }
        bool used_next = false;
        bool found = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]) && !found; k++) {
            found = take_flag(name, argv[i + 1], known[k].name, known[k].value, &used_next);
            if (found && *known[k].value == NULL) {
                snprintf(fault, size, "-%s needs a value", known[k].name);
                return false;
            }
        }
        if (!found) {
            snprintf(fault, size, "'%.64s' is not a flag (see --help)", arg);
            return false;
        }
        i += used_next;
    }
    return true;
}

static bool parse_number(const char *text, size_t len, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (unsigned)(text[i] - '0');
        if (number > max) {
            return false;
        }
    }
    *ret_number = number;
    return len > 0;
}

static bool parse_timeout(const char *text, unsigned *ret_ms)
{
    static const struct {
        const char *name;
        unsigned ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
    size_t n_digits = strspn(text, "0123456789");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        unsigned number = 0;
        if (strcmp(text + n_digits, units[i].name) == 0 &&
            parse_number(text, n_digits, TIMEOUT_MAX_MS / units[i].ms, &number) && number > 0) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

static bool is_port(const char *text)
{
    unsigned port = 0;
    return parse_number(text, strlen(text), 65535, &port) && port > 0;
}

/* Cut "host", "host:port" or "[address]:port" in two. */
static bool parse_authority(char *text, target *t)
{
    char *port = NULL;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else {
        port = strchr(text, ':');
        if (port != NULL) {
            *port++ = '\0';
        }
    }
    t->host = text;
    t->port = port != NULL ? port : "80";
    return text[0] != '\0' && is_port(t->port);
}

/* What is wrong with a URL, or NULL. */
static const char *parse_url(const char *url, target *t)
{
    size_t len = strlen(url);
    if (len > URL_MAX) {
        return "the URL is too long";
    }
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return "the URL has a blank or a control character";
        }
    }
    if (strncasecmp(url, "https://", 8) == 0) {
        return "https is not supported: ask the service itself over http";
    }
    if (strncasecmp(url, "http://", 7) != 0) {
        return "the URL does not begin with http://";
    }
    size_t authority_len = strcspn(url + 7, "/?#");
    const char *rest = url + 7 + authority_len;
    if (memchr(url + 7, '@', authority_len) != NULL) {
        return "a user in the URL is not supported";
    }
    memcpy(t->storage, url + 7, authority_len);
    t->storage[authority_len] = '\0';
    if (!parse_authority(t->storage, t)) {
        return "the host or the port of the URL is not valid";
    }
    char *path = t->storage + authority_len + 1;
    size_t path_len = strcspn(rest, "#");
    path[0] = '/';
    memcpy(path + (rest[0] != '/'), rest, path_len);
    path[path_len + (rest[0] != '/')] = '\0';
    t->path = path;
    return NULL;
}

static bool set_url(target *t, const char *url, char *fault, size_t size)
{
    const char *wrong = parse_url(url, t);
    if (wrong != NULL) {
        snprintf(fault, size, "%s", wrong);
        return false;
    }
    snprintf(t->text, sizeof(t->text), strchr(t->host, ':') ? "http://[%s]:%s%s" : "http://%s:%s%s",
             t->host, t->port, t->path);
    return true;
}

static bool set_port(target *t, const char *port, char *fault, size_t size)
{
    if (!is_port(port)) {
        snprintf(fault, size, "'%.64s' is not a port", port);
        return false;
    }
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%.5s/health", port);
    return set_url(t, url, fault, size);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool settings_read(settings *ret_settings, int argc, char **argv, char *ret_fault,
                   unsigned long size)
{
    flags f = {0};
    memset(ret_settings, 0, sizeof(*ret_settings));
    if (!read_flags(&f, ret_settings, argc, argv, ret_fault, size)) {
        return false;
    }
    if (ret_settings->wants_help || ret_settings->wants_version) {
        return true;
    }
    if (f.port != NULL && f.url != NULL) {
        snprintf(ret_fault, size, "give -port or -url, not both");
        return false;
    }
    if (f.port == NULL && f.url == NULL) {
        f.url = variable("GODWIT_HEALTH_URL");
        f.port = variable("GODWIT_HEALTH_PORT");
    }
    const char *timeout = f.timeout != NULL ? f.timeout : variable("GODWIT_HEALTH_TIMEOUT");
    timeout = timeout != NULL ? timeout : DEFAULT_TIMEOUT;
    if (!parse_timeout(timeout, &ret_settings->timeout_ms)) {
        snprintf(ret_fault, size, "'%.64s' is not a timeout such as 500ms, 3s or 1m (1h at most)",
                 timeout);
        return false;
    }
    if (f.url != NULL) {
        return set_url(&ret_settings->target, f.url, ret_fault, size);
    }
    return set_port(&ret_settings->target, f.port != NULL ? f.port : DEFAULT_PORT, ret_fault, size);
}
