/* SPDX-License-Identifier: MIT */
/* Making a topology from what is in the databases. A row that cannot be right ends it: to leave out
 * a queue or a binding would lose the messages for it. */
#include "bus/topology_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/control.h"

typedef struct loading {
    gw__definitions *defs;
    MDB_txn *txn;
    gw__topology *topology;
    gw__place_table ids; /* places of queues */
    uint8_t *taken;      /* places of logs in the control file, a bit each */
    gw_error *err;
} loading;

typedef gw_status (*row_reader)(loading *it, const MDB_val *key, const MDB_val *value);

static gw_status no_memory(loading *it)
{
    return gw_error_set(it->err, GW_E_NOMEM, 0, "reading the bus's definitions: out of memory");
}

static gw_status damaged(loading *it, const char *kind, const MDB_val *key, const char *why)
{
    char name[GW__BUS_NAME_MAX + 1];
    size_t len = key->mv_size < sizeof(name) ? key->mv_size : sizeof(name) - 1;
    memcpy(name, key->mv_data, len);
    name[len] = '\0';
    return gw__definitions_damaged(it->defs, kind, name, why, it->err);
}

/* ---- rows --------------------------------------------------------------------------- */

static gw_status load_exchange(loading *it, const MDB_val *key, const MDB_val *value)
{
    gw__topology *topology = it->topology;
    gw__exchange_node *exchange = &topology->exchanges[topology->n_exchanges];
    if (!gw__definitions_read_exchange(key, value, &exchange->row)) {
        return damaged(it, "exchange", key, "its name or type cannot be");
    }
    exchange->place = (uint32_t)topology->n_exchanges;
    topology->exchange_rows[topology->n_exchanges] = &exchange->row;
    gw__place_table_add(&topology->exchanges_by_name, gw__topology_hash_name(exchange->row.name),
                        exchange->place);
    topology->n_exchanges++;
    return GW_OK;
}

static uint64_t hash_id(uint32_t id)
{
    return gw__definitions_hash(GW__HASH_START, &id, sizeof(id));
}

static gw__queue_row *find_id(const loading *it, uint32_t id)
{
    size_t at = 0;
    const gw__place *slot;
    while ((slot = gw__place_table_next(&it->ids, hash_id(id), &at)) != NULL) {
        if (it->topology->queues[slot->number - 1].id == id) {
            return &it->topology->queues[slot->number - 1];
        }
    }
    return NULL;
}

static gw_status load_queue(loading *it, const MDB_val *key, const MDB_val *value)
{
    gw__topology *topology = it->topology;
    gw__queue_row *queue = &topology->queues[topology->n_queues];
    if (!gw__definitions_read_queue(key, value, queue)) {
        return damaged(it, "queue", key, "a value in it cannot be");
    }
    if (find_id(it, queue->id) != NULL) {
        return damaged(it, "queue", key, "another one has its number");
    }
    uint32_t place = (uint32_t)topology->n_queues;
    topology->queue_rows[place] = queue;
    gw__place_table_add(&topology->queues_by_name, gw__topology_hash_name(queue->name), place);
    gw__place_table_add(&it->ids, hash_id(queue->id), place);
    topology->n_queues++;
    return GW_OK;
}

/* The queue of a log or binding, by the number at the start of its key, in words. */
static gw_status damaged_of(loading *it, const char *kind, const MDB_val *key,
                            const gw__queue_row *queue, const char *why)
{
    char name[GW__BUS_NAME_MAX + 32];
    uint64_t id = key->mv_size < 4 ? 0 : gw__lmdb_get_be(key->mv_data, 4);
    if (queue == NULL) {
        queue = find_id(it, (uint32_t)id);
    }
    if (queue != NULL) {
        snprintf(name, sizeof(name), "%s", queue->name);
    } else {
        snprintf(name, sizeof(name), "number %" PRIu64, id);
    }
    return gw__definitions_damaged(it->defs, kind, name, why, it->err);
}

static gw_status load_log(loading *it, const MDB_val *key, const MDB_val *value)
{
    static const char kind[] = "a log of queue";
    gw__topology *topology = it->topology;
    gw__log_row *log = &topology->logs[topology->n_logs];
    uint32_t id;
    if (!gw__definitions_read_log(key, value, &id, log)) {
        return damaged_of(it, kind, key, NULL, "a value in it cannot be");
    }
    gw__queue_row *queue = find_id(it, id);
    if (queue == NULL) {
        return damaged_of(it, kind, key, NULL, "there is no such queue");
    }
    uint8_t bit = (uint8_t)(1U << log->log % 8);
    if ((it->taken[log->log / 8] & bit) != 0) {
        return damaged_of(it, kind, key, queue, "another one has its place");
    }
    it->taken[log->log / 8] |= bit;
    if (queue->n_logs == 0) {
        queue->logs = log; /* the others follow: that is the order of the keys */
    }
    queue->n_logs++;
    topology->n_logs++;
    return GW_OK;
}

