/* SPDX-License-Identifier: MIT */
#include "repo/job.h"

#include <stdlib.h>

cs_job *cs_job_new(size_t n_syncs, void (*done)(void *ctx, gw_status st, const gw_error *err),
                   void *ctx)
{
    cs_job *job = calloc(1, sizeof(*job));
    if (job != NULL) {
        pthread_mutex_init(&job->lock, NULL);
        atomic_init(&job->n_left, (unsigned)n_syncs);
        job->done = done;
        job->ctx = ctx;
    }
    return job;
}

void cs_job_settle(cs_job *job, gw_status st, const gw_error *err)
{
    pthread_mutex_lock(&job->lock);
    if (st != GW_OK && job->first.status == GW_OK) {
        job->first = *err;
        job->first.status = st;
    }
    pthread_mutex_unlock(&job->lock);
    if (atomic_fetch_sub(&job->n_left, 1) != 1) {
        return;
    }
    if (job->done != NULL) {
        job->done(job->ctx, job->first.status, &job->first);
    }
    pthread_mutex_destroy(&job->lock);
    free(job);
}

void cs_job_settle_all(cs_job_link *jobs, gw_status st, const gw_error *err)
{
    cs_job_link *next = NULL;
    for (; jobs != NULL; jobs = next) {
        next = jobs->next;
        cs_job_settle(jobs->job, st, err);
        free(jobs);
    }
}
