/* SPDX-License-Identifier: MIT */
/* The files of a commit: what cs_backend_class's tree() says. */
#ifndef CS_GIT_TREE_H
#define CS_GIT_TREE_H

#include "repo/git_pool.h"
#include "repo/tree.h"

/*
 * @param before sizes are taken from it where the bytes are the same; may be NULL.
 * @return GW_OK; GW_E_IO when the commit cannot be read; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_git_read_tree(cs_git_pool *pool, const cs_commit *commit, const cs_tree *before,
                           cs_tree **ret_tree, gw_error *err);

#endif
