/* SPDX-License-Identifier: MIT */
/*
 * The inside of an open bus, for the files that make it up: bus.c opens and closes, bus_recover.c
 * puts right what others left, bus_logs.c keeps the logs, bus_publish.c and bus_limit.c put in,
 * bus_ripen.c moves what is due, bus_reader.c takes out and bus_consumer.c settles.
 *
 * Order of locks: the registry's, bus->lock, a consumer's, members_lock, a transaction of the
 * definitions, logs_lock, a log's.
 */
#ifndef GW_BUS_BUS_INSIDE_H
#define GW_BUS_BUS_INSIDE_H

#include <pthread.h>
#include <sys/types.h>

#include "bus/bus.h"

#define GW__BUS_PRIORITY_MAX 9  /* those above are as this */
#define GW__BUS_ENTRY_ROOM   48 /* what a record takes besides its bytes, about */

struct gw__bus_consumer;
struct gw__bus_client;

/* A log that this process has open. It is closed with its last reference; one of these is the
 * table's, as long as the log is there. */
typedef struct gw__open_log {
    gw__log *log;
    gw__log_state *state;
    uint64_t serial;
    uint32_t index; /* in gw__control.logs */
    _Atomic uint32_t refs;
    struct gw__open_log *next_pinned;
    bool pinned; /* handed out by gw__bus_log(): open until the bus is closed */
} gw__open_log;

struct gw__bus {
    struct gw__bus *next; /* of the registry, ... */
    size_t refs;          /* ... and under its lock */
    dev_t device;
    ino_t inode;
    pid_t pid;
    char dir[sizeof(((gw__bus_place *)0)->dir)];
    char name[64];
    gw__control_file file;
    gw__definitions *defs;
    gw__members *members; /* NULL when only looking */
    uint32_t member;
    uint64_t generation; /* of the member */
    _Atomic bool joined; /* both are known */
    int logs_fd;
    gw__log_maker maker;

    pthread_rwlock_t logs_lock; /* of the next two */
    gw__open_log *logs[GW__BUS_LOGS_MAX];
    gw__open_log *pinned;

    pthread_mutex_t lock;   /* of all below */
    pthread_cond_t changed; /* something is no longer busy */
    struct gw__bus_client *transports;
    struct gw__bus_consumer *first; /* in the order in which they are served */
    struct gw__bus_consumer *last;
    struct gw__bus_consumer *cursor; /* the next one of this pass */
    pthread_t reader;
    bool has_reader;
    bool closing;
};

static inline gw__log_state *gw__bus_state(const gw__bus *bus, uint32_t log)
{
    return &bus->file.control->logs[log];
}

static inline uint64_t gw__unix_ms(uint64_t unix_ns)
{
    return unix_ns / 1000000;
}

/* ---- bus_logs.c ------------------------------------------------------------------------ */

/* A reference to a log; GW_E_NOT_FOUND when it was deleted. */
gw_status gw__bus_log_get(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                          gw__open_log **ret_log, gw_error *err);
void gw__bus_log_ref(gw__open_log *log);
void gw__bus_log_put(gw__open_log *log); /* accepts NULL */

/* Close those that are gone, as soon as nobody uses them. */
void gw__bus_sweep_logs(gw__bus *bus);
void gw__bus_close_logs(gw__bus *bus);
void gw__bus_make_maker(gw__bus *bus);

/* What gw__definitions_delete() and its like call; `ctx` is the bus. */
void gw__bus_log_gone(void *ctx, const gw__log_row *row);

/* Messages of a queue that wait, whatever their priority; not the delayed ones. */
uint64_t gw__bus_n_ready(const gw__bus *bus, const gw__queue_row *queue);

/* ---- bus_recover.c ----------------------------------------------------------------------- */

/* Before they are opened: logs without any definitions are not to be taken for those of deleted
 * queues. GW_E_PROTOCOL. */
gw_status gw__bus_check_definitions(gw__bus *bus, gw_error *err);

/* Nobody else has the bus open: make all right. */
gw_status gw__bus_recover(gw__bus *bus, gw_error *err);

/* For gw__members_options; `ctx` is the bus. */
bool gw__bus_member_died(void *ctx, uint32_t member, uint64_t generation);

/* Give back what a member had: queues of its own and consumers. False when a queue could not be
 * deleted. @locks members_lock */
bool gw__bus_forget_member(gw__bus *bus, uint32_t member, uint64_t generation);

void gw__bus_lock_members(gw__bus *bus);
void gw__bus_unlock_members(gw__bus *bus);

/* ---- bus_read.c ---------------------------------------------------------------------------- */

/* What a message takes in a log, and its writer; ctx: a gw__outgoing. */
size_t gw__bus_size(const gw__outgoing *item);
uint8_t *gw__bus_write(const void *ctx, uint8_t *to);

/* When it expires if it comes into a queue now; 0: never. */
uint64_t gw__bus_expires_ms(int64_t expiration_ms, uint64_t now_ms);

/* What of a record matters to where it goes; false when it is damaged. */
bool gw__bus_peek(const gw__log_record *record, unsigned *ret_priority, int64_t *ret_expiration_ms);

/* ---- bus_limit.c ----------------------------------------------------------------------------- */

typedef struct gw__bus_append_how {
    bool to_disk;       /* what is moved elsewhere is there when it is gone here */
    bool beyond_limits; /* whatever they say */
} gw__bus_append_how;

/* Append to a log of a queue within its limits, making room as it says. */
gw_status gw__bus_append(gw__bus *bus, const gw__queue_row *queue, gw__open_log *log,
                         const gw__log_write *writes, size_t n_writes, gw__bus_append_how how,
                         uint64_t *ret_end, gw_error *err);

/* Whether they fit into the queue, without what has expired at its front, which is dropped then. */
bool gw__bus_make_fit(gw__bus *bus, const gw__queue_row *queue, const gw__log_write *writes,
                      size_t n_writes);

/* Whether it takes no more when it is full. */
bool gw__bus_refuses(const gw__queue_row *queue);

/* GW_E_FULL, with what is in it. */
gw_status gw__bus_refuse(const gw__bus *bus, const gw__queue_row *queue, gw_error *err);

/* ---- bus_ripen.c ------------------------------------------------------------------------------
 */

/* Something will be due then in a delay log of the queue with this main log. */
void gw__bus_lower_due(gw__log_state *main, uint64_t due_ms);

#endif
