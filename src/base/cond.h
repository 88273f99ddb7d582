/* SPDX-License-Identifier: MIT */
/* Condition variables that wait until a time of gw_clock_ms(), which nobody can set back. */
#ifndef GW_BASE_COND_H
#define GW_BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* As pthread_cond_init(), on the monotonic clock. Returns 0 or an errno value. */
int gw__cond_init(pthread_cond_t *cond);

/* Wait as pthread_cond_wait(), also for no reason. False once `deadline_ms` has passed; UINT64_MAX
 * never does. @locks `lock` held */
bool gw__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ms);

#endif
