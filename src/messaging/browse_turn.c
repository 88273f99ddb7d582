/* SPDX-License-Identifier: MIT */
#include "messaging/browse_turn.h"

#include <stdlib.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "messaging/client.h"
#include "messaging/message.h"

/* ---- what is shared ----------------------------------------------------------- */

void gw__look_unref(gw__look *it)
{
    pthread_mutex_lock(&it->lock);
    bool last = --it->refs == 0;
    pthread_mutex_unlock(&it->lock);
    if (!last) {
        return;
    }
    gw__moving *next;
    for (gw__moving *at = it->moved; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    pthread_cond_destroy(&it->changed);
    pthread_mutex_destroy(&it->lock);
    free(it);
}

static bool has_failed_locked(const gw__look *it)
{
    return it->lost || it->failure.status != GW_OK;
}

bool gw__look_has_failed(gw__look *it)
{
    pthread_mutex_lock(&it->lock);
    bool failed = has_failed_locked(it);
    pthread_mutex_unlock(&it->lock);
    return failed;
}

bool gw__look_is_lost(gw__look *it)
{
    pthread_mutex_lock(&it->lock);
    bool lost = it->lost;
    pthread_mutex_unlock(&it->lock);
    return lost;
}

bool gw__look_is_overdue(const gw__look *it)
{
    return gw_clock_ms() - it->progress_ms >= it->options.timeout_ms;
}

/* ---- what the transport calls -------------------------------------------------- */

static void sink_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    gw__turn *of = ctx;
    gw__look *it = of->look;
    gw__held *new = malloc(sizeof(*new));
    pthread_mutex_lock(&it->lock);
    size_t size = gw__message_size(msg);
    of->spilled = of->spilled || new == NULL ||
                  (of->first != NULL && it->n_bytes + size > it->bounds.max_bytes);
    of->n_delivered++;
    if (of->spilled) {
        gw_message_free(msg);
        msg = NULL;
        size = 0;
    }
    if (new != NULL) { /* otherwise it goes back with the consumer */
        *new = (gw__held){.msg = msg, .delivery = delivery};
        *of->tail = new;
        of->tail = &new->next;
        it->n_bytes += size;
    }
    pthread_mutex_unlock(&it->lock);
}

static void sink_delivered(void *ctx)
{
    gw__look *it = ((gw__turn *)ctx)->look;
    pthread_mutex_lock(&it->lock);
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void sink_lost(void *ctx, uint64_t epoch)
{
    (void)epoch;
    gw__turn *of = ctx;
    gw__look *it = of->look;
    pthread_mutex_lock(&it->lock);
    it->lost = it->lost || of->consuming; /* before that it had nothing to lose */
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void sink_state(void *ctx, bool consuming, const gw_error *why)
{
    gw__turn *of = ctx;
    gw__look *it = of->look;
    pthread_mutex_lock(&it->lock);
    of->consuming = consuming;
    if (!consuming && why != NULL) {
        it->failure = *why;
    }
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void sink_found(void *ctx, uint64_t n_waiting, uint64_t n_consumers)
{
    gw__turn *of = ctx;
    gw__look *it = of->look;
    pthread_mutex_lock(&it->lock);
    if (!of->found) { /* after a new connection it is of no interest */
        of->n_found = n_waiting;
        of->n_others = n_consumers;
        of->found = true;
    }
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

/* ---- one round ------------------------------------------------------------------- */

gw_status gw__turn_start(gw__look *it, uint16_t prefetch, gw__turn **ret_turn, gw_error *err)
{
    gw__turn *new = calloc(1, sizeof(*new));
    if (new == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look at queue '%s'", it->queue);
    }
    new->look = it;
    new->tail = &new->first;
    gw__consumer_spec spec = {.queue = it->queue,
                              .consumer_name = gw__client_name(it->client),
                              .prefetch = prefetch,
                              .passive = true};
    gw__sink sink = {.deliver = sink_deliver,
                     .delivered = sink_delivered,
                     .lost = sink_lost,
                     .state = sink_state,
                     .found = sink_found,
                     .ctx = new};
    gw_status st =
        it->type->subscribe(gw__client_transport(it->client), &spec, &sink, &new->consumer, err);
    if (st != GW_OK) {
        free(new);
        return st;
    }
    it->n_open++;
    *it->tail = new;
    it->tail = &new->next;
    *ret_turn = new;
    return GW_OK;
}

gw_status gw__turn_wait_found(gw__look *it, gw__turn *of, gw_error *err)
{
    uint64_t deadline_ms = it->progress_ms + it->options.timeout_ms;
    bool in_time = true;
    pthread_mutex_lock(&it->lock);
    while (!of->found && !has_failed_locked(it) && in_time) {
        in_time = gw__cond_wait_until(&it->changed, &it->lock, deadline_ms);
    }
    bool late = !of->found && !has_failed_locked(it);
    pthread_mutex_unlock(&it->lock);
    if (late) {
        char reason[GW_ERROR_TEXT_MAX];
        gw_client_state state = gw_client_get_state(it->client, reason, sizeof(reason));
        return gw_error_set(err, GW_E_TIMEOUT, 0,
                            "no answer about queue '%s' within %u ms (%s%s%s)", it->queue,
                            it->options.timeout_ms, gw_client_state_name(state),
                            reason[0] != '\0' ? ": " : "", reason);
    }
    return GW_OK;
}

gw__held *gw__turn_next(gw__look *it, gw__turn *of, bool *ret_quiet)
{
    uint64_t quiet_ms = gw_clock_ms() + it->bounds.quiet_ms;
    bool in_time = true;
    pthread_mutex_lock(&it->lock);
    while (of->first == NULL && it->moved == NULL && !has_failed_locked(it) && in_time) {
        in_time = gw__cond_wait_until(&it->changed, &it->lock, quiet_ms);
    }
    gw__held *next = has_failed_locked(it) ? NULL : of->first;
    if (next != NULL && next->msg != NULL) {
        of->first = next->next;
        of->tail = of->first == NULL ? &of->first : of->tail;
        it->n_bytes -= gw__message_size(next->msg);
    } else {
        next = NULL;
    }
    *ret_quiet = next == NULL && it->moved == NULL;
    pthread_mutex_unlock(&it->lock);
    return next;
}

bool gw__turn_is_open(gw__look *it, const gw__turn *of, uint16_t prefetch)
{
    pthread_mutex_lock(&it->lock);
    bool open = of->first != NULL ? of->first->msg != NULL : !of->spilled;
    open = open && of->n_left < prefetch && !has_failed_locked(it);
    pthread_mutex_unlock(&it->lock);
    return open;
}

static void free_held(gw__held *it)
{
    gw__held *next;
    for (; it != NULL; it = next) {
        next = it->next;
        gw_message_free(it->msg);
        free(it);
    }
}

void gw__turn_drop_held(gw__look *it, gw__turn *of)
{
    pthread_mutex_lock(&it->lock);
    for (gw__held *at = of->first; at != NULL; at = at->next) {
        it->n_bytes -= at->msg != NULL ? gw__message_size(at->msg) : 0;
    }
    pthread_mutex_unlock(&it->lock);
    free_held(of->first);
    of->first = NULL;
    of->tail = &of->first;
}

void gw__turn_end(gw__look *it, gw__turn *of)
{
    it->type->release(of->consumer, GW__TURN_END_MS);
    it->n_open--;
    it->n_returned += of->n_delivered - of->n_settled;
    gw__turn **link = &it->first;
    while (*link != of) {
        link = &(*link)->next;
    }
    *link = of->next;
    it->tail = it->tail == &of->next ? link : it->tail;
    free(of);
}
