/* SPDX-License-Identifier: MIT */
/* Making a log's state right again: after a taker was killed, after all processes were, and after
 * the machine stopped. */
#include <dirent.h>
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
        position = gw__log_behind(position, entry);
    }
    atomic_store(&state->n_leased, n_leased);
    atomic_store(&state->n_returned, n_returned);
    atomic_store(&state->returned_from, n_returned > 0 ? state->head : UINT64_MAX);
    gw__log_advance_head(log);
}

/* ---- after the machine stopped -------------------------------------------------------------- */

/* The first and the last segment there is; false when there is none. */
static bool find_segments(gw__log *log, uint32_t *ret_first, uint32_t *ret_last)
{
    bool found = false;
    int fd = gw__log_open_dir(log, false, NULL) == GW_OK ? dup(log->owner.dir_fd) : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *item;
    uint32_t index;
    if (dir != NULL) {
        rewinddir(dir); /* the copy shares its place with the original */
    }
    while (dir != NULL && (item = readdir(dir)) != NULL) {
        if (gw__segment_parse_name(item->d_name, &index)) {
            *ret_first = !found || index < *ret_first ? index : *ret_first;
            *ret_last = !found || index > *ret_last ? index : *ret_last;
            found = true;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
    return found;
}

/* Where the entries of a segment end, as far as they can be read: behind the last sound one. What
 * is damaged in between is bridged by gw__log_walk(). */
static uint64_t find_tail(gw__log *log, uint32_t first, uint32_t last, uint64_t *ret_seq)
{
    uint64_t tail = 0;
    uint64_t seq = 0;
    for (uint32_t index = first; index <= last; index++) {
        gw__segment *segment = gw__log_map(log, index);
        size_t at = segment != NULL ? gw__segment_start(segment) : 0;
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
    return tail != 0 ? tail : gw__position(first, GW__SEGMENT_HEAD);
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

static void rebuild(gw__log *log)
{
    gw__log_state *state = log->state;
    uint32_t first;
    uint32_t last;
    gw__log_create(state, log->serial);
    if (!find_segments(log, &first, &last)) {
        return;
    }
    state->head = gw__position(first, GW__SEGMENT_HEAD); /* for gw__log_map() */
    state->first_segment = first;
    uint64_t seq;
    state->tail = state->append_from = find_tail(log, first, last, &seq);
    state->last_seq = seq;
    state->head_seq = state->next_seq = seq + 1;
    gw__segment *segment = gw__log_map(log, first);
    size_t start = segment != NULL ? gw__segment_start(segment) : GW__SEGMENT_HEAD;
    state->head = gw__position(first, start);
    state->next = state->tail;
    find_next(log, segment != NULL && start == GW__SEGMENT_HEAD ? segment->first_seq : 0);
    gw__log_repair_appends(log); /* nothing behind the tail */
    state->synced = state->tail; /* whoever relied on it does so still */
}

gw_status gw__log_recover(gw__log *log, bool rebooted, gw_error *err)
{
    gw__log_state *state = log->state;
    if (!gw__log_lock_take(log) || !gw__log_lock_append(log)) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", log->name);
    }
    if (rebooted) {
        rebuild(log);
    } else {
        gw__log_repair_appends(log);
    }
    gw__log_repair_takes(log, true);
    for (size_t i = 0; i < GW__WAITER_WORDS; i++) {
        atomic_store(&state->waiters[i], 0);
    }
    atomic_store(&state->n_consumers, 0);
    gw__robust_unlock(&state->append_lock);
    gw__robust_unlock(&state->take_lock);
    return GW_OK;
}
