/* SPDX-License-Identifier: MIT */
/* Putting right what others left: all of a bus that nobody had open, and what one had who died. */
#include "bus/bus_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/robust.h"

#define SERIAL_DIGITS 16

/* ---- all of it ------------------------------------------------------------------------------ */

/* The serials of all logs that the definitions name. */
typedef struct serials {
    uint64_t *items;
    size_t n;
} serials;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool has_serial(const serials *all, uint64_t serial)
{
    return all->n > 0 && bsearch(&serial, all->items, all->n, sizeof(serial), compare) != NULL;
}

static gw_status collect_serials(const gw__topology *topology, serials *ret, gw_error *err)
{
    size_t n_queues;
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n_queues);
    size_t n = 0;
    for (size_t i = 0; i < n_queues; i++) {
        n += queues[i]->n_logs;
    }
    ret->n = 0;
    ret->items = calloc(n + 1, sizeof(ret->items[0]));
    if (ret->items == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "opening a bus: out of memory");
    }
    for (size_t i = 0; i < n_queues; i++) {
        for (size_t k = 0; k < queues[i]->n_logs; k++) {
            ret->items[ret->n++] = queues[i]->logs[k].serial;
        }
    }
    qsort(ret->items, ret->n, sizeof(ret->items[0]), compare);
    return GW_OK;
}

static void raise_last_serial(gw__control *control, uint64_t serial)
{
    if (serial > atomic_load(&control->last_serial)) {
        atomic_store(&control->last_serial, serial);
    }
}

/* Logs that nobody names any more: a process was killed while it made or deleted them. */
static void forget_states(gw__bus *bus, const serials *named)
{
    gw__control *control = bus->file.control;
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        if (!has_serial(named, atomic_load(&control->logs[i].serial))) {
            atomic_store(&control->logs[i].serial, 0);
        }
    }
    for (size_t i = 0; i < named->n; i++) {
        raise_last_serial(control, named->items[i]);
    }
}

static bool parse_folder(const char *name, uint64_t *ret_serial)
{
    if (strlen(name) != SERIAL_DIGITS || strspn(name, "0123456789abcdef") != SERIAL_DIGITS) {
        return false;
    }
    *ret_serial = strtoull(name, NULL, 16);
    return *ret_serial != 0;
}

/* Whether there are folders of other logs; with `remove` there are none any more. */
static gw_status look_at_folders(gw__bus *bus, const serials *named, bool remove, bool *ret_others,
                                 gw_error *err)
{
    int fd = openat(bus->logs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int errnum = errno;
        if (fd >= 0) {
            close(fd);
        }
        return gw_error_set_errno(err, errnum, "cannot read the folder %s/logs", bus->dir);
    }
    struct dirent *item;
    *ret_others = false;
    while ((item = readdir(dir)) != NULL) {
        uint64_t serial;
        if (!parse_folder(item->d_name, &serial) || has_serial(named, serial)) {
            continue;
        }
        *ret_others = true;
        if (remove) {
            raise_last_serial(bus->file.control, serial);
            gw__log_remove_files(bus->logs_fd, serial);
        }
    }
    closedir(dir);
    return GW_OK;
}

gw_status gw__bus_check_definitions(gw__bus *bus, gw_error *err)
{
    if (faccessat(bus->file.dir_fd, "definitions/data.mdb", F_OK, 0) == 0 || errno != ENOENT) {
        return GW_OK; /* what is wrong with it is said when it is opened */
    }
    const serials none = {.n = 0};
    bool any;
    gw_status st = look_at_folders(bus, &none, false, &any, err);
    return st == GW_OK && any
               ? gw_error_set(
                     err, GW_E_PROTOCOL, 0,
                     "the bus in %s has logs of queues and no definitions of them: 'godwit "
                     "bus recover' saves what can be read",
                     bus->dir)
               : st;
}

