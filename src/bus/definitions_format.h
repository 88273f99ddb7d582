/* SPDX-License-Identifier: MIT */
/*
 * Five databases. All numbers are big-endian; names are without a NUL.
 *   meta       "version" -> 4 bytes, of this machine's order as in the outbox's store
 *              "last_queue" -> 4 bytes: the highest id that a queue was given
 *   exchanges  name -> type (1)
 *   queues     name -> id (4), temporary (1), type (1), overflow (1), 0 (1), member (4), its
 *              generation (8), max_messages (8), max_bytes (8)
 *   logs       id of the queue (4), kind (1), rank (4) -> place in the control file (4), serial (8)
 *              The rank puts them in the order of gw__queue_row.logs: 0 for the main one, 9 minus
 *              the priority, milliseconds of the delay.
 *   bindings   id of the queue (4), hash of the value (8), 0 and up (1) for values of one hash ->
 *              match_any (1), length of the exchange's name (1), of the binding key (1), both,
 *              then the headers, if there are any, as those of an empty message in record.h
 *
 * Without MDB_NOMETASYNC: a commit is on the disk before others are told of it.
 */
#ifndef GW_BUS_DEFINITIONS_FORMAT_H
#define GW_BUS_DEFINITIONS_FORMAT_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus/definitions.h"
#include "bus/lmdb_env.h"

#define GW__DEFINITIONS_OBJECTS_MAX 10000 /* exchanges, queues, bindings */

#define GW__QUEUE_ID_LEN            4
#define GW__QUEUE_VALUE_LEN         36
#define GW__LOG_KEY_LEN             9
#define GW__LOG_VALUE_LEN           12
#define GW__BINDING_KEY_LEN         13
#define GW__BINDING_VALUE_MIN       3

struct gw__definitions {
    MDB_env *env;
    MDB_dbi meta;
    MDB_dbi exchanges;
    MDB_dbi queues;
    MDB_dbi logs;
    MDB_dbi bindings;
    char *dir; /* the folder "definitions" */
    unsigned file_mode;
    bool read_only;
    _Atomic unsigned n_begun;  /* transactions that write */
    pthread_mutex_t load_lock; /* one thread reads what has changed, before `lock` */
    pthread_mutex_t lock;
    const gw__topology *newest; /* NULL until it is first asked for */
};

/* What a code of LMDB means; `what` failed. */
gw_status gw__definitions_fail(const gw__definitions *defs, int rc, const char *what,
                               gw_error *err);

/* GW_E_IO: "queue 'NAME' is damaged: WHY", and what to do. */
gw_status gw__definitions_damaged(const gw__definitions *defs, const char *kind, const char *name,
                                  const char *why, gw_error *err);

/* ---- transactions ------------------------------------------------------------------------- */

/* GW_OK when it could be begun; readers of killed processes do not stand in the way. */
gw_status gw__definitions_begin(gw__definitions *defs, bool write, MDB_txn **ret_txn,
                                gw_error *err);

/* The generation of the definitions that the transaction sees, before it changes any. */
uint64_t gw__definitions_seen(const gw__definitions *defs, MDB_txn *txn);

/* Commit with GW_OK, and abort otherwise; returns what went wrong first. */
gw_status gw__definitions_end(gw__definitions *defs, MDB_txn *txn, gw_status st, gw_error *err);

/* ---- rows ------------------------------------------------------------------------------------ */

/* All are false for what can be no such row. A queue's logs are not read with it. */
bool gw__definitions_read_exchange(const MDB_val *key, const MDB_val *value,
                                   gw__exchange_row *ret_row);
bool gw__definitions_read_queue(const MDB_val *key, const MDB_val *value, gw__queue_row *ret_row);
bool gw__definitions_read_log(const MDB_val *key, const MDB_val *value, uint32_t *ret_queue,
                              gw__log_row *ret_row);

/* All but the queue's name. `ret_holder` keeps the headers, and is the caller's; NULL without. */
gw_status gw__definitions_read_binding(const MDB_val *key, const MDB_val *value,
                                       uint32_t *ret_queue, gw__binding_row *ret_row,
                                       gw_message **ret_holder, gw_error *err);

void gw__definitions_write_queue(const gw__queue_row *row, uint8_t to[GW__QUEUE_VALUE_LEN]);
void gw__definitions_write_log_key(uint32_t queue, gw__log_kind kind, uint32_t number,
                                   uint8_t to[GW__LOG_KEY_LEN]);
void gw__definitions_write_log(const gw__log_row *row, uint8_t to[GW__LOG_VALUE_LEN]);

/* The value of a binding, to free(); GW_E_LIMIT, GW_E_INVALID of headers that no message can have.
 */
gw_status gw__definitions_write_binding(const gw__binding_row *row, uint8_t **ret_bytes,
                                        size_t *ret_len, gw_error *err);
void gw__definitions_write_binding_key(uint32_t queue, const MDB_val *value, uint8_t number,
                                       uint8_t to[GW__BINDING_KEY_LEN]);

/* FNV-1a, going on from `hash`. */
#define GW__HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t gw__definitions_hash(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

#endif
