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
#include "messaging/journal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "base/cond.h"
#include "bus/owner.h"
#include "bus/record.h"
#include "bus/ring.h"
#include "bus/store.h"

#define AREA "outbox"

/* The store is written to when so much is waiting, or so long. */
#define WRITE_AT       4096
#define WRITE_DELAY_MS 200
#define TICK_MS        1000
#define LOAD_BYTES     ((size_t)1 << 20)
#define HEAD_BYTES     64 /* what a message takes besides its bytes, about */

typedef struct burial {
    struct burial *next;
    gw__journal_ref ref;
    uint64_t died_ms;
    gw_error why;
    size_t len;
    uint8_t bytes[];
} burial;

typedef struct ref_list {
    gw__journal_ref *items;
    size_t n_items;
    size_t cap;
} ref_list;

struct gw__journal {
    gw__journal_options options;
    int owner_fd;
    gw__store *store;
    pthread_t thread;

    pthread_mutex_t lock; /* of all below; never held while the store is written, but for a large
                             message */
    pthread_cond_t work;
    pthread_cond_t progress;
    gw__ring *ring;
    uint64_t n_spills;  /* so often records were moved into the store */
    uint64_t synced;    /* records before this number are on the disk */
    unsigned n_waiting; /* for the disk */
    gw_error sync_trouble;
    gw_error trouble;    /* of the last attempt to write to the store */
    ref_list settled;    /* in the store, to be removed */
    ref_list unreadable; /* in the store, to be set aside */
    burial *burials;
    uint64_t write_at_ms; /* when what waits is to be written; UINT64_MAX: nothing waits */
    bool stopping;

    gw_counter *n_spilled;
    gw_counter *n_damaged;
    gw_gauge *n_dead;
};

static uint64_t unix_ms(void)
{
    return gw_clock_unix_ns() / GW_NS_PER_MS;
}

size_t gw__journal_size(const gw_message *msg)
{
    return gw__record_size(msg) + HEAD_BYTES;
}

static bool add_ref(ref_list *list, gw__journal_ref ref)
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

/* ---- the thread: from the ring into the store ------------------------------------ */

typedef struct span {
    uint64_t from;
    uint64_t to;
    ref_list copied;
} span;

/* @locks journal->lock held */
static bool is_half_full_locked(const gw__journal *journal)
{
    return gw__ring_used(journal->ring) >= gw__ring_size(journal->ring) / 2;
}

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
        st = add_ref(&it->copied, ref)
                 ? gw__store_put(txn, &record, err)
                 : gw_error_set(err, GW_E_NOMEM, 0, "no memory to write the outbox");
    }
    if (st != GW_OK) {
        gw__store_abort(txn);
        return st;
    }
    return gw__store_commit(txn, journal->options.durable, err);
}

/* @locks journal->lock held */
static void wait_to_write_locked(gw__journal *journal, uint64_t delay_ms)
{
    uint64_t at_ms = gw_clock_ms() + delay_ms;
    journal->write_at_ms = at_ms < journal->write_at_ms ? at_ms : journal->write_at_ms;
}

/* Log the first of a row of failures, and the end of it. @locks journal->lock held */
static void note_trouble_locked(gw__journal *journal, const gw_error *why)
{
    if (why->status != GW_OK && journal->trouble.status == GW_OK) {
        gw_log_error(AREA, "%s; trying again every second", why->text);
    } else if (why->status == GW_OK && journal->trouble.status != GW_OK) {
        gw_log_info(AREA, "the outbox in %s can be written again", journal->options.dir);
    }
    journal->trouble = *why;
}

