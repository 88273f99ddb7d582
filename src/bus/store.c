/* SPDX-License-Identifier: MIT */
/* Opening a store, and writing to it. store_read.c reads. */
#include "bus/store_format.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bus/crc32c.h"

#define VERSION     1
#define READERS_MAX 126

/* LMDB needs room for old pages, and a page is seldom full. */
#define MAP_SPARE  ((size_t)256 << 20)
#define MAP_FACTOR 2
#define MAX_BYTES  ((size_t)1 << 40) /* more address space than that may not be had */

/* Removing a record needs a few new pages first: nothing else may use these. */
#define MAP_RESERVE  ((size_t)32 << 20)

#define GIVE_BACK_AT ((size_t)8 << 20)

/* A reader that was killed keeps old pages in use: it is looked for with each so many commits. */
#define CHECK_READERS_EVERY 256

static const gw__lmdb_words words = {
    .noun = "the outbox", /* its ring is of no use without it: they go together */
    .if_damaged = "move the directory away to start with an empty outbox"};

gw_status gw__store_fail(gw_error *err, int rc, const gw__store *store, const char *what)
{
    return gw__lmdb_fail(err, rc, store->env, store->dir, &words, what);
}

/* ---- keys and values ---------------------------------------------------------- */

MDB_val gw__store_record_key(uint8_t bytes[GW__RECORD_KEY_LEN], uint32_t queue, uint64_t seq)
{
    gw__lmdb_put_be(bytes, queue, 4);
    gw__lmdb_put_be(bytes + 4, seq, 8);
    return (MDB_val){.mv_size = GW__RECORD_KEY_LEN, .mv_data = bytes};
}

MDB_val gw__store_seq_key(uint8_t bytes[GW__SEQ_KEY_LEN], uint64_t seq)
{
    gw__lmdb_put_be(bytes, seq, 8);
    return (MDB_val){.mv_size = GW__SEQ_KEY_LEN, .mv_data = bytes};
}

/* Of a value, with the key it has. */
static uint32_t crc_of(const MDB_val *key, const MDB_val *value)
{
    uint32_t crc = gw__crc32c(0, key->mv_data, key->mv_size);
    return gw__crc32c(crc, (const uint8_t *)value->mv_data + sizeof(uint32_t),
                      value->mv_size - sizeof(uint32_t));
}

bool gw__store_is_whole(const MDB_val *key, const MDB_val *value, size_t least)
{
    uint32_t crc;
    if (value->mv_size < least) {
        return false;
    }
    memcpy(&crc, value->mv_data, sizeof(crc));
    return crc == crc_of(key, value);
}

/* ---- pages ---------------------------------------------------------------------- */

/* The system counts the pages of the file that were looked at as this process's memory. They are
 * its cache as well: giving them back costs little, and memory stays flat while a million messages
 * go through. */
void gw__store_touch(gw__store *store, size_t n_bytes)
{
    if (atomic_fetch_add(&store->touched, n_bytes) + n_bytes >= GIVE_BACK_AT &&
        store->map != NULL) {
        atomic_store(&store->touched, 0);
        madvise(store->map, store->map_len, MADV_DONTNEED); /* if not, they stay */
    }
}

/* LMDB does not say where its map is; the system does. */
static void find_map(gw__store *store)
{
    int fd;
    struct stat info;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL || mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &info) != 0) {
        info.st_ino = 0;
    }
    char line[PATH_MAX + 128];
    while (maps != NULL && info.st_ino != 0 && fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t from;
        uintptr_t to;
        unsigned long inode;
        unsigned major_number;
        unsigned minor_number;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*4s %*x %x:%x %lu", &from, &to, &major_number,
                   &minor_number, &inode) == 5 &&
            inode == info.st_ino && makedev(major_number, minor_number) == info.st_dev) {
            store->map = (void *)from;
            store->map_len = to - from;
            break;
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
}

/* ---- open --------------------------------------------------------------------- */

