/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <godwit/health.h>
#include <godwit/log.h>

struct cs_watch {
    cs_lookup *lookup;
    unsigned every_ms;
    gw_health *health;
    bool was_up; /* at the last look; the thread's, after the first */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping; /* under the lock */
};

/* The change is logged, not the state, so that an outage makes two lines. */
static void look(cs_watch *watch, bool is_first)
{
    gw_error err = GW_ERROR_INIT;
    bool is_up = cs_lookup_check(watch->lookup, &err) == GW_OK;
    if (is_up) {
        gw_health_up(watch->health);
        if (!is_first && !watch->was_up) {
            gw_log_info("repository", "readable again");
        }
    } else {
        gw_health_down(watch->health, "%s", err.text);
        if (is_first || watch->was_up) {
            gw_log_error("repository", "%s", err.text);
        }
    }
    watch->was_up = is_up;
}

/* False when it is time to stop. */
static bool wait(cs_watch *watch)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += watch->every_ms / 1000;
    until.tv_nsec += (long)(watch->every_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&watch->lock);
    int code = 0;
    while (!watch->is_stopping && code == 0) {
        code = pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
    }
    bool go_on = !watch->is_stopping;
    pthread_mutex_unlock(&watch->lock);
    return go_on;
}

static void *run(void *arg)
{
    cs_watch *watch = arg;
    while (wait(watch)) {
        look(watch, false);
    }
    return NULL;
}

static void free_watch(cs_watch *watch)
{
    gw_health_remove(watch->health);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

gw_status cs_watch_start(cs_lookup *lookup, unsigned every_ms, cs_watch **ret_watch, gw_error *err)
{
    cs_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&watch->lock, NULL);
    watch->lookup = lookup;
    watch->every_ms = every_ms;
    watch->health = gw_health_add("repository", true);
    look(watch, true);
    int code = pthread_create(&watch->thread, NULL, run, watch);
    if (code != 0) {
        free_watch(watch);
        return gw_error_set_errno(err, code, "a thread to watch the repository");
    }
    *ret_watch = watch;
    return GW_OK;
}

void cs_watch_stop(cs_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    pthread_mutex_lock(&watch->lock);
    watch->is_stopping = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    free_watch(watch);
}
