/* SPDX-License-Identifier: MIT */
/* Reading a store: from any thread, beside whoever writes, in this process or another. */
#include "bus/store_format.h"

#include <string.h>

/* What a queue's entry says. False when it says nothing that is known. */
static bool read_target(const MDB_val *value, gw__store_target *ret_target)
{
    const uint8_t *bytes = value->mv_data;
    size_t len = value->mv_size < 2 ? 0 : value->mv_size - 2;
    if (len == 0 || len >= sizeof(ret_target->name) || bytes[0] > 1 ||
        bytes[1] > GW_EXCHANGE_HEADERS || memchr(bytes + 2, '\0', len) != NULL) {
        return false;
    }
    ret_target->is_queue = bytes[0] != 0;
    ret_target->type = (gw_exchange_type)bytes[1];
    memcpy(ret_target->name, bytes + 2, len);
    ret_target->name[len] = '\0';
    return true;
}

typedef struct reading {
    gw__store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t touched;
} reading;

static int begin_reading(gw__store *store, MDB_dbi dbi, reading *ret_reading)
{
    *ret_reading = (reading){.store = store};
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &ret_reading->txn);
    if (rc == 0) {
        rc = mdb_cursor_open(ret_reading->txn, dbi, &ret_reading->cursor);
        if (rc != 0) {
            mdb_txn_abort(ret_reading->txn);
        }
    }
    return rc;
}

static void end_reading(reading *it)
{
    mdb_cursor_close(it->cursor);
    mdb_txn_abort(it->txn);
    gw__store_touch(it->store, it->touched);
}

gw_status gw__store_read(gw__store *store, uint32_t queue, uint64_t after,
                         const gw__store_visitor *visitor, gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->messages, &it);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[GW__RECORD_KEY_LEN];
    MDB_val key = gw__store_record_key(key_bytes, queue, after + 1);
    MDB_val value;
    bool more = after != UINT64_MAX;
    rc = more ? mdb_cursor_get(it.cursor, &key, &value, MDB_SET_RANGE) : MDB_NOTFOUND;
    while (rc == 0 && more && key.mv_size == GW__RECORD_KEY_LEN &&
           gw__lmdb_get_be(key.mv_data, 4) == queue) {
        uint64_t seq = gw__lmdb_get_be((const uint8_t *)key.mv_data + 4, 8);
        it.touched += value.mv_size;
        if (gw__store_is_whole(&key, &value, sizeof(gw__record_value))) {
            gw__record_value head;
            memcpy(&head, value.mv_data, sizeof(head));
            gw__store_record record = {.queue = queue,
                                       .seq = seq,
                                       .accepted_ms = head.accepted_ms,
                                       .bytes = (const uint8_t *)value.mv_data + sizeof(head),
                                       .len = value.mv_size - sizeof(head)};
            more = visitor->record(visitor->ctx, &record);
        } else {
            visitor->damaged(visitor->ctx, queue, seq);
        }
        rc = more ? mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT) : MDB_NOTFOUND;
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : gw__store_fail(err, rc, store, "cannot read");
}

gw_status gw__store_measure(gw__store *store, uint32_t queue, size_t *ret_n_records,
                            size_t *ret_n_bytes, gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->messages, &it);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[GW__RECORD_KEY_LEN];
    MDB_val key = gw__store_record_key(key_bytes, queue, 0);
    MDB_val value;
    *ret_n_records = *ret_n_bytes = 0;
    rc = mdb_cursor_get(it.cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && key.mv_size == GW__RECORD_KEY_LEN &&
           gw__lmdb_get_be(key.mv_data, 4) == queue) {
        *ret_n_records += 1;
        *ret_n_bytes += value.mv_size - sizeof(gw__record_value);
        it.touched += value.mv_size;
        rc = mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT);
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : gw__store_fail(err, rc, store, "cannot read");
}

gw_status gw__store_queues(gw__store *store, gw__store_queue_visitor visitor, void *ctx,
                           gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->queues, &it);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    gw_status st = GW_OK;
    MDB_val key;
    MDB_val value;
    while (st == GW_OK && (rc = mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT)) == 0) {
        gw__store_target target;
        if (key.mv_size != 4 || !read_target(&value, &target)) {
            st = gw_error_set(err, GW_E_IO, 0, "the outbox in %s holds a queue that is none",
                              store->dir);
        } else {
            st = visitor(ctx, (uint32_t)gw__lmdb_get_be(key.mv_data, 4), &target, err);
        }
    }
    end_reading(&it);
    return st != GW_OK || rc == MDB_NOTFOUND ? st : gw__store_fail(err, rc, store, "cannot read");
}

