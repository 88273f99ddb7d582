/* SPDX-License-Identifier: MIT */
/*
 * What was published on a channel and is not confirmed yet: a ring by sequence number. Numbers
 * start at 1 on each channel. Confirms come in any order, one or many at once.
 */
#ifndef GW_AMQP_CONFIRMS_H
#define GW_AMQP_CONFIRMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messaging/transport.h"

#define GW__CONFIRM_WINDOW 1024 /* most that are on their way; a power of two */

typedef struct gw__confirms {
    struct {
        gw__outgoing *item; /* NULL: settled, waiting for older ones or for its confirm */
        uint64_t sent_ns;
    } slots[GW__CONFIRM_WINDOW];
    uint64_t oldest;        /* the first number that is not settled */
    uint64_t next;          /* of the next publish */
    uint64_t returned_from; /* the broker's next return is of this number or a later one, most
                               likely */
} gw__confirms;

/* A new channel: forget everything. */
void gw__confirms_reset(gw__confirms *confirms);

size_t gw__confirms_count(const gw__confirms *confirms);

/* The next number is this item's. There must be room. */
void gw__confirms_add(gw__confirms *confirms, gw__outgoing *item, uint64_t now_ns);

/* Whether this number was used on this channel. */
bool gw__confirms_is_known(const gw__confirms *confirms, uint64_t tag);

/* The confirm of one number came. Returns its item, NULL if it was settled before. */
gw__outgoing *gw__confirms_take(gw__confirms *confirms, uint64_t tag, uint64_t *ret_sent_ns);

/* The broker returned a message: which one? The first of those on their way that was sent so,
 * settled with that. NULL when there is none. */
gw__outgoing *gw__confirms_take_returned(gw__confirms *confirms, const char *exchange,
                                         const char *routing_key, const char *message_id);

/* When this number, which has no confirm, was sent; 0 when it has. `ret_item`: as long as nothing
 * else settled it. */
uint64_t gw__confirms_sent_ns(const gw__confirms *confirms, uint64_t tag, gw__outgoing **ret_item);

/* When the oldest one without a confirm was sent; 0 when there is none. */
uint64_t gw__confirms_oldest_ns(const gw__confirms *confirms);

#endif
