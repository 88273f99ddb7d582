/* SPDX-License-Identifier: MIT */
/* What somebody waits for who told repositories to sync. */
#ifndef CS_JOB_H
#define CS_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include <godwit/error.h>

/* One call of cs_estate_sync(): ends when the last repository it concerns has been synced. */
typedef struct cs_job {
    atomic_uint n_left;
    void (*done)(void *ctx, gw_status st, const gw_error *err);
    void *ctx;
    pthread_mutex_t lock; /* of what follows */
    gw_error first;       /* what failed */
} cs_job;

/* A job in a keeper's list. */
typedef struct cs_job_link {
    struct cs_job_link *next;
    cs_job *job;
} cs_job_link;

/* NULL when out of memory. */
cs_job *cs_job_new(size_t n_syncs, void (*done)(void *ctx, gw_status st, const gw_error *err),
                   void *ctx);

/* One sync less to wait for; with the last one it is over, and gone. Any thread. */
void cs_job_settle(cs_job *job, gw_status st, const gw_error *err);

/* The same for each of a list, which is freed. */
void cs_job_settle_all(cs_job_link *jobs, gw_status st, const gw_error *err);

#endif
