/* SPDX-License-Identifier: MIT */
/*
 * A local git repository, bare or with a working tree, read as objects: commits, trees and blobs.
 * Never a checkout, never a write, no hook, none of the user's git configuration. What is not
 * committed is not seen.
 */
#ifndef CS_REPOSITORY_H
#define CS_REPOSITORY_H

#include <godwit/buf.h>
#include <godwit/error.h>

#include "repo/tree.h"

/* Shareable between threads. */
typedef struct cs_repository cs_repository;

/* The files of one commit; immutable; one thread at a time. */
typedef struct cs_snapshot cs_snapshot;

/*
 * @param location a path, or a file: URI; other schemes are GW_E_UNSUPPORTED.
 * @return GW_OK; GW_E_NOT_FOUND when there is no repository; GW_E_IO.
 */
gw_status cs_repository_open(const char *location, cs_repository **ret_repo, gw_error *err);

/* After the last request. Accepts NULL. */
void cs_repository_free(cs_repository *repo);

/* As sources are named: the location's own spelling if it was a file: URI, "file:///..." for a
 * path. */
const char *cs_repository_uri(const cs_repository *repo);

/*
 * The commit that a label names at this moment: a branch, else a tag, else a commit's id of at
 * least 7 digits. "main" and "master" stand in for each other when only one exists.
 *
 * @param label checked by cs_request_init(), or by the operator.
 * @return GW_OK; GW_E_NOT_FOUND for an unknown label; GW_E_IO when the repository cannot be read.
 */
gw_status cs_repository_resolve(cs_repository *repo, const char *label, cs_commit *ret_commit,
                                gw_error *err);

/* GW_OK; GW_E_IO when the commit cannot be read. */
gw_status cs_snapshot_open(cs_repository *repo, const cs_commit *commit, cs_snapshot **ret_snapshot,
                           gw_error *err);
void cs_snapshot_close(cs_snapshot *snapshot);

/*
 * Append a file's bytes; the form of cs_reader's `read`, with the snapshot as `ctx`.
 *
 * @return GW_OK; GW_E_NOT_FOUND; GW_E_DENIED for a symbolic link, which is never followed;
 *         GW_E_LIMIT for a file larger than CS_FILE_BYTES_MAX; GW_E_IO.
 */
gw_status cs_snapshot_read(void *snapshot, const char *path, gw_buf *out, gw_error *err);

#endif
