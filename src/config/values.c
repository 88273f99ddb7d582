/* SPDX-License-Identifier: MIT */
/* Typed values out of a snapshot, and the texts a person reads when one is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/url.h>

#include "config/snapshot.h"

#define SHOWN_MAX 100 /* characters of a value in an error */

gw_status gw_config_optional(gw_status st)
{
    return st == GW_E_NOT_FOUND ? GW_OK : st;
}

/* ---- errors ------------------------------------------------------------------ */

static bool sounds_secret(const char *key)
{
    static const char *const words[] = {"password",   "passwd",  "secret",  "token",
                                        "credential", "private", "api_key", "apikey"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(key, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static gw_status not_found(const gw_config_snapshot *snapshot, const char *key, gw_error *err)
{
    char name[GW_CONFIG_KEY_MAX + 64];
    bool has_name = gw__env_name(snapshot->env_prefix, key, strlen(key), name, sizeof(name));
    return gw_error_set(
        err, GW_E_NOT_FOUND, 0, "key '%.100s' is not set: %s%.100s%s%s%.200s%s", key,
        has_name ? "there is no environment variable " : "", has_name ? name : "",
        has_name && snapshot->where[0] != '\0' ? ", and " : "",
        snapshot->where[0] != '\0' ? "nothing of the name at " : "", snapshot->where,
        snapshot->where[0] != '\0' && snapshot->layers.server.n_sources == 0
            ? " (which knows nothing of this service: is the name right?)"
            : "");
}

/* "key 'k' = 'v' from o is not ...". */
static gw_status wrong(const gw__property *item, const char *key, const char *what, gw_error *err)
{
    gw_buf shown;
    gw_buf_init(&shown, 0);
    if (item->secret || sounds_secret(key)) {
        gw_buf_add_str(&shown, "***");
    } else {
        gw_url_mask(&shown, item->value);
    }
    bool cut = shown.len > SHOWN_MAX;
    gw_error_set(err, GW_E_INVALID, 0, "key '%.100s' = '%.*s%s' from %.200s is not %s", key,
                 SHOWN_MAX, shown.data != NULL ? shown.data : "", cut ? "..." : "", item->origin,
                 what);
    gw_buf_dispose(&shown);
    return GW_E_INVALID;
}

static gw_status is_a_list(const gw__group *group, const char *key, gw_error *err)
{
    return gw_error_set(err, GW_E_INVALID, 0, "key '%.100s' from %.200s is a list, not one value",
                        key, group->items[0].origin);
}

static gw_status find(const gw_config_snapshot *snapshot, const char *key,
                      const gw__property **ret_item, gw_error *err)
{
    if (snapshot == NULL || key == NULL || key[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no snapshot or no key given");
    }
    const gw__property *item = gw__snapshot_find(snapshot, key);
    if (item != NULL) {
        *ret_item = item;
        return GW_OK;
    }
    gw__group group = gw__snapshot_group(snapshot, key, strlen(key));
    return group.n > 0 ? is_a_list(&group, key, err) : not_found(snapshot, key, err);
}

/* ---- single values --------------------------------------------------------------- */

gw_status gw_config_get_string(const gw_config_snapshot *snapshot, const char *key,
                               const char **ret_value, gw_error *err)
{
    const gw__property *item;
    gw_status st = find(snapshot, key, &item, err);
    if (st == GW_OK) {
        *ret_value = item->value;
    }
    return st;
}

/* The text between blanks, which editors and shells leave behind. */
static const char *trim(const char *text, size_t *ret_len)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL) {
        len--;
    }
    *ret_len = len;
    return text;
}

gw_status gw_config_get_int(const gw_config_snapshot *snapshot, const char *key, int64_t min,
                            int64_t max, int64_t *ret_value, gw_error *err)
{
    const gw__property *item;
    gw_status st = find(snapshot, key, &item, err);
    if (st != GW_OK) {
        return st;
    }
    size_t len;
    const char *text = trim(item->value, &len);
    bool starts = len > 0 && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    char *end = NULL;
    errno = 0;
    long long value = starts ? strtoll(text, &end, 10) : 0;
    if (!starts || end != text + len || errno == ERANGE || value < min || value > max) {
        char what[80];
        snprintf(what, sizeof(what), "a number from %lld to %lld", (long long)min, (long long)max);
        return wrong(item, key, what, err);
    }
    *ret_value = value;
    return GW_OK;
}

gw_status gw_config_get_bool(const gw_config_snapshot *snapshot, const char *key, bool *ret_value,
                             gw_error *err)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false}};
    const gw__property *item;
    gw_status st = find(snapshot, key, &item, err);
    if (st != GW_OK) {
        return st;
    }
    size_t len;
    const char *text = trim(item->value, &len);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i].text) == len && strncasecmp(text, words[i].text, len) == 0) {
            *ret_value = words[i].value;
            return GW_OK;
        }
    }
    return wrong(item, key, "true or false", err);
}

static bool parse_duration(const char *text, size_t len, uint64_t *ret_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t n_digits = strspn(text, "0123456789");
    if (n_digits == 0 || n_digits > 15 || n_digits > len) {
        return false;
    }
    uint64_t number = strtoull(text, NULL, 10);
    const char *unit = text + n_digits;
    size_t unit_len = len - n_digits;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == unit_len && strncmp(unit, units[i].name, unit_len) == 0 &&
            number <= UINT64_MAX / units[i].ms) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

