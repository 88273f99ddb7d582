/* SPDX-License-Identifier: MIT */
/*
 * The filter of duplicates: ids of messages in two databases of the service's own LMDB store.
 *
 *   seen   message id -> number    (8 bytes, as all numbers here in this machine's order)
 *   order  number -> message       (unix seconds, 8 bytes, then the id): the oldest comes first, to
 *                                   be forgotten
 *
 * The format is that of the stores which vipservice has made since its first version. Begins and
 * ends no transaction of its own but the one that makes the databases, and caches nothing: another
 * process may have written since.
 */
#include <godwit/duplicates.h>

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/message.h>

#include "bus/lmdb_env.h"

/* Old ids dropped with each new one, at most: catches up, and bounds the work. */
#define FORGET_AT_ONCE 8
#define ID_MAX         GW_MESSAGE_TEXT_MAX
#define ORDER_MAX      (sizeof(uint64_t) + ID_MAX)

struct gw_duplicates {
    MDB_env *env;
    MDB_dbi seen;
    MDB_dbi order;
    uint64_t max_ids;
    uint64_t max_age_s;
};

static const gw__lmdb_words words = {.noun = "the store"};

static gw_status fail(const gw_duplicates *dup, int rc, gw_error *err)
{
    const char *dir = "?";
    if (mdb_env_get_path(dup->env, &dir) != 0) {
        dir = "?";
    }
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_VALSIZE: /* an entry that this file did not write */
        return gw_error_set(err, GW_E_IO, rc, "the ids of messages in %s are damaged (%s)", dir,
                            mdb_strerror(rc));
    case MDB_DBS_FULL:
        return gw_error_set(err, GW_E_INVALID, rc,
                            "the store in %s has no room for %d more databases: see "
                            "mdb_env_set_maxdbs()",
                            dir, GW_DUPLICATES_N_DATABASES);
    case MDB_INCOMPATIBLE:
        return gw_error_set(err, GW_E_INVALID, rc,
                            "the store in %s has a database of another kind where the ids of "
                            "messages would be: give them a name of their own",
                            dir);
    default: return gw__lmdb_fail(err, rc, dup->env, dir, &words, NULL);
    }
}

/* ---- opening ------------------------------------------------------------------------- */

/* A database that exists keeps its own flags, whatever is asked for: one of somebody else's shows
 * in them. */
static int open_database(MDB_txn *txn, const char *prefix, const char *name, unsigned flags,
                         MDB_dbi *ret_dbi)
{
    char full[GW_DUPLICATES_NAME_MAX + 16];
    snprintf(full, sizeof(full), "%s%s%s", prefix != NULL ? prefix : "", prefix != NULL ? "." : "",
             name);
    unsigned found;
    int rc = mdb_dbi_open(txn, full, MDB_CREATE | flags, ret_dbi);
    if (rc == 0) {
        rc = mdb_dbi_flags(txn, *ret_dbi, &found);
    }
    return rc == 0 && found != flags ? MDB_INCOMPATIBLE : rc;
}

static int open_databases(gw_duplicates *dup, MDB_txn *txn, const char *name)
{
    int rc = open_database(txn, name, "seen", 0, &dup->seen);
    return rc == 0 ? open_database(txn, name, "order", MDB_INTEGERKEY, &dup->order) : rc;
}

static int open_in_own_transaction(gw_duplicates *dup, const char *name)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(dup->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = open_databases(dup, txn, name);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

gw_status gw_duplicates_open(struct MDB_env *env, struct MDB_txn *txn,
                             const gw_duplicates_options *options, gw_duplicates **ret_dup,
                             gw_error *err)
{
    const gw_duplicates_options defaults = GW_DUPLICATES_OPTIONS_INIT;
    if (options == NULL) {
        options = &defaults;
    }
    size_t name_len =
        options->name != NULL ? strnlen(options->name, GW_DUPLICATES_NAME_MAX + 1) : 1;
    if (env == NULL || options->max_ids == 0 || name_len == 0 ||
        name_len > GW_DUPLICATES_NAME_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a filter of duplicates has an environment, remembers at least one id, "
                            "and has a name of 1 to %d bytes if it has one",
                            GW_DUPLICATES_NAME_MAX);
    }
    gw_duplicates *dup = calloc(1, sizeof(*dup));
    if (dup == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the filter of duplicates");
    }
    dup->env = env;
    dup->max_ids = options->max_ids;
    dup->max_age_s = options->max_age_s;
    int rc = txn != NULL ? open_databases(dup, txn, options->name)
                         : open_in_own_transaction(dup, options->name);
    if (rc != 0) {
        gw_status st = fail(dup, rc, err);
        free(dup);
        return st;
    }
    *ret_dup = dup;
    return GW_OK;
}

