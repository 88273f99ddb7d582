/* SPDX-License-Identifier: MIT */
/* Looking at a bus, and the changes that take one call. */
#include "bus/bus_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "bus/bus_admin_files.h"

#define PURGE_PART 4096

/* ---- opening --------------------------------------------------------------------- */

gw_status gw__admin_place(const char *where, gw__bus_place *ret_place, gw_error *err)
{
    if (where == NULL || where[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no directory of a bus was given");
    }
    if (strncmp(where, "bus:", 4) == 0) {
        gw__bus_url url;
        gw_status st = gw__bus_parse_url(where, &url, err);
        if (st == GW_OK) {
            *ret_place = url.place;
        }
        return st;
    }
    gw__bus_place place = {.must_exist = false};
    size_t len = strlen(where);
    while (len > 1 && where[len - 1] == '/') {
        len--;
    }
    if (len >= sizeof(place.dir)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the directory of the bus has too long a name");
    }
    memcpy(place.dir, where, len);
    *ret_place = place;
    return GW_OK;
}

/* What we would write into a directory of another user, its owner might not be able to read. */
static bool is_of_others(const char *dir)
{
    struct stat info;
    return stat(dir, &info) == 0 && info.st_uid != geteuid() && (info.st_mode & S_IWGRP) == 0;
}

gw_status gw__admin_check_user(const char *dir, gw_error *err)
{
    return !is_of_others(dir)
               ? GW_OK
               : gw_error_set(err, GW_E_DENIED, 0,
                              "the bus in %s belongs to another user, who could not use what is "
                              "made here: do this as that user ('ls -ld' shows who it is)",
                              dir);
}

gw_status gw_bus_open(const char *where, gw_bus_mode mode, gw_bus **ret_bus, gw_error *err)
{
    if (ret_bus == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_bus_open: nowhere to put it");
    }
    gw_bus *bus = calloc(1, sizeof(*bus));
    gw__bus_place *place = calloc(1, sizeof(*place));
    gw_status st = bus == NULL || place == NULL
                       ? gw_error_set(err, GW_E_NOMEM, 0, "no memory to open a bus")
                       : gw__admin_place(where, place, err);
    if (st == GW_OK && !gw__files_are_there(place->dir)) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no bus in %s", place->dir);
    }
    if (st == GW_OK && mode == GW_BUS_CHANGE) {
        st = gw__admin_check_user(place->dir, err);
    }
    if (st == GW_OK) {
        place->must_exist = true;
        place->read_only = bus->read_only = mode == GW_BUS_LOOK && is_of_others(place->dir);
        st = gw__bus_open(place, "godwit", &bus->bus, err);
        if ((st == GW_E_DENIED || st == GW_E_LIMIT /* of processes */) && mode == GW_BUS_LOOK &&
            !place->read_only) {
            place->read_only = bus->read_only = true;
            st = gw__bus_open(place, "godwit", &bus->bus, err);
        }
    }
    free(place);
    if (st != GW_OK) {
        free(bus);
        return st;
    }
    *ret_bus = bus;
    return GW_OK;
}

void gw_bus_close(gw_bus *bus)
{
    if (bus != NULL) {
        gw__bus_close(bus->bus);
        free(bus);
    }
}

const char *gw_bus_dir(const gw_bus *bus)
{
    return gw__bus_dir(bus->bus);
}

/* ---- helpers of all parts ----------------------------------------------------------- */

gw_status gw__admin_may_change(const gw_bus *bus, gw_error *err)
{
    return !bus->read_only ? GW_OK
                           : gw_error_set(err, GW_E_DENIED, 0,
                                          "the bus in %s was opened to look only", gw_bus_dir(bus));
}

gw_status gw__admin_queue(gw_bus *bus, const char *name, const gw__topology **ret_topology,
                          const gw__queue_row **ret_queue, gw_error *err)
{
    gw_status st = gw__topology_get(gw__bus_definitions(bus->bus), ret_topology, err);
    if (st != GW_OK) {
        return st;
    }
    *ret_queue = name != NULL ? gw__topology_queue(*ret_topology, name) : NULL;
    if (*ret_queue == NULL) {
        gw__topology_put(*ret_topology);
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no queue '%s' on the bus in %s",
                            name != NULL ? name : "", gw_bus_dir(bus));
    }
    return GW_OK;
}

const gw__log_row *gw__admin_log_at(const gw__queue_row *queue, size_t i)
{
    size_t n_priorities = 0;
    while (1 + n_priorities < queue->n_logs &&
           queue->logs[1 + n_priorities].kind == GW__LOG_PRIORITY) {
        n_priorities++;
    }
    return i < n_priorities    ? &queue->logs[i + 1]
           : i == n_priorities ? &queue->logs[0]
                               : &queue->logs[i];
}

