/* SPDX-License-Identifier: MIT */
/* Taking from a log, and what becomes of what was taken. */
#include "bus/log_format.h"
#include "bus/robust.h"

void gw__log_enter_take(gw__log *log)
{
    gw__log_state *state = log->state;
    bool died = gw__robust_lock(&state->take_lock);
    state->take_unrepaired = state->take_unrepaired || died;
    if (state->take_unrepaired && gw__log_is_there(log)) {
        gw__log_repair_takes(log, false);
    }
    if (died) {
        gw__robust_repaired(&state->take_lock);
    }
}

bool gw__log_lock_take(gw__log *log)
{
    gw__log_enter_take(log);
    bool is_there = gw__log_is_there(log);
    if (!is_there) {
        gw__robust_unlock(&log->state->take_lock);
    }
    return is_there;
}

void gw__log_unlock_take(gw__log *log, bool more)
{
    gw__robust_unlock(&log->state->take_lock);
    while (more && gw__log_lock_take(log)) {
        more = gw__log_advance_head(log);
        gw__robust_unlock(&log->state->take_lock);
    }
}

static void set_phase(gw__entry_head *entry, uint64_t phase)
{
    unsigned n_taken = gw__entry_n_taken(atomic_load_explicit(&entry->state, memory_order_relaxed));
    atomic_store_explicit(&entry->state, gw__entry_state(n_taken, 0, phase), memory_order_relaxed);
}

/* Done with an entry between head and `next`, or just behind it. */
static void set_done(gw__log *log, gw__entry_head *entry)
{
    set_phase(entry, GW__ENTRY_DONE);
    atomic_fetch_add_explicit(&log->state->done_bytes, gw__entry_size(entry->len),
                              memory_order_relaxed);
}

/* ---- taking ------------------------------------------------------------------------------- */

typedef struct taking {
    uint32_t owner;
    uint64_t now_ms;
    uint64_t due_ms;
    gw__log_record *records;
    size_t n;
    size_t max;
    size_t n_expired; /* since the lock was taken */
} taking;

#define EXPIRED_MAX ((size_t)1 << 14) /* in one go: others want the lock, too */

static bool wants_more(const taking *take)
{
    return take->n < take->max && take->n_expired < EXPIRED_MAX;
}

static bool is_due(const taking *take, const gw__entry_head *entry)
{
    return take->due_ms == 0 || entry->expires_ms <= take->due_ms;
}

/* A ready entry: lease it, or be done with it when it is too old or damaged. */
static void take_entry(gw__log *log, taking *take, uint64_t position, gw__entry_head *entry)
{
    gw__log_state *state = log->state;
    if (take->due_ms == 0 && entry->expires_ms != 0 && entry->expires_ms <= take->now_ms) {
        set_done(log, entry);
        atomic_fetch_add_explicit(&state->n_expired, 1, memory_order_relaxed);
        take->n_expired++;
        return;
    }
    if (!gw__entry_is_whole(entry)) {
        set_done(log, entry);
        gw__log_set_aside(log, (const uint8_t *)entry, gw__entry_size(entry->len), 1);
        return;
    }
    unsigned before = gw__entry_n_taken(atomic_load_explicit(&entry->state, memory_order_relaxed));
    unsigned n_taken = before < 255 ? before + 1 : before;
    atomic_store_explicit(&entry->state, gw__entry_state(n_taken, take->owner, GW__ENTRY_LEASED),
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&state->n_leased, 1, memory_order_relaxed);
    if (before > 0) {
        atomic_fetch_add_explicit(&state->n_redelivered, 1, memory_order_relaxed);
    }
    take->records[take->n++] = (gw__log_record){.position = position,
                                                .seq = entry->seq,
                                                .expires_ms = entry->expires_ms,
                                                .redelivered = before > 0,
                                                .n_taken = n_taken,
                                                .bytes = gw__entry_bytes(entry),
                                                .len = entry->len};
}

/* No record before it is a returned one. */
static uint64_t first_returned(const gw__log_state *state)
{
    return state->returned_from > state->head ? state->returned_from : state->head;
}

