/* SPDX-License-Identifier: MIT */
/*
 * The thread that calls the clients of a bus: it tells them what happened and gives their consumers
 * their messages, in turn, until nobody can take any more. Then it sleeps until it is rung for: by
 * who publishes into a queue that is waited for, by who settles when there was no room, or by the
 * watcher when a member is gone.
 *
 * The bell is read before all that is looked at, so what changes afterwards ends the sleep at once.
 */
#include "bus/bus_reader.h"

#include <string.h>

#include <godwit/clock.h>
#include <godwit/log.h>

/* ---- telling ----------------------------------------------------------------------------- */

/* Tell a transport that it is up. @locks bus->lock, released during the call */
static void report_transports(gw__bus *bus)
{
    gw__bus_client *it = bus->transports;
    while (it != NULL) {
        if (!it->news) {
            it = it->next;
            continue;
        }
        it->news = false;
        it->busy = true;
        pthread_mutex_unlock(&bus->lock);
        gw_log_info("bus", "using the embedded bus in %s", bus->dir);
        it->events.state(it->events.ctx, GW_CLIENT_UP, NULL);
        pthread_mutex_lock(&bus->lock);
        it->busy = false;
        pthread_cond_broadcast(&bus->changed);
        it = bus->transports; /* the list may have changed */
    }
}

static void report_found(gw__bus_consumer *consumer)
{
    gw__bus *bus = consumer->bus;
    (void)gw__bus_ripen(bus, consumer->queue, gw__unix_ms(gw_clock_unix_ns()));
    uint64_t n_others = atomic_load(&consumer->main->n_consumers);
    if (consumer->entry != GW__LOG_NOBODY && n_others > 0) {
        n_others--;
    }
    consumer->sink.found(consumer->sink.ctx, gw__bus_n_ready(bus, consumer->queue), n_others);
}

