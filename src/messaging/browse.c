/* SPDX-License-Identifier: MIT */
/*
 * Looking through a queue: in rounds, each with a consumer of its own. A round ends when its
 * prefetch is full of messages that are left, or when nothing comes any more; its consumer is
 * cancelled then, but keeps what it has until the end, so that the next round gets what comes after
 * it. So the order is the queue's, few messages are in memory at a time, and the broker is asked
 * for the number that still waits as often as there are rounds.
 */
#include "messaging/browse.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "messaging/browse_moves.h"
#include "messaging/client.h"
#include "messaging/message.h"
#include "messaging/targets.h"

#define RETURN_MS      2000
#define RETURN_POLL_MS 10
#define ROUNDS_MAX     500 /* that hold something; each has a channel, of at most 2047 by default */

/* ---- visiting --------------------------------------------------------------------- */

static uint16_t prefetch_of(const gw__look *it)
{
    size_t n = it->bounds.first_round;
    for (size_t i = 0; i < it->n_rounds && n < it->bounds.max_round; i++) {
        n *= 4;
    }
    n = n < it->bounds.max_round ? n : it->bounds.max_round;
    if (it->biggest > 0 && n > it->bounds.round_bytes / it->biggest) {
        n = it->bounds.round_bytes / it->biggest;
    }
    size_t most = it->options.max_messages;
    if (most != 0 && n > most - it->result.n_visited) {
        n = most - it->result.n_visited;
    }
    return (uint16_t)(n == 0 ? 1 : n);
}

/* Whether what waited at the beginning, or as much of it as is wanted, was visited. */
static bool is_complete(const gw__look *it)
{
    size_t most = it->options.max_messages;
    return it->stopped || it->result.n_visited >= it->result.n_waiting ||
           (most != 0 && it->result.n_visited >= most);
}

static gw_status visit(gw__look *it, gw__turn *of, gw__held *next, gw_error *err)
{
    gw_status st = GW_OK;
    gw_browse_move wanted = {.queue = it->queue, .msg = NULL};
    gw_browse_verdict verdict = it->visitor(it->ctx, next->msg, &wanted);
    it->progress_ms = gw_clock_ms(); /* the visitor may take its time */
    size_t size = gw__message_size(next->msg);
    it->biggest = size > it->biggest ? size : it->biggest;
    it->result.n_visited++;
    switch (verdict) {
    case GW_BROWSE_REMOVE:
        it->type->settle(of->consumer, &next->delivery, 1, GW__ACK);
        of->n_settled++;
        it->result.n_removed++;
        break;
    case GW_BROWSE_MOVE: st = gw__moves_add(it, of, next->delivery, &wanted, err); break;
    case GW_BROWSE_STOP: it->stopped = true; /* fallthrough */
    case GW_BROWSE_LEAVE: of->n_left++; break;
    }
    it->progress_ms = gw_clock_ms();
    gw_message_free(next->msg);
    free(next);
    return st;
}

/* Visit until the round is full, nothing more comes, or all is done. */
static gw_status visit_all(gw__look *it, gw__turn *of, uint16_t prefetch, gw_error *err)
{
    gw_status st = GW_OK;
    while (st == GW_OK && !is_complete(it) && gw__turn_is_open(it, of, prefetch)) {
        bool quiet;
        gw__held *next = gw__turn_next(it, of, &quiet);
        gw__moves_settle(it);
        if (next != NULL) {
            st = visit(it, of, next, err);
        } else if (quiet && of->n_moving == 0) {
            break;
        } else if (quiet && gw__look_is_overdue(it)) {
            st = gw__moves_wait(it, 0, err); /* says so */
        }
    }
    return st;
}

/* After the cancel: visit what had arrived before it. What was not kept goes back now, so that the
 * next round gets it; what is not wanted any more goes back with the consumer. */
