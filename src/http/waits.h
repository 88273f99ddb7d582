/* SPDX-License-Identifier: MIT */
/**
 * @file waits.h
 * The requests of one server thread that wait: on which channel, until when, and which of them need
 * wait no longer. Knows neither sockets nor handlers. Belongs to its thread; others ring its bell.
 */
#ifndef GW_HTTP_WAITS_H
#define GW_HTTP_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/metrics.h>
#include <godwit/status.h>

#include "http/channel.h"
#include "http/timers.h"

struct gw__http_wait_list;

/** A part of the request. All zero: it does not wait. */
typedef struct gw__http_wait {
    struct gw__http_wait *prev;
    struct gw__http_wait *next;
    struct gw__http_wait_list *list; /**< where it is; NULL while it does not wait */
    uint64_t ticket;
    gw__http_timer timer;
    bool is_over; /**< it has waited long enough */
} gw__http_wait;

typedef struct gw__http_wait_list {
    gw__http_wait *first;
    gw__http_wait *last;
} gw__http_wait_list;

typedef struct gw__http_crowd gw__http_crowd;

typedef struct gw__http_waits {
    gw__http_bell bell;
    gw__http_crowd *crowds; /**< one for each channel that was waited on */
    gw__http_wait_list due; /**< those that need wait no longer */
    gw__http_timers timers; /**< of the others */
    size_t n;               /**< all that wait, or are due */
    size_t n_max;           /**< so many may wait */
    gw_gauge *gauge;        /**< counts them */
    uint64_t complained_ns; /**< when it was last logged that n_max is reached */
} gw__http_waits;

/** `waits` is all zero; the bell's descriptor stays the caller's. */
void gw__http_waits_init(gw__http_waits *waits, int bell_fd, size_t n_max, gw_gauge *gauge);

/** When nothing waits any more. */
void gw__http_waits_dispose(gw__http_waits *waits);

/**
 * From now on `wait` waits: it is due when the channel is woken after `ticket` was taken, or at
 * `until_ns`.
 *
 * @return GW_OK; GW_E_LIMIT when n_max wait, which is logged once a minute; GW_E_NOMEM.
 */
gw_status gw__http_waits_add(gw__http_waits *waits, gw__http_wait *wait, gw_http_channel *channel,
                             uint64_t ticket, uint64_t until_ns);

/** It does not wait any more. */
void gw__http_waits_remove(gw__http_waits *waits, gw__http_wait *wait);

/** Look what has become due: which channels were woken, whose time is up at `now_ns`. */
void gw__http_waits_look(gw__http_waits *waits, uint64_t now_ns);

/** All that wait are due, and their wait is over. */
void gw__http_waits_end(gw__http_waits *waits);

/** One that is due, in the order in which they became it; it waits no more. NULL: none is. */
gw__http_wait *gw__http_waits_take(gw__http_waits *waits);

/** When to look again, if the bell is not rung before: 0 for at once, UINT64_MAX for never. */
uint64_t gw__http_waits_next_ns(const gw__http_waits *waits);

#endif
