/* SPDX-License-Identifier: MIT */
/*
 * The database "reads": account id -> record (n_reads, 8 bytes in this machine's order, then two
 * texts, each with its NUL). Beside it are those of the filter of duplicates.
 */
#include "vip_store_ops.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/duplicates.h>

#include "store/lmdb_env.h"

#define MAX_BYTES ((size_t)4 << 30)
/* Counts between two looks for readers that were killed: they keep old pages in use, so that the
 * file grows with each write. */
#define CHECK_READERS_AT 256
#define RECORD_MAX       (sizeof(uint64_t) + VIP_READ_AT_MAX + 1 + VIP_MESSAGE_MAX + 1)

typedef struct lmdb_store {
    vip_store base;
    MDB_env *env;
    MDB_dbi reads;
    gw_duplicates *seen;
    char *dir;
    atomic_uint n_counts;
} lmdb_store;

static MDB_val val_of(const void *bytes, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
}

static gw_status open_databases(lmdb_store *store, const vip_store_options *options, gw_error *err)
{
    gw_duplicates_options seen = {.max_ids = options->max_seen,
                                  .max_age_s = options->max_seen_age_s};
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot open");
    }
    gw_status st = GW_OK;
    rc = mdb_dbi_open(txn, "reads", MDB_CREATE, &store->reads);
    if (rc == 0) {
        st = gw_duplicates_open(store->env, txn, &seen, &store->seen, err);
    }
    if (rc != 0 || st != GW_OK) {
        mdb_txn_abort(txn);
    } else {
        rc = mdb_txn_commit(txn);
    }
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot open");
    }
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "cannot open");
}

static void close_store(vip_store *base)
{
    lmdb_store *store = (lmdb_store *)base;
    gw_duplicates_free(store->seen);
    if (store->env != NULL) {
        mdb_env_sync(store->env, 1);
        mdb_env_close(store->env);
    }
    free(store->dir);
    free(store);
}

/* ---- records ----------------------------------------------------------------------- */

/* False when the bytes are no record. */
static bool decode(const MDB_val *key, const MDB_val *value, vip_reads *ret_reads)
{
    const char *bytes = value->mv_data;
    if (key->mv_size > VIP_ID_MAX || value->mv_size < sizeof(uint64_t) + 2 ||
        value->mv_size > RECORD_MAX || bytes[value->mv_size - 1] != '\0') {
        return false;
    }
    const char *read_at = bytes + sizeof(uint64_t);
    size_t read_at_len = strlen(read_at);
    size_t at = sizeof(uint64_t) + read_at_len + 1;
    if (at >= value->mv_size || read_at_len > VIP_READ_AT_MAX) {
        return false;
    }
    size_t id_len = strlen(bytes + at);
    if (at + id_len + 1 != value->mv_size || id_len > VIP_MESSAGE_MAX) {
        return false;
    }
    memcpy(ret_reads->account_id, key->mv_data, key->mv_size);
    ret_reads->account_id[key->mv_size] = '\0';
    memcpy(&ret_reads->n_reads, bytes, sizeof(uint64_t));
    memcpy(ret_reads->last_read_at, read_at, read_at_len + 1);
    memcpy(ret_reads->last_message_id, bytes + at, id_len + 1);
    return true;
}

static int put_reads(lmdb_store *store, MDB_txn *txn, const vip_reads *reads)
{
    char record[RECORD_MAX];
    size_t read_at_len = strlen(reads->last_read_at) + 1;
    size_t id_len = strlen(reads->last_message_id) + 1;
    memcpy(record, &reads->n_reads, sizeof(uint64_t));
    memcpy(record + sizeof(uint64_t), reads->last_read_at, read_at_len);
    memcpy(record + sizeof(uint64_t) + read_at_len, reads->last_message_id, id_len);
    MDB_val key = val_of(reads->account_id, strlen(reads->account_id));
    MDB_val value = val_of(record, sizeof(uint64_t) + read_at_len + id_len);
    return mdb_put(txn, store->reads, &key, &value, 0);
}

/* ---- counting and reading -------------------------------------------------------------- */

