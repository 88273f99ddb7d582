/* SPDX-License-Identifier: MIT */
/* A layer of properties above the server's, changed by a few keys at a time: each change makes a
 * new layer. */
#ifndef GW_CONFIG_OVERRIDES_H
#define GW_CONFIG_OVERRIDES_H

#include <stdbool.h>

#include "config/properties.h"

typedef struct gw__override {
    char *key;
    char *value; /* NULL: take it away */
    bool secret; /* shown to nobody, whatever the key is called */
} gw__override;

/* Copies of keys and values. Starts as zeros. */
typedef struct gw__overrides {
    gw__override *items;
    size_t n;
    size_t cap;
} gw__overrides;

/* GW_E_INVALID for an empty key; GW_E_NOMEM. */
gw_status gw__overrides_add(gw__overrides *changes, const char *key, const char *value,
                            gw_error *err);
void gw__overrides_dispose(gw__overrides *changes);

/* The layer with the changes; `old` may be NULL. GW_E_LIMIT; GW_E_NOMEM. */
gw_status gw__overrides_apply(const gw__overrides *changes, const gw__properties *old,
                              const char *origin, gw__properties **ret_props, gw_error *err);

#endif