/* What was given back comes first. */
static void take_returned(gw__log *log, taking *take)
{
    gw__log_state *state = log->state;
    uint64_t position = first_returned(state);
    while (wants_more(take) && state->n_returned > 0) {
        gw__entry_head *entry = gw__log_walk(log, &position, state->next, 0);
        if (entry == NULL) { /* damage took some that were counted */
            atomic_store(&state->n_returned, position < state->next ? state->n_returned : 0);
            break;
        }
        if (gw__entry_phase(atomic_load_explicit(&entry->state, memory_order_relaxed)) ==
            GW__ENTRY_READY) {
            if (!is_due(take, entry)) {
                return;
            }
            take_entry(log, take, position, entry);
            atomic_fetch_sub_explicit(&state->n_returned, 1, memory_order_relaxed);
        }
        position = gw__log_behind(position, entry);
        atomic_store_explicit(&state->returned_from, position, memory_order_relaxed);
    }
    if (state->n_returned == 0) {
        state->returned_from = UINT64_MAX;
    }
}

static void take_fresh(gw__log *log, taking *take)
{
    gw__log_state *state = log->state;
    uint64_t tail = atomic_load(&state->tail);
    uint64_t position = state->next;
    uint64_t seq = state->next_seq;
    gw__entry_head *entry;
    while (wants_more(take) && (entry = gw__log_walk(log, &position, tail, seq)) != NULL &&
           is_due(take, entry)) {
        /* One that is leased so far behind was by a taker that died, and nobody else. */
        if (gw__entry_phase(atomic_load_explicit(&entry->state, memory_order_relaxed)) !=
            GW__ENTRY_DONE) {
            take_entry(log, take, position, entry);
        }
        seq = entry->seq + 1;
        position = gw__log_behind(position, entry);
    }
    atomic_store(&state->next_seq, seq);
    atomic_store(&state->next, position);
}

size_t gw__log_take(gw__log *log, uint32_t owner, uint64_t now_ms, uint64_t due_ms,
                    gw__log_record *ret_records, size_t max)
{
    taking take = {
        .owner = owner, .now_ms = now_ms, .due_ms = due_ms, .records = ret_records, .max = max};
    bool again = true;
    while (again && gw__log_lock_take(log)) {
        take.n_expired = 0;
        if (log->state->n_returned > 0) {
            take_returned(log, &take);
        }
        if (log->state->n_returned == 0) { /* otherwise what is fresh would overtake it */
            take_fresh(log, &take);
        }
        /* It may have dropped what is at the head. */
        gw__log_unlock_take(log, take.n == 0 && gw__log_advance_head(log));
        again = take.n == 0 && take.n_expired == EXPIRED_MAX;
    }
    return take.n;
}

uint64_t gw__log_first_due_ms(gw__log *log)
{
    uint64_t due_ms = UINT64_MAX;
    if (!gw__log_has_ready(log) || !gw__log_lock_take(log)) {
        return due_ms;
    }
    gw__log_state *state = log->state;
    uint64_t position = state->head;
    gw__entry_head *entry;
    while (due_ms == UINT64_MAX && (entry = gw__log_walk(log, &position, state->tail, 0)) != NULL) {
        if (gw__entry_phase(atomic_load(&entry->state)) == GW__ENTRY_READY) {
            due_ms = entry->expires_ms;
        }
        position = gw__log_behind(position, entry);
    }
    if (due_ms == UINT64_MAX && position < state->tail) {
        due_ms = 0;
    }
    gw__robust_unlock(&state->take_lock);
    return due_ms;
}

/* ---- settling ------------------------------------------------------------------------------ */

/* Settle one; false when `owner` does not have it. */
static bool settle_entry(gw__log *log, uint32_t owner, uint64_t position, gw__log_settle_how how)
{
    gw__log_state *log_state = log->state;
    if (position < log_state->head || position >= log_state->next) {
        return false;
    }
    gw__segment *segment;
    if (gw__log_map(log, gw__position_index(position), &segment, NULL) != GW_OK ||
        !gw__entry_is_sound(segment, gw__position_offset(position))) {
        return false;
    }
    gw__entry_head *entry = gw__entry_at(segment, gw__position_offset(position));
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    if (gw__entry_phase(state) != GW__ENTRY_LEASED || gw__entry_owner(state) != owner) {
        return false;
    }
    if (how == GW__LOG_DONE) {
        set_done(log, entry);
        return true;
    }
    set_phase(entry, GW__ENTRY_READY);
    atomic_fetch_add_explicit(&log_state->n_returned, 1, memory_order_relaxed);
    if (position < log_state->returned_from) {
        log_state->returned_from = position;
    }
    return true;
}

