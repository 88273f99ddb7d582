/* SPDX-License-Identifier: MIT */
#include "configserver/scripted_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct scripted {
    cs_backend base;
    script *script;
} scripted;

/* A tree's bytes. */
typedef struct scripted_blobs {
    script *script;
    size_t commit;
} scripted_blobs;

static script *all_scripts;

static script *script_of(cs_backend *backend)
{
    return ((scripted *)backend)->script;
}

void script_init(script *s, const char *uri, bool is_local)
{
    memset(s, 0, sizeof(*s));
    snprintf(s->uri, sizeof(s->uri), "%s", uri);
    s->is_local = is_local;
    s->watch_fd = is_local ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->next = all_scripts;
    all_scripts = s;
}

void script_dispose_all(void)
{
    script *s = all_scripts;
    all_scripts = NULL; /* also when something is wrong with them */
    for (; s != NULL; s = s->next) {
        assert_int_equal(s->n_opened, s->n_freed);
        assert_int_equal(s->n_alive, 0);
        if (s->watch_fd >= 0) {
            close(s->watch_fd);
        }
        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
    }
}

/* ---- what the test does ---------------------------------------------------------------- */

static void ring(script *s)
{
    uint64_t one = 1;
    if (s->watch_fd >= 0) {
        assert_int_equal(write(s->watch_fd, &one, sizeof(one)), sizeof(one));
    }
}

static void take_head(script *s, const char *label)
{
    for (size_t i = 0; i < s->n_commits; i++) {
        s->commits[i].is_head = s->commits[i].is_head && strcmp(s->commits[i].label, label) != 0;
    }
}

const char *script_push(script *s, const char *label, const script_file *files, size_t n_files)
{
    pthread_mutex_lock(&s->lock);
    assert_in_range(s->n_commits, 0, SCRIPT_COMMITS_MAX - 1);
    take_head(s, label);
    script_commit *commit = &s->commits[s->n_commits];
    snprintf(commit->id, sizeof(commit->id), "%08zx%032x", 0xabc00000 + s->n_commits, 7u);
    snprintf(commit->label, sizeof(commit->label), "%s", label);
    commit->is_head = true;
    commit->n_files = n_files;
    for (size_t i = 0; i < n_files; i++) {
        snprintf(commit->paths[i], sizeof(commit->paths[i]), "%s", files[i].path);
        snprintf(commit->texts[i], sizeof(commit->texts[i]), "%s", files[i].text);
    }
    s->n_commits++;
    pthread_mutex_unlock(&s->lock);
    ring(s);
    return commit->id;
}

const char *script_push_text(script *s, const char *label, const char *text)
{
    script_file file = {"a.yml", text};
    return script_push(s, label, &file, 1);
}

void script_delete(script *s, const char *label)
{
    pthread_mutex_lock(&s->lock);
    take_head(s, label);
    pthread_mutex_unlock(&s->lock);
    ring(s);
}

void script_fail(script *s, gw_status st, const char *why)
{
    pthread_mutex_lock(&s->lock);
    s->fail = st;
    snprintf(s->why, sizeof(s->why), "%s", why);
    pthread_mutex_unlock(&s->lock);
}

void script_break_trees(script *s, bool is_broken)
{
    pthread_mutex_lock(&s->lock);
    s->is_tree_broken = is_broken;
    pthread_mutex_unlock(&s->lock);
}

void script_break_label(script *s, const char *label)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->broken_label, sizeof(s->broken_label), "%s", label);
    pthread_mutex_unlock(&s->lock);
}

