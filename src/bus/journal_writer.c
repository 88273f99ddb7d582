/* SPDX-License-Identifier: MIT */
/* The thread of a journal: all that is written behind the back of those who publish. */
#include "bus/journal.h"

#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "base/cond.h"

#define GATHER_MS 1    /* at most, for others who want the disk to be written to */
#define TICK_MS   1000 /* what failed is tried again, and requests of others are looked for */

/* ---- from the ring into the store ------------------------------------ */

typedef struct span {
    uint64_t from;
    uint64_t to;
    gw__ref_list copied;
} span;

/* No lock: the span is pinned. */
static gw_status copy_span(gw__journal *journal, span *it, gw_error *err)
{
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    for (uint64_t seq = it->from; st == GW_OK && seq < it->to; seq++) {
        gw__ring_entry entry = gw__ring_get(journal->ring, seq);
        if (entry.settled || entry.external) {
            continue;
        }
        gw__store_record record = {.queue = entry.queue,
                                   .seq = seq,
                                   .accepted_ms = entry.accepted_ms,
                                   .bytes = entry.bytes,
                                   .len = entry.len};
        gw__journal_ref ref = {.seq = seq, .queue = entry.queue};
        st = gw__ref_list_add(&it->copied, ref)
                 ? gw__store_put(txn, &record, err)
                 : gw_error_set(err, GW_E_NOMEM, 0, "no memory to write the outbox");
    }
    return gw__store_end(txn, st, journal->options.durable, err);
}

/* Log the first of a row of failures, and the end of it. @locks journal->lock held */
static void note_trouble_locked(gw__journal *journal, const gw_error *why)
{
    if (why->status != GW_OK && journal->trouble.status == GW_OK) {
        gw_log_error(GW__JOURNAL_AREA, "%s; trying again every second", why->text);
    } else if (why->status == GW_OK && journal->trouble.status != GW_OK) {
        gw_log_info(GW__JOURNAL_AREA, "the outbox in %s can be written again",
                    journal->options.dir);
    }
    journal->trouble = *why;
}

/* @locks journal->lock held; let go of meanwhile */
static void spill_locked(gw__journal *journal)
{
    if (!gw__journal_is_half_full_locked(journal)) {
        return;
    }
    /* Three quarters of them, by number: they are of about the same size, or there is a next time.
     */
    uint64_t first = gw__ring_first(journal->ring);
    uint64_t n = gw__ring_next(journal->ring) - first;
    span it = {.from = first, .to = first + (n * 3 + 3) / 4};
    gw__ring_pin(journal->ring, true);
    pthread_mutex_unlock(&journal->lock);
    gw_error why = GW_ERROR_INIT;
    gw_status st = copy_span(journal, &it, &why);
    pthread_mutex_lock(&journal->lock);
    if (st == GW_OK) {
        for (size_t i = 0; i < it.copied.n_items; i++) { /* settled while they were copied */
            if (gw__ring_get(journal->ring, it.copied.items[i].seq).settled &&
                gw__ref_list_add(&journal->settled, it.copied.items[i])) {
                gw__journal_write_in_locked(journal, GW__WRITE_DELAY_MS);
            }
        }
        journal->n_spills++;
        gw_counter_add(journal->n_spilled, it.copied.n_items);
        gw__ring_give_up(journal->ring, it.to);
    }
    gw__ring_pin(journal->ring, false);
    note_trouble_locked(journal, &why);
    free(it.copied.items);
    pthread_cond_broadcast(&journal->progress);
}

/* Those that were served together come again together: for as many, wait a moment. A write to the
 * disk costs the same for one and for all of them. @locks journal->lock held; let go of meanwhile
 */
static void gather_locked(gw__journal *journal, unsigned n_last)
{
    uint64_t deadline_ms = gw_clock_ms() + GATHER_MS;
    bool in_time = true;
    journal->n_wanted = n_last;
    while (journal->n_waiting < n_last && in_time && !journal->stopping) {
        in_time = gw__cond_wait_until(&journal->work, &journal->lock, deadline_ms);
    }
    journal->n_wanted = 0;
}