/* False when the value is no dead record. */
static bool read_dead(const MDB_val *key, const MDB_val *value, gw__store_dead *ret_dead)
{
    size_t fixed = sizeof(gw__record_value) + sizeof(gw__dead_value);
    if (key->mv_size != GW__SEQ_KEY_LEN || !gw__store_is_whole(key, value, fixed)) {
        return false;
    }
    const uint8_t *bytes = value->mv_data;
    gw__record_value head;
    gw__dead_value more;
    memcpy(&head, bytes, sizeof(head));
    memcpy(&more, bytes + sizeof(head), sizeof(more));
    if (more.reason_len == 0 || more.reason_len > value->mv_size - fixed ||
        bytes[fixed + more.reason_len - 1] != '\0') {
        return false;
    }
    *ret_dead = (gw__store_dead){
        .record = {.queue = more.queue,
                   .seq = gw__lmdb_get_be(key->mv_data, GW__SEQ_KEY_LEN),
                   .accepted_ms = head.accepted_ms,
                   .bytes = bytes + fixed + more.reason_len,
                   .len = value->mv_size - fixed - more.reason_len},
        .died_ms = more.died_ms,
        .status = (gw_status)more.status,
        .reason = (const char *)bytes + fixed,
    };
    return true;
}

gw_status gw__store_read_dead(gw__store *store, uint64_t after, gw__store_dead_visitor visitor,
                              void *ctx, gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->dead, &it);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[GW__SEQ_KEY_LEN];
    MDB_val key = gw__store_seq_key(key_bytes, after + 1);
    MDB_val value;
    bool more = after != UINT64_MAX;
    rc = more ? mdb_cursor_get(it.cursor, &key, &value, MDB_SET_RANGE) : MDB_NOTFOUND;
    while (rc == 0 && more) {
        gw__store_dead dead;
        if (read_dead(&key, &value, &dead)) {
            more = visitor(ctx, &dead);
        }
        rc = more ? mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT) : MDB_NOTFOUND;
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : gw__store_fail(err, rc, store, "cannot read");
}

gw_status gw__store_read_asked(gw__store *store, gw__store_asked_visitor visitor, void *ctx,
                               gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->asked, &it);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    MDB_val key;
    MDB_val value;
    bool more = true;
    while (more && (rc = mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size == GW__SEQ_KEY_LEN && value.mv_size == GW__ASKED_LEN) {
            const uint8_t *bytes = value.mv_data;
            more = visitor(ctx, (uint32_t)gw__lmdb_get_be(bytes + 1, 4),
                           gw__lmdb_get_be(key.mv_data, GW__SEQ_KEY_LEN), (gw__store_ask)bytes[0]);
        }
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : gw__store_fail(err, rc, store, "cannot read");
}

/* The highest number of a key's last eight bytes: all queues' last records are looked at. */
static int find_last_seq(gw__store *store, MDB_txn *txn, uint64_t *ret_last)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, store->messages, &cursor);
    if (rc != 0) {
        return rc;
    }
    uint64_t last = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    while (rc == 0 && key.mv_size == GW__RECORD_KEY_LEN) {
        uint64_t seq = gw__lmdb_get_be((const uint8_t *)key.mv_data + 4, 8);
        last = seq > last ? seq : last;
        /* On to the last record of the queue before this one. */
        uint8_t key_bytes[GW__RECORD_KEY_LEN];
        key = gw__store_record_key(key_bytes, (uint32_t)gw__lmdb_get_be(key.mv_data, 4), 0);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        rc = rc == 0 ? mdb_cursor_get(cursor, &key, &value, MDB_PREV) : rc;
    }
    mdb_cursor_close(cursor);
    *ret_last = last;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The highest number of a database with numbers alone as keys, if that is higher. */
static int raise_last_seq(MDB_txn *txn, MDB_dbi dbi, uint64_t *last)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size == GW__SEQ_KEY_LEN) {
        uint64_t seq = gw__lmdb_get_be(key.mv_data, GW__SEQ_KEY_LEN);
        *last = seq > *last ? seq : *last;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

gw_status gw__store_count(gw__store *store, gw__store_counts *ret_counts, gw_error *err)
{
    MDB_txn *txn;
    MDB_stat records;
    MDB_stat dead;
    MDB_stat damaged;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    rc = mdb_stat(txn, store->messages, &records);
    rc = rc == 0 ? mdb_stat(txn, store->dead, &dead) : rc;
    rc = rc == 0 ? mdb_stat(txn, store->damaged, &damaged) : rc;
    uint64_t last_seq = 0;
    rc = rc == 0 ? find_last_seq(store, txn, &last_seq) : rc;
    rc = rc == 0 ? raise_last_seq(txn, store->dead, &last_seq) : rc;
    rc = rc == 0 ? raise_last_seq(txn, store->damaged, &last_seq) : rc;
    mdb_txn_abort(txn);
    if (rc != 0) {
        return gw__store_fail(err, rc, store, "cannot read");
    }
    *ret_counts = (gw__store_counts){.n_records = records.ms_entries,
                                     .n_dead = dead.ms_entries,
                                     .n_damaged = damaged.ms_entries,
                                     .last_seq = last_seq};
    return GW_OK;
}
