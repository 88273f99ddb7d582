/* SPDX-License-Identifier: MIT */
#include "repo/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "repo/repo_options.h"
#include "repo/repo_uri.h"

#define FIRST_RETRY_MS 1000u /* while there is nothing to serve */
#define BACKOFF_MAX    10u   /* times the interval */
#define SPIN_GUARD_MS  100u  /* after a failure that left the watch as it was */
#define REST_MIN_MS    2u    /* after a sync, in case somebody writes without end */
#define REST_MAX_MS    400u
#define REST_FACTOR    4u /* times what the sync took: a fifth of the time at most is spent on it */

static _Thread_local bool is_here;

/* ---- jobs ------------------------------------------------------------------------ */

static cs_job_link *take_jobs(cs_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    cs_job_link *jobs = keeper->jobs;
    keeper->jobs = NULL;
    pthread_mutex_unlock(&keeper->lock);
    return jobs;
}

bool cs_keeper_ask(cs_keeper *keeper, cs_job_link *link)
{
    pthread_mutex_lock(&keeper->lock);
    bool is_there = !atomic_load(&keeper->is_finished);
    if (is_there) {
        link->next = keeper->jobs;
        keeper->jobs = link;
    }
    pthread_mutex_unlock(&keeper->lock);
    if (is_there) {
        cs_keeper_wake(keeper);
    }
    return is_there;
}

/* ---- life ------------------------------------------------------------------------ */

static char *public_uri(const char *uri)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    cs_repo_uri_public(uri, &out);
    char *text = gw_buf_detach(&out, NULL);
    gw_buf_dispose(&out);
    return text;
}

static void init_lock(cs_keeper *keeper)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->has_done, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&keeper->lock, NULL);
}

static void free_keeper(cs_keeper *keeper)
{
    if (keeper->backend != NULL) {
        keeper->backend->class->free(keeper->backend);
    }
    if (keeper->wake_fd >= 0) {
        close(keeper->wake_fd);
    }
    pthread_cond_destroy(&keeper->has_done);
    pthread_mutex_destroy(&keeper->lock);
    cs_repo_options_free(keeper->options);
    free(keeper->uri);
    free(keeper);
}

