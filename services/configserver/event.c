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

/* The fields that all events have. Open: the caller adds its own, and the '}'. */
static void begin_event(gw_buf *out, const char *type, const char *origin, const char *destination,
                        uint64_t unix_ms, const char *id)
{
    gw_buf_addf(out, "{\"type\":\"%s\",\"timestamp\":%" PRIu64, type, unix_ms);
    add_field(out, "originService", origin);
    add_field(out, "destinationService", destination);
    add_field(out, "id", id);
}

void cs_event_write_refresh(gw_buf *out, const char *origin, const char *destination,
                            uint64_t unix_ms, const char *id)
{
    begin_event(out, "RefreshRemoteApplicationEvent", origin, destination, unix_ms, id);
    gw_buf_add_char(out, '}');
}

void cs_event_write_change(gw_buf *out, const char *origin, const char *destination,
                           uint64_t unix_ms, const char *id, const char *name, const char *value)
{
    begin_event(out, "EnvironmentChangeRemoteApplicationEvent", origin, destination, unix_ms, id);
    gw_buf_add_str(out, ",\"values\":{");
    gw_buf_add_json(out, name, strlen(name));
    gw_buf_add_char(out, ':');
    gw_buf_add_json(out, value, strlen(value));
    gw_buf_add_str(out, "}}");
}

/* A refresh, or with a name a change. */
static gw_status publish(const cs_bus *bus, const char *destination, const char *name,
                         const char *value, gw_error *err)
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
        uint64_t now_ms = gw_clock_unix_ns() / GW_NS_PER_MS;
        if (name == NULL) {
            cs_event_write_refresh(&json, bus->origin, target.data, now_ms, id);
        } else {
            cs_event_write_change(&json, bus->origin, target.data, now_ms, id, name, value);
        }
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

gw_status cs_bus_refresh(const cs_bus *bus, const char *destination, gw_error *err)
{
    return publish(bus, destination, NULL, NULL, err);
}

gw_status cs_bus_change(const cs_bus *bus, const char *destination, const char *name,
                        const char *value, gw_error *err)
{
    if (name[0] == '\0' || strlen(name) > CS_KEY_BYTES_MAX || strlen(value) > CS_CHANGE_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a change needs a name of 1 to %u bytes, and a value of at most %u",
                            CS_KEY_BYTES_MAX, CS_CHANGE_BYTES_MAX);
    }
    return publish(bus, destination, name, value, err);
}
