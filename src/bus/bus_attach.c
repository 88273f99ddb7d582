/* SPDX-License-Identifier: MIT */
/* How a consumer gets to its queue, and leaves it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "bus/bus_reader.h"

#define AGAIN_MS 5000 /* when it was refused for what may change */

/* ---- the list of consumers, for people and for sharing ------------------------------------- */

static gw_status enter(gw__bus_consumer *consumer, gw_error *err)
{
    gw__bus *bus = consumer->bus;
    gw__control *control = bus->file.control;
    gw__bus_lock_members(bus);
    uint32_t i = 0;
    while (i < GW__BUS_CONSUMERS_MAX && atomic_load(&control->consumers[i].log_serial) != 0) {
        i++;
    }
    if (i < GW__BUS_CONSUMERS_MAX) {
        gw__consumer_state *entry = &control->consumers[i];
        entry->log = consumer->queue->logs[0].log;
        entry->member = bus->member;
        entry->member_generation = bus->generation;
        atomic_store(&entry->prefetch, consumer->spec.prefetch);
        snprintf(entry->name, sizeof(entry->name), "%.*s", (int)sizeof(entry->name) - 1,
                 consumer->name);
        atomic_store(&entry->log_serial, consumer->main_serial);
        atomic_fetch_add(&consumer->main->n_consumers, 1);
        consumer->entry = i;
    }
    gw__bus_unlock_members(bus);
    return i < GW__BUS_CONSUMERS_MAX
               ? GW_OK
               : gw_error_set(err, GW_E_LIMIT, 0, "the bus in %s has %d consumers already",
                              bus->dir, GW__BUS_CONSUMERS_MAX);
}

void gw__bus_detach(gw__bus_consumer *consumer)
{
    gw__bus *bus = consumer->bus;
    if (consumer->entry == GW__LOG_NOBODY) {
        return;
    }
    gw__consumer_state *entry = &bus->file.control->consumers[consumer->entry];
    gw__bus_lock_members(bus);
    if (atomic_load(&consumer->main->serial) == consumer->main_serial) {
        atomic_fetch_sub(&consumer->main->n_consumers, 1);
    }
    atomic_store(&entry->log_serial, 0);
    gw__bus_unlock_members(bus);
    consumer->entry = GW__LOG_NOBODY;
}

/* ---- logs -------------------------------------------------------------------------------------
 */

/* The place of a log in consumer->logs, where it stays until the queue is forgotten. */
static gw_status place_of(gw__bus_consumer *consumer, const gw__queue_row *queue,
                          const gw__log_row *row, uint32_t *ret_place, gw_error *err)
{
    for (size_t i = 0; i < consumer->n_logs; i++) {
        if (consumer->logs[i]->serial == row->serial) {
            *ret_place = (uint32_t)i;
            return GW_OK;
        }
    }
    gw__open_log *log;
    gw_status st = gw__bus_log_get(consumer->bus, queue, row, &log, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n = consumer->n_logs + 1;
    gw__open_log **logs = malloc(n * sizeof(logs[0]));
    uint32_t *order = malloc(n * sizeof(order[0]));
    if (logs == NULL || order == NULL) {
        free(logs);
        free(order);
        gw__bus_log_put(log);
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", queue->name);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        logs[i] = consumer->logs[i];
    }
    logs[n - 1] = log;
    if (consumer->n_order > 0) {
        memcpy(order, consumer->order, consumer->n_order * sizeof(order[0]));
    }
    free(consumer->order);
    consumer->order = order;
    pthread_mutex_lock(&consumer->lock);
    gw__open_log **old = consumer->logs;
    consumer->logs = logs;
    consumer->n_logs = n;
    pthread_mutex_unlock(&consumer->lock);
    free(old);
    *ret_place = (uint32_t)(n - 1);
    return GW_OK;
}

static gw_status find_logs(gw__bus_consumer *consumer, const gw__queue_row *queue, gw_error *err)
{
    uint32_t places[1 + GW__BUS_PRIORITY_MAX];
    size_t n = 0;
    gw_status st = GW_OK;
    /* Priorities from high to low are behind the main one, and before it in turn. */
    for (size_t i = 1; st == GW_OK && i < queue->n_logs && n < GW__BUS_PRIORITY_MAX &&
                       queue->logs[i].kind == GW__LOG_PRIORITY;
         i++) {
        st = place_of(consumer, queue, &queue->logs[i], &places[n], err);
        n += st == GW_OK ? 1 : 0;
    }
    if (st == GW_OK) {
        st = place_of(consumer, queue, &queue->logs[0], &places[n], err);
    }
    if (st == GW_OK) { /* there is room: none is twice in logs */
        memcpy(consumer->order, places, (n + 1) * sizeof(places[0]));
        consumer->n_order = n + 1;
    }
    return st;
}

gw_status gw__bus_find_logs(gw__bus_consumer *consumer, gw_error *err)
{
    gw__bus *bus = consumer->bus;
    const gw__topology *topology;
    gw_status st = gw__topology_get(bus->defs, &topology, err);
    if (st != GW_OK) {
        return st;
    }
    const gw__queue_row *queue = gw__topology_queue(topology, consumer->queue_name);
    if (queue == NULL || queue->n_logs == 0 ||
        (consumer->queue != NULL && queue->id != consumer->queue->id)) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", consumer->queue_name);
    }
    if (st == GW_OK) {
        st = find_logs(consumer, queue, err);
    }
    if (st != GW_OK) {
        gw__topology_put(topology);
        return st;
    }
    if (consumer->topology != NULL) {
        gw__topology_put(consumer->topology);
    }
    consumer->topology = topology;
    consumer->queue = queue;
    consumer->main = gw__bus_state(bus, queue->logs[0].log);
    consumer->main_serial = queue->logs[0].serial;
    return GW_OK;
}

