/* SPDX-License-Identifier: MIT */
/* Reading a journal back: first the store, then the ring, as if they were one. */
#include "bus/journal.h"

#include <inttypes.h>
#include <stdlib.h>

#include <godwit/log.h>

#include "bus/record.h"

#define LOAD_BYTES ((size_t)1 << 20) /* no more than this at once, or one message */

typedef struct loading {
    gw__journal *journal;
    gw__journal_item *items;
    size_t n_wanted;
    size_t n;
    size_t n_gone;
    size_t n_bytes;
    uint64_t last;
    uint64_t ring_first; /* from there on the ring is asked */
    gw__ref_list unreadable;
    gw__ref_list hidden; /* a copy of the journal's */
    gw_status st;
} loading;

static bool has_enough(const loading *it)
{
    return it->n + it->n_gone >= it->n_wanted || it->n_bytes >= LOAD_BYTES || it->st != GW_OK;
}

/* Dropped, and not yet out of the store. */
static bool is_hidden(const loading *it, uint64_t seq)
{
    for (size_t i = 0; i < it->hidden.n_items; i++) {
        if (it->hidden.items[i].seq == seq) {
            return true;
        }
    }
    return false;
}

static void load_damaged(void *ctx, uint32_t queue, uint64_t seq)
{
    loading *it = ctx;
    if (has_enough(it) || seq >= it->ring_first) { /* it is met again */
        return;
    }
    it->last = seq;
    it->n_gone++;
    gw_counter_add(it->journal->n_damaged, 1);
    gw_log_error(GW__JOURNAL_AREA,
                 "message %" PRIu64 " in %s is damaged and cannot be sent; it is set aside", seq,
                 it->journal->options.dir);
    gw__ref_list_add(&it->unreadable, (gw__journal_ref){.seq = seq, .queue = queue});
}

static bool load_record(void *ctx, const gw__store_record *record)
{
    loading *it = ctx;
    if (record->seq >= it->ring_first || has_enough(it)) {
        return false;
    }
    if (is_hidden(it, record->seq)) {
        it->last = record->seq;
        return true;
    }
    gw_message *msg;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__record_read(record->bytes, record->len, &msg, &why);
    if (st == GW_E_NOMEM) {
        it->st = st;
    } else if (st != GW_OK) {
        load_damaged(ctx, record->queue, record->seq);
    } else {
        it->items[it->n++] = (gw__journal_item){.seq = record->seq,
                                                .size = record->len + GW__HEAD_BYTES,
                                                .accepted_ms = record->accepted_ms,
                                                .msg = msg};
        it->n_bytes += record->len;
        it->last = record->seq;
    }
    return !has_enough(it);
}

static gw_status load_from_store(loading *it, uint32_t queue, uint64_t ring_first, gw_error *err)
{
    const gw__store_visitor visitor = {.record = load_record, .damaged = load_damaged, .ctx = it};
    it->ring_first = ring_first;
    return gw__store_read(it->journal->store, queue, it->last, &visitor, err);
}

/* @locks journal->lock held: the records stay where they are */
static gw_status load_from_ring_locked(loading *it, uint32_t queue, gw_error *err)
{
    gw__ring *ring = it->journal->ring;
    gw_status st = GW_OK;
    uint64_t seq = gw__ring_first(ring) > it->last ? gw__ring_first(ring) : it->last + 1;
    for (; seq < gw__ring_next(ring) && st == GW_OK && !has_enough(it); seq++) {
        gw__ring_entry entry = gw__ring_get(ring, seq);
        if (entry.queue != queue || entry.settled) {
            continue;
        }
        if (entry.external) {
            it->last = seq - 1;
            st = load_from_store(it, queue, seq + 1, err);
            continue;
        }
        gw__store_record record = {.queue = queue,
                                   .seq = seq,
                                   .accepted_ms = entry.accepted_ms,
                                   .bytes = entry.bytes,
                                   .len = entry.len};
        it->ring_first = seq + 1;
        load_record(it, &record);
    }
    return st;
}

/* What is hidden before the store is read is passed over; what is hidden later is not loaded
 * either, as that is not done while its queue is loading. @locks journal->lock held */
static void copy_hidden_locked(loading *it)
{
    const gw__ref_list *from = &it->journal->hidden;
    it->hidden.n_items = 0;
    for (size_t i = 0; i < from->n_items; i++) {
        if (!gw__ref_list_add(&it->hidden, from->items[i])) {
            it->st = GW_E_NOMEM;
        }
    }
}

/* First the store, then the ring; once more when records went from the one to the other in
 * between. */
static gw_status load_all(loading *it, uint32_t queue, gw_error *err)
{
    gw__journal *journal = it->journal;
    gw_status st = GW_OK;
    bool again = true;
    while (st == GW_OK && again && !has_enough(it)) {
        pthread_mutex_lock(&journal->lock);
        uint64_t n_spills = journal->n_spills;
        uint64_t ring_first = gw__ring_first(journal->ring);
        copy_hidden_locked(it);
        pthread_mutex_unlock(&journal->lock);
        st = it->st == GW_OK ? load_from_store(it, queue, ring_first, err) : it->st;
        pthread_mutex_lock(&journal->lock);
        again = journal->n_spills != n_spills;
        if (st == GW_OK && !again && !has_enough(it)) {
            st = load_from_ring_locked(it, queue, err);
        }
        pthread_mutex_unlock(&journal->lock);
    }
    return st;
}

static void forget_unreadable(gw__journal *journal, gw__ref_list *list)
{
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < list->n_items; i++) {
        gw__ref_list_add(&journal->unreadable, list->items[i]);
    }
    if (list->n_items > 0) {
        gw__journal_write_in_locked(journal, GW__WRITE_DELAY_MS);
        pthread_cond_signal(&journal->work);
    }
    pthread_mutex_unlock(&journal->lock);
    free(list->items);
}

gw_status gw__journal_load(gw__journal *journal, uint32_t queue, uint64_t *after,
                           gw__journal_item *ret_items, size_t n_wanted, size_t *ret_n,
                           size_t *ret_n_gone, gw_error *err)
{
    loading it = {.journal = journal, .items = ret_items, .n_wanted = n_wanted, .last = *after};
    gw_status st = load_all(&it, queue, err);
    if (st == GW_OK && !has_enough(&it)) {
        size_t n_missing = n_wanted - it.n - it.n_gone;
        gw_log_error(GW__JOURNAL_AREA, "%zu messages are missing from %s", n_missing,
                     journal->options.dir);
        it.n_gone += n_missing;
    }
    forget_unreadable(journal, &it.unreadable);
    free(it.hidden.items);
    st = st == GW_OK ? it.st : st;
    if (st != GW_OK && it.n + it.n_gone == 0) {
        return it.st != GW_OK ? gw_error_set(err, st, 0, "no memory to read the outbox") : st;
    }
    *after = it.last;
    *ret_n = it.n; /* what was read before it failed is not read again */
    *ret_n_gone = it.n_gone;
    return GW_OK;
}