void gw_duplicates_free(gw_duplicates *dup)
{
    free(dup);
}

/* ---- forgetting ------------------------------------------------------------------------ */

/* Drop the message that the cursor is at. */
static int forget_first(gw_duplicates *dup, MDB_txn *txn, MDB_cursor *cursor,
                        const MDB_val *message)
{
    char entry[ORDER_MAX]; /* what LMDB shows is gone with the next change */
    size_t len = message->mv_size;
    if (len > sizeof(uint64_t) && len <= sizeof(entry)) {
        memcpy(entry, message->mv_data, len);
        MDB_val id = gw__lmdb_val(entry + sizeof(uint64_t), len - sizeof(uint64_t));
        int rc = mdb_del(txn, dup->seen, &id, NULL);
        if (rc != 0 && rc != MDB_NOTFOUND) {
            return rc;
        }
    }
    return mdb_cursor_del(cursor, 0);
}

/* An entry too short for a time is as old as can be. One from the future stays: the clock was put
 * back, and to forget everything then would be worse than to keep it longer. */
static bool is_old(const gw_duplicates *dup, const MDB_val *message, uint64_t now_s)
{
    uint64_t at_s = 0;
    if (message->mv_size >= sizeof(at_s)) {
        memcpy(&at_s, message->mv_data, sizeof(at_s));
    }
    return at_s < now_s && now_s - at_s > dup->max_age_s;
}

/* Drop the oldest ids while there are too many or they are too old. */
static int forget_old(gw_duplicates *dup, MDB_txn *txn, MDB_cursor *cursor, uint64_t now_s)
{
    for (int i = 0; i < FORGET_AT_ONCE; i++) {
        MDB_stat stat;
        MDB_val number;
        MDB_val message;
        int rc = mdb_stat(txn, dup->order, &stat);
        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &number, &message, MDB_FIRST);
        }
        if (rc != 0) {
            return rc == MDB_NOTFOUND ? 0 : rc;
        }
        if (stat.ms_entries <= dup->max_ids && !is_old(dup, &message, now_s)) {
            return 0;
        }
        rc = forget_first(dup, txn, cursor, &message);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- checking -------------------------------------------------------------------------- */

/* Append the id at the end of the order. */
static int append_order(MDB_cursor *cursor, const MDB_val *id, uint64_t now_s, uint64_t *ret_number)
{
    uint64_t number = 0;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size != sizeof(number)) {
        return MDB_CORRUPTED;
    }
    if (rc == 0) {
        memcpy(&number, key.mv_data, sizeof(number));
        number++;
    } else if (rc != MDB_NOTFOUND) {
        return rc;
    }
    char entry[ORDER_MAX];
    memcpy(entry, &now_s, sizeof(now_s));
    memcpy(entry + sizeof(now_s), id->mv_data, id->mv_size);
    key = gw__lmdb_val(&number, sizeof(number));
    value = gw__lmdb_val(entry, sizeof(now_s) + id->mv_size);
    *ret_number = number;
    return mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
}

/* Note an id that is not there. */
static int remember(gw_duplicates *dup, MDB_txn *txn, MDB_val *id)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dup->order, &cursor);
    if (rc != 0) {
        return rc;
    }
    uint64_t now_s = gw_clock_unix_ns() / GW_NS_PER_S;
    uint64_t number;
    rc = append_order(cursor, id, now_s, &number);
    if (rc == 0) {
        MDB_val value = gw__lmdb_val(&number, sizeof(number));
        rc = mdb_put(txn, dup->seen, id, &value, 0);
    }
    if (rc == 0) {
        rc = forget_old(dup, txn, cursor, now_s);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_KEYEXIST ? MDB_CORRUPTED : rc; /* the numbers have come to their end */
}

gw_status gw_duplicates_check(gw_duplicates *dup, struct MDB_txn *txn, const char *message_id,
                              bool *ret_is_new, gw_error *err)
{
    size_t len = message_id != NULL ? strnlen(message_id, ID_MAX + 1) : 0;
    if (len == 0 || len > ID_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "a message id has 1 to %d bytes", ID_MAX);
    }
    MDB_val id = gw__lmdb_val(message_id, len);
    MDB_val found;
    int rc = mdb_get(txn, dup->seen, &id, &found);
    bool is_new = rc == MDB_NOTFOUND;
    if (is_new) {
        rc = remember(dup, txn, &id);
    }
    if (rc != 0) {
        return fail(dup, rc, err);
    }
    *ret_is_new = is_new;
    return GW_OK;
}
