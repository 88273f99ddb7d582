/* SPDX-License-Identifier: MIT */
/*
 * Moving a subscription's messages to other queues of the broker: a copy is published, and the
 * original acknowledged when the broker has confirmed that. So a message is in one of the two at
 * every moment, and in both for a short one. Retries go to where they wait for their time, dead
 * letters to "<queue>.dead".
 *
 * Decides nothing about a message and keeps none: what did not arrive goes back to the
 * subscription. Shareable between threads. Outlives its subscription while messages are on their
 * way.
 */
#ifndef GW_MESSAGING_FORWARD_H
#define GW_MESSAGING_FORWARD_H

#include <godwit/metrics.h>

#include "messaging/client.h"
#include "messaging/jobs.h"

typedef struct gw__forwarder gw__forwarder;

typedef struct gw__forwarder_options {
    gw_client *client;
    gw__transport *transport;
    const char *queue;  /* of the subscription; copied */
    gw_counter *buried; /* counts the dead letters that arrived */
    /* Takes back a message that did not arrive. @locks the forwarder's held. @thread any */
    void (*failed)(void *ctx, gw__job *it);
    void *ctx;
} gw__forwarder_options;

/* NULL when out of memory. */
gw__forwarder *gw__forwarder_new(const gw__forwarder_options *options);

/* Before anything is forwarded: over what the originals are acknowledged. */
void gw__forwarder_begin(gw__forwarder *fwd, gw__consumer *consumer);

/* Publish it for its queue, which gets it after its delay (1 ms or more), with its count. Takes
 * `it`, and gives it back through failed(), perhaps at once. */
void gw__forward_retry(gw__forwarder *fwd, gw__job *it);

/* Publish it as a dead letter for its reason. As above. */
void gw__forward_dead_letter(gw__forwarder *fwd, gw__job *it);

/* The broker has the originals of this epoch and before again. @thread the one that delivers */
void gw__forwarder_lost(gw__forwarder *fwd, uint64_t epoch);

/* Wait until nothing is on its way whose original is to be acknowledged, or until the deadline. The
 * consumer is not used, and failed() not called, after it returns. */
void gw__forwarder_end(gw__forwarder *fwd, uint64_t deadline_ms);

/* After gw__forwarder_end(), or when it was never begun: free it, or leave that to the last
 * outcome. Accepts NULL. */
void gw__forwarder_free(gw__forwarder *fwd);

#endif
