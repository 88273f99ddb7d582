/* SPDX-License-Identifier: MIT */
#include "config/overrides.h"

#include <stdlib.h>
#include <string.h>

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

gw_status gw__overrides_add(gw__overrides *changes, const char *key, const char *value,
                            gw_error *err)
{
    if (key[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "a property with an empty key");
    }
    if (changes->n == changes->cap) {
        size_t cap = changes->cap == 0 ? 8 : 2 * changes->cap;
        gw__override *items = reallocarray(changes->items, cap, sizeof(*items));
        if (items == NULL) {
            return no_memory(err);
        }
        changes->items = items;
        changes->cap = cap;
    }
    gw__override *item = &changes->items[changes->n++];
    *item = (gw__override){.key = strdup(key), .value = value != NULL ? strdup(value) : NULL};
    return item->key != NULL && (value == NULL || item->value != NULL) ? GW_OK : no_memory(err);
}

void gw__overrides_dispose(gw__overrides *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        gw__override *item = &changes->items[i];
        if (item->value != NULL) { /* it may be a password */
            explicit_bzero(item->value, strlen(item->value));
        }
        free(item->value);
        free(item->key);
    }
    free(changes->items);
    *changes = (gw__overrides){NULL, 0, 0};
}

/* Whether setting `key` replaces the item: the same key, or one of them is the list that the other
 * is an item of. */
static bool is_replaced(const gw__property *item, const char *key)
{
    size_t len = gw__key_group_len(key);
    bool same_group = item->group_len == len && strncmp(item->key, key, len) == 0;
    return same_group &&
           (key[len] == '\0' || item->key[len] == '\0' || strcmp(item->key, key) == 0);
}

static bool is_kept(const gw__property *item, const gw__overrides *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        if (is_replaced(item, changes->items[i].key)) {
            return false;
        }
    }
    return true;
}

static gw_status add(gw__properties *props, const char *key, const char *value, bool secret,
                     const char *origin, gw_error *err)
{
    gw_status st = gw__properties_add_source(props, origin, 0, err);
    st = st == GW_OK ? gw__properties_add(props, key, value, err) : st;
    if (st == GW_OK && secret) {
        gw__properties_hide_last(props);
    }
    return st;
}

gw_status gw__overrides_apply(const gw__overrides *changes, const gw__properties *old,
                              const char *origin, gw__properties **ret_props, gw_error *err)
{
    gw__properties *props = gw__properties_new();
    if (props == NULL) {
        return no_memory(err);
    }
    gw_status st = GW_OK;
    size_t n_old = old != NULL ? gw__properties_count(old) : 0;
    for (size_t i = 0; i < n_old && st == GW_OK; i++) {
        const gw__property *item = gw__properties_at(old, i);
        if (is_kept(item, changes)) {
            st = add(props, item->key, item->value, item->secret, item->origin, err);
        }
    }
    for (size_t i = 0; i < changes->n && st == GW_OK; i++) {
        const gw__override *item = &changes->items[i];
        if (item->value != NULL) {
            st = add(props, item->key, item->value, item->secret, origin, err);
        }
    }
    if (st != GW_OK) {
        gw__properties_unref(props);
        return st;
    }
    gw__properties_seal(props);
    *ret_props = props;
    return GW_OK;
}
