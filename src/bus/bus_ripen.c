/* SPDX-License-Identifier: MIT */
/*
 * What was published with a delay comes into its queue: appended there, then settled in the delay
 * log. Who dies in between leaves it in both: twice rather than not at all. What was brought to the
 * disk is brought there anew before it is settled.
 *
 * A queue's due_ms may be too early, never too late. Who looks for the next time sets it to "never"
 * first, and lowers it again to what was found: who comes with an earlier message meanwhile, having
 * appended it before, lowers it as well. Should that one die in between, bus_recover.c sets it to
 * 0.
 */
#include "bus/bus_inside.h"

#include <string.h>

#define AT_ONCE  64
#define AGAIN_MS 1000 /* when something could not be moved */

void gw__bus_lower_due(gw__log_state *main, uint64_t due_ms)
{
    uint64_t now = atomic_load(&main->due_ms);
    while (due_ms < now && !atomic_compare_exchange_weak(&main->due_ms, &now, due_ms)) {}
}

static uint8_t *write_record(const void *ctx, uint8_t *to)
{
    const gw__log_record *record = ctx;
    memcpy(to, record->bytes, record->len);
    return to + record->len;
}

/* The log for its priority, if there is one by now, else the main one. */
static const gw__log_row *row_for(const gw__queue_row *queue, unsigned priority)
{
    unsigned number = priority > GW__BUS_PRIORITY_MAX ? GW__BUS_PRIORITY_MAX : priority;
    for (size_t i = 1; i < queue->n_logs && queue->logs[i].kind == GW__LOG_PRIORITY; i++) {
        if (queue->logs[i].number == number) {
            return &queue->logs[i];
        }
    }
    return &queue->logs[0];
}

/* Where messages of a delay log go: to one log after the other. */
typedef struct moving {
    gw__bus *bus;
    const gw__queue_row *queue;
    uint64_t now_ms;
    gw__open_log *to; /* NULL: none yet */
    uint64_t end;
    bool to_disk; /* something that was brought to the disk in the delay log */
    bool failed;  /* something of it is not there now */
} moving;

/* What was moved is as safe there as it was here. */
static bool finish(moving *it)
{
    bool good = it->to == NULL || !it->to_disk || gw__log_sync(it->to->log, it->end, NULL) == GW_OK;
    gw__bus_log_put(it->to);
    it->to = NULL;
    it->to_disk = false;
    return good;
}

/* Go on with the log for this priority. */
static bool turn_to(moving *it, unsigned priority)
{
    const gw__log_row *row = row_for(it->queue, priority);
    if (it->to != NULL && it->to->serial == row->serial) {
        return true;
    }
    return finish(it) && gw__bus_log_get(it->bus, it->queue, row, &it->to, NULL) == GW_OK;
}

/* `safe`: it was brought to the disk. */
static bool move_one(moving *it, const gw__log_record *record, bool safe)
{
    unsigned priority;
    int64_t expiration_ms;
    if (!gw__bus_peek(record, &priority, &expiration_ms)) {
        atomic_fetch_add(&gw__bus_state(it->bus, it->queue->logs[0].log)->n_damaged, 1);
        return true; /* nobody can read it */
    }
    if (!turn_to(it, priority) ||
        (safe && gw__log_sync(it->to->log, 0, NULL) != GW_OK)) { /* its disk has failed before */
        return false;
    }
    gw__log_write write = {.len = record->len,
                           .expires_ms = gw__bus_expires_ms(expiration_ms, it->now_ms),
                           .write = write_record,
                           .ctx = record};
    it->to_disk = it->to_disk || safe;
    return gw__log_append(it->to->log, &write, 1, NULL, &it->end, NULL) == GW_OK;
}

/* Move some records; returns how many, from the first on. */
static size_t move_some(moving *it, const gw__open_log *from, const gw__log_record *records,
                        size_t n, bool *ret_good)
{
    uint64_t synced = atomic_load(&from->state->synced);
    size_t n_done = 0;
    bool good = true;
    while (n_done < n && good) {
        good = move_one(it, &records[n_done], records[n_done].position < synced);
        n_done += good ? 1 : 0;
    }
    if (!finish(it)) { /* twice rather than not at all */
        good = false;
        n_done = 0;
    }
    *ret_good = good;
    return n_done;
}

/* Move what is due of one delay log; false when some of it could not be. */
static bool ripen_log(gw__bus *bus, const gw__queue_row *queue, gw__open_log *log, uint64_t now_ms,
                      size_t *n_moved)
{
    moving it = {.bus = bus, .queue = queue, .now_ms = now_ms};
    gw__log_record records[AT_ONCE];
    uint64_t done[AT_ONCE];
    size_t n;
    bool good = true;
    while (good &&
           (n = gw__log_take(log->log, bus->member, now_ms, now_ms, records, AT_ONCE)) > 0) {
        size_t n_done = move_some(&it, log, records, n, &good);
        for (size_t i = 0; i < n; i++) {
            done[i] = records[i].position;
        }
        gw__log_settle(log->log, bus->member, done, n_done, GW__LOG_DONE);
        gw__log_settle(log->log, bus->member, done + n_done, n - n_done, GW__LOG_RETURN);
        *n_moved += n_done;
    }
    return good;
}

static uint64_t ripen_all(gw__bus *bus, const gw__queue_row *queue, uint64_t now_ms,
                          size_t *n_moved)
{
    uint64_t next_ms = UINT64_MAX;
    for (size_t i = 1; i < queue->n_logs; i++) { /* the shorter delays first */
        gw__open_log *log;
        if (queue->logs[i].kind != GW__LOG_DELAY ||
            gw__bus_log_get(bus, queue, &queue->logs[i], &log, NULL) != GW_OK) {
            continue;
        }
        bool good = ripen_log(bus, queue, log, now_ms, n_moved);
        uint64_t due_ms = good ? gw__log_first_due_ms(log->log) : now_ms + AGAIN_MS;
        due_ms = due_ms != 0 ? due_ms : now_ms + AGAIN_MS; /* it cannot be read at present */
        next_ms = due_ms < next_ms ? due_ms : next_ms;
        gw__bus_log_put(log);
    }
    return next_ms;
}

uint64_t gw__bus_ripen(gw__bus *bus, const gw__queue_row *queue, uint64_t now_ms)
{
    gw__log_state *main = gw__bus_state(bus, queue->logs[0].log);
    uint64_t due_ms = atomic_load(&main->due_ms);
    if (due_ms > now_ms) {
        return due_ms;
    }
    (void)atomic_exchange(&main->due_ms, UINT64_MAX);
    size_t n_moved = 0;
    uint64_t next_ms = ripen_all(bus, queue, now_ms, &n_moved);
    gw__bus_lower_due(main, next_ms);
    if (n_moved > 0 || next_ms != UINT64_MAX) { /* they may have seen that nothing is due */
        gw__log_wake_all(bus->file.control, main);
    }
    return atomic_load(&main->due_ms);
}
