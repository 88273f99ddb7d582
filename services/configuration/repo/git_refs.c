/* SPDX-License-Identifier: MIT */
#include "repo/git_refs.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/bounds.h"
#include "repo/git_walk.h"

#define HEADS "refs/heads/"
#define TAGS  "refs/tags/"

typedef struct loose_ref {
    char *name; /* whole: "refs/heads/main" */
    bool is_read;
} loose_ref;

/* What is being gathered. */
typedef struct ref_reading {
    cs_git_pool *pool;
    git_repository *git;
    loose_ref *loose; /* the files there are */
    size_t n_loose;
    size_t cap_loose;
    cs_ref *items; /* their names are the reading's own */
    size_t n_items;
    size_t cap_items;
} ref_reading;

/* Room for one more of `size` bytes. */
static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return items;
    }
    size_t wanted = *cap == 0 ? 64 : 2 * *cap;
    void *moved = realloc(items, wanted * size);
    if (moved != NULL) {
        *cap = wanted;
    }
    return moved;
}

static gw_status fail_nomem(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

static gw_status note_loose(void *ctx, const char *path, const char *name, bool is_dir,
                            gw_error *err)
{
    ref_reading *read = ctx;
    (void)path;
    if (is_dir) {
        return GW_OK;
    }
    if (read->n_loose >= CS_REFS_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u branches and tags",
                            cs_git_pool_uri(read->pool), CS_REFS_MAX);
    }
    loose_ref *loose = grow(read->loose, read->n_loose, &read->cap_loose, sizeof(*loose));
    char *copy = strdup(name);
    read->loose = loose == NULL ? read->loose : loose;
    if (loose == NULL || copy == NULL) {
        free(copy);
        return fail_nomem(err);
    }
    loose[read->n_loose++] = (loose_ref){.name = copy};
    return GW_OK;
}

/* An annotated tag points to its commit through an object of its own. 0, GIT_ENOTFOUND for what is
 * no commit in the end, or another failure. */
static int peel(git_repository *git, git_oid *id)
{
    for (unsigned n = 0; n <= CS_TAGS_OF_TAGS_MAX; n++) {
        git_object_t type = GIT_OBJECT_INVALID;
        git_tag *tag = NULL;
        int code = cs_git_header(git, id, &type);
        if (code != 0 || type == GIT_OBJECT_COMMIT) {
            return code;
        }
        if (type != GIT_OBJECT_TAG) {
            return GIT_ENOTFOUND;
        }
        code = git_tag_lookup(&tag, git, id);
        if (code != 0) {
            return code;
        }
        *id = *git_tag_target_id(tag);
        git_tag_free(tag);
    }
    return GIT_ENOTFOUND;
}

/* The commit of a ref: 0, GIT_ENOTFOUND for one of something else, or for another name of a branch
 * that is not there, or another failure. */
static int find_target(git_repository *git, const git_reference *ref, bool is_tag, git_oid *ret)
{
    git_reference *direct = NULL;
    int code = git_reference_resolve(&direct, ref);
    if (code != 0) {
        return code;
    }
    const git_oid *peeled = git_reference_target_peel(direct);
    *ret = *(peeled != NULL ? peeled : git_reference_target(direct));
    git_reference_free(direct);
    code = is_tag ? peel(git, ret) : 0;
    return code == CS_GIT_TOO_LARGE ? 0 : code; /* whoever asks for it is told */
}

static gw_status add_item(ref_reading *read, const char *name, bool is_tag, const git_oid *id,
                          gw_error *err)
{
    cs_ref *items = grow(read->items, read->n_items, &read->cap_items, sizeof(*items));
    char *copy = strdup(name);
    read->items = items == NULL ? read->items : items;
    if (items == NULL || copy == NULL) {
        free(copy);
        return fail_nomem(err);
    }
    cs_ref *item = &items[read->n_items++];
    *item = (cs_ref){.name = copy, .kind = is_tag ? CS_REF_TAG : CS_REF_BRANCH};
    git_oid_tostr(item->commit.id, sizeof(item->commit.id), id);
    return GW_OK;
}

