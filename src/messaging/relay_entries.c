/* SPDX-License-Identifier: MIT */
/* The entries of a relay, and what is counted of them. */
#include "messaging/relay_parts.h"

#include <stdlib.h>

#include "messaging/message.h"

#define FREE_ENTRIES_MAX 1024

/* Insert before `at`; at the end for NULL. */
void gw__relay_insert(gw__relay_list *to, gw__relay_entry *at, gw__relay_entry *it)
{
    it->next = at;
    it->prev = at != NULL ? at->prev : to->tail;
    *(it->prev != NULL ? &it->prev->next : &to->head) = it;
    *(at != NULL ? &at->prev : &to->tail) = it;
}

void gw__relay_unlink(gw__relay_list *from, gw__relay_entry *it)
{
    *(it->prev != NULL ? &it->prev->next : &from->head) = it->next;
    *(it->next != NULL ? &it->next->prev : &from->tail) = it->prev;
    it->prev = it->next = NULL;
}

gw__relay_entry *gw__relay_new_entry_locked(gw__relay *relay)
{
    gw__relay_entry *it = relay->spare;
    if (it != NULL) {
        relay->spare = it->next;
        relay->n_spare--;
    } else {
        it = malloc(sizeof(*it));
    }
    return it;
}

/* Whether a flush that is under way waits for it. */
static bool is_older_locked(const gw__relay *relay, const gw__relay_entry *it)
{
    return relay->flushing &&
           (it->lane != NULL ? it->seq <= relay->flush_seq : it->flush_epoch < relay->flush_epoch);
}

/* `n` messages left the outbox, of which a flush waits for `n_older`. */
void gw__relay_subtract_locked(gw__relay *relay, size_t n, size_t n_bytes, size_t n_older)
{
    relay->n_messages -= n;
    relay->n_bytes = relay->n_messages > 0 ? relay->n_bytes - n_bytes : 0;
    n_older = n_older < relay->n_older ? n_older : relay->n_older;
    gw_gauge_add(relay->depth, -(int64_t)n); /* not set: other clients count here too */
    relay->n_older -= n_older;
    if (n_older > 0 && relay->n_older == 0) {
        pthread_cond_broadcast(&relay->settled);
    }
}

/* The entry is no longer in memory. */
void gw__relay_forget_locked(gw__relay *relay, gw__relay_entry *it)
{
    if (it->lane != NULL) {
        it->lane->n_hot--;
        relay->lanes.n_hot--;
        relay->lanes.n_hot_bytes -= it->size;
    }
}

/* The entry left the outbox; its message is the caller's to free. */
void gw__relay_retire_locked(gw__relay *relay, gw__relay_entry *it)
{
    gw__relay_forget_locked(relay, it);
    gw__relay_subtract_locked(relay, 1, it->size, is_older_locked(relay, it) ? 1 : 0);
}

/* @locks relay->lock held */
void gw__relay_note_oldest_locked(gw__relay *relay)
{
    const gw__relay_entry *it = relay->queue.head != NULL ? relay->queue.head : relay->delayed.head;
    gw_gauge_set(relay->oldest, it != NULL ? (int64_t)it->accepted_s : 0);
}

void gw__relay_recycle_locked(gw__relay *relay, gw__relay_entry *it)
{
    if (relay->n_spare < FREE_ENTRIES_MAX) {
        it->next = relay->spare;
        relay->spare = it;
        relay->n_spare++;
    } else {
        free(it);
    }
}

void gw__relay_fill_entry(gw__relay_entry *it, gw__target *target, gw_message *msg, size_t size)
{
    const char *key = gw_message_routing_key(msg);
    *it = (gw__relay_entry){
        .out = {.msg = msg,
                .target = target,
                .routing_key = target->queue != NULL ? target->queue
                               : key != NULL         ? key
                                                     : target->exchange,
                .mandatory = target->queue != NULL || gw_message_is_mandatory(msg)},
        .size = size,
        .accepted_s = time(NULL),
    };
}

/* @locks relay->lock held */
void gw__relay_add_hot_locked(gw__relay *relay, const gw__relay_entry *it)
{
    it->lane->n_hot++;
    relay->lanes.n_hot++;
    relay->lanes.n_hot_bytes += it->size;
}

/* To the end of what is to be sent. @locks relay->lock held */
void gw__relay_append_ready_locked(gw__relay *relay, gw__relay_entry *it)
{
    gw__relay_insert(&relay->queue, NULL, it);
    relay->n_ready++;
    if (relay->cursor == NULL) {
        relay->cursor = it;
    }
    if (relay->queue.head == it) {
        gw__relay_note_oldest_locked(relay);
    }
}
