/* SPDX-License-Identifier: MIT */
/* A topology from inside: arrays in order of names, and tables of their places by hash. Nothing
 * changes once it is loaded, but the number of references. */
#ifndef GW_BUS_TOPOLOGY_INSIDE_H
#define GW_BUS_TOPOLOGY_INSIDE_H

#include "bus/definitions_format.h"

/* Places in an array by hash; at most half full. */
typedef struct gw__place {
    uint32_t hash;
    uint32_t number; /* the place + 1; 0: free */
} gw__place;

typedef struct gw__place_table {
    gw__place *slots;
    size_t mask;
} gw__place_table;

typedef struct gw__exchange_node {
    gw__exchange_row row; /* first */
    uint32_t place;
    uint32_t first; /* of its bindings, which are neighbours, */
    uint32_t n;
} gw__exchange_node;

typedef struct gw__binding_node {
    gw__binding_row row; /* first */
    uint32_t exchange;   /* places of both */
    uint32_t queue;
    uint32_t next; /* the next one of a direct exchange with this key, its place + 1; 0: none */
    gw_message *holder; /* of its headers */
} gw__binding_node;

struct gw__topology {
    _Atomic size_t refs;
    uint64_t generation;
    size_t n_queues;
    size_t n_exchanges;
    size_t n_bindings;
    size_t n_logs;
    gw__queue_row *queues;
    gw__exchange_node *exchanges;
    gw__binding_node *bindings; /* as they were read */
    gw__log_row *logs;
    const gw__queue_row **queue_rows; /* in order of names, as the next two; ... */
    const gw__exchange_row **exchange_rows;
    const gw__binding_row **binding_rows; /* ... of exchange, then queue, then key */
    gw__place_table queues_by_name;
    gw__place_table exchanges_by_name;
    gw__place_table direct; /* the first of binding_rows for an exchange and key */
};

/* From one read transaction. */
gw_status gw__topology_load(gw__definitions *defs, MDB_txn *txn, const gw__topology **ret_topology,
                            gw_error *err);
void gw__topology_free(gw__topology *topology); /* accepts NULL and a half-loaded one */

/* False when out of memory. */
bool gw__place_table_make(gw__place_table *table, size_t n);
void gw__place_table_add(gw__place_table *table, uint64_t hash, uint32_t place);

/* The next one with this hash; NULL when there is no more. `at` starts as 0. */
gw__place *gw__place_table_next(const gw__place_table *table, uint64_t hash, size_t *at);

uint64_t gw__topology_hash_name(const char *name);
uint64_t gw__topology_hash_direct(uint32_t exchange, const char *key);

static inline const gw__binding_node *gw__topology_binding_at(const gw__topology *topology,
                                                              size_t i)
{
    return (const gw__binding_node *)(const void *)topology->binding_rows[i];
}

#endif
