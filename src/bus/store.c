/* SPDX-License-Identifier: MIT */
/*
 * Five databases. Numbers in keys are big-endian, so that their order is LMDB's.
 *   meta      "version" -> 4 bytes
 *   queues    number (4) -> kind (1), exchange type (1), name
 *   messages  queue (4), number (8) -> record_value, bytes
 *   dead      number (8) -> record_value, dead_value, reason with its NUL, bytes
 *   damaged   number (8) -> bytes
 *   asked     number (8) -> what (1), queue (4)
 *
 * A commit writes its pages to the disk before the page that makes them count, so a loss of power
 * takes the last commits and never the store (MDB_NOMETASYNC); who needs more asks for a sync.
 */
#include "bus/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <lmdb.h>

#include "bus/crc32c.h"

#define VERSION     1
#define READERS_MAX 126

/* LMDB needs room for old pages, and a page is seldom full. */
#define MAP_SPARE  ((size_t)256 << 20)
#define MAP_FACTOR 2
#define MAX_BYTES  ((size_t)1 << 40) /* more address space than that may not be had */

/* Removing a record needs a few new pages first: nothing else may use these. */
#define MAP_RESERVE ((size_t)32 << 20)

/* A disk with less room than this counts as full. */
#define FULL_BELOW   ((uint64_t)1 << 20)

#define GIVE_BACK_AT ((size_t)8 << 20)

/* A reader that was killed keeps old pages in use: it is looked for with each so many commits. */
#define CHECK_READERS_EVERY 256

typedef struct record_value {
    uint32_t crc; /* of all that follows, and of the key */
    uint32_t reserved;
    uint64_t accepted_ms;
} record_value;

typedef struct dead_value {
    uint64_t died_ms;
    uint32_t queue;
    uint16_t status;
    uint16_t reason_len; /* with its NUL */
} dead_value;

struct gw__store {
    MDB_env *env;
    MDB_dbi meta;
    MDB_dbi queues;
    MDB_dbi messages;
    MDB_dbi dead;
    MDB_dbi damaged;
    MDB_dbi asked;
    char *dir;
    size_t room; /* bytes of pages that may be in use */
    void *map;   /* where LMDB has mapped the file; NULL when that cannot be told */
    size_t map_len;
    _Atomic unsigned n_begun; /* transactions that write */
    _Atomic size_t touched;   /* bytes of it that were read since pages were given back, about */
};

struct gw__store_txn {
    gw__store *store;
    MDB_txn *txn;
    MDB_cursor *messages; /* opened when first needed */
    bool may_use_reserve;
    size_t touched;
};

/* LMDB says EIO of a write that was cut short: was there no room for the rest? */
static bool is_full(const gw__store *store)
{
    struct statvfs info;
    return statvfs(store->dir, &info) == 0 && info.f_bavail * info.f_frsize < FULL_BELOW;
}

static gw_status fail(gw_error *err, int rc, const gw__store *store, const char *what)
{
    rc = rc == EIO && is_full(store) ? ENOSPC : rc;
    switch (rc) {
    case MDB_MAP_FULL:
        mdb_reader_check(store->env, &(int){0}); /* a killed one may keep pages from the next try */
        return gw_error_set(err, GW_E_NO_SPACE, rc,
                            "%s: the outbox in %s has reached its size limit", what, store->dir);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return gw_error_set(err, GW_E_NO_SPACE, rc, "%s: the disk under %s is full", what,
                            store->dir);
    case EIO: /* of a cut write too, if others have made room since, or a file had its limit */
        return gw_error_set(err, GW_E_IO, rc, "%s: the disk under %s is full or damaged", what,
                            store->dir);
    case ENOMEM: return gw_error_set(err, GW_E_NOMEM, rc, "%s: no memory", what);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND: /* its ring is of no use without it: they go together */
        return gw_error_set(err, GW_E_IO, rc,
                            "%s: data.mdb in %s is damaged, or of something else (%s): move the "
                            "directory away to start with an empty outbox",
                            what, store->dir, mdb_strerror(rc));
    default:
        return rc > 0 ? gw_error_set_errno(err, rc, "%s: the outbox in %s", what, store->dir)
                      : gw_error_set(err, GW_E_IO, rc, "%s: the outbox in %s: %s", what, store->dir,
                                     mdb_strerror(rc));
    }
}

/* ---- keys and values ---------------------------------------------------------- */

