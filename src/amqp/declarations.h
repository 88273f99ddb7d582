/* SPDX-License-Identifier: MIT */
/*
 * What is published to: which targets are declared on this connection, which are being declared,
 * and which are to be kept away from for a while.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_DECLARATIONS_H
#define GW_AMQP_DECLARATIONS_H

#include <stdbool.h>

#include "amqp/session.h"
#include "amqp/topology.h"
#include "messaging/transport.h"

#define GW__N_DENIED    32
#define GW__N_DECLARING 8 /* at once: those that hang must not hold up the others */

typedef struct gw__declarations gw__declarations;

typedef struct gw__denied {
    gw__target *target;
    uint64_t until_ms;
    gw_error why;
} gw__denied;

typedef struct gw__declaring {
    gw__declarations *all;
    gw__target *target; /* NULL: none under way */
    gw__topology topology;
} gw__declaring;

struct gw__declarations {
    gw__session *session;
    uint64_t epoch; /* counts the connections and the doubts about them */
    gw__declaring declaring[GW__N_DECLARING];
    gw__denied denied[GW__N_DENIED];
    size_t n_denied;
};

/* A new connection: nothing is declared, and nothing is denied. */
void gw__declarations_begin(gw__declarations *all, gw__session *session);

/* Forget what is under way. */
void gw__declarations_abandon(gw__declarations *all);

bool gw__declarations_has(const gw__declarations *all, const gw__target *target);

/* Declare it, unless that is under way, or too many are. It is declared or denied later. */
void gw__declarations_start(gw__declarations *all, gw__target *target);

/* Keep away from a target for a while. */
void gw__declarations_deny(gw__declarations *all, gw__target *target, const gw_error *why);

/* Why the target is denied at present; NULL if it is not. */
const gw_error *gw__declarations_denied(gw__declarations *all, const gw__target *target);

/* What becomes of a message for a target that is denied for this reason. */
gw_status gw__declarations_outcome(const gw_error *why);

/* With what the message is published: what it waits in for its time, or its own. */
const char *gw__outgoing_key(const gw__outgoing *item);

const char *gw__target_name(const gw__target *target);
const char *gw__target_noun(const gw__target *target); /* "queue" or "exchange" */

#endif
