/* SPDX-License-Identifier: MIT */
#include "amqp/recovery.h"

#include <sys/random.h>

#include <godwit/clock.h>

void gw__recovery_init(gw__recovery *recovery)
{
    *recovery = (gw__recovery){.n_failures = 0};
    if (getrandom(&recovery->random, sizeof(recovery->random), GRND_NONBLOCK) < 0) {
        recovery->random = gw_clock_ns();
    }
}

void gw__recovery_reset(gw__recovery *recovery)
{
    recovery->n_failures = 0;
}

void gw__recovery_worked(gw__recovery *recovery, uint64_t lasted_ms)
{
    if (lasted_ms >= GW__RETRY_STABLE_MS) {
        gw__recovery_reset(recovery);
    } else if (recovery->n_failures > GW__RETRY_FLAPPING_MAX) {
        recovery->n_failures = GW__RETRY_FLAPPING_MAX;
    }
}

/* SplitMix64's step: processes that start together must not retry together. */
uint32_t gw__recovery_random(gw__recovery *recovery, uint32_t n)
{
    uint64_t z = recovery->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z >> 32) % n);
}

unsigned gw__recovery_next_ms(gw__recovery *recovery, gw_status why)
{
    unsigned n = recovery->n_failures++;
    if (n == 0 && why != GW_E_DENIED) {
        return 0;
    }
    uint32_t most = GW__RETRY_MAX_MS;
    if (n > 0 && n < 10) {
        most = (uint32_t)GW__RETRY_FIRST_MS << (n - 1);
        most = most > GW__RETRY_MAX_MS ? GW__RETRY_MAX_MS : most;
    }
    unsigned wait_ms = GW__RETRY_FIRST_MS / 10 + gw__recovery_random(recovery, most);
    if (why == GW_E_DENIED) {
        /* Five to ten seconds at first, then up to thirty. */
        uint32_t spread = n < 3 ? GW__RETRY_REFUSED_MS : GW__RETRY_MAX_MS - GW__RETRY_REFUSED_MS;
        wait_ms = GW__RETRY_REFUSED_MS + gw__recovery_random(recovery, spread);
    }
    return wait_ms;
}
