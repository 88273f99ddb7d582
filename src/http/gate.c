/* SPDX-License-Identifier: MIT */
#include "http/gate.h"

#include <godwit/clock.h>

#include "base/cond.h"

gw_status gw__http_gate_init(gw__http_gate *gate)
{
    if (gw__cond_init(&gate->empty) != 0) {
        return GW_E_NOMEM;
    }
    pthread_mutex_init(&gate->lock, NULL);
    gate->n_busy = 0;
    return GW_OK;
}

void gw__http_gate_dispose(gw__http_gate *gate)
{
    pthread_cond_destroy(&gate->empty);
    pthread_mutex_destroy(&gate->lock);
}

void gw__http_gate_add(gw__http_gate *gate, int n)
{
    pthread_mutex_lock(&gate->lock);
    gate->n_busy += n;
    if (gate->n_busy == 0) {
        pthread_cond_broadcast(&gate->empty);
    }
    pthread_mutex_unlock(&gate->lock);
}

bool gw__http_gate_wait(gw__http_gate *gate, unsigned timeout_ms)
{
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    bool in_time = true;
    pthread_mutex_lock(&gate->lock);
    while (gate->n_busy != 0 && in_time) {
        in_time = gw__cond_wait_until(&gate->empty, &gate->lock, deadline_ms);
    }
    bool is_empty = gate->n_busy == 0;
    pthread_mutex_unlock(&gate->lock);
    return is_empty;
}
