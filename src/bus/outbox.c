/* SPDX-License-Identifier: MIT */
/* An outbox seen by another process than the one that uses it. */
#include <godwit/outbox.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "bus/owner.h"
#include "bus/record.h"
#include "bus/ring.h"
#include "bus/store.h"
#include "messaging/journal.h"

/* Of the map; the owner's limit is not known here, and a larger file is mapped as it is. */
#define MAX_BYTES     ((size_t)2 << 30)

#define LOOK_EVERY_US 20000

typedef struct queue {
    uint32_t number;
    gw__store_target target;
} queue;

/* A message that was in the ring. */
typedef struct fresh {
    gw__store_record record;
    uint8_t *bytes;
} fresh;

struct gw_outbox {
    char *dir;
    gw__store *store;
    queue *queues;
    size_t n_queues;
    fresh *fresh;
    size_t n_fresh;
};

/* ---- open ---------------------------------------------------------------------- */

gw_status gw_outbox_open(const char *dir, gw_outbox **ret_outbox, gw_error *err)
{
    if (dir == NULL || ret_outbox == NULL || strnlen(dir, GW__DIR_MAX + 1) > GW__DIR_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_outbox_open: the directory is not valid");
    }
    char path[GW__DIR_MAX + 16];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    if (access(path, F_OK) != 0) { /* LMDB would make one */
        return errno == ENOENT || errno == ENOTDIR
                   ? gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no outbox in %s", dir)
                   : gw_error_set_errno(err, errno, "cannot look into %s", dir);
    }
    gw_outbox *outbox = calloc(1, sizeof(*outbox));
    char *copy = strdup(dir);
    if (outbox == NULL || copy == NULL) {
        free(outbox);
        free(copy);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look into an outbox");
    }
    outbox->dir = copy;
    gw_status st = gw__store_open(dir, MAX_BYTES, false, &outbox->store, err);
    if (st != GW_OK) {
        gw_outbox_close(outbox);
        return st;
    }
    *ret_outbox = outbox;
    return GW_OK;
}

static void forget(gw_outbox *outbox)
{
    for (size_t i = 0; i < outbox->n_fresh; i++) {
        free(outbox->fresh[i].bytes);
    }
    free(outbox->fresh);
    free(outbox->queues);
    outbox->fresh = NULL;
    outbox->queues = NULL;
    outbox->n_fresh = outbox->n_queues = 0;
}

void gw_outbox_close(gw_outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    forget(outbox);
    gw__store_close(outbox->store);
    free(outbox->dir);
    free(outbox);
}

/* ---- a picture of it --------------------------------------------------------------- */

static gw_status add_queue(void *ctx, uint32_t number, const gw__store_target *target,
                           gw_error *err)
{
    gw_outbox *outbox = ctx;
    queue *more = realloc(outbox->queues, (outbox->n_queues + 1) * sizeof(*more));
    if (more == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look into an outbox");
    }
    outbox->queues = more;
    outbox->queues[outbox->n_queues++] = (queue){.number = number, .target = *target};
    return GW_OK;
}

static gw_status add_fresh(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    gw_outbox *outbox = ctx;
    if (entry->external || entry->damaged) { /* in the store; or it is being written */
        return GW_OK;
    }
    if ((outbox->n_fresh & (outbox->n_fresh - 1)) == 0) {
        size_t cap = outbox->n_fresh == 0 ? 1 : outbox->n_fresh * 2;
        fresh *more = realloc(outbox->fresh, cap * sizeof(*more));
        if (more == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look into an outbox");
        }
        outbox->fresh = more;
    }
    uint8_t *bytes = malloc(entry->len + 1);
    if (bytes == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look into an outbox");
    }
    memcpy(bytes, entry->bytes, entry->len);
    outbox->fresh[outbox->n_fresh++] = (fresh){.record = {.queue = entry->queue,
                                                          .seq = entry->seq,
                                                          .accepted_ms = entry->accepted_ms,
                                                          .bytes = bytes,
                                                          .len = entry->len},
                                               .bytes = bytes};
    return GW_OK;
}

/* The ring first: what leaves it afterwards is in the store when that is read. */
static gw_status take_picture(gw_outbox *outbox, gw_error *err)
{
    forget(outbox);
    char path[GW__DIR_MAX + 16];
    snprintf(path, sizeof(path), "%s/ring", outbox->dir);
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__ring_peek(path, add_fresh, outbox, &why);
    if (st != GW_OK && st != GW_E_NOT_FOUND) {
        return gw_error_set(err, st, why.native, "%s", why.text);
    }
    return gw__store_queues(outbox->store, add_queue, outbox, err);
}

static const gw__store_target *find_target(const gw_outbox *outbox, uint32_t number)
{
    for (size_t i = 0; i < outbox->n_queues; i++) {
        if (outbox->queues[i].number == number) {
            return &outbox->queues[i].target;
        }
    }
    return NULL;
}