/* Tell a consumer what happened to it. @thread the reader's */
static void report_consumer(gw__bus_consumer *consumer)
{
    const gw__sink *sink = &consumer->sink;
    consumer->news = false;
    if (consumer->lost) {
        consumer->lost = false;
        gw_error why = GW_ERROR_INIT;
        gw_error_set(&why, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", consumer->queue_name);
        sink->lost(sink->ctx, consumer->epoch - 1);
        sink->state(sink->ctx, false, &why);
        gw__bus_attach(consumer);
    }
    bool consuming = consumer->refusal.status == GW_OK;
    if (consuming && consumer->spec.passive) {
        report_found(consumer);
    } else if (consuming) {
        gw_log_info("bus", "consuming from queue '%s'", consumer->queue_name);
    }
    sink->state(sink->ctx, consuming, consuming ? NULL : &consumer->refusal);
}

/* ---- serving ------------------------------------------------------------------------------ */

/* The place of its queue's log may be another's by now, whose publishers would take this one for
 * one that waits. */
static void lose(gw__bus_consumer *consumer)
{
    gw__log_wake_all(consumer->bus->file.control, consumer->main);
    gw__bus_forget_queue(consumer);
    consumer->lost = consumer->news = true;
}

static bool is_deleted(const gw__bus_consumer *consumer)
{
    return !gw__log_is_there(consumer->logs[consumer->order[consumer->n_order - 1]]->log);
}

/* Whether it has a queue, and knows all its logs. */
static bool is_ready(gw__bus_consumer *consumer)
{
    if (consumer->refusal.status != GW_OK) {
        return false;
    }
    gw__bus *bus = consumer->bus;
    if (is_deleted(consumer)) {
        lose(consumer);
        return false;
    }
    if (gw__definitions_generation(bus->defs) == gw__topology_generation(consumer->topology)) {
        return true;
    }
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__bus_find_logs(consumer, &why);
    if (st == GW_E_NOT_FOUND) {
        lose(consumer);
    } else if (st != GW_OK) {
        gw_log_error("bus", "queue '%s': %s: trying on", consumer->queue_name, why.text);
        consumer->again_ms = gw_clock_ms() + 1000;
    }
    return st == GW_OK;
}

/* True when something happened. @thread the reader's, no lock */
static bool serve(gw__bus_consumer *consumer, uint64_t unix_ms, uint64_t n_sleeps)
{
    if (consumer->news) {
        report_consumer(consumer);
        return true;
    }
    if (consumer->again_ms != 0) {
        if (gw_clock_ms() < consumer->again_ms) {
            return false;
        }
        consumer->again_ms = 0;
        if (consumer->refusal.status != GW_OK) {
            if (consumer->spec.passive) { /* it was told */
                return false;
            }
            gw__bus_attach(consumer);
            consumer->news = consumer->refusal.status == GW_OK;
        }
    }
    if (!is_ready(consumer) || consumer->spec.prefetch == 0) {
        return consumer->news;
    }
    consumer->due_ms = gw__bus_ripen(consumer->bus, consumer->queue, unix_ms);
    return gw__bus_take_turn(consumer, unix_ms, n_sleeps);
}

/* One who got something is the last one next time. @locks bus->lock */
static void move_to_end(gw__bus *bus, gw__bus_consumer *consumer)
{
    if (consumer->ended || consumer == bus->last) {
        return;
    }
    *(consumer->prev == NULL ? &bus->first : &consumer->prev->next) = consumer->next;
    consumer->next->prev = consumer->prev;
    consumer->prev = bus->last;
    consumer->next = NULL;
    bus->last->next = consumer;
    bus->last = consumer;
}

/* Whose turn it is when something has come: that of the first of those who share the queue and have
 * room, who may have been looked at when there was nothing. @locks bus->lock */
static gw__bus_consumer *first_in_line(const gw__bus *bus, gw__bus_consumer *consumer,
                                       uint64_t n_sleeps)
{
    if (consumer->main == NULL || atomic_load(&consumer->main->n_consumers) < 2 ||
        !gw__bus_has_any(consumer)) {
        return consumer;
    }
    gw__bus_consumer *it = bus->first;
    while (it != consumer &&
           (it->main != consumer->main || it->wants_room || it->news || it->again_ms != 0 ||
            gw__bus_is_handed(it, n_sleeps) || it->entry == GW__LOG_NOBODY)) {
        it = it->next;
    }
    return it;
}

/* Serve each once; true when something happened. @locks bus->lock, released during calls */
static bool pass(gw__bus *bus, uint64_t n_sleeps)
{
    bool any = false;
    uint64_t unix_ms = gw__unix_ms(gw_clock_unix_ns());
    size_t n = 0;
    for (gw__bus_consumer *it = bus->first; it != NULL; it = it->next) {
        n++;
    }
    bus->cursor = bus->first;
    while (n > 0 && bus->cursor != NULL && !bus->closing) {
        gw__bus_consumer *consumer = first_in_line(bus, bus->cursor, n_sleeps);
        bus->cursor = consumer->next;
        n--;
        consumer->busy = true;
        pthread_mutex_unlock(&bus->lock);
        bool served = serve(consumer, unix_ms, n_sleeps);
        pthread_mutex_lock(&bus->lock);
        consumer->busy = false;
        if (served) {
            move_to_end(bus, consumer);
            any = true;
        }
        if (consumer->ended) {
            pthread_cond_broadcast(&bus->changed);
        }
    }
    return any;
}

/* ---- sleeping ------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Ask to be rung for all queues; false when there is something to do already. `ret_until_ms`: the
 * time to wake up, of gw_clock_ms(). @locks bus->lock */
static bool prepare_sleep(gw__bus *bus, uint64_t n_sleeps, uint64_t *ret_until_ms)
{
    uint64_t unix_ms = gw__unix_ms(gw_clock_unix_ns());
    uint64_t clock_ms = gw_clock_ms();
    uint64_t until_ms = UINT64_MAX;
    for (gw__bus_consumer *it = bus->first; it != NULL; it = it->next) {
        if (it->news) {
            return false;
        }
        if (it->again_ms != 0) {
            bool final = it->refusal.status != GW_OK && it->spec.passive;
            until_ms = final ? until_ms : earlier(until_ms, it->again_ms);
            continue;
        }
        if (it->refusal.status != GW_OK || it->spec.prefetch == 0) {
            continue;
        }
        if (gw__bus_wait_for(it, unix_ms, n_sleeps)) {
            return false;
        }
        if (it->due_ms != UINT64_MAX) {
            until_ms = earlier(until_ms, clock_ms + (it->due_ms - unix_ms) + 1);
        }
    }
    *ret_until_ms = until_ms;
    return true;
}

static bool has_news(const gw__bus *bus)
{
    const gw__bus_client *it = bus->transports;
    while (it != NULL && !it->news) {
        it = it->next;
    }
    return it != NULL;
}

static void *run(void *arg)
{
    gw__bus *bus = arg;
    gw__control *control = bus->file.control;
    uint64_t generation = 0;
    uint64_t n_sleeps = 0;
    pthread_mutex_lock(&bus->lock);
    while (!bus->closing) {
        uint32_t seen = gw__member_bell(control, bus->member);
        report_transports(bus);
        bool any = pass(bus, n_sleeps);
        uint64_t now = gw__definitions_generation(bus->defs);
        if (now != generation) { /* logs of others that are gone keep their files no longer */
            generation = now;
            gw__bus_sweep_logs(bus);
        }
        uint64_t until_ms;
        if (any || has_news(bus) || !prepare_sleep(bus, n_sleeps, &until_ms)) {
            continue;
        }
        pthread_mutex_unlock(&bus->lock);
        gw__member_sleep(control, bus->member, seen, until_ms);
        n_sleeps++;
        pthread_mutex_lock(&bus->lock);
    }
    pthread_mutex_unlock(&bus->lock);
    return NULL;
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

gw_status gw__bus_start_reader(gw__bus *bus, gw_error *err)
{
    pthread_mutex_lock(&bus->lock);
    int errnum = bus->has_reader ? 0 : pthread_create(&bus->reader, NULL, run, bus);
    if (errnum == 0 && !bus->has_reader) {
        pthread_setname_np(bus->reader, "gw-bus");
    }
    bus->has_reader = errnum == 0;
    pthread_mutex_unlock(&bus->lock);
    return errnum == 0 ? GW_OK : gw_error_set_errno(err, errnum, "bus in %s: thread", bus->dir);
}

void gw__bus_stop_reader(gw__bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    bool running = bus->has_reader;
    bus->closing = true;
    pthread_mutex_unlock(&bus->lock);
    if (running) {
        gw__bus_ring_reader(bus);
        pthread_join(bus->reader, NULL);
    }
}

void gw__bus_ring_reader(gw__bus *bus)
{
    gw__member_ring(bus->file.control, bus->member);
}
