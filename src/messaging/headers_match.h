/* SPDX-License-Identifier: MIT */
/* The headers that a queue is bound to a headers exchange with. */
#ifndef GW_MESSAGING_HEADERS_MATCH_H
#define GW_MESSAGING_HEADERS_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>
#include <godwit/message.h>

#define GW__BINDING_HEADERS_MAX 64                 /* of one binding; */
#define GW__BINDING_SIZE_MAX    ((size_t)16 << 10) /* all of them, about: one frame must hold them */

/*
 * Whether a binding takes the message, as RabbitMQ has it: the message has all of the headers
 * wanted, or with `any` at least one, with a value of the same kind that is equal (the items of a
 * table in the same order); GW_VALUE_NULL is equal to every value. Names that begin with "x-" do
 * not count, and when none counts, every message is taken.
 */
bool gw__headers_match(const gw_header *wanted, size_t n_wanted, bool any, const gw_message *msg);

/* Whether any of them counts. RabbitMQ gives nothing to a binding with x-match=any where none does.
 */
bool gw__headers_count(const gw_header *wanted, size_t n_wanted);

/*
 * Check the headers of a binding and copy them into a message without a body, whose headers they
 * are. GW_E_INVALID for an empty or NULL name and one that is there twice; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status gw__headers_copy(const gw_header *headers, size_t n_headers, gw_message **ret_carrier,
                           gw_error *err);

#endif