void gw__admin_ring(gw_bus *bus, const gw__log_row *row)
{
    gw__control *control = gw__bus_control(bus->bus);
    gw__log_wake_all(control, &control->logs[row->log]);
}

uint64_t gw__admin_now_ms(void)
{
    return gw_clock_unix_ns() / GW_NS_PER_MS;
}

/* ---- queues --------------------------------------------------------------------------- */

const char *gw_bus_overflow_name(gw_bus_overflow overflow)
{
    switch (overflow) {
    case GW_BUS_DROP_OLDEST: return "drop-oldest";
    case GW_BUS_DEAD_LETTER: return "dead-letter";
    default: return "refuse";
    }
}

/* GW_E_NOT_FOUND: it was deleted meanwhile. */
static gw_status count_queue(gw_bus *bus, const gw__queue_row *row, gw_bus_queue *ret,
                             gw_error *err)
{
    gw_bus_queue queue = {.name = row->name,
                          .temporary = row->temporary,
                          .limits = {.max_messages = row->max_messages,
                                     .max_bytes = row->max_bytes,
                                     .overflow = (gw_bus_overflow)row->overflow}};
    for (size_t i = 0; i < row->n_logs; i++) {
        gw__log *log;
        gw__log_counts counts;
        gw_status st = gw__bus_log(bus->bus, row, &row->logs[i], &log, err);
        if (st != GW_OK) {
            return st;
        }
        gw__log_count(log, &counts);
        queue.n_bytes += counts.n_bytes;
        queue.n_expired += row->logs[i].kind == GW__LOG_DELAY ? 0 : counts.n_expired;
        queue.n_dropped += counts.n_dropped;
        queue.n_damaged += counts.n_damaged;
        if (row->logs[i].kind == GW__LOG_DELAY) {
            queue.n_delayed += counts.n_ready + counts.n_leased;
            continue;
        }
        queue.n_ready += counts.n_ready;
        queue.n_leased += counts.n_leased;
        queue.n_in += counts.n_appended;
        queue.n_out += counts.n_settled;
        queue.n_redelivered += counts.n_redelivered;
        queue.n_consumers =
            counts.n_consumers > queue.n_consumers ? counts.n_consumers : queue.n_consumers;
    }
    *ret = queue;
    return GW_OK;
}