static gw_status load_binding(loading *it, const MDB_val *key, const MDB_val *value)
{
    static const char kind[] = "a binding of queue";
    gw__topology *topology = it->topology;
    gw__binding_node *binding = &topology->bindings[topology->n_bindings];
    gw_error why = GW_ERROR_INIT;
    uint32_t id;
    gw_status st =
        gw__definitions_read_binding(key, value, &id, &binding->row, &binding->holder, &why);
    if (st != GW_OK) {
        return st == GW_E_NOMEM ? no_memory(it) : damaged_of(it, kind, key, NULL, why.text);
    }
    topology->n_bindings++; /* so that its headers are freed */
    const gw__queue_row *queue = find_id(it, id);
    const gw__exchange_row *exchange = gw__topology_exchange(topology, binding->row.exchange);
    if (queue == NULL || exchange == NULL) {
        return damaged_of(it, kind, key, queue,
                          queue == NULL ? "there is no such queue" : "its exchange is not there");
    }
    memcpy(binding->row.queue, queue->name, sizeof(queue->name));
    binding->queue = (uint32_t)(queue - topology->queues);
    binding->exchange = ((const gw__exchange_node *)(const void *)exchange)->place;
    topology->binding_rows[topology->n_bindings - 1] = &binding->row;
    return GW_OK;
}

/* ---- databases ------------------------------------------------------------------------ */

/* Read all rows of a database; not more than `n`. */
static gw_status load_rows(loading *it, MDB_dbi dbi, size_t n, row_reader read)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(it->txn, dbi, &cursor);
    if (rc != 0) {
        return gw__definitions_fail(it->defs, rc, "cannot read", it->err);
    }
    gw_status st = GW_OK;
    size_t i = 0;
    while (st == GW_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        st = i++ < n ? read(it, &key, &value)
                     : gw__definitions_fail(it->defs, MDB_CORRUPTED, "cannot read", it->err);
    }
    mdb_cursor_close(cursor);
    return st != GW_OK || rc == MDB_NOTFOUND
               ? st
               : gw__definitions_fail(it->defs, rc, "cannot read", it->err);
}

static gw_status count(loading *it, MDB_dbi dbi, size_t *ret_n)
{
    MDB_stat stats;
    int rc = mdb_stat(it->txn, dbi, &stats);
    if (rc != 0) {
        return gw__definitions_fail(it->defs, rc, "cannot read", it->err);
    }
    if (stats.ms_entries > GW__DEFINITIONS_OBJECTS_MAX) {
        return gw__definitions_fail(it->defs, MDB_CORRUPTED, "cannot read", it->err);
    }
    *ret_n = stats.ms_entries;
    return GW_OK;
}

static bool allocate(loading *it, size_t n_exchanges, size_t n_queues, size_t n_logs,
                     size_t n_bindings)
{
    gw__topology *topology = it->topology; /* one more: none of them is of 0 bytes */
    topology->exchanges = calloc(n_exchanges + 1, sizeof(*topology->exchanges));
    topology->exchange_rows = calloc(n_exchanges + 1, sizeof(gw__exchange_row *));
    topology->queues = calloc(n_queues + 1, sizeof(*topology->queues));
    topology->queue_rows = calloc(n_queues + 1, sizeof(gw__queue_row *));
    topology->logs = calloc(n_logs + 1, sizeof(*topology->logs));
    topology->bindings = calloc(n_bindings + 1, sizeof(*topology->bindings));
    topology->binding_rows = calloc(n_bindings + 1, sizeof(gw__binding_row *));
    it->taken = calloc(GW__BUS_LOGS_MAX / 8, 1);
    return topology->exchanges != NULL && topology->exchange_rows != NULL &&
           topology->queues != NULL && topology->queue_rows != NULL && topology->logs != NULL &&
           topology->bindings != NULL && topology->binding_rows != NULL && it->taken != NULL &&
           gw__place_table_make(&topology->exchanges_by_name, n_exchanges) &&
           gw__place_table_make(&topology->queues_by_name, n_queues) &&
           gw__place_table_make(&topology->direct, n_bindings) &&
           gw__place_table_make(&it->ids, n_queues);
}

