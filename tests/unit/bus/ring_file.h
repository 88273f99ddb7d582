/* SPDX-License-Identifier: MIT */
/* Records whose contents follow from their numbers, and what a ring's file holds of them. */
#ifndef GW_TEST_RING_FILE_H
#define GW_TEST_RING_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/ring.h"

#define RING_SEEN_MAX 8192

typedef struct ring_seen {
    uint64_t seqs[RING_SEEN_MAX]; /* of those that are whole */
    size_t n;
    size_t n_external;
    size_t n_damaged;
    uint64_t n_lost;
} ring_seen;

/* Fails the test if it cannot. */
gw__ring *ring_open(const char *path);

/* What recovery finds. Each whole record is checked, and that they are in order. */
ring_seen ring_recover(gw__ring *ring);

/* The next record, of so many bytes. Returns its number, 0 when there is no room. */
uint64_t ring_put(gw__ring *ring, size_t len, bool external);

/* That everything in it follows from its number. */
void ring_check(const gw__ring_entry *entry);

#endif
