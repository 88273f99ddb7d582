/* SPDX-License-Identifier: MIT */
/* Accounts in an LMDB store of the program's own: the database "accounts", id -> name. */
#include "accounts/account_store_ops.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/lmdb_env.h"

/* Address space, not memory or disk: a million accounts with the longest ids and names need 0.5
 * GiB, and as much again while they are replaced under a reader. */
#define MAX_BYTES    ((size_t)4 << 30)
#define READERS_KEPT 8

typedef struct lmdb_store {
    account_store base;
    MDB_env *env;
    MDB_dbi accounts;
    char *dir;
    /* Read transactions between two reads. Renewing one instead of beginning one saves 700 of the
     * 9,500 instructions that a request takes outside the kernel. They hold no pages. */
    _Atomic(MDB_txn *) idle_readers[READERS_KEPT];
} lmdb_store;

static MDB_val val_of(const char *text)
{
    return (MDB_val){.mv_size = strlen(text), .mv_data = (void *)(uintptr_t)text};
}

/* MDB_CORRUPTED when the bytes are no account. */
static int decode(const MDB_val *key, const MDB_val *value, account *ret_account)
{
    if (key->mv_size > ACCOUNT_ID_MAX || value->mv_size > ACCOUNT_NAME_MAX) {
        return MDB_CORRUPTED;
    }
    memcpy(ret_account->id, key->mv_data, key->mv_size);
    ret_account->id[key->mv_size] = '\0';
    memcpy(ret_account->name, value->mv_data, value->mv_size);
    ret_account->name[value->mv_size] = '\0';
    return 0;
}

/* ---- opening ----------------------------------------------------------------------- */

static int seed(MDB_txn *txn, MDB_dbi accounts)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < ACCOUNT_SEED_N; i++) {
        account one;
        account_seed(i, &one);
        MDB_val key = val_of(one.id);
        MDB_val value = val_of(one.name);
        rc = mdb_put(txn, accounts, &key, &value, 0);
    }
    return rc;
}

