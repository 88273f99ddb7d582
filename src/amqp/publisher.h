/* SPDX-License-Identifier: MIT */
/*
 * Publishing over one connection: pull from the source, declare what is published to, send, and
 * settle what the broker confirms, refuses or returns.
 *
 * What a lost channel leaves undecided goes back to the source. If the broker closed it over
 * something that was published, the same messages go out again one at a time until the one at fault
 * stands alone; that one is given up, the others are delivered.
 *
 * A broker that takes messages and confirms none is left for another host, if there is one: a node
 * of a cluster that has lost the others does that, and RabbitMQ 3.10 to a channel that published
 * while its quorum queue was without a leader.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_PUBLISHER_H
#define GW_AMQP_PUBLISHER_H

#include "amqp/connection.h"
#include "amqp/endpoint.h"
#include "messaging/transport.h"

typedef struct gw__publisher gw__publisher;

/* `source` is copied, of `endpoint` what is needed. NULL when out of memory. */
gw__publisher *gw__publisher_new(const gw__source *source, const gw__endpoint *endpoint);

/* After its connection ended. Accepts NULL. */
void gw__publisher_free(gw__publisher *publisher);

/* The parts of a gw__connection_role. */
void gw__publisher_up(gw__publisher *publisher, gw__session *session);
void gw__publisher_down(gw__publisher *publisher);
gw__turn gw__publisher_work(gw__publisher *publisher, uint64_t now_ns);

#endif
