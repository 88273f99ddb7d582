/* SPDX-License-Identifier: MIT */
/* The URLs of embedded buses: "bus:DIR[?option=value&...]". */
#include "bus/bus.h"

#include <string.h>
#include <strings.h>

#define SCHEME      "bus:"

#define GROUP_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static gw_status bad_option(const char *name, const char *wanted, gw_error *err)
{
    return gw_error_set(err, GW_E_INVALID, 0, "bus URL: option '%s' has to be %s", name, wanted);
}

static gw_status read_number(const char *name, const char *text, size_t len, uint64_t *ret_number,
                             gw_error *err)
{
    uint64_t number = 0;
    bool good = len > 0 && len <= 18;
    for (size_t i = 0; good && i < len; i++) {
        good = text[i] >= '0' && text[i] <= '9';
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (!good || number == 0) {
        return bad_option(name, "a number of 1 or more, of at most 18 digits", err);
    }
    *ret_number = number;
    return GW_OK;
}

static gw_status read_overflow(const char *text, size_t len, gw__overflow *ret_overflow,
                               gw_error *err)
{
    static const char *const names[] = {[GW__OVERFLOW_REFUSE] = "refuse",
                                        [GW__OVERFLOW_DROP_OLDEST] = "drop-oldest",
                                        [GW__OVERFLOW_DEAD_LETTER] = "dead-letter"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0) {
            *ret_overflow = (gw__overflow)i;
            return GW_OK;
        }
    }
    return bad_option("overflow", "refuse, drop-oldest or dead-letter", err);
}

static gw_status read_group(const char *text, size_t len, gw__bus_url *url, gw_error *err)
{
    if (len == 0 || len >= sizeof(url->place.group) || strspn(text, GROUP_CHARS) < len) {
        return bad_option("group", "the name of a group of this system", err);
    }
    memcpy(url->place.group, text, len);
    url->place.group[len] = '\0';
    return GW_OK;
}

/* One "name=value". */
static gw_status read_option(const char *text, size_t len, gw__bus_url *url, gw_error *err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    const char *value = equals != NULL ? equals + 1 : text + len;
    size_t value_len = equals != NULL ? len - name_len - 1 : 0;
    static const char *const names[] = {"group", "max_messages", "max_bytes", "overflow"};
    size_t i = 0;
    while (i < sizeof(names) / sizeof(names[0]) &&
           (strlen(names[i]) != name_len || memcmp(names[i], text, name_len) != 0)) {
        i++;
    }
    switch (i) {
    case 0: return read_group(value, value_len, url, err);
    case 1: return read_number(names[1], value, value_len, &url->max_messages, err);
    case 2: return read_number(names[2], value, value_len, &url->max_bytes, err);
    case 3: return read_overflow(value, value_len, &url->overflow, err);
    default:
        return gw_error_set(err, GW_E_INVALID, 0,
                            "bus URL: unknown option '%.*s': there are group, max_messages, "
                            "max_bytes and overflow",
                            (int)(name_len < 64 ? name_len : 64), text);
    }
}

gw_status gw__bus_parse_url(const char *url, gw__bus_url *ret_url, gw_error *err)
{
    if (strncasecmp(url, SCHEME, strlen(SCHEME)) != 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "not the URL of an embedded bus: the form is %s",
                            SCHEME "DIR[?option=value&...]");
    }
    gw__bus_url parsed = {.max_messages = 0};
    const char *dir = url + strlen(SCHEME);
    size_t len = strcspn(dir, "?");
    const char *at = dir + len;
    while (len > 1 && dir[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len >= sizeof(parsed.place.dir)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "bus URL: it needs the path of a directory, of 1 to %zu bytes, such as "
                            "bus:run/bus",
                            sizeof(parsed.place.dir) - 1);
    }
    memcpy(parsed.place.dir, dir, len);
    while (*at != '\0') {
        at++; /* '?' or '&' */
        size_t option_len = strcspn(at, "&");
        gw_status st = read_option(at, option_len, &parsed, err);
        if (st != GW_OK) {
            return st;
        }
        at += option_len;
    }
    *ret_url = parsed;
    return GW_OK;
}
