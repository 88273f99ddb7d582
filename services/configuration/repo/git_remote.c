/* SPDX-License-Identifier: MIT */
/*
 * A git repository on another machine: a bare mirror that the git program fetches into, read like a
 * local one. A program of its own since libgit2 1.5 has no end for a server that hangs, knows no
 * known_hosts, and would keep whole packs in our memory.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <godwit/log.h>

#include "repo/git_access.h"
#include "repo/git_backend.h"
#include "repo/git_failure.h"
#include "repo/git_mirror.h"
#include "repo/git_pool.h"
#include "repo/git_refs.h"
#include "repo/git_run.h"
#include "repo/git_tree.h"

#define TIMEOUT_S_DEFAULT 20u
#define TIMES_LONGER      10u /* what is done seldom may take: the first fetch, tidying up */
#define CLUTTER_PATIENCE                                                                           \
    4u /* how much of it there may be before a fetch that brought news waits                       \
        */

typedef struct git_remote {
    cs_backend base;
    char *url;
    char *uri;
    unsigned timeout_s;
    cs_git_access access;
    cs_git_mirror *mirror;
    int stop_fd;
    atomic_bool is_stopped;
    unsigned clutter_left;       /* by the last git gc, which would leave it again */
    atomic_bool is_suspect;      /* somebody could not read from the mirror */
    _Atomic(cs_git_pool *) pool; /* NULL until the mirror has a path */
    cs_refs *last;               /* of the sync before */
} git_remote;

static git_remote *remote_of(cs_backend *backend)
{
    return (git_remote *)backend;
}

/* ---- git -------------------------------------------------------------------------------- */

/* GW_OK when git ended with status 0. */
static gw_status run_git(git_remote *repo, cs_git_run *run, bool *ret_is_clear, gw_error *err)
{
    cs_git_result *result = malloc(sizeof(*result));
    if (result == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    *ret_is_clear = true;
    run->git_dir = cs_git_mirror_path(repo->mirror);
    run->stop_fd = repo->stop_fd;
    gw_status st = cs_git_run_wait(run, result, err);
    if (st != GW_OK) {
        cs_git_mirror_was_interrupted(repo->mirror);
        gw_error_prefix(err, st, "%s", repo->uri);
    } else if (result->exit_status != 0) {
        cs_git_mirror_was_interrupted(repo->mirror);
        st = cs_git_failure(result, repo->uri, ret_is_clear, err);
    }
    free(result);
    return st;
}

static gw_status fetch(git_remote *repo, bool is_new, bool *ret_is_clear, gw_error *err)
{
    const char *const args[] = {"fetch",
                                is_new ? "--progress" : "--quiet",
                                "--prune",
                                "--force",
                                "--no-tags",
                                "--no-auto-maintenance",
                                "--no-recurse-submodules",
                                "--no-write-fetch-head",
                                "--",
                                repo->url,
                                "+refs/heads/*:refs/heads/*",
                                "+refs/tags/*:refs/tags/*",
                                NULL};
    cs_git_grants grants;
    *ret_is_clear = true;
    gw_status st = cs_git_grants_open(&repo->access, &grants, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "%s", repo->uri);
    }
    cs_git_run run = {.args = args,
                      .access = &repo->access,
                      .grants = &grants,
                      .timeout_s = repo->timeout_s * (is_new ? TIMES_LONGER : 1),
                      .silence_s = repo->timeout_s};
    st = run_git(repo, &run, ret_is_clear, err);
    cs_git_grants_close(&grants);
    return st;
}

/* Whether something is missing that the refs lead to; false when that cannot be found out. */
static bool is_damaged(git_remote *repo)
{
    static const char *const args[] = {"fsck", "--connectivity-only", "--no-dangling",
                                       "--no-progress", NULL};
    cs_git_run run = {.git_dir = cs_git_mirror_path(repo->mirror),
                      .args = args,
                      .timeout_s = repo->timeout_s * TIMES_LONGER,
                      .stop_fd = repo->stop_fd};
    cs_git_result *result = malloc(sizeof(*result));
    bool answer = result != NULL && cs_git_run_wait(&run, result, NULL) == GW_OK &&
                  result->exit_status > 0 && result->exit_status != 127;
    free(result);
    return answer;
}

