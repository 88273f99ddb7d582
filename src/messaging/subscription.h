/* SPDX-License-Identifier: MIT */
/*
 * One subscription: takes deliveries from the transport, calls the handler on its own worker
 * threads, settles. Retries and dead letters are forwarded to other queues of the broker; where
 * that is not possible they wait here, unacknowledged, beside the messages that are handled
 * meanwhile. Knows no protocol.
 */
#ifndef GW_MESSAGING_SUBSCRIPTION_H
#define GW_MESSAGING_SUBSCRIPTION_H

#include <godwit/messaging.h>

#include "messaging/transport.h"

struct gw_subscription {
    struct gw_subscription *next; /* in the client's list; the client's lock */
    gw_client *client;
};

/* Start the workers and the consumer. `spec` and `options` are copied. */
gw_status gw__subscription_start(gw_client *client, gw__transport *transport,
                                 const gw__consumer_spec *spec, const gw_subscribe_options *options,
                                 gw_handler handler, void *ctx, gw_subscription **ret_sub,
                                 gw_error *err);

/* Whether the calling thread is one of its workers, so that a handler is running in it. */
bool gw__subscription_is_inside(gw_subscription *sub);

/* Take no more from the broker; the first half of stopping, which many subscriptions can do before
 * one waits for its handler. */
void gw__subscription_cancel(gw_subscription *sub, uint64_t deadline_ms);

/* After cancel: finish the handlers that run, settle, release the consumer, free. Handlers are
 * waited for without a limit: a thread that is inside one cannot be ended. */
void gw__subscription_stop(gw_subscription *sub, uint64_t deadline_ms);

/* Whether the broker has confirmed the consumer; if not, `ret_why` (of `size` bytes) says why, ""
 * while it is on its way. */
bool gw__subscription_is_consuming(gw_subscription *sub, char *ret_why, size_t size);

#endif
