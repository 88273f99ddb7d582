/* SPDX-License-Identifier: MIT */
/* A git repository on this machine, read where it lies and never written. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "repo/git_backend.h"
#include "repo/git_pool.h"
#include "repo/git_refs.h"
#include "repo/git_tree.h"
#include "repo/git_watch.h"

/* How often refs are read again because they changed meanwhile; the next sync sees the rest. */
#define LOOKS_MAX 5

typedef struct git_local {
    cs_backend base;
    cs_git_pool *pool;
    cs_git_watch *watch;
    char *common_dir; /* NULL while there is no repository */
    bool has_warned;
    atomic_bool is_stopped;
} git_local;

static git_local *local_of(cs_backend *backend)
{
    return (git_local *)backend;
}

/* Where the refs are: a linked working tree shares those of its repository. */
static gw_status find_common_dir(git_local *repo, gw_error *err)
{
    cs_git_handle *handle = NULL;
    free(repo->common_dir);
    repo->common_dir = NULL;
    gw_status st = cs_git_pool_retake(repo->pool, &handle, err);
    if (st != GW_OK) {
        return st;
    }
    repo->common_dir = strdup(git_repository_commondir(cs_git_handle_git(handle)));
    cs_git_pool_give_back(repo->pool, handle);
    return repo->common_dir != NULL ? GW_OK : gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

/* A limit of the user's is no reason to serve nothing. */
static gw_status prepare(git_local *repo, bool *ret_moved, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = cs_git_watch_prepare(repo->watch, repo->common_dir, ret_moved, &why);
    if (st == GW_OK) {
        return GW_OK;
    }
    if (st != GW_E_LIMIT) {
        return gw_error_set(err, st, why.native, "%s: %s", cs_git_pool_uri(repo->pool), why.text);
    }
    if (!repo->has_warned) {
        repo->has_warned = true;
        gw_log_warn("config", "%s: changes are seen late: %s", cs_git_pool_uri(repo->pool),
                    why.text);
    }
    return GW_OK;
}

static gw_status look(git_local *repo, cs_refs **ret_refs, gw_error *err)
{
    bool is_moved = false;
    gw_status st = prepare(repo, &is_moved, err);
    if (st == GW_OK && (is_moved || repo->common_dir == NULL)) {
        cs_git_pool_renew(repo->pool);
        st = find_common_dir(repo, err);
        gw_status watched = prepare(repo, &is_moved, st == GW_OK ? err : NULL);
        st = st == GW_OK ? watched : st;
    }
    if (st != GW_OK) {
        return st;
    }
    cs_git_pool_renew_if_packed(repo->pool, repo->common_dir);
    return cs_git_read_refs(repo->pool, ret_refs, err);
}

static gw_status sync_local(cs_backend *backend, cs_refs **ret_refs, gw_error *err)
{
    git_local *repo = local_of(backend);
    gw_status st = GW_OK;
    for (int i = 0; i < LOOKS_MAX; i++) {
        cs_refs *refs = NULL;
        if (repo->is_stopped) {
            return gw_error_set(err, GW_E_CLOSED, 0, "%s: closed", cs_git_pool_uri(repo->pool));
        }
        st = look(repo, &refs, err);
        if (!cs_git_watch_is_ringing(repo->watch) || i + 1 == LOOKS_MAX) {
            *ret_refs = st == GW_OK ? refs : *ret_refs;
            break;
        }
        cs_refs_unref(refs);
    }
    return st;
}

static int watch_fd_local(cs_backend *backend)
{
    return cs_git_watch_fd(local_of(backend)->watch);
}

static gw_status tree_local(cs_backend *backend, const cs_commit *commit, const cs_tree *before,
                            cs_tree **ret_tree, gw_error *err)
{
    return cs_git_read_tree(local_of(backend)->pool, commit, before, ret_tree, err);
}

static gw_status find_commit_local(cs_backend *backend, const char *prefix, cs_commit *ret_commit,
                                   gw_error *err)
{
    return cs_git_find_commit(local_of(backend)->pool, prefix, ret_commit, err);
}

static void stop_local(cs_backend *backend)
{
    local_of(backend)->is_stopped = true;
}

static void free_local(cs_backend *backend)
{
    git_local *repo = local_of(backend);
    cs_git_watch_free(repo->watch);
    cs_git_pool_unref(repo->pool);
    free(repo->common_dir);
    free(repo);
}

static const cs_backend_class local_class = {
    .sync = sync_local,
    .watch_fd = watch_fd_local,
    .tree = tree_local,
    .find_commit = find_commit_local,
    .stop = stop_local,
    .free = free_local,
};

gw_status cs_git_local_open(const cs_git_location *location, cs_backend **ret_backend,
                            gw_error *err)
{
    git_local *repo = calloc(1, sizeof(*repo));
    cs_git_pool *pool = cs_git_pool_new(location->path, location->uri);
    if (repo == NULL || pool == NULL) {
        free(repo);
        cs_git_pool_unref(pool);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    repo->base.class = &local_class;
    repo->pool = pool;
    cs_git_handle *handle = NULL;
    gw_status st = cs_git_pool_take(pool, &handle, err);
    cs_git_pool_give_back(pool, handle);
    if (st == GW_OK) {
        st = cs_git_watch_new(location->path, &repo->watch, err);
        if (st != GW_OK) {
            gw_error_prefix(err, st, "%s", location->uri);
        }
    }
    if (st != GW_OK) {
        free_local(&repo->base);
        return st;
    }
    *ret_backend = &repo->base;
    return GW_OK;
}
