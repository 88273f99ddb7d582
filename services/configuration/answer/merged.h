/* SPDX-License-Identifier: MIT */
/*
 * The sources of an environment as one list of properties: a higher source's scalar takes the place
 * of a lower one's, its list that of the whole list.
 */
#ifndef CS_MERGED_H
#define CS_MERGED_H

#include "answer/environment.h"

typedef struct cs_merged_item {
    cs_text key;
    cs_text value;
    cs_value_kind kind;
    unsigned line; /* of the source's file; 0 for none */
    const char *path;
} cs_merged_item;

/* Scalars in the order in which they come up from the lowest source on, then lists in theirs. */
typedef struct cs_merged {
    cs_merged_item *items;
    size_t n_items;
} cs_merged;

/*
 * @param arena   for the items, and for values whose placeholders are resolved.
 * @param resolve whether they are.
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT when a placeholder cannot be resolved, with the place and
 *         the key of its property; GW_E_NOMEM.
 */
gw_status cs_merged_make(const cs_environment *env, bool resolve, cs_arena *arena,
                         cs_merged *ret_merged, gw_error *err);

/* Where the arena's end is an error of the whole answer. */
gw_status cs_flat_no_room(const cs_arena *arena, gw_error *err);

#endif
