/* SPDX-License-Identifier: MIT */
#include "repo/git_tree.h"

#include <string.h>

#include "files/bounds.h"

typedef struct tree_walk {
    cs_git_pool *pool;
    git_repository *git;
    git_odb *odb;
    cs_tree_builder *builder;
    const cs_tree *before;
    int64_t time_s;
    unsigned n_dirs;
    size_t len; /* of `path` */
    char path[CS_PATH_BYTES_MAX + 2];
} tree_walk;

static gw_status walk_tree(tree_walk *walk, const git_oid *id, gw_error *err);

/* From the object's header: the bytes are not read. */
static gw_status find_size(tree_walk *walk, cs_tree_entry *entry, gw_error *err)
{
    if (walk->before != NULL) {
        const cs_tree_entry *same = cs_tree_find(walk->before, entry->path);
        if (same != NULL && memcmp(same->id, entry->id, sizeof(entry->id)) == 0) {
            entry->size = same->size;
            return GW_OK;
        }
    }
    git_oid id;
    git_object_t type = GIT_OBJECT_INVALID;
    memcpy(id.id, entry->id, sizeof(id.id));
    int code = git_odb_read_header(&entry->size, &type, walk->odb, &id);
    return code == 0 ? GW_OK : cs_git_fail(walk->pool, GW_E_IO, code, entry->path, err);
}

static gw_status add_file(tree_walk *walk, const git_tree_entry *from, gw_error *err)
{
    bool is_link = git_tree_entry_filemode(from) == GIT_FILEMODE_LINK;
    cs_tree_entry entry = {.path = walk->path,
                           .kind = is_link ? CS_ENTRY_LINK : CS_ENTRY_FILE,
                           .modified_s = walk->time_s};
    memcpy(entry.id, git_tree_entry_id(from)->id, sizeof(entry.id));
    gw_status st = find_size(walk, &entry, err);
    if (st != GW_OK) {
        return st;
    }
    st = cs_tree_builder_add(walk->builder, &entry, err);
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "%s", cs_git_pool_uri(walk->pool));
}

/* A submodule is a commit of another repository: there is nothing of it here. */
static gw_status add_entry(tree_walk *walk, const git_tree_entry *entry, gw_error *err)
{
    const char *name = git_tree_entry_name(entry);
    git_object_t type = git_tree_entry_type(entry);
    size_t name_len = strlen(name);
    size_t before = walk->len;
    if (type != GIT_OBJECT_BLOB && type != GIT_OBJECT_TREE) {
        return GW_OK;
    }
    if (before + name_len > CS_PATH_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: a path longer than %u bytes, below '%.64s'",
                            cs_git_pool_uri(walk->pool), CS_PATH_BYTES_MAX, walk->path);
    }
    memcpy(walk->path + before, name, name_len + 1);
    gw_status st = GW_OK;
    if (type == GIT_OBJECT_BLOB) {
        st = add_file(walk, entry, err);
    } else {
        strcpy(walk->path + before + name_len, "/");
        walk->len = before + name_len + 1;
        st = walk_tree(walk, git_tree_entry_id(entry), err);
        walk->len = before;
    }
    walk->path[before] = '\0';
    return st;
}

/* Recurses as deep as a path is long. */
static gw_status walk_tree(tree_walk *walk, const git_oid *id, gw_error *err)
{
    git_tree *tree = NULL;
    gw_status st = GW_OK;
    if (++walk->n_dirs > CS_TREE_ENTRIES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u directories",
                            cs_git_pool_uri(walk->pool), CS_TREE_ENTRIES_MAX);
    }
    git_object_t type = GIT_OBJECT_INVALID;
    int code = cs_git_header(walk->git, id, &type);
    if (code == 0) {
        code = git_tree_lookup(&tree, walk->git, id);
    }
    if (code != 0) {
        return cs_git_fail(walk->pool, GW_E_IO, code, walk->path, err);
    }
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; i < n && st == GW_OK; i++) {
        st = add_entry(walk, git_tree_entry_byindex(tree, i), err);
    }
    git_tree_free(tree);
    return st;
}

