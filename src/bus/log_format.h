/* SPDX-License-Identifier: MIT */
/*
 * The inside of a log, for the files that make it up: log.c opens and appends, log_sync.c brings it
 * to the disk, log_take.c takes and settles, log_walk.c goes from entry to entry, log_recover.c
 * repairs, log_look.c only looks.
 *
 * What is appended lies between `tail` and the end of the last segment until the tail moves: an
 * appender that is killed leaves nothing. What is taken changes its state, then `next` moves; what
 * is settled changes its state, then `head` moves. The states are the truth, the rest can be worked
 * out from them.
 */
#ifndef GW_BUS_LOG_FORMAT_H
#define GW_BUS_LOG_FORMAT_H

#include <pthread.h>

#include "bus/log.h"
#include "bus/segment.h"

struct gw__log {
    gw__log_state *state;
    int logs_dir_fd; /* not ours */
    unsigned dir_mode;
    char name[256];
    uint64_t serial;

    char folder[17];
    _Atomic bool has_folder; /* it was there */
    gw__segment_owner owner;

    bool is_whole;    /* the last repair of appends found the tail to be where it should */
    gw__segment tail; /* under append_lock: the segment that is appended to, if it is mapped */

    /* Under take_lock: those between head and next, mapped as they are needed. */
    gw__segment *maps; /* index first_map + i at i; a base of NULL: not mapped */
    size_t n_maps;
    size_t maps_room;
    uint32_t first_map;
    bool unreadable; /* a segment could not be mapped, and it was said */

    /* log_sync.c's. */
    _Atomic bool syncing;      /* a thread of ours leads a round */
    _Atomic uint32_t round;    /* the number of the last one that began, ... */
    _Atomic uint64_t round_to; /* ... and the position up to which it goes */
    _Atomic uint32_t n_rounds; /* that have ended: the futex of those who wait */
};

static inline uint64_t gw__position(uint32_t index, size_t offset)
{
    return (uint64_t)index << 32 | (uint32_t)offset;
}

static inline uint32_t gw__position_index(uint64_t position)
{
    return (uint32_t)(position >> 32);
}

static inline size_t gw__position_offset(uint64_t position)
{
    return (size_t)(uint32_t)position;
}

#define GW__FIRST_INDEX    1u
#define GW__FIRST_POSITION gw__position(GW__FIRST_INDEX, GW__SEGMENT_HEAD)

#define GW__LOG_SEGMENTS_MAX                                                                       \
    ((size_t)1 << 16) /* that one has at a time: a terabyte of messages                            \
                       */

/* Whether a log can reach from the one position to the other. What is in the control file is
 * believed only after that: one wrong bit in it must not keep a process busy for hours. */
static inline bool gw__log_spans(uint64_t from, uint64_t to)
{
    return from <= to && gw__position_index(to) - gw__position_index(from) < GW__LOG_SEGMENTS_MAX &&
           gw__position_index(from) >= GW__FIRST_INDEX && from % 8 == 0 && to % 8 == 0 &&
           gw__position_offset(from) >= GW__SEGMENT_HEAD &&
           gw__position_offset(to) >= GW__SEGMENT_HEAD;
}

/* The way to one of its files from logs_dir_fd. */
static inline void gw__log_segment_path(const gw__log *log, uint32_t index,
                                        char ret_path[GW__SEGMENT_PATH_LEN])
{
    char name[GW__SEGMENT_NAME_LEN + 1];
    gw__segment_name(index, name);
    gw__segment_path(&log->owner, name, ret_path);
}

/* Look for the log's folder, or make it. GW_E_NOT_FOUND when there is none. */
gw_status gw__log_find_dir(gw__log *log, bool make, gw_error *err);

/* Locked, and repaired if its last owner died and this log is still there. If another log is in
 * the place by now, or it cannot be repaired at present, that is left to the next. */
void gw__log_enter_append(gw__log *log);
void gw__log_enter_take(gw__log *log);

/* The same, and this log is still there: otherwise false, and not locked. */
bool gw__log_lock_append(gw__log *log);
bool gw__log_lock_take(gw__log *log);

/* ---- under take_lock --------------------------------------------------------------- */

/* The segment with this index, mapped, until the next call. What is not there or not one is gone
 * for good (gw__log_is_gone()); anything else may pass: no descriptors, no memory, no right. */
gw_status gw__log_map(gw__log *log, uint32_t index, gw__segment **ret_segment, gw_error *err);

static inline bool gw__log_is_gone(gw_status st)
{
    return st == GW_E_NOT_FOUND || st == GW_E_PROTOCOL;
}

void gw__log_unmap_before(gw__log *log, uint32_t index);

/*
 * The entry at *position, which moves over ends of segments and over what is damaged; NULL when
 * there is none before `end`, and *position is `end` then; or when a segment cannot be read at
 * present, and *position stays before `end`. `expected` is the number it should have,
 * 0 when that is not known: what is missing is counted as damaged and put aside, and a void entry
 * takes its place.
 */
gw__entry_head *gw__log_walk(gw__log *log, uint64_t *position, uint64_t end, uint64_t expected);

/* Count the damage at an entry, and keep its bytes for a person. */
void gw__log_set_aside(gw__log *log, const uint8_t *bytes, size_t len, uint64_t n_messages);

/* Move the head over what is settled, and delete the segments before it. True when it stopped to
 * let others have the lock for a while: it is to be called again. */
bool gw__log_advance_head(gw__log *log);

/* Unlock, and go on with the head as long as there is `more`. */
void gw__log_unlock_take(gw__log *log, bool more);

/* Work out the numbers between head and next, give back what a dead taker was about to lease; with
 * `void_leases` everything that is leased. take_unrepaired tells whether all could be read. */
void gw__log_repair_takes(gw__log *log, bool void_leases);

static inline uint64_t gw__log_behind(uint64_t position, const gw__entry_head *entry)
{
    return position + gw__entry_size(entry->len);
}

/* An entry as others see it. */
static inline gw__log_record gw__log_record_of(uint64_t position, const gw__entry_head *entry,
                                               uint64_t state)
{
    return (gw__log_record){.position = position,
                            .seq = entry->seq,
                            .expires_ms = entry->expires_ms,
                            .redelivered = gw__entry_n_taken(state) > 0,
                            .n_taken = gw__entry_n_taken(state),
                            .bytes = gw__entry_bytes(entry),
                            .len = entry->len};
}

/* ---- under append_lock -------------------------------------------------------------- */

/* append_unrepaired tells whether it could. */
void gw__log_repair_appends(gw__log *log);

#endif
