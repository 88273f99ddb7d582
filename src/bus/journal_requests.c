/* SPDX-License-Identifier: MIT */
/*
 * What another process, the tool for operators, asks a running journal to do: drop a message, send
 * a dead one again, drop a dead one. The requests stand in the store, where they also survive the
 * process; they are looked for once a second, when somebody else has written to the store.
 */
#include "bus/journal.h"

#include <inttypes.h>

#include <godwit/log.h>

#include "bus/record.h"

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

/* What a message that waits counts for; 0 when there is none. */
static size_t size_of(gw__journal *journal, uint32_t queue, uint64_t seq)
{
    gw__store_record wanted = {.seq = seq};
    const gw__store_visitor visitor = {
        .record = note_size, .damaged = note_damaged, .ctx = &wanted};
    pthread_mutex_lock(&journal->lock);
    if (seq >= gw__ring_first(journal->ring) && seq < gw__ring_next(journal->ring)) {
        gw__ring_entry entry = gw__ring_get(journal->ring, seq);
        wanted.len = entry.settled || entry.queue != queue ? 0 : entry.len + GW__HEAD_BYTES;
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
void gw__journal_serve_requests(gw__journal *journal)
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
        gw_log_error(GW__JOURNAL_AREA, "%s", why.text);
    }
    gw__store_counts counts;
    if (gw__store_count(journal->store, &counts, NULL) == GW_OK) {
        gw_gauge_set(journal->n_dead, (int64_t)counts.n_dead);
    }
}
