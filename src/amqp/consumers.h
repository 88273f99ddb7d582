/* SPDX-License-Identifier: MIT */
/*
 * All consumers of a transport, on one connection, and the way from other threads to them: each
 * consumer that has something to do is put on a list once, and the I/O thread takes the list.
 */
#ifndef GW_AMQP_CONSUMERS_H
#define GW_AMQP_CONSUMERS_H

#include <godwit/metrics.h>

#include "amqp/connection.h"
#include "amqp/consumer.h"

struct gw__consumers {
    gw__connection *connection; /* set before the first consumer, by the transport */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* cancelled, muted or released, of some consumer */
    gw__amqp_consumer *listed;

    /* The I/O thread's own. */
    gw__amqp_consumer *all;
    gw__amqp_consumer *fresh; /* with deliveries since the last turn */
    gw__session *session;
    size_t n_delivered; /* since the last turn */
    uint64_t timer_ms;  /* of the consumer that is due next */
    gw_counter *delivered;
    gw_counter *acked;
    gw_counter *requeued;
    gw_counter *redelivered;
    gw_counter *stale;
    gw_gauge *unsettled;
    int64_t n_unsettled; /* in the gauge */
};

gw_status gw__consumers_init(gw__consumers *set);

/* After its connection ended. */
void gw__consumers_dispose(gw__consumers *set);

/* The parts of a gw__connection_role. @thread the I/O thread */
void gw__consumers_up(gw__consumers *set, gw__session *session);
void gw__consumers_down(gw__consumers *set);
gw__turn gw__consumers_work(gw__consumers *set, uint64_t now_ns);

/* For a consumer: look at it again then. @thread the I/O thread */
void gw__consumers_set_timer(gw__consumers *set, uint64_t at_ms);

/* For a consumer: something was delivered to it. @thread the I/O thread */
void gw__consumers_add_fresh(gw__consumers *set, gw__amqp_consumer *consumer);

/* For a consumer: forget it, if it is known. @thread the I/O thread */
void gw__consumers_remove(gw__consumers *set, gw__amqp_consumer *consumer);

/* For a consumer: it is cancelled, muted, released or dropped now. After the last two its owner may
 * free it at any moment. @thread the I/O thread */
void gw__consumers_report(gw__consumers *set, gw__amqp_consumer *consumer, bool *what);

/* The parts of gw__transport_type. Any thread but the I/O thread. */
void gw__consumers_start(gw__consumers *set, gw__amqp_consumer *consumer);
void gw__consumers_settle(gw__consumers *set, gw__amqp_consumer *consumer,
                          const gw__delivery *deliveries, size_t n_deliveries, gw__settlement how);
void gw__consumers_set_prefetch(gw__consumers *set, gw__amqp_consumer *consumer, uint16_t prefetch);
void gw__consumers_cancel(gw__consumers *set, gw__amqp_consumer *consumer, unsigned timeout_ms);
void gw__consumers_release(gw__consumers *set, gw__amqp_consumer *consumer, unsigned timeout_ms);

#endif