gw_status gw_bus_visit_queues(gw_bus *bus, gw_bus_queue_visitor visitor, void *ctx, gw_error *err)
{
    const gw__topology *topology;
    gw_status st = gw__topology_get(gw__bus_definitions(bus->bus), &topology, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n_queues;
    const gw__queue_row *const *rows = gw__topology_queues(topology, &n_queues);
    bool more = true;
    for (size_t i = 0; i < n_queues && st == GW_OK && more; i++) {
        gw_bus_queue queue;
        st = count_queue(bus, rows[i], &queue, err);
        if (st == GW_OK) {
            more = visitor(ctx, &queue);
        } else if (st == GW_E_NOT_FOUND) {
            st = GW_OK;
        }
    }
    gw__topology_put(topology);
    return st;
}

/* ---- the whole -------------------------------------------------------------------------- */

void gw_bus_visit_processes(gw_bus *bus, gw_bus_process_visitor visitor, void *ctx)
{
    gw__control *control = gw__bus_control(bus->bus);
    uint32_t own = bus->read_only ? GW__LOG_NOBODY : gw__bus_member(bus->bus);
    for (uint32_t i = 0; i < GW__BUS_MEMBERS_MAX; i++) {
        gw__member_state *state = &control->members[i];
        uint64_t generation = atomic_load(&state->generation);
        if (i == own || generation % 2 == 0) {
            continue;
        }
        char name[sizeof(state->name) + 1] = {0};
        memcpy(name, state->name, sizeof(state->name));
        gw_bus_process process = {.pid = state->pid, .name = name, .since_ms = state->since_ms};
        if (atomic_load(&state->generation) == generation && !visitor(ctx, &process)) {
            return;
        }
    }
}

static bool count_process(void *ctx, const gw_bus_process *process)
{
    (void)process;
    ++*(unsigned *)ctx;
    return true;
}

static bool add_queue(void *ctx, const gw_bus_queue *queue)
{
    gw_bus_summary *sum = ctx;
    sum->n_queues++;
    sum->n_temporary += queue->temporary ? 1 : 0;
    sum->n_ready += queue->n_ready;
    sum->n_leased += queue->n_leased;
    sum->n_delayed += queue->n_delayed;
    sum->n_damaged += queue->n_damaged;
    sum->n_bytes += queue->n_bytes;
    return true;
}

gw_status gw_bus_summarize(gw_bus *bus, gw_bus_summary *ret_summary, gw_error *err)
{
    gw_bus_summary sum = {.version = gw__bus_control(bus->bus)->version};
    const gw__topology *topology;
    gw_status st = gw__topology_get(gw__bus_definitions(bus->bus), &topology, err);
    if (st == GW_OK) {
        (void)gw__topology_exchanges(topology, &sum.n_exchanges);
        (void)gw__topology_bindings(topology, &sum.n_bindings);
        gw__topology_put(topology);
        st = gw_bus_visit_queues(bus, add_queue, &sum, err);
    }
    if (st == GW_OK) {
        gw_bus_visit_processes(bus, count_process, &sum.n_processes);
        sum.disk_bytes = gw__files_disk_bytes(gw_bus_dir(bus));
        *ret_summary = sum;
    }
    return st;
}

/* ---- messages ---------------------------------------------------------------------------- */

typedef struct visit {
    const char *queue;
    bool delayed;
    gw_bus_visitor visitor;
    void *ctx;
    bool stopped;
} visit;

static bool show(void *ctx, const gw__log_record *record, uint32_t leased_to)
{
    visit *it = ctx;
    gw_message *msg;
    if (gw__bus_read(record, it->queue, &msg, NULL) != GW_OK) {
        return true; /* whoever takes it sets it aside */
    }
    gw_bus_entry entry = {.part = it->delayed                   ? GW_BUS_DELAYED
                                  : leased_to == GW__LOG_NOBODY ? GW_BUS_READY
                                                                : GW_BUS_LEASED,
                          .due_ms = it->delayed ? record->expires_ms : 0,
                          .msg = msg};
    it->stopped = !it->visitor(it->ctx, &entry);
    gw_message_free(msg);
    return !it->stopped;
}

gw_status gw_bus_visit(gw_bus *bus, const char *queue, gw_bus_visitor visitor, void *ctx,
                       gw_error *err)
{
    const gw__topology *topology;
    const gw__queue_row *row;
    gw_status st = gw__admin_queue(bus, queue, &topology, &row, err);
    if (st != GW_OK) {
        return st;
    }
    visit it = {.queue = row->name, .visitor = visitor, .ctx = ctx};
    for (size_t i = 0; st == GW_OK && i < row->n_logs && !it.stopped; i++) {
        const gw__log_row *at = gw__admin_log_at(row, i);
        gw__log *log;
        it.delayed = at->kind == GW__LOG_DELAY;
        st = gw__bus_log(bus->bus, row, at, &log, err);
        if (st == GW_OK) {
            st = gw__log_visit(log, show, &it, err);
        }
    }
    gw__topology_put(topology);
    return st;
}

/* ---- changes ------------------------------------------------------------------------------- */

/* What is in it now, in parts: others need its lock meanwhile. */
static uint64_t purge_log(gw__log *log)
{
    gw__log_counts counts;
    gw__log_count(log, &counts);
    uint64_t n = 0;
    size_t n_part = 1;
    while (n_part > 0 && n < counts.n_ready) {
        uint64_t n_left = counts.n_ready - n;
        n_part = gw__log_drop(log, n_left < PURGE_PART ? (size_t)n_left : PURGE_PART, NULL, NULL);
        n += n_part;
    }
    return n;
}

gw_status gw_bus_purge(gw_bus *bus, const char *queue, uint64_t *ret_n_dropped, gw_error *err)
{
    const gw__topology *topology;
    const gw__queue_row *row;
    gw_status st = gw__admin_may_change(bus, err);
    if (st == GW_OK) {
        st = gw__admin_queue(bus, queue, &topology, &row, err);
    }
    if (st != GW_OK) {
        return st;
    }
    uint64_t n = 0;
    for (size_t i = 0; st == GW_OK && i < row->n_logs; i++) {
        gw__log *log;
        st = gw__bus_log(bus->bus, row, &row->logs[i], &log, err);
        if (st == GW_OK) {
            n += purge_log(log);
        }
    }
    gw__topology_put(topology);
    *ret_n_dropped = n;
    return st;
}

gw_status gw_bus_set_limits(gw_bus *bus, const char *queue, const gw_bus_limits *limits,
                            gw_error *err)
{
    const gw__topology *topology;
    const gw__queue_row *row;
    if (limits == NULL || (unsigned)limits->overflow > GW_BUS_DEAD_LETTER) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_bus_set_limits: these are no limits");
    }
    gw_status st = gw__admin_may_change(bus, err);
    if (st == GW_OK) {
        st = gw__admin_queue(bus, queue, &topology, &row, err);
    }
    if (st != GW_OK) {
        return st;
    }
    gw__topology_put(topology);
    return gw__definitions_limits(gw__bus_definitions(bus->bus), queue, limits->max_messages,
                                  limits->max_bytes, (gw__overflow)limits->overflow, err);
}
