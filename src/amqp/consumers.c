/* SPDX-License-Identifier: MIT */
#include "amqp/consumers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <godwit/clock.h>
#include <godwit/log.h>

/* More settlements come in a moment when some came just now: gather them. So it is with deliveries
 * when they come in batches; single ones, where latency counts, are not kept waiting. Either way
 * half a prefetch of settlements ends it. */
#define DOZE_NS   1000000u
#define BATCH_LEN 8

gw_status gw__consumers_init(gw__consumers *set)
{
    *set = (gw__consumers){.timer_ms = UINT64_MAX};
    pthread_mutex_init(&set->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&set->changed, &attr);
    pthread_condattr_destroy(&attr);
    set->delivered = gw_metrics_counter("godwit_amqp_delivered_total",
                                        "Messages that the broker delivered.", NULL);
    set->acked =
        gw_metrics_counter("godwit_amqp_acked_total", "Deliveries that were acknowledged.", NULL);
    set->requeued = gw_metrics_counter("godwit_amqp_requeued_total",
                                       "Deliveries that were given back to the queue.", NULL);
    set->redelivered =
        gw_metrics_counter("godwit_amqp_redelivered_total",
                           "Deliveries that the broker says it has made before.", NULL);
    set->stale = gw_metrics_counter("godwit_amqp_stale_settlements_total",
                                    "Deliveries that were settled too late: the broker delivers "
                                    "them again.",
                                    NULL);
    set->unsettled = gw_metrics_gauge("godwit_amqp_unsettled",
                                      "Messages that were delivered and not settled yet.", NULL);
    return GW_OK;
}

void gw__consumers_dispose(gw__consumers *set)
{
    gw_gauge_add(set->unsettled, -set->n_unsettled);
    pthread_cond_destroy(&set->changed);
    pthread_mutex_destroy(&set->lock);
}

/* ---- the I/O thread ------------------------------------------------------ */

void gw__consumers_set_timer(gw__consumers *set, uint64_t at_ms)
{
    if (at_ms < set->timer_ms) {
        set->timer_ms = at_ms;
    }
}

