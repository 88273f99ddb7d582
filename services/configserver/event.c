/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/id.h>

#include "files/bounds.h"

#define EVERYBODY "**"

static size_t count(const char *text, char c)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == c;
    }
    return n;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

gw_status cs_destination_write(gw_buf *out, const char *text, gw_error *err)
{
    if (text == NULL || text[0] == '\0') {
        text = EVERYBODY;
    }
    if (strlen(text) > CS_DESTINATION_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "the destination has more than %u bytes",
                            CS_DESTINATION_BYTES_MAX);
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return gw_error_set(err, GW_E_INVALID, 0, "the destination has a control character");
        }
    }
    gw_buf_add_str(out, text);
    bool is_complete =
        strcmp(text, EVERYBODY) == 0 || count(text, ':') > 1 || ends_with(text, ":" EVERYBODY);
    if (!is_complete) {
        gw_buf_add_str(out, ":" EVERYBODY);
    }
    return GW_OK;
}

static void add_field(gw_buf *out, const char *name, const char *value)
{
    gw_buf_addf(out, ",\"%s\":", name);
    gw_buf_add_json(out, value, strlen(value));
}

void cs_event_write_refresh(gw_buf *out, const char *origin, const char *destination,
                            uint64_t unix_ms, const char *id)
{
    gw_buf_addf(out, "{\"type\":\"RefreshRemoteApplicationEvent\",\"timestamp\":%" PRIu64, unix_ms);
    add_field(out, "originService", origin);
    add_field(out, "destinationService", destination);
    add_field(out, "id", id);
    gw_buf_add_char(out, '}');
}

gw_status cs_bus_refresh(const cs_bus *bus, const char *destination, gw_error *err)
{
    if (bus->publish == NULL) {
        return gw_error_set(err, GW_E_UNAVAILABLE, 0,
                            "there is no bus to publish on: start configserver with -amqp URL");
    }
    gw_buf target;
    gw_buf json;
    gw_buf_init(&target, 0);
    gw_buf_init(&json, 0);
    gw_status st = cs_destination_write(&target, destination, err);
    if (st == GW_OK && gw_buf_status(&target) == GW_OK) {
        char id[GW_ID_LEN + 1];
        gw_id_new(id);
        cs_event_write_refresh(&json, bus->origin, target.data, gw_clock_unix_ns() / GW_NS_PER_MS,
                               id);
    }
    if (st == GW_OK && (gw_buf_status(&target) != GW_OK || gw_buf_status(&json) != GW_OK)) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    if (st == GW_OK) {
        st = bus->publish(bus->ctx, json.data, json.len, err);
    }
    gw_buf_dispose(&target);
    gw_buf_dispose(&json);
    return st;
}
