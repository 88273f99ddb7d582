/* SPDX-License-Identifier: MIT */
/* The state of a client as metrics: whether it is up, and which of the states it is in. */
#ifndef GW_MESSAGING_STATE_METRICS_H
#define GW_MESSAGING_STATE_METRICS_H

#include <godwit/messaging.h>
#include <godwit/metrics.h>

#define GW__N_STATES (GW_CLIENT_CLOSED + 1)

typedef struct gw__state_metrics {
    gw_gauge *up;
    gw_gauge *in_state[GW__N_STATES]; /* clients of this process */
    gw_client_state now;
} gw__state_metrics;

/* It is connecting. */
void gw__state_metrics_init(gw__state_metrics *metrics);

/* @locks none of its own: one thread at a time. */
void gw__state_metrics_set(gw__state_metrics *metrics, gw_client_state state);

/* The client is no more, and in no state. */
void gw__state_metrics_dispose(gw__state_metrics *metrics);

#endif
