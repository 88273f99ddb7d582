/* SPDX-License-Identifier: MIT */
/*
 * Consumers of a bus, and the thread that serves all those of a process: bus_reader.c is the
 * thread, bus_take.c a turn of one consumer, bus_consumer.c what others do with one, bus_attach.c
 * how one finds its queue, bus_transport.c what makes them.
 */
#ifndef GW_BUS_BUS_READER_H
#define GW_BUS_BUS_READER_H

#include "bus/bus_inside.h"

#define GW__BUS_TURN_MAX 128 /* messages that a consumer takes at once */

typedef struct gw__bus_client {
    gw__transport head;
    gw__bus *bus;
    gw__bus_url limits; /* of queues that it declares */
    bool to_disk;
    gw__transport_events events;
    struct gw__bus_client *next; /* of the bus, as the next two under its lock */
    bool news;                   /* to be told that it is up */
    bool busy;                   /* is being told */
} gw__bus_client;

/* A delivery that is not settled. Its tag is a number that grows, and its place in the table. */
typedef struct gw__bus_slot {
    uint64_t tag; /* 0: free */
    uint64_t position;
    uint32_t log;       /* in consumer->logs */
    uint32_t next_free; /* place + 1 */
} gw__bus_slot;

#define GW__BUS_SLOT_BITS 16 /* as many as a prefetch has */

typedef struct gw__bus_consumer {
    gw__consumer head;
    gw__bus *bus;
    gw__sink sink;

    /* What it wants. */
    gw__consumer_spec spec; /* of the copies below */
    char queue_name[GW__BUS_NAME_MAX + 1];
    char exchange[GW__BUS_NAME_MAX + 1];
    char binding_key[GW__BUS_NAME_MAX + 1];
    char name[GW__BUS_NAME_MAX + 1];
    gw_message *headers; /* keeps those of the binding; NULL without */

    /* Under bus->lock. */
    struct gw__bus_consumer *prev;
    struct gw__bus_consumer *next;
    bool ended; /* cancel() began; it is in no list */
    bool busy;  /* the reader's */

    /* The reader's, and subscribe()'s before it is in a list. */
    gw_error refusal;     /* why it does not consume; GW_OK: it does */
    bool lost;            /* to be told: its queue was deleted, ... */
    bool news;            /* ... and its state */
    uint64_t again_ms;    /* gw_clock_ms(): not before that; 0: now */
    uint64_t due_ms;      /* unix ms: when something delayed is due */
    unsigned n_misses;    /* turns since something was there and could be taken */
    uint64_t handed_at;   /* number of the reader's sleep before which others were to go on, ... */
    uint32_t handed_bell; /* ... unless it is rung for after this: they hand over to it */
    const gw__topology *topology; /* in which its queue is this: */
    const gw__queue_row *queue;
    gw__log_state *main;  /* of the queue's own log, */
    uint64_t main_serial; /* with this number */
    uint32_t entry;       /* in gw__control.consumers; GW__LOG_NOBODY: none */
    uint32_t *order;      /* in logs: by priority */
    size_t n_order;

    pthread_mutex_t lock; /* of all below */
    uint64_t epoch;
    uint16_t prefetch;
    _Atomic bool wants_room; /* the reader waits for a settlement; read without the lock, too */
    gw__open_log **logs;     /* referenced; only the reader changes them */
    size_t n_logs;
    gw__bus_slot *slots;
    size_t n_slots;
    uint32_t first_free; /* place + 1 */
    size_t n_unsettled;
    uint64_t last_tag;
} gw__bus_consumer;

/* ---- bus_reader.c ---------------------------------------------------------------------- */

/* Unless it runs. */
gw_status gw__bus_start_reader(gw__bus *bus, gw_error *err);
void gw__bus_stop_reader(gw__bus *bus);

/* Let it look at everything. */
void gw__bus_ring_reader(gw__bus *bus);

/* ---- bus_attach.c ------------------------------------------------------------------------- */

/* Declare what it needs and find its logs; consumer->refusal says how that went. */
void gw__bus_attach(gw__bus_consumer *consumer);

/* The definitions have changed: which logs does its queue have now? GW_E_NOT_FOUND: it was deleted.
 */
gw_status gw__bus_find_logs(gw__bus_consumer *consumer, gw_error *err);

/* It is no consumer of its queue any more; its logs stay open. */
void gw__bus_detach(gw__bus_consumer *consumer);

/* Forget its queue, with all deliveries: a new epoch. */
void gw__bus_forget_queue(gw__bus_consumer *consumer);

/* ---- bus_take.c ----------------------------------------------------------------------------- */

/* Let it take some messages and hand them over. False when there were none for it.
 * @thread the reader's */
bool gw__bus_take_turn(gw__bus_consumer *consumer, uint64_t unix_ms, uint64_t n_sleeps);

/* Ask to be rung for its queue, if it has room. True when there is something to do already. */
bool gw__bus_wait_for(gw__bus_consumer *consumer, uint64_t unix_ms, uint64_t n_sleeps);

bool gw__bus_has_any(const gw__bus_consumer *consumer);

/* Whether others are to go on before it. */
bool gw__bus_is_handed(const gw__bus_consumer *consumer, uint64_t n_sleeps);

/* ---- bus_consumer.c ---------------------------------------------------------------------------
 */

gw_status gw__bus_subscribe(gw__transport *head, const gw__consumer_spec *spec,
                            const gw__sink *sink, gw__consumer **ret_consumer, gw_error *err);
void gw__bus_settle(gw__consumer *head, const gw__delivery *deliveries, size_t n_deliveries,
                    gw__settlement how);
void gw__bus_set_prefetch(gw__consumer *head, uint16_t prefetch);
void gw__bus_cancel(gw__consumer *head, unsigned timeout_ms);
void gw__bus_release(gw__consumer *head, unsigned timeout_ms);

#endif