static gw_status recover_log(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                             gw_error *err)
{
    if (row->log >= GW__BUS_LOGS_MAX || row->serial == 0) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "queue '%s': its log has a place that there is not: the definitions of "
                            "the bus in %s are damaged",
                            queue->name, bus->dir);
    }
    gw__log_state *state = gw__bus_state(bus, row->log);
    bool known = atomic_load(&state->serial) == row->serial;
    if (!known) {
        gw__log_create(state, row->serial);
    }
    gw__open_log *log;
    gw_status st = gw__bus_log_get(bus, queue, row, &log, err);
    if (st != GW_OK) {
        return st;
    }
    st = gw__log_recover(log->log, bus->file.rebooted || !known, err);
    gw__bus_log_put(log);
    return st;
}

static gw_status recover_logs(gw__bus *bus, const gw__topology *topology, gw_error *err)
{
    size_t n_queues;
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n_queues);
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_queues; i++) {
        for (size_t k = 0; st == GW_OK && k < queues[i]->n_logs; k++) {
            st = recover_log(bus, queues[i], &queues[i]->logs[k], err);
        }
        if (st == GW_OK && queues[i]->n_logs > 0) { /* may be too early */
            atomic_store(&gw__bus_state(bus, queues[i]->logs[0].log)->due_ms,
                         queues[i]->n_logs > 1 ? 0 : UINT64_MAX);
        }
    }
    return st;
}

gw_status gw__bus_recover(gw__bus *bus, gw_error *err)
{
    gw_status st =
        gw__definitions_delete_temporary(bus->defs, GW__LOG_NOBODY, 0, gw__bus_log_gone, bus, err);
    const gw__topology *topology = NULL;
    serials named = {.items = NULL};
    if (st == GW_OK) {
        st = gw__topology_get(bus->defs, &topology, err);
    }
    if (st == GW_OK) {
        st = collect_serials(topology, &named, err);
    }
    if (st == GW_OK) {
        forget_states(bus, &named);
        bool others;
        st = look_at_folders(bus, &named, true, &others, err);
    }
    if (st == GW_OK) {
        st = recover_logs(bus, topology, err);
    }
    free(named.items);
    if (topology != NULL) {
        gw__topology_put(topology);
    }
    return st;
}

/* ---- what is named no more ------------------------------------------------------------------- */

/* Whether there are logs or folders that the definitions do not name; with `remove` there are none
 * any more. */
static bool look_at_others(gw__bus *bus, const gw__topology *topology, bool remove)
{
    serials named;
    if (collect_serials(topology, &named, NULL) != GW_OK) {
        return false;
    }
    bool others = false;
    (void)look_at_folders(bus, &named, remove, &others, NULL);
    for (uint32_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        gw__log_row row = {.log = i, .serial = atomic_load(&gw__bus_state(bus, i)->serial)};
        if (row.serial == 0 || has_serial(&named, row.serial)) {
            continue;
        }
        others = true;
        if (remove) {
            gw__bus_log_gone(bus, &row);
        }
    }
    free(named.items);
    return others;
}

static void remove_others(void *ctx, const gw__topology *topology)
{
    (void)look_at_others(ctx, topology, true);
}

/* Who died may have been about to remove the logs of a queue that it had deleted, or to name one
 * that it had made. Others do so, too: what they are about to name is told from it under the lock
 * of the definitions. */
static void forget_others(gw__bus *bus, const gw__topology *topology)
{
    if (look_at_others(bus, topology, false)) {
        (void)gw__topology_hold(bus->defs, remove_others, bus, NULL);
    }
}

/* ---- what one had -------------------------------------------------------------------------------
 */

/* How many consumers each queue has, from the list of them. @locks members_lock */
static void count_consumers(gw__bus *bus)
{
    gw__control *control = bus->file.control;
    uint32_t n[GW__BUS_LOGS_MAX] = {0};
    for (size_t i = 0; i < GW__BUS_CONSUMERS_MAX; i++) {
        const gw__consumer_state *it = &control->consumers[i];
        uint64_t serial = atomic_load(&it->log_serial);
        if (serial != 0 && it->log < GW__BUS_LOGS_MAX &&
            atomic_load(&control->logs[it->log].serial) == serial) {
            n[it->log]++;
        }
    }
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        if (atomic_load(&control->logs[i].serial) != 0) {
            atomic_store(&control->logs[i].n_consumers, n[i]);
        }
    }
}

