/* SPDX-License-Identifier: MIT */
/*
 * The directory in which the mirror of a remote repository lies: made for its owner alone, locked
 * as long as it is used, repaired after a crash. What it holds can be had again from the remote, so
 * a mirror that is damaged is set aside.
 *
 *     <basedir>/<hash>/repository    bare, with its own configuration
 *                      damaged       the last that was set aside
 */
#ifndef CS_GIT_MIRROR_H
#define CS_GIT_MIRROR_H

#include <stdbool.h>

#include <godwit/error.h>

/* One thread at a time. */
typedef struct cs_git_mirror cs_git_mirror;

/*
 * Touches no disk.
 *
 * @param basedir copied; NULL: a directory below TMPDIR that is removed in the end.
 * @param name    of the repository among the server's; two may have one URI.
 * @param uri     without secrets; what errors call it.
 */
gw_status cs_git_mirror_new(const char *basedir, const char *name, const char *uri,
                            cs_git_mirror **ret_mirror, gw_error *err);
void cs_git_mirror_free(cs_git_mirror *mirror); /* accepts NULL */

/*
 * Have it there and locked, ready to be fetched into. Each time before it is used: somebody may
 * have removed it.
 *
 * @param ret_is_new set when nothing has been fetched into it yet.
 * @return GW_OK; GW_E_UNAVAILABLE while another process uses it; GW_E_DENIED when it may not be
 *         ours alone; GW_E_IO, GW_E_NO_SPACE; GW_E_NOMEM.
 */
gw_status cs_git_mirror_prepare(cs_git_mirror *mirror, bool *ret_is_new, gw_error *err);

/* The bare repository: a path that does not change. NULL before the first prepare of one without a
 * basedir. */
const char *cs_git_mirror_path(const cs_git_mirror *mirror);

/* A git that wrote into it was killed: its lock files and half packs are removed by the next
 * prepare. */
void cs_git_mirror_was_interrupted(cs_git_mirror *mirror);

/* Something was fetched into it. */
void cs_git_mirror_was_filled(cs_git_mirror *mirror);

/* It is damaged: begin anew with the next prepare. */
gw_status cs_git_mirror_set_aside(cs_git_mirror *mirror, gw_error *err);

/* How much there is to tidy up: 0 for nothing, 1 or more for as many times the measure at which it
 * is worth it. */
unsigned cs_git_mirror_clutter(const cs_git_mirror *mirror);

#endif
