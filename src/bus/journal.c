/* SPDX-License-Identifier: MIT */
/*
 * The journal of accepted messages: a ring in front of a store. Appending copies a message into the
 * ring. Most are delivered and settled there, and never seen by the store. What stays until the
 * ring is half full is moved into the store, many in one commit, by the journal's own thread, which
 * also writes the ring to the disk for all that wait for it, and takes out of the store what was
 * settled later. So no caller waits for a commit of the store, but with a message too large for the
 * ring.
 *
 * Where a message is follows from its number: in the ring from the ring's first one on, in the
 * store before that.
 */
#include "bus/journal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "base/cond.h"
#include "bus/owner.h"
#include "bus/record.h"
#include "bus/spare.h"

static uint64_t unix_ms(void)
{
    return gw_clock_unix_ns() / GW_NS_PER_MS;
}

size_t gw__journal_size(const gw_message *msg)
{
    return gw__record_size(msg) + GW__HEAD_BYTES;
}

/* ---- for the other files ------------------------------------------------------------ */

bool gw__ref_list_add(gw__ref_list *list, gw__journal_ref ref)
{
    if (list->n_items == list->cap) {
        size_t cap = list->cap == 0 ? 256 : list->cap * 2;
        gw__journal_ref *items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n_items++] = ref;
    return true;
}

bool gw__journal_is_half_full_locked(const gw__journal *journal)
{
    return gw__ring_used(journal->ring) >= gw__ring_size(journal->ring) / 2;
}

void gw__journal_write_in_locked(gw__journal *journal, uint64_t delay_ms)
{
    uint64_t at_ms = gw_clock_ms() + delay_ms;
    journal->write_at_ms = at_ms < journal->write_at_ms ? at_ms : journal->write_at_ms;
}

bool gw__journal_use_spare(const gw__journal *journal, const gw_error *why)
{
    bool there = gw__spare_give(journal->options.dir);
    if (there) {
        gw_log_warn(GW__JOURNAL_AREA, "%s: going on with the room that was kept for this",
                    why != NULL ? why->text : "the disk is full");
    }
    return there;
}

