/* SPDX-License-Identifier: MIT */
#include "http/timers.h"

#include <stdlib.h>

#define FIRST_CAP 16

void gw__http_timers_dispose(gw__http_timers *timers)
{
    free(timers->items);
    *timers = (gw__http_timers){NULL, 0, 0};
}

static void put(gw__http_timers *timers, size_t i, gw__http_timer *timer)
{
    timers->items[i] = timer;
    timer->place = i + 1;
}

/* `timer` goes to place i or further up. */
static void sift_up(gw__http_timers *timers, size_t i, gw__http_timer *timer)
{
    while (i > 0 && timer->due_ns < timers->items[(i - 1) / 2]->due_ns) {
        put(timers, i, timers->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(timers, i, timer);
}

/* `timer` goes to place i or further down. */
static void sift_down(gw__http_timers *timers, size_t i, gw__http_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= timers->n) {
            break;
        }
        if (child + 1 < timers->n &&
            timers->items[child + 1]->due_ns < timers->items[child]->due_ns) {
            child++;
        }
        if (timers->items[child]->due_ns >= timer->due_ns) {
            break;
        }
        put(timers, i, timers->items[child]);
        i = child;
    }
    put(timers, i, timer);
}

bool gw__http_timers_add(gw__http_timers *timers, gw__http_timer *timer)
{
    if (timers->n == timers->cap) {
        size_t cap = timers->cap == 0 ? FIRST_CAP : 2 * timers->cap;
        gw__http_timer **items = realloc(timers->items, cap * sizeof(items[0]));
        if (items == NULL) {
            return false;
        }
        timers->items = items;
        timers->cap = cap;
    }
    sift_up(timers, timers->n++, timer);
    return true;
}

void gw__http_timers_remove(gw__http_timers *timers, gw__http_timer *timer)
{
    if (timer->place == 0) {
        return;
    }
    size_t i = timer->place - 1;
    timer->place = 0;
    gw__http_timer *last = timers->items[--timers->n];
    if (last == timer) {
        return;
    }
    if (last->due_ns < timer->due_ns) {
        sift_up(timers, i, last);
    } else {
        sift_down(timers, i, last);
    }
}

gw__http_timer *gw__http_timers_first(const gw__http_timers *timers)
{
    return timers->n > 0 ? timers->items[0] : NULL;
}
