/* SPDX-License-Identifier: MIT */
/*
 * One round of a look through a queue: a consumer that is passive, what it was given and was not
 * visited yet, and what the rounds and the copies under way have in common. Decides nothing.
 */
#ifndef GW_MESSAGING_BROWSE_TURN_H
#define GW_MESSAGING_BROWSE_TURN_H

#include <pthread.h>
#include <stdint.h>

#include "messaging/browse.h"
#include "messaging/transport.h"

#define GW__TURN_END_MS 5000 /* longest wait for the broker's goodbye */

/* A delivery that was not visited yet. */
typedef struct gw__held {
    struct gw__held *next;
    gw_message *msg; /* NULL: there was no room for it */
    gw__delivery delivery;
} gw__held;

typedef struct gw__look gw__look;

typedef struct gw__turn {
    struct gw__turn *next; /* the ones after it */
    gw__look *look;
    gw__consumer *consumer;
    size_t n_left;    /* visited, and left */
    size_t n_moving;  /* visited, and not known yet */
    size_t n_settled; /* removed, or given back already */

    /* With look->lock. */
    gw__held *first;
    gw__held **tail;
    size_t n_delivered;
    bool found;
    uint64_t n_found;
    uint64_t n_others; /* consumers of the queue */
    bool consuming;
    bool spilled; /* from here on nothing is kept */
} gw__turn;

/* A copy on its way to the broker. */
typedef struct gw__moving {
    struct gw__moving *next;
    gw__look *look;
    gw__turn *of;
    gw__delivery delivery;
    gw_status outcome;
} gw__moving;

struct gw__look {
    gw_client *client;
    const gw__transport_type *type;
    const char *queue;
    gw_browse_options options;
    gw__browse_bounds bounds;
    gw_browse_visitor visitor;
    void *ctx;
    gw_browse_result result;
    gw__turn *first; /* all rounds, in their order */
    gw__turn **tail;
    size_t n_rounds;
    size_t n_open;     /* those that are not over */
    size_t n_returned; /* by those rounds that are over */
    size_t biggest;    /* message of the last round */
    bool stopped;      /* by the visitor */
    bool spilled;      /* some of the last round were given back */
    uint64_t progress_ms;

    pthread_mutex_t lock; /* of all below, and of what a round says */
    pthread_cond_t changed;
    size_t refs; /* the call, and each copy under way: they can outlive it */
    size_t n_moving;
    gw__moving *moved; /* decided, to be settled */
    size_t n_bytes;    /* of deliveries that are held */
    bool lost;
    gw_error failure; /* GW_OK: none */
};

/* Give back a reference; the last one frees it. It has no rounds then. */
void gw__look_unref(gw__look *it);

/* Whether the transport said that it cannot go on. */
bool gw__look_has_failed(gw__look *it);
bool gw__look_is_lost(gw__look *it);

/* Whether nothing has happened for longer than it may. */
bool gw__look_is_overdue(const gw__look *it);

/* Begin a round, behind the others. `prefetch` 0: only to be told how many messages wait. */
gw_status gw__turn_start(gw__look *it, uint16_t prefetch, gw__turn **ret_turn, gw_error *err);

/* Wait until the broker has said how many there are, or something failed. GW_E_TIMEOUT. */
gw_status gw__turn_wait_found(gw__look *it, gw__turn *of, gw_error *err);

/* The next delivery, which is the caller's. NULL when there is none: because copies were decided,
 * or, with `ret_quiet`, because none came for a while, something failed, or no more are kept. */
gw__held *gw__turn_next(gw__look *it, gw__turn *of, bool *ret_quiet);

/* Whether this round can still bring something. */
bool gw__turn_is_open(gw__look *it, const gw__turn *of, uint16_t prefetch);

/* Forget what was delivered and not visited. After the consumer was cancelled. */
void gw__turn_drop_held(gw__look *it, gw__turn *of);

/* Release the consumer: what it has unsettled goes back. Frees the round. */
void gw__turn_end(gw__look *it, gw__turn *of);

#endif
