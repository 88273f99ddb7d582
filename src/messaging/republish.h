/* SPDX-License-Identifier: MIT */
/*
 * A received message as one that can be published again, elsewhere: what it is stays, what the
 * broker would act on does not.
 *
 * Left out are: the expiration (it was delivered in time), the user id (the broker compares it with
 * ours), the CC header (the broker would send copies to others), and what the broker notes when it
 * moves a message (x-death and the like: it drops messages that seem to go in circles). Two of them
 * are kept in headers that nobody acts on.
 */
#ifndef GW_MESSAGING_REPUBLISH_H
#define GW_MESSAGING_REPUBLISH_H

#include <stdbool.h>

#include <godwit/message.h>

/* Headers of ours on what was published again. */
#define GW__HEADER_QUEUE       "x-godwit-queue" /* where it was waiting */
#define GW__HEADER_EXCHANGE    "x-godwit-exchange"
#define GW__HEADER_ROUTING_KEY "x-godwit-routing-key"
#define GW__HEADER_USER_ID     "x-godwit-user-id"
#define GW__HEADER_ATTEMPT     "x-godwit-attempt" /* of a retry: the attempt that comes next, ... */
#define GW__HEADER_CRASHES     "x-godwit-crashes" /* ... and how many processes it has ended */

/* The message of the queue, with the headers that say where it was and how it had come there.
 * Persistent. Without its own headers when `with_headers` is false.
 *
 * @return NULL with GW_E_NOMEM, or GW_E_LIMIT when its headers leave no room for ours. */
gw_message *gw__republish_new(const gw_message *msg, const char *queue, bool with_headers,
                              gw_status *ret_status);

#endif
