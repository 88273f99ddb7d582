/* SPDX-License-Identifier: MIT */
/*
 * Reloads on a thread of its own: one for a burst of requests, again with growing pauses when it
 * did not work. The thread starts with the first request. Shareable.
 */
#ifndef GW_CONFIG_REFRESHER_H
#define GW_CONFIG_REFRESHER_H

#include <stdbool.h>

#include <godwit/error.h>

typedef struct gw__refresher gw__refresher;

typedef struct gw__refresher_options {
    unsigned quiet_ms;
    unsigned max_ms;
    /* Do it. False: it should be tried again. Called on the thread, no lock held. */
    bool (*reload)(void *ctx);
    void *ctx;
} gw__refresher_options;

/* NULL when out of memory. */
gw__refresher *gw__refresher_new(const gw__refresher_options *options);

/* GW_E_NOMEM and the like when the thread cannot be started; the next request tries that again. */
gw_status gw__refresher_request(gw__refresher *refresher, gw_error *err);

/* No reload begins any more. Does not wait for one that runs. */
void gw__refresher_stop(gw__refresher *refresher);

/* Stop, wait for the thread, free. Accepts NULL. Not on the thread. */
void gw__refresher_free(gw__refresher *refresher);

#endif