/* Not on the way of news, unless there is no other time. */
static void tidy(git_remote *repo, bool has_news)
{
    /* A remote that rewrites its history leaves much behind. What nothing leads to any more may
     * still be served, but not for long. */
    static const char *const args[] = {"gc", "--quiet", "--prune=1.day.ago", NULL};
    unsigned clutter = cs_git_mirror_clutter(repo->mirror);
    if (clutter < repo->clutter_left + (has_news ? CLUTTER_PATIENCE : 1)) {
        return;
    }
    cs_git_run run = {.args = args, .timeout_s = repo->timeout_s * TIMES_LONGER};
    gw_error err = GW_ERROR_INIT;
    bool is_clear = false;
    gw_status st = run_git(repo, &run, &is_clear, &err);
    if (st != GW_OK && st != GW_E_CLOSED) {
        gw_log_warn("config", "git gc: %s", err.text);
    }
    repo->clutter_left = cs_git_mirror_clutter(repo->mirror);
}

/* ---- sync --------------------------------------------------------------------------------- */

static gw_status prepare(git_remote *repo, bool *ret_is_new, gw_error *err)
{
    gw_status st = cs_git_mirror_prepare(repo->mirror, ret_is_new, err);
    if (st != GW_OK || repo->pool != NULL) {
        return st;
    }
    cs_git_pool *pool = cs_git_pool_new(cs_git_mirror_path(repo->mirror), repo->uri);
    if (pool == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    repo->pool = pool;
    return GW_OK;
}

static gw_status read_refs(git_remote *repo, cs_refs **ret_refs, gw_error *err)
{
    cs_refs *refs = NULL;
    char dir[4096];
    size_t len = strlen(cs_git_mirror_path(repo->mirror));
    if (len + 2 <= sizeof(dir)) {
        memcpy(mempcpy(dir, cs_git_mirror_path(repo->mirror), len), "/", 2);
        cs_git_pool_renew_if_packed(repo->pool, dir);
    }
    gw_status st = cs_git_read_refs(repo->pool, &refs, err);
    if (st == GW_OK) {
        st = cs_git_check_refs(repo->pool, refs, repo->last, err);
    }
    if (st != GW_OK) {
        cs_refs_unref(refs);
        return st;
    }
    *ret_refs = refs;
    return GW_OK;
}

/* One attempt. `ret_is_damaged` says that another with a new mirror may do better. */
static gw_status update(git_remote *repo, cs_refs **ret_refs, bool *ret_is_damaged, gw_error *err)
{
    bool is_new = false;
    bool is_clear = true;
    *ret_is_damaged = false;
    gw_status st = prepare(repo, &is_new, err);
    if (st != GW_OK) {
        return st;
    }
    if (!is_new && atomic_exchange(&repo->is_suspect, false) && is_damaged(repo)) {
        *ret_is_damaged = true;
        return gw_error_set(err, GW_E_IO, 0, "%s: objects are missing", repo->uri);
    }
    st = fetch(repo, is_new, &is_clear, err);
    if (st != GW_OK) {
        /* Whose fault it is shows when nothing is asked of the other side. */
        *ret_is_damaged = !is_new && !is_clear && is_damaged(repo);
        return st;
    }
    st = read_refs(repo, ret_refs, err);
    /* Or the process is out of descriptors, which is no fault of the mirror's. */
    *ret_is_damaged = st == GW_E_IO && !is_new && is_damaged(repo);
    if (st == GW_OK && is_new) {
        cs_git_mirror_was_filled(repo->mirror);
    }
    return st;
}

static gw_status begin_anew(git_remote *repo, cs_refs **ret_refs, gw_error *err)
{
    bool again = false;
    gw_log_warn("config", "%s: the mirror is damaged and made anew: %s", repo->uri, err->text);
    gw_status st = cs_git_mirror_set_aside(repo->mirror, err);
    if (st != GW_OK) {
        return st;
    }
    cs_git_pool_renew(repo->pool);
    cs_refs_unref(repo->last);
    repo->last = NULL;
    repo->clutter_left = 0;
    return update(repo, ret_refs, &again, err);
}

static gw_status sync_remote(cs_backend *backend, cs_refs **ret_refs, gw_error *err)
{
    git_remote *repo = remote_of(backend);
    gw_error why = GW_ERROR_INIT;
    bool begins_anew = false;
    cs_refs *refs = NULL;
    if (repo->is_stopped) {
        return gw_error_set(err, GW_E_CLOSED, 0, "%s: closed", repo->uri);
    }
    gw_status st = update(repo, &refs, &begins_anew, &why);
    if (st != GW_OK && begins_anew) {
        st = begin_anew(repo, &refs, &why);
    }
    if (st != GW_OK) {
        return gw_error_set(err, st, why.native, "%s", why.text);
    }
    bool has_news = repo->last == NULL || !cs_refs_equal(repo->last, refs);
    cs_refs_unref(repo->last);
    repo->last = cs_refs_ref(refs);
    tidy(repo, has_news);
    *ret_refs = refs;
    return GW_OK;
}

static gw_status recall_remote(cs_backend *backend, cs_refs **ret_refs, gw_error *err)
{
    git_remote *repo = remote_of(backend);
    bool is_new = true;
    gw_status st = prepare(repo, &is_new, err);
    if (st == GW_OK && is_new) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s: nothing has been fetched yet", repo->uri);
    }
    return st == GW_OK ? read_refs(repo, ret_refs, err) : st;
}

