/* SPDX-License-Identifier: MIT */
#include "messaging/prefetch.h"

/* A sample is told when it holds this much work, or many messages. */
#define SAMPLE_NS 20000000u
/* Of what was seen before, so many messages count at most: the rest fades. */
#define SEEN_MAX 2048

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

uint16_t gw__prefetch_first(unsigned n_workers)
{
    return (uint16_t)at_most(at_least((uint64_t)n_workers + 1, GW__PREFETCH_START),
                             GW__PREFETCH_MAX);
}

void gw__prefetch_init(gw__prefetch *prefetch, unsigned n_workers, bool is_shared, uint64_t now_ms)
{
    *prefetch = (gw__prefetch){.n_workers = n_workers,
                               .is_shared = is_shared,
                               .current = gw__prefetch_first(n_workers),
                               .changed_ms = now_ms};
}

bool gw__prefetch_note(gw__prefetch_sample *sample, uint64_t handler_ns, size_t body_len)
{
    sample->n++;
    sample->handler_ns += handler_ns;
    sample->body_bytes += body_len;
    return sample->n >= GW__PREFETCH_SAMPLE_MAX || sample->handler_ns >= SAMPLE_NS;
}

uint16_t gw__prefetch_wanted(unsigned n_workers, bool is_shared, const gw__prefetch_sample *seen)
{
    uint64_t mean_ns = at_least(seen->handler_ns / seen->n, 1);
    uint64_t mean_bytes = at_least(seen->body_bytes / seen->n, 1);
    /* On a queue of one's own there is nobody to leave messages to; and those that wait for their
     * retry take places there. */
    uint64_t least = at_least(n_workers + 1u, is_shared ? 0 : GW__PREFETCH_START);
    uint64_t wanted = at_least(n_workers * (uint64_t)GW__PREFETCH_AHEAD_NS / mean_ns, least);
    wanted = at_most(wanted, GW__PREFETCH_MAX);
    /* Memory has the last word, but for the message that each worker has in hand. */
    return (uint16_t)at_most(wanted, at_least(GW__PREFETCH_BYTES / mean_bytes, n_workers));
}

/* What is long ago must not weigh against a change. */
static void fade(gw__prefetch_sample *seen)
{
    if (seen->n > SEEN_MAX) {
        seen->handler_ns = seen->handler_ns / seen->n * SEEN_MAX;
        seen->body_bytes = seen->body_bytes / seen->n * SEEN_MAX;
        seen->n = SEEN_MAX;
    }
}

uint16_t gw__prefetch_update(gw__prefetch *prefetch, gw__prefetch_sample *sample, uint64_t now_ms)
{
    gw__prefetch_sample *seen = &prefetch->seen;
    fade(seen);
    seen->n += sample->n;
    seen->handler_ns += sample->handler_ns;
    seen->body_bytes += sample->body_bytes;
    *sample = (gw__prefetch_sample){.n = 0};
    if (seen->n == 0 || now_ms < prefetch->changed_ms + GW__PREFETCH_CHANGE_MS) {
        return 0;
    }
    unsigned wanted = gw__prefetch_wanted(prefetch->n_workers, prefetch->is_shared, seen);
    unsigned current = prefetch->current;
    if (wanted < 2 * current && current < 2 * wanted) {
        return 0;
    }
    /* A new measurement begins: what was seen so far weighs as much as one message of each kind. */
    *seen = (gw__prefetch_sample){
        .n = 1, .handler_ns = seen->handler_ns / seen->n, .body_bytes = seen->body_bytes / seen->n};
    prefetch->current = (uint16_t)wanted;
    prefetch->changed_ms = now_ms;
    return (uint16_t)wanted;
}