static gw_status add_ref(ref_reading *read, const git_reference *ref, gw_error *err)
{
    const char *name = git_reference_name(ref);
    bool is_tag = strncmp(name, TAGS, strlen(TAGS)) == 0;
    if (!is_tag && strncmp(name, HEADS, strlen(HEADS)) != 0) {
        return GW_OK;
    }
    if (read->n_items > CS_REFS_MAX) {
        return GW_OK; /* cs_refs_new() says so */
    }
    git_oid id;
    int code = find_target(read->git, ref, is_tag, &id);
    if (code == GIT_ENOTFOUND) {
        return GW_OK;
    }
    if (code != 0) {
        return cs_git_fail(read->pool, GW_E_IO, code, name, err);
    }
    return add_item(read, name + (is_tag ? strlen(TAGS) : strlen(HEADS)), is_tag, &id, err);
}

static int compare_loose(const void *a, const void *b)
{
    return strcmp(((const loose_ref *)a)->name, ((const loose_ref *)b)->name);
}

static void mark_read(ref_reading *read, const char *name)
{
    loose_ref key = {.name = (char *)(uintptr_t)name};
    if (read->n_loose == 0) {
        return;
    }
    loose_ref *found = bsearch(&key, read->loose, read->n_loose, sizeof(key), compare_loose);
    if (found != NULL) {
        found->is_read = true;
    }
}

/* libgit2 passes over refs that it cannot read. */
static gw_status read_known(ref_reading *read, gw_error *err)
{
    git_reference_iterator *refs = NULL;
    git_reference *ref = NULL;
    gw_status st = GW_OK;
    int code = git_reference_iterator_new(&refs, read->git);
    while (code == 0 && st == GW_OK && (code = git_reference_next(&ref, refs)) == 0) {
        st = add_ref(read, ref, err);
        mark_read(read, git_reference_name(ref));
        git_reference_free(ref);
    }
    git_reference_iterator_free(refs);
    if (st == GW_OK && code != GIT_ITEROVER) {
        st = cs_git_fail(read->pool, GW_E_IO, code, "refs", err);
    }
    return st;
}

/* What was there and was not given: it is gone, has just been packed, or is broken. */
static gw_status read_left(ref_reading *read, const char *name, gw_error *err)
{
    git_reference *ref = NULL;
    int is_valid = 0;
    if (git_reference_name_is_valid(&is_valid, name) != 0 || !is_valid) {
        return GW_OK; /* not git's file */
    }
    int code = git_reference_lookup(&ref, read->git, name);
    if (code == GIT_ENOTFOUND) {
        return GW_OK;
    }
    gw_status st =
        code == 0 ? add_ref(read, ref, err) : cs_git_fail(read->pool, GW_E_IO, code, name, err);
    git_reference_free(ref);
    return st;
}

static gw_status read_all(ref_reading *read, gw_error *err)
{
    const char *common_dir = git_repository_commondir(read->git);
    gw_status st = cs_git_walk_refs(common_dir, note_loose, read, err);
    if (st != GW_OK) {
        return st;
    }
    if (read->n_loose > 0) {
        qsort(read->loose, read->n_loose, sizeof(read->loose[0]), compare_loose);
    }
    st = read_known(read, err);
    for (size_t i = 0; i < read->n_loose && st == GW_OK; i++) {
        st = read->loose[i].is_read ? GW_OK : read_left(read, read->loose[i].name, err);
    }
    return st;
}

/* A directory that went away has no labels either, but that is another failure. */
static bool is_still_there(git_repository *git)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%sobjects", git_repository_commondir(git));
    if (len < 0 || (size_t)len >= sizeof(path) || access(path, R_OK | X_OK) != 0) {
        return false;
    }
    snprintf(path, sizeof(path), "%sHEAD", git_repository_path(git));
    return access(path, R_OK) == 0;
}

static void dispose(ref_reading *read)
{
    for (size_t i = 0; i < read->n_loose; i++) {
        free(read->loose[i].name);
    }
    for (size_t i = 0; i < read->n_items; i++) {
        free((char *)(uintptr_t)read->items[i].name);
    }
    free(read->loose);
    free(read->items);
}

