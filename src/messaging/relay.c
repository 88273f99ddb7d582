/* SPDX-License-Identifier: MIT */
#include "messaging/relay.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "base/cond.h"
#include "messaging/message.h"

/* A message that the broker refused is tried again after this; a vanished queue is redeclared this
 * often. */
#define REFUSED_DELAY_MS 1000
#define RETURNS_MAX      3
#define FREE_ENTRIES_MAX 1024

/* An outbox that held so many and is empty again gives its memory back to the system. */
#define TRIM_AT_MESSAGES 10000

typedef struct entry {
    gw__outgoing out; /* first: the transport's pointer is the entry's */
    struct entry *prev;
    struct entry *next;
    gw__done done;
    void *done_ctx;
    size_t size;
    uint64_t due_ms; /* in the delayed list */
    uint64_t flush_epoch;
    unsigned n_returns;
} entry;

typedef struct list {
    entry *head;
    entry *tail;
} list;

struct gw__relay {
    gw__relay_options options;
    pthread_mutex_t lock;
    pthread_cond_t settled;
    list queue;    /* in order; those before the cursor are on their way */
    entry *cursor; /* next to hand out; NULL: none */
    list delayed;  /* refused, waiting for due_ms; in order of it */
    entry *spare;  /* entries to use again */
    size_t n_spare;
    size_t n_messages;
    size_t n_peak; /* most messages since memory was given back */
    size_t n_bytes;
    bool closed;
    bool hungry;          /* the transport found nothing more to take: wake it */
    bool flushing;        /* somebody waits for what is older than flush_epoch */
    uint64_t flush_epoch; /* of new entries */
    size_t n_older;       /* entries of an earlier epoch */
    gw_gauge *depth;
    gw_counter *accepted;
    gw_counter *confirmed;
    gw_counter *resent;
    gw_counter *failed;
};

/* ---- lists; all @locks relay->lock held ---------------------------------- */

/* Insert before `at`; at the end for NULL. */
static void insert(list *to, entry *at, entry *it)
{
    it->next = at;
    it->prev = at != NULL ? at->prev : to->tail;
    *(it->prev != NULL ? &it->prev->next : &to->head) = it;
    *(at != NULL ? &at->prev : &to->tail) = it;
}

static void unlink_entry(list *from, entry *it)
{
    *(it->prev != NULL ? &it->prev->next : &from->head) = it->next;
    *(it->next != NULL ? &it->next->prev : &from->tail) = it->prev;
    it->prev = it->next = NULL;
}

static entry *new_entry_locked(gw__relay *relay)
{
    entry *it = relay->spare;
    if (it != NULL) {
        relay->spare = it->next;
        relay->n_spare--;
    } else {
        it = malloc(sizeof(*it));
    }
    return it;
}

/* The entry left the outbox; its message is the caller's to free. */
static void retire_locked(gw__relay *relay, entry *it)
{
    relay->n_messages--;
    relay->n_bytes -= it->size;
    gw_gauge_add(relay->depth, -1); /* not set: other clients of the process count here too */
    if (relay->flushing && it->flush_epoch < relay->flush_epoch && --relay->n_older == 0) {
        pthread_cond_broadcast(&relay->settled);
    }
}

static void recycle_locked(gw__relay *relay, entry *it)
{
    if (relay->n_spare < FREE_ENTRIES_MAX) {
        it->next = relay->spare;
        relay->spare = it;
        relay->n_spare++;
    } else {
        free(it);
    }
}

/* ---- the transport's side -------------------------------------------------- */

/* What was refused goes back in front of what was not sent yet. @locks relay->lock held */
static void return_delayed_locked(gw__relay *relay)
{
    uint64_t now_ms = gw_clock_ms();
    entry *it;
    entry *first = NULL;
    while ((it = relay->delayed.head) != NULL && it->due_ms <= now_ms) {
        unlink_entry(&relay->delayed, it);
        insert(&relay->queue, relay->cursor, it);
        first = first != NULL ? first : it;
    }
    if (first != NULL) {
        relay->cursor = first;
    }
}

