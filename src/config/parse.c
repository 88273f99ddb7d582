/* SPDX-License-Identifier: MIT */
#include "config/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/secret.h>
#include <godwit/url.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SHOWN_MAX   100 /* characters of a value in an error */
#define BLANKS      " \t\r\n"
#define DIGITS      "0123456789"

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* ---- what people see --------------------------------------------------------- */

/* Length of "password=" and the like at the start of a text, as in the queries of URLs and in
 * connection strings; 0 if it does not start so. */
static size_t secret_parameter_len(const char *text)
{
    static const char *const names[] = {
        "password=", "passwd=", "pwd=", "secret=", "token=", "apikey=", "api_key=", "access_key="};
    for (size_t i = 0; i < N_OF(names); i++) {
        if (strncasecmp(text, names[i], strlen(names[i])) == 0) {
            return strlen(names[i]);
        }
    }
    return 0;
}

static void mask_parameters(gw_buf *out, const char *text)
{
    while (*text != '\0') {
        size_t len = secret_parameter_len(text);
        if (len > 0) {
            gw_buf_add(out, text, len);
            gw_buf_add_str(out, "***");
            text += len + strcspn(text + len, "&; \t\r\n");
        } else {
            gw_buf_add_char(out, *text++);
        }
    }
}

void gw__text_show(const gw__text *text, gw_buf *out)
{
    bool is_key = strstr(text->value, "PRIVATE KEY-----") != NULL;
    if (text->secret || is_key || gw_secret_is_named(text->key, strlen(text->key))) {
        gw_buf_add_str(out, text->value[0] != '\0' ? "***" : "");
        return;
    }
    gw_buf masked;
    gw_buf_init(&masked, 0);
    gw_url_mask(&masked, text->value);
    mask_parameters(out, masked.data != NULL ? masked.data : "");
    gw_buf_dispose(&masked);
}

gw_status gw__text_wrong(const gw__text *text, const char *what, gw_error *err)
{
    gw_buf shown;
    gw_buf_init(&shown, 0);
    gw__text_show(text, &shown);
    bool cut = shown.len > SHOWN_MAX;
    gw_error_set(err, GW_E_INVALID, 0, "key '%.100s' = '%.*s%s' from %.200s is not %s", text->key,
                 SHOWN_MAX, shown.data != NULL ? shown.data : "", cut ? "..." : "", text->origin,
                 what);
    gw_buf_dispose(&shown);
    return GW_E_INVALID;
}

/* ---- numbers ------------------------------------------------------------------- */

/* The text between blanks, which editors and shells leave behind. */
static const char *trim(const char *text, size_t *ret_len)
{
    text += strspn(text, BLANKS);
    size_t len = strlen(text);
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL) {
        len--;
    }
    *ret_len = len;
    return text;
}

gw_status gw__text_int(const gw__text *text, int64_t min, int64_t max, int64_t *ret_value,
                       gw_error *err)
{
    size_t len;
    const char *start = trim(text->value, &len);
    bool starts = len > 0 && (start[0] == '-' || (start[0] >= '0' && start[0] <= '9'));
    char *end = NULL;
    errno = 0;
    long long value = starts ? strtoll(start, &end, 10) : 0;
    if (!starts || end != start + len || errno == ERANGE || value < min || value > max) {
        char what[80];
        snprintf(what, sizeof(what), "a number from %" PRId64 " to %" PRId64, min, max);
        return gw__text_wrong(text, what, err);
    }
    *ret_value = value;
    return GW_OK;
}

