/* SPDX-License-Identifier: MIT */
/*
 * The encoding of a message in the outbox's store: what gw_message_dup() keeps, nothing of a
 * delivery. record.c has the layout. A checksum and the message's place are the store's business.
 */
#ifndef GW_BUS_RECORD_H
#define GW_BUS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/message.h>

/* Bytes that the encoding of `msg` takes. */
size_t gw__record_size(const gw_message *msg);

/* Write the encoding: exactly gw__record_size() bytes. Returns the end. */
uint8_t *gw__record_write(const gw_message *msg, uint8_t *to);

/*
 * A message from bytes, which are hostile until checked; what is read encodes to the same bytes.
 * GW_E_PROTOCOL with what is wrong at which offset; GW_E_UNSUPPORTED for a newer version;
 * GW_E_NOMEM. `ret_msg` is the caller's.
 */
gw_status gw__record_read(const uint8_t *bytes, size_t len, gw_message **ret_msg, gw_error *err);

#endif
