/* SPDX-License-Identifier: MIT */
/*
 * What keeps accepted messages beyond the process: the interface between the relay above and the
 * store in src/bus, which implements it. (Declared here, as transports are, since the store is of a
 * higher layer; the linker joins them.)
 *
 * A message is appended to a queue of the journal, of which each target has one, and gets a number.
 * It is there until it is settled or buried. The journal keeps no messages in memory: what the
 * relay does not keep itself it loads again, in order.
 */
#ifndef GW_MESSAGING_JOURNAL_H
#define GW_MESSAGING_JOURNAL_H

#include "messaging/transport.h"

typedef struct gw__journal gw__journal;

typedef struct gw__journal_options {
    const char *dir;
    bool durable;     /* an append is on the disk when gw__journal_wait_synced() returns */
    size_t max_bytes; /* the most that will be in it */
    /* What another process asks for. Called on the journal's thread, no lock held, which must not
     * wait for room in the journal; false: not now, ask again later. Forget a message that waits,
     * which the journal then removes: `size` is what it counts for, 0 when it is not there any
     * more; one that is to be loaded yet must be hidden in the same moment. Send a dead message,
     * borrowed, once more. */
    bool (*on_drop)(void *ctx, uint32_t queue, uint64_t seq, size_t size);
    bool (*on_resend)(void *ctx, const gw__target *target, const gw_message *msg);
    void *ctx;
} gw__journal_options;

/* GW_E_BUSY naming the process that uses the directory; GW_E_IO, GW_E_NO_SPACE, GW_E_UNSUPPORTED
 * (a newer version, a network file system), GW_E_INVALID. */
gw_status gw__journal_open(const gw__journal_options *options, gw__journal **ret_journal,
                           gw_error *err);

/* Whether there is one in the directory. */
bool gw__journal_exists(const char *dir);

/* Make the directory alone, and those above it: for the other files that a client keeps there. */
gw_status gw__journal_make_dir(const char *dir, gw_error *err);

/* What is in it stays, and is left to the next one that opens it. Accepts NULL. */
void gw__journal_close(gw__journal *journal);

/* What was left by an earlier one: called for each of its queues that is not empty. `target` has
 * exchange, type and queue, borrowed. */
typedef gw_status (*gw__journal_visitor)(void *ctx, const gw__target *target, uint32_t queue,
                                         size_t n_messages, size_t n_bytes, gw_error *err);
gw_status gw__journal_left(gw__journal *journal, gw__journal_visitor visitor, void *ctx,
                           gw_error *err);

/* The queue of a target, made if it is new. Writes to the disk. */
gw_status gw__journal_queue(gw__journal *journal, const gw__target *target, uint32_t *ret_queue,
                            gw_error *err);

/* What an append counts for. */
size_t gw__journal_size(const gw_message *msg);

/* Append. The caller sees to it that one append of a queue is over before the next begins.
 * GW_E_BUSY when there is no room at this moment: gw__journal_wait_room(). Anything else that
 * fails: the disk. */
gw_status gw__journal_append(gw__journal *journal, uint32_t queue, const gw_message *msg,
                             uint64_t *ret_seq, gw_error *err);

/* The number of the last append. */
uint64_t gw__journal_last(gw__journal *journal);

gw_status gw__journal_wait_room(gw__journal *journal, gw_error *err);

/* Wait until it survives power loss, together with all others that wait. */
gw_status gw__journal_wait_synced(gw__journal *journal, uint64_t seq, gw_error *err);

typedef struct gw__journal_ref {
    uint64_t seq;
    uint32_t queue;
} gw__journal_ref;

/* They were delivered. Does not wait. */
void gw__journal_settle(gw__journal *journal, const gw__journal_ref *refs, size_t n_refs);

/* It cannot be delivered, for good: it is kept, with the reason, for a person to look at. Does not
 * wait. False when there is no memory: it stays where it is and is tried again at the next start.
 */
bool gw__journal_bury(gw__journal *journal, gw__journal_ref ref, const gw_message *msg,
                      const gw_error *why);

/* For on_drop(): load it no more. False when there is no memory. */
bool gw__journal_hide(gw__journal *journal, gw__journal_ref ref);

typedef struct gw__journal_item {
    uint64_t seq;
    size_t size;          /* as gw__journal_size() */
    uint64_t accepted_ms; /* unix milliseconds */
    gw_message *msg;
} gw__journal_item;

/* Load `n_wanted` messages of a queue with numbers above `*after`, of which there are that many, or
 * fewer if they are large. `ret_n_gone`: those that could not be read, which were set aside and
 * logged; they come out of the count. `*after` becomes the last number that was looked at. The
 * caller frees the messages. */
gw_status gw__journal_load(gw__journal *journal, uint32_t queue, uint64_t *after,
                           gw__journal_item *ret_items, size_t n_wanted, size_t *ret_n,
                           size_t *ret_n_gone, gw_error *err);

#endif
