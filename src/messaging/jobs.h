/* SPDX-License-Identifier: MIT */
/*
 * The deliveries of a subscription: those that are to be handled, in order, and those that wait for
 * their time. A list and no more: its owner has the lock, and the threads.
 */
#ifndef GW_MESSAGING_JOBS_H
#define GW_MESSAGING_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "messaging/retry.h"
#include "messaging/transport.h"

/* A delivery on its way through the subscription. */
typedef struct gw__job {
    struct gw__job *next;
    gw_message *msg;
    gw__delivery delivery;
    gw__retry_count count;
    uint64_t due_ms;                 /* among the delayed */
    unsigned delay_ms;               /* of its retry, ... */
    unsigned waited_ms;              /* ... of which it has waited here */
    bool retry_due;                  /* it is to be forwarded, not handled */
    bool suspect;                    /* a process died while it handled it; was looked into */
    char *reason;                    /* set: no handler gets it any more, it is a dead letter */
    struct gw__forwarder *forwarder; /* that has it */
} gw__job;

typedef struct gw__jobs {
    gw__job *ready;
    gw__job **ready_tail;
    gw__job *delayed; /* in order of due_ms */
} gw__jobs;

/* `msg` is taken, also when out of memory: NULL. */
gw__job *gw__job_new(gw_message *msg, gw__delivery delivery);
void gw__job_free(gw__job *it); /* accepts NULL */
void gw__job_free_all(gw__job *list);

void gw__jobs_init(gw__jobs *jobs);
void gw__jobs_dispose(gw__jobs *jobs);

void gw__jobs_append(gw__jobs *jobs, gw__job *it);
void gw__jobs_delay(gw__jobs *jobs, gw__job *it, uint64_t delay_ms);

/* Append those whose time has come; returns how many. */
unsigned gw__jobs_ripen(gw__jobs *jobs);

/* When the next of the delayed is due; UINT64_MAX: there is none. */
uint64_t gw__jobs_due_ms(const gw__jobs *jobs);

/* Take out the first one, or all of them; NULL if nothing is ready. */
gw__job *gw__jobs_take(gw__jobs *jobs);
gw__job *gw__jobs_take_all(gw__jobs *jobs);

/* Take out what belongs to this epoch or an earlier one. */
gw__job *gw__jobs_take_lost(gw__jobs *jobs, uint64_t epoch);

#endif
