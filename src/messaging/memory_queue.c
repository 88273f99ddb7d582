/* SPDX-License-Identifier: MIT */
#include "messaging/memory_queue.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "messaging/message.h"

struct gw__stored {
    atomic_size_t refs;
    gw_message *msg;
};

/* ---- what was published --------------------------------------------------- */

static gw_status set_text(gw_message *msg, gw__text which, const char *text)
{
    return gw__message_set_text(msg, which, text, strlen(text));
}

gw__stored *gw__stored_new(const gw__outgoing *item)
{
    gw__stored *stored = calloc(1, sizeof(*stored));
    gw_message *msg = gw_message_dup(item->msg);
    if (stored == NULL || msg == NULL ||
        gw_message_set_routing_key(msg, item->routing_key) != GW_OK ||
        set_text(msg, GW__TEXT_EXCHANGE, item->target->exchange) != GW_OK) {
        gw_message_free(msg);
        free(stored);
        return NULL;
    }
    gw_message_set_mandatory(msg, false); /* a word to the broker, not a property */
    atomic_init(&stored->refs, 1);
    stored->msg = msg;
    return stored;
}

size_t gw__stored_size(const gw__stored *stored)
{
    return gw__message_size(stored->msg);
}

gw__stored *gw__stored_ref(gw__stored *stored)
{
    atomic_fetch_add_explicit(&stored->refs, 1, memory_order_relaxed);
    return stored;
}

void gw__stored_unref(gw__stored *stored)
{
    if (atomic_fetch_sub_explicit(&stored->refs, 1, memory_order_acq_rel) == 1) {
        gw_message_free(stored->msg);
        free(stored);
    }
}

gw_message *gw__stored_copy(const gw__stored *stored, const char *queue, bool redelivered)
{
    gw_message *msg = gw_message_dup(stored->msg);
    if (msg == NULL) {
        return NULL;
    }
    if (set_text(msg, GW__TEXT_EXCHANGE, gw_message_exchange(stored->msg)) != GW_OK ||
        set_text(msg, GW__TEXT_QUEUE, queue) != GW_OK) {
        gw_message_free(msg);
        return NULL;
    }
    gw__message_set_redelivered(msg, redelivered);
    return msg;
}

/* ---- lists of entries ------------------------------------------------------ */

static void insert_after(gw__entries *list, gw__entry *place, gw__entry *entry)
{
    entry->prev = place;
    entry->next = place == NULL ? list->first : place->next;
    *(entry->prev == NULL ? &list->first : &entry->prev->next) = entry;
    *(entry->next == NULL ? &list->last : &entry->next->prev) = entry;
    list->n++;
}

static void unlink_entry(gw__entries *list, gw__entry *entry)
{
    *(entry->prev == NULL ? &list->first : &entry->prev->next) = entry->next;
    *(entry->next == NULL ? &list->last : &entry->next->prev) = entry->prev;
    entry->prev = entry->next = NULL;
    list->n--;
}

void gw__entry_free(gw__entry *entry)
{
    gw__stored_unref(entry->stored);
    free(entry);
}

/* ---- the queue --------------------------------------------------------------- */

gw__queue *gw__queue_new(const char *name, bool temporary, gw_queue_type type, gw__load *load)
{
    gw__queue *queue = calloc(1, sizeof(*queue));
    char *copy = strdup(name);
    if (queue == NULL || copy == NULL) {
        free(queue);
        free(copy);
        return NULL;
    }
    queue->name = copy;
    queue->temporary = temporary;
    queue->type = type;
    queue->load = load;
    return queue;
}

/* The entry leaves the broker: it no longer counts. */
static void discount(gw__queue *queue, const gw__entry *entry)
{
    queue->load->n_messages--;
    queue->load->n_bytes -= gw__stored_size(entry->stored);
}

static void free_entries(gw__queue *queue, gw__entries *list)
{
    while (list->first != NULL) {
        gw__entry *entry = list->first;
        unlink_entry(list, entry);
        discount(queue, entry);
        gw__entry_free(entry);
    }
}

