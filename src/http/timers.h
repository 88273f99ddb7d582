/* SPDX-License-Identifier: MIT */
/**
 * @file timers.h
 * Times at which something is due, the earliest first: a heap. One thread at a time.
 */
#ifndef GW_HTTP_TIMERS_H
#define GW_HTTP_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A part of what is due. */
typedef struct gw__http_timer {
    uint64_t due_ns;
    size_t place; /**< in the heap, from 1; 0: it is not in there */
} gw__http_timer;

typedef struct gw__http_timers {
    gw__http_timer **items; /**< items[i] is due no later than items[2i + 1] and items[2i + 2] */
    size_t n;
    size_t cap;
} gw__http_timers;

/** All zero is an empty heap. */
void gw__http_timers_dispose(gw__http_timers *timers);

/** `timer`, whose due_ns is set and which is not in there, is borrowed. False: out of memory. */
bool gw__http_timers_add(gw__http_timers *timers, gw__http_timer *timer);

/** A timer that is not in there is left alone. */
void gw__http_timers_remove(gw__http_timers *timers, gw__http_timer *timer);

/** The one that is due first; NULL if there is none. */
gw__http_timer *gw__http_timers_first(const gw__http_timers *timers);

#endif
