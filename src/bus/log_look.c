/* SPDX-License-Identifier: MIT */
/* Looking at a log without a lock and without changing it: counts, and what waits in it. */
#include "bus/log_format.h"

uint64_t gw__log_n_bytes(const gw__log_state *state)
{
    uint64_t done = atomic_load(&state->done_bytes); /* before the other: see where they change */
    uint64_t settled = atomic_load(&state->settled_bytes) + done;
    uint64_t appended = atomic_load(&state->appended_bytes);
    return appended > settled ? appended - settled : 0;
}

void gw__log_count(const gw__log *log, gw__log_counts *ret_counts)
{
    const gw__log_state *state = log->state;
    uint64_t next_seq = atomic_load(&state->next_seq);
    uint64_t last_seq = atomic_load(&state->last_seq);
    *ret_counts = (gw__log_counts){
        .n_ready = (last_seq + 1 > next_seq ? last_seq + 1 - next_seq : 0) + state->n_returned,
        .n_leased = state->n_leased,
        .n_bytes = gw__log_n_bytes(state),
        .n_appended = last_seq,
        .n_settled = state->n_settled,
        .n_expired = state->n_expired,
        .n_dropped = state->n_dropped,
        .n_redelivered = state->n_redelivered,
        .n_damaged = state->n_damaged,
        .n_consumers = state->n_consumers};
}

bool gw__log_has_ready(const gw__log *log)
{
    return atomic_load(&log->state->next) < atomic_load(&log->state->tail) ||
           atomic_load(&log->state->n_returned) > 0;
}

/* ---- visiting ------------------------------------------------------------------------------- */

/* Show the entries of one segment from `offset` on. False when visit wants no more. */
static bool visit_segment(gw__segment *segment, size_t offset, uint64_t end, gw__log_visitor visit,
                          void *ctx)
{
    while (gw__position(segment->index, offset) < end && gw__entry_is_sound(segment, offset)) {
        gw__entry_head *entry = gw__entry_at(segment, offset);
        if (entry->len == GW__ENTRY_END) {
            break;
        }
        uint64_t state = atomic_load(&entry->state);
        uint64_t phase = gw__entry_phase(state);
        gw__log_record record =
            gw__log_record_of(gw__position(segment->index, offset), entry, state);
        if (phase != GW__ENTRY_DONE && gw__entry_is_whole(entry) &&
            !visit(ctx, &record,
                   phase == GW__ENTRY_LEASED ? gw__entry_owner(state) : GW__LOG_NOBODY)) {
            return false;
        }
        offset += gw__entry_size(entry->len);
    }
    return true;
}

gw_status gw__log_visit(gw__log *log, gw__log_visitor visit, void *ctx, gw_error *err)
{
    uint64_t position = atomic_load(&log->state->head);
    uint64_t end = atomic_load(&log->state->tail);
    if (position >= end) {
        return GW_OK;
    }
    gw_status st =
        gw__log_spans(position, end)
            ? gw__log_find_dir(log, false, err)
            : gw_error_set(err, GW_E_PROTOCOL, 0,
                           "queue '%s': where its log begins and ends is damaged", log->name);
    bool more = st == GW_OK;
    while (more && position < end) {
        uint32_t index = gw__position_index(position);
        gw__segment segment;
        gw_status opened = gw__segment_open(&log->owner, index, false, &segment, err);
        if (opened == GW_OK) { /* otherwise it was settled meanwhile, or is damaged */
            more = visit_segment(&segment, gw__position_offset(position), end, visit, ctx);
            gw__segment_close(&segment);
        } else if (!gw__log_is_gone(opened)) {
            return opened;
        }
        position = gw__position(index + 1, GW__SEGMENT_HEAD);
        uint64_t head = atomic_load(&log->state->head);
        position = position > head ? position : head;
    }
    return st;
}
