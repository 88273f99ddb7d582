/* SPDX-License-Identifier: MIT */
/*
 * Looks for changes on a thread of its own, for programs that get no events of them: again and
 * again, at the pace that the server's answers allow, and only while there is no bus that works, if
 * so wanted. Never in a tight loop, whatever the server does. Shareable.
 */
#ifndef GW_CONFIG_POLLER_H
#define GW_CONFIG_POLLER_H

#include <stdbool.h>

#include <godwit/config.h>

typedef enum gw__sight {
    GW__SIGHT_NOTHING, /* the server keeps no one waiting: look again after the interval */
    GW__SIGHT_WAITED,  /* it can wait for a change, and was asked to: look again at once */
    GW__SIGHT_FAILED,  /* look again with growing pauses */
    GW__SIGHT_CLOSED   /* never again */
} gw__sight;

typedef struct gw__poller_options {
    gw_config_watch_mode mode;
    unsigned interval_ms;
    unsigned bus_away_ms;
    gw__sight (*look)(void *ctx); /* on the thread, no lock held */
    void *ctx;
} gw__poller_options;

typedef struct gw__poller gw__poller;

/* NULL when out of memory. */
gw__poller *gw__poller_new(const gw__poller_options *options);

/* Begin to look, unless the mode is "never". Does nothing when it has begun. An errno's status when
 * the thread cannot be started. */
gw_status gw__poller_start(gw__poller *poller, gw_error *err);

/* There is a bus, and it works or does not. */
void gw__poller_note_bus(gw__poller *poller, bool up);

/* No look begins any more. Does not wait for one that runs. */
void gw__poller_stop(gw__poller *poller);

/* Stop, wait for the thread, free. Accepts NULL. Not on the thread. */
void gw__poller_free(gw__poller *poller);

#endif
