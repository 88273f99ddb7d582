/* SPDX-License-Identifier: MIT */
#include "messaging/relay.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "base/cond.h"
#include "messaging/lane.h"
#include "messaging/message.h"

/* A message that the broker refused is tried again after this; a vanished queue is redeclared this
 * often. */
#define REFUSED_DELAY_MS 1000
#define RETURNS_MAX      3
#define FREE_ENTRIES_MAX 1024

/* An outbox that held so many and is empty again gives its memory back to the system. */
#define TRIM_AT_MESSAGES 10000

/* More is loaded from the journal when fewer than this are ready to be sent; after a failure, so
 * much later. */
#define LOAD_AT        512
#define LOAD_AGAIN_MS  1000
#define SETTLE_AT_ONCE 256

typedef struct entry {
    gw__outgoing out; /* first: the transport's pointer is the entry's */
    struct entry *prev;
    struct entry *next;
    gw__done done;
    void *done_ctx;
    gw__lane *lane; /* NULL: not in the journal */
    uint64_t seq;   /* its number there */
    size_t size;
    time_t accepted_s;
    uint64_t due_ms; /* in the delayed list */
    uint64_t flush_epoch;
    unsigned n_returns;
    bool handed_out;
} entry;

typedef struct list {
    entry *head;
    entry *tail;
} list;

