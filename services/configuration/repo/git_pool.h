/* SPDX-License-Identifier: MIT */
/*
 * A git repository on disk, opened with libgit2 as often as threads need it at once: libgit2's
 * repository is for one thread at a time. Counted, since trees read from it as long as they live.
 * Nothing is ever written, and none of the user's git configuration is read.
 */
#ifndef CS_GIT_POOL_H
#define CS_GIT_POOL_H

#include <git2.h>
#include <godwit/error.h>

/* Any thread. */
typedef struct cs_git_pool cs_git_pool;

/* One thread at a time. */
typedef struct cs_git_handle cs_git_handle;

/* Opens nothing yet. `path` is a repository or a working tree; `uri` is what errors call it; both
 * are copied. NULL when out of memory. */
cs_git_pool *cs_git_pool_new(const char *path, const char *uri);
cs_git_pool *cs_git_pool_ref(cs_git_pool *pool);
void cs_git_pool_unref(cs_git_pool *pool); /* accepts NULL */

const char *cs_git_pool_uri(const cs_git_pool *pool);

/* @return GW_OK; GW_E_NOT_FOUND when there is no repository; GW_E_IO; GW_E_NOMEM. */
gw_status cs_git_pool_take(cs_git_pool *pool, cs_git_handle **ret_handle, gw_error *err);
/* The same of a repository that was there before: that it is not is GW_E_IO. */
gw_status cs_git_pool_retake(cs_git_pool *pool, cs_git_handle **ret_handle, gw_error *err);

void cs_git_pool_give_back(cs_git_pool *pool, cs_git_handle *handle);

git_repository *cs_git_handle_git(cs_git_handle *handle);

/* What is at the path may be another repository now, or its packs may be gone: open it anew. */
void cs_git_pool_renew(cs_git_pool *pool);

/* The same, if the packs below "<common_dir>objects/" are others than last time. One thread at a
 * time. */
void cs_git_pool_renew_if_packed(cs_git_pool *pool, const char *common_dir);

/* Of cs_git_header() and others beside libgit2's own; a limit for cs_git_fail(). */
#define CS_GIT_TOO_LARGE (-1000)

/*
 * What an object is, from its header: libgit2 inflates it whole when it is looked up, and some MiB
 * of a repository can stand for GiB.
 *
 * @return 0; CS_GIT_TOO_LARGE for a commit, a tag or a directory; libgit2's failures.
 */
int cs_git_header(git_repository *git, const git_oid *id, git_object_t *ret_type);

/* `st`, with "<uri>: <what>: " and what libgit2 says of its last failure on this thread, `code`. */
gw_status cs_git_fail(const cs_git_pool *pool, gw_status st, int code, const char *what,
                      gw_error *err);

#endif
