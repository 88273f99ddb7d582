/* SPDX-License-Identifier: MIT */
/*
 * Which message was it? When the broker closes a channel or connection over something that was
 * published, it does not say over which message. So those that were on their way go out again one
 * at a time, until the one at fault stands alone.
 */
#ifndef GW_AMQP_SUSPECTS_H
#define GW_AMQP_SUSPECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "messaging/transport.h"

typedef struct gw__suspects {
    size_t n; /* so many are to go out alone */
    char blamed_id[GW_MESSAGE_TEXT_MAX + 1];
    unsigned n_blames;
} gw__suspects;

/* Whether this close can have been about something that was published. */
bool gw__suspects_is_about_publish(const gw_error *why);

/* So many were on their way when it happened. */
void gw__suspects_add(gw__suspects *suspects, size_t n);

/* The broker took one of them. */
void gw__suspects_clear_one(gw__suspects *suspects);

/*
 * This one was alone when it happened. Returns what is to become of it: GW_E_INVALID, given up;
 * GW_E_REFUSED, for later; GW_OK when it is not sure yet, since a connection can end over other
 * things.
 */
gw_status gw__suspects_judge(gw__suspects *suspects, const gw__outgoing *item, const gw_error *why);

#endif
