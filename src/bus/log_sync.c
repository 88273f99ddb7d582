/* SPDX-License-Identifier: MIT */
/*
 * Bringing a log to the disk, for many publishers at once.
 *
 * They go in rounds: one thread leads a round, which covers everything that was appended before it
 * began; who appends while it runs waits for the next. Those of a round are let go together, and
 * one of the next is woken to lead it. So each wakes up once, but for the one who leads.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/futex.h>

#include "bus/log_format.h"

#define GATHER_MAX 64 /* turns */

/* The system forgets what it could not write: no second try, for no process. */
static int sync_file(gw__log *log, int fd, int (*sync)(int))
{
    if (sync(fd) == 0 || (errno == EINVAL && sync == fsync)) {
        return 0; /* some file systems do without for folders */
    }
    int errnum = errno;
    atomic_store(&log->state->sync_failed, true);
    return errnum;
}

/* A segment that is gone was settled whole. */
static int sync_segment(gw__log *log, uint32_t index)
{
    char name[GW__SEGMENT_PATH_LEN];
    gw__log_segment_path(log, index, name);
    int fd = openat(log->logs_dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    int errnum = sync_file(log, fd, fdatasync);
    close(fd);
    return errnum;
}

static int sync_folder(gw__log *log)
{
    int fd = openat(log->logs_dir_fd, log->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    int errnum = sync_file(log, fd, fsync);
    close(fd);
    return errnum;
}

static int sync_from(gw__log *log, uint64_t from, uint64_t to)
{
    uint64_t head = log->state->head;
    head = head < to ? head : to;
    int errnum = gw__log_spans(head, to) ? 0 : EPROTO;
    for (uint64_t i = gw__position_index(from > head ? from : head);
         errnum == 0 && i <= gw__position_index(to); i++) {
        errnum = sync_segment(log, (uint32_t)i);
    }
    /* The names of files that are new, and that of the folder: who made it may have been killed
     * before he saw to that. */
    bool is_first = from == GW__FIRST_POSITION;
    if (errnum == 0 && (is_first || gw__position_index(from) != gw__position_index(to))) {
        errnum = sync_folder(log);
    }
    return errnum == 0 && is_first ? sync_file(log, log->logs_dir_fd, fsync) : errnum;
}

/* Everybody waits on one futex, with a bit for every second round. */
static uint32_t bit_of(uint32_t round)
{
    return 1U << round % 2;
}

static void wake(gw__log *log, int n, uint32_t bits)
{
    syscall(SYS_futex, &log->n_rounds, FUTEX_WAKE_BITSET_PRIVATE, n, NULL, NULL, bits);
}

/* Those who were let go by the last round are about to append again: a round with them is one round
 * less. Goes on as long as each turn brings some. */
static uint64_t gather(const gw__log_state *state)
{
    uint64_t to = atomic_load(&state->tail);
    uint64_t before = 0;
    for (int i = 0; i < GATHER_MAX && to != before; i++) {
        before = to;
        sched_yield();
        to = atomic_load(&state->tail);
    }
    return to;
}

/* Lead a round. One thread at a time: syncing is set. */
static gw_status lead(gw__log *log, gw_error *err)
{
    gw__log_state *state = log->state;
    uint64_t from = state->synced;
    uint64_t to = gather(state);
    uint32_t round = atomic_load(&log->round) + 1;
    atomic_store(&log->round_to, to);
    atomic_store(&log->round, round);
    gw_status st = gw__log_find_dir(log, false, err);
    int errnum = st == GW_OK ? sync_from(log, from, to) : 0;
    if (errnum != 0) {
        st = gw_error_set_errno(err, errnum,
                                "queue '%s': cannot bring its messages to the disk under the bus",
                                log->name);
    }
    while (st == GW_OK && from < to && !atomic_compare_exchange_weak(&state->synced, &from, to)) {}
    atomic_store(&log->syncing, false);
    atomic_fetch_add(&log->n_rounds, 1);
    if (st == GW_OK) {
        wake(log, INT_MAX, bit_of(round));
        wake(log, 1, bit_of(round + 1));
    } else { /* each finds out for itself */
        wake(log, INT_MAX, FUTEX_BITSET_MATCH_ANY);
    }
    return st;
}

/* The round that covers `end`: the one that runs, or the next. */
static uint32_t round_for(gw__log *log, uint64_t end)
{
    for (;;) {
        uint32_t round = atomic_load(&log->round);
        uint64_t to = atomic_load(&log->round_to);
        if (round == atomic_load(&log->round)) {
            return end <= to ? round : round + 1;
        }
    }
}

gw_status gw__log_sync(gw__log *log, uint64_t end, gw_error *err)
{
    uint32_t waited_for = 0;
    bool has_waited = false;
    for (;;) {
        uint32_t n_rounds = atomic_load(&log->n_rounds);
        bool expected = false;
        if (atomic_load(&log->state->sync_failed)) {
            return gw_error_set(err, GW_E_IO, 0,
                                "queue '%s': the disk under the bus did not take its messages: "
                                "see to the disk, and start all that use the bus again",
                                log->name);
        }
        if (atomic_load(&log->state->synced) >= end || !gw__log_is_there(log)) {
            if (has_waited && (int32_t)(waited_for - n_rounds) > 0) {
                wake(log, 1, bit_of(waited_for)); /* it was to lead, and has no need to */
            }
            return GW_OK;
        }
        if (atomic_compare_exchange_strong(&log->syncing, &expected, true)) {
            gw_status st = lead(log, err);
            if (st != GW_OK) {
                return st;
            }
        } else {
            waited_for = round_for(log, end);
            has_waited = true;
            syscall(SYS_futex, &log->n_rounds, FUTEX_WAIT_BITSET_PRIVATE, n_rounds, NULL, NULL,
                    bit_of(waited_for));
        }
    }
}
