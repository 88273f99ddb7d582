/* SPDX-License-Identifier: MIT */
/*
 * A record of the outbox's store: it is refused with a reason, or read as a message whose record is
 * the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bus/record.h"
#include "messaging/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The message is stored as what it was read from. */
static void check(const gw_message *msg, const uint8_t *data, size_t size)
{
    if (gw__record_size(msg) != size) {
        abort();
    }
    uint8_t *again = malloc(size);
    if (again == NULL) {
        return;
    }
    if (gw__record_write(msg, again) != again + size || memcmp(again, data, size) != 0) {
        abort();
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gw_message *msg = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw__record_read(data, size, &msg, &err);
    if (st != GW_OK) {
        if (msg != NULL || err.status != st || err.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    check(msg, data, size);
    gw_message *copy = gw_message_dup(msg);
    if (copy == NULL) {
        abort(); /* larger or deeper than its setters allow */
    }
    check(copy, data, size);
    gw_message_free(copy);
    gw_message_free(msg);
    return 0;
}
