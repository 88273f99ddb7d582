/* SPDX-License-Identifier: MIT */
#include "bus/bus_admin_salvage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/bus_admin.h"

#define PRIORITY_MAX 9

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory to recover a bus");
}

/* ---- the definitions -------------------------------------------------------------- */

static gw_status open_definitions(const char *dir, gw__definitions **ret_defs,
                                  const gw__topology **ret_topology, gw_error *err)
{
    gw_status st = gw__definitions_open(dir, 0700, 0600, true, ret_defs, err);
    if (st != GW_OK) {
        return st;
    }
    st = gw__topology_get(*ret_defs, ret_topology, err);
    if (st != GW_OK) {
        gw__definitions_close(*ret_defs);
    }
    return st;
}

/* LMDB trusts what it has mapped: damaged pages can end the process that reads them. So another one
 * tries first. */
gw_status gw__salvage_try_definitions(const char *dir, gw_error *err)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return gw_error_set_errno(err, errno, "cannot start a process to read the definitions");
    }
    if (pid == 0) {
        gw__definitions *defs;
        const gw__topology *topology;
        int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null_fd >= 0) { /* LMDB may say that it aborts */
            dup2(null_fd, STDERR_FILENO);
        }
        _exit((int)open_definitions(dir, &defs, &topology, NULL));
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return gw_error_set(err, WIFEXITED(status) ? (gw_status)WEXITSTATUS(status) : GW_E_IO, 0,
                        "the definitions in %s cannot be read", dir);
}

/* ---- what was found -------------------------------------------------------------------- */

static gw__salvage_tally *tally_of(gw__salvager *it, const char *name)
{
    name = name != NULL ? name : "";
    for (size_t i = it->n_tallies; i > 0; i--) { /* mostly the last one */
        if (strcmp(it->tallies[i - 1].name, name) == 0) {
            return &it->tallies[i - 1];
        }
    }
    gw__salvage_tally *more = realloc(it->tallies, (it->n_tallies + 1) * sizeof(*more));
    if (more == NULL) {
        it->st = no_memory(it->err);
        return NULL;
    }
    it->tallies = more;
    gw__salvage_tally *one = &it->tallies[it->n_tallies++];
    *one = (gw__salvage_tally){.counts = {.queue = NULL}};
    snprintf(one->name, sizeof(one->name), "%s", name);
    return one;
}

static void on_damaged(void *ctx, const char *name, uint64_t offset, size_t len)
{
    (void)offset;
    gw__salvager *it = ctx;
    gw__salvage_tally *one = tally_of(it, it->queue != NULL ? it->queue : name);
    if (one != NULL) {
        one->counts.n_damaged++;
        one->counts.n_damaged_bytes += len;
    }
}

static uint8_t *copy_bytes(const void *ctx, uint8_t *to)
{
    const gw__log_record *record = ctx;
    memcpy(to, record->bytes, record->len);
    return to + record->len;
}

static bool append(gw__salvager *it, const char *name, gw__log *to, const gw__log_record *record,
                   uint64_t expires_ms)
{
    gw__log_write write = {
        .len = record->len, .expires_ms = expires_ms, .write = copy_bytes, .ctx = record};
    gw__salvage_tally *one = tally_of(it, name);
    if (one != NULL) {
        it->st = gw__log_append(to, &write, 1, NULL, NULL, it->err);
        one->counts.n_recovered += it->st == GW_OK ? 1 : 0;
    }
    return it->st == GW_OK;
}

/* ---- the log of a queue -------------------------------------------------------------------- */

static const gw__log_row *find_log(const gw__queue_row *queue, gw__log_kind kind, uint32_t number)
{
    for (size_t i = 0; i < queue->n_logs; i++) {
        if (queue->logs[i].kind == kind &&
            (kind == GW__LOG_MAIN || queue->logs[i].number == number)) {
            return &queue->logs[i];
        }
    }
    return NULL;
}

