/* SPDX-License-Identifier: MIT */
/*
 * A repository and the thread that keeps it up to date: it syncs when the watch says so, when the
 * time has come, or when it is told to, and tells the estate of each new moment. Then it looks
 * through the files for faults.
 */
#ifndef CS_KEEPER_H
#define CS_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <godwit/metrics.h>

#include "repo/backend.h"
#include "repo/changed.h"
#include "repo/checker.h"
#include "repo/job.h"
#include "repo/moment.h"

/* The estate's side, called on the keeper's thread, no lock held. */
typedef struct cs_keeper_events {
    gw_status (*open)(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err);
    /* A new moment, borrowed: put it in force. */
    gw_status (*on_moment)(void *estate, cs_moment *moment, gw_error *err);
    /* Files changed that nobody had told of. */
    void (*on_files)(void *estate, const cs_changed *changed);
    /* Something may be there to be freed. */
    void (*on_idle)(void *estate);
    void *estate;
} cs_keeper_events;

typedef struct cs_keeper {
    atomic_uint n_refs;
    cs_repo_options *options; /* immutable; the URI is that of this repository */
    char *uri;                /* without user and password */
    size_t index;             /* of the repository of the estate that it belongs to */
    bool is_expanded;         /* made on demand, from a URI with placeholders */
    gw_error failed; /* of one made on demand that has nothing to serve: why. The estate's */
    cs_keeper_events events;
    cs_backend *backend; /* the thread's until there is a moment with refs; then any thread's */
    int watch_fd;        /* -1: none; set before the first moment */
    int wake_fd;         /* an eventfd */
    pthread_t thread;
    atomic_bool is_stopping;
    atomic_bool is_finished;
    atomic_uint_fast64_t used_ms;  /* when a request last needed it */
    atomic_uint_fast64_t good_ms;  /* when the last good sync ended; 0: never */
    atomic_uint_fast64_t began_ms; /* when the last sync began */
    atomic_uint_fast64_t n_begun;  /* syncs */
    atomic_uint_fast64_t n_done;   /* those whose moment is in force */
    pthread_mutex_t lock;          /* of what follows, and of `backend` while it is being set */
    pthread_cond_t has_done;
    cs_job_link *jobs;
    /* The thread's own. */
    gw_gauge *fresh; /* NULL of one made on demand: these come and go, gauges stay */
    gw_gauge *synced;
    gw_gauge *faulty;
    cs_moment *moment;
    unsigned n_failures; /* in a row */
    uint64_t due_ms;
    uint64_t rests_until_ms;
    cs_checker checker;
} cs_keeper;

/*
 * @param backend taken on success; NULL: it is opened on the thread, with the first sync.
 */
gw_status cs_keeper_new(const cs_repo_options *options, const char *name, const char *uri,
                        size_t index, const cs_keeper_events *events, cs_backend *backend,
                        cs_keeper **ret_keeper, gw_error *err);

gw_status cs_keeper_start(cs_keeper *keeper, gw_error *err);

/* Have it end soon; then wait for it. The second only once, after a start that succeeded. */
void cs_keeper_stop(cs_keeper *keeper);
void cs_keeper_join(cs_keeper *keeper);

cs_keeper *cs_keeper_ref(cs_keeper *keeper);
void cs_keeper_unref(cs_keeper *keeper); /* accepts NULL */

/* Wake its thread up. */
void cs_keeper_wake(cs_keeper *keeper);

/* Sync, and tell the job. The link is the keeper's; false when it has ended. */
bool cs_keeper_ask(cs_keeper *keeper, cs_job_link *link);

/* Wait until as many syncs are done, or the thread has ended. */
void cs_keeper_wait(cs_keeper *keeper, uint64_t n_syncs, uint64_t deadline_ms);

/*
 * How long after a sync the next one is due, but for the jitter: the interval; after failures twice
 * that, four times, at most ten times. While there is nothing to serve it begins with a second.
 */
uint64_t cs_keeper_delay_ms(unsigned refresh_s, unsigned n_failures, bool is_ready);

/* Whether this thread is one of a keeper's, which must not wait for itself. */
bool cs_keeper_is_here(void);

#define CS_HUNG_MS 10000u /* a look at a local repository is over long before */

/* Whether a local repository has not answered for so long that nobody knows how it is. */
bool cs_keeper_is_hung(const cs_keeper *keeper, uint64_t now_ms);

/* Whether a sync runs. */
bool cs_keeper_is_behind(cs_keeper *keeper);

#define CS_CATCH_UP_MS 1000u /* how long a request waits for all local repositories */

/* Wait until what was changed before the call is in force; not past the deadline, and not for a
 * sync that has run for longer than CS_CATCH_UP_MS already. */
void cs_keeper_catch_up(cs_keeper *keeper, uint64_t deadline_ms);

#endif
