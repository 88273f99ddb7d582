/* SPDX-License-Identifier: MIT */
#include "config/properties.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/config.h>

struct gw__properties {
    atomic_size_t refs;
    gw__property *items; /* sealed: sorted by group, then order */
    size_t n;
    size_t cap;
    char **origins;
    size_t n_sources;
    unsigned rank; /* of the last source */
    bool sealed;
};

size_t gw__key_group_len(const char *key)
{
    for (const char *at = strchr(key, '['); at != NULL; at = strchr(at + 1, '[')) {
        size_t n_digits = strspn(at + 1, "0123456789");
        if (n_digits > 0 && at[1 + n_digits] == ']' && at > key) {
            return (size_t)(at - key);
        }
    }
    return strlen(key);
}

gw__properties *gw__properties_new(void)
{
    gw__properties *props = calloc(1, sizeof(*props));
    if (props != NULL) {
        atomic_init(&props->refs, 1);
    }
    return props;
}

gw__properties *gw__properties_ref(gw__properties *props)
{
    atomic_fetch_add_explicit(&props->refs, 1, memory_order_relaxed);
    return props;
}

static void free_value(char *value)
{
    if (value != NULL) { /* it may be a password */
        explicit_bzero(value, strlen(value));
    }
    free(value);
}

static void free_property(gw__property *item)
{
    free(item->key);
    free_value(item->value);
    free(item->place);
}

void gw__properties_unref(gw__properties *props)
{
    if (props == NULL || atomic_fetch_sub_explicit(&props->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < props->n; i++) {
        free_property(&props->items[i]);
    }
    free(props->items);
    for (size_t i = 0; i < props->n_sources; i++) {
        free(props->origins[i]);
    }
    free(props->origins);
    free(props);
}

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

gw_status gw__properties_add_source(gw__properties *props, const char *origin, unsigned rank,
                                    gw_error *err)
{
    assert(!props->sealed);
    char **origins = realloc(props->origins, (props->n_sources + 1) * sizeof(*origins));
    if (origins == NULL) {
        return no_memory(err);
    }
    props->origins = origins;
    origins[props->n_sources] = strdup(origin);
    if (origins[props->n_sources] == NULL) {
        return no_memory(err);
    }
    props->n_sources++;
    props->rank = rank;
    return GW_OK;
}

static gw_status reserve(gw__properties *props, gw_error *err)
{
    if (props->n < props->cap) {
        return GW_OK;
    }
    size_t cap = props->cap == 0 ? 32 : props->cap * 2;
    gw__property *items = realloc(props->items, cap * sizeof(*items));
    if (items == NULL) {
        return no_memory(err);
    }
    props->items = items;
    props->cap = cap;
    return GW_OK;
}

/* "file.yml:3"; NULL when out of memory. */
static char *write_place(const char *origin, unsigned line)
{
    size_t size = strlen(origin) + 12;
    char *place = malloc(size);
    if (place != NULL) {
        snprintf(place, size, "%s:%u", origin, line);
    }
    return place;
}

gw_status gw__properties_add(gw__properties *props, const char *key, const char *value,
                             gw_error *err)
{
    return gw__properties_add_at(props, key, value, 0, err);
}

gw_status gw__properties_add_at(gw__properties *props, const char *key, const char *value,
                                unsigned line, gw_error *err)
{
    assert(!props->sealed && props->n_sources > 0);
    const char *origin = props->origins[props->n_sources - 1];
    if (key[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "an empty key in %s", origin);
    }
    if (strlen(key) > GW_CONFIG_KEY_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "a key of more than %d bytes in %s: '%.40s...'",
                            GW_CONFIG_KEY_MAX, origin, key);
    }
    if (props->n >= GW_CONFIG_PROPERTIES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d properties",
                            GW_CONFIG_PROPERTIES_MAX);
    }
    gw_status st = reserve(props, err);
    if (st != GW_OK) {
        return st;
    }
    gw__property item = {.key = strdup(key),
                         .group_len = gw__key_group_len(key),
                         .value = strdup(value),
                         .place = line > 0 ? write_place(origin, line) : NULL,
                         .rank = props->rank,
                         .order = props->n};
    if (item.key == NULL || item.value == NULL || (line > 0 && item.place == NULL)) {
        free_property(&item);
        return no_memory(err);
    }
    item.origin = item.place != NULL ? item.place : origin;
    props->items[props->n++] = item;
    return GW_OK;
}

void gw__properties_hide_last(gw__properties *props)
{
    assert(!props->sealed && props->n > 0);
    props->items[props->n - 1].secret = true;
}

static int compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int rc = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return rc != 0 ? rc : (a_len > b_len) - (a_len < b_len);
}

static int compare_items(const void *left, const void *right)
{
    const gw__property *a = left;
    const gw__property *b = right;
    int rc = compare_names(a->key, a->group_len, b->key, b->group_len);
    if (rc == 0) {
        rc = (a->rank > b->rank) - (a->rank < b->rank);
    }
    return rc != 0 ? rc : (a->order > b->order) - (a->order < b->order);
}

static bool same_group(const gw__property *a, const gw__property *b)
{
    return compare_names(a->key, a->group_len, b->key, b->group_len) == 0;
}

void gw__properties_seal(gw__properties *props)
{
    props->sealed = true;
    if (props->n == 0) {
        return;
    }
    qsort(props->items, props->n, sizeof(*props->items), compare_items);
    size_t kept = 0;
    for (size_t i = 0; i < props->n; i++) {
        gw__property *item = &props->items[i];
        const gw__property *last = kept > 0 ? &props->items[kept - 1] : NULL;
        if (last != NULL && same_group(last, item) && last->rank != item->rank) {
            free_property(item); /* a higher source has the group */
        } else {
            props->items[kept++] = *item;
        }
    }
    props->n = kept;
}

gw_status gw__properties_reveal(gw__properties *props, size_t i, const char *value, gw_error *err)
{
    char *copy = strdup(value);
    if (copy == NULL) {
        return no_memory(err);
    }
    free_value(props->items[i].value);
    props->items[i].value = copy;
    props->items[i].secret = true;
    return GW_OK;
}

size_t gw__properties_count(const gw__properties *props)
{
    return props->n;
}

const gw__property *gw__properties_at(const gw__properties *props, size_t i)
{
    return &props->items[i];
}

gw__group gw__properties_group(const gw__properties *props, const char *name, size_t len)
{
    assert(props->sealed);
    size_t low = 0;
    size_t high = props->n;
    while (low < high) { /* the first that is not below */
        size_t middle = low + (high - low) / 2;
        const gw__property *item = &props->items[middle];
        if (compare_names(item->key, item->group_len, name, len) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    gw__group group = {.items = props->items == NULL ? NULL : props->items + low, .n = 0};
    while (low + group.n < props->n &&
           compare_names(group.items[group.n].key, group.items[group.n].group_len, name, len) ==
               0) {
        group.n++;
    }
    return group;
}

const gw__property *gw__properties_child(const gw__properties *props, const char *name, size_t len)
{
    for (size_t i = 0; i < props->n; i++) {
        const char *key = props->items[i].key;
        if (strncmp(key, name, len) == 0 && key[len] == '.') {
            return &props->items[i];
        }
    }
    return NULL;
}

bool gw__group_equal(gw__group a, gw__group b)
{
    bool equal = a.n == b.n;
    for (size_t i = 0; equal && i < a.n; i++) {
        equal = strcmp(a.items[i].key, b.items[i].key) == 0 &&
                strcmp(a.items[i].value, b.items[i].value) == 0;
    }
    return equal;
}
