/* SPDX-License-Identifier: MIT */
/*
 * What was published with a delay comes into its queue: appended there, then settled in the delay
 * log. Who dies in between leaves it in both: twice rather than not at all.
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

static bool move_one(gw__bus *bus, const gw__queue_row *queue, const gw__log_record *record,
                     uint64_t now_ms)
{
    unsigned priority;
    int64_t expiration_ms;
    if (!gw__bus_peek(record, &priority, &expiration_ms)) {
        atomic_fetch_add(&gw__bus_state(bus, queue->logs[0].log)->n_damaged, 1);
        return true; /* nobody can read it */
    }
    gw__open_log *log;
    if (gw__bus_log_get(bus, queue, row_for(queue, priority), &log, NULL) != GW_OK) {
        return false;
    }
    gw__log_write write = {.len = record->len,
                           .expires_ms = gw__bus_expires_ms(expiration_ms, now_ms),
                           .write = write_record,
                           .ctx = record};
    gw_status st = gw__log_append(log->log, &write, 1, NULL, NULL, NULL);
    gw__bus_log_put(log);
    return st == GW_OK;
}

/* Move what is due of one delay log; false when some of it could not be. */
static bool ripen_log(gw__bus *bus, const gw__queue_row *queue, gw__open_log *log, uint64_t now_ms,
                      size_t *n_moved)
{
    gw__log_record records[AT_ONCE];
    uint64_t done[AT_ONCE];
    size_t n;
    bool good = true;
    while (good &&
           (n = gw__log_take(log->log, bus->member, now_ms, now_ms, records, AT_ONCE)) > 0) {
        size_t n_done = 0;
        while (n_done < n && good) {
            good = move_one(bus, queue, &records[n_done], now_ms);
            done[n_done] = records[n_done].position;
            n_done += good ? 1 : 0;
        }
        gw__log_settle(log->log, bus->member, done, n_done, GW__LOG_DONE);
        for (size_t i = n_done; i < n; i++) {
            done[i - n_done] = records[i].position;
        }
        gw__log_settle(log->log, bus->member, done, n - n_done, GW__LOG_RETURN);
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
