/* SPDX-License-Identifier: MIT */
/*
 * The limit: one process that appends to an LMDB and does nothing else, with -batch records in a
 * transaction. bench/messaging/load.h has the command line:
 *
 *   lmdb_append publish -dir DIR -count N -batch B [-level process|disk]
 *
 * At level `process` no transaction waits for the disk, and the map is written to directly; at
 * `disk` each transaction waits, and goes through write(). Each is the faster way for its level.
 */
#include <stdio.h>
#include <string.h>

#include <lmdb.h>

#include "load.h"

#define MAP_BYTES ((size_t)64 << 30)
#define DIR_MODE  0600

static void check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS) {
        load_fail("%s: %s", what, mdb_strerror(rc));
    }
}

static MDB_env *open_env(const load_options *options)
{
    MDB_env *env = NULL;
    bool to_disk = strcmp(options->level, "disk") == 0;
    check(mdb_env_create(&env), "create");
    check(mdb_env_set_mapsize(env, MAP_BYTES), "set the size");
    check(mdb_env_open(env, options->dir, to_disk ? 0 : MDB_WRITEMAP | MDB_NOSYNC, DIR_MODE),
          options->dir);
    return env;
}

static MDB_dbi open_table(MDB_env *env)
{
    MDB_txn *txn;
    MDB_dbi table;
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &table), "open the table");
    check(mdb_txn_commit(txn), "commit");
    return table;
}

/* Append the records `from` to `to`, which are one transaction. */
static void append(MDB_env *env, MDB_dbi table, uint64_t from, uint64_t to, char *body)
{
    MDB_txn *txn;
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    for (uint64_t i = from; i < to; i++) {
        MDB_val key = {.mv_size = sizeof(i), .mv_data = &i};
        MDB_val value = {.mv_size = LOAD_BODY_LEN, .mv_data = body};
        check(mdb_put(txn, table, &key, &value, MDB_APPEND), "put");
    }
    check(mdb_txn_commit(txn), "commit");
}

int main(int argc, char **argv)
{
    load_options options;
    load_parse(argc, argv, &options);
    if (strcmp(options.mode, "publish") != 0 || options.dir == NULL) {
        load_fail("lmdb_append has the mode publish, with -dir, only");
    }
    MDB_env *env = open_env(&options);
    MDB_dbi table = open_table(env);
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    load_stopwatch watch;
    load_start(&watch);
    for (uint64_t i = 0; i < options.count; i += options.batch) {
        uint64_t left = options.count - i;
        append(env, table, i, i + (left < options.batch ? left : options.batch), body);
    }
    load_stop(&watch);
    load_report(&options, &watch, options.count, "", NULL, NULL);
    mdb_env_close(env);
    return 0;
}
