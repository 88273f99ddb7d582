/* SPDX-License-Identifier: MIT */
/*
 * When to try again. The first retry after a success is immediate, once; then full-jitter
 * exponential backoff from 0.1 s to 30 s, for ever. What the broker refused (a login, a permission)
 * waits at least 5 s, so that nobody's account is locked by us.
 */
#ifndef GW_AMQP_RECOVERY_H
#define GW_AMQP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/status.h>

#define GW__RETRY_FIRST_MS   100
#define GW__RETRY_MAX_MS     30000
#define GW__RETRY_REFUSED_MS 5000
/* A success that lasted less does not count as one, so that flapping backs off as well; but the
 * outage before it is over, so it backs off no further than this many failures in a row would. */
#define GW__RETRY_STABLE_MS    10000
#define GW__RETRY_FLAPPING_MAX 5

typedef struct gw__recovery {
    unsigned n_failures; /* since the last lasting success */
    uint64_t random;     /* state of the generator */
} gw__recovery;

void gw__recovery_init(gw__recovery *recovery);

/* It works again, and nothing more needs to be seen. */
void gw__recovery_reset(gw__recovery *recovery);

/* A success has ended that lasted so long. */
void gw__recovery_worked(gw__recovery *recovery, uint64_t lasted_ms);

/* It failed, for this reason: how long to wait, in milliseconds. */
unsigned gw__recovery_next_ms(gw__recovery *recovery, gw_status why);

/* A random number below `n`, for jitter and shuffling; not for secrets. */
uint32_t gw__recovery_random(gw__recovery *recovery, uint32_t n);

#endif
