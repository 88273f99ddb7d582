/* SPDX-License-Identifier: MIT */
/*
 * How many messages a subscription asks the broker for ahead, when nobody has said: enough that its
 * workers never wait for the network, few enough that a slow handler leaves the rest to other
 * instances and that large bodies do not fill the memory. Arithmetic only; it is told what was
 * handled and what time it is.
 *
 * @locks none of its own: its owner's.
 */
#ifndef GW_MESSAGING_PREFETCH_H
#define GW_MESSAGING_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW__PREFETCH_START      100
#define GW__PREFETCH_MAX        1000
#define GW__PREFETCH_AHEAD_NS   250000000u           /* of work, for each worker */
#define GW__PREFETCH_BYTES      ((uint64_t)16 << 20) /* of bodies */
#define GW__PREFETCH_CHANGE_MS  2000                 /* at least between two changes */
#define GW__PREFETCH_SAMPLE_MAX 256

/* What one worker has handled since it last told. */
typedef struct gw__prefetch_sample {
    uint64_t n;
    uint64_t handler_ns;
    uint64_t body_bytes;
} gw__prefetch_sample;

typedef struct gw__prefetch {
    unsigned n_workers;
    bool is_shared; /* other instances take from the same queue */
    uint16_t current;
    uint64_t changed_ms;
    gw__prefetch_sample seen; /* older ones count less and less */
} gw__prefetch;

/* What to begin with, before anything is known. */
uint16_t gw__prefetch_first(unsigned n_workers);

void gw__prefetch_init(gw__prefetch *prefetch, unsigned n_workers, bool is_shared, uint64_t now_ms);

/* Add a message to a sample. Whether it is worth telling by now. */
bool gw__prefetch_note(gw__prefetch_sample *sample, uint64_t handler_ns, size_t body_len);

/* Take in a sample, which is emptied. Returns the prefetch to change to, 0 for no change. */
uint16_t gw__prefetch_update(gw__prefetch *prefetch, gw__prefetch_sample *sample, uint64_t now_ms);

/* What the rule wants for this. `seen->n` is not 0. */
uint16_t gw__prefetch_wanted(unsigned n_workers, bool is_shared, const gw__prefetch_sample *seen);

#endif