/* `n_last`: how many the last one was for. Returns how many this one was.
 * @locks journal->lock held; let go of meanwhile */
static unsigned sync_locked(gw__journal *journal, unsigned n_last)
{
    if (journal->n_waiting == 0) {
        return n_last;
    }
    gather_locked(journal, n_last);
    unsigned n = journal->n_waiting; /* all of them have what they wait for before `next` */
    uint64_t next = gw__ring_next(journal->ring);
    journal->n_waiting = 0;
    pthread_mutex_unlock(&journal->lock);
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__ring_sync(journal->ring, &why);
    pthread_mutex_lock(&journal->lock);
    journal->sync_trouble = why;
    if (st == GW_OK) {
        journal->synced = next;
    }
    pthread_cond_broadcast(&journal->progress);
    return n;
}

/* ---- what is done with in the store ---------------------------------- */

/* What is to be taken out of the store, or moved to its dead. */
typedef struct changes {
    gw__ref_list settled;
    gw__ref_list unreadable;
    gw__burial *burials;
} changes;

static gw_status bury_in(gw__store_txn *txn, const gw__burial *it, gw_error *err)
{
    gw__store_dead dead = {.record = {.queue = it->ref.queue,
                                      .seq = it->ref.seq,
                                      .accepted_ms = it->died_ms,
                                      .bytes = it->bytes,
                                      .len = it->len},
                           .died_ms = it->died_ms,
                           .status = it->why.status,
                           .reason = it->why.text};
    gw_status st = gw__store_put_dead(txn, &dead, err);
    return st == GW_OK ? gw__store_remove(txn, it->ref.queue, it->ref.seq, err) : st;
}

static gw_status write_removals(gw__journal *journal, const changes *it, gw_error *err)
{
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    for (size_t i = 0; st == GW_OK && i < it->settled.n_items; i++) {
        st = gw__store_remove(txn, it->settled.items[i].queue, it->settled.items[i].seq, err);
    }
    for (size_t i = 0; st == GW_OK && i < it->unreadable.n_items; i++) {
        st = gw__store_set_aside(txn, it->unreadable.items[i].queue, it->unreadable.items[i].seq,
                                 err);
    }
    return gw__store_end(txn, st, false, err);
}

static gw_status write_burials(gw__journal *journal, const changes *it, gw_error *err)
{
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    for (const gw__burial *dead = it->burials; st == GW_OK && dead != NULL; dead = dead->next) {
        st = bury_in(txn, dead, err);
    }
    return gw__store_end(txn, st, journal->options.durable, err);
}

/* What was written is taken off the lists. First what makes room: when there is none for the dead,
 * that must go on. */
static gw_status write_changes(gw__journal *journal, changes *it, gw__burial **ret_buried,
                               gw_error *err)
{
    gw_status st = GW_OK;
    if (it->settled.n_items > 0 || it->unreadable.n_items > 0) {
        st = write_removals(journal, it, err);
        it->settled.n_items = st == GW_OK ? 0 : it->settled.n_items;
        it->unreadable.n_items = st == GW_OK ? 0 : it->unreadable.n_items;
    }
    if (st == GW_OK && it->burials != NULL) {
        st = write_burials(journal, it, err);
        *ret_buried = st == GW_OK ? it->burials : NULL;
        it->burials = st == GW_OK ? NULL : it->burials;
    }
    return st;
}

