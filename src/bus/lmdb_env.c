/* SPDX-License-Identifier: MIT */
#include "bus/lmdb_env.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A disk with less room than this counts as full. */
#define FULL_BELOW ((uint64_t)1 << 20)

/* ---- open --------------------------------------------------------------------- */

/* The length of the file, and what LMDB may read of it. */
static int measure(MDB_env *env, int *ret_fd, off_t *ret_len, off_t *ret_used)
{
    MDB_envinfo info;
    MDB_stat stats;
    struct stat file;
    int rc = mdb_env_info(env, &info);
    rc = rc == 0 ? mdb_env_stat(env, &stats) : rc;
    rc = rc == 0 ? mdb_env_get_fd(env, ret_fd) : rc;
    if (rc != 0) {
        return rc;
    }
    *ret_used = (off_t)((info.me_last_pgno + 1) * stats.ms_psize);
    rc = fstat(*ret_fd, &file) == 0 ? 0 : errno;
    *ret_len = rc == 0 ? file.st_size : 0;
    return rc;
}

int gw__lmdb_lengthen(MDB_env *env, size_t spare)
{
    int fd;
    off_t len;
    off_t used;
    int rc = measure(env, &fd, &len, &used);
    off_t wanted = used + (off_t)spare;
    return rc == 0 && len < wanted && ftruncate(fd, wanted) != 0 ? errno : rc;
}

/* A file that was cut: LMDB would read behind its end, and be killed for it. Without spare length
 * it may also end before pages that were never used: then zeros have to do, which LMDB refuses, or
 * mostly. */
static int check_length(MDB_env *env, const gw__lmdb_options *options)
{
    int fd;
    off_t len;
    off_t used;
    int rc = measure(env, &fd, &len, &used);
    if (rc == 0 && options->spare > 0 && len < used) {
        return MDB_CORRUPTED;
    }
    return rc == 0 && !options->read_only ? gw__lmdb_lengthen(env, options->spare) : rc;
}

int gw__lmdb_open(const char *dir, const gw__lmdb_options *options, MDB_env **ret_env)
{
    MDB_env *env = NULL;
    /* NOTLS: a reader belongs to its transaction, not to its thread. */
    unsigned flags = options->flags | MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0);
    int rc = mdb_env_create(&env);
    *ret_env = rc == 0 ? env : NULL;
    rc = rc == 0 ? mdb_env_set_maxdbs(env, options->max_dbs) : rc;
    rc = rc == 0 ? mdb_env_set_maxreaders(env, options->max_readers) : rc;
    rc = rc == 0 ? mdb_env_set_mapsize(env, options->map_len) : rc;
    rc = rc == 0 ? mdb_env_open(env, dir, flags, options->mode) : rc;
    if (rc == 0) {
        rc = check_length(env, options);
    }
    if (rc == 0 && !options->read_only) {
        int n_dead;
        rc = mdb_reader_check(env, &n_dead); /* killed readers keep old pages in use */
    }
    return rc;
}

static int check_version(MDB_txn *txn, MDB_dbi meta, bool read_only, uint32_t *version)
{
    MDB_val key = gw__lmdb_val("version", 7);
    MDB_val value;
    int rc = mdb_get(txn, meta, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(*version)) {
        memcpy(version, value.mv_data, sizeof(*version));
    } else if (rc == 0) {
        rc = MDB_INVALID;
    } else if (rc == MDB_NOTFOUND && !read_only) {
        value = gw__lmdb_val(version, sizeof(*version));
        rc = mdb_put(txn, meta, &key, &value, 0);
    }
    return rc;
}

int gw__lmdb_open_databases(MDB_env *env, const gw__lmdb_database *databases, size_t n_databases,
                            bool read_only, uint32_t version, uint32_t *ret_version)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < n_databases; i++) {
        rc = mdb_dbi_open(txn, databases[i].name, read_only ? 0 : MDB_CREATE, databases[i].dbi);
    }
    if (rc == 0) {
        *ret_version = version;
        rc = check_version(txn, *databases[0].dbi, read_only, ret_version);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* ---- errors ------------------------------------------------------------------- */

/* LMDB says EIO of a write that was cut short: was there no room for the rest? */
static bool is_full(const char *dir)
{
    struct statvfs info;
    return statvfs(dir, &info) == 0 && info.f_bavail * info.f_frsize < FULL_BELOW;
}

gw_status gw__lmdb_fail(gw_error *err, int rc, MDB_env *env, const char *dir,
                        const gw__lmdb_words *words, const char *what)
{
    const char *colon = what == NULL ? "" : ": ";
    what = what == NULL ? "" : what;
    rc = rc == EIO && is_full(dir) ? ENOSPC : rc;
    switch (rc) {
    case MDB_MAP_FULL:
        if (env != NULL) {
            mdb_reader_check(env, &(int){0}); /* a killed one may keep pages from the next try */
        }
        return gw_error_set(err, GW_E_NO_SPACE, rc, "%s%s%s in %s has reached its size limit", what,
                            colon, words->noun, dir);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return gw_error_set(err, GW_E_NO_SPACE, rc, "%s%sthe disk under %s is full", what, colon,
                            dir);
    case EIO: /* of a cut write too, if others have made room since, or a file had its limit */
        return gw_error_set(err, GW_E_IO, rc, "%s%sthe disk under %s is full or damaged", what,
                            colon, dir);
    case ENOMEM:
        return gw_error_set(err, GW_E_NOMEM, rc, "%s%sno memory for %s in %s", what, colon,
                            words->noun, dir);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return gw_error_set(err, GW_E_IO, rc,
                            "%s%sdata.mdb in %s is damaged, or of something else (%s)%s%s", what,
                            colon, dir, mdb_strerror(rc), words->if_damaged == NULL ? "" : ": ",
                            words->if_damaged == NULL ? "" : words->if_damaged);
    default:
        return rc > 0 ? gw_error_set_errno(err, rc, "%s%s%s in %s", what, colon, words->noun, dir)
                      : gw_error_set(err, GW_E_IO, rc, "%s%s%s in %s: %s", what, colon, words->noun,
                                     dir, mdb_strerror(rc));
    }
}

/* ---- keys --------------------------------------------------------------------- */

void gw__lmdb_put_be(uint8_t *to, uint64_t number, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        to[i] = (uint8_t)(number >> (8 * (n_bytes - 1 - i)));
    }
}

uint64_t gw__lmdb_get_be(const uint8_t *from, size_t n_bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        number = number << 8 | from[i];
    }
    return number;
}
