/* SPDX-License-Identifier: MIT */
/*
 * Bells, and who waits for a log. Why no wake-up is lost:
 *
 * Ringing changes `bell` and then reads `asleep`; sleeping sets `asleep` and then reads `bell`. All
 * four are in one order that everybody agrees on, so either the ringer sees that somebody sleeps
 * and calls the kernel, or the sleeper sees that the bell changed and does not sleep. Between its
 * look and the kernel's, the kernel compares once more, in an order with the waking.
 *
 * Who waits for a log sets its bit, meets the others and then looks into the log; who appends moves
 * the tail, meets and then reads the bits. Meeting is a change of one word that changes nothing:
 * such changes come one after the other, and the later one sees all that was before the earlier
 * one. So the one sees the record, or the other the bit. (A fence would do, but the thread
 * sanitizer does not know them.)
 *
 * A member that is killed while it sleeps leaves `asleep` set: it costs a call of the kernel until
 * the slot is used again.
 */
#include "bus/members.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void gw__member_ring(gw__control *control, uint32_t member)
{
    gw__member_state *state = &control->members[member];
    atomic_fetch_add(&state->bell, 1);
    if (atomic_load(&state->asleep) != 0) {
        syscall(SYS_futex, &state->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

uint32_t gw__member_bell(gw__control *control, uint32_t member)
{
    return atomic_load(&control->members[member].bell);
}

void gw__member_sleep(gw__control *control, uint32_t member, uint32_t seen, uint64_t until_ms)
{
    gw__member_state *state = &control->members[member];
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000 * 1000000)};
    struct timespec *timeout = until_ms == UINT64_MAX ? NULL : &until;
    atomic_store(&state->asleep, 1);
    while (atomic_load(&state->bell) == seen) {
        long rc = syscall(SYS_futex, &state->bell, FUTEX_WAIT_BITSET, seen, timeout, NULL,
                          FUTEX_BITSET_MATCH_ANY);
        if (rc != 0 && errno != EINTR && errno != EAGAIN) { /* it is time */
            break;
        }
    }
    atomic_store(&state->asleep, 0);
}

static uint64_t bit_of(uint32_t member)
{
    return UINT64_C(1) << member % 64;
}

/* Returns whose turn it is. */
static uint32_t meet(gw__log_state *state)
{
    return atomic_fetch_add(&state->turn, 0);
}

void gw__log_wait_add(gw__log_state *state, uint32_t member)
{
    atomic_fetch_or(&state->waiters[member / 64], bit_of(member));
    meet(state);
}

void gw__log_wait_remove(gw__log_state *state, uint32_t member)
{
    atomic_fetch_and(&state->waiters[member / 64], ~bit_of(member));
}

/* Ring for the first of those in `wanted` that still waits. */
static bool wake_of(gw__control *control, gw__log_state *state, uint32_t word, uint64_t wanted)
{
    uint64_t waiting;
    while ((waiting = atomic_load(&state->waiters[word]) & wanted) != 0) {
        uint32_t member = word * 64 + (uint32_t)__builtin_ctzll(waiting);
        uint64_t before = atomic_fetch_and(&state->waiters[word], ~bit_of(member));
        if ((before & bit_of(member)) != 0) {
            atomic_exchange(&state->turn, member + 1); /* no store, which would end the order */
            gw__member_ring(control, member);
            return true;
        }
    }
    return false;
}

void gw__log_wake_one(gw__control *control, gw__log_state *state)
{
    uint32_t turn = meet(state) % GW__BUS_MEMBERS_MAX;
    uint32_t first = turn / 64;
    uint64_t from_turn = ~UINT64_C(0) << turn % 64;
    if (wake_of(control, state, first, from_turn)) {
        return;
    }
    for (uint32_t i = 1; i < GW__WAITER_WORDS; i++) {
        if (wake_of(control, state, (first + i) % GW__WAITER_WORDS, ~UINT64_C(0))) {
            return;
        }
    }
    wake_of(control, state, first, ~from_turn);
}

void gw__log_wake_all(gw__control *control, gw__log_state *state)
{
    meet(state);
    for (uint32_t word = 0; word < GW__WAITER_WORDS; word++) {
        if (atomic_load(&state->waiters[word]) == 0) {
            continue;
        }
        uint64_t waiting = atomic_exchange(&state->waiters[word], 0);
        for (; waiting != 0; waiting &= waiting - 1) {
            gw__member_ring(control, word * 64 + (uint32_t)__builtin_ctzll(waiting));
        }
    }
}