gw_status gw_config_get_duration_ms(const gw_config_snapshot *snapshot, const char *key,
                                    uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                                    gw_error *err)
{
    const gw__property *item;
    gw_status st = find(snapshot, key, &item, err);
    if (st != GW_OK) {
        return st;
    }
    size_t len;
    const char *text = trim(item->value, &len);
    uint64_t ms;
    if (!parse_duration(text, len, &ms) || ms < min_ms || ms > max_ms) {
        char what[120];
        snprintf(what, sizeof(what),
                 "a duration from %llums to %llums, such as 250ms, 10s, 5m, 1h or 2d",
                 (unsigned long long)min_ms, (unsigned long long)max_ms);
        return wrong(item, key, what, err);
    }
    *ret_ms = ms;
    return GW_OK;
}

/* ---- lists ----------------------------------------------------------------------- */

static gw_status bad_list(const gw__group *group, const char *key, const char *why, gw_error *err)
{
    return gw_error_set(err, GW_E_INVALID, 0,
                        "key '%.100s' from %.200s is not a list of values: %s", key,
                        group->items[0].origin, why);
}

/* The items and their texts in one allocation. */
static gw_status make_list(const char *const *texts, const size_t *lens, size_t n,
                           gw_config_list *ret_list, gw_error *err)
{
    size_t size = (n + 1) * sizeof(char *);
    for (size_t i = 0; i < n; i++) {
        size += lens[i] + 1;
    }
    char **items = calloc(1, size);
    if (items == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a list");
    }
    char *at = (char *)(items + n + 1);
    for (size_t i = 0; i < n; i++) {
        items[i] = memcpy(at, texts[i], lens[i]); /* the NUL is there already */
        at += lens[i] + 1;
    }
    *ret_list =
        (gw_config_list){.items = (const char *const *)items, .n_items = n, .storage = items};
    return GW_OK;
}

/* Split "a, b,c". Returns the number of items, at most `max`; an empty text has none. */
static size_t split(const char *text, const char **texts, size_t *lens, size_t max)
{
    size_t n = 0;
    if (text[strspn(text, " \t\r\n")] == '\0') {
        return 0;
    }
    for (const char *at = text; n < max; n++) {
        size_t len = strcspn(at, ",");
        const char *start = at + strspn(at, " \t\r\n");
        const char *end = at + len;
        while (end > start && strchr(" \t\r\n", end[-1]) != NULL) {
            end--;
        }
        texts[n] = start > end ? end : start;
        lens[n] = start > end ? 0 : (size_t)(end - start);
        if (at[len] == '\0') {
            return n + 1;
        }
        at += len + 1;
    }
    return n;
}

static size_t count_items(const char *text)
{
    size_t n = 1;
    for (; *text != '\0'; text++) {
        n += *text == ',' ? 1 : 0;
    }
    return n;
}

/* The index of an item that is exactly "[i]" behind the group's name. */
static bool index_of(const gw__property *item, size_t *ret_index)
{
    const char *at = item->key + item->group_len;
    size_t n_digits = at[0] == '[' ? strspn(at + 1, "0123456789") : 0;
    if (n_digits == 0 || n_digits > 9 || strcmp(at + 1 + n_digits, "]") != 0) {
        return false;
    }
    *ret_index = (size_t)strtoull(at + 1, NULL, 10);
    return true;
}

static gw_status place_items(const gw__group *group, const char *key, const char **texts,
                             size_t *lens, gw_error *err)
{
    for (size_t i = 0; i < group->n; i++) {
        size_t index;
        if (!index_of(&group->items[i], &index)) {
            return bad_list(group, key, "an item is not a plain value", err);
        }
        if (index >= group->n || texts[index] != NULL) {
            return bad_list(group, key, "its indexes are not 0, 1, 2, ...", err);
        }
        texts[index] = group->items[i].value;
        lens[index] = strlen(texts[index]);
    }
    return GW_OK;
}

gw_status gw_config_get_list(const gw_config_snapshot *snapshot, const char *key,
                             gw_config_list *ret_list, gw_error *err)
{
    if (snapshot == NULL || key == NULL || key[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no snapshot or no key given");
    }
    const gw__property *one = gw__snapshot_find(snapshot, key);
    gw__group group = gw__snapshot_group(snapshot, key, strlen(key));
    if (one == NULL && group.n == 0) {
        const gw__property *child = gw__snapshot_child(snapshot, key);
        return child == NULL ? not_found(snapshot, key, err)
                             : gw_error_set(err, GW_E_INVALID, 0,
                                            "key '%.100s' from %.200s is an object, not a list",
                                            key, child->origin);
    }
    bool is_text = one != NULL && group.n <= 1;
    size_t max = is_text ? count_items(one->value) : group.n;
    const char **texts = calloc(max, sizeof(*texts));
    size_t *lens = calloc(max, sizeof(*lens));
    gw_status st = GW_OK;
    size_t n = max;
    if (texts == NULL || lens == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a list");
    } else if (is_text) {
        n = split(one->value, texts, lens, max);
    } else {
        st = place_items(&group, key, texts, lens, err);
    }
    if (st == GW_OK) {
        st = make_list(texts, lens, n, ret_list, err);
    }
    free(texts);
    free(lens);
    return st;
}

void gw_config_list_dispose(gw_config_list *list)
{
    free(list->storage);
    *list = (gw_config_list){.items = NULL};
}

bool gw_config_list_has(const gw_config_list *list, const char *item)
{
    for (size_t i = 0; i < list->n_items; i++) {
        if (strcmp(list->items[i], item) == 0) {
            return true;
        }
    }
    return false;
}
