/* SPDX-License-Identifier: MIT */
#include "messaging/browse_moves.h"

#include <stdlib.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "messaging/client.h"

#define WAIT_MS 20 /* for a copy to be decided, or for room in the outbox */

/* The broker has decided on a copy. @thread the transport's, or ours */
static void on_moved(void *ctx, gw_status outcome, const gw_error *why)
{
    gw__moving *done = ctx;
    gw__look *it = done->look;
    pthread_mutex_lock(&it->lock);
    done->outcome = outcome;
    done->next = it->moved;
    it->moved = done;
    it->n_moving--;
    if (outcome != GW_OK && it->failure.status == GW_OK) {
        it->failure = *why;
        (void)gw_error_prefix(&it->failure, outcome, "a message cannot be moved");
    }
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
    gw__look_unref(it);
}

void gw__moves_settle(gw__look *it)
{
    pthread_mutex_lock(&it->lock);
    gw__moving *list = it->moved;
    it->moved = NULL;
    bool lost = it->lost; /* the broker has the originals again */
    pthread_mutex_unlock(&it->lock);
    gw__moving *next;
    for (gw__moving *at = list; at != NULL; at = next) {
        next = at->next;
        at->of->n_moving--;
        if (at->outcome == GW_OK && !lost) {
            it->type->settle(at->of->consumer, &at->delivery, 1, GW__ACK);
            at->of->n_settled++;
            it->result.n_removed++;
        } else {
            at->of->n_left++;
        }
        it->progress_ms = gw_clock_ms();
        free(at);
    }
}

void gw__moves_pause(gw__look *it, unsigned ms)
{
    uint64_t until_ms = gw_clock_ms() + ms;
    pthread_mutex_lock(&it->lock);
    while (it->moved == NULL && gw__cond_wait_until(&it->changed, &it->lock, until_ms)) {}
    pthread_mutex_unlock(&it->lock);
    gw__moves_settle(it);
}

static size_t count_moving(gw__look *it)
{
    pthread_mutex_lock(&it->lock);
    size_t n = it->n_moving;
    pthread_mutex_unlock(&it->lock);
    return n;
}

gw_status gw__moves_wait(gw__look *it, size_t n_most, gw_error *err)
{
    gw__moves_settle(it);
    size_t n;
    while ((n = count_moving(it)) > n_most && !gw__look_is_lost(it)) {
        if (gw__look_is_overdue(it)) {
            return gw_error_set(err, GW_E_TIMEOUT, 0,
                                "%zu copies of messages of queue '%s' were not confirmed within "
                                "%u ms: they may arrive, and their originals stay",
                                n, it->queue, it->options.timeout_ms);
        }
        gw__moves_pause(it, WAIT_MS);
    }
    gw__moves_settle(it);
    return GW_OK;
}

gw_status gw__moves_add(gw__look *it, gw__turn *of, gw__delivery delivery, gw_browse_move *wanted,
                        gw_error *err)
{
    gw__moving *new = malloc(sizeof(*new));
    gw_status st = gw__moves_wait(it, it->bounds.max_moving - 1, err);
    if (st != GW_OK || new == NULL || wanted->msg == NULL) {
        free(new);
        gw_message_free(wanted->msg);
        return st != GW_OK           ? st
               : wanted->msg == NULL ? gw_error_set(err, GW_E_INVALID, 0, "no message to move")
                                     : gw_error_set(err, GW_E_NOMEM, 0, "no memory for a copy");
    }
    if (gw__look_is_lost(it)) { /* the original is in the queue again */
        free(new);
        gw_message_free(wanted->msg);
        of->n_left++;
        return GW_OK;
    }
    *new = (gw__moving){.look = it, .of = of, .delivery = delivery};
    of->n_moving++;
    pthread_mutex_lock(&it->lock);
    it->refs++;
    it->n_moving++;
    pthread_mutex_unlock(&it->lock);
    do {
        st = gw__client_forward(it->client, wanted->queue, 0, wanted->msg, on_moved, new, err);
        if (st == GW_E_FULL) {
            gw__moves_pause(it, WAIT_MS);
        }
    } while (st == GW_E_FULL && !gw__look_is_overdue(it));
    if (st != GW_OK) {
        pthread_mutex_lock(&it->lock);
        it->refs--; /* never the last */
        it->n_moving--;
        pthread_mutex_unlock(&it->lock);
        of->n_moving--;
        of->n_left++;
        free(new);
        gw_message_free(wanted->msg);
    }
    return st;
}
