/* SPDX-License-Identifier: MIT */
#include "http/gate.h"

#include <godwit/clock.h>

#include "base/cond.h"

gw_status gw__http_gate_init(gw__http_gate *gate)
{
    atomic_init(&gate->n_inside, 0);
    atomic_init(&gate->closing, false);
    int failed = gw__cond_init(&gate->empty);
    if (failed != 0) {
        return GW_E_NOMEM;
    }
    pthread_mutex_init(&gate->lock, NULL);
    return GW_OK;
}

void gw__http_gate_dispose(gw__http_gate *gate)
{
    pthread_cond_destroy(&gate->empty);
    pthread_mutex_destroy(&gate->lock);
}

void gw__http_gate_enter(gw__http_gate *gate)
{
    atomic_fetch_add_explicit(&gate->n_inside, 1, memory_order_relaxed);
}

void gw__http_gate_leave(gw__http_gate *gate)
{
    /* Sequentially consistent, as in gw__http_gate_close(): either the last one out sees that
     * somebody waits, or the waiter sees that nobody is inside. */
    if (atomic_fetch_sub(&gate->n_inside, 1) == 1 && atomic_load(&gate->closing)) {
        pthread_mutex_lock(&gate->lock);
        pthread_cond_broadcast(&gate->empty);
        pthread_mutex_unlock(&gate->lock);
    }
}

void gw__http_gate_close(gw__http_gate *gate)
{
    atomic_store(&gate->closing, true);
}

bool gw__http_gate_is_closing(gw__http_gate *gate)
{
    return atomic_load_explicit(&gate->closing, memory_order_relaxed);
}

bool gw__http_gate_wait(gw__http_gate *gate, unsigned timeout_ms)
{
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    bool in_time = true;
    pthread_mutex_lock(&gate->lock);
    while (atomic_load(&gate->n_inside) != 0 && in_time) {
        in_time = gw__cond_wait_until(&gate->empty, &gate->lock, deadline_ms);
    }
    bool is_empty = atomic_load(&gate->n_inside) == 0;
    pthread_mutex_unlock(&gate->lock);
    return is_empty;
}