void gw__queue_free(gw__queue *queue)
{
    if (queue == NULL) {
        return;
    }
    assert(queue->first_taker == NULL);
    free_entries(queue, &queue->waiting);
    free_entries(queue, &queue->delayed);
    free(queue->name);
    free(queue);
}

static void drop_expired(gw__queue *queue)
{
    uint64_t now = 0;
    while (queue->waiting.first != NULL && queue->waiting.first->expires_ms != 0) {
        gw__entry *entry = queue->waiting.first;
        now = now == 0 ? gw_clock_ms() : now;
        if (entry->expires_ms > now) {
            return;
        }
        unlink_entry(&queue->waiting, entry);
        discount(queue, entry);
        gw__entry_free(entry);
    }
}

static void append_taker(gw__queue *queue, gw__taker *taker)
{
    taker->prev = queue->last_taker;
    taker->next = NULL;
    *(taker->prev == NULL ? &queue->first_taker : &taker->prev->next) = taker;
    queue->last_taker = taker;
}

static void unlink_taker(gw__queue *queue, gw__taker *taker)
{
    *(taker->prev == NULL ? &queue->first_taker : &taker->prev->next) = taker->next;
    *(taker->next == NULL ? &queue->last_taker : &taker->next->prev) = taker->prev;
    taker->prev = taker->next = NULL;
}

/* The first in turn that has room, moved behind all others; NULL if none has. */
static gw__taker *next_taker(gw__queue *queue)
{
    gw__taker *taker = queue->first_taker;
    while (taker != NULL && taker->unsettled.n >= taker->prefetch) {
        taker = taker->next;
    }
    if (taker != NULL && taker->next != NULL) {
        unlink_taker(queue, taker);
        append_taker(queue, taker);
    }
    return taker;
}

static void hand_out(gw__queue *queue, gw__entry *entry, gw__taker *taker)
{
    unlink_entry(&queue->waiting, entry);
    entry->tag = ++taker->last_tag;
    insert_after(&taker->unsettled, taker->unsettled.last, entry);
    queue->n_unsettled++;
    if (taker->undelivered == NULL) {
        taker->undelivered = entry;
    }
    taker->ready(taker);
}

/* Messages to those who have room. */
static void pump(gw__queue *queue)
{
    while (queue->waiting.first != NULL) {
        gw__taker *taker = next_taker(queue);
        if (taker == NULL) {
            return;
        }
        hand_out(queue, queue->waiting.first, taker);
        drop_expired(queue);
    }
}

/* An entry that counts, and is in no list yet; NULL when out of memory. */
static gw__entry *new_entry(gw__queue *queue, gw__stored *stored)
{
    gw__entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->stored = gw__stored_ref(stored);
    queue->load->n_messages++;
    queue->load->n_bytes += gw__stored_size(stored);
    return entry;
}

static void append(gw__queue *queue, gw__entry *entry)
{
    int64_t expiration_ms = gw_message_expiration_ms(entry->stored->msg);
    entry->seq = ++queue->last_seq;
    entry->expires_ms = expiration_ms < 0 ? 0 : gw_clock_ms() + (uint64_t)expiration_ms;
    drop_expired(queue); /* those before it; a new one with a free taker does not expire */
    insert_after(&queue->waiting, queue->waiting.last, entry);
    pump(queue);
}

bool gw__queue_put(gw__queue *queue, gw__stored *stored)
{
    gw__entry *entry = new_entry(queue, stored);
    if (entry != NULL) {
        append(queue, entry);
    }
    return entry != NULL;
}

bool gw__queue_put_later(gw__queue *queue, gw__stored *stored, uint64_t due_ms)
{
    gw__entry *entry = new_entry(queue, stored);
    if (entry == NULL) {
        return false;
    }
    entry->due_ms = due_ms;
    gw__entry *place = queue->delayed.last;
    while (place != NULL && place->due_ms > due_ms) {
        place = place->prev;
    }
    insert_after(&queue->delayed, place, entry);
    return true;
}

