/* SPDX-License-Identifier: MIT */
/* Opening the definitions, copying them, and the transactions that others work with.
 * definitions_change.c and definitions_delete.c write, topology*.c reads. */
#include "bus/definitions_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/owner.h"

#define VERSION  1
#define PATH_LEN 4400

/* Address space, of which pages that are used take memory: 10,000 of each with short headers have
 * room several times over. */
#define MAP_LEN ((size_t)256 << 20)

/* More than one transaction writes, were it to touch each page of 10,000 bindings. */
#define SPARE_LEN           ((size_t)32 << 20)

#define READERS_MAX         512 /* one at a time for each process, and some to spare */
#define CHECK_READERS_EVERY 256

gw_status gw__definitions_fail(const gw__definitions *defs, int rc, const char *what, gw_error *err)
{
    static const gw__lmdb_words words = {.noun = "the store of the bus's definitions",
                                         .if_damaged =
                                             "'godwit bus recover' saves what can be read"};
    return gw__lmdb_fail(err, rc, defs->env, defs->dir, &words, what);
}

gw_status gw__definitions_damaged(const gw__definitions *defs, const char *kind, const char *name,
                                  const char *why, gw_error *err)
{
    return gw_error_set(err, GW_E_IO, 0,
                        "the bus's definitions in %s: %s '%.255s' is damaged (%.200s): 'godwit "
                        "bus recover' saves what can be read",
                        defs->dir, kind, name, why);
}

/* ---- transactions --------------------------------------------------------------- */

/* LMDB knows its readers by their pids, and lets one process have each: of two in different pid
 * namespaces, where both are number 1, the other one reads when it is its turn to write. */
static bool is_taken(int rc)
{
    return rc == EAGAIN || rc == EACCES;
}

gw_status gw__definitions_begin(gw__definitions *defs, bool write, MDB_txn **ret_txn, gw_error *err)
{
    if (write && defs->read_only) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "the bus's definitions in %s are open for reading only", defs->dir);
    }
    if (write && atomic_fetch_add(&defs->n_begun, 1) % CHECK_READERS_EVERY == 0) {
        mdb_reader_check(defs->env, &(int){0}); /* if not now, then with a later one */
    }
    int rc = write ? gw__lmdb_lengthen(defs->env, SPARE_LEN) : 0;
    rc = rc == 0 ? mdb_txn_begin(defs->env, NULL, write ? 0 : MDB_RDONLY, ret_txn) : rc;
    if (rc == MDB_READERS_FULL) { /* of processes that were killed, maybe */
        mdb_reader_check(defs->env, &(int){0});
        rc = mdb_txn_begin(defs->env, NULL, MDB_RDONLY, ret_txn);
    }
    if (is_taken(rc) && !write && !defs->read_only) {
        rc = mdb_txn_begin(defs->env, NULL, 0, ret_txn);
    }
    return rc == 0 ? GW_OK
                   : gw__definitions_fail(defs, rc, write ? "cannot write" : "cannot read", err);
}

uint64_t gw__definitions_seen(const gw__definitions *defs, MDB_txn *txn)
{
    uint64_t newest = gw__definitions_generation(defs);
    uint64_t id = mdb_txn_id(txn);
    return id <= newest ? id : newest; /* one that may write has the number of what it would make */
}

gw_status gw__definitions_end(gw__definitions *defs, MDB_txn *txn, gw_status st, gw_error *err)
{
    if (st != GW_OK) {
        mdb_txn_abort(txn);
        return st;
    }
    int rc = mdb_txn_commit(txn);
    return rc == 0 ? GW_OK : gw__definitions_fail(defs, rc, "cannot write", err);
}

/* ---- open ------------------------------------------------------------------------- */