void gw__burials_free(gw__burial *it)
{
    gw__burial *next;
    for (; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
}

/* ---- open ------------------------------------------------------------------------------ */

typedef struct recovery {
    gw__store_txn *txn;
    uint64_t n_damaged;
} recovery;

static gw_status recover_entry(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    recovery *it = ctx;
    bool has_queue = false;
    gw_status st = gw__store_has_queue(it->txn, entry->queue, &has_queue, err);
    if (st != GW_OK) {
        return st;
    }
    if (entry->damaged || !has_queue) { /* nobody knows whereto: the store was lost, or is older */
        it->n_damaged++;
        return gw__store_put_damaged(it->txn, entry->seq, entry->bytes, entry->len, err);
    }
    gw__store_record record = {.queue = entry->queue,
                               .seq = entry->seq,
                               .accepted_ms = entry->accepted_ms,
                               .bytes = entry->bytes,
                               .len = entry->len};
    return entry->external ? GW_OK : gw__store_put(it->txn, &record, err);
}

/* Into the store with what the ring holds, so that there is one place to read from. */
static gw_status recover(gw__journal *journal, gw_error *err)
{
    gw__store_counts counts;
    recovery it = {.txn = NULL};
    uint64_t n_lost = 0;
    gw_status st = gw__store_count(journal->store, &counts, err);
    if (st == GW_OK) {
        st = gw__store_begin(journal->store, &it.txn, err);
    }
    if (st != GW_OK) {
        return st;
    }
    gw__store_use_reserve(it.txn); /* or it could not be opened to remove something */
    st = gw__ring_recover(journal->ring, recover_entry, &it, &n_lost, err);
    st = gw__store_end(it.txn, st, true, err);
    if (st == GW_OK) { /* only now; if it ends between the two, it is done once more */
        gw__ring_restart(journal->ring, counts.last_seq + 1);
        st = journal->options.durable ? gw__ring_sync(journal->ring, err) : GW_OK;
    }
    it.n_damaged += n_lost;
    if (st == GW_OK && it.n_damaged > 0) {
        gw_counter_add(journal->n_damaged, it.n_damaged);
        gw_log_error(GW__JOURNAL_AREA,
                     "%" PRIu64 " messages in %s are damaged and cannot be sent; what is left of "
                     "them is kept there",
                     it.n_damaged, journal->options.dir);
    }
    return st;
}

static void register_metrics(gw__journal *journal)
{
    journal->n_spilled = gw_metrics_counter(
        "godwit_outbox_spilled_total",
        "Messages that waited so long that they were moved into the outbox's store.", NULL);
    journal->n_damaged =
        gw_metrics_counter("godwit_outbox_damaged_total",
                           "Messages whose bytes in the outbox were damaged: set aside.", NULL);
    journal->n_dead = gw_metrics_gauge(
        "godwit_outbox_dead_messages",
        "Messages that could not be delivered for good, kept in the outbox.", NULL);
}

static void free_journal(gw__journal *journal)
{
    gw__ring_close(journal->ring);
    gw__store_close(journal->store);
    if (journal->owner_fd >= 0) {
        close(journal->owner_fd);
    }
    gw__burials_free(journal->burials);
    free(journal->settled.items);
    free(journal->unreadable.items);
    free(journal->hidden.items);
    free(journal->resent.items);
    pthread_cond_destroy(&journal->work);
    pthread_cond_destroy(&journal->progress);
    pthread_mutex_destroy(&journal->lock);
    free((char *)(uintptr_t)journal->options.dir);
    free(journal);
}

static gw_status bring_up_to_date(gw__journal *journal, gw_error *err)
{
    gw_status st = recover(journal, err);
    return st == GW_OK ? gw__journal_apply_requests(journal, err) : st;
}

static gw_status open_files(gw__journal *journal, gw_error *err)
{
    const char *dir = journal->options.dir;
    char path[GW__DIR_MAX + 8];
    gw_status st = gw__owner_make_dir(dir, GW__NO_GROUP, err);
    if (st == GW_OK) {
        st = gw__owner_lock(dir, &journal->owner_fd, err);
    }
    if (st == GW_OK) {
        st = gw__store_open(dir, journal->options.max_bytes, false, &journal->store, err);
    }
    if (st == GW_OK) {
        snprintf(path, sizeof(path), "%s/ring", dir);
        st = gw__ring_open(path, &journal->ring, err);
    }
    if (st == GW_OK && journal->options.durable) { /* its files may be new */
        st = gw__owner_sync_dir(dir, err);
    }
    if (st == GW_OK) {
        st = bring_up_to_date(journal, err);
    }
    if (st == GW_E_NO_SPACE && gw__journal_use_spare(journal, err)) {
        st = bring_up_to_date(journal, err);
    } else if (st == GW_OK && !gw__spare_take(dir)) {
        gw_log_warn(GW__JOURNAL_AREA,
                    "the disk under %s has no %zu MiB to spare: should it be full one day, the "
                    "outbox cannot be opened",
                    dir, GW__SPARE_SIZE >> 20);
    }
    gw__store_counts counts;
    if (st == GW_OK) {
        st = gw__store_count(journal->store, &counts, err);
    }
    if (st == GW_OK) {
        gw_gauge_set(journal->n_dead, (int64_t)counts.n_dead);
    }
    return st;
}

bool gw__journal_exists(const char *dir)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/data.mdb", dir);
    return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

gw_status gw__journal_make_dir(const char *dir, gw_error *err)
{
    return gw__owner_make_dir(dir, GW__NO_GROUP, err);
}

gw_status gw__journal_open(const gw__journal_options *options, gw__journal **ret_journal,
                           gw_error *err)
{
    gw__journal *journal = calloc(1, sizeof(*journal));
    char *dir = strdup(options->dir);
    if (journal == NULL || dir == NULL) {
        free(journal);
        free(dir);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    journal->options = *options;
    journal->options.dir = dir;
    journal->owner_fd = -1;
    journal->write_at_ms = UINT64_MAX;
    pthread_mutex_init(&journal->lock, NULL);
    gw__cond_init(&journal->work);
    gw__cond_init(&journal->progress);
    register_metrics(journal);
    gw_status st = open_files(journal, err);
    if (st == GW_OK) {
        journal->synced = gw__ring_next(journal->ring);
        int rc = pthread_create(&journal->thread, NULL, gw__journal_writer_main, journal);
        st = rc == 0 ? GW_OK : gw_error_set_errno(err, rc, "cannot start the outbox's thread");
    }
    if (st != GW_OK) {
        free_journal(journal);
        return st;
    }
    *ret_journal = journal;
    return GW_OK;
}

void gw__journal_close(gw__journal *journal)
{
    if (journal == NULL) {
        return;
    }
    pthread_mutex_lock(&journal->lock);
    journal->stopping = true;
    pthread_cond_signal(&journal->work);
    pthread_mutex_unlock(&journal->lock);
    pthread_join(journal->thread, NULL);
    if (journal->options.durable) {
        gw__ring_sync(journal->ring, NULL); /* what is settled stays so */
    }
    free_journal(journal);
}

typedef struct leftovers {
    gw__journal *journal;
    gw__journal_visitor visitor;
    void *ctx;
    size_t n_found;
} leftovers;

static gw_status visit_left(void *ctx, uint32_t queue, const gw__store_target *target,
                            gw_error *err)
{
    leftovers *it = ctx;
    size_t n_messages;
    size_t n_bytes;
    gw_status st = gw__store_measure(it->journal->store, queue, &n_messages, &n_bytes, err);
    if (st != GW_OK || n_messages == 0) {
        return st;
    }
    it->n_found += n_messages;
    gw__target to = {.exchange = target->is_queue ? "" : target->name,
                     .type = target->type,
                     .queue = target->is_queue ? target->name : NULL};
    return it->visitor(it->ctx, &to, queue, n_messages, n_bytes + n_messages * GW__HEAD_BYTES, err);
}

/* What the store says to have and nobody finds is lost, and not silently. Counted afterwards: what
 * an operator drops meanwhile is not missed. */
static gw_status report_missing(gw__journal *journal, size_t n_found, gw_error *err)
{
    gw__store_counts counts;
    gw_status st = gw__store_count(journal->store, &counts, err);
    if (st == GW_OK && counts.n_records > n_found) {
        gw_counter_add(journal->n_damaged, counts.n_records - n_found);
        gw_log_error(GW__JOURNAL_AREA,
                     "%zu messages in %s cannot be found and are not sent: its data.mdb is damaged",
                     counts.n_records - n_found, journal->options.dir);
    }
    return st;
}

gw_status gw__journal_left(gw__journal *journal, gw__journal_visitor visitor, void *ctx,
                           gw_error *err)
{
    leftovers it = {.journal = journal, .visitor = visitor, .ctx = ctx};
    gw_status st = gw__store_queues(journal->store, visit_left, &it, err);
    return st == GW_OK ? report_missing(journal, it.n_found, err) : st;
}

/* ---- append --------------------------------------------------------------------------- */

gw_status gw__journal_queue(gw__journal *journal, const gw__target *target, uint32_t *ret_queue,
                            gw_error *err)
{
    gw__store_target to = {.is_queue = target->queue != NULL, .type = target->type};
    snprintf(to.name, sizeof(to.name), "%s",
             target->queue != NULL ? target->queue : target->exchange);
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    st = gw__store_queue(txn, &to, ret_queue, err);
    return gw__store_end(txn, st, journal->options.durable, err);
}

/* A message that is too large for the ring goes into the store at once; in the ring stands where.
 * @locks journal->lock held */
static gw_status append_large_locked(gw__journal *journal, uint32_t queue, const gw_message *msg,
                                     size_t len, gw_error *err)
{
    uint8_t *bytes = malloc(len);
    if (bytes == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    gw__record_write(msg, bytes);
    gw__store_record record = {.queue = queue,
                               .seq = gw__ring_next(journal->ring),
                               .accepted_ms = unix_ms(),
                               .bytes = bytes,
                               .len = len};
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st == GW_OK) {
        st = gw__store_put(txn, &record, err);
        st = gw__store_end(txn, st, journal->options.durable, err);
    }
    free(bytes);
    return st;
}

/* A commit that failed may have happened: its number is used up, and what may be in the store is
 * taken out of it. @locks journal->lock held */
static void skip_number_locked(gw__journal *journal, uint32_t queue)
{
    bool external;
    gw__journal_ref ref = {.seq = gw__ring_commit(journal->ring, 0, queue, unix_ms(), true),
                           .queue = queue};
    gw__ring_settle(journal->ring, ref.seq, &external);
    if (gw__ref_list_add(&journal->settled, ref)) {
        gw__journal_write_in_locked(journal, GW__WRITE_DELAY_MS);
    }
}

/* The ring is full. @locks journal->lock held */
static gw_status no_room_locked(gw__journal *journal, gw_error *err)
{
    pthread_cond_signal(&journal->work);
    return journal->trouble.status != GW_OK
               ? gw_error_set(err, journal->trouble.status, journal->trouble.native, "%s",
                              journal->trouble.text)
               : GW_E_BUSY;
}

gw_status gw__journal_append(gw__journal *journal, uint32_t queue, const gw_message *msg,
                             uint64_t *ret_seq, gw_error *err)
{
    size_t len = gw__record_size(msg);
    pthread_mutex_lock(&journal->lock);
    bool large = !gw__ring_takes(journal->ring, len);
    uint8_t *place = gw__ring_reserve(journal->ring, large ? 0 : len);
    gw_status st = place != NULL ? GW_OK : no_room_locked(journal, err);
    if (st == GW_OK && large) {
        st = append_large_locked(journal, queue, msg, len, err);
    } else if (st == GW_OK) {
        gw__record_write(msg, place);
    }
    if (st == GW_OK) {
        *ret_seq = gw__ring_commit(journal->ring, large ? 0 : len, queue, unix_ms(), large);
    } else if (place != NULL) {
        skip_number_locked(journal, queue);
    }
    bool half_full = gw__journal_is_half_full_locked(journal);
    pthread_mutex_unlock(&journal->lock);
    if (half_full) {
        pthread_cond_signal(&journal->work);
    }
    return st;
}

uint64_t gw__journal_last(gw__journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    uint64_t last = gw__ring_next(journal->ring) - 1;
    pthread_mutex_unlock(&journal->lock);
    return last;
}

gw_status gw__journal_wait_room(gw__journal *journal, gw_error *err)
{
    gw_status st = GW_OK;
    pthread_mutex_lock(&journal->lock);
    while (gw__journal_is_half_full_locked(journal) && st == GW_OK) {
        pthread_cond_signal(&journal->work);
        pthread_cond_wait(&journal->progress, &journal->lock);
        if (journal->trouble.status != GW_OK) {
            st = no_room_locked(journal, err);
        }
    }
    pthread_mutex_unlock(&journal->lock);
    return st;
}

gw_status gw__journal_wait_synced(gw__journal *journal, uint64_t seq, gw_error *err)
{
    gw_status st = GW_OK;
    pthread_mutex_lock(&journal->lock);
    if (journal->synced <= seq && ++journal->n_waiting >= journal->n_wanted) {
        pthread_cond_signal(&journal->work); /* even if others wait: the thread may sleep */
    }
    while (journal->synced <= seq && st == GW_OK) {
        pthread_cond_wait(&journal->progress, &journal->lock);
        if (journal->synced <= seq && journal->sync_trouble.status != GW_OK) {
            st = gw_error_set(err, GW_E_IO, journal->sync_trouble.native, "%s",
                              journal->sync_trouble.text);
        }
    }
    pthread_mutex_unlock(&journal->lock);
    return st;
}

/* ---- settle ----------------------------------------------------------------------------- */

void gw__journal_settle(gw__journal *journal, const gw__journal_ref *refs, size_t n_refs)
{
    pthread_mutex_lock(&journal->lock);
    size_t n_before = journal->settled.n_items;
    for (size_t i = 0; i < n_refs; i++) {
        bool external = false;
        bool here = gw__ring_settle(journal->ring, refs[i].seq, &external);
        if ((!here || external) && !gw__ref_list_add(&journal->settled, refs[i])) {
            gw_log_warn(GW__JOURNAL_AREA,
                        "no memory: a message that was delivered is sent again one day");
        }
    }
    bool first = n_before == 0 && journal->settled.n_items > 0;
    bool many = n_before < GW__WRITE_AT && journal->settled.n_items >= GW__WRITE_AT;
    if (first) {
        gw__journal_write_in_locked(journal, GW__WRITE_DELAY_MS);
    }
    pthread_mutex_unlock(&journal->lock);
    if (first || many) {
        pthread_cond_signal(&journal->work);
    }
}

bool gw__journal_hide(gw__journal *journal, gw__journal_ref ref)
{
    pthread_mutex_lock(&journal->lock);
    bool hidden = gw__ref_list_add(&journal->hidden, ref);
    pthread_mutex_unlock(&journal->lock);
    return hidden;
}

bool gw__journal_bury(gw__journal *journal, gw__journal_ref ref, const gw_message *msg,
                      const gw_error *why)
{
    size_t len = gw__record_size(msg);
    gw__burial *it = malloc(sizeof(*it) + len);
    if (it == NULL) {
        return false;
    }
    it->ref = ref;
    it->died_ms = unix_ms();
    it->why = *why;
    it->len = len;
    gw__record_write(msg, it->bytes);
    pthread_mutex_lock(&journal->lock);
    it->next = journal->burials;
    journal->burials = it;
    gw__journal_write_in_locked(journal, GW__WRITE_DELAY_MS);
    pthread_mutex_unlock(&journal->lock);
    pthread_cond_signal(&journal->work);
    return true;
}
