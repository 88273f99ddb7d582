/* SPDX-License-Identifier: MIT */
/*
 * Whether the refs of a local git repository may have changed: an inotify descriptor that is
 * readable from the moment on when somebody commits, pushes, packs, or moves the repository away or
 * back.
 */
#ifndef CS_GIT_WATCH_H
#define CS_GIT_WATCH_H

#include <stdbool.h>

#include <godwit/error.h>

/* One thread at a time. */
typedef struct cs_git_watch cs_git_watch;

/* @param path of the repository or the working tree, copied. GW_E_LIMIT when the user has too many
 * inotify instances; GW_E_IO; GW_E_NOMEM. */
gw_status cs_git_watch_new(const char *path, cs_git_watch **ret_watch, gw_error *err);
void cs_git_watch_free(cs_git_watch *watch); /* accepts NULL */

/* The same for the watch's life. */
int cs_git_watch_fd(const cs_git_watch *watch);

/* Something happened since the last cs_git_watch_prepare(). */
bool cs_git_watch_is_ringing(const cs_git_watch *watch);

/*
 * Forget what happened, and watch what is there now: to be called before looking, so that what
 * changes while one looks makes the descriptor readable again.
 *
 * @param common_dir of the repository, with a '/' at the end; NULL while there is none, then its
 *                   coming is waited for.
 * @param ret_moved  set when the repository, or a directory above it, was moved or removed since.
 * @return GW_OK; GW_E_LIMIT when the user may not watch that many directories: then changes in some
 *         are not seen; GW_E_IO; GW_E_NOMEM.
 */
gw_status cs_git_watch_prepare(cs_git_watch *watch, const char *common_dir, bool *ret_moved,
                               gw_error *err);

#endif
