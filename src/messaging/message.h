/* SPDX-License-Identifier: MIT */
/* The side of gw_message that transports and the client see: filling in a received message. */
#ifndef GW_MESSAGING_MESSAGE_H
#define GW_MESSAGING_MESSAGE_H

#include <stddef.h>

#include <godwit/message.h>

typedef enum gw__text {
    GW__TEXT_CONTENT_TYPE,
    GW__TEXT_CONTENT_ENCODING,
    GW__TEXT_ID,
    GW__TEXT_CORRELATION_ID,
    GW__TEXT_REPLY_TO,
    GW__TEXT_TYPE,
    GW__TEXT_APP_ID,
    GW__TEXT_USER_ID,
    GW__TEXT_ROUTING_KEY,
    GW__TEXT_EXCHANGE,
    GW__TEXT_QUEUE,
    GW__N_TEXTS
} gw__text;

/* A message whose body is to be written by the caller, with room for `spare` bytes of properties in
 * the same allocation. */
gw_message *gw__message_new_sized(size_t body_len, size_t spare);
char *gw__message_body_buffer(gw_message *msg);

/* Set a text from bytes without a NUL. GW_E_LIMIT above 255 bytes; GW_E_INVALID if it holds a NUL.
 */
gw_status gw__message_set_text(gw_message *msg, gw__text which, const char *text, size_t len);

void gw__message_set_redelivered(gw_message *msg, bool on);
void gw__message_set_attempt(gw_message *msg, unsigned attempt);

/* About how many bytes the message takes, for limits. */
size_t gw__message_size(const gw_message *msg);

#endif
