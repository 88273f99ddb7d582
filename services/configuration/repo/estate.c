/* SPDX-License-Identifier: MIT */
#include "repo/estate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "repo/estate_inside.h"
#include "repo/repo_options.h"
#include "repo/repo_uri.h"

#define FIRST_SYNC_MS 10000u /* how long a local repository may take before the server starts */

/* ---- what keepers tell ------------------------------------------------------------------ */

static bool is_kept_locked(const cs_estate *estate, const cs_keeper *keeper)
{
    for (size_t i = 0; i < estate->n_keepers; i++) {
        if (estate->keepers[i] == keeper) {
            return true;
        }
    }
    return false;
}

/* What clients make up is in no view: a new one would cost all others their memo. */
static bool is_invented(const cs_moment *moment)
{
    return moment->keeper->is_expanded && moment->refs == NULL;
}

static gw_status on_moment(void *arg, cs_moment *moment, gw_error *err)
{
    cs_estate *estate = arg;
    cs_keeper *keeper = moment->keeper;
    gw_status st = GW_OK;
    pthread_mutex_lock(&estate->lock);
    bool is_kept = is_kept_locked(estate, keeper);
    if (is_invented(moment)) {
        gw_error_set(&keeper->failed, moment->st, 0, "%s", moment->reason);
    } else if (is_kept) {
        keeper->failed.status = GW_OK;
        st = cs_view_change_locked(estate, moment, NULL, err);
    }
    pthread_mutex_unlock(&estate->lock);
    if (is_kept && st == GW_OK && estate->on_change != NULL) {
        estate->on_change(estate->ctx);
    }
    return st;
}

static void on_files(void *arg, const cs_changed *changed)
{
    cs_estate *estate = arg;
    if (estate->on_files != NULL) {
        estate->on_files(estate->ctx, changed);
    }
}

static void on_idle(void *arg)
{
    cs_view_free_retired(arg);
}

/* ---- opening ------------------------------------------------------------------------------ */

static gw_status check_repo(const cs_repo_options *repo, gw_error *err)
{
    const char *name = repo->name == NULL ? "default" : repo->name;
    gw_status st = GW_OK;
    if (repo->uri == NULL || repo->uri[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "repository %s: no URI", name);
    }
    if (repo->n_search_paths > CS_SEARCH_PATHS_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "repository %s: more than %u search paths", name,
                            CS_SEARCH_PATHS_MAX);
    }
    if (repo->default_label != NULL &&
        (repo->default_label[0] == '\0' || strlen(repo->default_label) > CS_NAME_BYTES_MAX)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "repository %s: the default label must have 1 to %u bytes", name,
                            CS_NAME_BYTES_MAX);
    }
    for (size_t i = 0; st == GW_OK && i < repo->n_search_paths; i++) {
        st = cs_search_path_check(repo->search_paths[i], err);
    }
    if (st == GW_OK) {
        st = cs_repo_uri_check(repo->uri, err);
    }
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "repository %s", name);
}

static gw_status check(const cs_estate_options *options, gw_error *err)
{
    size_t n_without = 0;
    if (options->n_repos == 0 || options->n_repos > CS_REPOS_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "%zu repositories; 1 to %u are possible",
                            options->n_repos, CS_REPOS_MAX);
    }
    for (size_t i = 0; i < options->n_repos; i++) {
        gw_status st = check_repo(&options->repos[i], err);
        if (st != GW_OK) {
            return st;
        }
        n_without += options->repos[i].n_patterns == 0;
    }
    if (n_without != 1) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "%zu repositories without a pattern; there must be one, for what no "
                            "pattern is for",
                            n_without);
    }
    return GW_OK;
}

static gw_status open_site(cs_estate *estate, const cs_repo_options *repo, size_t index,
                           gw_error *err)
{
    cs_site *site = &estate->sites[index];
    site->options = cs_repo_options_copy(repo, NULL, NULL);
    if (site->options == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    site->is_template = cs_repo_uri_is_template(repo->uri);
    estate->n_sites = index + 1;
    if (site->is_template) {
        return GW_OK;
    }
    cs_backend *backend = NULL;
    gw_status st = estate->events.open(site->options, &backend, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "repository %s", site->options->name);
    }
    st = cs_keeper_new(site->options, NULL, NULL, index, &estate->events, backend, &site->keeper,
                       err);
    if (st != GW_OK) {
        backend->class->free(backend);
        return st;
    }
    estate->keepers[estate->n_keepers++] = site->keeper;
    return GW_OK;
}

/* Local repositories are there before the first request. One that hangs is waited for once only. */
static void wait_for_local(cs_estate *estate)
{
    uint64_t deadline_ms = gw_clock_ms() + FIRST_SYNC_MS;
    for (size_t i = 0; i < estate->n_sites; i++) {
        cs_keeper *keeper = estate->sites[i].keeper;
        if (keeper != NULL && keeper->watch_fd >= 0) {
            cs_keeper_wait(keeper, 1, deadline_ms);
        }
    }
}

