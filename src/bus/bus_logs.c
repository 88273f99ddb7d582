/* SPDX-License-Identifier: MIT */
/* The logs that a process has open, and how logs come and go with their queues. */
#include "bus/bus_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- those that are open ------------------------------------------------------------------ */

static void free_log(gw__open_log *log)
{
    gw__log_close(log->log);
    free(log);
}

void gw__bus_log_ref(gw__open_log *log)
{
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed);
}

void gw__bus_log_put(gw__open_log *log)
{
    if (log != NULL && atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) == 1) {
        free_log(log);
    }
}

static gw_status deleted(const gw__queue_row *queue, gw_error *err)
{
    return gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", queue->name);
}

static gw_status open_log(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                          gw__open_log **ret_log, gw_error *err)
{
    gw__open_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", queue->name);
    }
    log->state = gw__bus_state(bus, row->log);
    log->serial = row->serial;
    log->index = row->log;
    log->refs = 1;
    gw__log_place place = {.dir_fd = bus->logs_fd,
                           .name = queue->name,
                           .serial = row->serial,
                           .dir_mode = bus->file.dir_mode,
                           .file_mode = bus->file.file_mode};
    gw_status st = gw__log_open(&place, log->state, &log->log, err);
    if (st != GW_OK) {
        free(log);
        return st;
    }
    *ret_log = log;
    return GW_OK;
}

static gw__open_log *find_log(gw__bus *bus, const gw__log_row *row)
{
    gw__open_log *log = bus->logs[row->log];
    if (log == NULL || log->serial != row->serial) {
        return NULL;
    }
    gw__bus_log_ref(log);
    return log;
}

/* @locks logs_lock, to write */
static gw_status find_or_open(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                              gw__open_log **ret_log, gw_error *err)
{
    *ret_log = find_log(bus, row); /* opened by another thread meanwhile */
    if (*ret_log != NULL) {
        return GW_OK;
    }
    if (atomic_load(&gw__bus_state(bus, row->log)->serial) != row->serial) {
        return deleted(queue, err);
    }
    gw_status st = open_log(bus, queue, row, ret_log, err);
    if (st == GW_OK) {
        gw__bus_log_put(bus->logs[row->log]);
        bus->logs[row->log] = *ret_log;
        gw__bus_log_ref(*ret_log);
    }
    return st;
}

gw_status gw__bus_log_get(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                          gw__open_log **ret_log, gw_error *err)
{
    if (row->log >= GW__BUS_LOGS_MAX || row->serial == 0) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "queue '%s': its log has a place that there is not: the definitions of "
                            "the bus are damaged",
                            queue->name);
    }
    pthread_rwlock_rdlock(&bus->logs_lock);
    gw__open_log *log = find_log(bus, row);
    pthread_rwlock_unlock(&bus->logs_lock);
    gw_status st = GW_OK;
    if (log == NULL) {
        pthread_rwlock_wrlock(&bus->logs_lock);
        st = find_or_open(bus, queue, row, &log, err);
        pthread_rwlock_unlock(&bus->logs_lock);
    }
    if (st == GW_OK) {
        *ret_log = log;
    }
    return st;
}

gw_status gw__bus_log(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                      gw__log **ret_log, gw_error *err)
{
    gw__open_log *log;
    gw_status st = gw__bus_log_get(bus, queue, row, &log, err);
    if (st != GW_OK) {
        return st;
    }
    pthread_rwlock_wrlock(&bus->logs_lock);
    if (log->pinned) {
        gw__bus_log_put(log);
    } else { /* the reference becomes the list's */
        log->pinned = true;
        log->next_pinned = bus->pinned;
        bus->pinned = log;
    }
    pthread_rwlock_unlock(&bus->logs_lock);
    *ret_log = log->log;
    return GW_OK;
}

void gw__bus_sweep_logs(gw__bus *bus)
{
    pthread_rwlock_wrlock(&bus->logs_lock);
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        if (bus->logs[i] != NULL && !gw__log_is_there(bus->logs[i]->log)) {
            gw__bus_log_put(bus->logs[i]);
            bus->logs[i] = NULL;
        }
    }
    pthread_rwlock_unlock(&bus->logs_lock);
}