/* Exchanges that are always there; only what is missing is written. */
static int make_exchanges(gw__definitions *defs)
{
    static const gw__exchange_row always[] = {{"amq.direct", GW_EXCHANGE_DIRECT},
                                              {"amq.fanout", GW_EXCHANGE_FANOUT},
                                              {"amq.topic", GW_EXCHANGE_TOPIC},
                                              {"amq.headers", GW_EXCHANGE_HEADERS},
                                              {"amq.match", GW_EXCHANGE_HEADERS}};
    MDB_txn *txn;
    int rc = mdb_txn_begin(defs->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(always) / sizeof(always[0]); i++) {
        MDB_val key = gw__lmdb_val(always[i].name, strlen(always[i].name));
        MDB_val value;
        rc = mdb_get(txn, defs->exchanges, &key, &value);
        if (rc == MDB_NOTFOUND) {
            uint8_t type = (uint8_t)always[i].type;
            value = gw__lmdb_val(&type, 1);
            rc = mdb_put(txn, defs->exchanges, &key, &value, 0);
        }
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* LMDB's files get what the umask took; what others have made is theirs. Never opened here: closing
 * lock.mdb would take LMDB's own lock of it away. */
static int set_modes(const gw__definitions *defs)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_LEN];
        struct stat info;
        snprintf(path, sizeof(path), "%s/%s", defs->dir, names[i]);
        if (stat(path, &info) != 0 ||
            (info.st_uid == geteuid() && (info.st_mode & 0777) != defs->file_mode &&
             chmod(path, defs->file_mode) != 0)) {
            return errno;
        }
    }
    return 0;
}

static int open_env(gw__definitions *defs, uint32_t *ret_version)
{
    const gw__lmdb_options options = {.map_len = MAP_LEN,
                                      .max_dbs = 8,
                                      .max_readers = READERS_MAX,
                                      .mode = defs->file_mode,
                                      .spare = SPARE_LEN,
                                      .read_only = defs->read_only};
    const gw__lmdb_database databases[] = {{"meta", &defs->meta},
                                           {"exchanges", &defs->exchanges},
                                           {"queues", &defs->queues},
                                           {"logs", &defs->logs},
                                           {"bindings", &defs->bindings}};
    int rc = gw__lmdb_open(defs->dir, &options, &defs->env);
    if (rc == 0 && !defs->read_only) {
        rc = set_modes(defs);
    }
    rc = rc != 0 ? rc
                 : gw__lmdb_open_databases(defs->env, databases,
                                           sizeof(databases) / sizeof(databases[0]),
                                           defs->read_only, VERSION, ret_version);
    return rc == 0 && !defs->read_only && *ret_version == VERSION ? make_exchanges(defs) : rc;
}

static gw_status open_checked(gw__definitions *defs, gw_error *err)
{
    uint32_t version = 0;
    int rc = open_env(defs, &version);
    if (rc != 0) {
        gw_status st = gw__definitions_fail(defs, rc, "cannot open", err);
        return rc == ENOENT || rc == MDB_NOTFOUND ? gw_error_prefix(err, GW_E_NOT_FOUND, "no bus")
                                                  : st;
    }
    return version == VERSION ? GW_OK
                              : gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                             "the bus's definitions in %s have version %" PRIu32
                                             ", this program knows %d: use a newer one",
                                             defs->dir, version, VERSION);
}

/* The folder, which does not have to be new. */
static gw_status make_folder(const char *path, unsigned dir_mode, bool *ret_made, gw_error *err)
{
    *ret_made = mkdir(path, 0700) == 0;
    if ((!*ret_made && errno != EEXIST) || (*ret_made && chmod(path, dir_mode) != 0)) {
        return gw_error_set_errno(err, errno, "cannot make %s", path);
    }
    return GW_OK;
}