void gw__consumers_report(gw__consumers *set, gw__amqp_consumer *consumer, bool *what)
{
    (void)consumer;
    pthread_mutex_lock(&set->lock);
    *what = true;
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

void gw__consumers_add_fresh(gw__consumers *set, gw__amqp_consumer *consumer)
{
    set->n_delivered++;
    if (!consumer->is_fresh) {
        consumer->is_fresh = true;
        consumer->next_fresh = set->fresh;
        set->fresh = consumer;
    }
}

/* The input of this turn is read: say so to those who got something of it. */
static void end_batches(gw__consumers *set)
{
    for (gw__amqp_consumer *it = set->fresh; it != NULL; it = it->next_fresh) {
        it->is_fresh = false;
        it->sink.delivered(it->sink.ctx);
    }
    set->fresh = NULL;
}

void gw__consumers_remove(gw__consumers *set, gw__amqp_consumer *consumer)
{
    for (gw__amqp_consumer **at = &set->all; *at != NULL; at = &(*at)->next) {
        if (*at == consumer) {
            *at = consumer->next;
            return;
        }
    }
}

/* Take the released ones out; the broker's answer can have made them so at any time. */
static void remove_released(gw__consumers *set)
{
    gw__amqp_consumer *next;
    for (gw__amqp_consumer *it = set->all; it != NULL; it = next) {
        next = it->next;
        if (it->state == GW__CONSUMER_RELEASED) {
            gw__consumers_remove(set, it);
            gw__consumers_report(set, it, &it->released);
        }
    }
}

void gw__consumers_up(gw__consumers *set, gw__session *session)
{
    set->session = session;
    for (gw__amqp_consumer *it = set->all; it != NULL; it = it->next) {
        gw__amqp_consumer_up(it, session);
    }
}

void gw__consumers_down(gw__consumers *set)
{
    set->session = NULL;
    for (gw__amqp_consumer *it = set->all; it != NULL; it = it->next) {
        gw__amqp_consumer_down(it);
    }
}

/* Take over what the other threads left with a consumer: settlements, and what is asked of it. */
static unsigned take_incoming(gw__amqp_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    gw__settlings taken = consumer->incoming;
    consumer->incoming = consumer->settling; /* empty, with its memory */
    consumer->settling = taken;
    consumer->is_listed = false;
    unsigned asked = consumer->asked;
    consumer->asked = 0;
    pthread_mutex_unlock(&consumer->lock);
    return asked;
}

/* Put a consumer on the list unless it is there. What it is there for was set before. */
static void list(gw__consumers *set, gw__amqp_consumer *consumer, bool was_listed)
{
    if (!was_listed) {
        pthread_mutex_lock(&set->lock);
        consumer->next_listed = set->listed;
        set->listed = consumer;
        pthread_mutex_unlock(&set->lock);
    }
}

/* Put it back on the list it was just taken from, unless something is asked of it. */
static bool put_off(gw__consumers *set, gw__amqp_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    bool off = consumer->asked == 0;
    pthread_mutex_unlock(&consumer->lock);
    if (off) { /* what is asked from here on is for the next turn */
        list(set, consumer, false);
    }
    return off;
}

/* Returns whether there was any settlement. When the broker does not read, mere settlements wait;
 * who wants to end must not. */
static bool work_listed(gw__consumers *set, bool congested)
{
    bool settled = false;
    pthread_mutex_lock(&set->lock);
    gw__amqp_consumer *listed = set->listed;
    set->listed = NULL;
    pthread_mutex_unlock(&set->lock);
    gw__amqp_consumer *next;
    for (gw__amqp_consumer *it = listed; it != NULL; it = next) {
        next = it->next_listed; /* from take_incoming() on it can be listed again */
        if (congested && put_off(set, it)) {
            continue;
        }
        unsigned asked = take_incoming(it);
        if ((asked & GW__ASK_START) != 0) {
            it->next = set->all;
            set->all = it;
            it->session = set->session;
        }
        settled = settled || it->settling.n_items > 0;
        gw__amqp_consumer_settle(it);
        if (asked != 0) {
            gw__amqp_consumer_ask(it, asked);
        }
    }
    return settled;
}

static void count_unsettled(gw__consumers *set)
{
    int64_t n = 0;
    for (const gw__amqp_consumer *it = set->all; it != NULL; it = it->next) {
        n += (int64_t)it->unsettled.n_open;
    }
    gw_gauge_add(set->unsettled, n - set->n_unsettled);
    set->n_unsettled = n;
}

gw__turn gw__consumers_work(gw__consumers *set, uint64_t now_ns)
{
    uint64_t now_ms = now_ns / GW_NS_PER_MS;
    end_batches(set); /* before anything that can end a consumer */
    bool congested = set->session != NULL && set->session->out.len >= GW__OUT_HIGH_WATER;
    bool settled = work_listed(set, congested);
    if (now_ms >= set->timer_ms) {
        set->timer_ms = UINT64_MAX;
        for (gw__amqp_consumer *it = set->all; it != NULL; it = it->next) {
            gw__consumers_set_timer(set, gw__amqp_consumer_tick(it, now_ms));
        }
    }
    remove_released(set);
    count_unsettled(set);
    bool busy = set->n_delivered >= BATCH_LEN;
    set->n_delivered = 0;
    return (gw__turn){
        .timer_ms = set->timer_ms, .doze_ns = settled || busy ? DOZE_NS : 0, .deaf = busy};
}

/* ---- other threads ------------------------------------------------------- */

static void ask(gw__consumers *set, gw__amqp_consumer *consumer, unsigned asked)
{
    /* Both at once: if the asking were seen before the listing, the consumer could be released and
     * freed by the time that it is listed. */
    pthread_mutex_lock(&consumer->lock);
    consumer->asked |= asked;
    bool was_listed = consumer->is_listed;
    consumer->is_listed = true;
    pthread_mutex_unlock(&consumer->lock);
    list(set, consumer, was_listed);
    gw__connection_call(set->connection, true);
}

void gw__consumers_start(gw__consumers *set, gw__amqp_consumer *consumer)
{
    ask(set, consumer, GW__ASK_START);
}

static bool add_settling(gw__settlings *to, const gw__delivery *deliveries, size_t n,
                         gw__settlement how)
{
    if (to->n_items + n > to->cap) {
        size_t cap = to->cap == 0 ? 64 : to->cap * 2;
        cap = cap < to->n_items + n ? to->n_items + n : cap;
        gw__settling *items = realloc(to->items, cap * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        to->items = items;
        to->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        to->items[to->n_items++] = (gw__settling){.delivery = deliveries[i], .how = how};
    }
    return true;
}

void gw__consumers_settle(gw__consumers *set, gw__amqp_consumer *consumer,
                          const gw__delivery *deliveries, size_t n_deliveries, gw__settlement how)
{
    pthread_mutex_lock(&consumer->lock);
    bool added = add_settling(&consumer->incoming, deliveries, n_deliveries, how);
    size_t n = consumer->incoming.n_items;
    bool was_listed = consumer->is_listed;
    consumer->is_listed = consumer->is_listed || added;
    pthread_mutex_unlock(&consumer->lock);
    if (!added) {
        gw_log_error("amqp",
                     "no memory to settle %zu messages of queue '%s': they will be "
                     "delivered again",
                     n_deliveries, consumer->spec.queue);
        return;
    }
    list(set, consumer, was_listed);
    /* The broker sends no more once `prefetch` are out: half of them must not wait. */
    size_t half = (atomic_load(&consumer->prefetch) + 1u) / 2;
    bool crossed = n >= half && n - n_deliveries < half;
    if (!was_listed || crossed) {
        gw__connection_call(set->connection, crossed);
    }
}

void gw__consumers_set_prefetch(gw__consumers *set, gw__amqp_consumer *consumer, uint16_t prefetch)
{
    atomic_store(&consumer->prefetch, prefetch);
    ask(set, consumer, GW__ASK_TUNE);
}

static struct timespec deadline_in(unsigned timeout_ms)
{
    uint64_t at_ns = gw_clock_ns() + (uint64_t)timeout_ms * GW_NS_PER_MS;
    return (struct timespec){.tv_sec = (time_t)(at_ns / GW_NS_PER_S),
                             .tv_nsec = (long)(at_ns % GW_NS_PER_S)};
}

/* Wait until the I/O thread has set `what`, or for `deadline`; without one, until it has, which it
 * does at once since it never waits. */
static bool wait_for(gw__consumers *set, const bool *what, const struct timespec *deadline)
{
    int rc = 0;
    pthread_mutex_lock(&set->lock);
    while (!*what && rc != ETIMEDOUT) {
        rc = deadline == NULL ? pthread_cond_wait(&set->changed, &set->lock)
                              : pthread_cond_timedwait(&set->changed, &set->lock, deadline);
    }
    bool is_set = *what;
    pthread_mutex_unlock(&set->lock);
    return is_set;
}

void gw__consumers_cancel(gw__consumers *set, gw__amqp_consumer *consumer, unsigned timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms);
    ask(set, consumer, GW__ASK_CANCEL);
    if (!wait_for(set, &consumer->cancelled, &deadline)) {
        ask(set, consumer, GW__ASK_MUTE);
        wait_for(set, &consumer->muted, NULL);
    }
}

void gw__consumers_release(gw__consumers *set, gw__amqp_consumer *consumer, unsigned timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms);
    ask(set, consumer, GW__ASK_RELEASE);
    if (!wait_for(set, &consumer->released, &deadline)) {
        /* Not for `released`, which can come meanwhile: this asking must have been dealt with. */
        ask(set, consumer, GW__ASK_DROP);
        wait_for(set, &consumer->dropped, NULL);
    }
}
