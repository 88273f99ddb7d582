/* SPDX-License-Identifier: MIT */
/*
 * Declaring and binding. What is asked for is mostly there already: each call looks first, beside
 * whoever writes, and only then waits for its turn, looks again and writes.
 */
#include "bus/definitions_format.h"

#include <stdlib.h>
#include <string.h>

typedef struct change {
    /* Whether there is something to write; fails when it cannot be. */
    gw_status (*look)(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                      gw_error *err);
    gw_status (*write)(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err);
    void *ctx;
} change;

static gw_status run(gw__definitions *defs, const change *what, gw_error *err)
{
    MDB_txn *txn;
    bool needed = false;
    gw_status st = gw__definitions_begin(defs, false, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    st = what->look(defs, txn, what->ctx, &needed, err);
    mdb_txn_abort(txn);
    if (st != GW_OK || !needed) {
        return st;
    }
    st = gw__definitions_begin(defs, true, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    st = what->look(defs, txn, what->ctx, &needed, err);
    if (st == GW_OK && needed) {
        st = what->write(defs, txn, what->ctx, err);
    } else if (st == GW_OK) { /* another one was first */
        mdb_txn_abort(txn);
        return GW_OK;
    }
    return gw__definitions_end(defs, txn, st, err);
}

static gw_status done(const gw__definitions *defs, int rc, gw_error *err)
{
    return rc == 0 ? GW_OK : gw__definitions_fail(defs, rc, "cannot write", err);
}

/* ---- looking ---------------------------------------------------------------------- */

static gw_status check_name(const char *name, const char *what, gw_error *err)
{
    size_t len = strnlen(name, GW__BUS_NAME_MAX + 1);
    return len > 0 && len <= GW__BUS_NAME_MAX
               ? GW_OK
               : gw_error_set(err, GW_E_INVALID, 0, "the name of %s has 1 to %d bytes", what,
                              GW__BUS_NAME_MAX);
}

static gw_status check_new(gw__definitions *defs, MDB_txn *txn, MDB_dbi dbi, const char *what,
                           const char *name, gw_error *err)
{
    MDB_stat stats;
    if (strncmp(name, "amq.", 4) == 0) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "%s '%s': names that start with 'amq.' are the broker's", what, name);
    }
    int rc = mdb_stat(txn, dbi, &stats);
    if (rc != 0) {
        return gw__definitions_fail(defs, rc, "cannot read", err);
    }
    return stats.ms_entries < GW__DEFINITIONS_OBJECTS_MAX
               ? GW_OK
               : gw_error_set(err, GW_E_LIMIT, 0,
                              "%s '%s': the bus of %s holds %zu of them already", what, name,
                              defs->dir, stats.ms_entries);
}

static gw_status find_exchange(gw__definitions *defs, MDB_txn *txn, const char *name,
                               bool *ret_found, gw__exchange_row *ret_row, gw_error *err)
{
    MDB_val key = gw__lmdb_val(name, strlen(name));
    MDB_val value;
    int rc = mdb_get(txn, defs->exchanges, &key, &value);
    *ret_found = rc == 0;
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? GW_OK : gw__definitions_fail(defs, rc, "cannot read", err);
    }
    return gw__definitions_read_exchange(&key, &value, ret_row)
               ? GW_OK
               : gw__definitions_damaged(defs, "exchange", name, "no such type", err);
}

static gw_status find_queue(gw__definitions *defs, MDB_txn *txn, const char *name, bool *ret_found,
                            gw__queue_row *ret_row, gw_error *err)
{
    MDB_val key = gw__lmdb_val(name, strlen(name));
    MDB_val value;
    int rc = mdb_get(txn, defs->queues, &key, &value);
    *ret_found = rc == 0;
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? GW_OK : gw__definitions_fail(defs, rc, "cannot read", err);
    }
    return gw__definitions_read_queue(&key, &value, ret_row)
               ? GW_OK
               : gw__definitions_damaged(defs, "queue", name, "no such kind", err);
}

/* As find_queue(), but there is to be one. */
static gw_status need_queue(gw__definitions *defs, MDB_txn *txn, const char *name,
                            gw__queue_row *ret_row, gw_error *err)
{
    bool found;
    gw_status st = find_queue(defs, txn, name, &found, ret_row, err);
    return st != GW_OK || found
               ? st
               : gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s': there is none", name);
}

/* ---- exchanges ------------------------------------------------------------------------ */

