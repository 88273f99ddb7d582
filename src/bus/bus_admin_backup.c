/* SPDX-License-Identifier: MIT */
/*
 * A copy of a bus as it is at one moment, while others work with it.
 *
 * What has to be of the same moment, and how it is:
 *  - All logs. A message moves from one to another (a delay that is over, a dead letter) by being
 *    appended there and settled here. With the logs noted one by one it could be seen in neither.
 * So all their locks are held together, taken by rising number as control.h has it, while what they
 *    are is noted; that takes milliseconds. Then a message on its way is in one of the two, or in
 *    both, as after kill -9.
 *  - The definitions and the logs: each log must be named by a definition, and each definition have
 *    its log. The generation of the definitions, which grows with each change, is read before and
 *    after everything: when it is the same, the definitions copied last are those of the moment at
 *    which the locks were held. When it is not, all of it is done again.
 *
 * The definitions are copied after the locks are released: LMDB's own lock may be held by somebody
 * who waits for a log's.
 *
 * The control file is not copied: it is made again from the logs when the copy is first opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/bus_admin.h"
#include "bus/bus_admin_files.h"

#define N_TRIES 100

typedef struct held {
    uint32_t number;
    gw__log *log;
    gw__log_copy *copy;
} held;

typedef struct backup {
    gw_bus *bus;
    int stop_fd;
    char temporary[GW__FILES_PATH_MAX]; /* where it is made before it gets its name */
    held *logs;
    size_t n_logs;
} backup;

static void forget_logs(backup *it)
{
    for (size_t i = 0; i < it->n_logs; i++) {
        gw__log_copy_free(it->logs[i].copy);
    }
    free(it->logs);
    it->logs = NULL;
    it->n_logs = 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = ((const held *)a)->number;
    uint32_t right = ((const held *)b)->number;
    return (left > right) - (left < right);
}

/* All logs of the topology but those of temporary queues, which end with their processes. */
static gw_status list_logs(backup *it, const gw__topology *topology, gw_error *err)
{
    size_t n_queues;
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n_queues);
    size_t n = 0;
    for (size_t i = 0; i < n_queues; i++) {
        n += queues[i]->n_logs;
    }
    it->logs = calloc(n + 1, sizeof(*it->logs));
    if (it->logs == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a backup");
    }
    for (size_t i = 0; i < n_queues; i++) {
        for (size_t k = 0; k < queues[i]->n_logs && !queues[i]->temporary; k++) {
            held *at = &it->logs[it->n_logs];
            at->number = queues[i]->logs[k].log;
            gw_status st = gw__bus_log(it->bus->bus, queues[i], &queues[i]->logs[k], &at->log, err);
            if (st != GW_OK) {
                return st;
            }
            it->n_logs++;
        }
    }
    qsort(it->logs, it->n_logs, sizeof(*it->logs), compare_numbers);
    return GW_OK;
}

static gw_status note_logs(backup *it, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; i < it->n_logs; i++) {
        gw__log_hold_takes(it->logs[i].log);
    }
    for (size_t i = 0; i < it->n_logs; i++) {
        gw__log_hold_appends(it->logs[i].log);
    }
    for (size_t i = 0; st == GW_OK && i < it->n_logs; i++) {
        st = gw__log_is_there(it->logs[i].log)
                 ? gw__log_note(it->logs[i].log, &it->logs[i].copy, err)
                 : gw_error_set(err, GW_E_NOT_FOUND, 0, "a queue was deleted meanwhile");
    }
    for (size_t i = it->n_logs; i > 0; i--) {
        gw__log_release(it->logs[i - 1].log);
    }
    return st;
}

static gw_status make_folder(const backup *it, const char *name, char *ret_path, gw_error *err)
{
    int len = snprintf(ret_path, GW__FILES_PATH_MAX, "%s%s", it->temporary, name);
    if (len < 0 || len >= GW__FILES_PATH_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "the name of the backup is too long");
    }
    return mkdir(ret_path, 0700) == 0
               ? GW_OK
               : gw_error_set_errno(err, errno, "cannot make the directory %s", ret_path);
}