static int open_env(gw__store *store, size_t max_bytes, bool read_only, uint32_t *ret_version)
{
    const gw__lmdb_database databases[] = {
        {"meta", &store->meta}, {"queues", &store->queues},   {"messages", &store->messages},
        {"dead", &store->dead}, {"damaged", &store->damaged}, {"asked", &store->asked}};
    size_t bytes = max_bytes < MAX_BYTES ? max_bytes : MAX_BYTES;
    const gw__lmdb_options options = {.map_len = (MAP_FACTOR * bytes + MAP_SPARE) & ~(size_t)4095,
                                      .max_dbs = 8,
                                      .max_readers = READERS_MAX,
                                      .flags = MDB_NOMETASYNC |
                                               MDB_NORDAHEAD, /* what is read is read once */
                                      .mode = 0600,
                                      .read_only = read_only};
    store->room = options.map_len - MAP_RESERVE;
    int rc = gw__lmdb_open(store->dir, &options, &store->env);
    return rc != 0 ? rc
                   : gw__lmdb_open_databases(store->env, databases,
                                             sizeof(databases) / sizeof(databases[0]), read_only,
                                             VERSION, ret_version);
}

gw_status gw__store_open(const char *dir, size_t max_bytes, bool read_only, gw__store **ret_store,
                         gw_error *err)
{
    gw__store *store = calloc(1, sizeof(*store));
    char *copy = strdup(dir);
    if (store == NULL || copy == NULL) {
        free(store);
        free(copy);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    store->dir = copy;
    uint32_t version = VERSION;
    int rc = open_env(store, max_bytes, read_only, &version);
    gw_status st = GW_OK;
    if (rc != 0) {
        st = gw__store_fail(err, rc, store, "cannot open");
        st = rc == ENOENT || rc == MDB_NOTFOUND ? GW_E_NOT_FOUND : st;
    } else if (version != VERSION) {
        st = gw_error_set(err, GW_E_UNSUPPORTED, 0,
                          "the outbox in %s has version %" PRIu32
                          ", this program knows %d: use a newer one",
                          dir, version, VERSION);
    }
    if (st != GW_OK) {
        gw__store_close(store);
        return st;
    }
    find_map(store);
    *ret_store = store;
    return GW_OK;
}

void gw__store_close(gw__store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    free(store->dir);
    free(store);
}

/* ---- writing ------------------------------------------------------------------ */

gw_status gw__store_begin(gw__store *store, gw__store_txn **ret_txn, gw_error *err)
{
    if (atomic_fetch_add(&store->n_begun, 1) % CHECK_READERS_EVERY == 0) {
        mdb_reader_check(store->env, NULL); /* if not now, then with a later one */
    }
    gw__store_txn *txn = calloc(1, sizeof(*txn));
    int rc = txn == NULL ? ENOMEM : mdb_txn_begin(store->env, NULL, 0, &txn->txn);
    if (rc != 0) {
        free(txn);
        return gw__store_fail(err, rc, store, "cannot write");
    }
    txn->store = store;
    *ret_txn = txn;
    return GW_OK;
}

void gw__store_use_reserve(gw__store_txn *txn)
{
    txn->may_use_reserve = true;
}

gw_status gw__store_commit(gw__store_txn *txn, bool sync, gw_error *err)
{
    gw__store *store = txn->store;
    if (txn->messages != NULL) {
        mdb_cursor_close(txn->messages);
    }
    int rc = mdb_txn_commit(txn->txn);
    gw__store_touch(store, txn->touched);
    free(txn);
    if (rc == 0 && sync) {
        rc = mdb_env_sync(store->env, 1);
    }
    return rc == 0 ? GW_OK : gw__store_fail(err, rc, store, "cannot write");
}

void gw__store_abort(gw__store_txn *txn)
{
    if (txn == NULL) {
        return;
    }
    if (txn->messages != NULL) {
        mdb_cursor_close(txn->messages);
    }
    mdb_txn_abort(txn->txn);
    free(txn);
}

gw_status gw__store_end(gw__store_txn *txn, gw_status st, bool sync, gw_error *err)
{
    if (st != GW_OK) {
        gw__store_abort(txn);
        return st;
    }
    return gw__store_commit(txn, sync, err);
}

static gw_status done(gw_error *err, int rc, const gw__store_txn *txn)
{
    return rc == 0 ? GW_OK : gw__store_fail(err, rc, txn->store, "cannot write");
}

gw_status gw__store_queue(gw__store_txn *txn, const gw__store_target *target, uint32_t *ret_queue,
                          gw_error *err)
{
    uint8_t bytes[2 + sizeof(target->name)] = {target->is_queue,
                                               target->is_queue ? 0 : (uint8_t)target->type};
    size_t len = 2 + strlen(target->name);
    memcpy(bytes + 2, target->name, len - 2);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->txn, txn->store->queues, &cursor);
    if (rc != 0) {
        return done(err, rc, txn);
    }
    MDB_val key;
    MDB_val value;
    uint32_t last = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        last = key.mv_size == 4 ? (uint32_t)gw__lmdb_get_be(key.mv_data, 4) : last;
        if (value.mv_size == len && memcmp(value.mv_data, bytes, len) == 0) {
            break;
        }
    }
    if (rc == MDB_NOTFOUND) {
        uint8_t number[4];
        gw__lmdb_put_be(number, ++last, 4);
        key = (MDB_val){.mv_size = 4, .mv_data = number};
        value = (MDB_val){.mv_size = len, .mv_data = bytes};
        rc = mdb_cursor_put(cursor, &key, &value, 0);
    }
    mdb_cursor_close(cursor);
    *ret_queue = last;
    return done(err, rc, txn);
}

