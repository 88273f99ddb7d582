/* SPDX-License-Identifier: MIT */
/*
 * What another process, the tool for operators, asks a running journal to do: drop a message, send
 * a dead one again, drop a dead one. The requests stand in the store, where they also survive the
 * process; they are looked for once a second.
 */
#include "bus/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "bus/record.h"

#define N_REQUESTS 256 /* at once */

typedef struct request {
    uint64_t seq;
    uint32_t queue;
    gw__store_ask what;
    bool is_done;
} request;

typedef struct requests {
    request items[N_REQUESTS];
    size_t n_items;
} requests;

static bool collect_request(void *ctx, uint32_t queue, uint64_t seq, gw__store_ask what)
{
    requests *list = ctx;
    list->items[list->n_items++] = (request){.seq = seq, .queue = queue, .what = what};
    return list->n_items < N_REQUESTS;
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
            gw_log_error(GW__JOURNAL_AREA, "dead message %" PRIu64 " cannot be read: %s", copy->seq,
                         why.text);
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
    wanted->len = record->seq == wanted->seq ? record->len + GW__HEAD_BYTES : 0;
    return false;
}

static void note_damaged(void *ctx, uint32_t queue, uint64_t seq)
{
    (void)ctx;
    (void)queue;
    (void)seq;
}

static bool is_in(const gw__ref_list *list, uint64_t seq)
{
    size_t i = 0;
    while (i < list->n_items && list->items[i].seq != seq) {
        i++;
    }
    return i < list->n_items;
}

static void take_out(gw__ref_list *list, uint64_t seq)
{
    for (size_t i = 0; i < list->n_items; i++) {
        if (list->items[i].seq == seq) {
            list->items[i] = list->items[--list->n_items];
            return;
        }
    }
}

/* What a message that waits counts for; 0 when there is none. */
static size_t size_of(gw__journal *journal, uint32_t queue, uint64_t seq)
{
    gw__store_record wanted = {.seq = seq};
    const gw__store_visitor visitor = {
        .record = note_size, .damaged = note_damaged, .ctx = &wanted};
    gw__ring_entry entry = {.external = true};
    pthread_mutex_lock(&journal->lock);
    bool hidden = is_in(&journal->hidden, seq);
    if (seq >= gw__ring_first(journal->ring) && seq < gw__ring_next(journal->ring)) {
        entry = gw__ring_get(journal->ring, seq);
    }
    if (hidden || entry.settled) {
        wanted.len = 0; /* dropped before, which could not be written down */
    } else if (!entry.external) {
        wanted.len = entry.queue != queue ? 0 : entry.len + GW__HEAD_BYTES;
    } else if (gw__store_read(journal->store, queue, seq - 1, &visitor, NULL) != GW_OK) {
        wanted.len = 0;
    }
    pthread_mutex_unlock(&journal->lock);
    return wanted.len;
}

/* Once, also when that cannot be written down for long. */
static bool resend(gw__journal *journal, uint64_t seq)
{
    dead_copy copy = {.journal = journal, .seq = seq};
    if (is_in(&journal->resent, seq)) {
        return true;
    }
    if (!gw__ref_list_add(&journal->resent, (gw__journal_ref){.seq = seq})) {
        return false;
    }
    gw_status st = gw__store_read_dead(journal->store, seq - 1, copy_dead, &copy, NULL);
    if (st == GW_OK && copy.msg != NULL) {
        st = gw__store_queues(journal->store, resend_to, &copy, NULL);
    }
    gw_message_free(copy.msg);
    if (!copy.sent) {
        take_out(&journal->resent, seq);
    }
    return copy.sent || (st == GW_OK && !copy.found);
}

/* Whether what the store has of it can go. */
static bool serve(gw__journal *journal, const request *it)
{
    if (journal->options.on_drop == NULL) {
        return false; /* opened only to apply what was asked for before */
    }
    switch (it->what) {
    case GW__STORE_DROP:
        return journal->options.on_drop(journal->options.ctx, it->queue, it->seq,
                                        size_of(journal, it->queue, it->seq));
    case GW__STORE_RESEND: return resend(journal, it->seq);
    default: return true;
    }
}

static gw_status forget_in(gw__store_txn *txn, const request *it, gw_error *err)
{
    gw_status st = it->what == GW__STORE_DROP ? gw__store_remove(txn, it->queue, it->seq, err)
                                              : gw__store_remove_dead(txn, it->seq, err);
    return st == GW_OK ? gw__store_forget_asked(txn, it->seq, err) : st;
}

