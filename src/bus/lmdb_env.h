/* SPDX-License-Identifier: MIT */
/*
 * What all LMDB environments of this module share: opening one, its named databases and version,
 * and LMDB's return codes as errors in words.
 *
 * An environment is opened once in a process, and not used on the other side of a fork.
 */
#ifndef GW_BUS_LMDB_ENV_H
#define GW_BUS_LMDB_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <godwit/error.h>

typedef struct gw__lmdb_options {
    size_t map_len;
    unsigned max_dbs;
    unsigned max_readers;
    unsigned flags; /* MDB_NOTLS is always added, and MDB_RDONLY with read_only */
    mode_t mode;    /* of new files, as far as the umask lets it */
    size_t spare;   /* see gw__lmdb_lengthen() */
    bool read_only;
} gw__lmdb_options;

/* Open the environment in `dir`, which exists. A file that was cut is refused if it always had
 * spare length; else it gets its length back, and what killed readers held is freed, but not with
 * read_only. Returns LMDB's code; `ret_env` is set whatever that is, and is to be closed if it is
 * not NULL. */
int gw__lmdb_open(const char *dir, const gw__lmdb_options *options, MDB_env **ret_env);

/*
 * Make the file at least so much longer than what is in use; that takes no space. Before each
 * transaction that writes: `spare` is more than what one can add. Then no file ends before what is
 * in use but one that was cut, and that can be told. Returns LMDB's code.
 */
int gw__lmdb_lengthen(MDB_env *env, size_t spare);

typedef struct gw__lmdb_database {
    const char *name;
    MDB_dbi *dbi;
} gw__lmdb_database;

/* Open the databases, the first of which is "meta", and read the version there. What is not there
 * is made, with this version, but not with read_only. Returns LMDB's code. */
int gw__lmdb_open_databases(MDB_env *env, const gw__lmdb_database *databases, size_t n_databases,
                            bool read_only, uint32_t version, uint32_t *ret_version);

/* How errors speak of an environment: "the outbox" in its directory. */
typedef struct gw__lmdb_words {
    const char *noun;
    const char *if_damaged; /* what to do then; NULL to say nothing */
} gw__lmdb_words;

/* What a code of LMDB, or of the system, means: GW_E_NO_SPACE, GW_E_NOMEM, GW_E_IO, and what
 * gw_error_set_errno() makes of the rest. `what` failed; NULL to leave that out. `env` may be NULL.
 */
gw_status gw__lmdb_fail(gw_error *err, int rc, MDB_env *env, const char *dir,
                        const gw__lmdb_words *words, const char *what);

/* Numbers in keys are big-endian, so that their order is LMDB's. */
void gw__lmdb_put_be(uint8_t *to, uint64_t number, size_t n_bytes);
uint64_t gw__lmdb_get_be(const uint8_t *from, size_t n_bytes);

static inline MDB_val gw__lmdb_val(const void *bytes, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
}

#endif
