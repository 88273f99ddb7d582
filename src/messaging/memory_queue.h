/* SPDX-License-Identifier: MIT */
/*
 * A queue of the in-memory broker, and the messages in it and at its consumers.
 *
 * First in, first out; consumers take turns, each with at most its prefetch unsettled; what comes
 * back takes its old place and is marked as redelivered; what has expired is dropped when it comes
 * to the head. Priorities are ignored.
 *
 * Everything here needs the broker's lock held, except where it says otherwise.
 */
#ifndef GW_MESSAGING_MEMORY_QUEUE_H
#define GW_MESSAGING_MEMORY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messaging/transport.h"

/* A published message. Every queue it went to shares it; it does not change. */
typedef struct gw__stored gw__stored;

/* A message in one queue, or at a consumer and not settled. */
typedef struct gw__entry {
    struct gw__entry *prev;
    struct gw__entry *next;
    gw__stored *stored;
    uint64_t seq;        /* its place in the queue */
    uint64_t expires_ms; /* gw_clock_ms(); 0: never */
    uint64_t due_ms;     /* among the delayed: when it comes into the queue */
    uint64_t tag;        /* at a consumer */
    bool redelivered;
} gw__entry;

typedef struct gw__entries {
    gw__entry *first;
    gw__entry *last;
    size_t n;
} gw__entries;

/* All that is held by all queues of a broker and their consumers. */
typedef struct gw__load {
    size_t n_messages;
    size_t n_bytes;
} gw__load;

typedef struct gw__queue {
    struct gw__queue *next; /* of the broker's list */
    char *name;
    bool temporary;
    gw_queue_type type;
    gw__load *load;
    gw__entries waiting;
    gw__entries delayed; /* not in the queue yet; in order of due_ms */
    uint64_t last_seq;
    struct gw__taker *first_taker; /* whose turn it is */
    struct gw__taker *last_taker;
    size_t n_unsettled;    /* at all takers */
    size_t n_consumers;    /* subscriptions that point here; kept by memory.c */
    uint64_t last_publish; /* so that two bindings make one copy; kept by the broker */
} gw__queue;

/* A queue's side of a consumer; part of its owner's struct. */
typedef struct gw__taker {
    struct gw__taker *prev;
    struct gw__taker *next;
    gw__queue *queue;
    uint16_t prefetch;
    bool attached; /* gets messages */
    uint64_t last_tag;
    gw__entries unsettled;  /* in order of tags */
    gw__entry *undelivered; /* the first of them that its owner has not fetched */
    /* There is something to fetch. Called with the lock held. */
    void (*ready)(struct gw__taker *taker);
} gw__taker;

/* A message as it was published, with a reference; no lock. NULL when out of memory. */
gw__stored *gw__stored_new(const gw__outgoing *item);
size_t gw__stored_size(const gw__stored *stored);
gw__stored *gw__stored_ref(gw__stored *stored);
void gw__stored_unref(gw__stored *stored);

/* A copy for a receiver; NULL when out of memory. No lock, but a reference. */
gw_message *gw__stored_copy(const gw__stored *stored, const char *queue, bool redelivered);

/* NULL when out of memory. */
gw__queue *gw__queue_new(const char *name, bool temporary, gw_queue_type type, gw__load *load);

/* With the messages in it. It has no takers. */
void gw__queue_free(gw__queue *queue);

/* Append; false when out of memory. Hands it to a taker at once if one is free. */
bool gw__queue_put(gw__queue *queue, gw__stored *stored);

/* Append it later, at `due_ms`, unless it is out of memory. */
bool gw__queue_put_later(gw__queue *queue, gw__stored *stored, uint64_t due_ms);

/* Append what is due; returns when the next one is, UINT64_MAX for never. */
uint64_t gw__queue_ripen(gw__queue *queue, uint64_t now_ms);

/* Messages that wait, without the expired ones at the head. */
size_t gw__queue_len(gw__queue *queue);

/* Take the first message out for good; NULL if there is none. The caller frees the entry. */
gw__entry *gw__queue_take(gw__queue *queue);
void gw__entry_free(gw__entry *entry); /* no lock */

/* Let the taker have its turns, and no longer. Neither touches what is unsettled. */
void gw__taker_attach(gw__taker *taker);
void gw__taker_detach(gw__taker *taker);

/* How many it may have unsettled; those that it has stay with it. */
void gw__taker_set_prefetch(gw__taker *taker, uint16_t prefetch);

/* The next message for the taker's owner, which stays unsettled; NULL if there is none. */
gw__entry *gw__taker_fetch(gw__taker *taker);

/* Fetch the last one again, if it is still here: its owner had no memory for it. */
void gw__taker_unfetch(gw__taker *taker, uint64_t tag);

/* Settle one; an unknown tag is nothing. */
void gw__taker_settle(gw__taker *taker, uint64_t tag, gw__settlement how);

/* Put back into the queue what was not fetched yet, or all that is unsettled. */
void gw__taker_return_undelivered(gw__taker *taker);
void gw__taker_return_all(gw__taker *taker);

#endif
