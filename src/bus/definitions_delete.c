/* SPDX-License-Identifier: MIT */
/* Deleting queues, with all that belongs to them. */
#include "bus/definitions_format.h"

#include <stdlib.h>
#include <string.h>

#include "bus/log.h"

/* Logs of queues that are deleted, told of after the commit. */
typedef struct gone_logs {
    gw__log_row *rows;
    size_t n;
    size_t room;
} gone_logs;

static gw_status add_log(gone_logs *gone, const gw__log_row *row, gw_error *err)
{
    if (gone->n == gone->room) {
        size_t room = gone->room == 0 ? 16 : 2 * gone->room;
        gw__log_row *rows = realloc(gone->rows, room * sizeof(*rows));
        if (rows == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "deleting a queue: out of memory");
        }
        gone->rows = rows;
        gone->room = room;
    }
    gone->rows[gone->n++] = *row;
    return GW_OK;
}

static gw_status add_log_of(gw__definitions *defs, const char *queue, const MDB_val *key,
                            const MDB_val *value, gone_logs *gone, gw_error *err)
{
    uint32_t id;
    gw__log_row row;
    return gw__definitions_read_log(key, value, &id, &row)
               ? add_log(gone, &row, err)
               : gw__definitions_damaged(defs, "a log of queue", queue, "no such log", err);
}

/* Delete the rows whose keys begin with the queue's id; logs are noted in `gone` if it is there. */
static gw_status delete_rows(gw__definitions *defs, MDB_txn *txn, MDB_dbi dbi,
                             const gw__queue_row *queue, gone_logs *gone, gw_error *err)
{
    uint8_t id[GW__QUEUE_ID_LEN];
    gw__lmdb_put_be(id, queue->id, sizeof(id));
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return gw__definitions_fail(defs, rc, "cannot write", err);
    }
    gw_status st = GW_OK;
    while (st == GW_OK && rc == 0) {
        MDB_val key = gw__lmdb_val(id, sizeof(id));
        MDB_val value;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc != 0 || key.mv_size < sizeof(id) || memcmp(key.mv_data, id, sizeof(id)) != 0) {
            break;
        }
        st = gone == NULL ? GW_OK : add_log_of(defs, queue->name, &key, &value, gone, err);
        rc = st == GW_OK ? mdb_cursor_del(cursor, 0) : 0;
    }
    mdb_cursor_close(cursor);
    return st != GW_OK || rc == 0 || rc == MDB_NOTFOUND
               ? st
               : gw__definitions_fail(defs, rc, "cannot write", err);
}

static gw_status delete_queue(gw__definitions *defs, MDB_txn *txn, const gw__queue_row *queue,
                              gone_logs *gone, gw_error *err)
{
    gw_status st = delete_rows(defs, txn, defs->logs, queue, gone, err);
    st = st == GW_OK ? delete_rows(defs, txn, defs->bindings, queue, NULL, err) : st;
    if (st != GW_OK) {
        return st;
    }
    MDB_val key = gw__lmdb_val(queue->name, strlen(queue->name));
    int rc = mdb_del(txn, defs->queues, &key, NULL);
    return rc == 0 ? GW_OK : gw__definitions_fail(defs, rc, "cannot write", err);
}

static gw_status end(gw__definitions *defs, MDB_txn *txn, gw_status st, gone_logs *gone,
                     gw__log_gone told, void *ctx, gw_error *err)
{
    st = gw__definitions_end(defs, txn, st, err);
    for (size_t i = 0; st == GW_OK && told != NULL && i < gone->n; i++) {
        told(ctx, &gone->rows[i]);
    }
    free(gone->rows);
    return st;
}

gw_status gw__definitions_delete(gw__definitions *defs, const char *queue, gw__log_gone gone,
                                 void *ctx, gw_error *err)
{
    MDB_txn *txn;
    gw_status st = gw__definitions_begin(defs, true, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    MDB_val key = gw__lmdb_val(queue, strnlen(queue, GW__BUS_NAME_MAX + 1));
    MDB_val value;
    gw__queue_row row;
    gone_logs logs = {.n = 0};
    int rc = key.mv_size == 0 || key.mv_size > GW__BUS_NAME_MAX
                 ? MDB_NOTFOUND
                 : mdb_get(txn, defs->queues, &key, &value);
    if (rc == MDB_NOTFOUND) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%.255s': there is none", queue);
    } else if (rc != 0) {
        st = gw__definitions_fail(defs, rc, "cannot read", err);
    } else if (!gw__definitions_read_queue(&key, &value, &row)) {
        st = gw__definitions_damaged(defs, "queue", queue, "no such kind", err);
    } else {
        st = delete_queue(defs, txn, &row, &logs, err);
    }
    return end(defs, txn, st, &logs, gone, ctx, err);
}

/* Find the first queue behind `name` that is temporary, and this member's. */
static gw_status next_temporary(gw__definitions *defs, MDB_cursor *cursor, uint32_t member,
                                uint64_t member_generation, bool *ret_found, gw__queue_row *row,
                                gw_error *err)
{
    MDB_val key = gw__lmdb_val(row->name, strlen(row->name));
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, key.mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == 0) {
        if (!gw__definitions_read_queue(&key, &value, row)) {
            char name[GW__BUS_NAME_MAX + 1] = {0};
            memcpy(name, key.mv_data, key.mv_size < sizeof(name) ? key.mv_size : sizeof(name) - 1);
            return gw__definitions_damaged(defs, "queue", name, "no such kind", err);
        }
        *ret_found = row->temporary &&
                     (member == GW__LOG_NOBODY ||
                      (row->member == member && row->member_generation == member_generation));
        if (*ret_found) {
            return GW_OK;
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    *ret_found = false;
    return rc == MDB_NOTFOUND ? GW_OK : gw__definitions_fail(defs, rc, "cannot read", err);
}

gw_status gw__definitions_delete_temporary(gw__definitions *defs, uint32_t member,
                                           uint64_t member_generation, gw__log_gone gone, void *ctx,
                                           gw_error *err)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    gw_status st = gw__definitions_begin(defs, true, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    int rc = mdb_cursor_open(txn, defs->queues, &cursor);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return gw__definitions_fail(defs, rc, "cannot write", err);
    }
    gone_logs logs = {.n = 0};
    gw__queue_row row = {.name = ""};
    bool found = true;
    size_t n_deleted = 0;
    while (st == GW_OK && found) {
        st = next_temporary(defs, cursor, member, member_generation, &found, &row, err);
        if (st == GW_OK && found) {
            st = delete_queue(defs, txn, &row, &logs, err);
            n_deleted++;
        }
    }
    mdb_cursor_close(cursor);
    if (st == GW_OK && n_deleted == 0) {
        mdb_txn_abort(txn);
        return GW_OK;
    }
    return end(defs, txn, st, &logs, gone, ctx, err);
}
