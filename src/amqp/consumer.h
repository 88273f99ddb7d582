/* SPDX-License-Identifier: MIT */
/*
 * One consumer: its queue declared and bound, its channel with prefetch, its deliveries taken up
 * and settled, and all of it again whenever something of it is lost. Each has a channel of its own,
 * so what goes wrong with one does not touch the others.
 *
 * @thread What is not marked otherwise runs on the I/O thread of the consuming connection.
 */
#ifndef GW_AMQP_CONSUMER_H
#define GW_AMQP_CONSUMER_H

#include <pthread.h>
#include <stdatomic.h>

#include "amqp/recovery.h"
#include "amqp/session.h"
#include "amqp/topology.h"
#include "amqp/unsettled.h"
#include "messaging/transport.h"

typedef struct gw__amqp_consumer gw__amqp_consumer;
typedef struct gw__consumers gw__consumers;

typedef struct gw__settling {
    gw__delivery delivery;
    gw__settlement how;
} gw__settling;

/* Settlements on their way to the I/O thread. */
typedef struct gw__settlings {
    gw__settling *items;
    size_t n_items;
    size_t cap;
} gw__settlings;

/* What other threads ask of a consumer; bits. */
enum {
    GW__ASK_START = 1,
    GW__ASK_CANCEL = 2,  /* no more deliveries, when the broker agrees */
    GW__ASK_MUTE = 4,    /* no more deliveries from now on, whatever comes */
    GW__ASK_RELEASE = 8, /* write the settlements, delete a temporary queue, close the channel */
    GW__ASK_DROP = 16,   /* be gone now */
    GW__ASK_TUNE = 32    /* consume with another prefetch */
};

typedef enum gw__consumer_state {
    GW__CONSUMER_IDLE, /* no session, or waiting for the time of the next try */
    GW__CONSUMER_DECLARING,
    GW__CONSUMER_OPENING, /* open, qos, consume */
    GW__CONSUMER_CONSUMING,
    GW__CONSUMER_TUNING, /* cancel, qos, consume: with another prefetch, on the same channel */
    GW__CONSUMER_CANCELLING,
    GW__CONSUMER_CANCELLED, /* deliveries can still be settled if there is a channel */
    GW__CONSUMER_RELEASING,
    GW__CONSUMER_RELEASED
} gw__consumer_state;

struct gw__amqp_consumer {
    gw__consumer head;
    gw__consumers *set;
    gw__consumer_spec spec; /* strings are owned */
    gw_message *headers;    /* those of the spec */
    gw__sink sink;
    atomic_uint prefetch; /* that is wanted; any thread */

    /* Any thread, with `lock`. */
    pthread_mutex_t lock;
    gw__settlings incoming;
    unsigned asked;
    bool is_listed; /* in the set's list of those with something to do */

    /* With the set's lock. */
    gw__amqp_consumer *next_listed;
    bool cancelled;
    bool muted;
    bool released;
    bool dropped; /* the last that the I/O thread does with it */

    /* The I/O thread's own. */
    gw__amqp_consumer *next; /* of the set */
    gw__consumer_state state;
    gw__session *session;
    gw__channel *channel;
    gw__topology topology;
    gw__recovery recovery;
    uint64_t epoch;     /* of the channel */
    uint64_t n_started; /* basic.consume was sent so often; makes the tag unique */
    unsigned qos;       /* the prefetch that the channel was told */
    bool is_ended;      /* the broker ended the consumer while we did */
    size_t n_open_most; /* deliveries that the broker may have out */
    uint64_t retry_at_ms;
    uint64_t consuming_since_ms;
    uint64_t locked_since_ms; /* the broker says so since; 0: it does not */
    bool has_host;            /* there was a session, with `host` */
    size_t host;              /* where the queue was declared */
    gw__settlings settling;   /* taken from `incoming` */
    gw__unsettled unsettled;
    gw_message *arriving;
    bool is_muted;
    gw__amqp_consumer *next_fresh; /* of those with deliveries in this turn */
    bool is_fresh;
    gw_error logged;                     /* the reason that was logged last */
    char queue[GW_MESSAGE_TEXT_MAX + 1]; /* spec.queue, or what took its place */
    char tag[GW_MESSAGE_TEXT_MAX + 1];
    char tag_base[GW_MESSAGE_TEXT_MAX - 24];
};

/* Any thread. Strings and headers of `spec` are copied. NULL when out of memory. */
gw__amqp_consumer *gw__amqp_consumer_new(gw__consumers *set, const gw__consumer_spec *spec,
                                         const gw__sink *sink);

/* Any thread, once the I/O thread does not know it any more. Accepts NULL. */
void gw__amqp_consumer_free(gw__amqp_consumer *consumer);

/* There is a session; begin if there is anything to do. */
void gw__amqp_consumer_up(gw__amqp_consumer *consumer, gw__session *session);

/* The session is gone. */
void gw__amqp_consumer_down(gw__amqp_consumer *consumer);

/* Do what was asked. */
void gw__amqp_consumer_ask(gw__amqp_consumer *consumer, unsigned asked);

/* Write the settlements in `settling`, and empty it. */
void gw__amqp_consumer_settle(gw__amqp_consumer *consumer);

/* Try again if it is time. Returns when it will be; UINT64_MAX for never. */
uint64_t gw__amqp_consumer_tick(gw__amqp_consumer *consumer, uint64_t now_ms);

#endif
