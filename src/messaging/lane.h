/* SPDX-License-Identifier: MIT */
/*
 * One target's messages in an outbox that is kept in a journal: how many are in memory, and how
 * many are only in the journal and to be loaded later ("cold"). A target's messages keep their
 * order: while it has cold ones, new ones are cold too.
 *
 * Everything here needs the relay's lock held.
 */
#ifndef GW_MESSAGING_LANE_H
#define GW_MESSAGING_LANE_H

#include "messaging/journal.h"

/* Messages that an outbox with a journal keeps in memory, all together and of one target, so that a
 * target that takes none leaves room for others; and their bytes. When several such targets fill
 * it, the others still get a few each. */
#define GW__HOT_MAX       8192
#define GW__LANE_HOT_MAX  4096
#define GW__HOT_BYTES_MAX ((size_t)8 << 20)

/* So many are loaded at once, at most. */
#define GW__LOAD_MAX 256

typedef struct gw__lane {
    struct gw__lane *next;      /* of all */
    struct gw__lane *next_cold; /* of those that are to be loaded */
    gw__target *target;
    uint32_t queue; /* of the journal */
    size_t n_hot;   /* in memory */
    size_t n_cold;
    size_t n_loading; /* being loaded at this moment */
    bool is_listed;   /* among those that are to be loaded */
    uint64_t after;   /* what is cold has a higher number */
} gw__lane;

typedef struct gw__lanes {
    gw__lane *all;
    gw__lane *cold_first; /* their turns */
    gw__lane *cold_last;
    size_t n_hot;
    size_t n_hot_bytes;
} gw__lanes;

/* Whether the next message of the lane may stay in memory. */
bool gw__lane_is_hot(const gw__lanes *lanes, const gw__lane *lane, size_t size);

/* A message of it is only in the journal. */
void gw__lane_add_cold(gw__lanes *lanes, gw__lane *lane, size_t n);

/* The next lane that has room, with `n_loading` set to what is to be loaded; NULL when there is
 * none. */
gw__lane *gw__lanes_begin_loading(gw__lanes *lanes);

/* Loaded, or not: `n_left` of them are cold still, and `after` says from where. */
void gw__lanes_end_loading(gw__lanes *lanes, gw__lane *lane, size_t n_left);

#endif
