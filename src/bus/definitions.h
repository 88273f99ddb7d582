/* SPDX-License-Identifier: MIT */
/*
 * What a bus knows by name: exchanges, queues, bindings, in an LMDB environment of its own (folder
 * "definitions"). Changes are transactions that are on the disk when they return. Every process
 * keeps what it has read, until a generation tells that it changed.
 */
#ifndef GW_BUS_DEFINITIONS_H
#define GW_BUS_DEFINITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/message.h>
#include <godwit/messaging.h>

#define GW__BUS_NAME_MAX 255

typedef struct gw__definitions gw__definitions;

/* What happens with a message for which a queue's limits leave no room. */
typedef enum gw__overflow {
    GW__OVERFLOW_REFUSE,      /* publishing fails with GW_E_FULL */
    GW__OVERFLOW_DROP_OLDEST, /* the oldest are dropped, and counted */
    GW__OVERFLOW_DEAD_LETTER  /* the oldest move to "<queue>.dead" */
} gw__overflow;

/* A queue has one log for its messages; one more for each priority above 0 that was used, and for
 * each delay ("<queue>.retry.<ms>"). */
typedef enum gw__log_kind {
    GW__LOG_MAIN,
    GW__LOG_PRIORITY, /* number: the priority, 1 to 9 */
    GW__LOG_DELAY     /* number: milliseconds */
} gw__log_kind;

typedef struct gw__log_row {
    uint32_t log;    /* its place in gw__control.logs */
    uint64_t serial; /* of it */
    gw__log_kind kind;
    uint32_t number;
} gw__log_row;

typedef struct gw__queue_row {
    uint32_t id; /* never used twice */
    char name[GW__BUS_NAME_MAX + 1];
    bool temporary;
    uint32_t member;            /* of a temporary one: it goes with this member, ... */
    uint64_t member_generation; /* ... of this life */
    gw_queue_type type;
    uint64_t max_messages; /* 0: no limit */
    uint64_t max_bytes;
    gw__overflow overflow;
    size_t n_logs;
    const gw__log_row *logs; /* the main one first, then priorities from high to low, then delays */
} gw__queue_row;

typedef struct gw__exchange_row {
    char name[GW__BUS_NAME_MAX + 1];
    gw_exchange_type type;
} gw__exchange_row;

typedef struct gw__binding_row {
    char exchange[GW__BUS_NAME_MAX + 1];
    char queue[GW__BUS_NAME_MAX + 1];
    char key[GW__BUS_NAME_MAX + 1];
    /* Of a headers exchange: what a message must have, all or any of it. As in RabbitMQ all of
     * nothing is in every message, any of nothing in none; a null asks for the name alone. */
    const gw_header *headers;
    size_t n_headers;
    bool match_any;
} gw__binding_row;

/* Open the folder "definitions" of `dir_path`, made if it is not there. GW_E_UNSUPPORTED for a
 * newer version; GW_E_IO with what to do for a damaged one; GW_E_NOT_FOUND with read_only. */
gw_status gw__definitions_open(const char *dir_path, unsigned dir_mode, unsigned file_mode,
                               bool read_only, gw__definitions **ret_defs, gw_error *err);
void gw__definitions_close(gw__definitions *defs);

/* Grows with every change by any process; a load or two, no lock. */
uint64_t gw__definitions_generation(const gw__definitions *defs);

/* ---- changing: each a transaction, which others wait for ------------------------------------ */

/* Makes a log for a row: gives it a place in the control file and a serial. Called inside of the
 * transaction; what it made is taken back with `undo` when that fails. */
typedef struct gw__log_maker {
    gw_status (*make)(void *ctx, uint32_t *ret_log, uint64_t *ret_serial, gw_error *err);
    void (*undo)(void *ctx, uint32_t log, uint64_t serial);
    void *ctx;
} gw__log_maker;

/* GW_E_EXISTS when it exists with another type; GW_E_DENIED for a new one named "amq."; GW_E_LIMIT
 * above 10,000 exchanges. amq.direct, amq.fanout, amq.topic, amq.headers and amq.match are always
 * there. */
