/* SPDX-License-Identifier: MIT */
#include "config/fetcher.h"

#include <godwit/clock.h>

#include "base/cond.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS   2000
#define LAST_TRY_MS    100

gw_status gw__fetcher_init(gw__fetcher *fetcher, const gw_config_options *options, gw_error *err)
{
    pthread_mutex_init(&fetcher->lock, NULL);
    gw__cond_init(&fetcher->changed);
    fetcher->stopped = false;
    fetcher->timeout_ms = options->timeout_ms;
    fetcher->try_timeout_ms = options->try_timeout_ms;
    fetcher->loader = (gw__loader){NULL, NULL};
    if (options->timeout_ms == 0 || options->try_timeout_ms == 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "configuration: the timeouts must not be 0");
    }
    return gw__loader_init(&fetcher->loader, options, err);
}

void gw__fetcher_dispose(gw__fetcher *fetcher)
{
    gw__loader_dispose(&fetcher->loader);
    pthread_cond_destroy(&fetcher->changed);
    pthread_mutex_destroy(&fetcher->lock);
}

bool gw__fetcher_has_server(const gw__fetcher *fetcher)
{
    return fetcher->loader.url != NULL;
}

const char *gw__fetcher_where(const gw__fetcher *fetcher)
{
    return fetcher->loader.masked != NULL ? fetcher->loader.masked : "";
}

void gw__fetcher_stop(gw__fetcher *fetcher)
{
    pthread_mutex_lock(&fetcher->lock);
    fetcher->stopped = true;
    pthread_cond_broadcast(&fetcher->changed);
    pthread_mutex_unlock(&fetcher->lock);
}

/* Wait; false when asked to stop. */
static bool pause_unless_stopped(gw__fetcher *fetcher, uint64_t pause_ms)
{
    uint64_t due_ms = gw_clock_ms() + pause_ms;
    bool in_time = true;
    pthread_mutex_lock(&fetcher->lock);
    while (!fetcher->stopped && in_time) {
        in_time = gw__cond_wait_until(&fetcher->changed, &fetcher->lock, due_ms);
    }
    bool go_on = !fetcher->stopped;
    pthread_mutex_unlock(&fetcher->lock);
    return go_on;
}

static bool is_stopped(gw__fetcher *fetcher)
{
    pthread_mutex_lock(&fetcher->lock);
    bool stopped = fetcher->stopped;
    pthread_mutex_unlock(&fetcher->lock);
    return stopped;
}

static gw_status closed(gw_error *err)
{
    return gw_error_set(err, GW_E_CLOSED, 0, "loading the configuration was stopped");
}

gw_status gw__fetcher_check_open(gw__fetcher *fetcher, gw_error *err)
{
    return is_stopped(fetcher) ? closed(err) : GW_OK;
}

/* One of several tries: what it came to is the last reason, unless it was cut short by the deadline
 * and so knows less than the one before. */
static gw_status try_once(gw__fetcher *fetcher, uint64_t left_ms, gw__environment *ret_env,
                          bool *ret_again, gw_error *last_why)
{
    bool cut_short = left_ms < fetcher->try_timeout_ms;
    unsigned timeout_ms = cut_short ? (unsigned)left_ms : fetcher->try_timeout_ms;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__loader_fetch(&fetcher->loader, timeout_ms, ret_env, ret_again, &why);
    if (st != GW_OK && (st != GW_E_TIMEOUT || !cut_short || last_why->status == GW_OK)) {
        *last_why = why;
    }
    return st;
}

static gw_status give_up(const gw_error *why, unsigned n_tries, uint64_t start_ms, gw_error *err)
{
    if (n_tries == 1) {
        return gw_error_set(err, why->status, why->native, "cannot load configuration from %s",
                            why->text);
    }
    return gw_error_set(err, why->status, why->native,
                        "cannot load configuration from %s; tried %u times in %.1f s", why->text,
                        n_tries, (double)(gw_clock_ms() - start_ms) / 1000);
}

static uint64_t ms_until(uint64_t deadline_ms)
{
    uint64_t now_ms = gw_clock_ms();
    return deadline_ms > now_ms ? deadline_ms - now_ms : 0;
}

gw_status gw__fetcher_fetch(gw__fetcher *fetcher, bool patiently, gw__environment *ret_env,
                            bool *ret_again, gw_error *err)
{
    uint64_t start_ms = gw_clock_ms();
    uint64_t deadline_ms = start_ms + (patiently ? fetcher->timeout_ms : fetcher->try_timeout_ms);
    uint64_t pause_ms = RETRY_FIRST_MS;
    gw_error why = GW_ERROR_INIT;
    if (is_stopped(fetcher)) {
        return closed(err);
    }
    for (unsigned n_tries = 1;; n_tries++) {
        uint64_t left_ms = ms_until(deadline_ms);
        gw_status st = try_once(fetcher, left_ms > 0 ? left_ms : 1, ret_env, ret_again, &why);
        if (st == GW_OK) {
            return GW_OK;
        }
        left_ms = ms_until(deadline_ms);
        if (!*ret_again || !patiently || left_ms <= RETRY_FIRST_MS + LAST_TRY_MS) {
            return is_stopped(fetcher) ? closed(err) : give_up(&why, n_tries, start_ms, err);
        }
        uint64_t longest_ms = left_ms - LAST_TRY_MS; /* the last one is close to the deadline */
        if (!pause_unless_stopped(fetcher, pause_ms < longest_ms ? pause_ms : longest_ms)) {
            return closed(err);
        }
        pause_ms = pause_ms * 2 < RETRY_MAX_MS ? pause_ms * 2 : RETRY_MAX_MS;
    }
}
