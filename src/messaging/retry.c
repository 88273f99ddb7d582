/* SPDX-License-Identifier: MIT */
#include "messaging/retry.h"

#include <limits.h>
#include <string.h>

#include "messaging/message.h"
#include "messaging/republish.h"

/* A count of 0 or more from a header; `otherwise` for anything else. */
static unsigned read_count(const gw_message *msg, const char *name, unsigned otherwise)
{
    int64_t number = gw_message_header_int(msg, name, -1);
    return number < 0 || number >= UINT_MAX ? otherwise : (unsigned)number;
}

static void restore(gw_message *msg, gw__text which, const char *header)
{
    const char *text = gw_message_header_text(msg, header);
    if (text != NULL) {
        /* One that is too long is a forgery, and out of memory leaves what the broker said. */
        (void)gw__message_set_text(msg, which, text, strlen(text));
    }
}

gw__retry_count gw__retry_read(gw_message *msg, const char *queue)
{
    gw__retry_count count = {.attempt = 1, .crashes = 0};
    const char *counted_at = gw_message_header_text(msg, GW__HEADER_QUEUE);
    unsigned attempt = read_count(msg, GW__HEADER_ATTEMPT, 0);
    if (attempt == 0 || counted_at == NULL || strcmp(counted_at, queue) != 0) {
        return count;
    }
    count.attempt = attempt;
    count.crashes = read_count(msg, GW__HEADER_CRASHES, 0);
    restore(msg, GW__TEXT_EXCHANGE, GW__HEADER_EXCHANGE);
    restore(msg, GW__TEXT_ROUTING_KEY, GW__HEADER_ROUTING_KEY);
    return count;
}

gw_message *gw__retry_new(const gw_message *msg, const char *queue, gw__retry_count count,
                          gw_status *ret_status)
{
    gw_message *copy = gw__republish_new(msg, queue, true, ret_status);
    if (copy == NULL) {
        return NULL;
    }
    gw_status st = gw_message_set_header_int(copy, GW__HEADER_ATTEMPT, count.attempt);
    if (st == GW_OK && count.crashes > 0) {
        st = gw_message_set_header_int(copy, GW__HEADER_CRASHES, count.crashes);
    }
    if (st != GW_OK) {
        gw_message_free(copy);
        copy = NULL;
    }
    *ret_status = st;
    return copy;
}

unsigned gw__retry_delay_ms(unsigned first_ms, unsigned max_ms, unsigned attempt)
{
    uint64_t delay_ms = first_ms;
    for (unsigned i = 1; i < attempt && delay_ms > 0 && delay_ms < max_ms; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < max_ms ? delay_ms : max_ms;
    return delay_ms > 0 ? (unsigned)delay_ms : 1;
}
