/* SPDX-License-Identifier: MIT */
/*
 * Limits of queues, and making room in those that drop their oldest messages. A queue's messages of
 * all priorities count, the delayed ones do not. Several who publish at once can go beyond a limit
 * by what they bring.
 */
#include "bus/bus_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <godwit/clock.h>

#include "bus/segment.h"
#include "messaging/dead_letter.h"

typedef struct load {
    uint64_t n_messages;
    uint64_t n_bytes;
} load;

static bool is_limited(const gw__queue_row *queue)
{
    return queue->max_messages != 0 || queue->max_bytes != 0;
}

/* What is in the queue, but for one log (or in all of it, with a serial of 0). */
static load load_besides(const gw__bus *bus, const gw__queue_row *queue, uint64_t serial)
{
    load all = {.n_messages = 0};
    for (size_t i = 0; i < queue->n_logs; i++) {
        const gw__log_row *row = &queue->logs[i];
        const gw__log_state *state = gw__bus_state(bus, row->log);
        if (row->kind == GW__LOG_DELAY || row->serial == serial ||
            atomic_load(&state->serial) != row->serial) {
            continue;
        }
        uint64_t next = atomic_load(&state->next_seq);
        uint64_t end = atomic_load(&state->last_seq) + 1;
        all.n_messages += (end > next ? end - next : 0) + atomic_load(&state->n_returned);
        all.n_bytes += gw__log_n_bytes(state);
    }
    return all;
}

static gw_status full(const gw__queue_row *queue, const load *now, gw_error *err)
{
    return gw_error_set(err, GW_E_FULL, 0,
                        "queue '%s' is full: %" PRIu64 " messages of %" PRIu64 " bytes",
                        queue->name, now->n_messages, now->n_bytes);
}

/* Whether there would be room for them if nothing else were in the queue. */
static bool could_fit(const gw__queue_row *queue, const gw__log_write *writes, size_t n_writes)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < n_writes; i++) {
        n_bytes += gw__entry_size(writes[i].len);
    }
    return queue->max_bytes == 0 || n_bytes <= queue->max_bytes;
}

/* What is left for one log of the queue; false when there is nothing. */
static bool limits_of_log(const gw__bus *bus, const gw__queue_row *queue, const gw__open_log *log,
                          gw__log_limits *ret)
{
    load others = load_besides(bus, queue, log->serial);
    *ret = (gw__log_limits){.max_messages = queue->max_messages, .max_bytes = queue->max_bytes};
    if (ret->max_messages != 0) {
        if (others.n_messages >= ret->max_messages) {
            return false;
        }
        ret->max_messages -= others.n_messages;
    }
    if (ret->max_bytes != 0) {
        if (others.n_bytes >= ret->max_bytes) {
            return false;
        }
        ret->max_bytes -= others.n_bytes;
    }
    return true;
}

static bool fits(const gw__bus *bus, const gw__queue_row *queue, const gw__log_write *writes,
                 size_t n_writes)
{
    load now = load_besides(bus, queue, 0);
    for (size_t i = 0; i < n_writes; i++) {
        now.n_messages++;
        now.n_bytes += writes[i].len + GW__BUS_ENTRY_ROOM;
    }
    return (queue->max_messages == 0 || now.n_messages <= queue->max_messages) &&
           (queue->max_bytes == 0 || now.n_bytes <= queue->max_bytes);
}

/* What has expired takes no room. */
static bool drop_expired(gw__bus *bus, const gw__queue_row *queue)
{
    uint64_t now_ms = gw__unix_ms(gw_clock_unix_ns());
    size_t n = 0;
    for (size_t i = 0; i < queue->n_logs && queue->logs[i].kind != GW__LOG_DELAY; i++) {
        gw__open_log *log;
        if (gw__bus_log_get(bus, queue, &queue->logs[i], &log, NULL) == GW_OK) {
            n += gw__log_drop_expired(log->log, now_ms);
            gw__bus_log_put(log);
        }
    }
    return n > 0;
}

