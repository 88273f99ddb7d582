/* SPDX-License-Identifier: MIT */
#include "postgres/pg_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <godwit/clock.h>

#define PROBE_MS       2000 /* between two looks at a database that can be used */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define CONFLICTS_MAX  10 /* times that work is done again after a deadlock or conflict */
#define IDLE_MAX       64

struct pg_pool {
    pg_place place;
    pg_pool_options options;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t changed;
    pg_conn *idle[IDLE_MAX];
    size_t n_idle;
    size_t n_open;
    bool is_created; /* the tables */
    bool is_down;
    bool is_first; /* nothing was tried yet */
    bool is_poked;
    char fault[GW_ERROR_TEXT_MAX];
    gw_status fault_status;
    atomic_bool is_stopping;
    atomic_size_t host; /* that was connected to last */
    bool has_watcher;
    pthread_t watcher;
};

static bool wait_until(pg_pool *pool, uint64_t deadline_ms)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(&pool->changed, &pool->lock, &until) != ETIMEDOUT;
}

/* ---- connections -------------------------------------------------------------------------- */

/* A connection that is ready for work, with the tables there and the statements prepared. */
static gw_status open_ready(pg_pool *pool, uint64_t deadline_ms, pg_conn **ret_conn, gw_error *err)
{
    pg_conn_options options = {.place = &pool->place,
                               .timeout_ms = pool->options.timeout_ms,
                               .deadline_ms = deadline_ms,
                               .is_stopping = &pool->is_stopping,
                               .host = &pool->host};
    pg_conn *conn;
    gw_status st = pg_conn_open(&options, &conn, err);
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&pool->lock);
    bool is_created = pool->is_created;
    pthread_mutex_unlock(&pool->lock);
    if (!is_created) {
        st = pool->options.create(pool->options.ctx, conn, err);
    }
    if (st == GW_OK) {
        st = pg_conn_prepare(conn, pool->options.statements, pool->options.n_statements, err);
    }
    if (st != GW_OK) {
        pg_conn_close(conn);
        return st;
    }
    pthread_mutex_lock(&pool->lock);
    pool->is_created = true;
    pthread_mutex_unlock(&pool->lock);
    *ret_conn = conn;
    return GW_OK;
}

/* Those that are idle will be as stale as the one that was just found so. */
static void drop_idle(pg_pool *pool)
{
    pg_conn *dropped[IDLE_MAX];
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_idle;
    memcpy(dropped, pool->idle, n * sizeof(dropped[0]));
    pool->n_idle = 0;
    pool->n_open -= n;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < n; i++) {
        pg_conn_close(dropped[i]);
    }
}

