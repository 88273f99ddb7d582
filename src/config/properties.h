/* SPDX-License-Identifier: MIT */
/*
 * Properties in groups: a key, or a list with all its items (`vip_accounts[0]`, `[1]`, ...) under
 * the list's name. A group comes from one source, the highest that has it: lists are replaced,
 * never merged. Knows nothing of servers and files.
 *
 * Built once, then immutable and counted; shareable.
 */
#ifndef GW_CONFIG_PROPERTIES_H
#define GW_CONFIG_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

typedef struct gw__property {
    char *key;          /* whole, such as "a.b[0].c" */
    size_t group_len;   /* of it, the group's name: "a.b" */
    char *value;        /* as text */
    char *place;        /* "file.yml:3" if the line is known; NULL */
    const char *origin; /* borrowed from the properties: its place, or the source */
    bool secret;   /* its value came encrypted: for nobody's eyes, whatever the key is called */
    unsigned rank; /* of its source: 0 is the highest */
    size_t order;  /* in which they were added */
} gw__property;

typedef struct gw__properties gw__properties;

/* The items of one group, in the order of their source; n is 0 if there is none. */
typedef struct gw__group {
    const gw__property *items;
    size_t n;
} gw__group;

/* Length of the group's name in a key: up to the first index, "[3]". */
size_t gw__key_group_len(const char *key);

/* Empty, to be filled; NULL when out of memory. */
gw__properties *gw__properties_new(void);

/* Add a source; the lower its rank, the higher it is. Sources of one rank add up. GW_E_NOMEM. */
gw_status gw__properties_add_source(gw__properties *props, const char *origin, unsigned rank,
                                    gw_error *err);

/* Add a property to the last source. GW_E_INVALID for an empty key; GW_E_LIMIT; GW_E_NOMEM. */
gw_status gw__properties_add(gw__properties *props, const char *key, const char *value,
                             gw_error *err);

/* The same for one that is known to stand in this line of the source; 0: not known. */
gw_status gw__properties_add_at(gw__properties *props, const char *key, const char *value,
                                unsigned line, gw_error *err);

/* What was added last is shown to nobody. Not after sealing. */
void gw__properties_hide_last(gw__properties *props);

/* Merge the sources. After this they can be read, shared, and not changed. */
void gw__properties_seal(gw__properties *props);

/* Replace the value of a property, which is secret from then on, before anybody else sees them.
 * GW_E_NOMEM. */
gw_status gw__properties_reveal(gw__properties *props, size_t i, const char *value, gw_error *err);

gw__properties *gw__properties_ref(gw__properties *props);
void gw__properties_unref(gw__properties *props);

size_t gw__properties_count(const gw__properties *props);
const gw__property *gw__properties_at(const gw__properties *props, size_t i);

/* The group that a name of `len` bytes has. */
gw__group gw__properties_group(const gw__properties *props, const char *name, size_t len);

/* The first property below a name, "name.a"; NULL if there is none. Looks at all. */
const gw__property *gw__properties_child(const gw__properties *props, const char *name, size_t len);

bool gw__group_equal(gw__group a, gw__group b);

#endif