/* All in one commit, and then from the ring. */
static gw_status forget_done(gw__journal *journal, const requests *list, gw_error *err)
{
    gw__store_txn *txn;
    gw_status st = gw__store_begin(journal->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    for (size_t i = 0; st == GW_OK && i < list->n_items; i++) {
        st = list->items[i].is_done ? forget_in(txn, &list->items[i], err) : GW_OK;
    }
    st = gw__store_end(txn, st, false, err);
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; st == GW_OK && i < list->n_items; i++) {
        bool external;
        if (list->items[i].is_done && list->items[i].what == GW__STORE_DROP) {
            gw__ring_settle(journal->ring, list->items[i].seq, &external);
            take_out(&journal->hidden, list->items[i].seq);
        } else if (list->items[i].is_done) {
            take_out(&journal->resent, list->items[i].seq);
        }
    }
    pthread_mutex_unlock(&journal->lock);
    return st;
}

/* What is asked of the relay comes first: it may write to the store itself. */
void gw__journal_serve_requests(gw__journal *journal)
{
    requests list = {.n_items = 0};
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__store_read_asked(journal->store, collect_request, &list, &why);
    if (st == GW_OK && list.n_items == 0) {
        return;
    }
    size_t n_done = 0;
    for (size_t i = 0; i < list.n_items; i++) {
        list.items[i].is_done = serve(journal, &list.items[i]);
        n_done += list.items[i].is_done;
    }
    if (st == GW_OK && n_done > 0) {
        st = forget_done(journal, &list, &why);
    }
    gw__store_counts counts;
    if (st == GW_OK) {
        st = gw__store_count(journal->store, &counts, &why);
    }
    if (st == GW_OK) {
        gw_gauge_set(journal->n_dead, (int64_t)counts.n_dead);
    } else {
        gw_log_error(GW__JOURNAL_AREA, "%s", why.text);
    }
}

/* ---- at the start --------------------------------------------------------------------- */

typedef struct dead_bytes {
    gw__store_record record;
    uint8_t *bytes;
    uint64_t seq;
    bool failed;
} dead_bytes;

static bool copy_bytes(void *ctx, const gw__store_dead *dead)
{
    dead_bytes *copy = ctx;
    if (dead->record.seq == copy->seq) {
        copy->record = dead->record;
        copy->bytes = malloc(dead->record.len + 1);
        copy->failed = copy->bytes == NULL;
        if (copy->bytes != NULL) {
            memcpy(copy->bytes, dead->record.bytes, dead->record.len);
        }
    }
    return false;
}

/* From the dead to those that wait, as the youngest. */
static gw_status resend_in(gw__journal *journal, gw__store_txn *txn, uint64_t seq,
                           uint64_t *next_seq, gw_error *err)
{
    dead_bytes copy = {.seq = seq};
    gw_status st = gw__store_read_dead(journal->store, seq - 1, copy_bytes, &copy, err);
    if (st == GW_OK && copy.failed) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory to open the outbox");
    }
    if (st == GW_OK && copy.bytes != NULL) {
        copy.record.bytes = copy.bytes;
        copy.record.seq = (*next_seq)++;
        st = gw__store_put(txn, &copy.record, err);
    }
    free(copy.bytes);
    return st == GW_OK ? gw__store_remove_dead(txn, seq, err) : st;
}

static gw_status apply_one(gw__journal *journal, gw__store_txn *txn, const request *it,
                           uint64_t *next_seq, gw_error *err)
{
    gw_status st = GW_OK;
    switch (it->what) {
    case GW__STORE_DROP: st = gw__store_remove(txn, it->queue, it->seq, err); break;
    case GW__STORE_DROP_DEAD: st = gw__store_remove_dead(txn, it->seq, err); break;
    case GW__STORE_RESEND: st = resend_in(journal, txn, it->seq, next_seq, err); break;
    }
    return st == GW_OK ? gw__store_forget_asked(txn, it->seq, err) : st;
}

gw_status gw__journal_apply_requests(gw__journal *journal, gw_error *err)
{
    uint64_t next_seq = gw__ring_next(journal->ring);
    gw_status st = GW_OK;
    requests list;
    do {
        list.n_items = 0;
        gw__store_txn *txn;
        st = gw__store_read_asked(journal->store, collect_request, &list, err);
        if (st != GW_OK || list.n_items == 0) {
            break;
        }
        st = gw__store_begin(journal->store, &txn, err);
        if (st != GW_OK) {
            break;
        }
        gw__store_use_reserve(txn); /* or it could not be opened for what is moved within it */
        for (size_t i = 0; st == GW_OK && i < list.n_items; i++) {
            st = apply_one(journal, txn, &list.items[i], &next_seq, err);
        }
        st = gw__store_end(txn, st, true, err);
    } while (st == GW_OK);
    gw__ring_restart(journal->ring, next_seq);
    return st;
}
