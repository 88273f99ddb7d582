/* SPDX-License-Identifier: MIT */
/**
 * @file gate.h
 * The wait for the last request that is being answered. Shareable.
 */
#ifndef GW_HTTP_GATE_H
#define GW_HTTP_GATE_H

#include <pthread.h>
#include <stdbool.h>

#include <godwit/status.h>

typedef struct gw__http_gate {
    pthread_mutex_t lock;
    pthread_cond_t empty;
    int n_busy; /**< workers that have requests, or have not looked yet */
} gw__http_gate;

gw_status gw__http_gate_init(gw__http_gate *gate);
void gw__http_gate_dispose(gw__http_gate *gate);

/** So many workers more are busy, or fewer. */
void gw__http_gate_add(gw__http_gate *gate, int n);

/** Wait until no worker is busy. False when `timeout_ms` passed. */
bool gw__http_gate_wait(gw__http_gate *gate, unsigned timeout_ms);

#endif
