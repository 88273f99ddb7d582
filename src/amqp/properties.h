/* SPDX-License-Identifier: MIT */
/* A message's properties in AMQP's form and in ours. */
#ifndef GW_AMQP_PROPERTIES_H
#define GW_AMQP_PROPERTIES_H

#include <amqp.h>
#include <amqp_framing.h>

#include <godwit/message.h>

/* The number of headers that a received message had and ours could not hold (nested too deep, too
 * large); set only when there were any. */
#define GW__HEADERS_DROPPED "x-godwit-headers-dropped"

/* Digits of an int64_t and a NUL. */
#define GW__EXPIRATION_MAX 24

/* Borrowed from `msg`, `pool` and `expiration`. GW_E_NOMEM; GW_E_LIMIT. */
gw_status gw__properties_from_message(const gw_message *msg, amqp_pool_t *pool,
                                      char expiration[GW__EXPIRATION_MAX],
                                      amqp_basic_properties_t *ret_properties);

/*
 * Decode encoded properties (flags first). Headers nested deeper than we decode are left out, and
 * `ret_left_out` is set to 1.
 *
 * @return GW_OK; GW_E_PROTOCOL when they are malformed; GW_E_NOMEM.
 */
gw_status gw__properties_decode(const uint8_t *data, size_t len, amqp_pool_t *pool,
                                const amqp_basic_properties_t **ret_properties,
                                size_t *ret_left_out);

/* A message with these properties and room for a body of `body_len`. NULL when out of memory. */
gw_message *gw__properties_to_message(const amqp_basic_properties_t *properties, amqp_pool_t *pool,
                                      size_t left_out, size_t body_len, size_t spare);

#endif
