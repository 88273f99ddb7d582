/* SPDX-License-Identifier: MIT */
/* An event from the bus: the first line is our own id, the rest the body. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/bus_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t id_len = end != NULL ? (size_t)(end - data) : 0;
    char *id = calloc(1, id_len + 1);
    if (id == NULL) {
        return 0;
    }
    memcpy(id, data, id_len);
    const char *body = end != NULL ? (const char *)end + 1 : (const char *)data;
    size_t body_len = end != NULL ? size - id_len - 1 : size;
    bool refresh = false;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw__bus_event_read(id, body_len > 0 ? body : "", body_len, &refresh, &err);
    if ((st != GW_OK && err.text[0] == '\0') || (st != GW_OK && refresh)) {
        abort();
    }
    free(id);
    return 0;
}
