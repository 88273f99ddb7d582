/* SPDX-License-Identifier: MIT */
#include "messaging/lane.h"

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

gw__lane *gw__lanes_begin_loading(gw__lanes *lanes)
{
    gw__lane *lane = lanes->cold_first;
    if (lane == NULL || !has_room(lanes, 0)) {
        return NULL;
    }
    lanes->cold_first = lane->next_cold;
    if (lanes->cold_first == NULL) {
        lanes->cold_last = NULL;
    }
    lane->is_listed = false;
    if (lane->n_hot >= GW__LANE_HOT_MAX) { /* others first */
        append_cold(lanes, lane);
        return NULL;
    }
    lane->n_loading = lane->n_cold < GW__LOAD_MAX ? lane->n_cold : GW__LOAD_MAX;
    lane->n_cold -= lane->n_loading;
    return lane;
}

void gw__lanes_end_loading(gw__lanes *lanes, gw__lane *lane, size_t n_left)
{
    lane->n_loading = 0;
    lane->n_cold += n_left;
    if (lane->n_cold > 0) {
        append_cold(lanes, lane);
    }
}
