/* SPDX-License-Identifier: MIT */
#include "messaging/state_metrics.h"

void gw__state_metrics_init(gw__state_metrics *metrics)
{
    metrics->up =
        gw_metrics_gauge("godwit_broker_up",
                         "1 while the broker is connected and every subscription consumes.", NULL);
    for (int i = 0; i < GW__N_STATES; i++) {
        gw_buf labels;
        gw_buf_init(&labels, 64);
        gw_metrics_label(&labels, "state", gw_client_state_name((gw_client_state)i));
        metrics->in_state[i] = gw_metrics_gauge(
            "godwit_broker_state", "1 for the state that the client is in.", labels.data);
        gw_buf_dispose(&labels);
    }
    metrics->now = GW_CLIENT_CONNECTING;
    gw_gauge_add(metrics->in_state[metrics->now], 1);
}

void gw__state_metrics_set(gw__state_metrics *metrics, gw_client_state state)
{
    gw_gauge_set(metrics->up, state == GW_CLIENT_UP ? 1 : 0);
    gw_gauge_add(metrics->in_state[metrics->now], -1);
    gw_gauge_add(metrics->in_state[state], 1);
    metrics->now = state;
}

void gw__state_metrics_dispose(gw__state_metrics *metrics)
{
    gw_gauge_add(metrics->in_state[metrics->now], -1);
}
