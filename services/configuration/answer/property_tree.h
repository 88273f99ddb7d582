/* SPDX-License-Identifier: MIT */
/*
 * Flat properties as the maps and lists they came from: "a.b[0]" is the first item of the list "b"
 * of the map "a". Reading the tree's text gives the same properties again.
 */
#ifndef CS_PROPERTY_TREE_H
#define CS_PROPERTY_TREE_H

#include "answer/merged.h"

typedef enum cs_branch_kind { CS_BRANCH_VALUE, CS_BRANCH_MAP, CS_BRANCH_LIST } cs_branch_kind;

typedef struct cs_branch {
    cs_branch_kind kind;
    cs_text name; /* in a map */
    size_t index; /* in a list, whose items come in order; what lies between them is null */
    const cs_merged_item *item; /* a value's */
    struct cs_branch **children;
    size_t n_children;
    size_t place; /* private */
} cs_branch;

/*
 * "[0]", as far as it is followed by '.', '[' or the end, is an item of a list; other brackets are
 * part of a name. Where a value, a list and a map claim one place, the value has it, then the map;
 * what else is there has the rest of its key as its name, as in "a: 1" and "a.b: 2".
 *
 * @return GW_OK; GW_E_INVALID for a key with an empty part, such as "a..b"; GW_E_LIMIT past
 *         CS_FLAT_DEPTH_MAX, CS_LIST_ITEMS_MAX, CS_FLAT_NODES_MAX; GW_E_NOMEM. The text names the
 *         place and the key.
 */
gw_status cs_property_tree_make(const cs_merged *merged, cs_arena *arena,
                                const cs_branch **ret_root, gw_error *err);

#endif
