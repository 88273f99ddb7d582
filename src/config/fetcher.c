/* SPDX-License-Identifier: MIT */
#include "config/fetcher.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "base/cond.h"

#define LAST_TRY_MS 100

static gw_status check_options(const gw_config_options *options, gw_error *err)
{
    const char *fault = NULL;
    if (options->timeout_ms == 0 || options->try_timeout_ms == 0 ||
        options->connect_timeout_ms == 0) {
        fault = "the timeouts must not be 0";
    } else if (options->retry_first_ms == 0 || options->retry_max_ms < options->retry_first_ms) {
        fault = "the first pause must not be 0, nor longer than the longest";
    } else if (!(options->retry_factor >= 1 && options->retry_factor <= 100)) {
        fault = "the factor of the pauses is from 1 to 100";
    } else if (options->retry_jitter_percent > 100) {
        fault = "the jitter of the pauses is at most 100 percent";
    }
    return fault == NULL ? GW_OK : gw_error_set(err, GW_E_INVALID, 0, "configuration: %s", fault);
}

gw_status gw__fetcher_init(gw__fetcher *fetcher, const gw_config_options *options, gw_error *err)
{
    pthread_mutex_init(&fetcher->lock, NULL);
    gw__cond_init(&fetcher->changed);
    fetcher->stopped = false;
    fetcher->timeout_ms = options->timeout_ms;
    fetcher->try_timeout_ms = options->try_timeout_ms;
    fetcher->connect_timeout_ms = options->connect_timeout_ms;
    fetcher->max_tries = options->retry_max_tries;
    fetcher->pauses = (gw__pauses){.first_ms = options->retry_first_ms,
                                   .max_ms = options->retry_max_ms,
                                   .factor = options->retry_factor,
                                   .jitter_percent = options->retry_jitter_percent};
    fetcher->loader = (gw__loader){.token_header = NULL};
    fetcher->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fetcher->stop_fd < 0) {
        return gw_error_set_errno(err, errno, "configuration: an event to stop by");
    }
    gw_status st = check_options(options, err);
    return st == GW_OK ? gw__loader_init(&fetcher->loader, options, err) : st;
}

void gw__fetcher_dispose(gw__fetcher *fetcher)
{
    gw__loader_dispose(&fetcher->loader);
    if (fetcher->stop_fd >= 0) {
        close(fetcher->stop_fd);
    }
    pthread_cond_destroy(&fetcher->changed);
    pthread_mutex_destroy(&fetcher->lock);
}

bool gw__fetcher_has_server(const gw__fetcher *fetcher)
{
    return fetcher->loader.places.n_servers > 0;
}

const char *gw__fetcher_where(const gw__fetcher *fetcher)
{
    return fetcher->loader.places.where;
}

void gw__fetcher_stop(gw__fetcher *fetcher)
{
    pthread_mutex_lock(&fetcher->lock);
    fetcher->stopped = true;
    (void)!write(fetcher->stop_fd, &(uint64_t){1}, sizeof(uint64_t)); /* stays readable */
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
static gw_status try_once(gw__fetcher *fetcher, gw__ask *ask, gw__answer *ret_answer,
                          bool *ret_again, gw_error *last_why)
{
    uint64_t now_ms = gw_clock_ms();
    bool cut_short = ask->deadline_ms < now_ms + fetcher->try_timeout_ms;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__loader_fetch(&fetcher->loader, ask, ret_answer, ret_again, &why);
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

/* How long the tries may take: when it is not patient each server has its time, to which
 * gw__fetcher_poll() adds what it may wait. */
static gw__ask make_ask(const gw__fetcher *fetcher, bool patiently, const gw__known *known)
{
    uint64_t once_ms = (uint64_t)fetcher->try_timeout_ms * fetcher->loader.places.n_servers;
    return (gw__ask){.connect_timeout_ms = fetcher->connect_timeout_ms,
                     .timeout_ms = fetcher->try_timeout_ms,
                     .deadline_ms = gw_clock_ms() + (patiently ? fetcher->timeout_ms : once_ms),
                     .cancel_fd = fetcher->stop_fd,
                     .known = known};
}

gw_status gw__fetcher_fetch(gw__fetcher *fetcher, bool patiently, const gw__known *known,
                            gw__answer *ret_answer, bool *ret_again, gw_error *err)
{
    uint64_t start_ms = gw_clock_ms();
    gw__ask ask = make_ask(fetcher, patiently, known);
    gw__pauses pauses = fetcher->pauses;
    gw_error why = GW_ERROR_INIT;
    if (is_stopped(fetcher)) {
        return closed(err);
    }
    for (unsigned n_tries = 1;; n_tries++) {
        gw_status st = try_once(fetcher, &ask, ret_answer, ret_again, &why);
        if (st == GW_OK) {
            return GW_OK;
        }
        uint64_t left_ms = ms_until(ask.deadline_ms);
        bool last = n_tries == fetcher->max_tries;
        if (!*ret_again || !patiently || last || left_ms <= pauses.first_ms + LAST_TRY_MS) {
            return is_stopped(fetcher) ? closed(err) : give_up(&why, n_tries, start_ms, err);
        }
        uint64_t longest_ms = left_ms - LAST_TRY_MS; /* the last one is close to the deadline */
        uint64_t pause_ms = gw__pauses_next(&pauses);
        if (!pause_unless_stopped(fetcher, pause_ms < longest_ms ? pause_ms : longest_ms)) {
            return closed(err);
        }
    }
}

gw_status gw__fetcher_poll(gw__fetcher *fetcher, const gw__known *known, unsigned wait_s,
                           gw__answer *ret_answer, bool *ret_again, gw_error *err)
{
    gw__ask ask = make_ask(fetcher, false, known);
    ask.if_changed = known->etag[0] != '\0';
    ask.wait_s = ask.if_changed ? wait_s : 0;
    ask.deadline_ms += (uint64_t)ask.wait_s * 1000 * fetcher->loader.places.n_servers;
    if (is_stopped(fetcher)) {
        return closed(err);
    }
    gw_status st = gw__loader_fetch(&fetcher->loader, &ask, ret_answer, ret_again, err);
    return st != GW_OK && is_stopped(fetcher) ? closed(err) : st;
}
