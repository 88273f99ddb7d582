/* SPDX-License-Identifier: MIT */
#include "amqp/confirms.h"

#include <assert.h>
#include <string.h>

#include "amqp/declarations.h"

#define SLOT(tag) ((tag) & (GW__CONFIRM_WINDOW - 1))

void gw__confirms_reset(gw__confirms *confirms)
{
    confirms->oldest = 1;
    confirms->next = 1;
    confirms->returned_from = 1;
}

size_t gw__confirms_count(const gw__confirms *confirms)
{
    return (size_t)(confirms->next - confirms->oldest);
}

void gw__confirms_add(gw__confirms *confirms, gw__outgoing *item, uint64_t now_ns)
{
    assert(gw__confirms_count(confirms) < GW__CONFIRM_WINDOW);
    uint64_t at = SLOT(confirms->next);
    confirms->slots[at].item = item;
    confirms->slots[at].sent_ns = now_ns;
    confirms->next++;
}

bool gw__confirms_is_known(const gw__confirms *confirms, uint64_t tag)
{
    return tag > 0 && tag < confirms->next;
}

gw__outgoing *gw__confirms_take(gw__confirms *confirms, uint64_t tag, uint64_t *ret_sent_ns)
{
    if (tag < confirms->oldest || tag >= confirms->next) {
        return NULL;
    }
    uint64_t at = SLOT(tag);
    gw__outgoing *item = confirms->slots[at].item;
    *ret_sent_ns = confirms->slots[at].sent_ns;
    confirms->slots[at].item = NULL;
    confirms->slots[at].sent_ns = 0;
    /* A returned message has no item any more, but stays until its confirm: sent_ns tells. */
    while (confirms->oldest < confirms->next &&
           confirms->slots[SLOT(confirms->oldest)].sent_ns == 0) {
        confirms->oldest++;
    }
    return item;
}

static bool is_same(const gw__outgoing *item, const char *exchange, const char *routing_key,
                    const char *message_id)
{
    const char *id = gw_message_id(item->msg);
    return item->mandatory && strcmp(gw__outgoing_key(item), routing_key) == 0 &&
           strcmp(item->target->exchange, exchange) == 0 &&
           (id == NULL ? message_id == NULL : message_id != NULL && strcmp(id, message_id) == 0);
}

gw__outgoing *gw__confirms_take_returned(gw__confirms *confirms, const char *exchange,
                                         const char *routing_key, const char *message_id)
{
    uint64_t first = confirms->returned_from;
    first = first < confirms->oldest ? confirms->oldest : first;
    /* Returns come in the order of publishing, so the search goes on where the last one ended; the
     * ones before come second. */
    uint64_t n = confirms->next - confirms->oldest;
    uint64_t tag = first;
    for (uint64_t i = 0; i < n; i++, tag++) {
        if (tag >= confirms->next) {
            tag = confirms->oldest;
        }
        gw__outgoing *item = confirms->slots[SLOT(tag)].item;
        if (item != NULL && is_same(item, exchange, routing_key, message_id)) {
            confirms->slots[SLOT(tag)].item = NULL;
            confirms->returned_from = tag + 1;
            return item;
        }
    }
    return NULL;
}

uint64_t gw__confirms_sent_ns(const gw__confirms *confirms, uint64_t tag, gw__outgoing **ret_item)
{
    *ret_item = confirms->slots[SLOT(tag)].item;
    return confirms->slots[SLOT(tag)].sent_ns;
}

uint64_t gw__confirms_oldest_ns(const gw__confirms *confirms)
{
    return confirms->oldest < confirms->next ? confirms->slots[SLOT(confirms->oldest)].sent_ns : 0;
}