/* Open the database and seed it if it is empty. LMDB's lock lets one process do that. */
static int prepare(lmdb_store *store, bool wants_seed)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    MDB_stat stat;
    rc = mdb_dbi_open(txn, "accounts", MDB_CREATE, &store->accounts);
    if (rc == 0) {
        rc = mdb_stat(txn, store->accounts, &stat);
    }
    if (rc == 0 && wants_seed && stat.ms_entries == 0) {
        rc = seed(txn, store->accounts);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static void close_store(account_store *base)
{
    lmdb_store *store = (lmdb_store *)base;
    for (int i = 0; i < READERS_KEPT; i++) {
        mdb_txn_abort(atomic_load(&store->idle_readers[i])); /* accepts NULL */
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    free(store->dir);
    free(store);
}

/* ---- reading ----------------------------------------------------------------------- */

static int begin_read(lmdb_store *store, MDB_txn **ret_txn)
{
    for (int i = 0; i < READERS_KEPT; i++) {
        /* Looked at before it is taken: a place that others use is not pulled over for nothing. */
        if (atomic_load_explicit(&store->idle_readers[i], memory_order_relaxed) == NULL) {
            continue;
        }
        MDB_txn *txn = atomic_exchange(&store->idle_readers[i], NULL);
        if (txn != NULL && mdb_txn_renew(txn) == 0) {
            *ret_txn = txn;
            return 0;
        }
        mdb_txn_abort(txn);
    }
    return mdb_txn_begin(store->env, NULL, MDB_RDONLY, ret_txn);
}

static void end_read(lmdb_store *store, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    for (int i = 0; i < READERS_KEPT; i++) {
        MDB_txn *none = NULL;
        if (atomic_compare_exchange_strong(&store->idle_readers[i], &none, txn)) {
            return;
        }
    }
    mdb_txn_abort(txn);
}

static gw_status get(account_store *base, const char *id, account *ret_account, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    MDB_txn *txn;
    int rc = begin_read(store, &txn);
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot read");
    }
    MDB_val key = val_of(id);
    MDB_val value;
    rc = mdb_get(txn, store->accounts, &key, &value);
    if (rc == 0) {
        rc = decode(&key, &value, ret_account);
    }
    end_read(store, txn);
    if (rc == MDB_NOTFOUND) {
        return GW_E_NOT_FOUND;
    }
    return rc == 0 ? GW_OK : lmdb_env_error(err, rc, store->dir, "cannot read");
}

/* Put the cursor on the first account behind `after`. */
static int seek(MDB_cursor *cursor, const char *after, MDB_val *ret_key, MDB_val *ret_value)
{
    if (after == NULL) {
        return mdb_cursor_get(cursor, ret_key, ret_value, MDB_FIRST);
    }
    MDB_val from = val_of(after);
    *ret_key = from;
    int rc = mdb_cursor_get(cursor, ret_key, ret_value, MDB_SET_RANGE);
    if (rc == 0 && ret_key->mv_size == from.mv_size &&
        memcmp(ret_key->mv_data, after, from.mv_size) == 0) {
        rc = mdb_cursor_get(cursor, ret_key, ret_value, MDB_NEXT);
    }
    return rc;
}

/* LMDB's code; when that is 0, `ret_st` is what the visitors came to. */
static int visit(MDB_cursor *cursor, const char *after, account_visitor visitor, void *ctx,
                 gw_status *ret_st, gw_error *err)
{
    MDB_val key;
    MDB_val value;
    gw_status st = GW_OK;
    int rc = seek(cursor, after, &key, &value);
    while (rc == 0 && st == GW_OK) {
        account found;
        rc = decode(&key, &value, &found);
        if (rc == 0) {
            st = visitor(ctx, &found, err);
        }
        if (rc == 0 && st == GW_OK) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    *ret_st = st;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static gw_status each(account_store *base, const char *after, account_visitor visitor, void *ctx,
                      gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    gw_status st = GW_OK;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        MDB_cursor *cursor;
        rc = mdb_cursor_open(txn, store->accounts, &cursor);
        if (rc == 0) {
            rc = visit(cursor, after, visitor, ctx, &st, err);
            mdb_cursor_close(cursor);
        }
        mdb_txn_abort(txn);
    }
    return rc == 0 ? st : lmdb_env_error(err, rc, store->dir, "cannot read");
}

static gw_status count(account_store *base, uint64_t *ret_n, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    MDB_stat stat;
    MDB_txn *txn;
    int rc = begin_read(store, &txn);
    if (rc == 0) {
        rc = mdb_stat(txn, store->accounts, &stat);
        end_read(store, txn);
    }
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot read");
    }
    *ret_n = stat.ms_entries;
    return GW_OK;
}

/* ---- writing ----------------------------------------------------------------------- */

static int put_one(lmdb_store *store, MDB_txn *txn, const account *one, account_put_mode mode,
                   size_t *n_new)
{
    MDB_val key = val_of(one->id);
    MDB_val value = val_of(one->name);
    int rc = mdb_put(txn, store->accounts, &key, &value, MDB_NOOVERWRITE);
    if (rc == 0) {
        (*n_new)++;
    } else if (rc == MDB_KEYEXIST && mode == ACCOUNT_PUT_NEW) {
        rc = 0;
    } else if (rc == MDB_KEYEXIST) {
        value = val_of(one->name); /* it was set to the name that is there */
        rc = mdb_put(txn, store->accounts, &key, &value, 0);
    }
    return rc;
}

static gw_status put(account_store *base, const account *accounts, size_t n, account_put_mode mode,
                     size_t *ret_n_new, gw_error *err)
{
    lmdb_store *store = (lmdb_store *)base;
    size_t n_new = 0;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc == 0) {
        for (size_t i = 0; rc == 0 && i < n; i++) {
            rc = put_one(store, txn, &accounts[i], mode, &n_new);
        }
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    if (rc != 0) {
        return lmdb_env_error(err, rc, store->dir, "cannot put accounts");
    }
    *ret_n_new = n_new;
    return GW_OK;
}

static const account_store_ops ops = {
    .close = close_store, .get = get, .put = put, .each = each, .count = count};

gw_status account_store_open_lmdb(const account_store_options *options, account_store **ret_store,
                                  gw_error *err)
{
    lmdb_store *store = calloc(1, sizeof(*store));
    char *dir = strdup(options->where);
    if (store == NULL || dir == NULL) {
        free(store);
        free(dir);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the account store");
    }
    store->base.ops = &ops;
    store->dir = dir;
    lmdb_env_options env_options = {.dir = dir,
                                    .max_dbs = 1,
                                    .max_bytes = MAX_BYTES,
                                    .sync_each_commit = true,
                                    .free_readers = true};
    gw_status st = lmdb_env_open(&env_options, &store->env, err);
    if (st == GW_OK) {
        int rc = prepare(store, options->seed);
        st = rc == 0 ? GW_OK : lmdb_env_error(err, rc, dir, "cannot seed the accounts");
    }
    if (st != GW_OK) {
        close_store(&store->base);
        return st;
    }
    *ret_store = &store->base;
    return GW_OK;
}