void gw__bus_lock_members(gw__bus *bus)
{
    pthread_mutex_t *lock = &bus->file.control->members_lock;
    if (gw__robust_lock(lock)) {
        count_consumers(bus);
        gw__robust_repaired(lock);
    }
}

void gw__bus_unlock_members(gw__bus *bus)
{
    gw__robust_unlock(&bus->file.control->members_lock);
}

/* Its leases in one queue. False when they cannot all be read at present. */
static bool return_leases(gw__bus *bus, const gw__queue_row *queue, uint32_t member)
{
    gw__control *control = bus->file.control;
    bool any = false;
    bool all = true;
    for (size_t i = 0; i < queue->n_logs; i++) {
        const gw__log_row *row = &queue->logs[i];
        gw__log_state *state = row->log < GW__BUS_LOGS_MAX ? gw__bus_state(bus, row->log) : NULL;
        if (state == NULL || atomic_load(&state->head) == atomic_load(&state->next)) {
            continue;
        }
        gw__open_log *log;
        gw_status st = gw__bus_log_get(bus, queue, row, &log, NULL);
        if (st != GW_OK) {
            all = all && st == GW_E_NOT_FOUND;
            continue;
        }
        size_t n = gw__log_return_all(log->log, member);
        any = any || n > 0;
        all = all && n != GW__LOG_NOT_ALL;
        gw__bus_log_put(log);
    }
    if (queue->n_logs == 0 || queue->logs[0].log >= GW__BUS_LOGS_MAX) {
        return all;
    }
    gw__log_state *main = gw__bus_state(bus, queue->logs[0].log);
    if (queue->logs[queue->n_logs - 1].kind == GW__LOG_DELAY) { /* it may have been ripening */
        atomic_store(&main->due_ms, 0);
        any = true;
    }
    if (any) {
        gw__log_wake_all(control, main);
    }
    return all;
}

/* It is rung for nothing any more: who publishes would take it for one who comes. */
static void forget_waiter(gw__bus *bus, uint32_t member)
{
    for (uint32_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        gw__log_state *state = gw__bus_state(bus, i);
        if (atomic_load(&state->waiters[member / 64]) != 0) {
            gw__log_wait_remove(state, member);
        }
    }
}

bool gw__bus_forget_member(gw__bus *bus, uint32_t member, uint64_t generation)
{
    gw__control *control = bus->file.control;
    gw_status st = gw__definitions_delete_temporary(bus->defs, member, generation, gw__bus_log_gone,
                                                    bus, NULL);
    for (size_t i = 0; i < GW__BUS_CONSUMERS_MAX; i++) {
        gw__consumer_state *it = &control->consumers[i];
        if (atomic_load(&it->log_serial) != 0 && it->member == member &&
            it->member_generation == generation) {
            atomic_store(&it->log_serial, 0);
        }
    }
    forget_waiter(bus, member);
    count_consumers(bus); /* all: whoever began this before may have died in between */
    return st == GW_OK;
}

bool gw__bus_member_died(void *ctx, uint32_t member, uint64_t generation)
{
    gw__bus *bus = ctx;
    const gw__topology *topology;
    bool all = gw__topology_get(bus->defs, &topology, NULL) == GW_OK;
    if (all) {
        size_t n_queues;
        const gw__queue_row *const *queues = gw__topology_queues(topology, &n_queues);
        for (size_t i = 0; i < n_queues; i++) {
            all = return_leases(bus, queues[i], member) && all;
        }
        forget_others(bus, topology);
        gw__topology_put(topology);
    }
    return gw__bus_forget_member(bus, member, generation) && all;
}