uint64_t gw__queue_ripen(gw__queue *queue, uint64_t now_ms)
{
    gw__entry *entry;
    while ((entry = queue->delayed.first) != NULL && entry->due_ms <= now_ms) {
        unlink_entry(&queue->delayed, entry);
        append(queue, entry);
    }
    return entry != NULL ? entry->due_ms : UINT64_MAX;
}

size_t gw__queue_len(gw__queue *queue)
{
    drop_expired(queue);
    return queue->waiting.n;
}

gw__entry *gw__queue_take(gw__queue *queue)
{
    drop_expired(queue);
    gw__entry *entry = queue->waiting.first;
    if (entry != NULL) {
        unlink_entry(&queue->waiting, entry);
        discount(queue, entry);
    }
    return entry;
}

/* ---- takers ------------------------------------------------------------------- */

void gw__taker_attach(gw__taker *taker)
{
    assert(!taker->attached && taker->unsettled.n == 0);
    taker->attached = true;
    append_taker(taker->queue, taker);
    drop_expired(taker->queue);
    pump(taker->queue);
}

void gw__taker_detach(gw__taker *taker)
{
    if (taker->attached) {
        taker->attached = false;
        unlink_taker(taker->queue, taker);
    }
}

void gw__taker_set_prefetch(gw__taker *taker, uint16_t prefetch)
{
    taker->prefetch = prefetch;
    if (taker->attached) {
        drop_expired(taker->queue);
        pump(taker->queue);
    }
}

gw__entry *gw__taker_fetch(gw__taker *taker)
{
    gw__entry *entry = taker->undelivered;
    if (entry != NULL) {
        taker->undelivered = entry->next;
    }
    return entry;
}

static gw__entry *find_unsettled(gw__taker *taker, uint64_t tag)
{
    gw__entry *entry = taker->unsettled.first;
    while (entry != NULL && entry->tag != tag) {
        entry = entry->next;
    }
    return entry;
}

void gw__taker_unfetch(gw__taker *taker, uint64_t tag)
{
    gw__entry *entry = find_unsettled(taker, tag);
    if (entry != NULL) {
        taker->undelivered = entry;
    }
}

/* Back to its place among the others: near the head, since it was there before. */
static void put_back(gw__queue *queue, gw__entry *entry)
{
    gw__entry *place = NULL;
    gw__entry *it = queue->waiting.first;
    while (it != NULL && it->seq < entry->seq) {
        place = it;
        it = it->next;
    }
    entry->redelivered = true;
    entry->tag = 0;
    insert_after(&queue->waiting, place, entry);
}

void gw__taker_settle(gw__taker *taker, uint64_t tag, gw__settlement how)
{
    gw__entry *entry = find_unsettled(taker, tag);
    if (entry == NULL || (taker->undelivered != NULL && tag >= taker->undelivered->tag)) {
        return;
    }
    unlink_entry(&taker->unsettled, entry);
    taker->queue->n_unsettled--;
    if (how == GW__REQUEUE) {
        put_back(taker->queue, entry);
    } else {
        discount(taker->queue, entry);
        gw__entry_free(entry);
    }
    drop_expired(taker->queue);
    pump(taker->queue);
}

/* From the last one on, so that each finds its place at the head at once. */
static void return_from(gw__taker *taker, gw__entry *first)
{
    for (bool done = first == NULL; !done;) {
        gw__entry *entry = taker->unsettled.last;
        done = entry == first;
        unlink_entry(&taker->unsettled, entry);
        taker->queue->n_unsettled--;
        put_back(taker->queue, entry);
    }
    taker->undelivered = NULL;
    drop_expired(taker->queue);
    pump(taker->queue);
}

void gw__taker_return_undelivered(gw__taker *taker)
{
    return_from(taker, taker->undelivered);
}

void gw__taker_return_all(gw__taker *taker)
{
    return_from(taker, taker->unsettled.first);
}
