/* SPDX-License-Identifier: MIT */
/* Which files differ between two trees of a repository. */
#ifndef CS_CHANGED_H
#define CS_CHANGED_H

#include <stdbool.h>
#include <stddef.h>

#include "repo/tree.h"

/* Paths, borrowed from the trees. Zeroed: none. One thread. */
typedef struct cs_changed {
    const char **paths;
    size_t n;
    size_t cap;       /* private */
    bool is_too_many; /* there are more than CS_CHANGED_PATHS_MAX, or memory ran out */
} cs_changed;

/* Add what was added, removed or modified. A path may be there twice when several trees are. */
void cs_changed_add(cs_changed *changed, const cs_tree *before, const cs_tree *after);

void cs_changed_dispose(cs_changed *changed);

#endif