gw_status cs_keeper_new(const cs_repo_options *options, const char *name, const char *uri,
                        size_t index, const cs_keeper_events *events, cs_backend *backend,
                        cs_keeper **ret_keeper, gw_error *err)
{
    cs_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    atomic_init(&keeper->n_refs, 1);
    init_lock(keeper);
    keeper->index = index;
    keeper->events = *events;
    keeper->watch_fd = -1;
    keeper->options = cs_repo_options_copy(options, name, uri);
    keeper->uri = keeper->options == NULL ? NULL : public_uri(keeper->options->uri);
    keeper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gw_status st = GW_OK;
    if (keeper->wake_fd < 0) {
        st = gw_error_set_errno(err, errno, "repository %s: an eventfd", options->name);
    } else if (keeper->uri == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    if (st != GW_OK) {
        free_keeper(keeper);
        return st;
    }
    keeper->backend = backend;
    if (backend != NULL) {
        keeper->watch_fd = backend->class->watch_fd(backend);
    }
    *ret_keeper = keeper;
    return GW_OK;
}

cs_keeper *cs_keeper_ref(cs_keeper *keeper)
{
    atomic_fetch_add_explicit(&keeper->n_refs, 1, memory_order_relaxed);
    return keeper;
}

void cs_keeper_unref(cs_keeper *keeper)
{
    if (keeper != NULL &&
        atomic_fetch_sub_explicit(&keeper->n_refs, 1, memory_order_acq_rel) == 1) {
        free_keeper(keeper);
    }
}

void cs_keeper_wake(cs_keeper *keeper)
{
    uint64_t one = 1;
    ssize_t n = write(keeper->wake_fd, &one, sizeof(one));
    (void)n; /* full: it is awake */
}

void cs_keeper_stop(cs_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    atomic_store(&keeper->is_stopping, true);
    cs_backend *backend = keeper->backend;
    pthread_mutex_unlock(&keeper->lock);
    if (backend != NULL) {
        backend->class->stop(backend);
    }
    cs_keeper_wake(keeper);
}

void cs_keeper_join(cs_keeper *keeper)
{
    pthread_join(keeper->thread, NULL);
}

/* ---- metrics ---------------------------------------------------------------------- */

static void add_gauges(cs_keeper *keeper)
{
    gw_buf labels;
    gw_buf_init(&labels, 0);
    gw_metrics_label(&labels, "repository", keeper->options->name);
    keeper->fresh = gw_metrics_gauge("godwit_config_repository_fresh",
                                     "1 while the repository is up to date.", labels.data);
    keeper->synced = gw_metrics_gauge(
        "godwit_config_repository_synced_timestamp_seconds",
        "When the repository was last found up to date, in unix time; 0 for never.", labels.data);
    keeper->faulty = gw_metrics_gauge("godwit_config_faulty_files",
                                      "Configuration files at the default label that are at fault.",
                                      labels.data);
    gw_buf_dispose(&labels);
}

static void count_sync(cs_keeper *keeper, gw_status st)
{
    if (keeper->is_expanded) {
        return;
    }
    if (keeper->fresh == NULL) {
        add_gauges(keeper);
    }
    gw_gauge_set(keeper->fresh, st == GW_OK);
    if (st == GW_OK) {
        gw_gauge_set(keeper->synced, (int64_t)(gw_clock_unix_ns() / GW_NS_PER_S));
    }
}

static void count_faulty(cs_keeper *keeper)
{
    if (keeper->faulty != NULL && keeper->moment != NULL) {
        gw_gauge_set(keeper->faulty, (int64_t)atomic_load(&keeper->moment->n_faulty));
    }
}

/* ---- a sync ------------------------------------------------------------------------ */

/* One that was made on demand is opened here, where it may take its time. */
static gw_status open_backend(cs_keeper *keeper, gw_error *err)
{
    if (keeper->backend != NULL) {
        return GW_OK;
    }
    cs_backend *backend = NULL;
    gw_status st = keeper->events.open(keeper->options, &backend, err);
    if (st != GW_OK) {
        return st;
    }
    keeper->watch_fd = backend->class->watch_fd(backend);
    pthread_mutex_lock(&keeper->lock);
    keeper->backend = backend;
    bool is_stopping = atomic_load(&keeper->is_stopping);
    pthread_mutex_unlock(&keeper->lock);
    if (is_stopping) {
        backend->class->stop(backend);
    }
    return GW_OK;
}

static gw_status put_in_force(cs_keeper *keeper, cs_moment *moment, gw_error *err)
{
    if (keeper->moment != NULL) {
        atomic_store(&moment->n_faulty, atomic_load(&keeper->moment->n_faulty));
    }
    gw_status st = keeper->events.on_moment(keeper->events.estate, moment, err);
    if (st != GW_OK) {
        cs_moment_unref(moment);
        return st;
    }
    cs_moment_unref(keeper->moment);
    keeper->moment = moment;
    return GW_OK;
}

static void tell_changes(cs_keeper *keeper, const cs_moment *before)
{
    cs_changed changed = {.paths = NULL};
    cs_moment_compare(before, keeper->moment, &changed);
    if (changed.n > 0 || changed.is_too_many) {
        keeper->events.on_files(keeper->events.estate, &changed);
    }
    cs_changed_dispose(&changed);
}

/* What labels name now, and their trees. The old moment stays when something cannot be read. */
static gw_status on_good_sync(cs_keeper *keeper, cs_refs *refs, gw_error *err)
{
    cs_moment *before = keeper->moment;
    bool is_same = before != NULL && before->refs != NULL && cs_refs_equal(before->refs, refs);
    if (is_same && before->st == GW_OK) {
        cs_refs_unref(refs);
        atomic_store(&keeper->good_ms, gw_clock_ms());
        return GW_OK;
    }
    cs_moment *moment = cs_moment_new(keeper, refs, GW_OK, "");
    if (moment == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_status st = cs_moment_load(moment, before, err);
    if (st != GW_OK) {
        cs_moment_unref(moment);
        return st;
    }
    bool was_stale = before != NULL && before->st != GW_OK && before->st != GW_E_BUSY;
    atomic_store(&keeper->good_ms, gw_clock_ms());
    st = put_in_force(keeper, moment, err);
    if (st == GW_OK) {
        if (was_stale) {
            gw_log_info("repository", "%s: up to date again", keeper->options->name);
        } else if (before == NULL || before->refs == NULL) {
            gw_log_at(keeper->is_expanded ? GW_LOG_DEBUG : GW_LOG_INFO, "repository",
                      "%s: %s is served", keeper->options->name, keeper->uri);
        }
        cs_checker_start(&keeper->checker, moment);
    }
    return st;
}

/* What an earlier process has fetched: old, and better than nothing. */
static cs_refs *recall(cs_keeper *keeper)
{
    cs_backend *backend = keeper->backend;
    cs_refs *refs = NULL;
    gw_error ignored = GW_ERROR_INIT;
    if (backend == NULL || backend->class->recall == NULL ||
        backend->class->recall(backend, &refs, &ignored) != GW_OK) {
        return NULL;
    }
    gw_log_warn("repository", "%s: what was fetched before the start is served",
                keeper->options->name);
    return refs;
}

/* What was there goes on being served; why it is not fresh is logged when that changes. */
static void on_bad_sync(cs_keeper *keeper, gw_status st, const gw_error *why)
{
    cs_moment *before = keeper->moment;
    if (before != NULL && before->st == st && strcmp(before->reason, why->text) == 0) {
        return;
    }
    bool is_invented = keeper->is_expanded && st == GW_E_NOT_FOUND;
    gw_log_at(is_invented ? GW_LOG_DEBUG : GW_LOG_ERROR, "repository", "%s: %s",
              keeper->options->name, why->text);
    bool is_ready = before != NULL && before->refs != NULL;
    cs_refs *refs = is_ready ? cs_refs_ref(before->refs) : recall(keeper);
    cs_moment *moment = cs_moment_new(keeper, refs, st, why->text);
    gw_error ignored = GW_ERROR_INIT;
    if (moment == NULL) {
        return;
    }
    if (refs != NULL && cs_moment_load(moment, before, &ignored) != GW_OK) {
        cs_moment_unref(moment);
        return;
    }
    if (put_in_force(keeper, moment, &ignored) != GW_OK) {
        gw_log_error("repository", "%s: %s", keeper->options->name, ignored.text);
    }
}

/* A tenth more or less, so that many servers do not ask at the same moment. */
static uint64_t jittered(uint64_t ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) {
        random = (uint32_t)gw_clock_ns();
    }
    return ms * 9 / 10 + random % (ms / 5 + 1);
}

uint64_t cs_keeper_delay_ms(unsigned refresh_s, unsigned n_failures, bool is_ready)
{
    uint64_t interval = (uint64_t)refresh_s * 1000;
    if (n_failures == 0) {
        return interval;
    }
    unsigned shift = n_failures < 16 ? n_failures : 16;
    uint64_t first = is_ready || interval < FIRST_RETRY_MS ? interval : FIRST_RETRY_MS;
    uint64_t delay = first << (is_ready ? shift : shift - 1);
    return delay < interval * BACKOFF_MAX ? delay : interval * BACKOFF_MAX;
}

static uint64_t delay_ms(const cs_keeper *keeper)
{
    bool is_ready = keeper->moment != NULL && keeper->moment->refs != NULL;
    return cs_keeper_delay_ms(keeper->options->refresh_s, keeper->n_failures, is_ready);
}

/* A sync that failed may not have seen to the watch, and one that did may be rung for at once: the
 * watch is not believed for a moment. */
static uint64_t rest_ms(uint64_t took_ms, gw_status st)
{
    uint64_t rest = REST_MIN_MS + took_ms * REST_FACTOR;
    rest = rest < REST_MAX_MS ? rest : REST_MAX_MS;
    return st == GW_OK || rest > SPIN_GUARD_MS ? rest : SPIN_GUARD_MS;
}

static void sync_once(cs_keeper *keeper)
{
    cs_job_link *jobs = take_jobs(keeper);
    cs_moment *before = keeper->moment == NULL ? NULL : cs_moment_ref(keeper->moment);
    atomic_store(&keeper->began_ms, gw_clock_ms());
    uint64_t number = atomic_fetch_add(&keeper->n_begun, 1) + 1;
    gw_error err = GW_ERROR_INIT;
    cs_refs *refs = NULL;
    gw_status st = open_backend(keeper, &err);
    if (st == GW_OK) {
        st = keeper->backend->class->sync(keeper->backend, &refs, &err);
    }
    if (st == GW_OK) {
        st = on_good_sync(keeper, refs, &err);
    }
    if (st != GW_OK && !atomic_load(&keeper->is_stopping)) {
        on_bad_sync(keeper, st, &err);
    }
    count_sync(keeper, st);
    keeper->n_failures = st == GW_OK ? 0 : keeper->n_failures + 1;
    uint64_t now = gw_clock_ms();
    keeper->due_ms = now + jittered(delay_ms(keeper));
    keeper->rests_until_ms = now + rest_ms(now - atomic_load(&keeper->began_ms), st);
    pthread_mutex_lock(&keeper->lock);
    atomic_store(&keeper->n_done, number);
    pthread_cond_broadcast(&keeper->has_done);
    pthread_mutex_unlock(&keeper->lock);
    if (st == GW_OK && jobs == NULL && before != NULL && before->refs != NULL) {
        tell_changes(keeper, before); /* whoever had it synced knows */
    }
    cs_moment_unref(before);
    cs_job_settle_all(jobs, st, &err);
}

/* ---- the thread -------------------------------------------------------------------- */

static bool has_jobs(cs_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    bool has = keeper->jobs != NULL;
    pthread_mutex_unlock(&keeper->lock);
    return has;
}

static void drain_wake(const cs_keeper *keeper)
{
    uint64_t n = 0;
    ssize_t got = read(keeper->wake_fd, &n, sizeof(n));
    (void)got;
}

static int timeout_until(uint64_t due_ms)
{
    uint64_t now = gw_clock_ms();
    uint64_t left = due_ms > now ? due_ms - now : 0;
    return left > 3600000 ? 3600000 : (int)left;
}

static nfds_t watch_if_rested(cs_keeper *keeper, struct pollfd fds[2], int *timeout_ms)
{
    if (keeper->watch_fd < 0) {
        return 1;
    }
    int left = timeout_until(keeper->rests_until_ms);
    if (left > 0) {
        *timeout_ms = *timeout_ms < left ? *timeout_ms : left;
        return 1;
    }
    fds[1] = (struct pollfd){.fd = keeper->watch_fd, .events = POLLIN};
    return 2;
}

/* Look through files, if there is nothing better to do, until there is. */
static void wait_for_work(cs_keeper *keeper)
{
    bool has_files = true;
    while (!atomic_load(&keeper->is_stopping) && !has_jobs(keeper)) {
        keeper->events.on_idle(keeper->events.estate);
        struct pollfd fds[2] = {{.fd = keeper->wake_fd, .events = POLLIN}};
        int timeout_ms = has_files ? 0 : timeout_until(keeper->due_ms);
        nfds_t n = watch_if_rested(keeper, fds, &timeout_ms);
        if (poll(fds, n, timeout_ms) < 0 && errno != EINTR) {
            return; /* looked at once more */
        }
        if ((fds[0].revents & POLLIN) != 0) {
            drain_wake(keeper);
        }
        if (fds[1].revents != 0 || gw_clock_ms() >= keeper->due_ms) {
            return;
        }
        if (has_files) {
            has_files = cs_checker_step(&keeper->checker);
            count_faulty(keeper);
        }
    }
}

static void *run(void *arg)
{
    cs_keeper *keeper = arg;
    is_here = true;
    while (!atomic_load(&keeper->is_stopping)) {
        sync_once(keeper);
        wait_for_work(keeper);
    }
    cs_checker_dispose(&keeper->checker);
    cs_moment_unref(keeper->moment);
    keeper->moment = NULL;
    pthread_mutex_lock(&keeper->lock);
    atomic_store(&keeper->is_finished, true);
    pthread_cond_broadcast(&keeper->has_done);
    pthread_mutex_unlock(&keeper->lock);
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_error_set(&err, GW_E_CLOSED, 0, "the server stops");
    cs_job_settle_all(take_jobs(keeper), st, &err);
    return NULL;
}

gw_status cs_keeper_start(cs_keeper *keeper, gw_error *err)
{
    int code = pthread_create(&keeper->thread, NULL, run, keeper);
    if (code != 0) {
        return gw_error_set_errno(err, code, "repository %s: a thread", keeper->options->name);
    }
    return GW_OK;
}

bool cs_keeper_is_here(void)
{
    return is_here;
}