static void set_down(pg_pool *pool, gw_status st, const char *fault)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->has_watcher && !atomic_load(&pool->is_stopping)) {
        bool is_news = !pool->is_down || strcmp(pool->fault, fault) != 0;
        pool->is_down = true;
        pool->fault_status = st;
        snprintf(pool->fault, sizeof(pool->fault), "%s", fault);
        if (is_news) {
            pool->options.on_state(pool->options.state_ctx, pool->fault);
        }
        pool->is_poked = true;
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void set_up(pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->is_down) {
        pool->is_down = false;
        pool->options.on_state(pool->options.state_ctx, NULL);
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* An idle connection, or leave to open one, for which `ret_conn` is NULL. @locks pool->lock held */
static gw_status reserve_locked(pg_pool *pool, bool wants_new, uint64_t deadline_ms,
                                pg_conn **ret_conn, gw_error *err)
{
    for (;;) {
        if (pool->is_down) {
            return gw_error_set(err, pool->fault_status, 0, "%s", pool->fault);
        }
        if (pool->n_idle > 0 && !wants_new) {
            *ret_conn = pool->idle[--pool->n_idle];
            return GW_OK;
        }
        if (pool->n_open < pool->options.max_connections) {
            pool->n_open++;
            *ret_conn = NULL;
            return GW_OK;
        }
        if (!wait_until(pool, deadline_ms)) {
            return gw_error_set(err, GW_E_FULL, 0,
                                "all %u connections to the database at %s are in use",
                                pool->options.max_connections, pool->place.shown);
        }
    }
}

static void release(pg_pool *pool, pg_conn *conn)
{
    bool is_spent = conn == NULL || pg_conn_is_spent(conn);
    pthread_mutex_lock(&pool->lock);
    if (is_spent) {
        pool->n_open--;
    } else {
        pool->idle[pool->n_idle++] = conn;
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (is_spent) {
        pg_conn_close(conn);
    }
}

/* A connection could not be opened. With others open that may be a limit of the server's. */
static void doubt(pg_pool *pool, gw_status st, const char *fault)
{
    pthread_mutex_lock(&pool->lock);
    bool is_alone = pool->n_open == 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_alone) {
        set_down(pool, st, fault);
    } else {
        pg_pool_poke(pool);
    }
}

/* `err` is not NULL. */
static gw_status take(pg_pool *pool, bool wants_new, pg_conn **ret_conn, bool *ret_is_new,
                      gw_error *err)
{
    uint64_t now_ms = gw_clock_ms();
    pg_conn *conn = NULL;
    pthread_mutex_lock(&pool->lock);
    gw_status st = reserve_locked(pool, wants_new, now_ms + pool->options.timeout_ms, &conn, err);
    pthread_mutex_unlock(&pool->lock);
    *ret_is_new = conn == NULL;
    if (st == GW_OK && conn == NULL) {
        /* With a watcher the host to begin with is known; without one all are tried here. */
        uint64_t n_hosts = pool->has_watcher ? 1 : pg_place_n_hosts(&pool->place);
        st = open_ready(pool, gw_clock_ms() + n_hosts * pool->place.connect_ms, &conn, err);
        if (st != GW_OK) {
            release(pool, NULL);
            doubt(pool, st, err->text);
        }
    }
    if (st == GW_OK) {
        *ret_conn = conn;
    }
    return st;
}

/* ---- work --------------------------------------------------------------------------------- */

/* Those who collided do not come again at the same moment. */
static void pause_before_again(unsigned attempt)
{
    uint64_t noise = gw_clock_ns() / 64;
    uint64_t ns = (noise % 8 + 1) * (attempt + 1) * 500000;
    struct timespec time = {.tv_sec = 0, .tv_nsec = (long)ns};
    nanosleep(&time, NULL);
}

gw_status pg_pool_use(pg_pool *pool, pg_work work, void *ctx, const bool *is_final, gw_error *err)
{
    gw_error own = GW_ERROR_INIT;
    gw_error *why = err != NULL ? err : &own;
    bool wants_new = false;
    for (unsigned attempt = 0;; attempt++) {
        pg_conn *conn;
        bool is_new;
        gw_status st = take(pool, wants_new, &conn, &is_new, why);
        if (st != GW_OK) {
            return st;
        }
        st = work(ctx, conn, why);
        bool is_broken = pg_conn_is_broken(conn);
        release(pool, conn);
        if (is_broken && st == GW_E_UNAVAILABLE && !is_new && !wants_new &&
            (is_final == NULL || !*is_final)) {
            drop_idle(pool);
            wants_new = true;
        } else if (st == GW_E_BUSY && attempt < CONFLICTS_MAX) {
            pause_before_again(attempt);
        } else {
            if (st != GW_OK && is_broken) {
                drop_idle(pool);
                set_down(pool, st, why->text);
            }
            return st;
        }
    }
}

/* ---- looking after the database ----------------------------------------------------------- */

/* See that the database can be used, with a connection of the watcher's own. */
static gw_status look(pg_pool *pool, pg_conn **conn, gw_error *err)
{
    bool was_open = *conn != NULL;
    for (;;) {
        gw_status st = GW_OK;
        if (*conn == NULL) {
            uint64_t n_hosts = pg_place_n_hosts(&pool->place);
            st = open_ready(pool, gw_clock_ms() + n_hosts * pool->place.connect_ms, conn, err);
        }
        if (st == GW_OK) {
            st = pool->options.probe(pool->options.ctx, *conn, err);
        }
        if (*conn != NULL && pg_conn_is_spent(*conn)) {
            bool is_broken = pg_conn_is_broken(*conn);
            pg_conn_close(*conn);
            *conn = NULL;
            if (is_broken && was_open && st == GW_E_UNAVAILABLE) {
                was_open = false; /* it may have been closed while it was idle */
                drop_idle(pool);
                continue;
            }
        }
        return st;
    }
}

/* When to look again. */
static uint64_t pause_of(bool is_down, unsigned *backoff_ms)
{
    if (!is_down) {
        *backoff_ms = BACKOFF_MIN_MS;
        return PROBE_MS;
    }
    uint64_t pause_ms = *backoff_ms / 2 + gw_clock_ns() / 64 % *backoff_ms;
    *backoff_ms = *backoff_ms < BACKOFF_MAX_MS / 2 ? *backoff_ms * 2 : BACKOFF_MAX_MS;
    return pause_ms;
}

static void *watcher_main(void *ctx)
{
    pg_pool *pool = ctx;
    pg_conn *conn = NULL;
    unsigned backoff_ms = BACKOFF_MIN_MS;
    pthread_mutex_lock(&pool->lock);
    while (!atomic_load(&pool->is_stopping)) {
        pool->is_poked = false;
        pthread_mutex_unlock(&pool->lock);
        gw_error err = GW_ERROR_INIT;
        gw_status st = look(pool, &conn, &err);
        if (st == GW_OK) {
            set_up(pool);
        } else if (st != GW_E_BUSY) {
            set_down(pool, st, err.text);
        }
        pthread_mutex_lock(&pool->lock);
        pool->is_first = false;
        pthread_cond_broadcast(&pool->changed);
        uint64_t until_ms = gw_clock_ms() + pause_of(st != GW_OK, &backoff_ms);
        bool may_be_poked = st == GW_OK; /* a failure has its pause */
        while (!atomic_load(&pool->is_stopping) && !(may_be_poked && pool->is_poked) &&
               wait_until(pool, until_ms)) {}
    }
    pthread_mutex_unlock(&pool->lock);
    pg_conn_close(conn);
    return NULL;
}

bool pg_pool_wait_up(pg_pool *pool, unsigned timeout_ms)
{
    uint64_t until_ms = gw_clock_ms() + timeout_ms;
    pthread_mutex_lock(&pool->lock);
    while (pool->is_down && !atomic_load(&pool->is_stopping) && wait_until(pool, until_ms)) {}
    bool is_up = !pool->is_down;
    pthread_mutex_unlock(&pool->lock);
    return is_up;
}

void pg_pool_poke(pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_poked = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- life ----------------------------------------------------------------------------------- */

static gw_status start_watcher(pg_pool *pool, gw_error *err)
{
    pool->is_down = true;
    pool->is_first = true;
    pool->fault_status = GW_E_UNAVAILABLE;
    snprintf(pool->fault, sizeof(pool->fault), "the database at %s was not reached yet",
             pool->place.shown);
    pool->has_watcher = true; /* before it can find a fault */
    int rc = pthread_create(&pool->watcher, NULL, watcher_main, pool);
    if (rc != 0) {
        pool->has_watcher = false;
        return gw_error_set_errno(err, rc, "cannot start a thread for the database");
    }
    uint64_t until_ms = gw_clock_ms() + pool->place.connect_ms + pool->options.timeout_ms;
    pthread_mutex_lock(&pool->lock);
    while (pool->is_first && wait_until(pool, until_ms)) {}
    pthread_mutex_unlock(&pool->lock);
    return GW_OK;
}

gw_status pg_pool_new(const pg_pool_options *options, pg_pool **ret_pool, gw_error *err)
{
    const pq_library *pq;
    gw_status st = pq_library_load(&pq, err);
    if (st != GW_OK) {
        return st;
    }
    pg_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for connections to the database");
    }
    st = pg_place_init(&pool->place, options->url, options->password, options->application, err);
    if (st != GW_OK) {
        free(pool);
        return st;
    }
    pool->options = *options;
    pool->options.url = pool->options.password = pool->options.application = NULL;
    if (pool->options.max_connections > IDLE_MAX) {
        pool->options.max_connections = IDLE_MAX;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    st = options->on_state != NULL ? start_watcher(pool, err)
                                   : pg_pool_use(pool, options->probe, options->ctx, NULL, err);
    if (st != GW_OK) {
        pg_pool_free(pool);
        return st;
    }
    *ret_pool = pool;
    return GW_OK;
}

void pg_pool_free(pg_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store(&pool->is_stopping, true);
    if (pool->has_watcher) {
        pg_pool_poke(pool);
        pthread_join(pool->watcher, NULL);
    }
    for (size_t i = 0; i < pool->n_idle; i++) {
        pg_conn_close(pool->idle[i]);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    pg_place_dispose(&pool->place);
    free(pool);
}