static void put_be(uint8_t *to, uint64_t number, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        to[i] = (uint8_t)(number >> (8 * (n_bytes - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *from, size_t n_bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        number = number << 8 | from[i];
    }
    return number;
}

#define RECORD_KEY_LEN 12
#define SEQ_KEY_LEN    8
#define ASKED_LEN      5

static MDB_val record_key(uint8_t bytes[RECORD_KEY_LEN], uint32_t queue, uint64_t seq)
{
    put_be(bytes, queue, 4);
    put_be(bytes + 4, seq, 8);
    return (MDB_val){.mv_size = RECORD_KEY_LEN, .mv_data = bytes};
}

static MDB_val seq_key(uint8_t bytes[SEQ_KEY_LEN], uint64_t seq)
{
    put_be(bytes, seq, 8);
    return (MDB_val){.mv_size = SEQ_KEY_LEN, .mv_data = bytes};
}

/* Of a value, with the key it has. */
static uint32_t crc_of(const MDB_val *key, const MDB_val *value)
{
    uint32_t crc = gw__crc32c(0, key->mv_data, key->mv_size);
    return gw__crc32c(crc, (const uint8_t *)value->mv_data + sizeof(uint32_t),
                      value->mv_size - sizeof(uint32_t));
}

static bool is_whole(const MDB_val *key, const MDB_val *value, size_t least)
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
static void touch(gw__store *store, size_t n_bytes)
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

static int check_version(gw__store *store, MDB_txn *txn, bool read_only, uint32_t *ret_version)
{
    MDB_val key = {.mv_size = 7, .mv_data = (void *)(uintptr_t) "version"};
    MDB_val value;
    *ret_version = VERSION;
    int rc = mdb_get(txn, store->meta, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(*ret_version)) {
        memcpy(ret_version, value.mv_data, sizeof(*ret_version));
    } else if (rc == MDB_NOTFOUND && !read_only) {
        value = (MDB_val){.mv_size = sizeof(*ret_version), .mv_data = ret_version};
        rc = mdb_put(txn, store->meta, &key, &value, 0);
    }
    return rc;
}

static int open_databases(gw__store *store, bool read_only, uint32_t *ret_version)
{
    const struct {
        const char *name;
        MDB_dbi *dbi;
    } databases[] = {{"meta", &store->meta},         {"queues", &store->queues},
                     {"messages", &store->messages}, {"dead", &store->dead},
                     {"damaged", &store->damaged},   {"asked", &store->asked}};
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(databases) / sizeof(databases[0]); i++) {
        rc = mdb_dbi_open(txn, databases[i].name, read_only ? 0 : MDB_CREATE, databases[i].dbi);
    }
    if (rc == 0) {
        rc = check_version(store, txn, read_only, ret_version);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* A file that was cut: LMDB would read behind its end, and be killed for it. Pages of zeros it
 * refuses. (It may also end before pages that were never used.) */
static int extend_file(gw__store *store)
{
    MDB_envinfo info;
    MDB_stat stats;
    struct stat file;
    int fd;
    int rc = mdb_env_info(store->env, &info);
    rc = rc == 0 ? mdb_env_stat(store->env, &stats) : rc;
    rc = rc == 0 ? mdb_env_get_fd(store->env, &fd) : rc;
    if (rc != 0) {
        return rc;
    }
    off_t least = (off_t)((info.me_last_pgno + 1) * stats.ms_psize);
    return fstat(fd, &file) != 0 || (file.st_size < least && ftruncate(fd, least) != 0) ? errno : 0;
}

static int open_env(gw__store *store, size_t max_bytes, bool read_only)
{
    size_t bytes = max_bytes < MAX_BYTES ? max_bytes : MAX_BYTES;
    size_t map_len = (MAP_FACTOR * bytes + MAP_SPARE) & ~(size_t)4095;
    store->room = map_len - MAP_RESERVE;
    int rc = mdb_env_create(&store->env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(store->env, 8);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(store->env, READERS_MAX);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(store->env, map_len);
    }
    if (rc == 0) {
        /* NOTLS: a reader belongs to its transaction, not to its thread. NORDAHEAD: what is read
         * is read once. */
        rc = mdb_env_open(store->env, store->dir,
                          MDB_NOTLS | MDB_NOMETASYNC | MDB_NORDAHEAD | (read_only ? MDB_RDONLY : 0),
                          0600);
    }
    if (rc == 0 && !read_only) {
        rc = extend_file(store);
    }
    if (rc == 0 && !read_only) {
        int n_dead;
        rc = mdb_reader_check(store->env, &n_dead); /* killed readers keep old pages in use */
    }
    return rc;
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
    int rc = open_env(store, max_bytes, read_only);
    if (rc == 0) {
        rc = open_databases(store, read_only, &version);
    }
    gw_status st = GW_OK;
    if (rc != 0) {
        st = fail(err, rc, store, "cannot open");
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
        return fail(err, rc, store, "cannot write");
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
    touch(store, txn->touched);
    free(txn);
    if (rc == 0 && sync) {
        rc = mdb_env_sync(store->env, 1);
    }
    return rc == 0 ? GW_OK : fail(err, rc, store, "cannot write");
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

static gw_status done(gw_error *err, int rc, const gw__store_txn *txn)
{
    return rc == 0 ? GW_OK : fail(err, rc, txn->store, "cannot write");
}

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
        last = key.mv_size == 4 ? (uint32_t)get_be(key.mv_data, 4) : last;
        if (value.mv_size == len && memcmp(value.mv_data, bytes, len) == 0) {
            break;
        }
    }
    if (rc == MDB_NOTFOUND) {
        uint8_t number[4];
        put_be(number, ++last, 4);
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
    put_be(number, queue, 4);
    MDB_val key = {.mv_size = sizeof(number), .mv_data = number};
    MDB_val value;
    int rc = mdb_get(txn->txn, txn->store->queues, &key, &value);
    *ret_has = rc == 0;
    return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
}

gw_status gw__store_put(gw__store_txn *txn, const gw__store_record *record, gw_error *err)
{
    uint8_t key_bytes[RECORD_KEY_LEN];
    MDB_val key = record_key(key_bytes, record->queue, record->seq);
    MDB_val value = {.mv_size = sizeof(record_value) + record->len};
    int rc = put_record(txn, &key, &value);
    if (rc == 0) {
        record_value head = {.accepted_ms = record->accepted_ms};
        memcpy(value.mv_data, &head, sizeof(head));
        memcpy((uint8_t *)value.mv_data + sizeof(head), record->bytes, record->len);
        head.crc = crc_of(&key, &value);
        memcpy(value.mv_data, &head.crc, sizeof(head.crc));
    }
    return done(err, rc, txn);
}

gw_status gw__store_remove(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err)
{
    uint8_t key_bytes[RECORD_KEY_LEN];
    MDB_val key = record_key(key_bytes, queue, seq);
    MDB_val value = {.mv_size = 0};
    int rc = mdb_get(txn->txn, txn->store->messages, &key, &value);
    txn->touched += value.mv_size;
    rc = rc == 0 ? mdb_del(txn->txn, txn->store->messages, &key, NULL) : rc;
    return done(err, rc == MDB_NOTFOUND ? 0 : rc, txn);
}

gw_status gw__store_put_dead(gw__store_txn *txn, const gw__store_dead *dead, gw_error *err)
{
    uint8_t key_bytes[SEQ_KEY_LEN];
    MDB_val key = seq_key(key_bytes, dead->record.seq);
    size_t reason_len = strnlen(dead->reason, GW_ERROR_TEXT_MAX - 1) + 1;
    MDB_val value = {.mv_size =
                         sizeof(record_value) + sizeof(dead_value) + reason_len + dead->record.len};
    int rc = check_room(txn);
    rc = rc == 0 ? mdb_put(txn->txn, txn->store->dead, &key, &value, MDB_RESERVE) : rc;
    if (rc == 0) {
        record_value head = {.accepted_ms = dead->record.accepted_ms};
        dead_value more = {.died_ms = dead->died_ms,
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
    uint8_t key_bytes[SEQ_KEY_LEN];
    MDB_val key = seq_key(key_bytes, seq);
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
    uint8_t key_bytes[SEQ_KEY_LEN];
    MDB_val key = seq_key(key_bytes, seq);
    MDB_val value = {.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
    return done(err, mdb_put(txn->txn, txn->store->damaged, &key, &value, 0), txn);
}

gw_status gw__store_set_aside(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err)
{
    uint8_t key_bytes[RECORD_KEY_LEN];
    MDB_val key = record_key(key_bytes, queue, seq);
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
    uint8_t key_bytes[SEQ_KEY_LEN];
    MDB_val key = seq_key(key_bytes, seq);
    uint8_t bytes[ASKED_LEN] = {(uint8_t)what};
    put_be(bytes + 1, queue, 4);
    MDB_val value = {.mv_size = sizeof(bytes), .mv_data = bytes};
    return done(err, mdb_put(txn->txn, txn->store->asked, &key, &value, 0), txn);
}

gw_status gw__store_forget_asked(gw__store_txn *txn, uint64_t seq, gw_error *err)
{
    return remove_seq(txn, txn->store->asked, seq, err);
}

/* ---- reading ------------------------------------------------------------------ */

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
    touch(it->store, it->touched);
}

gw_status gw__store_read(gw__store *store, uint32_t queue, uint64_t after,
                         const gw__store_visitor *visitor, gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->messages, &it);
    if (rc != 0) {
        return fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[RECORD_KEY_LEN];
    MDB_val key = record_key(key_bytes, queue, after + 1);
    MDB_val value;
    bool more = after != UINT64_MAX;
    rc = more ? mdb_cursor_get(it.cursor, &key, &value, MDB_SET_RANGE) : MDB_NOTFOUND;
    while (rc == 0 && more && key.mv_size == RECORD_KEY_LEN && get_be(key.mv_data, 4) == queue) {
        uint64_t seq = get_be((const uint8_t *)key.mv_data + 4, 8);
        it.touched += value.mv_size;
        if (is_whole(&key, &value, sizeof(record_value))) {
            record_value head;
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
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : fail(err, rc, store, "cannot read");
}

gw_status gw__store_measure(gw__store *store, uint32_t queue, size_t *ret_n_records,
                            size_t *ret_n_bytes, gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->messages, &it);
    if (rc != 0) {
        return fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[RECORD_KEY_LEN];
    MDB_val key = record_key(key_bytes, queue, 0);
    MDB_val value;
    *ret_n_records = *ret_n_bytes = 0;
    rc = mdb_cursor_get(it.cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && key.mv_size == RECORD_KEY_LEN && get_be(key.mv_data, 4) == queue) {
        *ret_n_records += 1;
        *ret_n_bytes += value.mv_size - sizeof(record_value);
        it.touched += value.mv_size;
        rc = mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT);
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : fail(err, rc, store, "cannot read");
}

gw_status gw__store_queues(gw__store *store, gw__store_queue_visitor visitor, void *ctx,
                           gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->queues, &it);
    if (rc != 0) {
        return fail(err, rc, store, "cannot read");
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
            st = visitor(ctx, (uint32_t)get_be(key.mv_data, 4), &target, err);
        }
    }
    end_reading(&it);
    return st != GW_OK || rc == MDB_NOTFOUND ? st : fail(err, rc, store, "cannot read");
}

/* False when the value is no dead record. */
static bool read_dead(const MDB_val *key, const MDB_val *value, gw__store_dead *ret_dead)
{
    size_t fixed = sizeof(record_value) + sizeof(dead_value);
    if (key->mv_size != SEQ_KEY_LEN || !is_whole(key, value, fixed)) {
        return false;
    }
    const uint8_t *bytes = value->mv_data;
    record_value head;
    dead_value more;
    memcpy(&head, bytes, sizeof(head));
    memcpy(&more, bytes + sizeof(head), sizeof(more));
    if (more.reason_len == 0 || more.reason_len > value->mv_size - fixed ||
        bytes[fixed + more.reason_len - 1] != '\0') {
        return false;
    }
    *ret_dead = (gw__store_dead){
        .record = {.queue = more.queue,
                   .seq = get_be(key->mv_data, SEQ_KEY_LEN),
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
        return fail(err, rc, store, "cannot read");
    }
    uint8_t key_bytes[SEQ_KEY_LEN];
    MDB_val key = seq_key(key_bytes, after + 1);
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
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : fail(err, rc, store, "cannot read");
}

gw_status gw__store_read_asked(gw__store *store, gw__store_asked_visitor visitor, void *ctx,
                               gw_error *err)
{
    reading it;
    int rc = begin_reading(store, store->asked, &it);
    if (rc != 0) {
        return fail(err, rc, store, "cannot read");
    }
    MDB_val key;
    MDB_val value;
    bool more = true;
    while (more && (rc = mdb_cursor_get(it.cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size == SEQ_KEY_LEN && value.mv_size == ASKED_LEN) {
            const uint8_t *bytes = value.mv_data;
            more = visitor(ctx, (uint32_t)get_be(bytes + 1, 4), get_be(key.mv_data, SEQ_KEY_LEN),
                           (gw__store_ask)bytes[0]);
        }
    }
    end_reading(&it);
    return rc == 0 || rc == MDB_NOTFOUND ? GW_OK : fail(err, rc, store, "cannot read");
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
    while (rc == 0 && key.mv_size == RECORD_KEY_LEN) {
        uint64_t seq = get_be((const uint8_t *)key.mv_data + 4, 8);
        last = seq > last ? seq : last;
        /* On to the last record of the queue before this one. */
        uint8_t key_bytes[RECORD_KEY_LEN];
        key = record_key(key_bytes, (uint32_t)get_be(key.mv_data, 4), 0);
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
    if (rc == 0 && key.mv_size == SEQ_KEY_LEN) {
        uint64_t seq = get_be(key.mv_data, SEQ_KEY_LEN);
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
        return fail(err, rc, store, "cannot read");
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
        return fail(err, rc, store, "cannot read");
    }
    *ret_counts = (gw__store_counts){.n_records = records.ms_entries,
                                     .n_dead = dead.ms_entries,
                                     .n_damaged = damaged.ms_entries,
                                     .last_seq = last_seq};
    return GW_OK;
}
