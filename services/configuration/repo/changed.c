/* SPDX-License-Identifier: MIT */
#include "repo/changed.h"

#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

#define FIRST_CAP 64u

static void add_path(cs_changed *changed, const char *path)
{
    if (changed->n == changed->cap) {
        size_t cap = changed->cap == 0 ? FIRST_CAP : 2 * changed->cap;
        const char **paths =
            cap > CS_CHANGED_PATHS_MAX ? NULL : realloc(changed->paths, cap * sizeof(paths[0]));
        if (paths == NULL) {
            changed->is_too_many = true;
            return;
        }
        changed->paths = paths;
        changed->cap = cap;
    }
    changed->paths[changed->n++] = path;
}

static bool is_same(const cs_tree_entry *a, const cs_tree_entry *b)
{
    return a->kind == b->kind && memcmp(a->id, b->id, sizeof(a->id)) == 0;
}

void cs_changed_add(cs_changed *changed, const cs_tree *before, const cs_tree *after)
{
    size_t n_before = cs_tree_n_entries(before);
    size_t n_after = cs_tree_n_entries(after);
    size_t i = 0;
    size_t j = 0;
    while (!changed->is_too_many && (i < n_before || j < n_after)) {
        const cs_tree_entry *old = i < n_before ? cs_tree_at(before, i) : NULL;
        const cs_tree_entry *new = j < n_after ? cs_tree_at(after, j) : NULL;
        int order = old == NULL ? 1 : new == NULL ? -1 : strcmp(old->path, new->path);
        if (order != 0 || !is_same(old, new)) {
            add_path(changed, order < 0 ? old->path : new->path);
        }
        i += order <= 0;
        j += order >= 0;
    }
}

void cs_changed_dispose(cs_changed *changed)
{
    free(changed->paths);
    *changed = (cs_changed){.paths = NULL};
}
