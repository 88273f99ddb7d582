/* SPDX-License-Identifier: MIT */
/* Header values in AMQP's form and in ours. What goes out is borrowed, not copied. */
#ifndef GW_AMQP_TABLE_H
#define GW_AMQP_TABLE_H

#include <amqp.h>

#include <godwit/message.h>

/* The headers of a message as a table whose arrays come from `pool` and whose strings are the
 * message's. GW_E_NOMEM; GW_E_LIMIT for nesting above GW_VALUE_DEPTH_MAX. */
gw_status gw__table_from_headers(const gw_message *msg, amqp_pool_t *pool, amqp_table_t *ret_table);

/* The same of any headers. */
gw_status gw__table_from(const gw_header *headers, size_t n_headers, amqp_pool_t *pool,
                         amqp_table_t *ret_table);

/*
 * Copy a table's entries into the headers of a message. An entry that a message cannot hold (no
 * name, a NUL in its name, nested too deep, too large) is left out.
 *
 * @param pool      scratch memory.
 * @param ret_left_out set to how many were left out.
 * @return GW_OK or GW_E_NOMEM.
 */
gw_status gw__table_to_headers(const amqp_table_t *table, amqp_pool_t *pool, gw_message *msg,
                               size_t *ret_left_out);

#endif
