/* SPDX-License-Identifier: MIT */
/* An LMDB environment in a directory of its own, and LMDB's return codes as errors that name that
 * directory. */
#ifndef SERVICES_STORE_LMDB_ENV_H
#define SERVICES_STORE_LMDB_ENV_H

#include <lmdb.h>

#include <godwit/error.h>

typedef struct lmdb_env_options {
    const char *dir;       /* made if it does not exist, with its parents, for the owner alone */
    unsigned max_dbs;      /* named databases */
    size_t max_bytes;      /* of the file */
    bool sync_each_commit; /* survive power loss; without it only the loss of the process */
    bool free_readers;     /* read transactions belong to no thread, see MDB_NOTLS */
} lmdb_env_options;

gw_status lmdb_env_open(const lmdb_env_options *options, MDB_env **ret_env, gw_error *err);

/* The error of an LMDB call: "what: /dir: the store is full ...". Returns its status. */
gw_status lmdb_env_error(gw_error *err, int rc, const char *dir, const char *what);

#endif
