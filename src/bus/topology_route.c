/* SPDX-License-Identifier: MIT */
/* Which queues take a message. The bindings of an exchange are in order of their queues, so that
 * one which is bound twice is met twice in a row. */
#include "bus/topology_inside.h"

#include <string.h>

#include "messaging/headers_match.h"
#include "messaging/topic.h"

/* ---- routing ------------------------------------------------------------------------ */

static bool takes(gw_exchange_type type, const gw__binding_row *row, const char *routing_key,
                  const gw_message *msg)
{
    switch (type) {
    case GW_EXCHANGE_DIRECT: return strcmp(row->key, routing_key) == 0;
    case GW_EXCHANGE_FANOUT: return true;
    case GW_EXCHANGE_TOPIC: return gw__topic_matches(row->key, routing_key);
    case GW_EXCHANGE_HEADERS:
        return gw__headers_match(row->headers, row->n_headers, row->match_any, msg);
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
