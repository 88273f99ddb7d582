/* SPDX-License-Identifier: MIT */
/*
 * Messages at rest: an LMDB directory with queues of records in order, records that were given up
 * ("dead") with the reason, and what could not be read any more ("damaged"). Each record has a
 * checksum; one that does not match is set aside and reported, and never looked at by the rest.
 *
 * Every commit leaves the store whole, whatever dies, power included. A process that only looks
 * can do so while the owner works. Any thread may read; writers wait for each other.
 */
#ifndef GW_BUS_STORE_H
#define GW_BUS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/messaging.h>

typedef struct gw__store gw__store;
typedef struct gw__store_txn gw__store_txn;

/* Where the messages of a queue are to go: an exchange with its type, or a queue. */
typedef struct gw__store_target {
    bool is_queue;
    gw_exchange_type type; /* of an exchange */
    char name[256];
} gw__store_target;

typedef struct gw__store_record {
    uint32_t queue;
    uint64_t seq;
    uint64_t accepted_ms; /* unix milliseconds */
    const uint8_t *bytes; /* good until the visitor returns */
    size_t len;
} gw__store_record;

typedef struct gw__store_dead {
    gw__store_record record;
    uint64_t died_ms; /* unix milliseconds */
    gw_status status;
    const char *reason;
} gw__store_dead;

/* Room for `max_bytes` of records, and something for what is around them. `dir` exists. GW_E_IO,
 * GW_E_UNSUPPORTED for a newer version, GW_E_NOT_FOUND (with `read_only`). */
gw_status gw__store_open(const char *dir, size_t max_bytes, bool read_only, gw__store **ret_store,
                         gw_error *err);

/* Accepts NULL. */
void gw__store_close(gw__store *store);

/* ---- writing: several changes in one commit; a transaction stays on its thread ---- */

gw_status gw__store_begin(gw__store *store, gw__store_txn **ret_txn, gw_error *err);

/* Of the room that is otherwise kept for removing. */
void gw__store_use_reserve(gw__store_txn *txn);

/* Ends the transaction, whatever it returns; then nothing of it has happened. `sync`: it survives
 * power loss when this returns; otherwise a later one may be needed for that. */
gw_status gw__store_commit(gw__store_txn *txn, bool sync, gw_error *err);
void gw__store_abort(gw__store_txn *txn);

/* Commit when all has gone well so far; otherwise abort, and return what went wrong. */
gw_status gw__store_end(gw__store_txn *txn, gw_status st, bool sync, gw_error *err);

/* The queue of a target, made if it is new. */
gw_status gw__store_queue(gw__store_txn *txn, const gw__store_target *target, uint32_t *ret_queue,
                          gw_error *err);

/* Whether there is a queue of this number. */
gw_status gw__store_has_queue(gw__store_txn *txn, uint32_t queue, bool *ret_has, gw_error *err);

/* A record with this number takes its place in its queue; one that is there is replaced. */
gw_status gw__store_put(gw__store_txn *txn, const gw__store_record *record, gw_error *err);

/* A record that is not there is no failure. */
gw_status gw__store_remove(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err);

gw_status gw__store_put_dead(gw__store_txn *txn, const gw__store_dead *dead, gw_error *err);
gw_status gw__store_remove_dead(gw__store_txn *txn, uint64_t seq, gw_error *err);

/* Keep bytes that are no record any more, for a person. */
gw_status gw__store_put_damaged(gw__store_txn *txn, uint64_t seq, const void *bytes, size_t len,
                                gw_error *err);

/* The same with a record whose checksum is wrong, which is removed. */
gw_status gw__store_set_aside(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw_error *err);

/* What another process asks the owner to do with a record. */
typedef enum gw__store_ask {
    GW__STORE_DROP = 1,
    GW__STORE_RESEND,
    GW__STORE_DROP_DEAD
} gw__store_ask;

gw_status gw__store_ask_for(gw__store_txn *txn, uint32_t queue, uint64_t seq, gw__store_ask what,
                            gw_error *err);
gw_status gw__store_forget_asked(gw__store_txn *txn, uint64_t seq, gw_error *err);

/* ---- reading ---- */

/* Returns false to stop. A record with a wrong checksum goes to `damaged` instead; both calls may
 * not write. */
typedef struct gw__store_visitor {
    bool (*record)(void *ctx, const gw__store_record *record);
    void (*damaged)(void *ctx, uint32_t queue, uint64_t seq);
    void *ctx;
} gw__store_visitor;

/* Records of a queue with numbers above `after`, in order. */
gw_status gw__store_read(gw__store *store, uint32_t queue, uint64_t after,
                         const gw__store_visitor *visitor, gw_error *err);

/* How many records a queue has, and the bytes of them. */
gw_status gw__store_measure(gw__store *store, uint32_t queue, size_t *ret_n_records,
                            size_t *ret_n_bytes, gw_error *err);

typedef gw_status (*gw__store_queue_visitor)(void *ctx, uint32_t queue,
                                             const gw__store_target *target, gw_error *err);
gw_status gw__store_queues(gw__store *store, gw__store_queue_visitor visitor, void *ctx,
                           gw_error *err);

typedef bool (*gw__store_dead_visitor)(void *ctx, const gw__store_dead *dead);
gw_status gw__store_read_dead(gw__store *store, uint64_t after, gw__store_dead_visitor visitor,
                              void *ctx, gw_error *err);

typedef bool (*gw__store_asked_visitor)(void *ctx, uint32_t queue, uint64_t seq,
                                        gw__store_ask what);
gw_status gw__store_read_asked(gw__store *store, gw__store_asked_visitor visitor, void *ctx,
                               gw_error *err);

typedef struct gw__store_counts {
    size_t n_records;
    size_t n_dead;
    size_t n_damaged;
    uint64_t last_seq; /* of anything in the store, 0 for none */
} gw__store_counts;

gw_status gw__store_count(gw__store *store, gw__store_counts *ret_counts, gw_error *err);

#endif
