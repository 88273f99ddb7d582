/* SPDX-License-Identifier: MIT */
/* The side of gw_message that transports, stores and the client see: filling in a message that was
 * received or read back. */
#ifndef GW_MESSAGING_MESSAGE_H
#define GW_MESSAGING_MESSAGE_H

#include <stddef.h>

#include <godwit/message.h>

/* The order is that of a stored message (src/bus/record.c): it cannot change. */
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

/* All texts by gw__text, NULL for one that is absent; borrowed. */
char *const *gw__message_texts(const gw_message *msg);

/* Memory that lives as long as the message; NULL when there is none. `align` is a power of 2. */
void *gw__message_take(gw_message *msg, size_t len, size_t align);

/*
 * Headers that were built in memory of gw__message_take(), without a copy: what may nest in them is
 * the builder's to check. `size` is what the header takes for the limit of GW_MESSAGE_HEADERS_MAX:
 * GW__VALUE_SIZE a value, its text or bytes, and for each name its length + 1. GW_E_INVALID for an
 * empty name, GW_E_EXISTS for one that is there, GW_E_LIMIT, GW_E_NOMEM.
 */
#define GW__VALUE_SIZE 9
gw_status gw__message_reserve_headers(gw_message *msg, size_t n_headers);
gw_status gw__message_adopt_header(gw_message *msg, const gw_header *header, size_t size);

/* What they take for that limit. */
size_t gw__message_headers_size(const gw_message *msg);

void gw__message_set_redelivered(gw_message *msg, bool on);
void gw__message_set_attempt(gw_message *msg, unsigned attempt);

/* About how many bytes the message takes, for limits. */
size_t gw__message_size(const gw_message *msg);

#endif
