/* SPDX-License-Identifier: MIT */
/* The directories of a tree in which the files of a request are looked for. */
#ifndef CS_SEARCH_DIRS_H
#define CS_SEARCH_DIRS_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "repo/tree.h"

#define CS_SEARCH_DIRS_MAX 128

typedef struct cs_search {
    const char *const *paths; /* in which {application}, {profile}, {label}, '*', '?', '**' */
    size_t n_paths;
    const char *application; /* comma lists */
    const char *profiles;
    const char *label;
    bool with_label_dirs; /* also "<label>/" below each, above all of them, as in Spring's native */
} cs_search;

/* GW_E_INVALID when a path of the operator's leads out of the repository, or is too long. */
gw_status cs_search_path_check(const char *path, gw_error *err);

/*
 * The root, then what the paths say, in their order, for each profile and each application; those
 * of one wildcard by name. Each once, where it comes first; only those that are there.
 *
 * @param ret_dirs room for CS_SEARCH_DIRS_MAX; "" or "a/b/", the caller's to free.
 * @return GW_OK; GW_E_LIMIT when there are more, or too many to look through; GW_E_NOMEM: then
 *         nothing is left to free.
 */
gw_status cs_search_dirs(const cs_tree *tree, const cs_search *search, char **ret_dirs,
                         size_t *ret_n_dirs, gw_error *err);

#endif