static size_t source_next(void *ctx, gw__outgoing **ret_items, size_t max)
{
    gw__relay *relay = ctx;
    size_t n = 0;
    pthread_mutex_lock(&relay->lock);
    if (relay->delayed.head != NULL) {
        return_delayed_locked(relay);
    }
    for (; n < max && relay->cursor != NULL; relay->cursor = relay->cursor->next) {
        ret_items[n++] = &relay->cursor->out;
    }
    relay->hungry = n < max;
    pthread_mutex_unlock(&relay->lock);
    return n;
}

static void source_rewind(void *ctx)
{
    gw__relay *relay = ctx;
    pthread_mutex_lock(&relay->lock);
    size_t n = 0;
    for (entry *it = relay->queue.head; it != relay->cursor; it = it->next) {
        n++;
    }
    relay->cursor = relay->queue.head;
    pthread_mutex_unlock(&relay->lock);
    gw_counter_add(relay->resent, n);
}

/* Whether a message that was not taken goes out again by itself. */
static bool goes_again(entry *it, gw_status outcome)
{
    if (outcome == GW_E_REFUSED) {
        return true;
    }
    /* A work queue that was deleted under us is declared again. */
    return outcome == GW_E_UNROUTABLE && it->out.target->queue != NULL &&
           ++it->n_returns <= RETURNS_MAX;
}

/* @locks relay->lock held */
static void delay_locked(gw__relay *relay, entry *it, gw_status outcome)
{
    if (outcome == GW_E_UNROUTABLE) {
        it->out.target->declared_epoch = 0;
    }
    it->due_ms = gw_clock_ms() + REFUSED_DELAY_MS;
    insert(&relay->delayed, NULL, it);
}