bool gw__bus_make_fit(gw__bus *bus, const gw__queue_row *queue, const gw__log_write *writes,
                      size_t n_writes)
{
    bool fit = !is_limited(queue) || fits(bus, queue, writes, n_writes);
    while (!fit && drop_expired(bus, queue)) {
        fit = fits(bus, queue, writes, n_writes);
    }
    return fit;
}

gw_status gw__bus_refuse(const gw__bus *bus, const gw__queue_row *queue, gw_error *err)
{
    load now = load_besides(bus, queue, 0);
    return full(queue, &now, err);
}

/* ---- making room --------------------------------------------------------------------------- */

typedef struct spilling {
    gw__bus *bus;
    const gw__queue_row *queue;
    char dead_name[GW__BUS_NAME_MAX + 1];
    gw__open_log *dead;
    const gw__log_state *from;
    bool to_disk;
    gw_status st;
    gw_error *err;
} spilling;

/* `safe`: it is to be on the disk, there as here. */
static gw_status append_letter(spilling *it, gw_message *letter, bool safe)
{
    gw__target target = {.exchange = "", .queue = it->dead_name};
    gw__outgoing item = {.msg = letter, .target = &target, .routing_key = it->dead_name};
    gw__log_write write = {.len = gw__bus_size(&item), .write = gw__bus_write, .ctx = &item};
    uint64_t end;
    gw_status st = gw__log_append(it->dead->log, &write, 1, NULL, &end, it->err);
    if (st == GW_OK && safe) {
        st = gw__log_sync(it->dead->log, end, it->err);
    }
    return st;
}

/* @locks the log's take_lock; the append_lock of another is taken after it */
static bool spill(void *ctx, const gw__log_record *record)
{
    spilling *it = ctx;
    bool safe = it->to_disk || record->position < atomic_load(&it->from->synced);
    gw_message *msg;
    gw_status st = gw__bus_read(record, it->queue->name, &msg, it->err);
    if (st == GW_E_PROTOCOL) { /* nobody could have read it either */
        atomic_fetch_add(&gw__bus_state(it->bus, it->queue->logs[0].log)->n_damaged, 1);
        return true;
    }
    if (st == GW_OK) {
        gw__dead_reason reason = {.text = "the queue is full",
                                  .queue = it->queue->name,
                                  .service = it->bus->name,
                                  .n_attempts = record->n_taken};
        gw_message *letter = gw__dead_letter_new(msg, &reason);
        gw_message_free(msg);
        st = letter == NULL ? gw_error_set(it->err, GW_E_NOMEM, 0, "queue '%s': out of memory",
                                           it->queue->name)
                            : append_letter(it, letter, safe);
        gw_message_free(letter);
    }
    it->st = st;
    return st == GW_OK;
}

