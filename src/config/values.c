/* SPDX-License-Identifier: MIT */
/* Typed values out of a snapshot, and the texts a person reads when one is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/lookup.h"
#include "config/snapshot.h"

gw_status gw_config_optional(gw_status st)
{
    return st == GW_E_NOT_FOUND ? GW_OK : st;
}

/* ---- errors ------------------------------------------------------------------ */

/* Of a value that it cannot decrypt, Spring's config server leaves only "invalid.<key>". */
static const char *reason_at_server(const gw_config_snapshot *snapshot, const char *key)
{
    char invalid[GW_CONFIG_KEY_MAX + 16];
    snprintf(invalid, sizeof(invalid), "invalid.%s", key);
    return gw__snapshot_find(snapshot, invalid) != NULL ? " (which could not decrypt it)"
           : snapshot->layers.server.n_sources == 0
               ? " (which knows nothing of this service: is the name right?)"
               : "";
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
        snapshot->where[0] != '\0' ? reason_at_server(snapshot, key) : "");
}

static gw_status is_a_list(const gw__group *group, const char *key, gw_error *err)
{
    return gw_error_set(err, GW_E_INVALID, 0, "key '%.100s' from %.200s is a list, not one value",
                        key, group->items[0].origin);
}

gw_status gw__lookup_text(const gw_config_snapshot *snapshot, const char *key, gw__text *ret_text,
                          gw_error *err)
{
    if (snapshot == NULL || key == NULL || key[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no snapshot or no key given");
    }
    const gw__property *item = gw__snapshot_find(snapshot, key);
    if (item != NULL) {
        *ret_text = (gw__text){
            .key = key, .value = item->value, .origin = item->origin, .secret = item->secret};
        return GW_OK;
    }
    gw__group group = gw__snapshot_group(snapshot, key, strlen(key));
    return group.n > 0 ? is_a_list(&group, key, err) : not_found(snapshot, key, err);
}

/* ---- single values --------------------------------------------------------------- */

gw_status gw_config_get_string(const gw_config_snapshot *snapshot, const char *key,
                               const char **ret_value, gw_error *err)
{
    gw__text text;
    gw_status st = gw__lookup_text(snapshot, key, &text, err);
    if (st == GW_OK) {
        *ret_value = text.value;
    }
    return st;
}

gw_status gw_config_get_int(const gw_config_snapshot *snapshot, const char *key, int64_t min,
                            int64_t max, int64_t *ret_value, gw_error *err)
{
    gw__text text;
    gw_status st = gw__lookup_text(snapshot, key, &text, err);
    return st == GW_OK ? gw__text_int(&text, min, max, ret_value, err) : st;
}

gw_status gw_config_get_bool(const gw_config_snapshot *snapshot, const char *key, bool *ret_value,
                             gw_error *err)
{
    gw__text text;
    gw_status st = gw__lookup_text(snapshot, key, &text, err);
    return st == GW_OK ? gw__text_bool(&text, ret_value, err) : st;
}

gw_status gw_config_get_duration_ms(const gw_config_snapshot *snapshot, const char *key,
                                    uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                                    gw_error *err)
{
    gw__text text;
    gw_status st = gw__lookup_text(snapshot, key, &text, err);
    return st == GW_OK ? gw__text_duration_ms(&text, min_ms, max_ms, ret_ms, err) : st;
}

gw_status gw_config_get_size(const gw_config_snapshot *snapshot, const char *key, uint64_t min,
                             uint64_t max, uint64_t *ret_bytes, gw_error *err)
{
    gw__text text;
    gw_status st = gw__lookup_text(snapshot, key, &text, err);
    return st == GW_OK ? gw__text_size(&text, min, max, ret_bytes, err) : st;
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

gw_status gw__list_of_text(const char *text, gw_config_list *ret_list, gw_error *err)
{
    size_t max = count_items(text);
    const char **texts = calloc(max, sizeof(*texts));
    size_t *lens = calloc(max, sizeof(*lens));
    gw_status st = GW_OK;
    if (texts == NULL || lens == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a list");
    } else {
        st = make_list(texts, lens, split(text, texts, lens, max), ret_list, err);
    }
    free(texts);
    free(lens);
    return st;
}

gw_status gw__list_copy(const gw_config_list *list, gw_config_list *ret_list, gw_error *err)
{
    size_t *lens = calloc(list->n_items + 1, sizeof(*lens));
    if (lens == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a list");
    }
    for (size_t i = 0; i < list->n_items; i++) {
        lens[i] = strlen(list->items[i]);
    }
    gw_status st = make_list(list->items, lens, list->n_items, ret_list, err);
    free(lens);
    return st;
}

static gw_status list_of_items(const gw__group *group, const char *key, gw_config_list *ret_list,
                               gw_error *err)
{
    const char **texts = calloc(group->n, sizeof(*texts));
    size_t *lens = calloc(group->n, sizeof(*lens));
    gw_status st = texts == NULL || lens == NULL
                       ? gw_error_set(err, GW_E_NOMEM, 0, "no memory for a list")
                       : place_items(group, key, texts, lens, err);
    if (st == GW_OK) {
        st = make_list(texts, lens, group->n, ret_list, err);
    }
    free(texts);
    free(lens);
    return st;
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
    return one != NULL && group.n <= 1 ? gw__list_of_text(one->value, ret_list, err)
                                       : list_of_items(&group, key, ret_list, err);
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
