/* SPDX-License-Identifier: MIT */
/*
 * The files of a repository at one moment: a commit, or a directory as it was read. Immutable and
 * counted; any thread. What a file comes to is kept with it, and goes on to the next tree as long
 * as the file's bytes are the same, so that a push costs the parsing of what it changed.
 */
#ifndef CS_TREE_H
#define CS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/buf.h>
#include <godwit/error.h>

#include "files/document.h"

typedef struct cs_tree cs_tree;

#define CS_CONTENT_ID_BYTES 20 /* of a git blob; a directory's files have a hash as long */
#define CS_COMMIT_LEN       40 /* characters of a commit's id, without the NUL */

typedef struct cs_commit {
    char id[CS_COMMIT_LEN + 1];
} cs_commit;

typedef enum cs_entry_kind {
    CS_ENTRY_FILE,
    CS_ENTRY_LINK /* a symbolic link: never followed */
} cs_entry_kind;

/* A file; directories are only part of paths. Borrowed from its tree. */
typedef struct cs_tree_entry {
    const char *path; /* relative, with '/', without "." and ".." */
    cs_entry_kind kind;
    size_t size;
    unsigned char id[CS_CONTENT_ID_BYTES]; /* same id, same bytes */
    int64_t modified_s;                    /* Unix time; of the commit in git */
} cs_tree_entry;

cs_tree *cs_tree_ref(cs_tree *tree);
void cs_tree_unref(cs_tree *tree); /* accepts NULL */

/* "" for a directory, which has none. */
const char *cs_tree_version(const cs_tree *tree);

/* As sources are named: "<uri>/<path>". Without a user and a password. */
const char *cs_tree_uri(const cs_tree *tree);

/* Unix time of the commit; for a directory, of its newest file. */
int64_t cs_tree_time_s(const cs_tree *tree);

/* Sorted by path, as strcmp() does. */
size_t cs_tree_n_entries(const cs_tree *tree);
const cs_tree_entry *cs_tree_at(const cs_tree *tree, size_t i);

/* NULL if there is none. A binary search, no I/O. */
const cs_tree_entry *cs_tree_find(const cs_tree *tree, const char *path);

/* The first entry that is not before `path`; n_entries if there is none. */
size_t cs_tree_lower_bound(const cs_tree *tree, const char *path);

/* Whether a directory has files; "" is the root, otherwise "a/b" without a '/' at the end. */
bool cs_tree_has_dir(const cs_tree *tree, const char *dir);

/*
 * Append a file's bytes.
 *
 * @return GW_OK; GW_E_DENIED for a symbolic link; GW_E_LIMIT for a file larger than
 *         CS_FILE_BYTES_MAX; GW_E_IO. The text begins with the path.
 */
gw_status cs_tree_read(const cs_tree *tree, const cs_tree_entry *entry, gw_buf *out, gw_error *err);

/*
 * What a configuration file comes to; parsed once, whoever asks first. Faults of the file are kept
 * like results. Past CS_PARSED_BYTES_MAX for the process a result is not kept, but made anew for
 * whoever asks; so each is given back.
 *
 * @param ret_file borrowed from the tree, until cs_tree_release().
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT, GW_E_DENIED, GW_E_UNSUPPORTED when the file is at fault,
 *         with "<path>:<line>: "; GW_E_IO; GW_E_NOMEM.
 */
gw_status cs_tree_parse(const cs_tree *tree, const cs_tree_entry *entry, const cs_file **ret_file,
                        gw_error *err);

/* Once for each file of cs_tree_parse(), which must not be used any more; any thread. Accepts NULL.
 * Nothing happens to what the tree keeps. */
void cs_tree_release(const cs_file *file);

/* ---- making one ------------------------------------------------------------- */

/* Where a tree's bytes are. Any thread. */
typedef struct cs_blobs {
    gw_status (*read)(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err);
    void (*free)(void *ctx); /* with the tree; may be NULL */
    void *ctx;
} cs_blobs;

typedef struct cs_tree_builder cs_tree_builder;

/* NULL when out of memory. `version` and `uri` are copied. */
cs_tree_builder *cs_tree_builder_new(const char *uri, const char *version, int64_t time_s);
void cs_tree_builder_free(cs_tree_builder *builder); /* without having made a tree; accepts NULL */

/* Add a file, copied, in any order. GW_E_INVALID for a path that is none, such as "../a";
 * GW_E_LIMIT past CS_TREE_ENTRIES_MAX, CS_PATH_BYTES_MAX or CS_TREE_PATHS_MAX; GW_E_NOMEM. */
gw_status cs_tree_builder_add(cs_tree_builder *builder, const cs_tree_entry *entry, gw_error *err);

/*
 * The tree, with one reference. The builder is gone in any case, and `blobs` is the tree's.
 *
 * @param before a tree whose parsed files are taken over where the bytes are the same; may be NULL.
 * @return GW_OK; GW_E_INVALID when a path was added twice; GW_E_NOMEM.
 */
gw_status cs_tree_builder_make(cs_tree_builder *builder, const cs_blobs *blobs,
                               const cs_tree *before, cs_tree **ret_tree, gw_error *err);

#endif
