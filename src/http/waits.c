/* SPDX-License-Identifier: MIT */
/* Those who wait on one channel stand in a list in the order in which they came, so their tickets
 * only grow towards its end, and a wake takes them from its beginning. Nothing here is done for a
 * request that does not wait. */
#include "http/waits.h"

#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#define COMPLAIN_EVERY_NS (60 * (uint64_t)1000 * GW_NS_PER_MS)

/* The requests of this thread that wait on one channel. Stays when it is empty. */
struct gw__http_crowd {
    gw__http_crowd *next;
    gw_http_channel *channel;
    gw__http_listener listener;
    gw__http_wait_list list;
};

static void append(gw__http_wait_list *list, gw__http_wait *wait)
{
    wait->list = list;
    wait->next = NULL;
    wait->prev = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = wait;
    list->last = wait;
}

static void unlink_wait(gw__http_wait *wait)
{
    gw__http_wait_list *list = wait->list;
    *(wait->prev != NULL ? &wait->prev->next : &list->first) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : &list->last) = wait->prev;
    wait->list = NULL;
}

void gw__http_waits_init(gw__http_waits *waits, int bell_fd, size_t n_max, gw_gauge *gauge)
{
    waits->bell.fd = bell_fd;
    waits->n_max = n_max;
    waits->gauge = gauge;
}

void gw__http_waits_dispose(gw__http_waits *waits)
{
    gw__http_crowd *next = NULL;
    for (gw__http_crowd *crowd = waits->crowds; crowd != NULL; crowd = next) {
        next = crowd->next;
        gw__http_channel_leave(crowd->channel, &crowd->listener);
        free(crowd);
    }
    waits->crowds = NULL;
    gw__http_timers_dispose(&waits->timers);
}

static gw__http_crowd *crowd_for(gw__http_waits *waits, gw_http_channel *channel)
{
    for (gw__http_crowd *crowd = waits->crowds; crowd != NULL; crowd = crowd->next) {
        if (crowd->channel == channel) {
            return crowd;
        }
    }
    gw__http_crowd *crowd = calloc(1, sizeof(*crowd));
    if (crowd != NULL) {
        crowd->channel = channel;
        crowd->listener.bell = &waits->bell;
        crowd->next = waits->crowds;
        waits->crowds = crowd;
        gw__http_channel_join(channel, &crowd->listener);
    }
    return crowd;
}

static gw_status refuse(gw__http_waits *waits)
{
    uint64_t now_ns = gw_clock_ns();
    if (waits->complained_ns == 0 || now_ns - waits->complained_ns > COMPLAIN_EVERY_NS) {
        waits->complained_ns = now_ns;
        gw_log_warn("http",
                    "%zu requests wait on this server thread, and no more may: others are answered "
                    "at once; allow more connections",
                    waits->n);
    }
    return GW_E_LIMIT;
}

static void make_due(gw__http_waits *waits, gw__http_wait *wait)
{
    gw__http_timers_remove(&waits->timers, &wait->timer);
    unlink_wait(wait);
    append(&waits->due, wait);
}

gw_status gw__http_waits_add(gw__http_waits *waits, gw__http_wait *wait, gw_http_channel *channel,
                             uint64_t ticket, uint64_t until_ns)
{
    if (waits->n >= waits->n_max) {
        return refuse(waits);
    }
    gw__http_crowd *crowd = crowd_for(waits, channel);
    wait->timer = (gw__http_timer){.due_ns = until_ns};
    if (crowd == NULL || !gw__http_timers_add(&waits->timers, &wait->timer)) {
        return GW_E_NOMEM;
    }
    wait->ticket = ticket;
    wait->is_over = false;
    append(&crowd->list, wait);
    waits->n++;
    gw_gauge_add(waits->gauge, 1);
    if (ticket != gw_http_channel_ticket(channel)) {
        make_due(waits, wait); /* woken in between */
    }
    return GW_OK;
}

void gw__http_waits_remove(gw__http_waits *waits, gw__http_wait *wait)
{
    if (wait->list != NULL) {
        gw__http_timers_remove(&waits->timers, &wait->timer);
        unlink_wait(wait);
        waits->n--;
        gw_gauge_add(waits->gauge, -1);
    }
}

static gw__http_wait *wait_of(gw__http_timer *timer)
{
    return (gw__http_wait *)(void *)((char *)timer - offsetof(gw__http_wait, timer));
}

void gw__http_waits_look(gw__http_waits *waits, uint64_t now_ns)
{
    if (gw__http_bell_take(&waits->bell)) {
        for (gw__http_crowd *crowd = waits->crowds; crowd != NULL; crowd = crowd->next) {
            uint64_t ticket = gw_http_channel_ticket(crowd->channel);
            while (crowd->list.first != NULL && crowd->list.first->ticket != ticket) {
                make_due(waits, crowd->list.first);
            }
        }
    }
    gw__http_timer *timer = NULL;
    while ((timer = gw__http_timers_first(&waits->timers)) != NULL && timer->due_ns <= now_ns) {
        wait_of(timer)->is_over = true;
        make_due(waits, wait_of(timer));
    }
}

void gw__http_waits_end(gw__http_waits *waits)
{
    gw__http_timer *timer = NULL;
    while ((timer = gw__http_timers_first(&waits->timers)) != NULL) {
        wait_of(timer)->is_over = true;
        make_due(waits, wait_of(timer));
    }
}

gw__http_wait *gw__http_waits_take(gw__http_waits *waits)
{
    gw__http_wait *wait = waits->due.first;
    if (wait != NULL) {
        gw__http_waits_remove(waits, wait);
    }
    return wait;
}

uint64_t gw__http_waits_next_ns(const gw__http_waits *waits)
{
    if (waits->due.first != NULL) {
        return 0;
    }
    const gw__http_timer *timer = gw__http_timers_first(&waits->timers);
    return timer != NULL ? timer->due_ns : UINT64_MAX;
}
