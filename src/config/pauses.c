/* SPDX-License-Identifier: MIT */
#include "config/pauses.h"

#include <stdint.h>
#include <sys/random.h>

#include <godwit/clock.h>

unsigned gw__shorten(unsigned ms, unsigned jitter_percent)
{
    uint32_t random;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random)) {
        random = (uint32_t)gw_clock_ns(); /* early at boot; chance enough for this */
    }
    uint64_t most = (uint64_t)ms * (jitter_percent < 100 ? jitter_percent : 100) / 100;
    return ms - (unsigned)(most * random >> 32);
}

unsigned gw__pauses_next(gw__pauses *pauses)
{
    double now = pauses->next_ms > 0 ? pauses->next_ms : pauses->first_ms;
    now = now < pauses->max_ms ? now : pauses->max_ms;
    pauses->next_ms = now * (pauses->factor > 1 ? pauses->factor : 1);
    return gw__shorten((unsigned)now, pauses->jitter_percent);
}

void gw__pauses_reset(gw__pauses *pauses)
{
    pauses->next_ms = 0;
}
