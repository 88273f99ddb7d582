/* SPDX-License-Identifier: MIT */
/*
 * Publishing: the publisher's own thread finds the queues and writes into their logs. Messages with
 * one way are a run, which is one append for each queue. A message of which one queue has no room
 * is refused before any other has it.
 */
#include "bus/bus_inside.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#define RUN_MAX      128
#define QUEUES_FEW   16
#define SYNCS_MAX    32
#define ATTEMPTS_MAX 100 /* against a queue that is deleted and made again all the time */

/* A log with messages that are to be brought to the disk. */
typedef struct pending_sync {
    gw__open_log *log;
    uint64_t end;
} pending_sync;

typedef struct publishing {
    gw__bus *bus;
    const gw__bus_url *limits;
    bool to_disk;
    uint64_t now_ms; /* unix time, 0 until somebody wants to know it */
    const gw__topology *topology;

    /* Where the run goes. */
    const gw__queue_row **queues;
    gw__open_log **logs;
    size_t n_queues;
    size_t room;
    const gw__queue_row *few_queues[QUEUES_FEW];
    gw__open_log *few_logs[QUEUES_FEW];

    pending_sync syncs[SYNCS_MAX];
    size_t n_syncs;
    bool sync_failed;
} publishing;

static uint64_t now_ms(publishing *it)
{
    if (it->now_ms == 0) {
        it->now_ms = gw__unix_ms(gw_clock_unix_ns());
    }
    return it->now_ms;
}

static gw_status refresh(publishing *it, gw_error *err)
{
    const gw__topology *newer;
    gw_status st = gw__topology_get(it->bus->defs, &newer, err);
    if (st == GW_OK) {
        if (it->topology != NULL) {
            gw__topology_put(it->topology);
        }
        it->topology = newer;
    }
    return st;
}

/* ---- the way -------------------------------------------------------------------------------- */

static gw_status declare_exchange(publishing *it, const gw__target *target,
                                  const gw__exchange_row **ret_row, gw_error *err)
{
    *ret_row = gw__topology_exchange(it->topology, target->exchange);
    if (*ret_row != NULL && (*ret_row)->type == target->type) {
        return GW_OK;
    }
    gw_status st = gw__definitions_exchange(it->bus->defs, target->exchange, target->type, err);
    st = st == GW_OK ? refresh(it, err) : st;
    if (st == GW_OK) {
        *ret_row = gw__topology_exchange(it->topology, target->exchange);
    }
    return st;
}

static gw_status declare_queue(publishing *it, const gw__target *target,
                               const gw__queue_row **ret_row, gw_error *err)
{
    *ret_row = gw__topology_queue(it->topology, target->queue);
    if (*ret_row != NULL && !(*ret_row)->temporary && (*ret_row)->type == target->queue_type) {
        return GW_OK;
    }
    gw__queue_row wanted = {.type = target->queue_type,
                            .max_messages = it->limits->max_messages,
                            .max_bytes = it->limits->max_bytes,
                            .overflow = it->limits->overflow};
    memcpy(wanted.name, target->queue, strlen(target->queue) + 1);
    gw_status st = gw__bus_declare_queue(it->bus, &wanted, err);
    st = st == GW_OK ? refresh(it, err) : st;
    if (st == GW_OK) {
        *ret_row = gw__topology_queue(it->topology, target->queue);
    }
    return st;
}

static void free_arrays(publishing *it)
{
    if (it->queues != it->few_queues) {
        free(it->queues);
        free(it->logs);
    }
}

static gw_status grow(publishing *it, size_t n, gw_error *err)
{
    const gw__queue_row **queues = calloc(n, sizeof(queues[0]));
    gw__open_log **logs = calloc(n, sizeof(logs[0]));
    if (queues == NULL || logs == NULL) {
        free(queues);
        free(logs);
        return gw_error_set(err, GW_E_NOMEM, 0, "publish: out of memory");
    }
    free_arrays(it);
    it->queues = queues;
    it->logs = logs;
    it->room = n;
    return GW_OK;
}

