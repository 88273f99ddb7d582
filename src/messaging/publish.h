/* SPDX-License-Identifier: MIT */
/* A client's way out: into the outbox of a remote transport, or to a local one at once. Shareable
 * between threads. */
#ifndef GW_MESSAGING_PUBLISH_H
#define GW_MESSAGING_PUBLISH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <godwit/messaging.h>

#include "messaging/relay.h"
#include "messaging/transport.h"

typedef struct gw__publisher {
    gw__transport *transport;
    gw__relay *relay; /* NULL: the transport is a local one */
    /* A local transport said of an accepted message what a remote broker would only have said
     * later; not NULL. */
    gw_failed_callback on_failed;
    void *ctx;
    atomic_bool closed; /* no new messages; the relay has its own */
} gw__publisher;

/* Publish all in order, and at the level disk wait for it once. Each gets an id if it has none.
 * `*ret_n` of them, from the first on, are accepted, whatever is returned. As gw_publish_batch().
 */
gw_status gw__publish(gw__publisher *publisher, gw__target *target, gw_message *const *msgs,
                      size_t n_msgs, size_t *ret_n, gw_error *err);

/* Publish one and be told the outcome; `msg` is taken on success. As gw__client_forward(). */
gw_status gw__publish_and_tell(gw__publisher *publisher, gw__target *target, gw_message *msg,
                               gw__done done, void *ctx, gw_error *err);

#endif