static gw_status visit_rest(gw__look *it, gw__turn *of, gw_error *err)
{
    gw_status st = GW_OK;
    bool quiet;
    gw__held *next;
    while (st == GW_OK && !is_complete(it) && of->first != NULL &&
           (next = gw__turn_next(it, of, &quiet)) != NULL) {
        st = visit(it, of, next, err);
    }
    if (st == GW_OK && !is_complete(it)) {
        for (gw__held *at = of->first; at != NULL; at = at->next) {
            it->type->settle(of->consumer, &at->delivery, 1, GW__REQUEUE);
            of->n_settled++;
        }
    }
    return st;
}

/* Whether the broker gives us nothing although there is something. */
static gw_status check_starved(const gw__look *it, const gw__turn *of, gw_error *err)
{
    if (of->n_delivered > 0 || of->n_found == 0 || !gw__look_is_overdue(it)) {
        return GW_OK;
    }
    return gw_error_set(err, GW_E_BUSY, 0,
                        "%llu messages wait in queue '%s', but the broker gives us none: another "
                        "consumer may have it for itself",
                        (unsigned long long)of->n_found, it->queue);
}

/* `ret_none` is set when the broker has no more. */
static gw_status do_round(gw__look *it, bool *ret_none, gw_error *err)
{
    uint16_t prefetch = prefetch_of(it);
    gw__turn *of;
    gw_status st = gw__turn_start(it, prefetch, &of, err);
    if (st != GW_OK) {
        return st;
    }
    bool first = it->n_rounds++ == 0;
    it->biggest = 0;
    st = gw__turn_wait_found(it, of, err);
    if (first) {
        it->result.n_waiting = (size_t)of->n_found;
        it->progress_ms = gw_clock_ms();
    }
    /* What was given back just before may not be counted yet. */
    bool none = st != GW_OK || (of->n_found == 0 && !it->spilled) || gw__look_has_failed(it);
    if (!none) {
        st = visit_all(it, of, prefetch, err);
    }
    it->type->cancel(of->consumer, GW__TURN_END_MS);
    if (!none && st == GW_OK) {
        st = visit_rest(it, of, err);
    }
    gw__turn_drop_held(it, of);
    if (st == GW_OK && !gw__look_has_failed(it)) {
        st = check_starved(it, of, err);
    }
    it->spilled = of->spilled;
    *ret_none = none;
    if (of->n_left == 0 && of->n_moving == 0) {
        gw__turn_end(it, of);
    }
    return st;
}

/* ---- the whole -------------------------------------------------------------------- */

static gw_status do_rounds(gw__look *it, gw_error *err)
{
    bool none = false;
    gw_status st = GW_OK;
    do {
        if (it->n_open == ROUNDS_MAX) {
            return gw_error_set(err, GW_E_LIMIT, 0,
                                "queue '%s': %zu messages were looked at, more cannot be held at "
                                "once",
                                it->queue, it->result.n_visited);
        }
        st = do_round(it, &none, err);
    } while (st == GW_OK && !none && !is_complete(it) && !gw__look_has_failed(it));
    /* Copies that are on their way have originals to be removed, whatever came after them. */
    if (st != GW_E_TIMEOUT && !gw__look_is_lost(it)) {
        gw_status st_moves = gw__moves_wait(it, 0, st == GW_OK ? err : NULL);
        st = st == GW_OK ? st_moves : st;
    }
    return st;
}

/*
 * Wait until what was left is back, so that who looks next finds it: RabbitMQ puts it back in its
 * own time. Not for long, and not when others consume, who may have it already.
 */