/* MDB_MAP_FULL when so much is in use that only removing may go on. */
static int check_room(const gw__store_txn *txn)
{
    const gw__store *store = txn->store;
    const MDB_dbi databases[] = {store->messages, store->dead, store->damaged};
    size_t n_pages = 0;
    MDB_stat stats;
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
        int rc = mdb_stat(txn->txn, databases[i], &stats);
        if (rc != 0) {
            return rc;
        }
        n_pages += stats.ms_branch_pages + stats.ms_leaf_pages + stats.ms_overflow_pages;
    }
    return n_pages * stats.ms_psize > store->room && !txn->may_use_reserve ? MDB_MAP_FULL : 0;
}

/* Appending to the last queue fills pages; anywhere else LMDB splits them. */
static int put_record(gw__store_txn *txn, MDB_val *key, MDB_val *value)
{
    int rc = check_room(txn);
    if (rc == 0 && txn->messages == NULL) {
        rc = mdb_cursor_open(txn->txn, txn->store->messages, &txn->messages);
    }
    if (rc != 0) {
        return rc;
    }
    MDB_val wanted = *value;
    rc = mdb_cursor_put(txn->messages, key, value, MDB_RESERVE | MDB_APPEND);
    if (rc == MDB_KEYEXIST) {
        *value = wanted;
        rc = mdb_cursor_put(txn->messages, key, value, MDB_RESERVE);
    }
    return rc;
}

gw_status gw__store_has_queue(gw__store_txn *txn, uint32_t queue, bool *ret_has, gw_error *err)
{
    uint8_t number[4];
    gw__lmdb_put_be(number, queue, 4);
    MDB_val key = {.mv_size = sizeof(number), .mv_data = number};
    MDB_val value;
    int rc = mdb_get(txn->txn, txn->store->queues, &key, &value);
    *ret_has = rc == 0;
    return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
}

gw_status gw__store_put(gw__store_txn *txn, const gw__store_record *record, gw_error *err)
{
    uint8_t key_bytes[GW__RECORD_KEY_LEN];
    MDB_val key = gw__store_record_key(key_bytes, record->queue, record->seq);
    MDB_val value = {.mv_size = sizeof(gw__record_value) + record->len};
    int rc = put_record(txn, &key, &value);
    if (rc == 0) {
        gw__record_value head = {.accepted_ms = record->accepted_ms};
        memcpy(value.mv_data, &head, sizeof(head));
        memcpy((uint8_t *)value.mv_data + sizeof(head), record->bytes, record->len);
        head.crc = crc_of(&key, &value);
        memcpy(value.mv_data, &head.crc, sizeof(head.crc));
    }
    return done(err, rc, txn);
}

gw_status gw__store_remove(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err)
{
    uint8_t key_bytes[GW__RECORD_KEY_LEN];
    MDB_val key = gw__store_record_key(key_bytes, queue, seq);
    MDB_val value = {.mv_size = 0};
    int rc = mdb_get(txn->txn, txn->store->messages, &key, &value);
    txn->touched += value.mv_size;
    rc = rc == 0 ? mdb_del(txn->txn, txn->store->messages, &key, NULL) : rc;
    return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
}