static gw_status check_stop(const backup *it, gw_error *err)
{
    struct pollfd fd = {.fd = it->stop_fd, .events = POLLIN};
    return it->stop_fd >= 0 && poll(&fd, 1, 0) > 0
               ? gw_error_set(err, GW_E_CLOSED, 0, "the backup was interrupted, and removed")
               : GW_OK;
}

static gw_status write_logs(const backup *it, gw_error *err)
{
    char path[GW__FILES_PATH_MAX];
    gw_status st = make_folder(it, "/logs", path, err);
    int fd = st == GW_OK ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (st == GW_OK && fd < 0) {
        st = gw_error_set_errno(err, errno, "cannot open %s", path);
    }
    for (size_t i = 0; st == GW_OK && i < it->n_logs; i++) {
        st = check_stop(it, err);
        st = st == GW_OK ? gw__log_copy_out(it->logs[i].copy, fd, err) : st;
    }
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

/* Note the logs and copy the definitions. GW_E_BUSY: these changed meanwhile. */
static gw_status try_once(backup *it, gw_error *err)
{
    gw__definitions *defs = gw__bus_definitions(it->bus->bus);
    const gw__topology *topology;
    char path[GW__FILES_PATH_MAX];
    gw_status st = gw__topology_get(defs, &topology, err);
    if (st != GW_OK) {
        return st;
    }
    uint64_t generation = gw__topology_generation(topology);
    st = list_logs(it, topology, err);
    if (st == GW_OK) {
        st = note_logs(it, err);
    }
    gw__topology_put(topology);
    if (st == GW_OK) {
        st = make_folder(it, "", path, err);
    }
    if (st == GW_OK) {
        st = make_folder(it, "/definitions", path, err);
    }
    if (st == GW_OK) {
        st = gw__definitions_copy(defs, path, err);
    }
    if (gw__definitions_generation(defs) != generation) { /* whatever became of it */
        return gw_error_set(err, GW_E_BUSY, 0,
                            "queues of the bus in %s come and go all the time: no moment could be "
                            "found to copy them",
                            gw_bus_dir(it->bus));
    }
    return st;
}

gw_status gw_bus_backup(gw_bus *bus, const char *to, int stop_fd, gw_error *err)
{
    struct stat info;
    if (to == NULL || to[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no directory for the backup was given");
    }
    gw_status st = gw__admin_may_change(bus, err);
    if (st != GW_OK) {
        return st;
    }
    if (lstat(to, &info) == 0) {
        return gw_error_set(err, GW_E_EXISTS, 0, "%s is there already: give the backup a new name",
                            to);
    }
    backup *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a backup");
    }
    it->bus = bus;
    it->stop_fd = stop_fd;
    int len = snprintf(it->temporary, sizeof(it->temporary), "%s.partial-%ld", to, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof(it->temporary)) {
        free(it);
        return gw_error_set(err, GW_E_LIMIT, 0, "the name of the backup is too long");
    }
    st = GW_E_BUSY;
    for (unsigned i = 0; st == GW_E_BUSY && i < N_TRIES; i++) {
        gw__files_remove(it->temporary);
        forget_logs(it);
        st = try_once(it, err);
    }
    if (st == GW_OK) {
        st = write_logs(it, err);
    }
    st = st == GW_OK ? check_stop(it, err) : st;
    if (st == GW_OK) {
        st = gw__files_sync(it->temporary, err);
    }
    if (st == GW_OK) {
        st = gw__files_rename(it->temporary, to, err);
    }
    if (st == GW_OK) {
        st = gw__files_sync_parent(to, err);
    }
    if (st != GW_OK) {
        gw__files_remove(it->temporary);
    }
    forget_logs(it);
    free(it);
    return st;
}
