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
#ifndef GW_BUS_STORE_FORMAT_H
#define GW_BUS_STORE_FORMAT_H

#include <lmdb.h>

#include "bus/lmdb_env.h"
#include "bus/store.h"

#define GW__RECORD_KEY_LEN 12
#define GW__SEQ_KEY_LEN    8
#define GW__ASKED_LEN      5

typedef struct gw__record_value {
    uint32_t crc; /* of all that follows, and of the key */
    uint32_t reserved;
    uint64_t accepted_ms;
} gw__record_value;

typedef struct gw__dead_value {
    uint64_t died_ms;
    uint32_t queue;
    uint16_t status;
    uint16_t reason_len; /* with its NUL */
} gw__dead_value;

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

/* What an error of LMDB, or of the system, means to the store's user. */
gw_status gw__store_fail(gw_error *err, int rc, const gw__store *store, const char *what);

MDB_val gw__store_record_key(uint8_t bytes[GW__RECORD_KEY_LEN], uint32_t queue, uint64_t seq);
MDB_val gw__store_seq_key(uint8_t bytes[GW__SEQ_KEY_LEN], uint64_t seq);

/* Whether a value has `least` bytes and the checksum that it says. */
bool gw__store_is_whole(const MDB_val *key, const MDB_val *value, size_t least);

/* So many bytes of the file were looked at: their pages are given back now and then. */
void gw__store_touch(gw__store *store, size_t n_bytes);

#endif
