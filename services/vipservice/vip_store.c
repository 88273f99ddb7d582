/* SPDX-License-Identifier: MIT */
/*
 * The database "reads": account id -> record (n_reads, 8 bytes in this machine's order, then two
 * texts, each with its NUL). Beside it are those of the filter of duplicates.
 */
#include "vip_store.h"

#include <ctype.h>
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

struct vip_store {
    MDB_env *env;
    MDB_dbi reads;
    gw_duplicates *seen;
    char *dir;
    atomic_uint n_counts;
};

static MDB_val val_of(const void *bytes, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
}

static gw_status open_databases(vip_store *store, const vip_store_options *options, gw_error *err)
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

gw_status vip_store_open(const vip_store_options *options, vip_store **ret_store, gw_error *err)
{
    vip_store *store = calloc(1, sizeof(*store));
    char *dir = strdup(options->dir);
    if (store == NULL || dir == NULL) {
        free(store);
        free(dir);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the VIP store");
    }
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
        vip_store_close(store);
        return st;
    }
    *ret_store = store;
    return GW_OK;
}

void vip_store_close(vip_store *store)
{
    if (store == NULL) {
        return;
    }
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

static int put_reads(vip_store *store, MDB_txn *txn, const vip_reads *reads)
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

/* RFC 3339 in UTC, as accountservice writes it: 2026-11-22T10:42:13[.fraction]Z. */
static bool is_utc_time(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00";
    size_t i = 0;
    for (; form[i] != '\0'; i++) {
        bool fits = form[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == form[i];
        if (!fits) {
            return false;
        }
    }
    if (text[i] == '.') {
        i += 1 + strspn(text + i + 1, "0123456789");
    }
    return text[i] == 'Z' && text[i + 1] == '\0';
}

/* Whether `a` was before `b`; false when one of them is no time that can be compared. */
static bool is_earlier(const char *a, const char *b)
{
    if (!is_utc_time(a) || !is_utc_time(b)) {
        return false;
    }
    size_t whole = sizeof("0000-00-00T00:00:00") - 1;
    int order = memcmp(a, b, whole);
    const char *left = a[whole] == '.' ? a + whole + 1 : "";
    const char *right = b[whole] == '.' ? b + whole + 1 : "";
    while (order == 0 && (isdigit((unsigned char)*left) || isdigit((unsigned char)*right))) {
        char l = isdigit((unsigned char)*left) ? *left++ : '0';
        char r = isdigit((unsigned char)*right) ? *right++ : '0';
        order = l - r;
    }
    return order < 0;
}

static int add_read(vip_store *store, MDB_txn *txn, const char *account_id, const char *read_at,
                    const char *message_id)
{
    vip_reads reads = {.n_reads = 0};
    MDB_val key = val_of(account_id, strlen(account_id));
    MDB_val value;
    int rc = mdb_get(txn, store->reads, &key, &value);
    if (rc == 0 && !decode(&key, &value, &reads)) {
        return MDB_CORRUPTED;
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    memcpy(reads.account_id, account_id, key.mv_size + 1);
    if (!is_earlier(read_at,
                    reads.last_read_at)) { /* a message that was late changes no last read */
        memcpy(reads.last_read_at, read_at, strlen(read_at) + 1);
        memcpy(reads.last_message_id, message_id, strlen(message_id) + 1);
    }
    reads.n_reads++;
    return put_reads(store, txn, &reads);
}

static gw_status begin(vip_batch *batch, gw_error *err)
{
    vip_store *store = batch->store;
    if (batch->txn != NULL) {
        return GW_OK;
    }
    if (atomic_fetch_add(&store->n_counts, 1) % CHECK_READERS_AT == 0) {
        int n_dead;
        mdb_reader_check(store->env, &n_dead); /* if it fails, the next one will do */
    }
    int rc = mdb_txn_begin(store->env, NULL, 0, &batch->txn);
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot count a read");
}

static void undo(vip_batch *batch)
{
    if (batch->txn != NULL) {
        mdb_txn_abort(batch->txn);
        batch->txn = NULL;
    }
    batch->is_broken = batch->n_counted > 0;
}

gw_status vip_batch_count(vip_batch *batch, const char *account_id, const char *read_at,
                          const char *message_id, bool *ret_is_new, gw_error *err)
{
    vip_store *store = batch->store;
    size_t id_len = strnlen(account_id, VIP_ID_MAX + 1);
    size_t message_len = strnlen(message_id, VIP_MESSAGE_MAX + 1);
    if (id_len == 0 || id_len > VIP_ID_MAX || message_len == 0 || message_len > VIP_MESSAGE_MAX ||
        strnlen(read_at, VIP_READ_AT_MAX + 1) > VIP_READ_AT_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "account id, message id or time is empty or too long");
    }
    bool is_new = false;
    gw_status st = begin(batch, err);
    if (st == GW_OK) {
        st = gw_duplicates_check(store->seen, batch->txn, message_id, &is_new, err);
        st = st == GW_OK ? GW_OK : gw_error_prefix(err, st, "cannot count a read");
    }
    if (st == GW_OK && is_new) {
        int rc = add_read(store, batch->txn, account_id, read_at, message_id);
        st = rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot count a read");
    }
    if (st != GW_OK) {
        undo(batch);
        return st;
    }
    batch->n_counted++;
    *ret_is_new = is_new;
    return GW_OK;
}

/* The ids and the reads, or nothing of either. */
gw_status vip_batch_commit(vip_batch *batch, gw_error *err)
{
    bool is_broken = batch->is_broken;
    MDB_txn *txn = batch->txn;
    batch->is_broken = false;
    batch->n_counted = 0;
    batch->txn = NULL;
    if (is_broken) {
        if (txn != NULL) {
            mdb_txn_abort(txn);
        }
        return gw_error_set(err, GW_E_IO, 0, "another read of the same transaction failed");
    }
    int rc = txn != NULL ? mdb_txn_commit(txn) : 0;
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, batch->store->dir, "cannot count a read");
}

gw_status vip_store_count(vip_store *store, const char *account_id, const char *read_at,
                          const char *message_id, bool *ret_is_new, gw_error *err)
{
    vip_batch batch = {.store = store};
    bool is_new;
    gw_status st = vip_batch_count(&batch, account_id, read_at, message_id, &is_new, err);
    if (st == GW_OK) {
        st = vip_batch_commit(&batch, err);
    }
    if (st == GW_OK) {
        *ret_is_new = is_new;
    }
    return st;
}

gw_status vip_store_get(vip_store *store, const char *account_id, vip_reads *ret_reads,
                        gw_error *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot read");
    }
    size_t len = strnlen(account_id, VIP_ID_MAX + 1);
    MDB_val key = val_of(account_id, len);
    MDB_val value;
    rc = len == 0 || len > VIP_ID_MAX ? MDB_NOTFOUND : mdb_get(txn, store->reads, &key, &value);
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

gw_status vip_store_list(vip_store *store, const char *after, size_t limit,
                         vip_store_visitor visitor, void *ctx, gw_error *err)
{
    if (after != NULL && (after[0] == '\0' || strnlen(after, VIP_ID_MAX + 1) > VIP_ID_MAX)) {
        return gw_error_set(err, GW_E_INVALID, 0, "'after' is not an account id");
    }
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