/* ---- bytes -------------------------------------------------------------------- */

static gw_status read_blob(git_repository *git, cs_git_pool *pool, const cs_tree_entry *entry,
                           gw_buf *out, gw_error *err)
{
    git_oid id;
    git_odb *odb = NULL;
    git_blob *blob = NULL;
    size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    memcpy(id.id, entry->id, sizeof(id.id));
    /* The size first: a blob is inflated whole when it is looked up. */
    int code = git_repository_odb(&odb, git);
    if (code == 0) {
        code = git_odb_read_header(&size, &type, odb, &id);
    }
    git_odb_free(odb);
    if (code == 0 && size > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: larger than %zu MiB", entry->path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    if (code == 0) {
        code = git_blob_lookup(&blob, git, &id);
    }
    if (code != 0) {
        return cs_git_fail(pool, GW_E_IO, code, entry->path, err);
    }
    gw_buf_add(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "%s: %s", entry->path, gw_status_text(st));
}

static gw_status read_entry(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    cs_git_pool *pool = ctx;
    cs_git_handle *handle = NULL;
    gw_status st = cs_git_pool_retake(pool, &handle, err);
    if (st == GW_OK) {
        st = read_blob(cs_git_handle_git(handle), pool, entry, out, err);
        cs_git_pool_give_back(pool, handle);
    }
    return st;
}

static void free_blobs(void *ctx)
{
    cs_git_pool_unref(ctx);
}

/* ---- the tree ----------------------------------------------------------------- */

static gw_status walk_commit(tree_walk *walk, const git_commit *commit, const char *id,
                             gw_error *err)
{
    walk->time_s = git_commit_time(commit);
    walk->builder = cs_tree_builder_new(cs_git_pool_uri(walk->pool), id, walk->time_s);
    if (walk->builder == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    int code = git_repository_odb(&walk->odb, walk->git);
    if (code != 0) {
        return cs_git_fail(walk->pool, GW_E_IO, code, id, err);
    }
    return walk_tree(walk, git_commit_tree_id(commit), err);
}

static gw_status build(cs_git_pool *pool, git_repository *git, const char *id,
                       const cs_tree *before, cs_tree_builder **ret_builder, gw_error *err)
{
    tree_walk walk = {.pool = pool, .git = git, .before = before};
    git_oid oid;
    git_commit *commit = NULL;
    git_object_t type = GIT_OBJECT_INVALID;
    int code = git_oid_fromstr(&oid, id);
    if (code == 0) {
        code = cs_git_header(git, &oid, &type);
    }
    if (code == 0) {
        code = git_commit_lookup(&commit, git, &oid);
    }
    if (code != 0) {
        return cs_git_fail(pool, GW_E_IO, code, id, err);
    }
    gw_status st = walk_commit(&walk, commit, id, err);
    git_odb_free(walk.odb);
    git_commit_free(commit);
    if (st != GW_OK) {
        cs_tree_builder_free(walk.builder);
        return st;
    }
    *ret_builder = walk.builder;
    return GW_OK;
}

gw_status cs_git_read_tree(cs_git_pool *pool, const cs_commit *commit, const cs_tree *before,
                           cs_tree **ret_tree, gw_error *err)
{
    cs_git_handle *handle = NULL;
    cs_tree_builder *builder = NULL;
    gw_status st = cs_git_pool_retake(pool, &handle, err);
    if (st == GW_OK) {
        st = build(pool, cs_git_handle_git(handle), commit->id, before, &builder, err);
        cs_git_pool_give_back(pool, handle);
    }
    if (st != GW_OK) {
        return st;
    }
    cs_blobs blobs = {.read = read_entry, .free = free_blobs, .ctx = cs_git_pool_ref(pool)};
    return cs_tree_builder_make(builder, &blobs, before, ret_tree, err);
}