static void report(gw__relay *relay, entry *it, gw_status outcome, const gw_error *why)
{
    if (outcome == GW_OK) {
        gw_counter_add(relay->confirmed, 1);
    } else {
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

static void source_settle(void *ctx, gw__outgoing *const *items, size_t n_items, gw_status outcome,
                          const gw_error *why)
{
    gw__relay *relay = ctx;
    assert(outcome == GW_OK || why != NULL);
    entry *ended = NULL;
    entry **last = &ended;
    pthread_mutex_lock(&relay->lock);
    for (size_t i = 0; i < n_items; i++) {
        entry *it = (entry *)items[i];
        assert(it != relay->cursor); /* it was handed out, and not taken back by a rewind */
        unlink_entry(&relay->queue, it);
        if (outcome != GW_OK && goes_again(it, outcome)) {
            delay_locked(relay, it, outcome);
        } else {
            *last = it;
            last = &it->next;
        }
    }
    *last = NULL;
    pthread_mutex_unlock(&relay->lock);

    for (entry *it = ended; it != NULL; it = it->next) {
        report(relay, it, outcome, why);
        gw_message_free(it->out.msg);
    }
    pthread_mutex_lock(&relay->lock);
    for (entry *it = ended; it != NULL; it = ended) {
        ended = it->next;
        retire_locked(relay, it);
        recycle_locked(relay, it);
    }
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

/* ---- the client's side ------------------------------------------------------ */

gw__relay *gw__relay_new(const gw__relay_options *options)
{
    gw__relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return NULL;
    }
    relay->options = *options;
    pthread_mutex_init(&relay->lock, NULL);
    gw__cond_init(&relay->settled);
    relay->hungry = true;
    relay->depth = gw_metrics_gauge("godwit_outbox_messages",
                                    "Messages accepted and not yet confirmed by the broker.", NULL);
    relay->accepted = gw_metrics_counter("godwit_messages_accepted_total",
                                         "Messages accepted for publishing.", NULL);
    relay->confirmed = gw_metrics_counter("godwit_messages_confirmed_total",
                                          "Messages confirmed by the broker.", NULL);
    relay->resent = gw_metrics_counter(
        "godwit_messages_resent_total",
        "Messages sent again since a connection was lost before their confirm.", NULL);
    relay->failed = gw_metrics_counter("godwit_messages_failed_total",
                                       "Messages that could not be delivered for good.", NULL);
    return relay;
}

static size_t drop_all(list *from)
{
    static const gw_error closed = {GW_E_CLOSED, 0, "the client was closed"};
    size_t n = 0;
    entry *next;
    for (entry *it = from->head; it != NULL; it = next) {
        next = it->next;
        if (it->done != NULL) {
            it->done(it->done_ctx, GW_E_CLOSED, &closed);
        }
        gw_message_free(it->out.msg);
        free(it);
        n++;
    }
    return n;
}

size_t gw__relay_free(gw__relay *relay)
{
    if (relay == NULL) {
        return 0;
    }
    size_t n_left = drop_all(&relay->queue) + drop_all(&relay->delayed);
    entry *next;
    for (entry *it = relay->spare; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    gw_gauge_add(relay->depth, -(int64_t)n_left);
    pthread_cond_destroy(&relay->settled);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
    return n_left;
}

/* @locks relay->lock held */
static gw_status admit_locked(gw__relay *relay, size_t size, gw_error *err)
{
    if (relay->closed) {
        return gw_error_set(err, GW_E_CLOSED, 0, "the client is closed");
    }
    if (relay->n_messages >= relay->options.max_messages) {
        return gw_error_set(err, GW_E_FULL, 0,
                            "the outbox is full: %zu messages wait for the broker",
                            relay->n_messages);
    }
    if (size > relay->options.max_bytes) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "the message takes %zu bytes, the whole outbox has room for %zu", size,
                            relay->options.max_bytes);
    }
    if (relay->n_bytes > relay->options.max_bytes - size) {
        return gw_error_set(err, GW_E_FULL, 0,
                            "the outbox is full: %zu of at most %zu bytes wait for the broker",
                            relay->n_bytes, relay->options.max_bytes);
    }
    return GW_OK;
}

gw_status gw__relay_put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                        void *done_ctx, gw_error *err)
{
    size_t size = gw__message_size(msg) + sizeof(entry);
    const char *key = gw_message_routing_key(msg);
    pthread_mutex_lock(&relay->lock);
    gw_status st = admit_locked(relay, size, err);
    entry *it = st == GW_OK ? new_entry_locked(relay) : NULL;
    if (it == NULL) {
        pthread_mutex_unlock(&relay->lock);
        return st != GW_OK ? st : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    *it = (entry){
        .out = {.msg = msg,
                .target = target,
                .routing_key = target->queue != NULL ? target->queue
                               : key != NULL         ? key
                                                     : target->exchange,
                .mandatory = target->queue != NULL || gw_message_is_mandatory(msg)},
        .done = done,
        .done_ctx = done_ctx,
        .size = size,
        .flush_epoch = relay->flush_epoch,
    };
    insert(&relay->queue, NULL, it);
    if (relay->cursor == NULL) {
        relay->cursor = it;
    }
    relay->n_messages++;
    relay->n_peak = relay->n_messages > relay->n_peak ? relay->n_messages : relay->n_peak;
    relay->n_bytes += size;
    gw_gauge_add(relay->depth, 1);
    bool wake = relay->hungry;
    relay->hungry = false;
    pthread_mutex_unlock(&relay->lock);
    gw_counter_add(relay->accepted, 1);
    if (wake) {
        relay->options.wake(relay->options.ctx);
    }
    return GW_OK;
}

void gw__relay_close(gw__relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->closed = true;
    pthread_mutex_unlock(&relay->lock);
}

gw_status gw__relay_flush(gw__relay *relay, uint64_t deadline_ms, gw_error *err)
{
    bool in_time = true;
    pthread_mutex_lock(&relay->lock);
    while (relay->flushing && in_time) { /* one at a time */
        in_time = gw__cond_wait_until(&relay->settled, &relay->lock, deadline_ms);
    }
    size_t n_left = relay->n_messages;
    if (!relay->flushing) {
        relay->flushing = true;
        relay->flush_epoch++;
        relay->n_older = relay->n_messages;
        in_time = true;
        while (relay->n_older > 0 && in_time) {
            in_time = gw__cond_wait_until(&relay->settled, &relay->lock, deadline_ms);
        }
        n_left = relay->n_older;
        relay->flushing = false;
        pthread_cond_broadcast(&relay->settled);
    }
    pthread_mutex_unlock(&relay->lock);
    return n_left == 0
               ? GW_OK
               : gw_error_set(err, GW_E_TIMEOUT, 0, "%zu messages are still in the outbox", n_left);
}
