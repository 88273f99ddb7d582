/* SPDX-License-Identifier: MIT */
/**
 * @file gate.h
 * How many requests are being answered, and the wait for the last of them. Shareable.
 */
#ifndef GW_HTTP_GATE_H
#define GW_HTTP_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <godwit/status.h>

typedef struct gw__http_gate {
    atomic_uint n_inside;
    atomic_bool closing;
    pthread_mutex_t lock; /* for `empty` alone */
    pthread_cond_t empty;
} gw__http_gate;

gw_status gw__http_gate_init(gw__http_gate *gate);
void gw__http_gate_dispose(gw__http_gate *gate);

/** A request begins, also when the gate is closing: whether it is refused is the caller's choice.
 */
void gw__http_gate_enter(gw__http_gate *gate);

/** It is answered. */
void gw__http_gate_leave(gw__http_gate *gate);

/** From now on gw__http_gate_is_closing() tells so. */
void gw__http_gate_close(gw__http_gate *gate);
bool gw__http_gate_is_closing(gw__http_gate *gate);

/** After gw__http_gate_close(): wait until nobody is inside. False when `timeout_ms` passed. */
bool gw__http_gate_wait(gw__http_gate *gate, unsigned timeout_ms);

#endif
