/* SPDX-License-Identifier: MIT */
#include "messaging/jobs.h"

#include <stdlib.h>

#include <godwit/clock.h>

gw__job *gw__job_new(gw_message *msg, gw__delivery delivery)
{
    gw__job *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        gw_message_free(msg);
        return NULL;
    }
    it->msg = msg;
    it->delivery = delivery;
    it->count.attempt = 1;
    return it;
}

void gw__job_free(gw__job *it)
{
    if (it != NULL) {
        gw_message_free(it->msg);
        free(it->reason);
        free(it);
    }
}

void gw__job_free_all(gw__job *list)
{
    gw__job *next;
    for (gw__job *it = list; it != NULL; it = next) {
        next = it->next;
        gw__job_free(it);
    }
}

void gw__jobs_init(gw__jobs *jobs)
{
    *jobs = (gw__jobs){.ready = NULL};
    jobs->ready_tail = &jobs->ready;
}

void gw__jobs_dispose(gw__jobs *jobs)
{
    gw__job_free_all(jobs->ready);
    gw__job_free_all(jobs->delayed);
}

void gw__jobs_append(gw__jobs *jobs, gw__job *it)
{
    it->next = NULL;
    *jobs->ready_tail = it;
    jobs->ready_tail = &it->next;
}

void gw__jobs_delay(gw__jobs *jobs, gw__job *it, uint64_t delay_ms)
{
    it->due_ms = gw_clock_ms() + delay_ms;
    gw__job **at = &jobs->delayed;
    while (*at != NULL && (*at)->due_ms <= it->due_ms) {
        at = &(*at)->next;
    }
    it->next = *at;
    *at = it;
}

unsigned gw__jobs_ripen(gw__jobs *jobs)
{
    unsigned n = 0;
    if (jobs->delayed == NULL) {
        return n;
    }
    uint64_t now_ms = gw_clock_ms();
    for (; jobs->delayed != NULL && jobs->delayed->due_ms <= now_ms; n++) {
        gw__job *it = jobs->delayed;
        jobs->delayed = it->next;
        gw__jobs_append(jobs, it);
    }
    return n;
}

uint64_t gw__jobs_due_ms(const gw__jobs *jobs)
{
    return jobs->delayed != NULL ? jobs->delayed->due_ms : UINT64_MAX;
}

gw__job *gw__jobs_take(gw__jobs *jobs)
{
    gw__job *it = jobs->ready;
    if (it != NULL) {
        jobs->ready = it->next;
        it->next = NULL;
    }
    if (jobs->ready == NULL) {
        jobs->ready_tail = &jobs->ready;
    }
    return it;
}

gw__job *gw__jobs_take_all(gw__jobs *jobs)
{
    gw__job *list = jobs->ready;
    jobs->ready = NULL;
    jobs->ready_tail = &jobs->ready;
    return list;
}

/* Move what is lost from one list to another; returns where the first one ends. */
static gw__job **drop_lost(gw__job **list, uint64_t epoch, gw__job **dropped)
{
    while (*list != NULL) {
        gw__job *it = *list;
        if (it->delivery.epoch > epoch) {
            list = &it->next;
            continue;
        }
        *list = it->next;
        it->next = *dropped;
        *dropped = it;
    }
    return list;
}

gw__job *gw__jobs_take_lost(gw__jobs *jobs, uint64_t epoch)
{
    gw__job *dropped = NULL;
    jobs->ready_tail = drop_lost(&jobs->ready, epoch, &dropped);
    (void)drop_lost(&jobs->delayed, epoch, &dropped);
    return dropped;
}