/* Where in the fresh ones a number is, or would be. */
static fresh *find_fresh(const gw_outbox *outbox, uint64_t seq)
{
    size_t from = 0;
    size_t to = outbox->n_fresh;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (outbox->fresh[middle].record.seq == seq) {
            return &outbox->fresh[middle];
        }
        if (outbox->fresh[middle].record.seq < seq) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

/* ---- visiting ------------------------------------------------------------------------ */

typedef struct visit {
    gw_outbox *outbox;
    gw_outbox_visitor visitor;
    void *ctx;
    uint32_t queue; /* that is being visited, ... */
    size_t at;      /* ... and the first fresh one that has not been looked at */
    bool stopped;
} visit;

static bool show(visit *it, gw_outbox_part part, const gw__store_record *record, uint64_t died_ms,
                 const char *reason)
{
    const gw__store_target *target = find_target(it->outbox, record->queue);
    gw_message *msg;
    if (target == NULL || gw__record_read(record->bytes, record->len, &msg, NULL) != GW_OK) {
        return true; /* the owner will set it aside when it comes to it */
    }
    gw_outbox_entry entry = {.number = record->seq,
                             .part = part,
                             .queue = target->is_queue ? target->name : NULL,
                             .exchange = target->is_queue ? "" : target->name,
                             .type = target->type,
                             .accepted_ms = record->accepted_ms,
                             .died_ms = died_ms,
                             .reason = reason,
                             .msg = msg};
    it->stopped = !it->visitor(it->ctx, &entry);
    gw_message_free(msg);
    return !it->stopped;
}

/* The fresh ones of the queue with lower numbers. */
static bool show_fresh_before(visit *it, uint64_t seq)
{
    for (; it->at < it->outbox->n_fresh && it->outbox->fresh[it->at].record.seq < seq; it->at++) {
        const gw__store_record *record = &it->outbox->fresh[it->at].record;
        if (record->queue == it->queue && !show(it, GW_OUTBOX_WAITING, record, 0, NULL)) {
            return false;
        }
    }
    return true;
}

/* One may be in both places: it moved meanwhile. */
static bool show_stored(void *ctx, const gw__store_record *record)
{
    visit *it = ctx;
    if (!show_fresh_before(it, record->seq)) {
        return false;
    }
    if (it->at < it->outbox->n_fresh && it->outbox->fresh[it->at].record.seq == record->seq) {
        it->at++;
    }
    return show(it, GW_OUTBOX_WAITING, record, 0, NULL);
}

static void pass_damaged(void *ctx, uint32_t number, uint64_t seq)
{
    (void)ctx;
    (void)number;
    (void)seq;
}

static bool show_dead(void *ctx, const gw__store_dead *dead)
{
    return show(ctx, GW_OUTBOX_DEAD, &dead->record, dead->died_ms, dead->reason);
}

static gw_status visit_queue(visit *it, uint32_t number, gw_error *err)
{
    const gw__store_visitor visitor = {.record = show_stored, .damaged = pass_damaged, .ctx = it};
    it->queue = number;
    it->at = 0;
    gw_status st = gw__store_read(it->outbox->store, number, 0, &visitor, err);
    if (st == GW_OK && !it->stopped) {
        show_fresh_before(it, UINT64_MAX);
    }
    return st;
}

gw_status gw_outbox_visit(gw_outbox *outbox, gw_outbox_part part, gw_outbox_visitor visitor,
                          void *ctx, gw_error *err)
{
    visit it = {.outbox = outbox, .visitor = visitor, .ctx = ctx};
    gw_status st = take_picture(outbox, err);
    if (st == GW_OK && part == GW_OUTBOX_DEAD) {
        st = gw__store_read_dead(outbox->store, 0, show_dead, &it, err);
    }
    for (size_t i = 0; st == GW_OK && part == GW_OUTBOX_WAITING && i < outbox->n_queues; i++) {
        st = it.stopped ? GW_OK : visit_queue(&it, outbox->queues[i].number, err);
    }
    forget(outbox);
    return st;
}

static bool count_one(void *ctx, const gw_outbox_entry *entry)
{
    (void)entry;
    ++*(size_t *)ctx;
    return true;
}

gw_status gw_outbox_summarize(gw_outbox *outbox, gw_outbox_summary *ret_summary, gw_error *err)
{
    gw__store_counts counts;
    size_t n_waiting = 0;
    gw_status st = gw__store_count(outbox->store, &counts, err);
    if (st == GW_OK) {
        st = gw_outbox_visit(outbox, GW_OUTBOX_WAITING, count_one, &n_waiting, err);
    }
    if (st == GW_OK) {
        *ret_summary = (gw_outbox_summary){.pid = gw__owner_pid(outbox->dir),
                                           .n_waiting = n_waiting,
                                           .n_dead = counts.n_dead,
                                           .n_damaged = counts.n_damaged};
    }
    return st;
}

/* ---- changing -------------------------------------------------------------------------- */

typedef struct lookup {
    uint64_t number;
    uint32_t queue; /* 0: not found */
} lookup;

static bool note_queue(void *ctx, const gw__store_record *record)
{
    lookup *it = ctx;
    it->queue = record->seq == it->number ? record->queue : 0;
    return false;
}

/* The queue of a message that waits; 0 when there is none of that number. */
static gw_status find_queue(const gw_outbox *outbox, uint64_t number, uint32_t *ret_queue,
                            gw_error *err)
{
    const fresh *one = find_fresh(outbox, number);
    lookup it = {.number = number, .queue = one != NULL ? one->record.queue : 0};
    const gw__store_visitor visitor = {.record = note_queue, .damaged = pass_damaged, .ctx = &it};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && it.queue == 0 && number > 0 && i < outbox->n_queues; i++) {
        st = gw__store_read(outbox->store, outbox->queues[i].number, number - 1, &visitor, err);
    }
    *ret_queue = it.queue;
    return st;
}

