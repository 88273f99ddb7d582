/* SPDX-License-Identifier: MIT */
/* The side of a keeper that requests see: whether a local repository has changed, and the wait for
 * the sync that reads it. */
#include <poll.h>
#include <time.h>

#include <godwit/clock.h>

#include "repo/keeper.h"

static bool is_ringing(const cs_keeper *keeper)
{
    struct pollfd fd = {.fd = keeper->watch_fd, .events = POLLIN};
    return keeper->watch_fd >= 0 && poll(&fd, 1, 0) > 0;
}

bool cs_keeper_is_behind(cs_keeper *keeper)
{
    uint64_t n_done = atomic_load(&keeper->n_done);
    return n_done < atomic_load(&keeper->n_begun);
}

bool cs_keeper_is_hung(const cs_keeper *keeper, uint64_t now_ms)
{
    uint64_t n_done = atomic_load(&keeper->n_done);
    return keeper->watch_fd >= 0 && n_done < atomic_load(&keeper->n_begun) &&
           now_ms >= atomic_load(&keeper->began_ms) + CS_HUNG_MS;
}

void cs_keeper_wait(cs_keeper *keeper, uint64_t n_syncs, uint64_t deadline_ms)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * (long)GW_NS_PER_MS};
    int code = 0;
    pthread_mutex_lock(&keeper->lock);
    while (code == 0 && !atomic_load(&keeper->is_finished) &&
           atomic_load(&keeper->n_done) < n_syncs) {
        code = pthread_cond_timedwait(&keeper->has_done, &keeper->lock, &until);
    }
    pthread_mutex_unlock(&keeper->lock);
}

/*
 * A sync counts itself as begun before it drains the watch, and as done when its moment is in
 * force. So a watch that is silent and then no sync in between: all is in force. One that rings
 * while a sync runs may ring for what that sync will see, or for what it missed: look again when it
 * is done.
 */
void cs_keeper_catch_up(cs_keeper *keeper, uint64_t deadline_ms)
{
    for (int round = 0; round < 2; round++) {
        bool rings = is_ringing(keeper);
        uint64_t n_done = atomic_load(&keeper->n_done);
        uint64_t n_begun = atomic_load(&keeper->n_begun);
        bool runs = n_done < n_begun;
        if (!rings && !runs) {
            return;
        }
        uint64_t until_ms = runs ? atomic_load(&keeper->began_ms) + CS_CATCH_UP_MS : deadline_ms;
        until_ms = until_ms < deadline_ms ? until_ms : deadline_ms;
        cs_keeper_wait(keeper, runs ? n_begun : n_begun + 1, until_ms);
        if (!rings || !runs) {
            return;
        }
    }
}
