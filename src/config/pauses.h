/* SPDX-License-Identifier: MIT */
/* Pauses between tries: growing up to a maximum, each a little shorter by chance, so that many
 * clients of one server do not come back at the same moment. One thread at a time. */
#ifndef GW_CONFIG_PAUSES_H
#define GW_CONFIG_PAUSES_H

typedef struct gw__pauses {
    unsigned first_ms;
    unsigned max_ms;
    double factor;           /* from one to the next; at least 1 */
    unsigned jitter_percent; /* by how much at most one is shorter */
    double next_ms;          /* private; 0: the first */
} gw__pauses;

/* How long to wait now. */
unsigned gw__pauses_next(gw__pauses *pauses);

/* Begin again: it worked. */
void gw__pauses_reset(gw__pauses *pauses);

/* A time that is up to so many percent shorter, by chance. */
unsigned gw__shorten(unsigned ms, unsigned jitter_percent);

#endif
