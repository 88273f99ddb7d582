/* SPDX-License-Identifier: MIT */
/*
 * SIGTERM, SIGINT and SIGHUP, taken by a thread of their own, so that nothing happens inside a
 * signal handler.
 */
#ifndef GW_SERVICE_SIGNALS_H
#define GW_SERVICE_SIGNALS_H

#include <godwit/error.h>

typedef struct gw__signals gw__signals;

typedef struct gw__signals_options {
    void (*on_stop)(void *ctx,
                    int signum);  /* the first SIGTERM or SIGINT, or gw__signals_raise_stop() */
    void (*on_reload)(void *ctx); /* each SIGHUP */
    void *ctx;
} gw__signals_options;

/* Block the signals in this thread, hence in those it starts later, and start the thread. SIGPIPE
 * is ignored from now on. A second SIGTERM or SIGINT ends the process at once with status 128 + its
 * number. */
gw_status gw__signals_start(const gw__signals_options *options, gw__signals **ret_signals,
                            gw_error *err);

/* As the first SIGTERM does. Any thread. */
void gw__signals_raise_stop(gw__signals *signals);

/* From now on the process has so long to end; after that it is ended with status 1 and a line in
 * the log. */
void gw__signals_set_deadline(gw__signals *signals, unsigned timeout_ms);

/* End the thread. Accepts NULL. */
void gw__signals_stop(gw__signals *signals);

#endif
