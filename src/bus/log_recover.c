/* SPDX-License-Identifier: MIT */
/* Making a log's state right again: after a taker was killed, after all processes were, and after
 * the machine stopped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bus/log_format.h"
#include "bus/robust.h"

/* ---- after a killed process --------------------------------------------------------------- */

static void return_entry(gw__entry_head *entry, uint64_t state)
{
    atomic_store(&entry->state, gw__entry_state(gw__entry_n_taken(state), 0, GW__ENTRY_READY));
}

/* What it took moved no further than its states: those are behind `next`, and only the one who has
 * the lock makes any. They go back, as taken and returned. */
static void gather_taken(gw__log *log)
{
    gw__log_state *state = log->state;
    uint64_t position = state->next;
    uint64_t seq = state->next_seq;
    gw__entry_head *entry;
    while ((entry = gw__log_walk(log, &position, state->tail, seq)) != NULL) {
        uint64_t word = atomic_load(&entry->state);
        if (gw__entry_phase(word) == GW__ENTRY_READY && gw__entry_n_taken(word) == 0) {
            break;
        }
        if (gw__entry_phase(word) == GW__ENTRY_LEASED) {
            return_entry(entry, word);
        }
        seq = entry->seq + 1;
        position = gw__log_behind(position, entry);
    }
    atomic_store(&state->next_seq, entry != NULL ? entry->seq : seq);
    atomic_store(&state->next, position);
}

void gw__log_repair_takes(gw__log *log, bool void_leases)
{
    gw__log_state *state = log->state;
    uint64_t n_leased = 0;
    uint64_t n_returned = 0;
    uint64_t done_bytes = 0;
    gather_taken(log);
    uint64_t position = state->head;
    bool is_first = true;
    gw__entry_head *entry;
    while ((entry = gw__log_walk(log, &position, state->next, 0)) != NULL) {
        uint64_t word = atomic_load(&entry->state);
        if (is_first) {
            atomic_store(&state->head_seq, entry->seq);
            is_first = false;
        }
        if (gw__entry_phase(word) == GW__ENTRY_LEASED && void_leases) {
            return_entry(entry, word);
            word = atomic_load(&entry->state);
        }
        n_leased += gw__entry_phase(word) == GW__ENTRY_LEASED;
        n_returned += gw__entry_phase(word) == GW__ENTRY_READY;
        done_bytes += gw__entry_phase(word) == GW__ENTRY_DONE ? gw__entry_size(entry->len) : 0;
        position = gw__log_behind(position, entry);
    }
    state->take_unrepaired = position < state->next;
    atomic_store(&state->n_leased, n_leased);
    atomic_store(&state->n_returned, n_returned);
    atomic_store(&state->done_bytes, done_bytes);
    atomic_store(&state->returned_from, n_returned > 0 ? state->head : UINT64_MAX);
    while (gw__log_advance_head(log)) {}
}

/* ---- after the machine stopped -------------------------------------------------------------- */

/* Whether a file is a segment of this log, and not one that was put there: its number counts. */
static gw_status is_segment(gw__log *log, const char *name, uint32_t *ret_index, bool *ret_is,
                            gw_error *err)
{
    gw__segment segment;
    *ret_is = false;
    if (!gw__segment_parse_name(name, ret_index)) {
        return GW_OK;
    }
    gw_status st = gw__segment_open(&log->owner, *ret_index, false, &segment, err);
    if (st == GW_OK) {
        gw__segment_close(&segment);
        *ret_is = true;
    }
    return gw__log_is_gone(st) ? GW_OK : st;
}

/* The first and the last segment there is. *ret_found is false when there is none. */
static gw_status find_segments(gw__log *log, bool *ret_found, uint32_t *ret_first,
                               uint32_t *ret_last, gw_error *err)
{
    *ret_found = false;
    gw_status st = gw__log_find_dir(log, false, err);
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_OK : st;
    }
    int fd = openat(log->logs_dir_fd, log->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        st = gw_error_set_errno(err, errno, "queue '%s': cannot read the folder of its log",
                                log->name);
        if (fd >= 0) {
            close(fd);
        }
        return st;
    }
    struct dirent *item;
    while (st == GW_OK && (item = readdir(dir)) != NULL) {
        uint32_t index;
        bool is;
        st = is_segment(log, item->d_name, &index, &is, err);
        if (st == GW_OK && is) {
            *ret_first = !*ret_found || index < *ret_first ? index : *ret_first;
            *ret_last = !*ret_found || index > *ret_last ? index : *ret_last;
            *ret_found = true;
        }
    }
    closedir(dir);
    return st;
}

/* Where the entries of a segment end, as far as they can be read: behind the last sound one. What
 * is damaged in between is bridged by gw__log_walk(). */