static void wait_returned(gw__look *it)
{
    uint64_t deadline_ms = gw_clock_ms() + RETURN_MS;
    size_t n_returned = it->n_returned;
    bool done = n_returned == 0;
    while (!done && !gw__look_has_failed(it)) {
        gw__turn *of;
        if (gw__turn_start(it, 0, &of, NULL) != GW_OK) {
            return;
        }
        it->progress_ms = gw_clock_ms();
        done = gw__turn_wait_found(it, of, NULL) != GW_OK || of->n_found >= n_returned ||
               of->n_others > 0 || gw_clock_ms() >= deadline_ms;
        it->type->cancel(of->consumer, GW__TURN_END_MS);
        gw__turn_end(it, of);
        if (!done) { /* copies that are decided late have no round any more, and stay as they are */
            uint64_t until_ms = gw_clock_ms() + RETURN_POLL_MS;
            pthread_mutex_lock(&it->lock);
            while (gw__cond_wait_until(&it->changed, &it->lock, until_ms)) {}
            pthread_mutex_unlock(&it->lock);
        }
    }
}

/* Let go of all that is held. */
static void release_all(gw__look *it)
{
    while (it->first != NULL) { /* the oldest first, so that they line up in their order again */
        gw__turn_end(it, it->first);
    }
    wait_returned(it);
}

/* What the transport said, if that is why it ended. */
static gw_status conclude(gw__look *it, gw_status st, gw_error *err)
{
    pthread_mutex_lock(&it->lock);
    bool lost = it->lost;
    gw_error failure = it->failure;
    pthread_mutex_unlock(&it->lock);
    if (st != GW_OK) {
        return st;
    }
    if (failure.status != GW_OK && failure.status != GW_E_UNAVAILABLE) {
        return gw_error_set(err, failure.status, failure.native, "%s", failure.text);
    }
    return !lost && failure.status == GW_OK
               ? GW_OK
               : gw_error_set(err, GW_E_UNAVAILABLE, 0,
                              "the connection was lost while queue '%s' was looked at: what was "
                              "removed last may be in it again",
                              it->queue);
}

static gw__look *new_look(gw_client *client, const char *queue, const gw_browse_options *options,
                          const gw__browse_bounds *bounds, gw_browse_visitor visitor, void *ctx)
{
    gw__look *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        return NULL;
    }
    it->client = client;
    it->type = gw__client_transport(client)->type;
    it->queue = queue;
    it->options = *options;
    it->bounds = *bounds;
    it->visitor = visitor;
    it->ctx = ctx;
    it->tail = &it->first;
    it->refs = 1;
    it->progress_ms = gw_clock_ms();
    pthread_mutex_init(&it->lock, NULL);
    gw__cond_init(&it->changed);
    return it;
}

gw_status gw__browse(gw_client *client, const char *queue, const gw_browse_options *options,
                     const gw__browse_bounds *bounds, gw_browse_visitor visitor, void *ctx,
                     gw_browse_result *ret_result, gw_error *err)
{
    gw_browse_result none = {.n_waiting = 0};
    ret_result = ret_result != NULL ? ret_result : &none;
    *ret_result = none;
    gw_browse_options defaults = GW_BROWSE_OPTIONS_INIT;
    if (client == NULL || visitor == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_browse: client or visitor is NULL");
    }
    gw_status st = gw__check_name("queue", queue, err);
    if (st == GW_OK && gw__client_is_ending(client)) {
        st = gw_error_set(err, GW_E_CLOSED, 0, "the client is closed");
    }
    if (st != GW_OK) {
        return st;
    }
    gw__look *it =
        new_look(client, queue, options != NULL ? options : &defaults, bounds, visitor, ctx);
    if (it == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look at queue '%s'", queue);
    }
    st = conclude(it, do_rounds(it, err), err);
    release_all(it);
    *ret_result = it->result;
    gw__look_unref(it);
    return st;
}

gw_status gw_browse(gw_client *client, const char *queue, const gw_browse_options *options,
                    gw_browse_visitor visitor, void *ctx, gw_browse_result *ret_result,
                    gw_error *err)
{
    static const gw__browse_bounds bounds = {.first_round = 32,
                                             .max_round = 2048,
                                             .round_bytes = (size_t)16 << 20,
                                             .max_bytes = (size_t)256 << 20,
                                             .max_moving = 256,
                                             .quiet_ms = 500};
    return gw__browse(client, queue, options, &bounds, visitor, ctx, ret_result, err);
}