void gw__bus_close_logs(gw__bus *bus)
{
    while (bus->pinned != NULL) {
        gw__open_log *log = bus->pinned;
        bus->pinned = log->next_pinned;
        gw__bus_log_put(log);
    }
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        gw__bus_log_put(bus->logs[i]);
        bus->logs[i] = NULL;
    }
}

/* ---- making and removing ------------------------------------------------------------------ */

/* @locks the definitions' transaction, which guards the places of all processes */
static gw_status make_log(void *ctx, uint32_t *ret_log, uint64_t *ret_serial, gw_error *err)
{
    gw__bus *bus = ctx;
    gw__control *control = bus->file.control;
    for (uint32_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        gw__log_state *state = &control->logs[i];
        if (atomic_load(&state->serial) == 0) {
            *ret_log = i;
            *ret_serial = atomic_fetch_add(&control->last_serial, 1) + 1;
            gw__log_create(state, *ret_serial);
            return GW_OK;
        }
    }
    return gw_error_set(err, GW_E_LIMIT, 0,
                        "the bus in %s has %d logs already: each queue needs one, and one more for "
                        "each priority and each delay",
                        bus->dir, GW__BUS_LOGS_MAX);
}

static void undo_log(void *ctx, uint32_t log, uint64_t serial)
{
    gw__log_state *state = gw__bus_state(ctx, log);
    atomic_compare_exchange_strong(&state->serial, &serial, 0);
}

void gw__bus_make_maker(gw__bus *bus)
{
    bus->maker = (gw__log_maker){.make = make_log, .undo = undo_log, .ctx = bus};
}

gw__log_maker gw__bus_log_maker(gw__bus *bus)
{
    return bus->maker;
}

void gw__bus_log_gone(void *ctx, const gw__log_row *row)
{
    gw__bus *bus = ctx;
    if (row->log >= GW__BUS_LOGS_MAX) {
        return;
    }
    gw__queue_row queue = {.name = ""};
    gw__open_log *log;
    if (gw__bus_log_get(bus, &queue, row, &log, NULL) == GW_OK) {
        gw__log_delete(log->log);
        gw__bus_log_put(log);
    } else {
        gw__log_remove_files(bus->logs_fd, row->serial);
    }
}

/* All who consume, since the waiters' bits may be another log's by now. */
static void ring_all(gw__bus *bus)
{
    gw__control *control = bus->file.control;
    for (uint32_t i = 0; i < GW__BUS_MEMBERS_MAX; i++) {
        if (atomic_load(&control->members[i].generation) % 2 == 1) {
            gw__member_ring(control, i);
        }
    }
}

gw_status gw__bus_declare_queue(gw__bus *bus, const gw__queue_row *wanted, gw_error *err)
{
    return gw__definitions_queue(bus->defs, wanted, &bus->maker, err);
}

gw_status gw__bus_delete_queue(gw__bus *bus, const char *queue, gw_error *err)
{
    gw_status st = gw__definitions_delete(bus->defs, queue, gw__bus_log_gone, bus, err);
    if (st == GW_OK) {
        gw__bus_sweep_logs(bus);
        ring_all(bus);
    }
    return st;
}

uint64_t gw__bus_n_ready(const gw__bus *bus, const gw__queue_row *queue)
{
    uint64_t n = 0;
    for (size_t i = 0; i < queue->n_logs; i++) {
        const gw__log_row *row = &queue->logs[i];
        const gw__log_state *state = gw__bus_state(bus, row->log);
        if (row->kind == GW__LOG_DELAY || atomic_load(&state->serial) != row->serial) {
            continue;
        }
        uint64_t next = atomic_load(&state->next_seq);
        uint64_t end = atomic_load(&state->last_seq) + 1;
        n += (end > next ? end - next : 0) + atomic_load(&state->n_returned);
    }
    return n;
}