static int add_read(lmdb_store *store, MDB_txn *txn, const vip_count *it)
{
    vip_reads reads = {.n_reads = 0};
    MDB_val key = val_of(it->account_id, strlen(it->account_id));
    MDB_val value;
    int rc = mdb_get(txn, store->reads, &key, &value);
    if (rc == 0 && !decode(&key, &value, &reads)) {
        return MDB_CORRUPTED;
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    char at[VIP_READ_AT_MAX + 1];
    char last_at[VIP_READ_AT_MAX + 1];
    vip_time_key(it->read_at, at);
    vip_time_key(reads.last_read_at, last_at);
    memcpy(reads.account_id, it->account_id, sizeof(reads.account_id));
    if (!vip_key_is_late(at, last_at)) {
        memcpy(reads.last_read_at, it->read_at, sizeof(reads.last_read_at));
        memcpy(reads.last_message_id, it->message_id, sizeof(reads.last_message_id));
    }
    reads.n_reads++;
    return put_reads(store, txn, &reads);
}

static gw_status begin(vip_batch *batch, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)batch->store;
    if (batch->txn != NULL) {
        return GW_OK;
    }
    if (atomic_fetch_add(&store->n_counts, 1) % CHECK_READERS_AT == 0) {
        int n_dead;
        mdb_reader_check(store->env, &n_dead); /* if it fails, the next one will do */
    }
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot count a read");
    }
    batch->txn = txn;
    return GW_OK;
}

static void abort_batch(vip_batch *batch)
{
    if (batch->txn != NULL) {
        mdb_txn_abort(batch->txn);
        batch->txn = NULL;
    }
}

static gw_status count(vip_batch *batch, vip_count *it, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)batch->store;
    gw_status st = begin(batch, err);
    if (st != GW_OK) {
        return st;
    }
    MDB_txn *txn = batch->txn;
    st = gw_duplicates_check(store->seen, txn, it->message_id, &it->is_new, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "cannot count a read");
    }
    int rc = it->is_new ? add_read(store, txn, it) : 0;
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot count a read");
}

static gw_status commit(vip_batch *batch, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)batch->store;
    MDB_txn *txn = batch->txn;
    batch->txn = NULL;
    int rc = txn != NULL ? mdb_txn_commit(txn) : 0;
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot count a read");
}

static gw_status get(vip_store *base, const char *account_id, vip_reads *ret_reads, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot read");
    }
    MDB_val key = val_of(account_id, strlen(account_id));
    MDB_val value;
    rc = mdb_get(txn, store->reads, &key, &value);
    if (rc == 0 && !decode(&key, &value, ret_reads)) {
        rc = MDB_CORRUPTED;
    }
    mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND) {
        return GW_E_NOT_FOUND;
    }
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot read");
}

static int visit(MDB_cursor *cursor, const char *after, size_t limit, vip_store_visitor visitor,
                 void *ctx)
{
    MDB_val key = val_of(after, after != NULL ? strlen(after) : 0);
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, after != NULL ? MDB_SET_RANGE : MDB_FIRST);
    if (rc == 0 && after != NULL && key.mv_size == strlen(after) &&
        memcmp(key.mv_data, after, key.mv_size) == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    for (size_t i = 0; rc == 0 && i < limit; i++) {
        vip_reads reads;
        if (!decode(&key, &value, &reads)) {
            return MDB_CORRUPTED;
        }
        visitor(ctx, &reads);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static gw_status list(vip_store *base, const char *after, size_t limit, vip_store_visitor visitor,
                      void *ctx, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        MDB_cursor *cursor;
        rc = mdb_cursor_open(txn, store->reads, &cursor);
        if (rc == 0) {
            rc = visit(cursor, after, limit, visitor, ctx);
            mdb_cursor_close(cursor);
        }
        mdb_txn_abort(txn);
    }
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot read");
}

static const vip_store_ops ops = {.close = close_store,
                                  .count = count,
                                  .commit = commit,
                                  .abort = abort_batch,
                                  .get = get,
                                  .list = list};

gw_status vip_store_open_lmdb(const vip_store_options *options, vip_store **ret_store,
                              gw_error *err)
{
    lmdb_store *store = calloc(1, sizeof(*store));
    char *dir = strdup(options->where);
    if (store == NULL || dir == NULL) {
        free(store);
        free(dir);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the VIP store");
    }
    store->base.ops = &ops;
    store->dir = dir;
    lmdb_env_options env_options = {.dir = dir,
                                    .max_dbs = 1 + GW_DUPLICATES_N_DATABASES,
                                    .max_bytes = MAX_BYTES,
                                    .sync_each_commit = options->sync_each_commit};
    gw_status st = lmdb_env_open(&env_options, &store->env, err);
    if (st == GW_OK) {
        st = open_databases(store, options, err);
    }
    if (st != GW_OK) {
        close_store(&store->base);
        return st;
    }
    *ret_store = &store->base;
    return GW_OK;
}
