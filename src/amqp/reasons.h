/* SPDX-License-Identifier: MIT */
/*
 * What the codes mean with which a broker closes a connection or channel, and what to do about it:
 * for the person who reads the log or /health and does not know AMQP by heart.
 */
#ifndef GW_AMQP_REASONS_H
#define GW_AMQP_REASONS_H

#include <stdbool.h>
#include <stddef.h>

#include <amqp.h>

#include <godwit/error.h>

/* In words; `text` is what the broker says itself, which tells some cases of a code apart. NULL for
 * a code that has no meaning. Static. */
const char *gw__reason_words(int code, const char *text);

/* Fill in `err`: code and text of a close, and its meaning in brackets. */
gw_status gw__reason_set(gw_error *err, gw_status st, int code, amqp_bytes_t text);

#endif
