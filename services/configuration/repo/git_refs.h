/* SPDX-License-Identifier: MIT */
/* Which commits the labels of a git repository name. */
#ifndef CS_GIT_REFS_H
#define CS_GIT_REFS_H

#include "repo/git_pool.h"
#include "repo/refs.h"

#define CS_COMMIT_PREFIX_MIN 7 /* digits of an id that is a label */

/*
 * All branches and tags. A ref that cannot be read is a failure that names it, and not a label that
 * is missing: clients take "not found" for an answer.
 *
 * @return GW_OK; GW_E_IO, also when the repository is not there any more; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_git_read_refs(cs_git_pool *pool, cs_refs **ret_refs, gw_error *err);

/* Whether the commits that refs name are there, but for those that `before`, which may be NULL,
 * names as well. GW_E_IO with the first that is not. */
gw_status cs_git_check_refs(cs_git_pool *pool, const cs_refs *refs, const cs_refs *before,
                            gw_error *err);

/* See cs_backend_class. Any thread. */
gw_status cs_git_find_commit(cs_git_pool *pool, const char *prefix, cs_commit *ret_commit,
                             gw_error *err);

#endif