static gw_status route(publishing *it, const gw__outgoing *item, gw_error *err)
{
    const gw__target *target = item->target;
    gw_status st = GW_OK;
    it->n_queues = 0;
    if (target->exchange[0] == '\0') {
        const gw__queue_row *row = NULL;
        if (target->queue != NULL) {
            st = declare_queue(it, target, &row, err);
        } else {
            row = gw__topology_queue(it->topology, item->routing_key);
        }
        it->queues[0] = row;
        it->n_queues = st == GW_OK && row != NULL ? 1 : 0;
        return st;
    }
    const gw__exchange_row *exchange;
    st = declare_exchange(it, target, &exchange, err);
    if (st != GW_OK || exchange == NULL) {
        return st;
    }
    size_t n = gw__topology_route(it->topology, exchange, item->routing_key, item->msg, it->queues,
                                  it->room);
    if (n > it->room) {
        st = grow(it, n, err);
        n = st != GW_OK ? 0
                        : gw__topology_route(it->topology, exchange, item->routing_key, item->msg,
                                             it->queues, it->room);
    }
    it->n_queues = n;
    return st;
}

/* Which of a queue's logs takes the message. */
static void log_for(const gw__outgoing *item, gw__log_kind *ret_kind, uint32_t *ret_number)
{
    unsigned priority = gw_message_priority(item->msg);
    if (item->target->delay_ms > 0) {
        *ret_kind = GW__LOG_DELAY;
        *ret_number = item->target->delay_ms;
    } else if (priority > 0) {
        *ret_kind = GW__LOG_PRIORITY;
        *ret_number = priority < GW__BUS_PRIORITY_MAX ? priority : GW__BUS_PRIORITY_MAX;
    } else {
        *ret_kind = GW__LOG_MAIN;
        *ret_number = 0;
    }
}

static const gw__log_row *find_row(const gw__queue_row *queue, gw__log_kind kind, uint32_t number)
{
    size_t n = kind == GW__LOG_MAIN && queue->n_logs > 1 ? 1 : queue->n_logs;
    for (size_t i = 0; i < n; i++) {
        if (queue->logs[i].kind == kind &&
            (kind == GW__LOG_MAIN || queue->logs[i].number == number)) {
            return &queue->logs[i];
        }
    }
    return NULL;
}

static void close_logs(publishing *it)
{
    for (size_t i = 0; i < it->n_queues; i++) {
        gw__bus_log_put(it->logs[i]);
        it->logs[i] = NULL;
    }
}

/* Open the log of each queue. `ret_again`: the definitions have changed, the way is to be looked
 * for again. */
static gw_status open_logs(publishing *it, const gw__outgoing *item, bool *ret_again, gw_error *err)
{
    gw__log_kind kind;
    uint32_t number;
    log_for(item, &kind, &number);
    for (size_t i = 0; i < it->n_queues; i++) {
        it->logs[i] = NULL;
    }
    *ret_again = false;
    for (size_t i = 0; i < it->n_queues; i++) {
        const gw__log_row *row = find_row(it->queues[i], kind, number);
        gw_status st;
        if (row != NULL) {
            st = gw__bus_log_get(it->bus, it->queues[i], row, &it->logs[i], err);
            if (st == GW_OK) {
                continue;
            }
        } else {
            st = gw__definitions_log(it->bus->defs, it->queues[i]->name, kind, number,
                                     &it->bus->maker, err);
        }
        close_logs(it);
        *ret_again = st == GW_OK || st == GW_E_NOT_FOUND;
        return *ret_again ? refresh(it, err) : st;
    }
    return GW_OK;
}

/* ---- the messages ------------------------------------------------------------------------------
 */

static void fill_writes(publishing *it, const gw__outgoing *items, size_t n, gw__log_write *writes)
{
    for (size_t i = 0; i < n; i++) {
        int64_t expiration_ms = gw_message_expiration_ms(items[i].msg);
        uint64_t expires_ms = 0;
        if (items[i].target->delay_ms > 0) {
            expires_ms = now_ms(it) + items[i].target->delay_ms;
        } else if (expiration_ms >= 0) {
            expires_ms = gw__bus_expires_ms(expiration_ms, now_ms(it));
        }
        writes[i] = (gw__log_write){.len = gw__bus_size(&items[i]),
                                    .expires_ms = expires_ms,
                                    .write = gw__bus_write,
                                    .ctx = &items[i]};
    }
}