static gw_status look_for_exchange(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                                   gw_error *err)
{
    const gw__exchange_row *wanted = ctx;
    gw__exchange_row row;
    bool found;
    gw_status st = find_exchange(defs, txn, wanted->name, &found, &row, err);
    if (st != GW_OK) {
        return st;
    }
    *ret_needed = !found;
    if (!found) {
        return check_new(defs, txn, defs->exchanges, "exchange", wanted->name, err);
    }
    return row.type == wanted->type
               ? GW_OK
               : gw_error_set(err, GW_E_EXISTS, 0, "exchange '%s' exists and is of type %s, not %s",
                              wanted->name, gw_exchange_type_name(row.type),
                              gw_exchange_type_name(wanted->type));
}

static gw_status write_exchange(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err)
{
    const gw__exchange_row *wanted = ctx;
    uint8_t type = (uint8_t)wanted->type;
    MDB_val key = gw__lmdb_val(wanted->name, strlen(wanted->name));
    MDB_val value = gw__lmdb_val(&type, 1);
    return done(defs, mdb_put(txn, defs->exchanges, &key, &value, 0), err);
}

gw_status gw__definitions_exchange(gw__definitions *defs, const char *name, gw_exchange_type type,
                                   gw_error *err)
{
    gw_status st = check_name(name, "an exchange", err);
    if (st != GW_OK) {
        return st;
    }
    gw__exchange_row wanted = {.type = type};
    memcpy(wanted.name, name, strlen(name) + 1);
    const change what = {.look = look_for_exchange, .write = write_exchange, .ctx = &wanted};
    return run(defs, &what, err);
}

/* ---- queues and their logs ---------------------------------------------------------------- */

typedef struct log_change {
    const gw__queue_row *wanted; /* of a queue */
    const char *queue;           /* of a log alone, ... */
    gw__log_kind kind;
    uint32_t number;
    uint32_t id; /* ... with the id of its queue */
    const gw__log_maker *maker;
    bool made;
    gw__log_row row;
} log_change;

/* The log has its place in the control file first: taken back if the transaction fails. */
static gw_status write_log(gw__definitions *defs, MDB_txn *txn, uint32_t queue, log_change *it,
                           gw_error *err)
{
    gw_status st = it->maker->make(it->maker->ctx, &it->row.log, &it->row.serial, err);
    if (st != GW_OK) {
        return st;
    }
    it->made = true;
    uint8_t key_bytes[GW__LOG_KEY_LEN];
    uint8_t bytes[GW__LOG_VALUE_LEN];
    gw__definitions_write_log_key(queue, it->kind, it->number, key_bytes);
    gw__definitions_write_log(&it->row, bytes);
    MDB_val key = gw__lmdb_val(key_bytes, sizeof(key_bytes));
    MDB_val value = gw__lmdb_val(bytes, sizeof(bytes));
    return done(defs, mdb_put(txn, defs->logs, &key, &value, 0), err);
}

static gw_status run_with_log(gw__definitions *defs, const change *what, gw_error *err)
{
    log_change *it = what->ctx;
    gw_status st = run(defs, what, err);
    if (st != GW_OK && it->made) {
        it->maker->undo(it->maker->ctx, it->row.log, it->row.serial);
    }
    return st;
}

static gw_status look_for_queue(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                                gw_error *err)
{
    const gw__queue_row *wanted = ((log_change *)ctx)->wanted;
    gw__queue_row row;
    bool found;
    gw_status st = find_queue(defs, txn, wanted->name, &found, &row, err);
    if (st != GW_OK) {
        return st;
    }
    *ret_needed = !found;
    if (!found) {
        return check_new(defs, txn, defs->queues, "queue", wanted->name, err);
    }
    if (row.temporary != wanted->temporary || row.type != wanted->type) {
        return gw_error_set(err, GW_E_EXISTS, 0,
                            "queue '%s' exists and is of another type or durability", row.name);
    }
    return !row.temporary || (row.member == wanted->member &&
                              row.member_generation == wanted->member_generation)
               ? GW_OK
               : gw_error_set(err, GW_E_EXISTS, 0,
                              "queue '%s' exists and is the temporary one of another process",
                              row.name);
}

static gw_status next_id(gw__definitions *defs, MDB_txn *txn, uint32_t *ret_id, gw_error *err)
{
    MDB_val key = gw__lmdb_val("last_queue", 10);
    MDB_val value;
    uint8_t bytes[GW__QUEUE_ID_LEN] = {0};
    int rc = mdb_get(txn, defs->meta, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(bytes)) {
        memcpy(bytes, value.mv_data, sizeof(bytes));
    } else if (rc != MDB_NOTFOUND) {
        return rc != 0 ? done(defs, rc, err)
                       : gw__definitions_damaged(defs, "the counter", "last_queue",
                                                 "it has not 4 bytes", err);
    }
    uint32_t last = (uint32_t)gw__lmdb_get_be(bytes, sizeof(bytes));
    if (last == UINT32_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "the bus of %s has no more numbers for queues",
                            defs->dir);
    }
    gw__lmdb_put_be(bytes, last + 1, sizeof(bytes));
    value = gw__lmdb_val(bytes, sizeof(bytes));
    *ret_id = last + 1;
    return done(defs, mdb_put(txn, defs->meta, &key, &value, 0), err);
}

