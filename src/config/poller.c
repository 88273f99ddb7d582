/* SPDX-License-Identifier: MIT */
#include "config/poller.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "base/cond.h"
#include "config/pauses.h"

#define SOON_MS 1000 /* answers that come sooner than this were not waited for; and least pause */
#define JITTER  20   /* percent */

struct gw__poller {
    gw__poller_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool started;
    bool stopping;
    bool has_bus;
    bool bus_up;
    uint64_t bus_away_since_ms;
};

gw__poller *gw__poller_new(const gw__poller_options *options)
{
    gw__poller *poller = calloc(1, sizeof(*poller));
    if (poller == NULL) {
        return NULL;
    }
    poller->options = *options;
    pthread_mutex_init(&poller->lock, NULL);
    gw__cond_init(&poller->changed);
    return poller;
}

/* From when on it is ours to look; 0: now, UINT64_MAX: not at all. @locks poller->lock held */
static uint64_t our_turn_ms_locked(const gw__poller *poller)
{
    if (poller->options.mode == GW_CONFIG_WATCH_ALWAYS || !poller->has_bus) {
        return 0;
    }
    return poller->bus_up ? UINT64_MAX : poller->bus_away_since_ms + poller->options.bus_away_ms;
}

/* Wait until a look is due and ours. False at the end. @locks poller->lock held */
static bool wait_due_locked(gw__poller *poller, uint64_t due_ms)
{
    bool had_turn = our_turn_ms_locked(poller) <= gw_clock_ms();
    while (!poller->stopping) {
        uint64_t turn_ms = our_turn_ms_locked(poller);
        uint64_t when_ms = turn_ms > due_ms ? turn_ms : due_ms;
        if (when_ms <= gw_clock_ms()) {
            break;
        }
        gw__cond_wait_until(&poller->changed, &poller->lock, when_ms);
    }
    if (!poller->stopping && !had_turn && poller->has_bus) {
        gw_log_warn("config",
                    "there are no events from the bus for %u s: watching the config "
                    "server itself",
                    poller->options.bus_away_ms / 1000);
    }
    return !poller->stopping;
}

/* How long to pause after a look that took so long. */
static unsigned pause_after(const gw__poller *poller, gw__sight sight, uint64_t took_ms,
                            gw__pauses *pauses)
{
    unsigned interval_ms = poller->options.interval_ms;
    unsigned soon_ms = interval_ms < SOON_MS ? interval_ms : SOON_MS;
    if (sight == GW__SIGHT_NOTHING) {
        gw__pauses_reset(pauses);
        return gw__shorten(interval_ms, JITTER);
    }
    if (sight == GW__SIGHT_WAITED && took_ms >= soon_ms) {
        gw__pauses_reset(pauses);
        return 0;
    }
    return gw__pauses_next(pauses); /* it failed, or was to wait and did not */
}

static void *run(void *arg)
{
    gw__poller *poller = arg;
    unsigned interval_ms = poller->options.interval_ms;
    gw__pauses pauses = {.first_ms = interval_ms < SOON_MS ? interval_ms : SOON_MS,
                         .max_ms = interval_ms,
                         .factor = 2,
                         .jitter_percent = JITTER};
    gw__sight sight = GW__SIGHT_NOTHING;
    uint64_t due_ms = gw_clock_ms(); /* the first finds out what the server can do */
    pthread_mutex_lock(&poller->lock);
    while (sight != GW__SIGHT_CLOSED && wait_due_locked(poller, due_ms)) {
        pthread_mutex_unlock(&poller->lock);
        uint64_t start_ms = gw_clock_ms();
        sight = poller->options.look(poller->options.ctx);
        uint64_t now_ms = gw_clock_ms();
        due_ms = now_ms + pause_after(poller, sight, now_ms - start_ms, &pauses);
        pthread_mutex_lock(&poller->lock);
    }
    pthread_mutex_unlock(&poller->lock);
    return NULL;
}

gw_status gw__poller_start(gw__poller *poller, gw_error *err)
{
    gw_status st = GW_OK;
    pthread_mutex_lock(&poller->lock);
    bool wanted = poller->options.mode != GW_CONFIG_WATCH_NEVER;
    if (wanted && !poller->started && !poller->stopping) {
        int rc = pthread_create(&poller->thread, NULL, run, poller);
        poller->started = rc == 0;
        st = rc == 0 ? GW_OK : gw_error_set_errno(err, rc, "the thread that watches");
    }
    pthread_mutex_unlock(&poller->lock);
    return st;
}

void gw__poller_note_bus(gw__poller *poller, bool up)
{
    pthread_mutex_lock(&poller->lock);
    if (!up && (poller->bus_up || !poller->has_bus)) {
        poller->bus_away_since_ms = gw_clock_ms();
    }
    poller->has_bus = true;
    poller->bus_up = up;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
}

void gw__poller_stop(gw__poller *poller)
{
    pthread_mutex_lock(&poller->lock);
    poller->stopping = true;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
}

void gw__poller_free(gw__poller *poller)
{
    if (poller == NULL) {
        return;
    }
    gw__poller_stop(poller);
    if (poller->started) {
        pthread_join(poller->thread, NULL);
    }
    pthread_cond_destroy(&poller->changed);
    pthread_mutex_destroy(&poller->lock);
    free(poller);
}