/* Once it has failed it fails. */
static gw_status sync_all(publishing *it, gw_error *err)
{
    for (size_t i = 0; i < it->n_syncs; i++) {
        if (!it->sync_failed) {
            it->sync_failed = gw__log_sync(it->syncs[i].log->log, it->syncs[i].end, err) != GW_OK;
        }
        gw__bus_log_put(it->syncs[i].log);
    }
    it->n_syncs = 0;
    return it->sync_failed ? GW_E_IO : GW_OK;
}

static gw_status note_sync(publishing *it, gw__open_log *log, uint64_t end, gw_error *err)
{
    for (size_t i = 0; i < it->n_syncs; i++) {
        if (it->syncs[i].log == log) {
            it->syncs[i].end = end;
            return GW_OK;
        }
    }
    gw_status st = it->n_syncs == SYNCS_MAX ? sync_all(it, err) : GW_OK;
    gw__bus_log_ref(log);
    it->syncs[it->n_syncs++] = (pending_sync){.log = log, .end = end};
    return st;
}

static void ring(publishing *it, const gw__queue_row *queue, const gw__outgoing *item)
{
    gw__log_state *main = gw__bus_state(it->bus, queue->logs[0].log);
    if (item->target->delay_ms > 0) {
        gw__bus_lower_due(main, now_ms(it) + item->target->delay_ms);
    }
    gw__log_wake_one(it->bus->file.control, main);
}

/* Whether a queue is too full for all of them; `ret_split`: one by one some may fit. */
static gw_status check_room(publishing *it, const gw__log_write *writes, size_t n, bool *ret_split,
                            gw_error *err)
{
    *ret_split = false;
    for (size_t i = 0; i < it->n_queues; i++) {
        const gw__queue_row *queue = it->queues[i];
        if (gw__bus_make_fit(it->bus, queue, writes, n)) {
            continue;
        }
        if (n > 1) {
            *ret_split = true;
            return GW_OK;
        }
        if (it->n_queues > 1 && gw__bus_refuses(queue)) { /* one alone says it when appending */
            return gw__bus_refuse(it->bus, queue, err);
        }
    }
    return GW_OK;
}

/* Append to all queues. `ret_n_got` of them have it; those that were deleted meanwhile do not. */
static gw_status append_to_all(publishing *it, const gw__outgoing *items,
                               const gw__log_write *writes, size_t n, size_t *ret_n_got,
                               gw_error *err)
{
    bool delayed = items[0].target->delay_ms > 0;
    *ret_n_got = 0;
    for (size_t i = 0; i < it->n_queues; i++) {
        gw__bus_append_how how = {.to_disk = it->to_disk,
                                  .beyond_limits = delayed || *ret_n_got > 0};
        uint64_t end;
        gw_status st =
            gw__bus_append(it->bus, it->queues[i], it->logs[i], writes, n, how, &end, err);
        if (st == GW_E_NOT_FOUND) {
            continue;
        }
        if (st != GW_OK) {
            return st;
        }
        ++*ret_n_got;
        ring(it, it->queues[i], &items[0]);
        st = it->to_disk ? note_sync(it, it->logs[i], end, err) : GW_OK;
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* Nobody takes them. */
static gw_status drop_run(const gw__outgoing *items, size_t n, size_t *ret_n_done, gw_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].mandatory) {
            *ret_n_done = i;
            return gw_error_set(err, GW_E_UNROUTABLE, 312,
                                "no queue takes key '%s' of exchange '%s'", items[i].routing_key,
                                items[i].target->exchange);
        }
    }
    *ret_n_done = n;
    return GW_OK;
}

