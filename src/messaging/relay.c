/* SPDX-License-Identifier: MIT */
#include "messaging/relay_parts.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "base/cond.h"
#include "messaging/message.h"

/* ---- targets and lanes -------------------------------------------------------- */

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

static gw_status put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                     void *done_ctx, bool may_wait, uint64_t *ret_seq, gw_error *err);

/* ---- what the journal asks on behalf of other processes ---------------------- */

static gw__relay_entry *find(const gw__relay_list *in, uint64_t seq)
{
    gw__relay_entry *it = in->head;
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
static void take_out_locked(gw__relay *relay, gw__relay_entry *it, bool is_delayed)
{
    if (is_delayed) {
        gw__relay_unlink(&relay->delayed, it);
    } else {
        relay->cursor = relay->cursor == it ? it->next : relay->cursor;
        relay->n_ready--;
        gw__relay_unlink(&relay->queue, it);
    }
    gw__relay_retire_locked(relay, it);
}

/* @thread the journal's */
static bool on_drop(void *ctx, uint32_t queue, uint64_t seq, size_t size)
{
    gw__relay *relay = ctx;
    pthread_mutex_lock(&relay->lock);
    gw__lane *lane = find_lane_locked(relay, queue);
    bool busy = lane == NULL ? size > 0 : relay->loading == lane;
    gw__relay_entry *ready = find(&relay->queue, seq);
    gw__relay_entry *delayed = find(&relay->delayed, seq);
    gw__relay_entry *it = ready != NULL ? ready : delayed;
    busy = busy || (it != NULL && it->handed_out);
    if (!busy && it != NULL) {
        take_out_locked(relay, it, it == delayed);
    } else if (!busy && size > 0 && seq > lane->after) {
        /* At once, or it would be loaded in place of another one. */
        busy = !gw__journal_hide(relay->journal, (gw__journal_ref){.seq = seq, .queue = queue});
    }
    if (!busy && it == NULL && size > 0 && seq > lane->after) {
        lane->n_cold--; /* a lane without any is passed over when its turn comes */
        gw__relay_subtract_locked(relay, 1, size,
                                  relay->flushing && seq <= relay->flush_seq ? 1 : 0);
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

static void drop_all(gw__relay_list *from)
{
    static const gw_error closed = {GW_E_CLOSED, 0, "the client was closed"};
    gw__relay_entry *next;
    for (gw__relay_entry *it = from->head; it != NULL; it = next) {
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
    gw__relay_entry *next;
    for (gw__relay_entry *it = relay->spare; it != NULL; it = next) {
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
static void keep_hot_locked(gw__relay *relay, gw__relay_entry *it)
{
    if (it->lane != NULL) {
        gw__relay_add_hot_locked(relay, it);
        if (it->lane == relay->loading) {
            gw__relay_insert(&relay->arrived, NULL, it);
            return;
        }
        it->lane->after = it->seq;
    }
    gw__relay_append_ready_locked(relay, it);
}

/* One attempt. GW_E_BUSY: the journal has no room at this moment. @locks relay->lock held */
static gw_status put_locked(gw__relay *relay, gw__relay_entry *wanted, bool *ret_kept,
                            gw_error *err)
{
    gw__lane *lane = wanted->lane;
    gw_status st = admit_locked(relay, wanted->size, err);
    bool hot = lane == NULL || gw__lane_is_hot(&relay->lanes, lane, wanted->size);
    gw__relay_entry *it = st == GW_OK && hot ? gw__relay_new_entry_locked(relay) : NULL;
    if (st == GW_OK && hot && it == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    if (st == GW_OK && lane != NULL) {
        st = gw__journal_append(relay->journal, lane->queue, wanted->out.msg, &wanted->seq, err);
    }
    if (st != GW_OK) {
        if (it != NULL) {
            gw__relay_recycle_locked(relay, it);
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
    gw__relay_entry wanted;
    gw__lane *lane;
    gw_status st = choose_lane(relay, target, done != NULL, &lane, err);
    if (st != GW_OK) {
        return st;
    }
    gw__relay_fill_entry(&wanted, target, msg,
                         lane != NULL ? gw__journal_size(msg)
                                      : gw__message_size(msg) + sizeof(gw__relay_entry));
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
