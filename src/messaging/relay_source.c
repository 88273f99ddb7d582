/* SPDX-License-Identifier: MIT */
/* A relay as its transport sees it: what is to be sent, and what became of it. */
#include "messaging/relay_parts.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "messaging/message.h"

/* A message that the broker refused is tried again after this; a vanished queue is redeclared this
 * often. */
#define REFUSED_DELAY_MS 1000
#define RETURNS_MAX      3

/* An outbox that held so many and is empty again gives its memory back to the system. */
#define TRIM_AT_MESSAGES 10000

/* More is loaded from the journal when fewer than this are ready to be sent; after a failure, so
 * much later. */
#define LOAD_AT        512
#define LOAD_AGAIN_MS  1000
#define SETTLE_AT_ONCE 256

/* What was refused goes back in front of what was not sent yet. @locks relay->lock held */
static void return_delayed_locked(gw__relay *relay)
{
    uint64_t now_ms = gw_clock_ms();
    gw__relay_entry *it;
    gw__relay_entry *first = NULL;
    while ((it = relay->delayed.head) != NULL && it->due_ms <= now_ms) {
        gw__relay_unlink(&relay->delayed, it);
        gw__relay_insert(&relay->queue, relay->cursor, it);
        relay->n_ready++;
        first = first != NULL ? first : it;
    }
    if (first != NULL) {
        relay->cursor = first;
    }
}

/* Make an entry for a loaded message at the end of the queue; without memory it stays cold.
 * @locks relay->lock held */
static bool add_loaded_locked(gw__relay *relay, gw__lane *lane, const gw__journal_item *item)
{
    gw__relay_entry *it = gw__relay_new_entry_locked(relay);
    if (it == NULL) {
        return false;
    }
    gw__relay_fill_entry(it, lane->target, item->msg, item->size);
    it->lane = lane;
    it->seq = item->seq;
    it->accepted_s = (time_t)(item->accepted_ms / 1000);
    lane->after = item->seq;
    gw__relay_add_hot_locked(relay, it);
    gw__relay_append_ready_locked(relay, it);
    return true;
}

/* What arrived for the lane while it was loading: behind what was loaded, or back to where only the
 * journal has it. @locks relay->lock held */
static size_t take_arrived_locked(gw__relay *relay, bool keep)
{
    size_t n_dropped = 0;
    gw__relay_entry *next;
    for (gw__relay_entry *it = relay->arrived.head; it != NULL; it = next) {
        next = it->next;
        if (keep) {
            it->lane->after = it->seq;
            gw__relay_append_ready_locked(relay, it);
            continue;
        }
        n_dropped++;
        gw__relay_forget_locked(relay, it);
        gw_message_free(it->out.msg);
        gw__relay_recycle_locked(relay, it);
    }
    relay->arrived = (gw__relay_list){.head = NULL};
    return n_dropped;
}

/* Load what is next from the journal. Returns whether there is anything new to hand out.
 * @locks relay->lock held; let go of meanwhile @thread the transport's publishing thread */
static bool load_locked(gw__relay *relay)
{
    uint64_t now_ms = gw_clock_ms();
    gw__lane *lane = now_ms >= relay->load_at_ms ? gw__lanes_begin_loading(&relay->lanes) : NULL;
    if (lane == NULL) {
        return false;
    }
    gw__journal_item items[GW__LOAD_MAX];
    size_t n_wanted = lane->n_loading;
    uint64_t after = lane->after;
    size_t n = 0;
    size_t n_gone = 0;
    gw_error why = GW_ERROR_INIT;
    relay->loading = lane;
    pthread_mutex_unlock(&relay->lock);
    gw_status st =
        gw__journal_load(relay->journal, lane->queue, &after, items, n_wanted, &n, &n_gone, &why);
    pthread_mutex_lock(&relay->lock);
    relay->loading = NULL;
    if (st != GW_OK) {
        gw_log_error("messaging", "the outbox cannot be read; trying again: %s", why.text);
        relay->load_at_ms = now_ms + LOAD_AGAIN_MS;
    }
    size_t n_loaded = 0;
    while (n_loaded < n && add_loaded_locked(relay, lane, &items[n_loaded])) {
        n_loaded++;
    }
    lane->after = n_loaded == n ? after : lane->after; /* past those that are gone, too */
    for (size_t i = n_loaded; i < n; i++) {
        gw_message_free(items[i].msg);
    }
    size_t n_left = n_wanted - n_gone - n_loaded;
    n_left += take_arrived_locked(relay, n_left == 0);
    if (n_gone > 0) {
        gw__relay_subtract_locked(relay, n_gone, 0, relay->flushing ? n_gone : 0);
    }
    gw__lanes_end_loading(&relay->lanes, lane, n_left);
    return n_loaded > 0;
}

static size_t hand_out_locked(gw__relay *relay, gw__outgoing **ret_items, size_t max)
{
    size_t n = 0;
    for (; n < max && relay->cursor != NULL; relay->cursor = relay->cursor->next) {
        relay->cursor->handed_out = true;
        ret_items[n++] = &relay->cursor->out;
    }
    relay->n_ready -= n;
    return n;
}

