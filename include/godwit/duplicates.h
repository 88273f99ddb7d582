/* SPDX-License-Identifier: MIT */
/**
 * @file duplicates.h
 * Which messages were handled before, by their ids, in the LMDB store of the service itself.
 *
 * A message can be delivered twice, to this instance or another; both deliveries have the same id.
 * A handler that writes to an LMDB store asks here within its own write transaction: the id and
 * what the handler writes are committed together, or neither is. So a message takes effect once,
 * whatever dies in between, in all processes that share the store.
 *
 * Ids are remembered up to a number and an age; a duplicate that comes later than that counts as
 * new. The work for a message does not depend on how many are remembered. A filter is shareable
 * between threads; LMDB lets one write transaction run at a time, in all processes together.
 */
#ifndef GODWIT_DUPLICATES_H
#define GODWIT_DUPLICATES_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/error.h>

/* LMDB's own types, so that this header does not need <lmdb.h>. */
struct MDB_env;
struct MDB_txn;

GW_BEGIN_DECLS

typedef struct gw_duplicates gw_duplicates;

/** How many named databases a filter needs of mdb_env_set_maxdbs(). */
#define GW_DUPLICATES_N_DATABASES 2

/** Bytes of `gw_duplicates_options.name`. */
#define GW_DUPLICATES_NAME_MAX 64

typedef struct gw_duplicates_options {
    /** NULL: the databases are called "seen" and "order"; otherwise "NAME.seen" and "NAME.order",
     * for a second filter in one store, or when these names are taken. */
    const char *name;
    uint64_t max_ids;   /**< ids remembered, at most; from 1 on */
    uint64_t max_age_s; /**< seconds they are remembered, of the wall clock */
} gw_duplicates_options;

/** A million ids, about 150 bytes each in the store, and a week. */
#define GW_DUPLICATES_OPTIONS_INIT                                                                 \
    {                                                                                              \
        NULL, 1000000, 7 * 86400                                                                   \
    }

/**
 * Open the filter of a store, and make it when there is none. As with mdb_dbi_open(), no other
 * thread of this process may open databases of `env` meanwhile.
 *
 * @param env      borrowed: closed by the caller, after gw_duplicates_free().
 * @param txn      a write transaction of the caller's in `env`, borrowed; the filter can be used
 *                 in others once it is committed, and is to be freed if it is aborted. NULL: this
 *                 function makes and commits one.
 * @param options  copied; NULL for GW_DUPLICATES_OPTIONS_INIT. Lower limits than before are reached
 *                 by and by.
 * @param ret_dup  set on success; the caller frees it.
 * @param err      filled in on failure; may be NULL.
 * @return GW_OK; GW_E_INVALID for options out of range, for databases of these names that are of
 *         another kind, and for an environment without room for them; GW_E_NO_SPACE, GW_E_IO;
 *         GW_E_NOMEM. `txn` is to be aborted when it failed.
 */
GW_API GW_MUST_CHECK gw_status gw_duplicates_open(struct MDB_env *env, struct MDB_txn *txn,
                                                  const gw_duplicates_options *options,
                                                  gw_duplicates **ret_dup, gw_error *err);

/** Accepts NULL. The databases stay open in the environment, as LMDB would have it. */
GW_API void gw_duplicates_free(gw_duplicates *dup);

/**
 * Note the id of a message, and say whether it is new. It is noted for good when `txn` is
 * committed; when it is aborted, or the process dies before, the id is as new as it was.
 *
 * A handler whose message is not new has nothing to write: it aborts `txn` and returns GW_DONE. One
 * that cannot commit returns GW_RETRY.
 *
 * @param dup         shareable between threads.
 * @param txn         a write transaction of the caller's in the filter's environment, borrowed.
 * @param message_id  1 to 255 bytes, such as gw_message_id(); borrowed. A message without an id
 *                    cannot be recognised: take something of its content that is unique.
 * @param ret_is_new  set on success.
 * @param err         filled in on failure; may be NULL.
 * @return GW_OK; GW_E_INVALID for an id that is NULL, empty or too long, without touching `txn`;
 *         GW_E_NO_SPACE and GW_E_IO when the store is full, fails or is damaged (retriable):
 *         `txn` is then to be aborted.
 */
GW_API GW_MUST_CHECK gw_status gw_duplicates_check(gw_duplicates *dup, struct MDB_txn *txn,
                                                   const char *message_id, bool *ret_is_new,
                                                   gw_error *err);

GW_END_DECLS

#endif