static gw_status load_all(loading *it)
{
    const gw__definitions *defs = it->defs;
    size_t n_exchanges = 0;
    size_t n_queues = 0;
    size_t n_logs = 0;
    size_t n_bindings = 0;
    gw_status st = count(it, defs->exchanges, &n_exchanges);
    st = st == GW_OK ? count(it, defs->queues, &n_queues) : st;
    st = st == GW_OK ? count(it, defs->logs, &n_logs) : st;
    st = st == GW_OK ? count(it, defs->bindings, &n_bindings) : st;
    if (st == GW_OK && !allocate(it, n_exchanges, n_queues, n_logs, n_bindings)) {
        st = no_memory(it);
    }
    st = st == GW_OK ? load_rows(it, defs->exchanges, n_exchanges, load_exchange) : st;
    st = st == GW_OK ? load_rows(it, defs->queues, n_queues, load_queue) : st;
    st = st == GW_OK ? load_rows(it, defs->logs, n_logs, load_log) : st;
    return st == GW_OK ? load_rows(it, defs->bindings, n_bindings, load_binding) : st;
}

static gw_status check_logs(loading *it)
{
    for (size_t i = 0; i < it->topology->n_queues; i++) {
        const gw__queue_row *queue = &it->topology->queues[i];
        if (queue->n_logs == 0 || queue->logs[0].kind != GW__LOG_MAIN) {
            return gw__definitions_damaged(it->defs, "queue", queue->name, "it has no log",
                                           it->err);
        }
    }
    return GW_OK;
}

/* ---- order ---------------------------------------------------------------------------- */

/* Exchanges and queues are in order of names: their places are as well. */
static int compare_bindings(const void *a, const void *b)
{
    const gw__binding_node *one = *(const gw__binding_node *const *)a;
    const gw__binding_node *two = *(const gw__binding_node *const *)b;
    if (one->exchange != two->exchange) {
        return one->exchange < two->exchange ? -1 : 1;
    }
    if (one->queue != two->queue) {
        return one->queue < two->queue ? -1 : 1;
    }
    return strcmp(one->row.key, two->row.key);
}

static gw__binding_node *sorted(const gw__topology *topology, size_t i)
{
    return (gw__binding_node *)(uintptr_t)topology->binding_rows[i];
}

/* Put it in front of those with the same key. */
static void add_direct(gw__topology *topology, uint32_t place)
{
    gw__binding_node *binding = sorted(topology, place);
    uint64_t hash = gw__topology_hash_direct(binding->exchange, binding->row.key);
    size_t at = 0;
    gw__place *slot;
    while ((slot = gw__place_table_next(&topology->direct, hash, &at)) != NULL) {
        const gw__binding_node *other = sorted(topology, slot->number - 1);
        if (other->exchange == binding->exchange && strcmp(other->row.key, binding->row.key) == 0) {
            binding->next = slot->number;
            slot->number = place + 1;
            return;
        }
    }
    gw__place_table_add(&topology->direct, hash, place);
}

/* Last to first, so that lists of a key are in order, and each range starts at its first. */
static void sort_bindings(gw__topology *topology)
{
    qsort(topology->binding_rows, topology->n_bindings, sizeof(topology->binding_rows[0]),
          compare_bindings);
    for (size_t i = topology->n_bindings; i-- > 0;) {
        gw__exchange_node *exchange = &topology->exchanges[sorted(topology, i)->exchange];
        exchange->first = (uint32_t)i;
        exchange->n++;
        if (exchange->row.type == GW_EXCHANGE_DIRECT) {
            add_direct(topology, (uint32_t)i);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------ */

void gw__topology_free(gw__topology *topology)
{
    if (topology == NULL) {
        return;
    }
    for (size_t i = 0; i < topology->n_bindings; i++) {
        gw_message_free(topology->bindings[i].holder);
    }
    free(topology->exchanges);
    free(topology->queues);
    free(topology->logs);
    free(topology->bindings);
    free(topology->exchange_rows);
    free(topology->queue_rows);
    free(topology->binding_rows);
    free(topology->exchanges_by_name.slots);
    free(topology->queues_by_name.slots);
    free(topology->direct.slots);
    free(topology);
}

gw_status gw__topology_load(gw__definitions *defs, MDB_txn *txn, const gw__topology **ret_topology,
                            gw_error *err)
{
    loading it = {
        .defs = defs, .txn = txn, .topology = calloc(1, sizeof(gw__topology)), .err = err};
    if (it.topology == NULL) {
        return no_memory(&it);
    }
    gw_status st = load_all(&it);
    st = st == GW_OK ? check_logs(&it) : st;
    free(it.ids.slots);
    free(it.taken);
    if (st != GW_OK) {
        gw__topology_free(it.topology);
        return st;
    }
    sort_bindings(it.topology);
    atomic_init(&it.topology->refs, 1);
    it.topology->generation = gw__definitions_seen(defs, txn);
    *ret_topology = it.topology;
    return GW_OK;
}