static gw_status ask(gw_outbox *outbox, gw_outbox_part part, gw_outbox_change change,
                     const uint64_t *numbers, size_t n_numbers, gw_error *err)
{
    gw__store_txn *txn;
    gw_status st = gw__store_begin(outbox->store, &txn, err);
    if (st != GW_OK) {
        return st;
    }
    for (size_t i = 0; st == GW_OK && i < n_numbers; i++) {
        gw__store_ask what = change == GW_OUTBOX_RESEND ? GW__STORE_RESEND
                             : part == GW_OUTBOX_DEAD   ? GW__STORE_DROP_DEAD
                                                        : GW__STORE_DROP;
        uint32_t number = 0;
        if (what == GW__STORE_DROP) {
            st = find_queue(outbox, numbers[i], &number, err);
        }
        if (st == GW_OK && (what != GW__STORE_DROP || number != 0)) {
            st = gw__store_ask_for(txn, number, numbers[i], what, err);
        }
    }
    return gw__store_end(txn, st, true, err);
}

typedef struct remaining {
    const uint64_t *numbers;
    size_t n_numbers;
    size_t n;
} remaining;

static bool count_remaining(void *ctx, uint32_t number, uint64_t seq, gw__store_ask what)
{
    (void)number;
    (void)what;
    remaining *it = ctx;
    for (size_t i = 0; i < it->n_numbers; i++) {
        if (it->numbers[i] == seq) {
            it->n++;
            break;
        }
    }
    return true;
}

/* Nobody else is there to do it: opening a journal does what was asked for. */
static gw_status do_it_here(gw_outbox *outbox, gw_error *err)
{
    gw__store_close(outbox->store); /* LMDB wants one of a process */
    outbox->store = NULL;
    gw__journal *journal;
    gw__journal_options options = {.dir = outbox->dir, .max_bytes = MAX_BYTES};
    gw_status st = gw__journal_open(&options, &journal, err);
    if (st == GW_OK) {
        gw__journal_close(journal);
    }
    gw_error why = GW_ERROR_INIT;
    gw_status opened = gw__store_open(outbox->dir, MAX_BYTES, false, &outbox->store, &why);
    if (opened != GW_OK) {
        return gw_error_set(err, opened, why.native, "%s", why.text);
    }
    return st == GW_E_BUSY ? GW_OK : st; /* the service has just started */
}

gw_status gw_outbox_apply(gw_outbox *outbox, gw_outbox_part part, gw_outbox_change change,
                          const uint64_t *numbers, size_t n_numbers, unsigned timeout_ms,
                          size_t *ret_n_done, gw_error *err)
{
    if (change == GW_OUTBOX_RESEND && part != GW_OUTBOX_DEAD) {
        return gw_error_set(err, GW_E_INVALID, 0, "only dead messages can be sent again");
    }
    gw_status st = take_picture(outbox, err);
    if (st == GW_OK) {
        st = ask(outbox, part, change, numbers, n_numbers, err);
    }
    forget(outbox);
    if (st == GW_OK && gw__owner_pid(outbox->dir) == 0) {
        st = do_it_here(outbox, err);
    }
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    remaining left = {.numbers = numbers, .n_numbers = n_numbers, .n = 0};
    while (st == GW_OK) {
        left.n = 0;
        st = gw__store_read_asked(outbox->store, count_remaining, &left, err);
        if (st != GW_OK || left.n == 0 || gw_clock_ms() >= deadline_ms) {
            break;
        }
        usleep(LOOK_EVERY_US); /* the service looks once a second, and says nothing */
    }
    if (st != GW_OK) {
        return st;
    }
    *ret_n_done = n_numbers - left.n;
    return left.n == 0 ? GW_OK
                       : gw_error_set(err, GW_E_TIMEOUT, 0,
                                      "%zu messages are on their way to the broker, or the service "
                                      "does not answer",
                                      left.n);
}