struct gw__relay {
    gw__relay_options options;
    gw__journal *journal;       /* NULL: all is in memory only */
    pthread_mutex_t lanes_lock; /* taken before `lock`; who makes a lane */
    pthread_mutex_t lock;
    pthread_cond_t settled;
    list queue;     /* in order; those before the cursor are on their way */
    entry *cursor;  /* next to hand out; NULL: none */
    size_t n_ready; /* from the cursor on */
    list delayed;   /* refused, waiting for due_ms; in order of it */
    gw__lanes lanes;
    list arrived; /* while their lane is loading: they come after that */
    gw__lane *loading;
    uint64_t load_at_ms; /* not before, after a failure */
    entry *spare;        /* entries to use again */
    size_t n_spare;
    size_t n_messages; /* with those that are in the journal only */
    size_t n_peak;     /* most messages in memory since it was given back */
    size_t n_bytes;
    bool closed;
    bool hungry;          /* the transport found nothing more to take: wake it */
    bool flushing;        /* somebody waits for what is older than flush_epoch */
    uint64_t flush_epoch; /* of new entries */
    uint64_t flush_seq;   /* of those in the journal: what is older has no higher number */
    size_t n_older;       /* entries of an earlier epoch */
    gw_gauge *depth;
    gw_gauge *oldest;
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

/* Whether a flush that is under way waits for it. */
static bool is_older_locked(const gw__relay *relay, const entry *it)
{
    return relay->flushing &&
           (it->lane != NULL ? it->seq <= relay->flush_seq : it->flush_epoch < relay->flush_epoch);
}

/* `n` messages left the outbox, of which a flush waits for `n_older`. */
static void subtract_locked(gw__relay *relay, size_t n, size_t n_bytes, size_t n_older)
{
    relay->n_messages -= n;
    relay->n_bytes = relay->n_messages > 0 ? relay->n_bytes - n_bytes : 0;
    n_older = n_older < relay->n_older ? n_older : relay->n_older;
    gw_gauge_add(relay->depth, -(int64_t)n); /* not set: other clients count here too */
    relay->n_older -= n_older;
    if (n_older > 0 && relay->n_older == 0) {
        pthread_cond_broadcast(&relay->settled);
    }
}

/* The entry is no longer in memory. */
static void forget_locked(gw__relay *relay, entry *it)
{
    if (it->lane != NULL) {
        it->lane->n_hot--;
        relay->lanes.n_hot--;
        relay->lanes.n_hot_bytes -= it->size;
    }
}

/* The entry left the outbox; its message is the caller's to free. */
static void retire_locked(gw__relay *relay, entry *it)
{
    forget_locked(relay, it);
    subtract_locked(relay, 1, it->size, is_older_locked(relay, it) ? 1 : 0);
}

/* @locks relay->lock held */
static void note_oldest_locked(gw__relay *relay)
{
    const entry *it = relay->queue.head != NULL ? relay->queue.head : relay->delayed.head;
    gw_gauge_set(relay->oldest, it != NULL ? (int64_t)it->accepted_s : 0);
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

/* ---- entries ---------------------------------------------------------------- */

static void fill_entry(entry *it, gw__target *target, gw_message *msg, size_t size)
{
    const char *key = gw_message_routing_key(msg);
    *it = (entry){
        .out = {.msg = msg,
                .target = target,
                .routing_key = target->queue != NULL ? target->queue
                               : key != NULL         ? key
                                                     : target->exchange,
                .mandatory = target->queue != NULL || gw_message_is_mandatory(msg)},
        .size = size,
        .accepted_s = time(NULL),
    };
}

/* @locks relay->lock held */
static void add_hot_locked(gw__relay *relay, const entry *it)
{
    it->lane->n_hot++;
    relay->lanes.n_hot++;
    relay->lanes.n_hot_bytes += it->size;
}

/* To the end of what is to be sent. @locks relay->lock held */
static void append_ready_locked(gw__relay *relay, entry *it)
{
    insert(&relay->queue, NULL, it);
    relay->n_ready++;
    if (relay->cursor == NULL) {
        relay->cursor = it;
    }
    if (relay->queue.head == it) {
        note_oldest_locked(relay);
    }
}

static gw_status find_target(const gw__relay *relay, const gw__target *like,
                             gw__target **ret_target, gw_error *err)
{
    return like->queue != NULL
               ? gw__targets_queue(relay->options.targets, like->queue, ret_target, err)
               : gw__targets_exchange(relay->options.targets, like->exchange, like->type,
                                      ret_target, err);
}

static gw_status make_lane(gw__relay *relay, gw__target *target, uint32_t queue,
                           gw__lane **ret_lane, gw_error *err)
{
    gw__lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    lane->target = target;
    lane->queue = queue;
    pthread_mutex_lock(&relay->lock);
    lane->next = relay->lanes.all;
    relay->lanes.all = lane;
    pthread_mutex_unlock(&relay->lock);
    atomic_store(&target->lane, lane);
    *ret_lane = lane;
    return GW_OK;
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
    entry *it = new_entry_locked(relay);
    if (it == NULL) {
        return false;
    }
    fill_entry(it, lane->target, item->msg, item->size);
    it->lane = lane;
    it->seq = item->seq;
    it->accepted_s = (time_t)(item->accepted_ms / 1000);
    lane->after = item->seq;
    add_hot_locked(relay, it);
    append_ready_locked(relay, it);
    return true;
}

/* What arrived for the lane while it was loading: behind what was loaded, or back to where only the
 * journal has it. @locks relay->lock held */
static size_t take_arrived_locked(gw__relay *relay, bool keep)
{
    size_t n_dropped = 0;
    entry *next;
    for (entry *it = relay->arrived.head; it != NULL; it = next) {
        next = it->next;
        if (keep) {
            it->lane->after = it->seq;
            append_ready_locked(relay, it);
            continue;
        }
        n_dropped++;
        forget_locked(relay, it);
        gw_message_free(it->out.msg);
        recycle_locked(relay, it);
    }
    relay->arrived = (list){.head = NULL};
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
        subtract_locked(relay, n_gone, 0, relay->flushing ? n_gone : 0);
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
    for (entry *it = relay->queue.head; it != relay->cursor; it = it->next) {
        it->handed_out = false;
        n++;
    }
    relay->n_ready += n;
    relay->cursor = relay->queue.head;
    pthread_mutex_unlock(&relay->lock);
    gw_counter_add(relay->resent, n);
}

/* Whether a message that was not taken goes out again by itself. */
static bool goes_again(entry *it, gw_status outcome)
{
    if (outcome == GW_E_REFUSED) {
        return it->done == NULL; /* who asked to be told has another way */
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
    it->handed_out = false;
    it->due_ms = gw_clock_ms() + REFUSED_DELAY_MS;
    insert(&relay->delayed, NULL, it);
}

static void report(gw__relay *relay, entry *it, gw_status outcome, const gw_error *why)
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
static void settle_in_journal(gw__relay *relay, const entry *ended, gw_status outcome,
                              const gw_error *why)
{
    gw__journal_ref refs[SETTLE_AT_ONCE];
    size_t n = 0;
    for (const entry *it = ended; it != NULL; it = it->next) {
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

    if (relay->journal != NULL) {
        settle_in_journal(relay, ended, outcome, why);
    }
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
    note_oldest_locked(relay);
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

static gw_status put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                     void *done_ctx, bool may_wait, uint64_t *ret_seq, gw_error *err);

/* ---- what the journal asks on behalf of other processes ---------------------- */

static entry *find(const list *in, uint64_t seq)
{
    entry *it = in->head;
    while (it != NULL && (it->lane == NULL || it->seq != seq)) {
        it = it->next;
    }
    return it;
}

static gw__lane *find_lane_locked(const gw__relay *relay, uint32_t queue)
{
    gw__lane *lane = relay->lanes.all;
    while (lane != NULL && lane->queue != queue) {
        lane = lane->next;
    }
    return lane;
}

/* Take an entry out that is not on its way. @locks relay->lock held */
static void take_out_locked(gw__relay *relay, entry *it, bool is_delayed)
{
    if (is_delayed) {
        unlink_entry(&relay->delayed, it);
    } else {
        relay->cursor = relay->cursor == it ? it->next : relay->cursor;
        relay->n_ready--;
        unlink_entry(&relay->queue, it);
    }
    retire_locked(relay, it);
}

/* @thread the journal's */
static bool on_drop(void *ctx, uint32_t queue, uint64_t seq, size_t size)
{
    gw__relay *relay = ctx;
    pthread_mutex_lock(&relay->lock);
    gw__lane *lane = find_lane_locked(relay, queue);
    bool busy = lane == NULL ? size > 0 : relay->loading == lane;
    entry *ready = find(&relay->queue, seq);
    entry *delayed = find(&relay->delayed, seq);
    entry *it = ready != NULL ? ready : delayed;
    busy = busy || (it != NULL && it->handed_out);
    if (!busy && it != NULL) {
        take_out_locked(relay, it, it == delayed);
    } else if (!busy && size > 0 && seq > lane->after) {
        /* At once, or it would be loaded in place of another one. */
        busy = !gw__journal_hide(relay->journal, (gw__journal_ref){.seq = seq, .queue = queue});
    }
    if (!busy && it == NULL && size > 0 && seq > lane->after) {
        lane->n_cold--; /* a lane without any is passed over when its turn comes */
        subtract_locked(relay, 1, size, relay->flushing && seq <= relay->flush_seq ? 1 : 0);
    }
    pthread_mutex_unlock(&relay->lock);
    if (!busy && it != NULL) {
        gw_message_free(it->out.msg);
        free(it);
    }
    return !busy;
}

/* @thread the journal's */
static bool on_resend(void *ctx, const gw__target *target, const gw_message *msg)
{
    gw__relay *relay = ctx;
    gw__target *to;
    gw_error err = GW_ERROR_INIT;
    gw_message *copy = gw_message_dup(msg);
    gw_status st = copy == NULL ? gw_error_set(&err, GW_E_NOMEM, 0, "no memory") : GW_OK;
    if (st == GW_OK) {
        st = find_target(relay, target, &to, &err);
    }
    if (st == GW_OK) {
        st = put(relay, to, copy, NULL, NULL, false, NULL, &err);
    }
    if (st == GW_E_BUSY) {
        gw_error_set(&err, st, 0, "much is being published at this moment");
    }
    if (st != GW_OK) {
        gw_message_free(copy);
        gw_log_warn("messaging", "a dead message of the outbox cannot be sent again: %s", err.text);
    }
    return st == GW_OK;
}

/* ---- the client's side ------------------------------------------------------ */

static void register_metrics(gw__relay *relay)
{
    relay->depth = gw_metrics_gauge("godwit_outbox_messages",
                                    "Messages accepted and not yet confirmed by the broker.", NULL);
    relay->oldest = gw_metrics_gauge(
        "godwit_outbox_oldest_timestamp_seconds",
        "When the oldest message of the outbox was accepted, in unix time; 0 without one.", NULL);
    relay->accepted = gw_metrics_counter("godwit_messages_accepted_total",
                                         "Messages accepted for publishing.", NULL);
    relay->confirmed = gw_metrics_counter("godwit_messages_confirmed_total",
                                          "Messages confirmed by the broker.", NULL);
    relay->resent = gw_metrics_counter(
        "godwit_messages_resent_total",
        "Messages sent again since a connection was lost before their confirm.", NULL);
    relay->failed = gw_metrics_counter("godwit_messages_failed_total",
                                       "Messages that could not be delivered for good.", NULL);
}

/* What an earlier process left. @thread that of gw__relay_open(), alone */
static gw_status add_left(void *ctx, const gw__target *target, uint32_t queue, size_t n_messages,
                          size_t n_bytes, gw_error *err)
{
    gw__relay *relay = ctx;
    gw__target *to;
    gw__lane *lane = NULL;
    gw_status st = find_target(relay, target, &to, err);
    if (st == GW_OK) {
        st = make_lane(relay, to, queue, &lane, err);
    }
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&relay->lock); /* the journal's thread runs already */
    gw__lane_add_cold(&relay->lanes, lane, n_messages);
    relay->n_messages += n_messages;
    relay->n_bytes += n_bytes;
    pthread_mutex_unlock(&relay->lock);
    gw_gauge_add(relay->depth, (int64_t)n_messages);
    return GW_OK;
}

static gw_status open_journal(gw__relay *relay, gw_error *err)
{
    gw__journal_options options = {.dir = relay->options.dir,
                                   .durable = relay->options.level == GW_OUTBOX_DISK,
                                   .max_bytes = relay->options.max_bytes,
                                   .on_drop = on_drop,
                                   .on_resend = on_resend,
                                   .ctx = relay};
    gw_status st = gw__journal_open(&options, &relay->journal, err);
    if (st == GW_OK) {
        st = gw__journal_left(relay->journal, add_left, relay, err);
    }
    size_t n_left = gw__relay_count(relay);
    if (st == GW_OK && n_left > 0) {
        gw_log_info("messaging", "%zu messages that were left in %s are sent first", n_left,
                    relay->options.dir);
    }
    return st;
}

gw_status gw__relay_open(const gw__relay_options *options, gw__relay **ret_relay, gw_error *err)
{
    gw__relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    relay->options = *options;
    pthread_mutex_init(&relay->lock, NULL);
    pthread_mutex_init(&relay->lanes_lock, NULL);
    gw__cond_init(&relay->settled);
    relay->hungry = true;
    register_metrics(relay);
    gw_status st = options->level != GW_OUTBOX_MEMORY ? open_journal(relay, err) : GW_OK;
    if (st != GW_OK) {
        gw__relay_free(relay);
        return st;
    }
    *ret_relay = relay;
    return GW_OK;
}

static void drop_all(list *from)
{
    static const gw_error closed = {GW_E_CLOSED, 0, "the client was closed"};
    entry *next;
    for (entry *it = from->head; it != NULL; it = next) {
        next = it->next;
        if (it->done != NULL) {
            it->done(it->done_ctx, GW_E_CLOSED, &closed);
        }
        gw_message_free(it->out.msg);
        free(it);
    }
}

void gw__relay_free(gw__relay *relay)
{
    if (relay == NULL) {
        return;
    }
    gw__journal_close(relay->journal); /* first: it calls on_drop() */
    drop_all(&relay->queue);
    drop_all(&relay->delayed);
    entry *next;
    for (entry *it = relay->spare; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    gw__lane *next_lane;
    for (gw__lane *it = relay->lanes.all; it != NULL; it = next_lane) {
        next_lane = it->next;
        free(it);
    }
    gw_gauge_add(relay->depth, -(int64_t)relay->n_messages);
    pthread_cond_destroy(&relay->settled);
    pthread_mutex_destroy(&relay->lanes_lock);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}

bool gw__relay_is_volatile(const gw__relay *relay)
{
    return relay->journal == NULL;
}

size_t gw__relay_count(gw__relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    size_t n = relay->n_messages;
    pthread_mutex_unlock(&relay->lock);
    return n;
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

/* What keeps a message after `put`: the journal, unless it is somewhere else until it is done. */
static gw_status choose_lane(gw__relay *relay, gw__target *target, bool is_elsewhere,
                             gw__lane **ret_lane, gw_error *err)
{
    *ret_lane = NULL;
    if (relay->journal == NULL || is_elsewhere) {
        return GW_OK;
    }
    *ret_lane = atomic_load_explicit(&target->lane, memory_order_acquire);
    if (*ret_lane != NULL) {
        return GW_OK;
    }
    pthread_mutex_lock(&relay->lanes_lock);
    *ret_lane = atomic_load(&target->lane);
    uint32_t queue;
    gw_status st = GW_OK;
    if (*ret_lane == NULL) {
        st = gw__journal_queue(relay->journal, target, &queue, err);
        st = st == GW_OK ? make_lane(relay, target, queue, ret_lane, err) : st;
    }
    pthread_mutex_unlock(&relay->lanes_lock);
    return st;
}

/* Into memory, and behind what is there. @locks relay->lock held */
static void keep_hot_locked(gw__relay *relay, entry *it)
{
    if (it->lane != NULL) {
        add_hot_locked(relay, it);
        if (it->lane == relay->loading) {
            insert(&relay->arrived, NULL, it);
            return;
        }
        it->lane->after = it->seq;
    }
    append_ready_locked(relay, it);
}

/* One attempt. GW_E_BUSY: the journal has no room at this moment. @locks relay->lock held */
static gw_status put_locked(gw__relay *relay, entry *wanted, bool *ret_kept, gw_error *err)
{
    gw__lane *lane = wanted->lane;
    gw_status st = admit_locked(relay, wanted->size, err);
    bool hot = lane == NULL || gw__lane_is_hot(&relay->lanes, lane, wanted->size);
    entry *it = st == GW_OK && hot ? new_entry_locked(relay) : NULL;
    if (st == GW_OK && hot && it == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    if (st == GW_OK && lane != NULL) {
        st = gw__journal_append(relay->journal, lane->queue, wanted->out.msg, &wanted->seq, err);
    }
    if (st != GW_OK) {
        if (it != NULL) {
            recycle_locked(relay, it);
        }
        return st;
    }
    relay->n_messages++;
    relay->n_bytes += wanted->size;
    gw_gauge_add(relay->depth, 1);
    *ret_kept = hot;
    if (hot) {
        *it = *wanted;
        keep_hot_locked(relay, it);
    } else {
        gw__lane_add_cold(&relay->lanes, lane, 1);
    }
    return GW_OK;
}

/* `may_wait`: for room in the journal, and wake the transport. The journal's thread may do neither,
 * which is there before the transport and after it: GW_E_BUSY, and the transport looks by itself.
 */
static gw_status put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                     void *done_ctx, bool may_wait, uint64_t *ret_seq, gw_error *err)
{
    entry wanted;
    gw__lane *lane;
    gw_status st = choose_lane(relay, target, done != NULL, &lane, err);
    if (st != GW_OK) {
        return st;
    }
    fill_entry(&wanted, target, msg,
               lane != NULL ? gw__journal_size(msg) : gw__message_size(msg) + sizeof(entry));
    wanted.lane = lane;
    wanted.done = done;
    wanted.done_ctx = done_ctx;
    bool kept = false;
    bool wake = false;
    do {
        pthread_mutex_lock(&relay->lock);
        wanted.flush_epoch = relay->flush_epoch;
        st = put_locked(relay, &wanted, &kept, err);
        wake = st == GW_OK && relay->hungry && may_wait;
        relay->hungry = relay->hungry && !wake;
        pthread_mutex_unlock(&relay->lock);
    } while (st == GW_E_BUSY && may_wait &&
             (st = gw__journal_wait_room(relay->journal, err)) == GW_OK);
    if (st != GW_OK) {
        return st;
    }
    if (!kept) {
        gw_message_free(msg);
    }
    gw_counter_add(relay->accepted, 1);
    if (wake) {
        relay->options.wake(relay->options.ctx);
    }
    if (ret_seq != NULL) {
        *ret_seq = wanted.seq;
    }
    return GW_OK;
}

gw_status gw__relay_put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                        void *done_ctx, uint64_t *ret_seq, gw_error *err)
{
    return put(relay, target, msg, done, done_ctx, true, ret_seq, err);
}

gw_status gw__relay_wait_disk(gw__relay *relay, uint64_t seq, gw_error *err)
{
    return relay->options.level == GW_OUTBOX_DISK
               ? gw__journal_wait_synced(relay->journal, seq, err)
               : GW_OK;
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
        relay->flush_seq = relay->journal != NULL ? gw__journal_last(relay->journal) : 0;
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