/* Put back what could not be written, in front of what came meanwhile. @locks journal->lock held */
static void restore_locked(gw__journal *journal, changes *it)
{
    gw__burial **last = &it->burials;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = journal->burials;
    journal->burials = it->burials;
    for (size_t i = 0; i < journal->settled.n_items; i++) {
        gw__ref_list_add(&it->settled,
                         journal->settled.items[i]); /* one that is lost is sent twice */
    }
    for (size_t i = 0; i < journal->unreadable.n_items; i++) {
        gw__ref_list_add(&it->unreadable, journal->unreadable.items[i]);
    }
    free(journal->settled.items);
    free(journal->unreadable.items);
    journal->settled = it->settled;
    journal->unreadable = it->unreadable;
    gw__journal_write_in_locked(journal, TICK_MS);
}

/* @locks journal->lock held; let go of meanwhile */
static void write_locked(gw__journal *journal)
{
    changes it = {.settled = journal->settled,
                  .unreadable = journal->unreadable,
                  .burials = journal->burials};
    journal->settled = journal->unreadable = (gw__ref_list){.items = NULL};
    journal->burials = NULL;
    journal->write_at_ms = UINT64_MAX;
    if (it.settled.n_items == 0 && it.unreadable.n_items == 0 && it.burials == NULL) {
        return;
    }
    pthread_mutex_unlock(&journal->lock);
    gw_error why = GW_ERROR_INIT;
    gw__burial *buried = NULL;
    gw_status st = write_changes(journal, &it, &buried, &why);
    if (st == GW_E_NO_SPACE && gw__journal_use_spare(journal, &why)) {
        why = (gw_error)GW_ERROR_INIT;
        st = write_changes(journal, &it, &buried, &why);
    }
    pthread_mutex_lock(&journal->lock);
    if (st != GW_OK ||
        !gw__journal_is_half_full_locked(journal)) { /* else a spill may still fail */
        note_trouble_locked(journal, &why);
    }
    for (const gw__burial *dead = buried; dead != NULL; dead = dead->next) {
        bool external; /* removed from the store just now */
        gw__ring_settle(journal->ring, dead->ref.seq, &external);
        gw_gauge_add(journal->n_dead, 1);
    }
    gw__burials_free(buried);
    if (st != GW_OK) {
        restore_locked(journal, &it);
        return;
    }
    free(it.settled.items);
    free(it.unreadable.items);
}

/* ---- the thread -------------------------------------------------------------------- */

/* @locks journal->lock held */
static bool has_work_locked(const gw__journal *journal)
{
    bool troubled = journal->trouble.status != GW_OK; /* then only once a tick */
    return journal->stopping || journal->n_waiting > 0 ||
           (!troubled &&
            (gw__journal_is_half_full_locked(journal) || journal->settled.n_items >= GW__WRITE_AT));
}

void *gw__journal_writer_main(void *ctx)
{
    gw__journal *journal = ctx;
    uint64_t tick_at_ms = gw_clock_ms() + TICK_MS;
    unsigned n_synced = 0;
    pthread_mutex_lock(&journal->lock);
    while (!journal->stopping) {
        uint64_t until_ms = journal->write_at_ms < tick_at_ms ? journal->write_at_ms : tick_at_ms;
        if (!has_work_locked(journal)) {
            gw__cond_wait_until(&journal->work, &journal->lock, until_ms);
        }
        uint64_t now_ms = gw_clock_ms();
        bool tick = now_ms >= tick_at_ms;
        n_synced = sync_locked(journal, n_synced);
        if (tick || journal->trouble.status == GW_OK) {
            spill_locked(journal);
        }
        bool many = journal->settled.n_items >= GW__WRITE_AT && journal->trouble.status == GW_OK;
        if (now_ms >= journal->write_at_ms || many) {
            write_locked(journal);
        }
        if (tick && journal->trouble.status == GW_OK) {
            pthread_mutex_unlock(&journal->lock);
            gw__journal_serve_requests(journal);
            pthread_mutex_lock(&journal->lock);
        }
        tick_at_ms = tick ? now_ms + TICK_MS : tick_at_ms;
    }
    write_locked(journal);
    pthread_mutex_unlock(&journal->lock);
    return NULL;
}