size_t gw__log_settle(gw__log *log, uint32_t owner, const uint64_t *positions, size_t n_positions,
                      gw__log_settle_how how)
{
    size_t n = 0;
    if (!gw__log_lock_take(log)) {
        return 0;
    }
    for (size_t i = 0; i < n_positions; i++) {
        n += settle_entry(log, owner, positions[i], how);
    }
    gw__log_state *state = log->state;
    bool more = false;
    atomic_fetch_sub_explicit(&state->n_leased, n, memory_order_relaxed);
    if (how == GW__LOG_DONE) {
        atomic_fetch_add_explicit(&state->n_settled, n, memory_order_relaxed);
        more = gw__log_advance_head(log);
    }
    gw__log_unlock_take(log, more);
    return n;
}

size_t gw__log_return_all(gw__log *log, uint32_t owner)
{
    size_t n = 0;
    if (atomic_load(&log->state->head) == atomic_load(&log->state->next) ||
        !gw__log_lock_take(log)) {
        return 0;
    }
    /* Not further than the last lease: one that is held for long may have millions behind it. */
    uint64_t n_left = log->state->n_leased;
    uint64_t position = log->state->head;
    gw__entry_head *entry = NULL;
    while (n_left > 0 && (entry = gw__log_walk(log, &position, log->state->next, 0)) != NULL) {
        n_left -= gw__entry_phase(atomic_load(&entry->state)) == GW__ENTRY_LEASED;
        n += settle_entry(log, owner, position, GW__LOG_RETURN);
        position = gw__log_behind(position, entry);
    }
    atomic_fetch_sub_explicit(&log->state->n_leased, n, memory_order_relaxed);
    bool is_cut = n_left > 0 && position < log->state->next;
    n = is_cut || log->state->take_unrepaired ? GW__LOG_NOT_ALL : n;
    gw__robust_unlock(&log->state->take_lock);
    return n;
}

/* ---- dropping -------------------------------------------------------------------------------- */

static bool drop_entry(gw__log *log, uint64_t position, gw__entry_head *entry, gw__log_spill spill,
                       void *ctx)
{
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    gw__log_record record = gw__log_record_of(position, entry, state);
    if (spill != NULL && gw__entry_is_whole(entry) && !spill(ctx, &record)) {
        return false;
    }
    set_done(log, entry);
    return true;
}

size_t gw__log_drop(gw__log *log, size_t max, gw__log_spill spill, void *ctx)
{
    size_t n = 0;
    if (!gw__log_lock_take(log)) {
        return 0;
    }
    gw__log_state *state = log->state;
    uint64_t tail = atomic_load(&state->tail);
    uint64_t position =
        state->n_returned > 0 && state->head < state->next ? first_returned(state) : state->next;
    gw__entry_head *entry;
    while (n < max &&
           (entry = gw__log_walk(log, &position, tail,
                                 position < state->next ? 0 : state->next_seq)) != NULL) {
        bool is_fresh = position >= state->next;
        uint64_t phase = gw__entry_phase(atomic_load(&entry->state));
        if (is_fresh ? phase != GW__ENTRY_DONE : phase == GW__ENTRY_READY) {
            if (!drop_entry(log, position, entry, spill, ctx)) {
                break;
            }
            n++;
            atomic_fetch_sub(&state->n_returned, is_fresh ? 0 : 1);
        }
        position = gw__log_behind(position, entry);
        if (is_fresh) {
            atomic_store(&state->next_seq, entry->seq + 1);
            atomic_store(&state->next, position);
        }
    }
    atomic_fetch_add(&state->n_dropped, n);
    gw__log_unlock_take(log, gw__log_advance_head(log));
    return n;
}

size_t gw__log_drop_expired(gw__log *log, uint64_t now_ms)
{
    size_t n = 0;
    if (!gw__log_has_ready(log) || !gw__log_lock_take(log)) {
        return 0;
    }
    gw__log_state *state = log->state;
    uint64_t tail = atomic_load(&state->tail);
    uint64_t position = state->next;
    gw__entry_head *entry;
    while (n < EXPIRED_MAX &&
           (entry = gw__log_walk(log, &position, tail, state->next_seq)) != NULL &&
           entry->expires_ms != 0 && entry->expires_ms <= now_ms) {
        set_done(log, entry);
        n++;
        position = gw__log_behind(position, entry);
        atomic_store(&state->next_seq, entry->seq + 1);
        atomic_store(&state->next, position);
    }
    atomic_fetch_add(&state->n_expired, n);
    gw__log_unlock_take(log, gw__log_advance_head(log));
    return n;
}