/* ---- the rest of a backend ------------------------------------------------------------------ */

static int watch_fd_remote(cs_backend *backend)
{
    (void)backend;
    return -1;
}

static gw_status tree_remote(cs_backend *backend, const cs_commit *commit, const cs_tree *before,
                             cs_tree **ret_tree, gw_error *err)
{
    git_remote *repo = remote_of(backend);
    if (repo->pool == NULL) {
        return gw_error_set(err, GW_E_IO, 0, "%s: nothing has been fetched yet", repo->uri);
    }
    gw_status st = cs_git_read_tree(repo->pool, commit, before, ret_tree, err);
    if (st == GW_E_IO) {
        repo->is_suspect = true;
    }
    return st;
}

static gw_status find_commit_remote(cs_backend *backend, const char *prefix, cs_commit *ret_commit,
                                    gw_error *err)
{
    git_remote *repo = remote_of(backend);
    if (repo->pool == NULL) {
        return gw_error_set(err, GW_E_IO, 0, "%s: nothing has been fetched yet", repo->uri);
    }
    return cs_git_find_commit(repo->pool, prefix, ret_commit, err);
}

static void stop_remote(cs_backend *backend)
{
    git_remote *repo = remote_of(backend);
    uint64_t one = 1;
    repo->is_stopped = true;
    ssize_t n = write(repo->stop_fd, &one, sizeof(one));
    (void)n; /* full: it is readable */
}

static void free_remote(cs_backend *backend)
{
    git_remote *repo = remote_of(backend);
    cs_refs_unref(repo->last);
    cs_git_pool_unref(repo->pool);
    cs_git_mirror_free(repo->mirror);
    cs_git_access_dispose(&repo->access);
    if (repo->stop_fd >= 0) {
        close(repo->stop_fd);
    }
    free(repo->url);
    free(repo->uri);
    free(repo);
}

static const cs_backend_class remote_class = {
    .sync = sync_remote,
    .recall = recall_remote,
    .watch_fd = watch_fd_remote,
    .tree = tree_remote,
    .find_commit = find_commit_remote,
    .stop = stop_remote,
    .free = free_remote,
};

static gw_status set_up(git_remote *repo, const cs_repo_options *options,
                        const cs_git_location *location, gw_error *err)
{
    repo->url = strdup(location->url);
    repo->uri = strdup(location->uri);
    if (repo->url == NULL || repo->uri == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    if (repo->stop_fd < 0) {
        return gw_error_set_errno(err, errno, "%s: an eventfd", repo->uri);
    }
    gw_status st = cs_git_access_init(&repo->access, options, location, err);
    return st == GW_OK
               ? cs_git_mirror_new(options->basedir, options->name, repo->uri, &repo->mirror, err)
               : st;
}

gw_status cs_git_remote_open(const cs_repo_options *options, const cs_git_location *location,
                             cs_backend **ret_backend, gw_error *err)
{
    git_remote *repo = calloc(1, sizeof(*repo));
    if (repo == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    repo->base.class = &remote_class;
    repo->timeout_s = options->timeout_s == 0 ? TIMEOUT_S_DEFAULT : options->timeout_s;
    repo->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gw_status st = set_up(repo, options, location, err);
    if (st != GW_OK) {
        free_remote(&repo->base);
        return st;
    }
    *ret_backend = &repo->base;
    return GW_OK;
}