gw_status gw__definitions_exchange(gw__definitions *defs, const char *name, gw_exchange_type type,
                                   gw_error *err);

/* Declare a queue: `wanted` has all but id and logs. One that exists and has the same durability
 * (and owner, when temporary) and type is left as it is, limits included. Otherwise GW_E_EXISTS;
 * GW_E_DENIED for a new one named "amq."; GW_E_LIMIT. */
gw_status gw__definitions_queue(gw__definitions *defs, const gw__queue_row *wanted,
                                const gw__log_maker *maker, gw_error *err);

/* One more log of a queue, unless it has it. GW_E_NOT_FOUND without the queue. */
gw_status gw__definitions_log(gw__definitions *defs, const char *queue, gw__log_kind kind,
                              uint32_t number, const gw__log_maker *maker, gw_error *err);

gw_status gw__definitions_limits(gw__definitions *defs, const char *queue, uint64_t max_messages,
                                 uint64_t max_bytes, gw__overflow overflow, gw_error *err);

/* Bind, unless it is bound so. GW_E_NOT_FOUND without exchange or queue; GW_E_LIMIT. */
gw_status gw__definitions_bind(gw__definitions *defs, const gw__binding_row *binding,
                               gw_error *err);

/* Delete a queue with its bindings. `logs` are told (GW_OK only) after the transaction, so that
 * their files can be removed. GW_E_NOT_FOUND. */
typedef void (*gw__log_gone)(void *ctx, const gw__log_row *log);
gw_status gw__definitions_delete(gw__definitions *defs, const char *queue, gw__log_gone gone,
                                 void *ctx, gw_error *err);

/* Delete the temporary queues of a member (of any member but with GW__LOG_NOBODY: all of them). */
gw_status gw__definitions_delete_temporary(gw__definitions *defs, uint32_t member,
                                           uint64_t member_generation, gw__log_gone gone, void *ctx,
                                           gw_error *err);

/* Copy them, consistent, into the folder `to_path`, which exists and is empty. */
gw_status gw__definitions_copy(gw__definitions *defs, const char *to_path, gw_error *err);

/* ---- reading: a snapshot, immutable, shared by references ------------------------------------ */

typedef struct gw__topology gw__topology;

/* The newest; cheap while nothing has changed. The caller gives it back. */
gw_status gw__topology_get(gw__definitions *defs, const gw__topology **ret_topology, gw_error *err);
void gw__topology_put(const gw__topology *topology);
uint64_t gw__topology_generation(const gw__topology *topology);

/* Let one look at what is defined while nobody can change it. */
typedef void (*gw__topology_look)(void *ctx, const gw__topology *topology);
gw_status gw__topology_hold(gw__definitions *defs, gw__topology_look look, void *ctx,
                            gw_error *err);

/* NULL if there is none. Constant time. */
const gw__queue_row *gw__topology_queue(const gw__topology *topology, const char *name);
const gw__exchange_row *gw__topology_exchange(const gw__topology *topology, const char *name);

/* All, in order of names. */
const gw__queue_row *const *gw__topology_queues(const gw__topology *topology, size_t *ret_n);
const gw__exchange_row *const *gw__topology_exchanges(const gw__topology *topology, size_t *ret_n);
const gw__binding_row *const *gw__topology_bindings(const gw__topology *topology, size_t *ret_n);

/*
 * The queues that take a message published to an exchange with this key, each once. Writes up to
 * `max` and returns how many there are. Direct: equal keys, constant time. Topic: words with * and
 * #. Fanout: all. Headers: the binding's headers are all (or any of them) in the message with the
 * same value; names that begin with "x-" are not looked at, as RabbitMQ has it.
 */
size_t gw__topology_route(const gw__topology *topology, const gw__exchange_row *exchange,
                          const char *routing_key, const gw_message *msg,
                          const gw__queue_row **ret_queues, size_t max);

#endif
