/* SPDX-License-Identifier: MIT */
/* Getting the newest topology, and looking into one. topology_load.c makes them. */
#include "bus/topology_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------ */

bool gw__place_table_make(gw__place_table *table, size_t n)
{
    size_t size = 16;
    while (size < 2 * n) {
        size *= 2;
    }
    table->slots = calloc(size, sizeof(*table->slots));
    table->mask = size - 1;
    return table->slots != NULL;
}

static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

void gw__place_table_add(gw__place_table *table, uint64_t hash, uint32_t place)
{
    size_t at = fold(hash) & table->mask;
    while (table->slots[at].number != 0) {
        at = (at + 1) & table->mask;
    }
    table->slots[at] = (gw__place){.hash = fold(hash), .number = place + 1};
}

gw__place *gw__place_table_next(const gw__place_table *table, uint64_t hash, size_t *at)
{
    gw__place *slot;
    do {
        slot = &table->slots[(fold(hash) + *at) & table->mask];
        *at += 1;
    } while (slot->number != 0 && slot->hash != fold(hash));
    return slot->number != 0 ? slot : NULL;
}

uint64_t gw__topology_hash_name(const char *name)
{
    return gw__definitions_hash(GW__HASH_START, name, strlen(name));
}

uint64_t gw__topology_hash_direct(uint32_t exchange, const char *key)
{
    uint64_t hash = gw__definitions_hash(GW__HASH_START, &exchange, sizeof(exchange));
    return gw__definitions_hash(hash, key, strlen(key));
}

/* ---- references ---------------------------------------------------------------------- */

static void take_reference(const gw__topology *topology)
{
    gw__topology *it = (gw__topology *)(uintptr_t)topology; /* all else in it is constant */
    atomic_fetch_add_explicit(&it->refs, 1, memory_order_relaxed);
}

void gw__topology_put(const gw__topology *topology)
{
    gw__topology *it = (gw__topology *)(uintptr_t)topology;
    if (it != NULL && atomic_fetch_sub_explicit(&it->refs, 1, memory_order_acq_rel) == 1) {
        gw__topology_free(it);
    }
}

uint64_t gw__topology_generation(const gw__topology *topology)
{
    return topology->generation;
}

/* The newest known one if it is of this generation, with a reference; NULL if not. */
static const gw__topology *get_known(gw__definitions *defs, uint64_t generation)
{
    pthread_mutex_lock(&defs->lock);
    const gw__topology *topology = defs->newest;
    if (topology != NULL && topology->generation == generation) {
        take_reference(topology);
    } else {
        topology = NULL;
    }
    pthread_mutex_unlock(&defs->lock);
    return topology;
}

/* Takes over a reference, and keeps another one. */
static void set_newest(gw__definitions *defs, const gw__topology *topology)
{
    take_reference(topology);
    pthread_mutex_lock(&defs->lock);
    const gw__topology *old = defs->newest;
    defs->newest = topology;
    pthread_mutex_unlock(&defs->lock);
    gw__topology_put(old);
}

/*
 * A transaction that sees this generation. A writer has a moment between the change and showing it
 * to readers, and can be killed in it: taking the writers' lock waits for the one, and repairs what
 * is left of the other.
 */
static gw_status begin_at(gw__definitions *defs, uint64_t generation, MDB_txn **ret_txn,
                          gw_error *err)
{
    gw_status st = gw__definitions_begin(defs, false, ret_txn, err);
    if (st != GW_OK || gw__definitions_seen(defs, *ret_txn) >= generation || defs->read_only) {
        return st;
    }
    mdb_txn_abort(*ret_txn);
    MDB_txn *turn;
    st = gw__definitions_begin(defs, true, &turn, err);
    if (st != GW_OK) {
        return st;
    }
    mdb_txn_abort(turn);
    return gw__definitions_begin(defs, false, ret_txn, err);
}

/* @locks load_lock */
static gw_status load_newest(gw__definitions *defs, uint64_t generation,
                             const gw__topology **ret_topology, gw_error *err)
{
    MDB_txn *txn;
    gw_status st = begin_at(defs, generation, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    const gw__topology *topology = get_known(defs, gw__definitions_seen(defs, txn));
    if (topology == NULL) {
        st = gw__topology_load(defs, txn, &topology, err);
        if (st == GW_OK) {
            set_newest(defs, topology);
        }
    }
    mdb_txn_abort(txn);
    if (st == GW_OK) {
        *ret_topology = topology;
    }
    return st;
}

gw_status gw__topology_get(gw__definitions *defs, const gw__topology **ret_topology, gw_error *err)
{
    const gw__topology *topology = get_known(defs, gw__definitions_generation(defs));
    gw_status st = GW_OK;
    if (topology == NULL) {
        pthread_mutex_lock(&defs->load_lock);
        uint64_t generation = gw__definitions_generation(defs);
        topology = get_known(defs, generation); /* another thread has loaded it, maybe */
        st = topology != NULL ? GW_OK : load_newest(defs, generation, &topology, err);
        pthread_mutex_unlock(&defs->load_lock);
    }
    if (st == GW_OK) {
        *ret_topology = topology;
    }
    return st;
}

gw_status gw__topology_hold(gw__definitions *defs, gw__topology_look look, void *ctx, gw_error *err)
{
    MDB_txn *txn;
    gw_status st = gw__definitions_begin(defs, true, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    const gw__topology *topology;
    st = gw__topology_load(defs, txn, &topology, err);
    if (st == GW_OK) {
        look(ctx, topology);
        gw__topology_put(topology);
    }
    mdb_txn_abort(txn);
    return st;
}

/* ---- looking --------------------------------------------------------------------------- */

const gw__queue_row *gw__topology_queue(const gw__topology *topology, const char *name)
{
    uint64_t hash = gw__topology_hash_name(name);
    size_t at = 0;
    const gw__place *slot;
    while ((slot = gw__place_table_next(&topology->queues_by_name, hash, &at)) != NULL) {
        const gw__queue_row *row = &topology->queues[slot->number - 1];
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

const gw__exchange_row *gw__topology_exchange(const gw__topology *topology, const char *name)
{
    uint64_t hash = gw__topology_hash_name(name);
    size_t at = 0;
    const gw__place *slot;
    while ((slot = gw__place_table_next(&topology->exchanges_by_name, hash, &at)) != NULL) {
        const gw__exchange_row *row = &topology->exchanges[slot->number - 1].row;
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

const gw__queue_row *const *gw__topology_queues(const gw__topology *topology, size_t *ret_n)
{
    *ret_n = topology->n_queues;
    return topology->queue_rows;
}

const gw__exchange_row *const *gw__topology_exchanges(const gw__topology *topology, size_t *ret_n)
{
    *ret_n = topology->n_exchanges;
    return topology->exchange_rows;
}

const gw__binding_row *const *gw__topology_bindings(const gw__topology *topology, size_t *ret_n)
{
    *ret_n = topology->n_bindings;
    return topology->binding_rows;
}
