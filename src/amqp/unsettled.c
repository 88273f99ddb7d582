/* SPDX-License-Identifier: MIT */
#include "amqp/unsettled.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void gw__unsettled_init(gw__unsettled *unsettled)
{
    *unsettled = (gw__unsettled){.items = NULL};
}

void gw__unsettled_dispose(gw__unsettled *unsettled)
{
    free(unsettled->items);
    gw__unsettled_init(unsettled);
}

void gw__unsettled_reset(gw__unsettled *unsettled)
{
    unsettled->first = 0;
    unsettled->end = 0;
    unsettled->n_open = 0;
    unsettled->last = 0;
}

/* Close the gaps. Marked tags are never left behind by a settlement, so what is kept is open. */
static void compact(gw__unsettled *unsettled)
{
    size_t kept = 0;
    for (size_t i = unsettled->first; i < unsettled->end; i++) {
        if (unsettled->items[i].mark != GW__TAG_GONE) {
            unsettled->items[kept++] = unsettled->items[i];
        }
    }
    unsettled->first = 0;
    unsettled->end = kept;
}

static gw_status make_room(gw__unsettled *unsettled)
{
    compact(unsettled);
    /* At least half empty, or compacting would be all it does. */
    if (unsettled->end < unsettled->cap / 2) {
        return GW_OK;
    }
    size_t cap = unsettled->cap == 0 ? FIRST_CAP : unsettled->cap * 2;
    gw__unsettled_item *items = realloc(unsettled->items, cap * sizeof(*items));
    if (items == NULL) {
        return GW_E_NOMEM;
    }
    unsettled->items = items;
    unsettled->cap = cap;
    return GW_OK;
}

gw_status gw__unsettled_add(gw__unsettled *unsettled, uint64_t tag)
{
    if (tag <= unsettled->last) {
        return GW_E_PROTOCOL;
    }
    if (unsettled->end == unsettled->cap && make_room(unsettled) != GW_OK) {
        return GW_E_NOMEM;
    }
    unsettled->items[unsettled->end++] = (gw__unsettled_item){.tag = tag, .mark = GW__TAG_OPEN};
    unsettled->n_open++;
    unsettled->last = tag;
    return GW_OK;
}

static gw__unsettled_item *find(gw__unsettled *unsettled, uint64_t tag)
{
    size_t low = unsettled->first;
    size_t high = unsettled->end;
    if (low < high && unsettled->items[low].tag == tag) {
        return &unsettled->items[low]; /* the usual case: in order */
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unsettled->items[middle].tag < tag) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < unsettled->end && unsettled->items[low].tag == tag ? &unsettled->items[low] : NULL;
}

bool gw__unsettled_mark(gw__unsettled *unsettled, uint64_t tag, gw__settlement how)
{
    gw__unsettled_item *item = find(unsettled, tag);
    if (item == NULL || item->mark != GW__TAG_OPEN) {
        return false;
    }
    item->mark = how == GW__ACK ? GW__TAG_ACK : GW__TAG_REQUEUE;
    unsettled->n_open--;
    return true;
}

bool gw__unsettled_next_run(gw__unsettled *unsettled, uint64_t *ret_tag, bool *ret_multiple,
                            gw__settlement *ret_how, size_t *ret_n)
{
    size_t n = 0;
    int mark = GW__TAG_GONE;
    uint64_t tag = 0;
    size_t at = unsettled->first;
    for (; at < unsettled->end; at++) {
        const gw__unsettled_item *item = &unsettled->items[at];
        if (item->mark == GW__TAG_GONE) {
            continue;
        }
        if (item->mark == GW__TAG_OPEN || (n > 0 && (int)item->mark != mark)) {
            break;
        }
        mark = (int)item->mark;
        tag = item->tag;
        n++;
    }
    unsettled->first = at;
    if (unsettled->first == unsettled->end) {
        unsettled->first = 0;
        unsettled->end = 0;
    }
    if (n == 0) {
        return false;
    }
    *ret_tag = tag;
    *ret_multiple = n > 1;
    *ret_how = mark == GW__TAG_ACK ? GW__ACK : GW__REQUEUE;
    *ret_n = n;
    return true;
}

bool gw__unsettled_take(gw__unsettled *unsettled, uint64_t tag, gw__settlement *ret_how)
{
    gw__unsettled_item *item = find(unsettled, tag);
    if (item == NULL || (item->mark != GW__TAG_ACK && item->mark != GW__TAG_REQUEUE)) {
        return false;
    }
    *ret_how = item->mark == GW__TAG_ACK ? GW__ACK : GW__REQUEUE;
    item->mark = GW__TAG_GONE;
    return true;
}
