/* SPDX-License-Identifier: MIT */
#include "configserver/estate_double.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_VIEWS 64
#define N_SYNCS 160

typedef struct sync {
    void (*done)(void *ctx, gw_status st, const gw_error *err);
    void *ctx;
} sync;

struct cs_estate {
    pthread_mutex_t lock;
    void (*free_memo_value)(void *value);
    void (*on_change)(void *ctx);
    void *ctx;
    cs_view *views[N_VIEWS]; /* the last is in force */
    cs_memo *memos[N_VIEWS];
    size_t n_views;
    const cs_repo_state *repos;
    size_t n_repos;
    bool is_holding;
    sync syncs[N_SYNCS];
    size_t n_syncs;
    gw_buf synced;
};

static cs_estate *the_estate; /* views do not know theirs */

cs_estate *estate_double_new(void (*free_memo_value)(void *value), void (*on_change)(void *ctx),
                             void *ctx)
{
    cs_estate *estate = calloc(1, sizeof(*estate));
    assert_non_null(estate);
    pthread_mutex_init(&estate->lock, NULL);
    estate->free_memo_value = free_memo_value;
    estate->on_change = on_change;
    estate->ctx = ctx;
    gw_buf_init(&estate->synced, 0);
    the_estate = estate;
    return estate;
}

void estate_double_free(cs_estate *estate)
{
    for (size_t i = 0; i < estate->n_views; i++) {
        cs_memo_free(estate->memos[i]);
        view_double_free(estate->views[i]);
    }
    gw_buf_dispose(&estate->synced);
    pthread_mutex_destroy(&estate->lock);
    free(estate);
}

void estate_double_put(cs_estate *estate, const double_label *labels, size_t n_labels)
{
    cs_view *view = view_double_new(labels, n_labels);
    cs_memo *memo = cs_memo_new(CS_MEMO_BYTES_MAX, estate->free_memo_value);
    assert_non_null(memo);
    pthread_mutex_lock(&estate->lock);
    assert_true(estate->n_views < N_VIEWS);
    estate->memos[estate->n_views] = memo;
    estate->views[estate->n_views++] = view;
    pthread_mutex_unlock(&estate->lock);
    if (estate->on_change != NULL) {
        estate->on_change(estate->ctx);
    }
}

void estate_double_set_repos(cs_estate *estate, const cs_repo_state *repos, size_t n_repos)
{
    pthread_mutex_lock(&estate->lock);
    estate->repos = repos;
    estate->n_repos = n_repos;
    pthread_mutex_unlock(&estate->lock);
}

/* ---- the interface ---------------------------------------------------------------- */

const cs_view *cs_estate_view(cs_estate *estate)
{
    pthread_mutex_lock(&estate->lock);
    const cs_view *view = estate->views[estate->n_views - 1];
    pthread_mutex_unlock(&estate->lock);
    return view;
}

void cs_estate_leave(cs_estate *estate)
{
    (void)estate;
}

static size_t number_of(const cs_view *view)
{
    pthread_mutex_lock(&the_estate->lock);
    size_t i = 0;
    while (i < the_estate->n_views && the_estate->views[i] != view) {
        i++;
    }
    pthread_mutex_unlock(&the_estate->lock);
    assert_true(i < N_VIEWS);
    return i;
}

uint64_t cs_view_number(const cs_view *view)
{
    return number_of(view) + 1;
}

cs_memo *cs_view_memo(const cs_view *view)
{
    return the_estate->memos[number_of(view)];
}

size_t cs_view_n_repos(const cs_view *view)
{
    (void)view;
    return the_estate->n_repos == 0 ? 1 : the_estate->n_repos;
}

void cs_view_repo(const cs_view *view, size_t i, cs_repo_state *ret_state)
{
    (void)view;
    static const cs_repo_state fresh = {
        .name = "default", .uri = DOUBLE_URI, .is_ready = true, .is_fresh = true};
    *ret_state = the_estate->n_repos == 0 ? fresh : the_estate->repos[i];
}

/* ---- syncs ------------------------------------------------------------------------ */

size_t cs_estate_sync(cs_estate *estate, const char *which,
                      void (*done)(void *ctx, gw_status st, const gw_error *err), void *ctx)
{
    bool is_known =
        which == NULL || strcmp(which, "default") == 0 || strcmp(which, DOUBLE_URI) == 0;
    pthread_mutex_lock(&estate->lock);
    gw_buf_add_str(&estate->synced, estate->synced.len > 0 ? "," : "");
    gw_buf_add_str(&estate->synced, which == NULL ? "*" : which);
    bool is_held = is_known && estate->is_holding;
    if (is_held) {
        assert_true(estate->n_syncs < N_SYNCS);
        estate->syncs[estate->n_syncs++] = (sync){done, ctx};
    }
    pthread_mutex_unlock(&estate->lock);
    if (!is_held && done != NULL) {
        done(ctx, GW_OK, NULL);
    }
    return is_known;
}

void estate_double_hold_syncs(cs_estate *estate)
{
    pthread_mutex_lock(&estate->lock);
    estate->is_holding = true;
    pthread_mutex_unlock(&estate->lock);
}

void estate_double_end_syncs(cs_estate *estate, gw_status st)
{
    gw_error err = GW_ERROR_INIT;
    if (st != GW_OK) {
        gw_error_set(&err, st, 0, "the remote is away");
    }
    for (;;) {
        pthread_mutex_lock(&estate->lock);
        bool is_one = estate->n_syncs > 0;
        sync next = is_one ? estate->syncs[--estate->n_syncs] : (sync){NULL, NULL};
        estate->is_holding = is_one;
        pthread_mutex_unlock(&estate->lock);
        if (!is_one) {
            return;
        }
        next.done(next.ctx, st, &err);
    }
}

char *estate_double_take_syncs(cs_estate *estate)
{
    pthread_mutex_lock(&estate->lock);
    char *text = strdup(estate->synced.len == 0 ? "" : estate->synced.data);
    gw_buf_clear(&estate->synced);
    pthread_mutex_unlock(&estate->lock);
    return text;
}