void gw__bus_forget_queue(gw__bus_consumer *consumer)
{
    gw__bus_detach(consumer);
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->n_logs; i++) {
        gw__bus_log_put(consumer->logs[i]);
    }
    free(consumer->logs);
    free(consumer->slots);
    consumer->logs = NULL;
    consumer->slots = NULL;
    consumer->n_logs = consumer->n_slots = consumer->n_unsettled = 0;
    consumer->first_free = 0;
    consumer->wants_room = false;
    consumer->epoch++;
    pthread_mutex_unlock(&consumer->lock);
    free(consumer->order);
    consumer->order = NULL;
    consumer->n_order = 0;
    if (consumer->topology != NULL) {
        gw__topology_put(consumer->topology);
    }
    consumer->topology = NULL;
    consumer->queue = NULL;
    consumer->main = NULL;
    consumer->due_ms = UINT64_MAX;
}

/* ---- declaring ------------------------------------------------------------------------------- */

static gw_status declare_queue(const gw__bus_consumer *consumer, const gw__topology *topology,
                               gw_error *err)
{
    const gw__consumer_spec *spec = &consumer->spec;
    const gw__bus_url *limits = &((gw__bus_client *)consumer->head.transport)->limits;
    const gw__queue_row *row = gw__topology_queue(topology, spec->queue);
    if (row != NULL && !row->temporary && !spec->temporary && row->type == spec->queue_type) {
        return GW_OK;
    }
    bool letters = limits->overflow == GW__OVERFLOW_DEAD_LETTER && spec->temporary;
    gw__queue_row wanted = {.temporary = spec->temporary,
                            .member = spec->temporary ? consumer->bus->member : 0,
                            .member_generation = spec->temporary ? consumer->bus->generation : 0,
                            .type = spec->queue_type,
                            .max_messages = limits->max_messages,
                            .max_bytes = limits->max_bytes,
                            .overflow = letters ? GW__OVERFLOW_DROP_OLDEST : limits->overflow};
    memcpy(wanted.name, consumer->queue_name, sizeof(wanted.name));
    return gw__bus_declare_queue(consumer->bus, &wanted, err);
}

static gw_status bind_queue(const gw__bus_consumer *consumer, gw_error *err)
{
    const gw__consumer_spec *spec = &consumer->spec;
    gw__binding_row binding = {.headers = spec->binding_headers,
                               .n_headers = spec->n_binding_headers,
                               .match_any = spec->match_any};
    memcpy(binding.exchange, consumer->exchange, sizeof(binding.exchange));
    memcpy(binding.queue, consumer->queue_name, sizeof(binding.queue));
    memcpy(binding.key, consumer->binding_key, sizeof(binding.key));
    return gw__definitions_bind(consumer->bus->defs, &binding, err);
}

/* The exchange first: when it is of another type, no queue is left behind. */
static gw_status declare_all(const gw__bus_consumer *consumer, const gw__topology *topology,
                             gw_error *err)
{
    const gw__consumer_spec *spec = &consumer->spec;
    gw_status st = GW_OK;
    if (spec->exchange != NULL) {
        const gw__exchange_row *row = gw__topology_exchange(topology, spec->exchange);
        if (row == NULL || row->type != spec->exchange_type) {
            st = gw__definitions_exchange(consumer->bus->defs, spec->exchange, spec->exchange_type,
                                          err);
        }
    }
    if (st == GW_OK) {
        st = declare_queue(consumer, topology, err);
    }
    return st == GW_OK && spec->exchange != NULL ? bind_queue(consumer, err) : st;
}

static gw_status declare(const gw__bus_consumer *consumer, gw_error *err)
{
    const gw__topology *topology;
    gw_status st = gw__topology_get(consumer->bus->defs, &topology, err);
    if (st != GW_OK) {
        return st;
    }
    if (!consumer->spec.passive) {
        st = declare_all(consumer, topology, err);
    } else if (gw__topology_queue(topology, consumer->spec.queue) == NULL) {
        st =
            gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s': there is none", consumer->spec.queue);
    }
    gw__topology_put(topology);
    return st;
}

void gw__bus_attach(gw__bus_consumer *consumer)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = declare(consumer, &why);
    if (st == GW_OK) {
        st = gw__bus_find_logs(consumer, &why);
    }
    if (st == GW_OK && consumer->spec.prefetch > 0) {
        st = enter(consumer, &why);
    }
    if (st != GW_OK) { /* the next try is at whichever queue has the name then */
        gw__bus_forget_queue(consumer);
    }
    consumer->refusal = why;
    consumer->refusal.status = st;
    consumer->again_ms = st == GW_OK ? 0 : gw_clock_ms() + AGAIN_MS;
}