gw_status gw__store_put_dead(gw__store_txn *txn, const gw__store_dead *dead, gw_error *err)
{
    uint8_t key_bytes[GW__SEQ_KEY_LEN];
    MDB_val key = gw__store_seq_key(key_bytes, dead->record.seq);
    size_t reason_len = strnlen(dead->reason, GW_ERROR_TEXT_MAX - 1) + 1;
    MDB_val value = {.mv_size = sizeof(gw__record_value) + sizeof(gw__dead_value) + reason_len +
                                dead->record.len};
    int rc = check_room(txn);
    rc = rc == 0 ? mdb_put(txn->txn, txn->store->dead, &key, &value, MDB_RESERVE) : rc;
    if (rc == 0) {
        gw__record_value head = {.accepted_ms = dead->record.accepted_ms};
        gw__dead_value more = {.died_ms = dead->died_ms,
                               .queue = dead->record.queue,
                               .status = (uint16_t)dead->status,
                               .reason_len = (uint16_t)reason_len};
        uint8_t *to = value.mv_data;
        memcpy(to, &head, sizeof(head));
        memcpy(to + sizeof(head), &more, sizeof(more));
        to += sizeof(head) + sizeof(more);
        memcpy(to, dead->reason, reason_len - 1);
        to[reason_len - 1] = '\0';
        memcpy(to + reason_len, dead->record.bytes, dead->record.len);
        head.crc = crc_of(&key, &value);
        memcpy(value.mv_data, &head.crc, sizeof(head.crc));
    }
    return done(err, rc, txn);
}

static gw_status remove_seq(gw__store_txn *txn, MDB_dbi dbi, uint64_t seq, gw_error *err)
{
    uint8_t key_bytes[GW__SEQ_KEY_LEN];
    MDB_val key = gw__store_seq_key(key_bytes, seq);
    int rc = mdb_del(txn->txn, dbi, &key, NULL);
    return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
}

gw_status gw__store_remove_dead(gw__store_txn *txn, uint64_t seq, gw_error *err)
{
    return remove_seq(txn, txn->store->dead, seq, err);
}

gw_status gw__store_put_damaged(gw__store_txn *txn, uint64_t seq, const void *bytes, size_t len,
                                gw_error *err)
{
    uint8_t key_bytes[GW__SEQ_KEY_LEN];
    MDB_val key = gw__store_seq_key(key_bytes, seq);
    MDB_val value = {.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
    return done(err, mdb_put(txn->txn, txn->store->damaged, &key, &value, 0), txn);
}

gw_status gw__store_set_aside(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err)
{
    uint8_t key_bytes[GW__RECORD_KEY_LEN];
    MDB_val key = gw__store_record_key(key_bytes, queue, seq);
    MDB_val value;
    int rc = mdb_get(txn->txn, txn->store->messages, &key, &value);
    if (rc != 0) {
        return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
    }
    void *copy = malloc(value.mv_size + 1); /* what LMDB shows is gone with the next change */
    if (copy == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a damaged message");
    }
    memcpy(copy, value.mv_data, value.mv_size);
    gw_status st = gw__store_put_damaged(txn, seq, copy, value.mv_size, err);
    free(copy);
    return st == GW_OK ? gw__store_remove(txn, queue, seq, err) : st;
}

gw_status gw__store_ask_for(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw__store_ask what,
                            gw_error *err)
{
    uint8_t key_bytes[GW__SEQ_KEY_LEN];
    MDB_val key = gw__store_seq_key(key_bytes, seq);
    uint8_t bytes[GW__ASKED_LEN] = {(uint8_t)what};
    gw__lmdb_put_be(bytes + 1, queue, 4);
    MDB_val value = {.mv_size = sizeof(bytes), .mv_data = bytes};
    return done(err, mdb_put(txn->txn, txn->store->asked, &key, &value, 0), txn);
}

gw_status gw__store_forget_asked(gw__store_txn *txn, uint64_t seq, gw_error *err)
{
    return remove_seq(txn, txn->store->asked, seq, err);
}
