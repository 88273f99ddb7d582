/* SPDX-License-Identifier: MIT */
/*
 * A message on its way to its next attempt: it carries the count in its headers, so that the count
 * does not depend on who counts.
 *
 * The headers are believed by the queue that they name and by no other: whoever moves a message by
 * hand need not clean it. They are the publisher's to write like all others, so nothing but the
 * number of attempts may depend on them.
 */
#ifndef GW_MESSAGING_RETRY_H
#define GW_MESSAGING_RETRY_H

#include <stdint.h>

#include <godwit/message.h>

typedef struct gw__retry_count {
    unsigned attempt; /* which one comes: 1, 2, ... */
    unsigned crashes; /* how many processes ended while they handled it */
} gw__retry_count;

/* What a delivery from this queue carries. If it is a retry, exchange and routing key become those
 * of the first attempt. */
gw__retry_count gw__retry_read(gw_message *msg, const char *queue);

/* The message with its count, to be published for this queue.
 *
 * @return NULL with GW_E_NOMEM, or GW_E_LIMIT when its headers leave no room. */
gw_message *gw__retry_new(const gw_message *msg, const char *queue, gw__retry_count count,
                          gw_status *ret_status);

/* The first delay doubled with each further attempt, up to `max_ms`; 1 or more. */
unsigned gw__retry_delay_ms(unsigned first_ms, unsigned max_ms, unsigned attempt);

#endif
