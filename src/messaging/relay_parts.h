/* SPDX-License-Identifier: MIT */
/*
 * The parts of a relay, for the files that make it up: relay.c is what the client calls,
 * relay_source.c what the transport calls, relay_entries.c what both do with entries.
 */
#ifndef GW_MESSAGING_RELAY_PARTS_H
#define GW_MESSAGING_RELAY_PARTS_H

#include <pthread.h>
#include <time.h>

#include <godwit/metrics.h>

#include "messaging/lane.h"
#include "messaging/relay.h"

typedef struct gw__relay_entry {
    gw__outgoing out; /* first: the transport's pointer is the entry's */
    struct gw__relay_entry *prev;
    struct gw__relay_entry *next;
    gw__done done;
    void *done_ctx;
    gw__lane *lane; /* NULL: not in the journal */
    uint64_t seq;   /* its number there */
    size_t size;
    time_t accepted_s;
    uint64_t due_ms; /* in the delayed list */
    uint64_t flush_epoch;
    unsigned n_returns;
    bool handed_out;
} gw__relay_entry;

typedef struct gw__relay_list {
    gw__relay_entry *head;
    gw__relay_entry *tail;
} gw__relay_list;

struct gw__relay {
    gw__relay_options options;
    gw__journal *journal;       /* NULL: all is in memory only */
    pthread_mutex_t lanes_lock; /* taken before `lock`; who makes a lane */
    pthread_mutex_t lock;
    pthread_cond_t settled;
    gw__relay_list queue;    /* in order; those before the cursor are on their way */
    gw__relay_entry *cursor; /* next to hand out; NULL: none */
    size_t n_ready;          /* from the cursor on */
    gw__relay_list delayed;  /* refused, waiting for due_ms; in order of it */
    gw__lanes lanes;
    gw__relay_list arrived; /* while their lane is loading: they come after that */
    gw__lane *loading;
    uint64_t load_at_ms;    /* not before, after a failure */
    gw__relay_entry *spare; /* entries to use again */
    size_t n_spare;
    size_t n_messages; /* with those that are in the journal only */
    size_t n_peak;     /* most messages in memory since it was given back */
    size_t n_bytes;
    bool closed;
    bool hungry;          /* the transport found nothing more to take: wake it */
    bool flushing;        /* somebody waits for what is older than flush_epoch */
    uint64_t flush_epoch; /* of new entries */
    uint64_t flush_seq;   /* of those in the journal: what is older has no higher number */
    size_t n_older;       /* entries of an earlier epoch */
    gw_gauge *depth;
    gw_gauge *oldest;
    gw_counter *accepted;
    gw_counter *confirmed;
    gw_counter *resent;
    gw_counter *failed;
};

/* ---- entries; all @locks relay->lock held, but for gw__relay_fill_entry() ---- */

/* Insert before `at`; at the end for NULL. */
void gw__relay_insert(gw__relay_list *to, gw__relay_entry *at, gw__relay_entry *it);
void gw__relay_unlink(gw__relay_list *from, gw__relay_entry *it);

/* NULL when out of memory; goes back with gw__relay_recycle_locked(). */
gw__relay_entry *gw__relay_new_entry_locked(gw__relay *relay);
void gw__relay_recycle_locked(gw__relay *relay, gw__relay_entry *it);
void gw__relay_fill_entry(gw__relay_entry *it, gw__target *target, gw_message *msg, size_t size);

/* `n` messages left the outbox, of which a flush waits for `n_older`. */
void gw__relay_subtract_locked(gw__relay *relay, size_t n, size_t n_bytes, size_t n_older);

/* The entry is no longer in memory; or it left the outbox, and its message is the caller's to
 * free. */
void gw__relay_forget_locked(gw__relay *relay, gw__relay_entry *it);
void gw__relay_retire_locked(gw__relay *relay, gw__relay_entry *it);

/* Into memory: counted as such; and to the end of what is to be sent. */
void gw__relay_add_hot_locked(gw__relay *relay, const gw__relay_entry *it);
void gw__relay_append_ready_locked(gw__relay *relay, gw__relay_entry *it);

void gw__relay_note_oldest_locked(gw__relay *relay);

#endif
