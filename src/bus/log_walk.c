/* SPDX-License-Identifier: MIT */
/* From entry to entry of a log, over the ends of segments and over what is damaged. Everything here
 * needs take_lock. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/log.h>

#include "bus/log_format.h"

#define ADVANCE_MAX    ((size_t)1 << 14) /* entries, in one go: a millisecond or two */
#define GIVE_BACK_STEP ((size_t)1 << 20)

/* ---- segments ---------------------------------------------------------------------------- */

void gw__log_unmap_before(gw__log *log, uint32_t index)
{
    size_t n = 0;
    while (n < log->n_maps && log->first_map + n < index) {
        gw__segment_close(&log->maps[n++]);
    }
    if (n == 0) {
        return;
    }
    log->n_maps -= n;
    memmove(log->maps, log->maps + n, log->n_maps * sizeof(*log->maps));
    log->first_map = log->n_maps > 0 ? log->first_map + (uint32_t)n : index;
}

static bool make_room(gw__log *log, size_t n)
{
    if (n <= log->maps_room) {
        return true;
    }
    gw__segment *maps = realloc(log->maps, (n + 8) * sizeof(*maps));
    if (maps == NULL) {
        return false;
    }
    log->maps = maps;
    log->maps_room = n + 8;
    return true;
}

/* Places before those that there are: what was mapped first need not be the oldest. */
static bool add_places_before(gw__log *log, uint32_t index)
{
    size_t n = log->first_map - index;
    if (n + log->n_maps > GW__LOG_SEGMENTS_MAX || !make_room(log, n + log->n_maps)) {
        return false;
    }
    memmove(log->maps + n, log->maps, log->n_maps * sizeof(*log->maps));
    for (size_t i = 0; i < n; i++) {
        log->maps[i] = (gw__segment){.base = NULL};
    }
    log->n_maps += n;
    log->first_map = index;
    return true;
}

/* The place for a segment's map, made if it is not there; NULL when there can be none. */
static gw__segment *place_for(gw__log *log, uint32_t index)
{
    if (log->n_maps == 0) {
        log->first_map = index;
    }
    if (index < log->first_map && !add_places_before(log, index)) {
        return NULL;
    }
    size_t at = index - log->first_map;
    if (at >= GW__LOG_SEGMENTS_MAX || !make_room(log, at + 1)) {
        return NULL;
    }
    while (log->n_maps <= at) {
        log->maps[log->n_maps++] = (gw__segment){.base = NULL};
    }
    return &log->maps[at];
}

static gw_status map(gw__log *log, uint32_t index, gw__segment **ret_segment, gw_error *err)
{
    gw__log_unmap_before(log, gw__position_index(log->state->head));
    gw_status st = gw__log_find_dir(log, false, err);
    gw__segment segment;
    st = st == GW_OK ? gw__segment_open(&log->owner, index, true, &segment, err) : st;
    if (st != GW_OK) {
        return st;
    }
    gw__segment *place = place_for(log, index);
    if (place == NULL) {
        gw__segment_close(&segment);
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': no memory for its maps", log->name);
    }
    *place = segment;
    *ret_segment = place;
    return GW_OK;
}

gw_status gw__log_map(gw__log *log, uint32_t index, gw__segment **ret_segment, gw_error *err)
{
    size_t at = index - log->first_map;
    if (index >= log->first_map && at < log->n_maps && log->maps[at].base != NULL) {
        *ret_segment = &log->maps[at];
        return GW_OK;
    }
    gw_error why = GW_ERROR_INIT;
    gw_status st = map(log, index, ret_segment, err != NULL ? err : &why);
    bool unreadable = st != GW_OK && !gw__log_is_gone(st);
    if (unreadable && !log->unreadable) {
        gw_log_error("bus", "%s: its messages wait until that is put right",
                     (err != NULL ? err : &why)->text);
    }
    log->unreadable = unreadable;
    return st;
}

/* ---- damage ------------------------------------------------------------------------------- */

