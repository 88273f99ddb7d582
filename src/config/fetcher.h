/* SPDX-License-Identifier: MIT */
/* Fetches the configuration with patience: tries again with backoff until a deadline, and ends when
 * it is told to. One fetch at a time; stopping is for any thread. */
#ifndef GW_CONFIG_FETCHER_H
#define GW_CONFIG_FETCHER_H

#include <pthread.h>
#include <stdbool.h>

#include "config/loader.h"

typedef struct gw__fetcher {
    gw__loader loader;
    unsigned timeout_ms;
    unsigned try_timeout_ms;
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

/* Fetches end soon with GW_E_CLOSED, now and later. */
void gw__fetcher_stop(gw__fetcher *fetcher);

/* GW_E_CLOSED after gw__fetcher_stop(). */
gw_status gw__fetcher_check_open(gw__fetcher *fetcher, gw_error *err);

/* `patiently`: until the deadline; otherwise one try. `ret_again` is set on failure, as by
 * gw__loader_fetch(). */
gw_status gw__fetcher_fetch(gw__fetcher *fetcher, bool patiently, gw__environment *ret_env,
                            bool *ret_again, gw_error *err);

#endif