static gw_status find_tail(gw__log *log, uint32_t first, uint32_t last, uint64_t *ret_tail,
                           uint64_t *ret_seq, gw_error *err)
{
    uint64_t tail = 0;
    uint64_t seq = 0;
    for (uint64_t i = first; i <= last; i++) {
        uint32_t index = (uint32_t)i;
        gw__segment *segment;
        gw_status st = gw__log_map(log, index, &segment, err);
        if (st != GW_OK && !gw__log_is_gone(st)) {
            return st;
        }
        size_t at = st == GW_OK ? gw__segment_start(segment) : 0;
        if (at != 0 && tail == 0) {
            tail = gw__position(index, at);
            seq = segment->first_seq - 1;
        }
        while (at != 0) {
            if (!gw__entry_is_sound(segment, at)) {
                at = gw__segment_find_sound(segment, at, seq + 1);
                continue;
            }
            const gw__entry_head *entry = gw__entry_at(segment, at);
            if (entry->len == GW__ENTRY_END) {
                break;
            }
            seq = entry->seq;
            at += gw__entry_size(entry->len);
            tail = gw__position(index, at);
        }
    }
    *ret_seq = seq;
    *ret_tail = tail != 0 ? tail : gw__position(first, GW__SEGMENT_HEAD);
    return GW_OK;
}

/* Everything from the head on that was ever taken is before `next`. */
static void find_next(gw__log *log, uint64_t first_seq)
{
    gw__log_state *state = log->state;
    uint64_t position = state->head;
    uint64_t seq = first_seq;
    uint64_t n_bytes = 0;
    gw__entry_head *entry;
    while ((entry = gw__log_walk(log, &position, state->tail, seq)) != NULL) {
        uint64_t word = atomic_load(&entry->state);
        if (n_bytes == 0) {
            state->head_seq = state->next_seq = entry->seq;
            state->next = position;
        }
        n_bytes += gw__entry_size(entry->len);
        seq = entry->seq + 1;
        position = gw__log_behind(position, entry);
        if (gw__entry_phase(word) != GW__ENTRY_READY || gw__entry_n_taken(word) > 0) {
            state->next = position;
            state->next_seq = seq;
        }
    }
    state->appended_bytes = n_bytes;
    state->settled_bytes = 0;
}

static gw_status rebuild(gw__log *log, gw_error *err)
{
    gw__log_state *state = log->state;
    uint32_t first = 0;
    uint32_t last = 0;
    gw__log_create(state, log->serial);
    bool found;
    gw_status st = find_segments(log, &found, &first, &last, err);
    if (st != GW_OK || !found) {
        return st;
    }
    state->head = gw__position(first, GW__SEGMENT_HEAD); /* for gw__log_map() */
    state->first_segment = first;
    uint64_t tail;
    uint64_t seq;
    st = find_tail(log, first, last, &tail, &seq, err);
    if (st != GW_OK) {
        return st;
    }
    state->tail = state->append_from = tail;
    state->last_seq = seq;
    state->head_seq = state->next_seq = seq + 1;
    gw__segment *segment;
    bool is_mapped = gw__log_map(log, first, &segment, NULL) == GW_OK;
    size_t start = is_mapped ? gw__segment_start(segment) : GW__SEGMENT_HEAD;
    state->head = gw__position(first, start);
    state->next = state->tail;
    find_next(log, is_mapped && start == GW__SEGMENT_HEAD ? segment->first_seq : 0);
    gw__log_repair_appends(log); /* nothing behind the tail */
    state->synced = state->tail; /* whoever relied on it does so still */
    return GW_OK;
}

/* Who opens a bus first goes through all its logs, and may use few of them. */
static void close_all(gw__log *log)
{
    gw__segment_close(&log->tail);
    gw__log_unmap_before(log, UINT32_MAX);
}

/* Whether what the state says can be: otherwise the files are believed. */
static bool is_possible(const gw__log_state *state)
{
    return gw__log_spans(state->head, state->next) && gw__log_spans(state->next, state->tail) &&
           gw__log_spans(state->head, state->tail) &&
           gw__log_spans(state->append_from, state->tail);
}

gw_status gw__log_recover(gw__log *log, bool rebooted, gw_error *err)
{
    gw__log_state *state = log->state;
    if (!gw__log_lock_take(log) || !gw__log_lock_append(log)) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", log->name);
    }
    gw_status st = GW_OK;
    rebooted = rebooted || !is_possible(state);
    if (!rebooted) {
        gw__log_repair_appends(log);
    }
    if (rebooted || (!log->is_whole && !state->append_unrepaired)) {
        st = rebuild(log, err);
    }
    if (st == GW_OK) {
        gw__log_repair_takes(log, true);
    }
    if (st == GW_OK && (state->append_unrepaired || state->take_unrepaired)) {
        st = gw_error_set(err, GW_E_IO, 0,
                          "queue '%s': its messages cannot be read (too many open files?)",
                          log->name);
    }
    for (size_t i = 0; i < GW__WAITER_WORDS; i++) {
        atomic_store(&state->waiters[i], 0);
    }
    atomic_store(&state->n_consumers, 0);
    atomic_store(&state->sync_failed, false);
    close_all(log);
    gw__robust_unlock(&state->append_lock);
    gw__robust_unlock(&state->take_lock);
    return st;
}
