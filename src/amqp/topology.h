/* SPDX-License-Identifier: MIT */
/*
 * Make an exchange, a queue and the binding between them be there, on a channel that is thrown away
 * afterwards: a declaration that the broker refuses closes its channel, and nothing else.
 *
 * What exists with other properties, or may not be declared by us, is used as it is, with a
 * warning. Not so a queue for waiting that has other properties: what is put into it might never
 * come back.
 *
 * A quorum work queue gets a delivery limit, and "<queue>.dead" is declared with it for what
 * exceeds that.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_TOPOLOGY_H
#define GW_AMQP_TOPOLOGY_H

#include <stdbool.h>

#include <godwit/error.h>
#include <godwit/messaging.h>

#include "amqp/session.h"

/* How long a temporary queue outlives its last consumer. */
#define GW__TEMPORARY_EXPIRES_MS 60000

/* A quorum queue's message that came back unacknowledged so often is moved to "<queue>.dead" by the
 * broker, whatever its consumers do. A queue of this name has none of its own. */
#define GW__DELIVERY_LIMIT 20
#define GW__DEAD_MAX       GW_MESSAGE_TEXT_MAX

/* What is to be there. Borrowed until done. */
typedef struct gw__topology_spec {
    const char *exchange; /* NULL or "" for none */
    gw_exchange_type exchange_type;
    const char *queue; /* NULL for none */
    bool temporary;
    gw_queue_type queue_type;
    const char *binding_key; /* with both */
    /* As gw__consumer_spec has them; at most GW__BINDING_HEADERS_MAX. */
    const gw_header *binding_headers;
    size_t n_binding_headers;
    bool match_any;
    bool passive; /* only look whether it is there; of a queue without an exchange */
    /* Declare this instead of `queue`: what is put into it comes to `queue` after `delay_ms`. NULL
     * for none. */
    const char *waiting_queue;
    unsigned delay_ms;
} gw__topology_spec;

/* One attempt. Embedded in its user. */
typedef struct gw__topology {
    gw__topology_spec spec;
    gw__session *session;
    gw__channel *channel; /* NULL: not running */
    enum { GW__DECLARE_EXCHANGE, GW__DECLARE_DEAD, GW__DECLARE_QUEUE, GW__BIND, GW__DECLARED } step;
    char dead_queue[GW__DEAD_MAX + 1]; /* where the queue's dead letters go; "": nowhere */
    bool passive;                      /* this step only asks whether it exists */
    bool asking;                       /* so that it is known whether ... */
    bool created;                      /* ... the queue for waiting was not there before */
    gw_error refused;                  /* why the step was not done in earnest */
    uint32_t n_waiting;                /* messages in the queue, once it is declared */
    uint32_t n_consumers;
    /* `why` is NULL for GW_OK. Called once, unless abandoned. GW_E_UNAVAILABLE when the connection
     * was lost. */
    void (*done)(void *ctx, gw_status st, const gw_error *why);
    void *ctx;
} gw__topology;

void gw__topology_start(gw__topology *topology, gw__session *session, const gw__topology_spec *spec,
                        void (*done)(void *ctx, gw_status st, const gw_error *why), void *ctx);

/* done() will not be called. */
void gw__topology_abandon(gw__topology *topology);

#endif
