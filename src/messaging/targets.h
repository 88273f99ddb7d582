/* SPDX-License-Identifier: MIT */
/*
 * The targets a client publishes to, each made once and kept, so that a pointer identifies it.
 * Shareable between threads.
 */
#ifndef GW_MESSAGING_TARGETS_H
#define GW_MESSAGING_TARGETS_H

#include "messaging/transport.h"

/* Most targets of one client; the names come from the program, so this is against a mistake in a
 * loop. */
#define GW__TARGETS_MAX 4096

/* The queue "<queue>.retry.<delay_ms>": as much as it adds to the name at most. */
#define GW__RETRY_SUFFIX_MAX 17

typedef struct gw__targets gw__targets;

gw__targets *gw__targets_new(gw_queue_type queue_type);
void gw__targets_free(gw__targets *targets);

/* An exchange. GW_E_INVALID for an empty name; GW_E_LIMIT above 255 bytes or for too many targets;
 * GW_E_NOMEM. */
gw_status gw__targets_exchange(gw__targets *targets, const char *name, gw_exchange_type type,
                               gw__target **ret_target, gw_error *err);

/* A queue, through the default exchange. Fails as above. */
gw_status gw__targets_queue(gw__targets *targets, const char *name, gw__target **ret_target,
                            gw_error *err);

/* A queue, which gets what is published so much later. `delay_ms` is 1 or more. Fails as above, and
 * with GW_E_LIMIT when the name leaves no room for the suffix. */
gw_status gw__targets_delayed_queue(gw__targets *targets, const char *name, unsigned delay_ms,
                                    gw__target **ret_target, gw_error *err);

/* Whether `name` can name an exchange or a queue (`what`): not empty, at most 255 bytes, no control
 * characters. */
gw_status gw__check_name(const char *what, const char *name, gw_error *err);

#endif