/* The log of the new bus, made unless it is there. */
static gw_status open_log(gw__salvager *it, const char *name, gw__log_kind kind, uint32_t number,
                          gw__log **ret_log)
{
    gw__definitions *defs = gw__bus_definitions(it->bus);
    gw__log_maker maker = gw__bus_log_maker(it->bus);
    gw_status st = kind == GW__LOG_MAIN
                       ? GW_OK
                       : gw__definitions_log(defs, name, kind, number, &maker, it->err);
    const gw__topology *topology;
    if (st == GW_OK) {
        st = gw__topology_get(defs, &topology, it->err);
    }
    if (st != GW_OK) {
        return st;
    }
    const gw__queue_row *queue = gw__topology_queue(topology, name);
    const gw__log_row *row = queue != NULL ? find_log(queue, kind, number) : NULL;
    st = row != NULL ? gw__bus_log(it->bus, queue, row, ret_log, it->err)
                     : gw_error_set(it->err, GW_E_INTERNAL, 0, "queue '%s' has no log", name);
    gw__topology_put(topology);
    return st;
}

static gw_status read_log(gw__salvager *it, uint64_t serial,
                          bool (*found)(void *, const char *, const gw__log_record *))
{
    gw__log_salvage salvage = {.found = found, .damaged = on_damaged, .ctx = it};
    gw_error why = GW_ERROR_INIT;
    gw_status st =
        it->logs_fd < 0 ? GW_OK : gw__log_salvage_files(it->logs_fd, serial, &salvage, &why);
    if (st != GW_OK && st != GW_E_NOT_FOUND && it->st == GW_OK) { /* made with its first message */
        it->st = gw_error_set(it->err, st, why.native, "%s", why.text);
    }
    return it->st;
}

/* ---- with the definitions ---------------------------------------------------------------------
 */

static bool found_known(void *ctx, const char *name, const gw__log_record *record)
{
    (void)name;
    gw__salvager *it = ctx;
    return append(it, it->queue, it->to, record, record->expires_ms);
}

static gw_status recover_queue(gw__salvager *it, const gw__queue_row *queue)
{
    gw__queue_row wanted = *queue;
    wanted.id = 0;
    wanted.n_logs = 0;
    wanted.logs = NULL;
    gw_status st = gw__bus_declare_queue(it->bus, &wanted, it->err);
    it->queue = queue->name;
    (void)tally_of(it, queue->name);
    for (size_t i = 0; st == GW_OK && i < queue->n_logs; i++) {
        const gw__log_row *row = &queue->logs[i];
        st = open_log(it, queue->name, row->kind, row->number, &it->to);
        if (st == GW_OK) {
            st = read_log(it, row->serial, found_known);
        }
    }
    it->queue = NULL;
    return st;
}

static gw_status recover_bindings(gw__salvager *it, const gw__topology *topology)
{
    size_t n;
    gw_status st = GW_OK;
    gw__definitions *defs = gw__bus_definitions(it->bus);
    const gw__binding_row *const *bindings = gw__topology_bindings(topology, &n);
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        const gw__queue_row *queue = gw__topology_queue(topology, bindings[i]->queue);
        if (queue != NULL && !queue->temporary) {
            st = gw__definitions_bind(defs, bindings[i], it->err);
        }
    }
    return st;
}

gw_status gw__salvage_known(gw__salvager *it)
{
    gw__definitions *old;
    const gw__topology *topology;
    gw_status st = open_definitions(it->dir, &old, &topology, it->err);
    if (st != GW_OK) {
        return st;
    }
    size_t n;
    const gw__exchange_row *const *exchanges = gw__topology_exchanges(topology, &n);
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        if (strncmp(exchanges[i]->name, "amq.", 4) != 0) { /* those are always there */
            st = gw__definitions_exchange(gw__bus_definitions(it->bus), exchanges[i]->name,
                                          exchanges[i]->type, it->err);
        }
    }
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n);
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = queues[i]->temporary ? GW_OK : recover_queue(it, queues[i]);
    }
    if (st == GW_OK) {
        st = recover_bindings(it, topology);
    }
    gw__topology_put(topology);
    gw__definitions_close(old);
    return st == GW_OK ? it->st : st;
}