static gw_status put_queue(gw__definitions *defs, MDB_txn *txn, const gw__queue_row *row,
                           gw_error *err)
{
    uint8_t bytes[GW__QUEUE_VALUE_LEN];
    gw__definitions_write_queue(row, bytes);
    MDB_val key = gw__lmdb_val(row->name, strlen(row->name));
    MDB_val value = gw__lmdb_val(bytes, sizeof(bytes));
    return done(defs, mdb_put(txn, defs->queues, &key, &value, 0), err);
}

static gw_status write_queue(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err)
{
    log_change *it = ctx;
    gw__queue_row row = *it->wanted;
    gw_status st = next_id(defs, txn, &row.id, err);
    st = st == GW_OK ? put_queue(defs, txn, &row, err) : st;
    return st == GW_OK ? write_log(defs, txn, row.id, it, err) : st;
}

gw_status gw__definitions_queue(gw__definitions *defs, const gw__queue_row *wanted,
                                const gw__log_maker *maker, gw_error *err)
{
    gw_status st = check_name(wanted->name, "a queue", err);
    if (st != GW_OK) {
        return st;
    }
    log_change it = {.wanted = wanted, .kind = GW__LOG_MAIN, .maker = maker};
    const change what = {.look = look_for_queue, .write = write_queue, .ctx = &it};
    return run_with_log(defs, &what, err);
}

static gw_status look_for_log(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                              gw_error *err)
{
    log_change *it = ctx;
    gw__queue_row row;
    gw_status st = need_queue(defs, txn, it->queue, &row, err);
    if (st != GW_OK) {
        return st;
    }
    uint8_t key_bytes[GW__LOG_KEY_LEN];
    gw__definitions_write_log_key(row.id, it->kind, it->number, key_bytes);
    MDB_val key = gw__lmdb_val(key_bytes, sizeof(key_bytes));
    MDB_val value;
    int rc = mdb_get(txn, defs->logs, &key, &value);
    *ret_needed = rc == MDB_NOTFOUND;
    it->id = row.id;
    return rc == MDB_NOTFOUND ? GW_OK : done(defs, rc, err);
}

static gw_status write_one_log(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err)
{
    log_change *it = ctx;
    return write_log(defs, txn, it->id, it, err);
}

gw_status gw__definitions_log(gw__definitions *defs, const char *queue, gw__log_kind kind,
                              uint32_t number, const gw__log_maker *maker, gw_error *err)
{
    gw_status st = check_name(queue, "a queue", err);
    if (st != GW_OK) {
        return st;
    }
    if ((kind == GW__LOG_MAIN && number != 0) ||
        (kind == GW__LOG_PRIORITY && (number < 1 || number > 9)) ||
        (kind == GW__LOG_DELAY && number == 0)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "queue '%s': a priority is 1 to 9, and a delay more than 0 ms", queue);
    }
    log_change it = {.queue = queue, .kind = kind, .number = number, .maker = maker};
    const change what = {.look = look_for_log, .write = write_one_log, .ctx = &it};
    return run_with_log(defs, &what, err);
}

/* ---- limits ---------------------------------------------------------------------------------- */

typedef struct limits_change {
    const char *queue;
    uint64_t max_messages;
    uint64_t max_bytes;
    gw__overflow overflow;
    gw__queue_row row; /* as it is to be */
} limits_change;

static gw_status look_for_limits(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                                 gw_error *err)
{
    limits_change *it = ctx;
    gw_status st = need_queue(defs, txn, it->queue, &it->row, err);
    if (st == GW_OK) {
        *ret_needed = it->row.max_messages != it->max_messages ||
                      it->row.max_bytes != it->max_bytes || it->row.overflow != it->overflow;
        it->row.max_messages = it->max_messages;
        it->row.max_bytes = it->max_bytes;
        it->row.overflow = it->overflow;
    }
    return st;
}

static gw_status write_limits(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err)
{
    return put_queue(defs, txn, &((limits_change *)ctx)->row, err);
}

gw_status gw__definitions_limits(gw__definitions *defs, const char *queue, uint64_t max_messages,
                                 uint64_t max_bytes, gw__overflow overflow, gw_error *err)
{
    gw_status st = check_name(queue, "a queue", err);
    if (st != GW_OK) {
        return st;
    }
    limits_change it = {
        .queue = queue, .max_messages = max_messages, .max_bytes = max_bytes, .overflow = overflow};
    const change what = {.look = look_for_limits, .write = write_limits, .ctx = &it};
    return run(defs, &what, err);
}

