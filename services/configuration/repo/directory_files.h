/* SPDX-License-Identifier: MIT */
/*
 * The files of a directory, read into memory at one go. Nothing outside of it is ever read: every
 * step goes from an open directory to a name in it and follows no symbolic link, but for those of a
 * mounted Kubernetes ConfigMap or Secret ("file -> ..data/file" beside "..data -> ..timestamp"),
 * which are taken apart by hand.
 */
#ifndef CS_DIRECTORY_FILES_H
#define CS_DIRECTORY_FILES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "repo/tree.h"

#define CS_DIRECTORY_DEPTH_MAX 32

/* Counted and, once read, immutable. */
typedef struct cs_directory_files cs_directory_files;

/* What the reader tells while it reads. */
typedef struct cs_directory_visitor {
    /* An open directory, before it is listed. */
    void (*on_dir)(void *ctx, int fd);
    void *ctx;
    const atomic_bool *is_stopping;
} cs_directory_visitor;

/*
 * @param root an open directory; borrowed.
 * @return GW_OK; GW_E_LIMIT past CS_DIRECTORY_BYTES_MAX, CS_TREE_ENTRIES_MAX or the depth;
 * GW_E_BUSY when a file keeps changing; GW_E_CLOSED when it shall stop; GW_E_IO; GW_E_NOMEM.
 */
gw_status cs_directory_files_read(int root, const cs_directory_visitor *visitor,
                                  cs_directory_files **ret_files, gw_error *err);

cs_directory_files *cs_directory_files_ref(cs_directory_files *files);
void cs_directory_files_unref(cs_directory_files *files); /* accepts NULL */

/* A hash of all of it. */
void cs_directory_files_commit(const cs_directory_files *files, cs_commit *ret_commit);

/* Their tree, which keeps them. */
gw_status cs_directory_files_tree(cs_directory_files *files, const char *uri, const cs_tree *before,
                                  cs_tree **ret_tree, gw_error *err);

#endif
