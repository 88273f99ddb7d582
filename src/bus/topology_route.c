/* SPDX-License-Identifier: MIT */
/* Which queues take a message. The bindings of an exchange are in order of their queues, so that
 * one which is bound twice is met twice in a row. */
#include "bus/topology_inside.h"

#include <string.h>

#include "messaging/topic.h"

/* ---- headers ------------------------------------------------------------------------ */

static bool is_equal(const gw_value *a, const gw_value *b);

static bool are_arrays_equal(const gw_value *a, const gw_value *b)
{
    bool equal = a->as.array.n_items == b->as.array.n_items;
    for (size_t i = 0; equal && i < a->as.array.n_items; i++) {
        equal = is_equal(&a->as.array.items[i], &b->as.array.items[i]);
    }
    return equal;
}

static bool are_tables_equal(const gw_value *a, const gw_value *b)
{
    bool equal = a->as.table.n_items == b->as.table.n_items;
    for (size_t i = 0; equal && i < a->as.table.n_items; i++) {
        const gw_header *one = &a->as.table.items[i];
        const gw_header *two = &b->as.table.items[i];
        equal = strcmp(one->name, two->name) == 0 && is_equal(&one->value, &two->value);
    }
    return equal;
}

/* INT and UINT are one kind of number in two ranges. */
static bool are_integers_equal(const gw_value *a, const gw_value *b)
{
    bool has_sign = (a->kind == GW_VALUE_INT && a->as.integer < 0) ||
                    (b->kind == GW_VALUE_INT && b->as.integer < 0);
    uint64_t one = a->kind == GW_VALUE_INT ? (uint64_t)a->as.integer : a->as.uinteger;
    uint64_t two = b->kind == GW_VALUE_INT ? (uint64_t)b->as.integer : b->as.uinteger;
    return one == two && (!has_sign || a->kind == b->kind);
}

static bool is_integer(const gw_value *value)
{
    return value->kind == GW_VALUE_INT || value->kind == GW_VALUE_UINT;
}

/* Nesting is bounded by GW_VALUE_DEPTH_MAX: both are in messages. */
static bool is_equal(const gw_value *a, const gw_value *b)
{
    if (is_integer(a) && is_integer(b)) {
        return are_integers_equal(a, b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case GW_VALUE_NULL: return true;
    case GW_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case GW_VALUE_DOUBLE: return a->as.real == b->as.real;
    case GW_VALUE_DECIMAL:
        return a->as.decimal.scale == b->as.decimal.scale &&
               a->as.decimal.digits == b->as.decimal.digits;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        return a->as.bytes.len == b->as.bytes.len &&
               memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0;
    case GW_VALUE_TIME: return a->as.uinteger == b->as.uinteger;
    case GW_VALUE_ARRAY: return are_arrays_equal(a, b);
    case GW_VALUE_TABLE: return are_tables_equal(a, b);
    default: return false;
    }
}

/* A header without a value asks that the message has one of the name, as in RabbitMQ. */
static bool has_header(const gw_message *msg, const gw_header *wanted)
{
    const gw_value *value = gw_message_header(msg, wanted->name);
    return value != NULL &&
           (wanted->value.kind == GW_VALUE_NULL || is_equal(&wanted->value, value));
}

/* Without any that counts every message matches, as gw_subscribe() has it. */
static bool headers_match(const gw__binding_row *row, const gw_message *msg)
{
    size_t n_counted = 0;
    for (size_t i = 0; i < row->n_headers; i++) {
        const gw_header *wanted = &row->headers[i];
        if (strncmp(wanted->name, "x-", 2) == 0) {
            continue;
        }
        n_counted++;
        if (has_header(msg, wanted) == row->match_any) { /* it decides for all */
            return row->match_any;
        }
    }
    return !row->match_any || n_counted == 0;
}

/* ---- routing ------------------------------------------------------------------------ */

static bool takes(gw_exchange_type type, const gw__binding_row *row, const char *routing_key,
                  const gw_message *msg)
{
    switch (type) {
    case GW_EXCHANGE_DIRECT: return strcmp(row->key, routing_key) == 0;
    case GW_EXCHANGE_FANOUT: return true;
    case GW_EXCHANGE_TOPIC: return gw__topic_matches(row->key, routing_key);
    case GW_EXCHANGE_HEADERS: return headers_match(row, msg);
    }
    return false;
}

typedef struct found_queues {
    const gw__topology *topology;
    const gw__queue_row **rows;
    size_t n;
    size_t max;
    uint32_t last; /* of the queues; UINT32_MAX for none */
} found_queues;

static void add(found_queues *found, uint32_t queue)
{
    if (found->n < found->max) {
        found->rows[found->n] = &found->topology->queues[queue];
    }
    found->n++;
    found->last = queue;
}

/* The bindings with this key only, however many there are in all. */
static void route_direct(found_queues *found, uint32_t exchange, const char *routing_key)
{
    const gw__topology *topology = found->topology;
    uint64_t hash = gw__topology_hash_direct(exchange, routing_key);
    size_t at = 0;
    const gw__place *slot;
    while ((slot = gw__place_table_next(&topology->direct, hash, &at)) != NULL) {
        const gw__binding_node *binding = gw__topology_binding_at(topology, slot->number - 1);
        if (binding->exchange != exchange || strcmp(binding->row.key, routing_key) != 0) {
            continue;
        }
        add(found, binding->queue);
        for (uint32_t next = binding->next; next != 0; next = binding->next) {
            binding = gw__topology_binding_at(topology, next - 1);
            if (binding->queue != found->last) {
                add(found, binding->queue);
            }
        }
        return;
    }
}

size_t gw__topology_route(const gw__topology *topology, const gw__exchange_row *exchange,
                          const char *routing_key, const gw_message *msg,
                          const gw__queue_row **ret_queues, size_t max)
{
    const gw__exchange_node *from = (const gw__exchange_node *)(const void *)exchange;
    found_queues found = {.topology = topology, .rows = ret_queues, .max = max, .last = UINT32_MAX};
    if (exchange->type == GW_EXCHANGE_DIRECT) {
        route_direct(&found, from->place, routing_key);
        return found.n;
    }
    for (size_t i = from->first; i < (size_t)from->first + from->n; i++) {
        const gw__binding_node *binding = gw__topology_binding_at(topology, i);
        if (binding->queue != found.last &&
            takes(exchange->type, &binding->row, routing_key, msg)) {
            add(&found, binding->queue);
        }
    }
    return found.n;
}
