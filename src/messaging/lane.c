/* SPDX-License-Identifier: MIT */
#include "messaging/lane.h"

#include <stddef.h>

static bool has_room(const gw__lanes *lanes, size_t size)
{
    return lanes->n_hot < GW__HOT_MAX && lanes->n_hot_bytes + size <= GW__HOT_BYTES_MAX;
}

/* What is loading comes first, and the new one after it: that is their order. */
bool gw__lane_is_hot(const gw__lanes *lanes, const gw__lane *lane, size_t size)
{
    return lane->n_cold == 0 && lane->n_hot + lane->n_loading < GW__LANE_HOT_MAX &&
           has_room(lanes, size);
}

static void append_cold(gw__lanes *lanes, gw__lane *lane)
{
    lane->is_listed = true;
    lane->next_cold = NULL;
    *(lanes->cold_last != NULL ? &lanes->cold_last->next_cold : &lanes->cold_first) = lane;
    lanes->cold_last = lane;
}

void gw__lane_add_cold(gw__lanes *lanes, gw__lane *lane, size_t n)
{
    lane->n_cold += n;
    if (n > 0 && !lane->is_listed && lane->n_loading == 0) {
        append_cold(lanes, lane);
    }
}

/* When targets that take nothing fill what there is, each of the others still gets a little. */
static bool may_load(const gw__lanes *lanes, const gw__lane *lane)
{
    if (has_room(lanes, 0)) {
        return lane->n_hot < GW__LANE_HOT_MAX;
    }
    return lane->n_hot < (lanes->n_hot_bytes <= GW__HOT_BYTES_MAX ? GW__LOAD_MAX : 1);
}

static gw__lane *take_cold(gw__lanes *lanes)
{
    gw__lane *lane = lanes->cold_first;
    lanes->cold_first = lane->next_cold;
    if (lanes->cold_first == NULL) {
        lanes->cold_last = NULL;
    }
    lane->is_listed = false;
    return lane;
}

gw__lane *gw__lanes_begin_loading(gw__lanes *lanes)
{
    const gw__lane *last = lanes->cold_last;
    const gw__lane *passed = NULL;
    while (lanes->cold_first != NULL && (passed == NULL || passed != last)) {
        gw__lane *lane = take_cold(lanes);
        if (may_load(lanes, lane)) {
            lane->n_loading = lane->n_cold < GW__LOAD_MAX ? lane->n_cold : GW__LOAD_MAX;
            lane->n_cold -= lane->n_loading;
            return lane;
        }
        append_cold(lanes, lane);
        passed = lane;
    }
    return NULL;
}

void gw__lanes_end_loading(gw__lanes *lanes, gw__lane *lane, size_t n_left)
{
    lane->n_loading = 0;
    lane->n_cold += n_left;
    if (lane->n_cold > 0) {
        append_cold(lanes, lane);
    }
}