/* ---- bindings -------------------------------------------------------------------------------- */

typedef struct binding_change {
    const gw__binding_row *wanted;
    uint8_t *bytes; /* the value */
    size_t len;
    uint8_t key[GW__BINDING_KEY_LEN];
} binding_change;

/* Headers say nothing but in a headers exchange: there alone they are kept. */
static gw_status encode(const gw__binding_row *wanted, gw_exchange_type type, binding_change *it,
                        gw_error *err)
{
    free(it->bytes); /* of the first look */
    it->bytes = NULL;
    gw__binding_row row = *wanted;
    if (type != GW_EXCHANGE_HEADERS) {
        row.n_headers = 0;
        row.match_any = false;
    }
    return gw__definitions_write_binding(&row, &it->bytes, &it->len, err);
}

/* Is it there? If not, its key is a free one. */
static gw_status find_binding(gw__definitions *defs, MDB_txn *txn, uint32_t queue,
                              binding_change *it, bool *ret_found, gw_error *err)
{
    MDB_val wanted = gw__lmdb_val(it->bytes, it->len);
    for (unsigned number = 0; number <= UINT8_MAX; number++) {
        gw__definitions_write_binding_key(queue, &wanted, (uint8_t)number, it->key);
        MDB_val key = gw__lmdb_val(it->key, sizeof(it->key));
        MDB_val value;
        int rc = mdb_get(txn, defs->bindings, &key, &value);
        if (rc != 0 && rc != MDB_NOTFOUND) {
            return gw__definitions_fail(defs, rc, "cannot read", err);
        }
        *ret_found =
            rc == 0 && value.mv_size == it->len && memcmp(value.mv_data, it->bytes, it->len) == 0;
        if (rc == MDB_NOTFOUND || *ret_found) {
            return GW_OK;
        }
    }
    return gw_error_set(err, GW_E_LIMIT, 0, "queue '%s' has too many bindings like this one",
                        it->wanted->queue);
}

static gw_status look_for_binding(gw__definitions *defs, MDB_txn *txn, void *ctx, bool *ret_needed,
                                  gw_error *err)
{
    binding_change *it = ctx;
    const gw__binding_row *wanted = it->wanted;
    gw__exchange_row exchange;
    gw__queue_row queue;
    bool found;
    gw_status st = find_exchange(defs, txn, wanted->exchange, &found, &exchange, err);
    if (st == GW_OK && !found) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "exchange '%s': there is none",
                            wanted->exchange);
    }
    st = st == GW_OK ? need_queue(defs, txn, wanted->queue, &queue, err) : st;
    st = st == GW_OK ? encode(wanted, exchange.type, it, err) : st;
    st = st == GW_OK ? find_binding(defs, txn, queue.id, it, &found, err) : st;
    if (st != GW_OK) {
        return st;
    }
    *ret_needed = !found;
    MDB_stat stats = {.ms_entries = 0};
    int rc = found ? 0 : mdb_stat(txn, defs->bindings, &stats);
    if (rc != 0) {
        return gw__definitions_fail(defs, rc, "cannot read", err);
    }
    return stats.ms_entries < GW__DEFINITIONS_OBJECTS_MAX
               ? GW_OK
               : gw_error_set(err, GW_E_LIMIT, 0, "the bus of %s holds %zu bindings already",
                              defs->dir, stats.ms_entries);
}

static gw_status write_binding(gw__definitions *defs, MDB_txn *txn, void *ctx, gw_error *err)
{
    binding_change *it = ctx;
    MDB_val key = gw__lmdb_val(it->key, sizeof(it->key));
    MDB_val value = gw__lmdb_val(it->bytes, it->len);
    return done(defs, mdb_put(txn, defs->bindings, &key, &value, 0), err);
}

gw_status gw__definitions_bind(gw__definitions *defs, const gw__binding_row *binding, gw_error *err)
{
    gw_status st = check_name(binding->exchange, "an exchange", err);
    st = st == GW_OK ? check_name(binding->queue, "a queue", err) : st;
    if (st != GW_OK) {
        return st;
    }
    if (strnlen(binding->key, sizeof(binding->key)) > GW__BUS_NAME_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "a binding key has at most %d bytes",
                            GW__BUS_NAME_MAX);
    }
    binding_change it = {.wanted = binding};
    const change what = {.look = look_for_binding, .write = write_binding, .ctx = &it};
    st = run(defs, &what, err);
    free(it.bytes);
    return st;
}
