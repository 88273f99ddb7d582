/* SPDX-License-Identifier: MIT */
/* The loose refs of a git repository: the files below refs/heads and refs/tags. */
#ifndef CS_GIT_WALK_H
#define CS_GIT_WALK_H

#include <stdbool.h>

#include <godwit/error.h>

/*
 * @param path   on disk.
 * @param name   "refs/heads", "refs/heads/feature", "refs/heads/feature/x".
 * @param is_dir called before the directory is read.
 */
typedef gw_status (*cs_git_visit)(void *ctx, const char *path, const char *name, bool is_dir,
                                  gw_error *err);

/*
 * Visit refs, refs/heads, refs/tags and what is below the latter two, in no order. What goes away
 * meanwhile is passed over; so are git's lock files.
 *
 * @param common_dir with a '/' at the end.
 * @return GW_OK; what `visit` returned; GW_E_LIMIT past CS_REFS_MAX directories; GW_E_IO.
 */
gw_status cs_git_walk_refs(const char *common_dir, cs_git_visit visit, void *ctx, gw_error *err);

#endif
