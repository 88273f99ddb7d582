/* SPDX-License-Identifier: MIT */
/*
 * The delivery tags of a channel that are not settled yet, in order, and how to settle them with
 * few frames: what is settled without a gap from the oldest on goes as one multiple, the rest
 * singly.
 *
 * Tags can stay open for long while later ones come and go, so this is a list with gaps that is
 * compacted, not a range.
 */
#ifndef GW_AMQP_UNSETTLED_H
#define GW_AMQP_UNSETTLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/status.h>

#include "messaging/transport.h"

typedef struct gw__unsettled_item {
    uint64_t tag;
    enum { GW__TAG_OPEN, GW__TAG_ACK, GW__TAG_REQUEUE, GW__TAG_GONE } mark;
} gw__unsettled_item;

typedef struct gw__unsettled {
    gw__unsettled_item *items; /* by tag; those in [first, end) count */
    size_t first;
    size_t end;
    size_t cap;
    size_t n_open; /* of mark OPEN */
    uint64_t last; /* tag that was added */
} gw__unsettled;

void gw__unsettled_init(gw__unsettled *unsettled);
void gw__unsettled_dispose(gw__unsettled *unsettled);

/* A new channel: forget everything. */
void gw__unsettled_reset(gw__unsettled *unsettled);

/* A delivery came. GW_E_PROTOCOL when its tag is not greater than the last; GW_E_NOMEM. */
gw_status gw__unsettled_add(gw__unsettled *unsettled, uint64_t tag);

/* It is to be settled so. Whether it was open. */
bool gw__unsettled_mark(gw__unsettled *unsettled, uint64_t tag, gw__settlement how);

/*
 * Settle the prefix of marked tags: call again until false. `ret_n` is set to how many tags it
 * settles.
 */
bool gw__unsettled_next_run(gw__unsettled *unsettled, uint64_t *ret_tag, bool *ret_multiple,
                            gw__settlement *ret_how, size_t *ret_n);

/* Settle one marked tag behind a gap: whether it is still to be done. After the runs. */
bool gw__unsettled_take(gw__unsettled *unsettled, uint64_t tag, gw__settlement *ret_how);

#endif