/* Where the letters go: the queue is made if there is none. */
static gw_status open_dead(spilling *it)
{
    gw__queue_row wanted = {.type = it->queue->type};
    size_t len = strlen(it->queue->name); /* there is room: gw__bus_refuses() */
    memcpy(it->dead_name, it->queue->name, len);
    memcpy(it->dead_name + len, GW__DEAD_SUFFIX, sizeof(GW__DEAD_SUFFIX));
    memcpy(wanted.name, it->dead_name, sizeof(wanted.name));
    const gw__topology *topology;
    gw_status st = gw__topology_get(it->bus->defs, &topology, it->err);
    if (st == GW_OK && gw__topology_queue(topology, it->dead_name) == NULL) {
        gw__topology_put(topology);
        st = gw__bus_declare_queue(it->bus, &wanted, it->err);
        st = st == GW_OK ? gw__topology_get(it->bus->defs, &topology, it->err) : st;
    }
    if (st != GW_OK) {
        return st;
    }
    const gw__queue_row *dead = gw__topology_queue(topology, it->dead_name);
    st = dead == NULL || dead->n_logs == 0
             ? gw_error_set(it->err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", it->dead_name)
             : gw__bus_log_get(it->bus, dead, &dead->logs[0], &it->dead, it->err);
    gw__topology_put(topology);
    return st;
}

/* The oldest of the lowest priority. Returns how many were dropped. */
static size_t drop_oldest(gw__bus *bus, const gw__queue_row *queue, size_t max, spilling *to)
{
    size_t n_logs = queue->n_logs;
    while (n_logs > 0 && queue->logs[n_logs - 1].kind == GW__LOG_DELAY) {
        n_logs--;
    }
    for (size_t i = 0; i < n_logs; i++) { /* the main one, then from the last to the second */
        gw__open_log *log;
        const gw__log_row *row = &queue->logs[(n_logs - i) % n_logs];
        if (gw__bus_log_get(bus, queue, row, &log, NULL) != GW_OK) {
            continue;
        }
        if (to != NULL) {
            to->from = log->state;
        }
        size_t n = gw__log_has_ready(log->log)
                       ? gw__log_drop(log->log, max, to != NULL ? spill : NULL, to)
                       : 0;
        gw__bus_log_put(log);
        if (n > 0) {
            return n;
        }
    }
    return 0;
}

/* GW_E_NOT_FOUND when there is nothing to be dropped. */
static gw_status make_room(gw__bus *bus, const gw__queue_row *queue, size_t n, bool to_disk,
                           gw_error *err)
{
    if (queue->overflow == GW__OVERFLOW_DROP_OLDEST) {
        return drop_oldest(bus, queue, n, NULL) > 0 ? GW_OK : GW_E_NOT_FOUND;
    }
    spilling it = {.bus = bus, .queue = queue, .to_disk = to_disk, .err = err};
    gw_status st = open_dead(&it);
    if (st != GW_OK) {
        return gw_error_set(err, GW_E_FULL, 0,
                            "queue '%s' is full, and its dead letter queue cannot be used",
                            queue->name);
    }
    size_t n_dropped = drop_oldest(bus, queue, n, &it);
    if (n_dropped > 0) {
        gw__log_wake_one(bus->file.control, it.dead->state);
    }
    gw__bus_log_put(it.dead);
    return n_dropped > 0 ? GW_OK : it.st != GW_OK ? it.st : GW_E_NOT_FOUND;
}

bool gw__bus_refuses(const gw__queue_row *queue)
{
    size_t len = strlen(queue->name);
    size_t suffix = strlen(GW__DEAD_SUFFIX);
    return queue->overflow == GW__OVERFLOW_REFUSE ||
           (queue->overflow == GW__OVERFLOW_DEAD_LETTER && /* no dead letters of dead letters */
            (len + suffix > GW__BUS_NAME_MAX ||
             (len > suffix && strcmp(queue->name + len - suffix, GW__DEAD_SUFFIX) == 0)));
}

gw_status gw__bus_append(gw__bus *bus, const gw__queue_row *queue, gw__open_log *log,
                         const gw__log_write *writes, size_t n_writes, gw__bus_append_how how,
                         uint64_t *ret_end, gw_error *err)
{
    if (!is_limited(queue) || how.beyond_limits) {
        return gw__log_append(log->log, writes, n_writes, NULL, ret_end, err);
    }
    for (;;) {
        gw__log_limits limits;
        gw_status st = limits_of_log(bus, queue, log, &limits)
                           ? gw__log_append(log->log, writes, n_writes, &limits, ret_end, err)
                           : gw__bus_refuse(bus, queue, err);
        if (st == GW_E_LIMIT && could_fit(queue, writes, n_writes)) {
            st = gw__bus_refuse(bus, queue, err); /* too long for what the other logs leave */
        }
        if (st != GW_E_FULL || gw__bus_refuses(queue)) {
            return st;
        }
        st = make_room(bus, queue, n_writes, how.to_disk, err);
        if (st == GW_E_NOT_FOUND) { /* all of it is being handled: that much more is let in */
            return gw__log_append(log->log, writes, n_writes, NULL, ret_end, err);
        }
        if (st != GW_OK) {
            return st;
        }
    }
}