static cs_estate *estate_new(const cs_estate_options *options)
{
    cs_estate *estate = calloc(1, sizeof(*estate));
    if (estate != NULL) {
        pthread_mutex_init(&estate->lock, NULL);
        estate->free_memo_value = options->free_memo_value;
        estate->on_change = options->on_change;
        estate->on_files = options->on_files;
        estate->ctx = options->ctx;
        estate->events = (cs_keeper_events){
            .open = options->open,
            .on_moment = on_moment,
            .on_files = on_files,
            .on_idle = on_idle,
            .estate = estate,
        };
    }
    return estate;
}

static void free_estate(cs_estate *estate)
{
    for (size_t i = 0; i < estate->n_keepers; i++) {
        cs_keeper_unref(estate->keepers[i]);
    }
    for (size_t i = 0; i < estate->n_sites; i++) {
        cs_repo_options_free(estate->sites[i].options);
    }
    pthread_mutex_destroy(&estate->lock);
    free(estate);
}

/* Stop the first `n` keepers, and what is leaving. */
static void stop_keepers(cs_estate *estate, size_t n)
{
    pthread_mutex_lock(&estate->lock);
    estate->is_closing = true;
    pthread_mutex_unlock(&estate->lock);
    for (size_t i = 0; i < n; i++) {
        cs_keeper_stop(estate->keepers[i]);
    }
    for (size_t i = 0; i < n; i++) {
        cs_keeper_join(estate->keepers[i]);
    }
    for (size_t i = 0; i < estate->n_leaving; i++) {
        cs_keeper_join(estate->leaving[i]);
        cs_keeper_unref(estate->leaving[i]);
    }
}

gw_status cs_estate_open(const cs_estate_options *options, cs_estate **ret_estate, gw_error *err)
{
    gw_status st = check(options, err);
    if (st != GW_OK) {
        return st;
    }
    cs_estate *estate = estate_new(options);
    if (estate == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; st == GW_OK && i < options->n_repos; i++) {
        st = open_site(estate, &options->repos[i], i, err);
    }
    if (st == GW_OK) {
        st = cs_view_first(estate, err);
    }
    size_t n_started = 0;
    while (st == GW_OK && n_started < estate->n_keepers) {
        st = cs_keeper_start(estate->keepers[n_started], err);
        n_started += st == GW_OK;
    }
    if (st != GW_OK) {
        stop_keepers(estate, n_started);
        cs_view_close(estate);
        free_estate(estate);
        return st;
    }
    wait_for_local(estate);
    *ret_estate = estate;
    return GW_OK;
}

void cs_estate_close(cs_estate *estate)
{
    if (estate == NULL) {
        return;
    }
    stop_keepers(estate, estate->n_keepers);
    cs_view_close(estate);
    free_estate(estate);
}

/* ---- telling to sync --------------------------------------------------------------------------
 */

static bool is_about(const cs_estate *estate, const cs_keeper *keeper, const char *which,
                     const char *which_key)
{
    if (which == NULL || strcmp(which, keeper->options->name) == 0 ||
        strcmp(which, estate->sites[keeper->index].options->name) == 0) {
        return true;
    }
    gw_buf key;
    gw_buf_init(&key, 0);
    cs_repo_uri_key(keeper->options->uri, &key);
    bool is_same = key.data != NULL && strcmp(key.data, which_key) == 0;
    gw_buf_dispose(&key);
    return is_same;
}

static size_t find_concerned(cs_estate *estate, const char *which, cs_keeper **ret_keepers)
{
    gw_buf key;
    gw_buf_init(&key, 0);
    if (which != NULL) {
        cs_repo_uri_key(which, &key);
    }
    size_t n = 0;
    pthread_mutex_lock(&estate->lock);
    for (size_t i = 0; i < estate->n_keepers; i++) {
        if (is_about(estate, estate->keepers[i], which, key.data == NULL ? "" : key.data)) {
            ret_keepers[n++] = cs_keeper_ref(estate->keepers[i]);
        }
    }
    pthread_mutex_unlock(&estate->lock);
    gw_buf_dispose(&key);
    return n;
}

static void ask(cs_keeper *keeper, cs_job *job)
{
    gw_error err = GW_ERROR_INIT;
    cs_job_link *link = malloc(sizeof(*link));
    if (link == NULL) {
        gw_error_set(&err, GW_E_NOMEM, 0, "out of memory");
        cs_job_settle(job, GW_E_NOMEM, &err);
        return;
    }
    link->job = job;
    if (!cs_keeper_ask(keeper, link)) {
        free(link);
        gw_error_set(&err, GW_E_CLOSED, 0, "the server stops");
        cs_job_settle(job, GW_E_CLOSED, &err);
    }
}

size_t cs_estate_sync(cs_estate *estate, const char *which,
                      void (*done)(void *ctx, gw_status st, const gw_error *err), void *ctx)
{
    cs_keeper *keepers[CS_REPOS_MAX];
    size_t n = find_concerned(estate, which, keepers);
    gw_error err = GW_ERROR_INIT;
    cs_job *job = n == 0 ? NULL : cs_job_new(n, done, ctx);
    if (job == NULL) {
        for (size_t i = 0; i < n; i++) {
            cs_keeper_unref(keepers[i]);
        }
        gw_status st = n == 0 ? GW_OK : gw_error_set(&err, GW_E_NOMEM, 0, "out of memory");
        if (done != NULL) {
            done(ctx, st, &err);
        }
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        ask(keepers[i], job);
        cs_keeper_unref(keepers[i]);
    }
    return n;
}