gw_status cs_git_read_refs(cs_git_pool *pool, cs_refs **ret_refs, gw_error *err)
{
    cs_git_handle *handle = NULL;
    gw_status st = cs_git_pool_retake(pool, &handle, err);
    if (st != GW_OK) {
        return st;
    }
    ref_reading read = {.pool = pool, .git = cs_git_handle_git(handle)};
    st = read_all(&read, err);
    if (!is_still_there(read.git)) {
        st = gw_error_set(err, GW_E_IO, 0, "%s: the repository is not there any more",
                          cs_git_pool_uri(pool));
    }
    if (st == GW_OK) {
        st = cs_refs_new(read.items, read.n_items, ret_refs, err);
        if (st != GW_OK) {
            gw_error_prefix(err, st, "%s", cs_git_pool_uri(pool));
        }
    }
    dispose(&read);
    cs_git_pool_give_back(pool, handle);
    return st;
}

static bool is_same(const cs_ref *ref, const cs_refs *before)
{
    const cs_ref *old = before == NULL ? NULL : cs_refs_find(before, ref->name);
    return old != NULL && strcmp(old->commit.id, ref->commit.id) == 0;
}

static int check_commit(git_repository *git, const char *text)
{
    git_oid id, tree_id;
    git_commit *commit = NULL;
    git_object_t type = GIT_OBJECT_INVALID;
    int code = git_oid_fromstr(&id, text);
    if (code == 0) {
        code = cs_git_header(git, &id, &type);
    }
    if (code == 0) {
        code = git_commit_lookup(&commit, git, &id);
    }
    if (code == 0) {
        tree_id = *git_commit_tree_id(commit);
        code = cs_git_header(git, &tree_id, &type);
    }
    git_commit_free(commit);
    return code;
}

gw_status cs_git_check_refs(cs_git_pool *pool, const cs_refs *refs, const cs_refs *before,
                            gw_error *err)
{
    cs_git_handle *handle = NULL;
    gw_status st = cs_git_pool_retake(pool, &handle, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n = cs_refs_count(refs);
    for (size_t i = 0; i < n && st == GW_OK; i++) {
        const cs_ref *ref = cs_refs_at(refs, i);
        int code =
            is_same(ref, before) ? 0 : check_commit(cs_git_handle_git(handle), ref->commit.id);
        if (code != 0 && code != CS_GIT_TOO_LARGE) { /* of that whoever asks is told */
            st = cs_git_fail(pool, GW_E_IO, code, ref->name, err);
        }
    }
    cs_git_pool_give_back(pool, handle);
    return st;
}

static int find_prefix(git_repository *git, const char *prefix, git_oid *ret)
{
    size_t len = strlen(prefix);
    if (len < CS_COMMIT_PREFIX_MIN || len > CS_COMMIT_LEN ||
        strspn(prefix, "0123456789abcdefABCDEF") != len) {
        return GIT_ENOTFOUND;
    }
    git_oid id;
    git_odb *odb = NULL;
    int code = git_oid_fromstrn(&id, prefix, len);
    if (code == 0) {
        code = git_repository_odb(&odb, git);
    }
    if (code == 0) {
        code = git_odb_exists_prefix(ret, odb, &id, len);
    }
    if (code == 0) {
        code = peel(git, ret);
    }
    git_odb_free(odb);
    return code == GIT_EAMBIGUOUS ? GIT_ENOTFOUND : code;
}

gw_status cs_git_find_commit(cs_git_pool *pool, const char *prefix, cs_commit *ret_commit,
                             gw_error *err)
{
    cs_git_handle *handle = NULL;
    gw_status st = cs_git_pool_retake(pool, &handle, err);
    if (st != GW_OK) {
        return st;
    }
    git_oid id;
    git_repository *git = cs_git_handle_git(handle);
    int code = find_prefix(git, prefix, &id);
    if (code == 0) {
        git_oid_tostr(ret_commit->id, sizeof(ret_commit->id), &id);
    } else if (code == GIT_ENOTFOUND && !is_still_there(git)) {
        st = gw_error_set(err, GW_E_IO, 0, "%s: the repository is not there any more",
                          cs_git_pool_uri(pool));
    } else if (code == GIT_ENOTFOUND) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "no branch, tag or commit '%s' in %s", prefix,
                          cs_git_pool_uri(pool));
    } else {
        st = cs_git_fail(pool, GW_E_IO, code, prefix, err);
    }
    cs_git_pool_give_back(pool, handle);
    return st;
}