/* ---- without them ---------------------------------------------------------------------------- */

/* Where a message goes that says itself in which queue it was. GW_E_DENIED, GW_E_INVALID: no queue
 * of ours can have such a name. */
static gw_status find_place(gw__salvager *it, const char *name, unsigned priority, gw_error *err)
{
    gw__queue_row wanted = {.type = GW_QUEUE_CLASSIC};
    if (it->to != NULL && priority == it->last_priority && strcmp(name, it->last) == 0) {
        return GW_OK;
    }
    it->to = NULL;
    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    gw_status st = gw__bus_declare_queue(it->bus, &wanted, err);
    if (st == GW_OK) {
        st = open_log(it, name, priority > 0 ? GW__LOG_PRIORITY : GW__LOG_MAIN, priority, &it->to);
    }
    snprintf(it->last, sizeof(it->last), "%s", name);
    it->last_priority = priority;
    return st;
}

static bool found_unknown(void *ctx, const char *name, const gw__log_record *record)
{
    gw__salvager *it = ctx;
    gw_message *msg;
    if (name == NULL || name[0] == '\0' || strlen(name) > GW__BUS_NAME_MAX ||
        gw__bus_read(record, name, &msg, NULL) != GW_OK) {
        on_damaged(ctx, name, 0, record->len);
        return it->st == GW_OK;
    }
    unsigned priority = gw_message_priority(msg);
    int64_t expiration_ms = gw_message_expiration_ms(msg);
    gw_message_free(msg);
    it->st = find_place(it, name, priority < PRIORITY_MAX ? priority : PRIORITY_MAX, it->err);
    if (it->st == GW_E_DENIED || it->st == GW_E_INVALID) {
        it->st = GW_OK;
        on_damaged(ctx, name, 0, record->len);
        return it->st == GW_OK;
    }
    return it->st == GW_OK &&
           append(it, name, it->to, record,
                  expiration_ms < 0 ? 0 : gw__admin_now_ms() + (uint64_t)expiration_ms);
}

static int compare_serials(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The serials of the folders in "logs", by rising number: older logs first. */
static gw_status list_serials(const gw__salvager *it, uint64_t **ret_serials, size_t *ret_n)
{
    uint64_t *serials = NULL;
    size_t n = 0;
    int fd = openat(it->logs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int problem = errno;
        if (fd >= 0) {
            close(fd);
        }
        return gw_error_set_errno(it->err, problem, "cannot read %s/logs", it->dir);
    }
    struct dirent *item;
    while ((item = readdir(dir)) != NULL) {
        if (strlen(item->d_name) != 16 || strspn(item->d_name, "0123456789abcdef") != 16) {
            continue;
        }
        uint64_t *more = realloc(serials, (n + 1) * sizeof(*more));
        if (more == NULL) {
            free(serials);
            closedir(dir);
            return no_memory(it->err);
        }
        serials = more;
        serials[n++] = strtoull(item->d_name, NULL, 16);
    }
    closedir(dir);
    if (n > 0) {
        qsort(serials, n, sizeof(*serials), compare_serials);
    }
    *ret_serials = serials;
    *ret_n = n;
    return GW_OK;
}

gw_status gw__salvage_unknown(gw__salvager *it)
{
    uint64_t *serials = NULL;
    size_t n = 0;
    gw_status st = it->logs_fd < 0 ? GW_OK : list_serials(it, &serials, &n);
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = read_log(it, serials[i], found_unknown);
    }
    free(serials);
    return st == GW_OK ? it->st : st;
}
