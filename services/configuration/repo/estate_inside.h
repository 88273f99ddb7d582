/* SPDX-License-Identifier: MIT */
/* What the files of the estate share: estate.c, which opens and closes it; view.c, which hands out
 * views; place.c, which finds what a request is about. */
#ifndef CS_ESTATE_INSIDE_H
#define CS_ESTATE_INSIDE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "files/bounds.h"
#include "repo/estate.h"
#include "repo/keeper.h"
#include "repo/moment.h"

/* A repository as it is configured: one, or as many as its placeholders stand for. */
typedef struct cs_site {
    cs_repo_options *options;
    bool is_template;
    cs_keeper *keeper; /* NULL of a template; borrowed from the estate's list */
} cs_site;

struct cs_view {
    atomic_uint n_refs;
    cs_estate *estate;
    uint64_t number;
    cs_memo *memo;
    cs_view *next_retired;
    size_t n_watched;
    struct pollfd watched[CS_REPOS_MAX]; /* those of keepers with a watch */
    cs_keeper *watchers[CS_REPOS_MAX];
    size_t n_moments;
    cs_moment *moments[CS_REPOS_MAX]; /* references */
};

struct cs_pin;

struct cs_estate {
    cs_site sites[CS_REPOS_MAX];
    size_t n_sites;
    void (*free_memo_value)(void *value);
    void (*on_change)(void *ctx);
    void (*on_files)(void *ctx, const cs_changed *changed);
    void *ctx;
    cs_keeper_events events;
    atomic_uint_fast64_t number; /* of the view in force */
    atomic_uint_fast64_t renewed_ms;
    _Atomic(cs_view *) retired; /* to be freed by a keeper */
    atomic_uint n_retired;
    struct cs_pin *pins;              /* under the lock of all pins */
    pthread_mutex_t lock;             /* of what follows */
    cs_view *view;                    /* in force; a reference */
    cs_keeper *keepers[CS_REPOS_MAX]; /* references */
    size_t n_keepers;
    cs_keeper *leaving[CS_REPOS_MAX]; /* dropped ones, whose threads have to be waited for */
    size_t n_leaving;
    bool is_closing;
};

/* Make the first view, in which nothing has been read. */
gw_status cs_view_first(cs_estate *estate, gw_error *err);

/*
 * Put a new view in force: with `moment` for that of its keeper, and without the moment of
 * `dropped`; both may be NULL. GW_E_NOMEM. @locks the estate's held
 */
gw_status cs_view_change_locked(cs_estate *estate, cs_moment *moment, const cs_keeper *dropped,
                                gw_error *err);

/* Free views that nobody uses any more, which takes its time. Any thread. */
void cs_view_free_retired(cs_estate *estate);

/* At the end: take the views away from all threads, and free them all. */
void cs_view_close(cs_estate *estate);

/*
 * The repository that a site's URI with placeholders stands for is not in the view: have it made.
 *
 * @return GW_E_BUSY: ask again when the view has changed; GW_E_NOT_FOUND or GW_E_UNAVAILABLE when
 * it was tried; GW_E_UNAVAILABLE when there are too many; GW_E_NOMEM.
 */
gw_status cs_estate_expand(cs_estate *estate, size_t index, const char *name, const char *uri,
                           gw_error *err);

#endif