void gw__log_set_aside(gw__log *log, const uint8_t *bytes, size_t len, uint64_t n_messages)
{
    uint64_t before = atomic_fetch_add(&log->state->n_damaged, n_messages);
    gw_log_error("bus",
                 "queue '%s': %" PRIu64 " messages are damaged and were put aside (%" PRIu64
                 " so far): 'godwit bus status' counts them",
                 log->name, n_messages, before + n_messages);
    char path[GW__SEGMENT_PATH_LEN];
    gw__segment_path(&log->owner, "damaged", path);
    int fd = openat(log->logs_dir_fd, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                    log->owner.file_mode);
    if (fd >= 0) {
        if (write(fd, bytes, len) < 0) {
            /* They are counted all the same. */
        }
        close(fd);
    }
}

/* How many are missing before the first number that is known again. */
static uint64_t count_lost(uint64_t expected, uint64_t known)
{
    return expected != 0 && known > expected ? known - expected : 1;
}

/* No entry begins at this place: let a void entry lead to the next one, or to the end of what is
 * looked at, or let the log go on in the next segment. */
static void mend(gw__log *log, uint32_t index, size_t offset, uint64_t end, uint64_t expected)
{
    gw__segment *segment;
    uint64_t following_seq = 0;
    if (index < gw__position_index(end) && gw__log_map(log, index + 1, &segment, NULL) == GW_OK) {
        following_seq = segment->first_seq;
    }
    if (gw__log_map(log, index, &segment, NULL) != GW_OK) {
        return; /* cannot be: it is mapped */
    }
    size_t least = offset + sizeof(gw__entry_head);
    size_t to = gw__segment_find_sound(segment, least, expected);
    uint64_t known = to != 0 ? gw__entry_at(segment, to)->seq : 0;
    if (segment->index == gw__position_index(end) && (to == 0 || to >= gw__position_offset(end)) &&
        gw__position_offset(end) >= least) {
        to = gw__position_offset(end);
        known = end == log->state->tail ? log->state->last_seq + 1 : 0;
    }
    gw__entry_head *bridge = gw__entry_at(segment, offset);
    if (to != 0) {
        gw__log_set_aside(log, segment->base + offset, to - offset, count_lost(expected, known));
        atomic_store(&bridge->state, GW__ENTRY_DONE);
        gw__entry_seal(segment, offset, expected, 0, (uint32_t)(to - least));
    } else {
        gw__log_set_aside(log, segment->base + offset, sizeof(*bridge),
                          count_lost(expected, following_seq));
        gw__entry_seal(segment, offset, expected, 0, GW__ENTRY_END);
    }
}

/* The segment with this index is gone: move on to the next one there is, or to the end, and count
 * what is missing if nobody has before. False when that cannot be told at present. */
static bool pass_over(gw__log *log, uint64_t *position, uint64_t end, uint64_t expected)
{
    uint32_t first = gw__position_index(*position);
    uint64_t known = end == log->state->tail ? log->state->last_seq + 1 : 0;
    uint64_t to = end;
    for (uint32_t index = first; to == end && index < gw__position_index(end); index++) {
        gw__segment *segment;
        gw_status st = gw__log_map(log, index + 1, &segment, NULL);
        if (st == GW_OK) {
            known = segment->first_seq;
            to = gw__position(index + 1, GW__SEGMENT_HEAD);
        } else if (!gw__log_is_gone(st)) {
            return false;
        }
    }
    if (expected != 0 && known > expected && *position >= log->state->next) {
        gw__log_set_aside(log, NULL, 0, known - expected);
    }
    uint32_t tail = gw__position_index(log->state->tail); /* others may have that one mapped */
    for (uint32_t index = first; index < gw__position_index(to) && index < tail; index++) {
        gw__segment_keep_damaged(&log->owner, index);
    }
    *position = to;
    return true;
}

/* ---- walking -------------------------------------------------------------------------------- */

