/* SPDX-License-Identifier: MIT */
#include "config/refresher.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "config/pauses.h"

#define AGAIN_FIRST_MS 1000
#define AGAIN_MAX_MS   30000
#define AGAIN_JITTER   20 /* percent */

struct gw__refresher {
    gw__refresher_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool started;
    bool stopping;
    uint64_t first_ms; /* of the requests that wait; 0: there are none */
    uint64_t last_ms;
    uint64_t again_ms; /* when to try again after a failure; 0: not */
};

gw__refresher *gw__refresher_new(const gw__refresher_options *options)
{
    gw__refresher *refresher = calloc(1, sizeof(*refresher));
    if (refresher == NULL) {
        return NULL;
    }
    refresher->options = *options;
    pthread_mutex_init(&refresher->lock, NULL);
    gw__cond_init(&refresher->changed);
    return refresher;
}

/* When the next reload is due; 0: not at all. @locks refresher->lock held */
static uint64_t due_ms_locked(const gw__refresher *refresher)
{
    if (refresher->first_ms == 0) {
        return refresher->again_ms;
    }
    uint64_t quiet = refresher->last_ms + refresher->options.quiet_ms;
    uint64_t latest = refresher->first_ms + refresher->options.max_ms;
    return quiet < latest ? quiet : latest;
}

/* Wait until a reload is due, or the end. @locks refresher->lock held */
static void wait_due_locked(gw__refresher *refresher)
{
    uint64_t due_ms;
    while (!refresher->stopping &&
           ((due_ms = due_ms_locked(refresher)) == 0 || due_ms > gw_clock_ms())) {
        gw__cond_wait_until(&refresher->changed, &refresher->lock,
                            due_ms != 0 ? due_ms : UINT64_MAX);
    }
}

static void *run(void *arg)
{
    gw__refresher *refresher = arg;
    gw__pauses pauses = {.first_ms = AGAIN_FIRST_MS,
                         .max_ms = AGAIN_MAX_MS,
                         .factor = 2,
                         .jitter_percent = AGAIN_JITTER};
    pthread_mutex_lock(&refresher->lock);
    for (;;) {
        wait_due_locked(refresher);
        if (refresher->stopping) {
            break;
        }
        refresher->first_ms = refresher->again_ms = 0;
        pthread_mutex_unlock(&refresher->lock);
        bool done = refresher->options.reload(refresher->options.ctx);
        pthread_mutex_lock(&refresher->lock);
        if (done) {
            gw__pauses_reset(&pauses);
        } else {
            refresher->again_ms = gw_clock_ms() + gw__pauses_next(&pauses);
        }
    }
    pthread_mutex_unlock(&refresher->lock);
    return NULL;
}

gw_status gw__refresher_request(gw__refresher *refresher, gw_error *err)
{
    gw_status st = GW_OK;
    pthread_mutex_lock(&refresher->lock);
    if (!refresher->started && !refresher->stopping) {
        int rc = pthread_create(&refresher->thread, NULL, run, refresher);
        refresher->started = rc == 0;
        st = rc == 0 ? GW_OK : gw_error_set_errno(err, rc, "the thread that reloads");
    }
    refresher->last_ms = gw_clock_ms();
    refresher->first_ms = refresher->first_ms == 0 ? refresher->last_ms : refresher->first_ms;
    pthread_cond_signal(&refresher->changed);
    pthread_mutex_unlock(&refresher->lock);
    return st;
}

void gw__refresher_stop(gw__refresher *refresher)
{
    pthread_mutex_lock(&refresher->lock);
    refresher->stopping = true;
    pthread_cond_signal(&refresher->changed);
    pthread_mutex_unlock(&refresher->lock);
}

void gw__refresher_free(gw__refresher *refresher)
{
    if (refresher == NULL) {
        return;
    }
    gw__refresher_stop(refresher);
    if (refresher->started) {
        pthread_join(refresher->thread, NULL);
    }
    pthread_cond_destroy(&refresher->changed);
    pthread_mutex_destroy(&refresher->lock);
    free(refresher);
}
