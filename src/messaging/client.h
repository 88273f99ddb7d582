/* SPDX-License-Identifier: MIT */
/* What the parts of a client ask of it. */
#ifndef GW_MESSAGING_CLIENT_H
#define GW_MESSAGING_CLIENT_H

#include <godwit/messaging.h>

#include "messaging/guard.h"
#include "messaging/relay.h"

/* Publish on a work queue, which gets it `delay_ms` later, and be told the outcome. What the broker
 * refuses for the moment is reported too, and not sent again. `msg` is taken on success. `done` can
 * be called before this returns. */
gw_status gw__client_forward(gw_client *client, const char *queue, unsigned delay_ms,
                             gw_message *msg, gw__done done, void *ctx, gw_error *err);

/* A subscription began or ceased to consume; the client works out its state anew. */
void gw__client_update_state(gw_client *client);

const char *gw__client_name(const gw_client *client);

gw__transport *gw__client_transport(const gw_client *client);

/* Whether gw_close() began. */
bool gw__client_is_ending(gw_client *client);

/* What knows the messages that end the process; NULL for an outbox in memory. */
gw__guard *gw__client_guard(const gw_client *client);

#endif
