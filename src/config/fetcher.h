/* SPDX-License-Identifier: MIT */
/* Fetches the configuration with patience: tries again with backoff until a deadline, and ends when
 * it is told to. One fetch at a time; polling and stopping
 * are for any thread. */
#ifndef GW_CONFIG_FETCHER_H
#define GW_CONFIG_FETCHER_H

#include <pthread.h>
#include <stdbool.h>

#include "config/loader.h"
#include "config/pauses.h"

typedef struct gw__fetcher {
    gw__loader loader;
    unsigned timeout_ms;
    unsigned try_timeout_ms;
    unsigned connect_timeout_ms;
    unsigned max_tries; /* 0: as many as the time allows */
    gw__pauses pauses;  /* as at the start of a fetch */
    int stop_fd;        /* an eventfd: calls end when it can be read */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopped;
} gw__fetcher;

/* GW_E_INVALID; GW_E_NOMEM. To be disposed of in any case. */
gw_status gw__fetcher_init(gw__fetcher *fetcher, const gw_config_options *options, gw_error *err);
void gw__fetcher_dispose(gw__fetcher *fetcher);

bool gw__fetcher_has_server(const gw__fetcher *fetcher);

/* The configuration's URL for people; "" when there is no server. */
const char *gw__fetcher_where(const gw__fetcher *fetcher);

/* Fetches end at once with GW_E_CLOSED, now and later. */
void gw__fetcher_stop(gw__fetcher *fetcher);

/* GW_E_CLOSED after gw__fetcher_stop(). */
gw_status gw__fetcher_check_open(gw__fetcher *fetcher, gw_error *err);

/* `patiently`: until the deadline; otherwise one try. `known` is of the last answer, or NULL.
 * `ret_again` is set on failure, as by gw__loader_fetch(). */
gw_status gw__fetcher_fetch(gw__fetcher *fetcher, bool patiently, const gw__known *known,
                            gw__answer *ret_answer, bool *ret_again, gw_error *err);

/* One try for what is not as in `known`; waits up to `wait_s` for a change if the server can do
 * that. Beside a fetch on another thread. */
gw_status gw__fetcher_poll(gw__fetcher *fetcher, const gw__known *known, unsigned wait_s,
                           gw__answer *ret_answer, bool *ret_again, gw_error *err);

#endif
