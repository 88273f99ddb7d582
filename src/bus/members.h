/* SPDX-License-Identifier: MIT */
/*
 * Who has a bus open. Each member listens on a socket in the bus's directory, and each pair of
 * members has one connection: when a process ends, however it ends, the kernel closes its end, and
 * the others know at once. No pid is looked at, so none can be mistaken for another's, and
 * processes in different containers see each other.
 *
 * Each member has a futex in the control file on which its thread sleeps, and which others ring.
 */
#ifndef GW_BUS_MEMBERS_H
#define GW_BUS_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/error.h>

#include "bus/control.h"

typedef struct gw__members gw__members;

typedef struct gw__members_options {
    gw__control_file *file;
    const char *name; /* for people; cut */
    /* A member is gone: give back what it had. Called by one thread of one living member, with
     * members_lock held; called again, by another, when that one dies meanwhile. The slot is free
     * when it has returned true; with false something could not be done at present, and it is
     * called again a little later. */
    bool (*died)(void *ctx, uint32_t member, uint64_t generation);
    /* Some member is gone and has been cleaned up after, by anyone: look at everything again, in
     * case it was about to ring. Called without a lock. */
    void (*look_again)(void *ctx);
    void *ctx;
} gw__members_options;

/* Join, and watch the others on a thread of its own. Members that died while nobody watched are
 * cleaned up after before it returns. GW_E_LIMIT when there are GW__BUS_MEMBERS_MAX already. */
gw_status gw__members_join(const gw__members_options *options, gw__members **ret_members,
                           gw_error *err);

/* Leave: the slot is free, nothing is called any more. Accepts NULL. What the member had is to be
 * given back before. */
void gw__members_leave(gw__members *members);

uint32_t gw__members_own(const gw__members *members);

/* ---- bells: no lock, any thread, a few stores; a system call only if somebody sleeps ---- */

/* Wake a member's sleeper, now or when it is about to sleep. */
void gw__member_ring(gw__control *control, uint32_t member);

/* Sleep until the bell is rung after `seen` was read from it, or until `until_ms` (gw_clock_ms();
 * UINT64_MAX: for ever). One thread a member. */
uint32_t gw__member_bell(gw__control *control, uint32_t member);
void gw__member_sleep(gw__control *control, uint32_t member, uint32_t seen, uint64_t until_ms);

/* ---- waiting for a log --------------------------------------------------------------------- */

/* The member wants to be rung for when something comes into the log. Look into the log again after
 * this and before sleeping. */
void gw__log_wait_add(gw__log_state *state, uint32_t member);
void gw__log_wait_remove(gw__log_state *state, uint32_t member);

/* Something came: ring for one of those who wait, in turn; or for all. Cheap when nobody waits. */
void gw__log_wake_one(gw__control *control, gw__log_state *state);
void gw__log_wake_all(gw__control *control, gw__log_state *state);

#endif