gw__entry_head *gw__log_walk(gw__log *log, uint64_t *position, uint64_t end, uint64_t expected)
{
    if (*position < end && !gw__log_spans(*position, end)) {
        return NULL; /* no log is so long: the control file is damaged */
    }
    while (*position < end) {
        uint32_t index = gw__position_index(*position);
        size_t offset = gw__position_offset(*position);
        gw__segment *segment;
        gw_status st = gw__log_map(log, index, &segment, NULL);
        if (st != GW_OK) {
            if (!gw__log_is_gone(st) || !pass_over(log, position, end, expected)) {
                return NULL;
            }
            continue;
        }
        if (offset + sizeof(gw__entry_head) <= segment->capacity) {
            if (!gw__entry_is_sound(segment, offset) &&
                gw__segment_reaches(segment, offset + sizeof(gw__entry_head))) {
                mend(log, index, offset, end, expected);
                st = gw__log_map(log, index, &segment, NULL);
            }
            if (st == GW_OK && gw__entry_is_sound(segment, offset) &&
                gw__entry_at(segment, offset)->len != GW__ENTRY_END) {
                return gw__entry_at(segment, offset);
            }
        }
        *position =
            index < gw__position_index(end) ? gw__position(index + 1, GW__SEGMENT_HEAD) : end;
    }
    return NULL;
}

/* Delete the files before the head's; give back the blocks before the head when there are many. */
static void clean_up(gw__log *log, uint64_t head)
{
    gw__log_state *state = log->state;
    uint32_t index = gw__position_index(head);
    size_t offset = gw__position_offset(head);
    if (state->first_segment + GW__LOG_SEGMENTS_MAX < index) {
        state->first_segment = index - GW__LOG_SEGMENTS_MAX;
    }
    while (state->first_segment < index) {
        char name[GW__SEGMENT_PATH_LEN];
        gw__log_segment_path(log, (uint32_t)state->first_segment, name);
        unlinkat(log->logs_dir_fd, name, 0);
        state->first_segment++;
    }
    gw__log_unmap_before(log, index);
    gw__segment *segment;
    if (offset >= GIVE_BACK_STEP && gw__log_map(log, index, &segment, NULL) == GW_OK &&
        offset <= segment->size) {
        uint64_t start = atomic_load(&gw__segment_head_of(segment)->start);
        if (start > offset || offset - start >= GIVE_BACK_STEP) {
            gw__segment_give_back(segment, offset);
        }
    }
}

bool gw__log_advance_head(gw__log *log)
{
    gw__log_state *state = log->state;
    uint64_t next = state->next;
    uint64_t position = state->head;
    uint64_t seq = state->head_seq;
    uint64_t n_bytes = 0;
    size_t n = 0;
    gw__entry_head *entry;
    while ((entry = gw__log_walk(log, &position, next, seq)) != NULL && n < ADVANCE_MAX &&
           gw__entry_phase(atomic_load_explicit(&entry->state, memory_order_relaxed)) ==
               GW__ENTRY_DONE) {
        n_bytes += gw__entry_size(entry->len);
        position = gw__log_behind(position, entry);
        seq = entry->seq + 1;
        n++;
    }
    if (position == state->head) {
        return false;
    }
    atomic_store(&state->head, position);
    atomic_store(&state->head_seq, entry != NULL     ? entry->seq
                                   : position < next ? seq
                                                     : state->next_seq);
    /* In between rather too little than too much is counted; gw__log_n_bytes() reads them in the
     * other order. */
    atomic_fetch_add(&state->settled_bytes, n_bytes);
    uint64_t done_bytes = atomic_load(&state->done_bytes);
    atomic_store(&state->done_bytes, done_bytes > n_bytes ? done_bytes - n_bytes : 0);
    if (position == next) { /* nothing is between: whatever the counters missed is put right */
        atomic_store(&state->n_leased, 0);
        atomic_store(&state->n_returned, 0);
        atomic_store(&state->done_bytes, 0);
        uint64_t appended_bytes = atomic_load(&state->appended_bytes);
        if (atomic_load(&state->tail) == position) {
            atomic_store(&state->settled_bytes, appended_bytes);
        }
    }
    clean_up(log, position);
    return entry != NULL && n == ADVANCE_MAX;
}
