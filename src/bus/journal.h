/* SPDX-License-Identifier: MIT */
/*
 * The parts of a journal, for the files that make it up: journal.c is what its users call,
 * journal_writer.c its thread, journal_loader.c reads it back, journal_requests.c serves other
 * processes.
 */
#ifndef GW_BUS_JOURNAL_H
#define GW_BUS_JOURNAL_H

#include <pthread.h>

#include <godwit/metrics.h>

#include "bus/ring.h"
#include "bus/store.h"
#include "messaging/journal.h"

#define GW__JOURNAL_AREA "outbox"

/* The store is written to when so much is waiting, or so long. */
#define GW__WRITE_AT       4096
#define GW__WRITE_DELAY_MS 200

#define GW__HEAD_BYTES     64 /* what a message takes besides its bytes, about */

/* A message on its way to the dead. */
typedef struct gw__burial {
    struct gw__burial *next;
    gw__journal_ref ref;
    uint64_t died_ms;
    gw_error why;
    size_t len;
    uint8_t bytes[];
} gw__burial;

typedef struct gw__ref_list {
    gw__journal_ref *items;
    size_t n_items;
    size_t cap;
} gw__ref_list;

struct gw__journal {
    gw__journal_options options;
    int owner_fd;
    gw__store *store;
    pthread_t thread;
    gw__ref_list resent; /* the thread's: sent once more, and not yet out of the dead */

    pthread_mutex_t lock; /* of all below; never held while the store is written, but for a large
                             message */
    pthread_cond_t work;
    pthread_cond_t progress;
    gw__ring *ring;
    uint64_t n_spills;  /* so often records were moved into the store */
    uint64_t synced;    /* records before this number are on the disk */
    unsigned n_waiting; /* for the disk, and are not served by a write under way */
    unsigned n_wanted;  /* so many are worth a write to it; 0: each */
    gw_error sync_trouble;
    gw_error trouble;        /* of the last attempt to write to the store */
    gw__ref_list settled;    /* in the store, to be removed */
    gw__ref_list unreadable; /* in the store, to be set aside */
    gw__ref_list hidden;     /* dropped for another process, and not yet out of the store */
    gw__burial *burials;
    uint64_t write_at_ms; /* when what waits is to be written; UINT64_MAX: nothing waits */
    bool stopping;

    gw_counter *n_spilled;
    gw_counter *n_damaged;
    gw_gauge *n_dead;
};

/* False when out of memory. */
bool gw__ref_list_add(gw__ref_list *list, gw__journal_ref ref);

/* Whether records have to leave the ring. @locks journal->lock held */
bool gw__journal_is_half_full_locked(const gw__journal *journal);

/* Something waits to be written to the store. @locks journal->lock held */
void gw__journal_write_in_locked(gw__journal *journal, uint64_t delay_ms);

/* The disk is full, as `why` (or NULL) says: give back the room that was kept for that, and log it.
 * False when there is none any more. */
bool gw__journal_use_spare(const gw__journal *journal, const gw_error *why);

/* The journal's thread: moves records into the store, writes the ring to the disk, takes out of the
 * store what is done with; until `stopping`. */
void *gw__journal_writer_main(void *journal);

/* Do what other processes have asked for; what cannot be done now stays. @thread the journal's, no
 * lock held */
void gw__journal_serve_requests(gw__journal *journal);

/* The same before anything is sent, without anybody to ask: what is done is done in the store. */
gw_status gw__journal_apply_requests(gw__journal *journal, gw_error *err);

void gw__burials_free(gw__burial *first);

#endif
