/* SPDX-License-Identifier: MIT */
#include "store/lmdb_env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DIR_MAX_LEN 4000
#define READERS_MAX 1024 /* threads that read, in all processes together */

gw_status lmdb_env_error(gw_error *err, int rc, const char *dir, const char *what)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return gw_error_set(err, GW_E_NO_SPACE, rc,
                            "%s: the store in %s has reached its size limit", what, dir);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return gw_error_set(
            err, GW_E_NO_SPACE, rc,
            "%s: the disk under %s is full: free some space, or set store_dir elsewhere", what,
            dir);
    case EIO: /* also what LMDB makes of a write that was cut short, as by a full disk */
        return gw_error_set(err, GW_E_IO, rc, "%s: the disk under %s is full or damaged", what,
                            dir);
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return gw_error_set(err, GW_E_IO, rc,
                            "%s: the store in %s is damaged or of another kind (%s)", what, dir,
                            mdb_strerror(rc));
    default:
        return rc > 0 ? gw_error_set_errno(err, rc, "%s: the store in %s", what, dir)
                      : gw_error_set(err, GW_E_IO, rc, "%s: the store in %s: %s", what, dir,
                                     mdb_strerror(rc));
    }
}

static gw_status make_dirs(const char *dir, gw_error *err)
{
    char path[DIR_MAX_LEN + 1];
    size_t len = strnlen(dir, sizeof(path));
    if (len == 0 || len == sizeof(path)) {
        return gw_error_set(err, GW_E_INVALID, 0, "store_dir is empty or longer than %d bytes",
                            DIR_MAX_LEN);
    }
    memcpy(path, dir, len + 1);
    for (char *p = path + 1; p <= path + len; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char end = *p;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return gw_error_set_errno(err, errno, "cannot make the directory %s", path);
        }
        *p = end;
    }
    return GW_OK;
}

gw_status lmdb_env_open(const lmdb_env_options *options, MDB_env **ret_env, gw_error *err)
{
    gw_status st = make_dirs(options->dir, err);
    if (st != GW_OK) {
        return st;
    }
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(env, options->max_dbs);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env, READERS_MAX);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(env, options->max_bytes);
    }
    if (rc == 0) {
        unsigned flags = options->sync_each_commit ? 0 : MDB_NOSYNC;
        flags |= options->free_readers ? MDB_NOTLS : 0;
        rc = mdb_env_open(env, options->dir, flags, 0600);
    }
    if (rc == 0) {
        int n_dead;
        rc = mdb_reader_check(env, &n_dead); /* readers that were killed keep old pages in use */
    }
    if (rc != 0) {
        mdb_env_close(env);
        return lmdb_env_error(err, rc, options->dir, "cannot open");
    }
    *ret_env = env;
    return GW_OK;
}
