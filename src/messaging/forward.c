/* SPDX-License-Identifier: MIT */
#include "messaging/forward.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "base/cond.h"
#include "messaging/dead_letter.h"

struct gw__forwarder {
    gw__forwarder_options options;
    char *queue;

    pthread_mutex_t lock; /* of all below; the subscription's and the transport's come after it */
    pthread_cond_t changed;
    gw__consumer *consumer; /* NULL: not yet, or no more */
    size_t n_under_way;
    size_t n_awaited;    /* of them, those whose originals can still be acknowledged */
    uint64_t lost_epoch; /* they cannot, up to this */
    bool orphaned;       /* the last outcome frees */
    bool retries_fail;
    bool letters_fail; /* each is logged when it begins, not for each message */
};

static void destroy(gw__forwarder *fwd)
{
    pthread_cond_destroy(&fwd->changed);
    pthread_mutex_destroy(&fwd->lock);
    free(fwd->queue);
    free(fwd);
}

/* @locks fwd->lock held */
static size_t is_awaited_locked(const gw__forwarder *fwd, const gw__job *it)
{
    return it->delivery.epoch > fwd->lost_epoch ? 1 : 0;
}

/* @locks fwd->lock held */
static void note_outcome_locked(gw__forwarder *fwd, const gw__job *it, const gw_error *why)
{
    bool *failing = it->reason != NULL ? &fwd->letters_fail : &fwd->retries_fail;
    /* That a queue is new is no failure. */
    bool is_new = why != NULL && why->status == GW_E_UNAVAILABLE;
    if (why != NULL && !is_new && !*failing && fwd->consumer != NULL) {
        gw_log_warn("messaging",
                    it->reason != NULL
                        ? "dead letters of queue '%s' cannot be moved and wait: %s"
                        : "messages of queue '%s' wait for their retry in memory: %s",
                    fwd->queue, why->text);
    }
    *failing = why != NULL && !is_new;
}

/* The copy arrived (`why` is NULL), or did not. */
static void settle(gw__job *it, const gw_error *why)
{
    gw__forwarder *fwd = it->forwarder;
    if (why == NULL && it->suspect) { /* the copy has its count */
        gw__guard_forget(gw__client_guard(fwd->options.client), fwd->queue, it->msg);
    }
    pthread_mutex_lock(&fwd->lock);
    fwd->n_under_way--;
    fwd->n_awaited -= is_awaited_locked(fwd, it);
    note_outcome_locked(fwd, it, why);
    if (why == NULL && it->reason != NULL) {
        gw_counter_add(fwd->options.buried, 1);
    }
    /* Under the lock, so that the consumer is not released, nor the subscription freed. */
    bool back = why != NULL && fwd->consumer != NULL;
    if (back) {
        fwd->options.failed(fwd->options.ctx, it);
    } else if (fwd->consumer != NULL) {
        fwd->options.transport->type->settle(fwd->consumer, &it->delivery, 1, GW__ACK);
    }
    bool last = fwd->orphaned && fwd->n_under_way == 0;
    pthread_cond_broadcast(&fwd->changed);
    pthread_mutex_unlock(&fwd->lock);
    /* From here on only the last one may touch fwd. */
    if (!back) {
        gw__job_free(it);
    }
    if (last) {
        destroy(fwd);
    }
}

/* @thread the transport's publishing thread, gw_close(), or that of forward() */
static void on_outcome(void *ctx, gw_status outcome, const gw_error *why)
{
    settle(ctx, outcome == GW_OK ? NULL : why);
}

/* Publish the copy; `msg` is taken, NULL when it could not be made. */
static void forward(gw__forwarder *fwd, gw__job *it, const char *queue, unsigned delay_ms,
                    gw_message *msg, gw_status st)
{
    gw_error err = GW_ERROR_INIT;
    it->forwarder = fwd;
    pthread_mutex_lock(&fwd->lock);
    assert(fwd->consumer != NULL);
    fwd->n_under_way++;
    fwd->n_awaited += is_awaited_locked(fwd, it);
    pthread_mutex_unlock(&fwd->lock);
    if (msg == NULL) {
        gw_error_set(&err, st, 0, "%s",
                     st == GW_E_LIMIT ? "its headers leave no room for the count of its attempts"
                                      : "no memory for a copy");
    } else {
        st = gw__client_forward(fwd->options.client, queue, delay_ms, msg, on_outcome, it, &err);
    }
    if (st != GW_OK) {
        gw_message_free(msg);
        settle(it, &err);
    }
}

void gw__forward_retry(gw__forwarder *fwd, gw__job *it)
{
    gw_status st;
    gw_message *copy = gw__retry_new(it->msg, fwd->queue, it->count, &st);
    forward(fwd, it, fwd->queue, it->delay_ms, copy, st);
}

void gw__forward_dead_letter(gw__forwarder *fwd, gw__job *it)
{
    char queue[GW_MESSAGE_TEXT_MAX + sizeof(GW__DEAD_SUFFIX)];
    snprintf(queue, sizeof(queue), "%s%s", fwd->queue, GW__DEAD_SUFFIX);
    gw__dead_reason reason = {.text = it->reason,
                              .queue = fwd->queue,
                              .service = gw__client_name(fwd->options.client),
                              .n_attempts = it->count.attempt + it->count.crashes};
    forward(fwd, it, queue, 0, gw__dead_letter_new(it->msg, &reason), GW_E_NOMEM);
}

/* ---- life ------------------------------------------------------------------- */

gw__forwarder *gw__forwarder_new(const gw__forwarder_options *options)
{
    gw__forwarder *fwd = calloc(1, sizeof(*fwd));
    char *queue = strdup(options->queue);
    if (fwd == NULL || queue == NULL) {
        free(fwd);
        free(queue);
        return NULL;
    }
    fwd->options = *options;
    fwd->options.queue = fwd->queue = queue;
    pthread_mutex_init(&fwd->lock, NULL);
    gw__cond_init(&fwd->changed);
    return fwd;
}

void gw__forwarder_begin(gw__forwarder *fwd, gw__consumer *consumer)
{
    pthread_mutex_lock(&fwd->lock);
    fwd->consumer = consumer;
    pthread_mutex_unlock(&fwd->lock);
}

void gw__forwarder_lost(gw__forwarder *fwd, uint64_t epoch)
{
    pthread_mutex_lock(&fwd->lock);
    fwd->lost_epoch = epoch;
    fwd->n_awaited = 0; /* nothing of a later epoch was delivered yet */
    pthread_cond_broadcast(&fwd->changed);
    pthread_mutex_unlock(&fwd->lock);
}

void gw__forwarder_end(gw__forwarder *fwd, uint64_t deadline_ms)
{
    bool in_time = true;
    pthread_mutex_lock(&fwd->lock);
    while (fwd->n_awaited > 0 && in_time) {
        in_time = gw__cond_wait_until(&fwd->changed, &fwd->lock, deadline_ms);
    }
    fwd->consumer = NULL;
    pthread_mutex_unlock(&fwd->lock);
}

void gw__forwarder_free(gw__forwarder *fwd)
{
    if (fwd == NULL) {
        return;
    }
    pthread_mutex_lock(&fwd->lock);
    fwd->orphaned = true;
    bool last = fwd->n_under_way == 0;
    pthread_mutex_unlock(&fwd->lock);
    if (last) {
        destroy(fwd);
    }
}