static size_t source_next(void *ctx, gw__outgoing **ret_items, size_t max)
{
    gw__relay *relay = ctx;
    pthread_mutex_lock(&relay->lock);
    if (relay->delayed.head != NULL) {
        return_delayed_locked(relay);
    }
    bool loaded = false;
    if (relay->lanes.cold_first != NULL && relay->n_ready < LOAD_AT) {
        loaded = load_locked(relay);
    }
    size_t n = hand_out_locked(relay, ret_items, max);
    relay->hungry = n < max && !loaded;
    pthread_mutex_unlock(&relay->lock);
    return n;
}

static void source_rewind(void *ctx)
{
    gw__relay *relay = ctx;
    pthread_mutex_lock(&relay->lock);
    size_t n = 0;
    for (gw__relay_entry *it = relay->queue.head; it != relay->cursor; it = it->next) {
        it->handed_out = false;
        n++;
    }
    relay->n_ready += n;
    relay->cursor = relay->queue.head;
    pthread_mutex_unlock(&relay->lock);
    gw_counter_add(relay->resent, n);
}

/* Whether a message that was not taken goes out again by itself. */
static bool goes_again(gw__relay_entry *it, gw_status outcome)
{
    if (outcome == GW_E_REFUSED) {
        return it->done == NULL; /* who asked to be told has another way */
    }
    /* A work queue that was deleted under us is declared again. */
    return outcome == GW_E_UNROUTABLE && it->out.target->queue != NULL &&
           ++it->n_returns <= RETURNS_MAX;
}

/* @locks relay->lock held */
static void delay_locked(gw__relay *relay, gw__relay_entry *it, gw_status outcome)
{
    if (outcome == GW_E_UNROUTABLE) {
        it->out.target->declared_epoch = 0;
    }
    it->handed_out = false;
    it->due_ms = gw_clock_ms() + REFUSED_DELAY_MS;
    gw__relay_insert(&relay->delayed, NULL, it);
}

static void report(gw__relay *relay, gw__relay_entry *it, gw_status outcome, const gw_error *why)
{
    if (outcome == GW_OK) {
        gw_counter_add(relay->confirmed, 1);
    } else if (it->done == NULL) {
        gw_counter_add(relay->failed, 1);
        const char *id = gw_message_id(it->out.msg);
        gw_log_error("messaging", "message %s for %s '%s' is not delivered: %s",
                     id != NULL ? id : "?", it->out.target->queue != NULL ? "queue" : "exchange",
                     it->out.target->queue != NULL ? it->out.target->queue
                                                   : it->out.target->exchange,
                     why->text);
    }
    if (it->done != NULL) {
        it->done(it->done_ctx, outcome, why);
    } else if (outcome != GW_OK && relay->options.on_failed != NULL) {
        relay->options.on_failed(relay->options.ctx, it->out.msg, why);
    }
}

/* Out of the journal, or to its dead. */
static void settle_in_journal(gw__relay *relay, const gw__relay_entry *ended, gw_status outcome,
                              const gw_error *why)
{
    gw__journal_ref refs[SETTLE_AT_ONCE];
    size_t n = 0;
    for (const gw__relay_entry *it = ended; it != NULL; it = it->next) {
        if (it->lane == NULL) {
            continue;
        }
        gw__journal_ref ref = {.seq = it->seq, .queue = it->lane->queue};
        if (outcome != GW_OK) {
            gw__journal_bury(relay->journal, ref, it->out.msg, why);
            continue;
        }
        refs[n++] = ref;
        if (n == SETTLE_AT_ONCE) {
            gw__journal_settle(relay->journal, refs, n);
            n = 0;
        }
    }
    if (n > 0) {
        gw__journal_settle(relay->journal, refs, n);
    }
}

static void source_settle(void *ctx, gw__outgoing *const *items, size_t n_items, gw_status outcome,
                          const gw_error *why)
{
    gw__relay *relay = ctx;
    assert(outcome == GW_OK || why != NULL);
    gw__relay_entry *ended = NULL;
    gw__relay_entry **last = &ended;
    pthread_mutex_lock(&relay->lock);
    for (size_t i = 0; i < n_items; i++) {
        gw__relay_entry *it = (gw__relay_entry *)items[i];
        assert(it != relay->cursor); /* it was handed out, and not taken back by a rewind */
        gw__relay_unlink(&relay->queue, it);
        if (outcome != GW_OK && goes_again(it, outcome)) {
            delay_locked(relay, it, outcome);
        } else {
            *last = it;
            last = &it->next;
        }
    }
    *last = NULL;
    pthread_mutex_unlock(&relay->lock);

    if (relay->journal != NULL) {
        settle_in_journal(relay, ended, outcome, why);
    }
    for (gw__relay_entry *it = ended; it != NULL; it = it->next) {
        report(relay, it, outcome, why);
        gw_message_free(it->out.msg);
    }
    pthread_mutex_lock(&relay->lock);
    for (gw__relay_entry *it = ended; it != NULL; it = ended) {
        ended = it->next;
        gw__relay_retire_locked(relay, it);
        gw__relay_recycle_locked(relay, it);
    }
    gw__relay_note_oldest_locked(relay);
    bool trim = relay->n_messages == 0 && relay->n_peak >= TRIM_AT_MESSAGES;
    if (trim) {
        relay->n_peak = 0;
    }
    pthread_mutex_unlock(&relay->lock);
    if (trim) {
        malloc_trim(0);
    }
}

gw__source gw__relay_source(gw__relay *relay)
{
    return (gw__source){
        .next = source_next, .settle = source_settle, .rewind = source_rewind, .ctx = relay};
}
