/* SPDX-License-Identifier: MIT */
/* The headers that a queue is bound to a headers exchange with. */
#ifndef GW_MESSAGING_HEADERS_MATCH_H
#define GW_MESSAGING_HEADERS_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>
#include <godwit/message.h>

#define GW__BINDING_HEADERS_MAX                                                                    \
    64 /* of one binding; together with its names, they must fit ...                               \
        */
#define GW__BINDING_SIZE_MAX ((size_t)2 << 10) /* ... the smallest frame that a peer must take */

/*
 * Whether a binding takes the message, as RabbitMQ has it: the message has all of the headers
 * wanted, or with `any` at least one, with an equal value of the same kind, where INT and UINT are
 * one; GW_VALUE_NULL is equal to every value. When none of them counts, every message is taken.
 */
bool gw__headers_match(const gw_header *wanted, size_t n_wanted, bool any, const gw_message *msg);

/* Names that begin with "x-" do not. RabbitMQ gives nothing to a binding with x-match=any where
 * none does. */
bool gw__header_counts(const gw_header *wanted);

/*
 * Check the headers of a binding and copy them into a message without a body, whose headers they
 * are. GW_E_INVALID for no name, one that is there twice, an array and a table; GW_E_LIMIT;
 * GW_E_NOMEM.
 */
gw_status gw__headers_copy(const gw_header *headers, size_t n_headers, gw_message **ret_carrier,
                           gw_error *err);

#endif