/* A number and one of the units, in any case if `any_case`. */
static bool parse_with_unit(const char *value, const unit *units, size_t n_units, bool any_case,
                            uint64_t *ret_number)
{
    size_t len;
    const char *start = trim(value, &len);
    size_t n_digits = strspn(start, DIGITS);
    if (n_digits == 0 || n_digits > 15 || n_digits > len) {
        return false;
    }
    uint64_t number = strtoull(start, NULL, 10);
    const char *name = start + n_digits;
    size_t name_len = len - n_digits;
    for (size_t i = 0; i < n_units; i++) {
        bool same = strlen(units[i].name) == name_len &&
                    (any_case ? strncasecmp(name, units[i].name, name_len)
                              : strncmp(name, units[i].name, name_len)) == 0;
        if (same && number <= UINT64_MAX / units[i].factor) {
            *ret_number = number * units[i].factor;
            return true;
        }
    }
    return false;
}

gw_status gw__text_duration_ms(const gw__text *text, uint64_t min_ms, uint64_t max_ms,
                               uint64_t *ret_ms, gw_error *err)
{
    static const unit units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                 {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t ms;
    if (!parse_with_unit(text->value, units, N_OF(units), false, &ms) || ms < min_ms ||
        ms > max_ms) {
        char what[120];
        snprintf(what, sizeof(what),
                 "a duration from %" PRIu64 "ms to %" PRIu64 "ms, such as 250ms, 10s, 5m, 1h or 2d",
                 min_ms, max_ms);
        return gw__text_wrong(text, what, err);
    }
    *ret_ms = ms;
    return GW_OK;
}

gw_status gw__text_size(const gw__text *text, uint64_t min, uint64_t max, uint64_t *ret_bytes,
                        gw_error *err)
{
    static const unit units[] = {
        {"", 1},
        {"B", 1},
        {"KB", UINT64_C(1) << 10},
        {"KiB", UINT64_C(1) << 10},
        {"MB", UINT64_C(1) << 20},
        {"MiB", UINT64_C(1) << 20},
        {"GB", UINT64_C(1) << 30},
        {"GiB", UINT64_C(1) << 30},
        {"TB", UINT64_C(1) << 40},
        {"TiB", UINT64_C(1) << 40},
    };
    uint64_t bytes;
    if (!parse_with_unit(text->value, units, N_OF(units), true, &bytes) || bytes < min ||
        bytes > max) {
        char what[120];
        snprintf(what, sizeof(what),
                 "a size from %" PRIu64 " to %" PRIu64 " bytes, such as 4096, 64KB, 10MB or 2GB",
                 min, max);
        return gw__text_wrong(text, what, err);
    }
    *ret_bytes = bytes;
    return GW_OK;
}

/* ---- words ----------------------------------------------------------------------- */

static bool is_word(const char *start, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(start, word, len) == 0;
}

gw_status gw__text_bool(const gw__text *text, bool *ret_value, gw_error *err)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false}};
    size_t len;
    const char *start = trim(text->value, &len);
    for (size_t i = 0; i < N_OF(words); i++) {
        if (is_word(start, len, words[i].text)) {
            *ret_value = words[i].value;
            return GW_OK;
        }
    }
    return gw__text_wrong(text, "true or false", err);
}

static bool find_word(const char *start, size_t len, const char *const *words, size_t *ret_index)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (is_word(start, len, words[i])) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* "a, b or c" */
static void list_words(const char *const *words, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; words[i] != NULL && used < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        int n = snprintf(out + used, size - used, "%s%s", between, words[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

gw_status gw__text_word(const gw__text *text, const char *const *words, size_t *ret_index,
                        gw_error *err)
{
    size_t len;
    const char *start = trim(text->value, &len);
    bool found = find_word(start, len, words, ret_index);
    if (!found && is_word(start, len, "false")) {
        found = find_word("off", 3, words, ret_index) || find_word("no", 2, words, ret_index);
    } else if (!found && is_word(start, len, "true")) {
        found = find_word("on", 2, words, ret_index) || find_word("yes", 3, words, ret_index);
    }
    if (!found) {
        char what[160];
        list_words(words, what, sizeof(what));
        return gw__text_wrong(text, what, err);
    }
    return GW_OK;
}