/* @locks journal->lock held; let go of meanwhile */
static void spill_locked(gw__journal *journal)
{
    if (!is_half_full_locked(journal)) {
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
                add_ref(&journal->settled, it.copied.items[i])) {
                wait_to_write_locked(journal, WRITE_DELAY_MS);
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

/* @locks journal->lock held; let go of meanwhile */
static void sync_locked(gw__journal *journal)
{
    uint64_t next = gw__ring_next(journal->ring);
    if (journal->n_waiting == 0 || journal->synced >= next) {
        return;
    }
    pthread_mutex_unlock(&journal->lock);
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__ring_sync(journal->ring, &why);
    pthread_mutex_lock(&journal->lock);
    journal->sync_trouble = why;
    if (st == GW_OK) {
        journal->synced = next;
    }
    pthread_cond_broadcast(&journal->progress);
}

/* ---- the thread: what is done with in the store ---------------------------------- */

/* What one commit takes out of the store. */
typedef struct changes {
    ref_list settled;
    ref_list unreadable;
    burial *burials;
} changes;

static void free_burials(burial *it)
{
    burial *next;
    for (; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
}

static gw_status bury_in(gw__store_txn *txn, const burial *it, gw_error *err)
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

static gw_status write_changes(gw__journal *journal, const changes *it, gw_error *err)
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
    for (const burial *dead = it->burials; st == GW_OK && dead != NULL; dead = dead->next) {
        st = bury_in(txn, dead, err);
    }
    if (st != GW_OK) {
        gw__store_abort(txn);
        return st;
    }
    return gw__store_commit(txn, journal->options.durable && it->burials != NULL, err);
}

/* Put back what could not be written, in front of what came meanwhile. @locks journal->lock held */
static void restore_locked(gw__journal *journal, changes *it)
{
    burial **last = &it->burials;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = journal->burials;
    journal->burials = it->burials;
    for (size_t i = 0; i < journal->settled.n_items; i++) {
        add_ref(&it->settled, journal->settled.items[i]); /* one that is lost is sent twice */
    }
    for (size_t i = 0; i < journal->unreadable.n_items; i++) {
        add_ref(&it->unreadable, journal->unreadable.items[i]);
    }
    free(journal->settled.items);
    free(journal->unreadable.items);
    journal->settled = it->settled;
    journal->unreadable = it->unreadable;
    wait_to_write_locked(journal, TICK_MS);
}

/* @locks journal->lock held; let go of meanwhile */
static void write_locked(gw__journal *journal)
{
    changes it = {.settled = journal->settled,
                  .unreadable = journal->unreadable,
                  .burials = journal->burials};
    journal->settled = journal->unreadable = (ref_list){.items = NULL};
    journal->burials = NULL;
    journal->write_at_ms = UINT64_MAX;
    if (it.settled.n_items == 0 && it.unreadable.n_items == 0 && it.burials == NULL) {
        return;
    }
    pthread_mutex_unlock(&journal->lock);
    gw_error why = GW_ERROR_INIT;
    gw_status st = write_changes(journal, &it, &why);
    pthread_mutex_lock(&journal->lock);
    note_trouble_locked(journal, &why);
    if (st != GW_OK) {
        restore_locked(journal, &it);
        return;
    }
    for (const burial *dead = it.burials; dead != NULL; dead = dead->next) {
        bool external; /* removed from the store just now */
        gw__ring_settle(journal->ring, dead->ref.seq, &external);
        gw_gauge_add(journal->n_dead, 1);
    }
    free(it.settled.items);
    free(it.unreadable.items);
    free_burials(it.burials);
}

/* ---- the thread: what other processes ask for ------------------------------------- */

typedef struct request {
    uint64_t seq;
    uint32_t queue;
    gw__store_ask what;
} request;

typedef struct requests {
    request items[256];
    size_t n_items;
} requests;

static bool collect_request(void *ctx, uint32_t queue, uint64_t seq, gw__store_ask what)
{
    requests *list = ctx;
    list->items[list->n_items++] = (request){.seq = seq, .queue = queue, .what = what};
    return list->n_items < sizeof(list->items) / sizeof(list->items[0]);
}

typedef struct dead_copy {
    gw__journal *journal;
    uint64_t seq;
    bool found;
    bool sent;
    uint32_t queue;
    gw_message *msg;
} dead_copy;

static bool copy_dead(void *ctx, const gw__store_dead *dead)
{
    dead_copy *copy = ctx;
    if (dead->record.seq == copy->seq) {
        copy->found = true;
        copy->queue = dead->record.queue;
        gw_error why = GW_ERROR_INIT;
        if (gw__record_read(dead->record.bytes, dead->record.len, &copy->msg, &why) != GW_OK) {
            gw_log_error(AREA, "dead message %" PRIu64 " cannot be read: %s", copy->seq, why.text);
        }
    }
    return false;
}

static gw_status resend_to(void *ctx, uint32_t queue, const gw__store_target *target, gw_error *err)
{
    (void)err;
    dead_copy *copy = ctx;
    if (queue == copy->queue && copy->msg != NULL) {
        gw__target to = {.exchange = target->is_queue ? "" : target->name,
                         .type = target->type,
                         .queue = target->is_queue ? target->name : NULL};
        copy->sent = copy->journal->options.on_resend(copy->journal->options.ctx, &to, copy->msg);
    }
    return GW_OK;
}

static bool note_size(void *ctx, const gw__store_record *record)
{
    gw__store_record *wanted = ctx;
    wanted->len = record->seq == wanted->seq ? record->len + HEAD_BYTES : 0;
    return false;
}

static void note_damaged(void *ctx, uint32_t queue, uint64_t seq)
{
    (void)ctx;
    (void)queue;
    (void)seq;
}

/* What a message that waits counts for; 0 when there is none. */
static size_t size_of(gw__journal *journal, uint32_t queue, uint64_t seq)
{
    gw__store_record wanted = {.seq = seq};
    const gw__store_visitor visitor = {
        .record = note_size, .damaged = note_damaged, .ctx = &wanted};
    pthread_mutex_lock(&journal->lock);
    if (seq >= gw__ring_first(journal->ring) && seq < gw__ring_next(journal->ring)) {
        gw__ring_entry entry = gw__ring_get(journal->ring, seq);
        wanted.len = entry.settled || entry.queue != queue ? 0 : entry.len + HEAD_BYTES;
    } else if (gw__store_read(journal->store, queue, seq - 1, &visitor, NULL) != GW_OK) {
        wanted.len = 0;
    }
    pthread_mutex_unlock(&journal->lock);
    return wanted.len;
}

/* Whether the request is dealt with; `ret_remove_dead`: the dead record goes with it. */
static bool serve_request(gw__journal *journal, const request *it, bool *ret_remove_dead)
{
    *ret_remove_dead = it->what == GW__STORE_DROP_DEAD;
    if (it->what == GW__STORE_DROP) {
        size_t size = size_of(journal, it->queue, it->seq);
        return journal->options.on_drop(journal->options.ctx, it->queue, it->seq, size);
    }
    if (it->what != GW__STORE_RESEND) {
        return true;
    }
    dead_copy copy = {.journal = journal, .seq = it->seq};
    gw_status st = gw__store_read_dead(journal->store, it->seq - 1, copy_dead, &copy, NULL);
    if (st == GW_OK && copy.msg != NULL) {
        st = gw__store_queues(journal->store, resend_to, &copy, NULL);
    }
    gw_message_free(copy.msg);
    *ret_remove_dead = copy.sent;
    return st == GW_OK && (copy.sent || !copy.found);
}

/* Not while there is trouble: what is done could not be noted. @thread the journal's, no lock */
static void serve_requests(gw__journal *journal)
{
    requests list = {.n_items = 0};
    if (gw__store_read_asked(journal->store, collect_request, &list, NULL) != GW_OK ||
        list.n_items == 0) {
        return;
    }
    gw__store_txn *txn = NULL;
    for (size_t i = 0; i < list.n_items; i++) {
        const request *it = &list.items[i];
        bool remove_dead;
        if (!serve_request(journal, it, &remove_dead)) {
            continue;
        }
        gw_status st = txn != NULL ? GW_OK : gw__store_begin(journal->store, &txn, NULL);
        if (st == GW_OK) {
            st = gw__store_forget_asked(txn, it->seq, NULL);
        }
        if (st == GW_OK && remove_dead) {
            st = gw__store_remove_dead(txn, it->seq, NULL);
        }
        if (st != GW_OK) {
            break;
        }
    }
    gw_error why = GW_ERROR_INIT;
    if (txn != NULL && gw__store_commit(txn, false, &why) != GW_OK) {
        gw_log_error(AREA, "%s", why.text);
    }
    gw__store_counts counts;
    if (gw__store_count(journal->store, &counts, NULL) == GW_OK) {
        gw_gauge_set(journal->n_dead, (int64_t)counts.n_dead);
    }
}

/* ---- the thread -------------------------------------------------------------------- */

/* @locks journal->lock held */
static bool has_work_locked(const gw__journal *journal)
{
    bool troubled = journal->trouble.status != GW_OK; /* then only once a tick */
    return journal->stopping ||
           (journal->n_waiting > 0 && journal->synced < gw__ring_next(journal->ring)) ||
           (!troubled && (is_half_full_locked(journal) || journal->settled.n_items >= WRITE_AT));
}

static void *thread_main(void *ctx)
{
    gw__journal *journal = ctx;
    uint64_t tick_at_ms = gw_clock_ms() + TICK_MS;
    pthread_mutex_lock(&journal->lock);
    while (!journal->stopping) {
        uint64_t until_ms = journal->write_at_ms < tick_at_ms ? journal->write_at_ms : tick_at_ms;
        if (!has_work_locked(journal)) {
            gw__cond_wait_until(&journal->work, &journal->lock, until_ms);
        }
        uint64_t now_ms = gw_clock_ms();
        bool tick = now_ms >= tick_at_ms;
        sync_locked(journal);
        if (tick || journal->trouble.status == GW_OK) {
            spill_locked(journal);
        }
        bool many = journal->settled.n_items >= WRITE_AT && journal->trouble.status == GW_OK;
        if (now_ms >= journal->write_at_ms || many) {
            write_locked(journal);
        }
        if (tick && journal->trouble.status == GW_OK && gw__store_has_changed(journal->store)) {
            pthread_mutex_unlock(&journal->lock);
            serve_requests(journal);
            pthread_mutex_lock(&journal->lock);
        }
        tick_at_ms = tick ? now_ms + TICK_MS : tick_at_ms;
    }
    write_locked(journal);
    pthread_mutex_unlock(&journal->lock);
    return NULL;
}

/* ---- open ------------------------------------------------------------------------------ */

typedef struct recovery {
    gw__store_txn *txn;
    uint64_t n_found;
    uint64_t n_damaged;
} recovery;

static gw_status recover_entry(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    recovery *it = ctx;
    it->n_found++;
    if (entry->damaged) {
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
    /* The store first, then the ring is empty; between the two, it is done once more. */
    uint64_t next_seq = counts.last_seq + 1;
    st = gw__ring_recover(journal->ring, next_seq, recover_entry, &it, &n_lost, err);
    if (st != GW_OK) {
        gw__store_abort(it.txn);
        return st;
    }
    st = gw__store_commit(it.txn, true, err);
    gw_gauge_set(journal->n_dead, (int64_t)counts.n_dead);
    it.n_damaged += n_lost;
    if (st == GW_OK && it.n_damaged > 0) {
        gw_counter_add(journal->n_damaged, it.n_damaged);
        gw_log_error(AREA,
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
    free_burials(journal->burials);
    free(journal->settled.items);
    free(journal->unreadable.items);
    pthread_cond_destroy(&journal->work);
    pthread_cond_destroy(&journal->progress);
    pthread_mutex_destroy(&journal->lock);
    free((char *)(uintptr_t)journal->options.dir);
    free(journal);
}

static gw_status open_files(gw__journal *journal, gw_error *err)
{
    const char *dir = journal->options.dir;
    char path[GW__DIR_MAX + 8];
    gw_status st = gw__owner_make_dir(dir, err);
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
    return st == GW_OK ? recover(journal, err) : st;
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
        int rc = pthread_create(&journal->thread, NULL, thread_main, journal);
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
    gw__target to = {.exchange = target->is_queue ? "" : target->name,
                     .type = target->type,
                     .queue = target->is_queue ? target->name : NULL};
    return it->visitor(it->ctx, &to, queue, n_messages, n_bytes + n_messages * HEAD_BYTES, err);
}

gw_status gw__journal_left(gw__journal *journal, gw__journal_visitor visitor, void *ctx,
                           gw_error *err)
{
    leftovers it = {.journal = journal, .visitor = visitor, .ctx = ctx};
    return gw__store_queues(journal->store, visit_left, &it, err);
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
    if (st != GW_OK) {
        gw__store_abort(txn);
        return st;
    }
    return gw__store_commit(txn, journal->options.durable, err);
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
        if (st != GW_OK) {
            gw__store_abort(txn);
        }
    }
    if (st == GW_OK) {
        st = gw__store_commit(txn, journal->options.durable, err);
    }
    free(bytes);
    return st;
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
    }
    bool half_full = is_half_full_locked(journal);
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
    while (is_half_full_locked(journal) && st == GW_OK) {
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
    if (journal->synced <= seq && journal->n_waiting++ == 0) {
        pthread_cond_signal(&journal->work);
    }
    bool waiting = journal->synced <= seq;
    while (journal->synced <= seq && st == GW_OK) {
        pthread_cond_wait(&journal->progress, &journal->lock);
        if (journal->synced <= seq && journal->sync_trouble.status != GW_OK) {
            st = gw_error_set(err, GW_E_IO, journal->sync_trouble.native, "%s",
                              journal->sync_trouble.text);
        }
    }
    journal->n_waiting -= waiting;
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
        if ((!here || external) && !add_ref(&journal->settled, refs[i])) {
            gw_log_warn(AREA, "no memory: a message that was delivered is sent again one day");
        }
    }
    bool first = n_before == 0 && journal->settled.n_items > 0;
    bool many = n_before < WRITE_AT && journal->settled.n_items >= WRITE_AT;
    if (first) {
        wait_to_write_locked(journal, WRITE_DELAY_MS);
    }
    pthread_mutex_unlock(&journal->lock);
    if (first || many) {
        pthread_cond_signal(&journal->work);
    }
}

bool gw__journal_bury(gw__journal *journal, gw__journal_ref ref, const gw_message *msg,
                      const gw_error *why)
{
    size_t len = gw__record_size(msg);
    burial *it = malloc(sizeof(*it) + len);
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
    wait_to_write_locked(journal, WRITE_DELAY_MS);
    pthread_mutex_unlock(&journal->lock);
    pthread_cond_signal(&journal->work);
    return true;
}

/* ---- load ---------------------------------------------------------------------------------- */

typedef struct loading {
    gw__journal *journal;
    gw__journal_item *items;
    size_t n_wanted;
    size_t n;
    size_t n_gone;
    size_t n_bytes;
    uint64_t last;
    uint64_t ring_first; /* from there on the ring is asked */
    ref_list unreadable;
    gw_status st;
} loading;

static bool has_enough(const loading *it)
{
    return it->n + it->n_gone >= it->n_wanted || it->n_bytes >= LOAD_BYTES || it->st != GW_OK;
}

static void load_damaged(void *ctx, uint32_t queue, uint64_t seq)
{
    loading *it = ctx;
    it->last = seq;
    it->n_gone++;
    gw_counter_add(it->journal->n_damaged, 1);
    gw_log_error(AREA, "message %" PRIu64 " in %s is damaged and cannot be sent; it is set aside",
                 seq, it->journal->options.dir);
    add_ref(&it->unreadable, (gw__journal_ref){.seq = seq, .queue = queue});
}

static bool load_record(void *ctx, const gw__store_record *record)
{
    loading *it = ctx;
    if (record->seq >= it->ring_first) {
        return false;
    }
    gw_message *msg;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__record_read(record->bytes, record->len, &msg, &why);
    if (st == GW_E_NOMEM) {
        it->st = st;
    } else if (st != GW_OK) {
        load_damaged(ctx, record->queue, record->seq);
    } else {
        it->items[it->n++] =
            (gw__journal_item){.seq = record->seq, .size = record->len + HEAD_BYTES, .msg = msg};
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
        gw__store_record record = {
            .queue = queue, .seq = seq, .bytes = entry.bytes, .len = entry.len};
        it->ring_first = seq + 1;
        load_record(it, &record);
    }
    return st;
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
        pthread_mutex_unlock(&journal->lock);
        st = load_from_store(it, queue, ring_first, err);
        pthread_mutex_lock(&journal->lock);
        again = journal->n_spills != n_spills;
        if (st == GW_OK && !again && !has_enough(it)) {
            st = load_from_ring_locked(it, queue, err);
        }
        pthread_mutex_unlock(&journal->lock);
    }
    return st;
}

static void forget_unreadable(gw__journal *journal, ref_list *list)
{
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < list->n_items; i++) {
        add_ref(&journal->unreadable, list->items[i]);
    }
    if (list->n_items > 0) {
        wait_to_write_locked(journal, WRITE_DELAY_MS);
        pthread_cond_signal(&journal->work);
    }
    pthread_mutex_unlock(&journal->lock);
    free(list->items);
}

gw_status gw__journal_load(gw__journal *journal, uint32_t queue, uint64_t after,
                           gw__journal_item *ret_items, size_t n_wanted, size_t *ret_n,
                           size_t *ret_n_gone, gw_error *err)
{
    loading it = {.journal = journal, .items = ret_items, .n_wanted = n_wanted, .last = after};
    gw_status st = load_all(&it, queue, err);
    if (st == GW_OK && !has_enough(&it)) {
        size_t n_missing = n_wanted - it.n - it.n_gone;
        gw_log_error(AREA, "%zu messages are missing from %s", n_missing, journal->options.dir);
        it.n_gone += n_missing;
    }
    forget_unreadable(journal, &it.unreadable);
    st = st == GW_OK ? it.st : st;
    if (st != GW_OK && it.n + it.n_gone == 0) {
        return it.st != GW_OK ? gw_error_set(err, st, 0, "no memory to read the outbox") : st;
    }
    *ret_n = it.n; /* what was read before it failed is not read again */
    *ret_n_gone = it.n_gone;
    return GW_OK;
}