gw_status gw__definitions_open(const char *dir_path, unsigned dir_mode, unsigned file_mode,
                               bool read_only, gw__definitions **ret_defs, gw_error *err)
{
    size_t len = strlen(dir_path) + sizeof("/definitions");
    if (len > PATH_LEN - sizeof("/lock.mdb")) {
        return gw_error_set(err, GW_E_INVALID, 0, "the name of the bus's directory is too long");
    }
    gw__definitions *defs = calloc(1, sizeof(*defs));
    char *dir = malloc(len);
    if (defs == NULL || dir == NULL) {
        free(defs);
        free(dir);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the bus's definitions");
    }
    snprintf(dir, len, "%s/definitions", dir_path);
    defs->dir = dir;
    defs->file_mode = file_mode & 0777;
    defs->read_only = read_only;
    pthread_mutex_init(&defs->load_lock, NULL);
    pthread_mutex_init(&defs->lock, NULL);
    bool made = false;
    gw_status st = read_only ? GW_OK : make_folder(dir, dir_mode, &made, err);
    char data[PATH_LEN];
    snprintf(data, sizeof(data), "%s/data.mdb", dir);
    made = made || access(data, F_OK) != 0; /* a new name has to get to the disk, too */
    st = st == GW_OK ? open_checked(defs, err) : st;
    if (st == GW_OK && made && !read_only) {
        st = gw__owner_sync_dir(dir, err);
        st = st == GW_OK ? gw__owner_sync_dir(dir_path, err) : st;
    }
    if (st != GW_OK) {
        gw__definitions_close(defs);
        return st;
    }
    *ret_defs = defs;
    return GW_OK;
}

void gw__definitions_close(gw__definitions *defs)
{
    if (defs == NULL) {
        return;
    }
    gw__topology_put(defs->newest);
    if (defs->env != NULL) {
        mdb_env_close(defs->env);
    }
    pthread_mutex_destroy(&defs->lock);
    pthread_mutex_destroy(&defs->load_lock);
    free(defs->dir);
    free(defs);
}

uint64_t gw__definitions_generation(const gw__definitions *defs)
{
    MDB_envinfo info = {.me_last_txnid = 0};
    mdb_env_info(defs->env, &info);
    return info.me_last_txnid;
}

/* ---- copy ------------------------------------------------------------------------- */

/* As LMDB does it, but in a turn to write: nobody else changes the file. */
static int copy_in_turn(gw__definitions *defs, const char *path)
{
    MDB_txn *txn;
    MDB_envinfo info;
    MDB_stat stats;
    int from;
    int rc = mdb_txn_begin(defs->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_env_info(defs->env, &info);
    rc = rc == 0 ? mdb_env_stat(defs->env, &stats) : rc;
    rc = rc == 0 ? mdb_env_get_fd(defs->env, &from) : rc;
    int to = rc == 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    rc = rc == 0 && to < 0 ? errno : rc;
    off_t end = rc == 0 ? (off_t)((info.me_last_pgno + 1) * stats.ms_psize) : 0;
    for (off_t at = 0; rc == 0 && at < end;) {
        ssize_t n = sendfile(to, from, &at, (size_t)(end - at));
        rc = n > 0 ? 0 : n == 0 ? EIO : errno;
    }
    if (to >= 0 && close(to) != 0 && rc == 0) {
        rc = errno;
    }
    mdb_txn_abort(txn);
    return rc;
}

gw_status gw__definitions_copy(gw__definitions *defs, const char *to_path, gw_error *err)
{
    char path[PATH_LEN];
    if ((size_t)snprintf(path, sizeof(path), "%s/data.mdb", to_path) >= sizeof(path)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the name of the directory is too long");
    }
    int rc = mdb_env_copy(defs->env, to_path);
    if (is_taken(rc) && !defs->read_only) { /* LMDB has made the file by then */
        rc = unlink(path) == 0 || errno == ENOENT ? copy_in_turn(defs, path) : errno;
    }
    if (rc != 0) {
        return gw__definitions_fail(defs, rc, "cannot copy", err);
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool done = fd >= 0 && fchmod(fd, defs->file_mode) == 0 && fsync(fd) == 0;
    int problem = errno;
    if (fd >= 0) {
        close(fd);
    }
    return done ? gw__owner_sync_dir(to_path, err)
                : gw_error_set_errno(err, problem, "cannot write %s", path);
}