/* One try. `ret_again`: nothing has happened, since the queues changed meanwhile. */
static gw_status try_run(publishing *it, const gw__outgoing *items, size_t n, size_t *ret_n_done,
                         bool *ret_again, gw_error *err)
{
    *ret_again = false;
    *ret_n_done = 0;
    gw_status st = route(it, &items[0], err);
    if (st != GW_OK) {
        return st;
    }
    if (it->n_queues == 0) {
        return drop_run(items, n, ret_n_done, err);
    }
    st = open_logs(it, &items[0], ret_again, err);
    if (st != GW_OK || *ret_again) {
        return st;
    }
    gw__log_write writes[RUN_MAX];
    fill_writes(it, items, n, writes);
    bool split = false;
    st = items[0].target->delay_ms > 0 ? GW_OK : check_room(it, writes, n, &split, err);
    size_t n_got = 0;
    if (st == GW_OK) {
        n = split ? 1 : n;
        st = append_to_all(it, items, writes, n, &n_got, err);
    }
    close_logs(it);
    if (st == GW_OK && n_got == 0) {
        *ret_again = true;
        return refresh(it, err);
    }
    *ret_n_done = st == GW_OK ? n : 0;
    return st;
}

static bool is_same_way(const gw__outgoing *a, const gw__outgoing *b)
{
    if (a->routing_key != b->routing_key && strcmp(a->routing_key, b->routing_key) != 0) {
        return false;
    }
    gw__log_kind kinds[2];
    uint32_t numbers[2];
    log_for(a, &kinds[0], &numbers[0]);
    log_for(b, &kinds[1], &numbers[1]);
    return kinds[0] == kinds[1] && numbers[0] == numbers[1];
}

static size_t run_len(const gw__outgoing *items, size_t n)
{
    bool by_headers =
        items[0].target->exchange[0] != '\0' && items[0].target->type == GW_EXCHANGE_HEADERS;
    size_t max = by_headers ? 1 : n < RUN_MAX ? n : RUN_MAX;
    size_t len = 1;
    while (len < max && is_same_way(&items[0], &items[len])) {
        len++;
    }
    return len;
}

static gw_status check_names(const gw__outgoing *item, gw_error *err)
{
    const char *names[] = {item->target->exchange, item->routing_key,
                           item->target->queue != NULL ? item->target->queue : ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strnlen(names[i], GW__BUS_NAME_MAX + 1) > GW__BUS_NAME_MAX) {
            return gw_error_set(err, GW_E_LIMIT, 0,
                                "publish: a name or routing key is longer than %d bytes",
                                GW__BUS_NAME_MAX);
        }
    }
    return GW_OK;
}

static gw_status publish_run(publishing *it, const gw__outgoing *items, size_t n,
                             size_t *ret_n_done, gw_error *err)
{
    gw_status st = check_names(&items[0], err);
    bool again = st == GW_OK;
    for (unsigned i = 0; again && i < ATTEMPTS_MAX; i++) {
        st = try_run(it, items, n, ret_n_done, &again, err);
        again = again && st == GW_OK;
    }
    return again ? gw_error_set(err, GW_E_BUSY, 0,
                                "the queues for key '%s' of exchange '%s' change all the time",
                                items[0].routing_key, items[0].target->exchange)
                 : st;
}

gw_status gw__bus_publish(gw__bus *bus, const gw__outgoing *items, size_t n_items,
                          const gw__bus_url *limits, bool to_disk, size_t *ret_n_done,
                          gw_error *err)
{
    publishing it;
    it.bus = bus;
    it.limits = limits;
    it.to_disk = to_disk;
    it.now_ms = 0;
    it.topology = NULL;
    it.queues = it.few_queues;
    it.logs = it.few_logs;
    it.n_queues = 0;
    it.room = QUEUES_FEW;
    it.n_syncs = 0;
    it.sync_failed = false;
    *ret_n_done = 0;
    gw_status st = refresh(&it, err);
    while (st == GW_OK && *ret_n_done < n_items) {
        const gw__outgoing *rest = items + *ret_n_done;
        size_t n_done = 0;
        st = publish_run(&it, rest, run_len(rest, n_items - *ret_n_done), &n_done, err);
        *ret_n_done += n_done;
    }
    if (sync_all(&it, err) != GW_OK) { /* nobody knows which of them would survive power loss */
        st = GW_E_IO;
        *ret_n_done = 0;
    }
    free_arrays(&it);
    if (it.topology != NULL) {
        gw__topology_put(it.topology);
    }
    return st;
}