void script_hang(script *s, bool is_hung)
{
    pthread_mutex_lock(&s->lock);
    s->is_hung = is_hung;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void script_wait_for_syncs(script *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    while (s->n_syncs < n) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static unsigned get(script *s, const unsigned *number)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = *number;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned script_n_alive(script *s)
{
    return get(s, &s->n_alive);
}

unsigned script_n_trees(script *s)
{
    return get(s, &s->n_trees);
}

/* ---- what the estate does ----------------------------------------------------------------- */

static gw_status sync_locked(script *s, cs_refs **ret_refs, gw_error *err)
{
    while (s->is_hung && !s->is_stopped) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    if (s->is_stopped) {
        return gw_error_set(err, GW_E_CLOSED, 0, "stopped");
    }
    if (s->fail != GW_OK) {
        return gw_error_set(err, s->fail, 0, "%s", s->why);
    }
    cs_ref refs[SCRIPT_COMMITS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->n_commits; i++) {
        if (s->commits[i].is_head) {
            refs[n] = (cs_ref){.name = s->commits[i].label, .kind = CS_REF_BRANCH};
            strcpy(refs[n++].commit.id, s->commits[i].id);
        }
    }
    return cs_refs_new(refs, n, ret_refs, err);
}

static gw_status sync_it(cs_backend *backend, cs_refs **ret_refs, gw_error *err)
{
    script *s = script_of(backend);
    uint64_t n = 0;
    if (s->watch_fd >= 0) {
        ssize_t got = read(s->watch_fd, &n, sizeof(n));
        (void)got;
    }
    pthread_mutex_lock(&s->lock);
    s->n_syncs++;
    pthread_cond_broadcast(&s->changed);
    gw_status st = sync_locked(s, ret_refs, err);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int watch_fd(cs_backend *backend)
{
    return script_of(backend)->watch_fd;
}

static gw_status read_blob(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    scripted_blobs *blobs = ctx;
    script *s = blobs->script;
    gw_status st = gw_error_set(err, GW_E_IO, 0, "%s: not in the script", entry->path);
    pthread_mutex_lock(&s->lock);
    const script_commit *commit = &s->commits[blobs->commit];
    s->n_reads++;
    for (size_t i = 0; i < commit->n_files; i++) {
        if (strcmp(commit->paths[i], entry->path) == 0) {
            gw_buf_add_str(out, commit->texts[i]);
            st = gw_buf_status(out);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void free_blobs(void *ctx)
{
    scripted_blobs *blobs = ctx;
    pthread_mutex_lock(&blobs->script->lock);
    blobs->script->n_alive--;
    pthread_cond_broadcast(&blobs->script->changed);
    pthread_mutex_unlock(&blobs->script->lock);
    free(blobs);
}

static gw_status make_tree_locked(script *s, size_t which, const cs_tree *before,
                                  cs_tree **ret_tree, gw_error *err)
{
    const script_commit *commit = &s->commits[which];
    scripted_blobs *blobs = malloc(sizeof(*blobs));
    assert_non_null(blobs);
    *blobs = (scripted_blobs){s, which};
    cs_tree_builder *builder = cs_tree_builder_new(s->uri, commit->id, 1795000000);
    for (size_t i = 0; i < commit->n_files; i++) {
        cs_tree_entry entry = {.path = commit->paths[i], .size = strlen(commit->texts[i])};
        snprintf((char *)entry.id, sizeof(entry.id), "%.19s", commit->texts[i]);
        assert_int_equal(cs_tree_builder_add(builder, &entry, err), GW_OK);
    }
    s->n_trees++;
    s->n_alive++;
    cs_blobs all = {read_blob, free_blobs, blobs};
    return cs_tree_builder_make(builder, &all, before, ret_tree, err);
}

static gw_status tree(cs_backend *backend, const cs_commit *commit, const cs_tree *before,
                      cs_tree **ret_tree, gw_error *err)
{
    script *s = script_of(backend);
    gw_status st = GW_E_IO;
    pthread_mutex_lock(&s->lock);
    if (s->is_tree_broken) {
        st = gw_error_set(err, GW_E_IO, 0, "an object is missing");
    }
    for (size_t i = 0; !s->is_tree_broken && i < s->n_commits; i++) {
        if (strcmp(s->commits[i].id, commit->id) != 0) {
            continue;
        }
        if (strcmp(s->commits[i].label, s->broken_label) == 0) {
            st = gw_error_set(err, GW_E_LIMIT, 0, "too many files");
        } else {
            st = make_tree_locked(s, i, before, ret_tree, err);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static gw_status find_commit(cs_backend *backend, const char *prefix, cs_commit *ret_commit,
                             gw_error *err)
{
    script *s = script_of(backend);
    size_t n_found = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_commits; i++) {
        if (strncmp(s->commits[i].id, prefix, strlen(prefix)) == 0) {
            strcpy(ret_commit->id, s->commits[i].id);
            n_found++;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return n_found == 1 ? GW_OK : gw_error_set(err, GW_E_NOT_FOUND, 0, "no commit '%s'", prefix);
}

static void stop(cs_backend *backend)
{
    script *s = script_of(backend);
    pthread_mutex_lock(&s->lock);
    s->is_stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void free_backend(cs_backend *backend)
{
    script *s = script_of(backend);
    pthread_mutex_lock(&s->lock);
    s->n_freed++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    free(backend);
}

gw_status script_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err)
{
    static const cs_backend_class class = {
        .sync = sync_it,
        .watch_fd = watch_fd,
        .tree = tree,
        .find_commit = find_commit,
        .stop = stop,
        .free = free_backend,
    };
    script *s = all_scripts;
    while (s != NULL && strcmp(s->uri, options->uri) != 0) {
        s = s->next;
    }
    if (s == NULL) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s: no repository", options->uri);
    }
    scripted *backend = calloc(1, sizeof(*backend));
    assert_non_null(backend);
    backend->base.class = &class;
    backend->script = s;
    pthread_mutex_lock(&s->lock);
    s->n_opened++;
    s->is_stopped = false;
    pthread_mutex_unlock(&s->lock);
    *ret_backend = &backend->base;
    return GW_OK;
}
