/* SPDX-License-Identifier: MIT */
#include "config/bus_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <godwit/clock.h>
#include <godwit/config.h>
#include <godwit/id.h>

#include "config/environment.h"

#define EVENT_CLASS "org.springframework.cloud.bus.event."

/* ---- reading ----------------------------------------------------------------------- */

static gw_status get_text(json_t *event, const char *field, const char **ret_text, gw_error *err)
{
    json_t *value = json_object_get(event, field);
    if (value != NULL && !json_is_string(value) && !json_is_null(value)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a bus event whose '%s' is not a text", field);
    }
    *ret_text = json_string_value(value);
    return GW_OK;
}

static gw_status check_values(json_t *event, gw__bus_event *ret_event, gw_error *err)
{
    json_t *values = json_object_get(event, "values");
    if (values == NULL || json_is_null(values)) {
        return GW_OK;
    }
    if (!json_is_object(values)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a bus event whose 'values' is not an object");
    }
    if (json_object_size(values) > GW__EVENT_VALUES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "a bus event with more than %d values",
                            GW__EVENT_VALUES_MAX);
    }
    const char *key;
    json_t *value;
    json_object_foreach(values, key, value)
    {
        if (json_is_object(value) || json_is_array(value)) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "a bus event whose value of '%.100s' is not a plain value", key);
        }
    }
    ret_event->values = values;
    return GW_OK;
}

static gw__event_kind kind_of(const char *type)
{
    return strcmp(type, "RefreshRemoteApplicationEvent") == 0             ? GW__EVENT_REFRESH
           : strcmp(type, "EnvironmentChangeRemoteApplicationEvent") == 0 ? GW__EVENT_ENVIRONMENT
                                                                          : GW__EVENT_IGNORED;
}

/* What it is for us. An acknowledgement is never acknowledged. */
static void judge(const gw__bus_self *self, gw__bus_event *event, const char *origin)
{
    bool from_self = !gw__bus_is_blank(origin) && gw__bus_path_matches(origin, self->own_id);
    bool for_self = gw__bus_is_for(event->destination, self);
    gw__event_kind kind = kind_of(event->type);
    /* Loading once too often harms nobody. */
    bool is_meant =
        for_self || (kind == GW__EVENT_REFRESH && gw__bus_is_short_for(event->destination, self));
    event->kind = is_meant && !from_self ? kind : GW__EVENT_IGNORED;
    event->wants_ack = for_self && strcmp(event->type, "AckRemoteApplicationEvent") != 0;
}

static gw_status read_event(const gw__bus_self *self, json_t *root, gw__bus_event *ret_event,
                            gw_error *err)
{
    if (!json_is_object(root)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a bus event that is not a JSON object");
    }
    const char *origin = NULL;
    gw_status st = get_text(root, "type", &ret_event->type, err);
    if (st == GW_OK && ret_event->type == NULL) {
        st = gw_error_set(err, GW_E_INVALID, 0, "a bus event without a type");
    }
    st = st == GW_OK ? get_text(root, "destinationService", &ret_event->destination, err) : st;
    st = st == GW_OK ? get_text(root, "originService", &origin, err) : st;
    st = st == GW_OK ? get_text(root, "id", &ret_event->id, err) : st;
    if (st != GW_OK) {
        return st;
    }
    judge(self, ret_event, origin);
    return ret_event->kind == GW__EVENT_ENVIRONMENT ? check_values(root, ret_event, err) : GW_OK;
}

gw_status gw__bus_event_read(const gw__bus_self *self, const void *body, size_t len,
                             gw__bus_event *ret_event, gw_error *err)
{
    if (len > GW__EVENT_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "a bus event of %zu bytes, more than %zu", len,
                            GW__EVENT_MAX);
    }
    json_error_t fault;
    json_t *root = len == 0 ? NULL : json_loadb(body, len, 0, &fault);
    if (root == NULL) {
        if (len > 0 && json_error_code(&fault) == json_error_out_of_memory) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a bus event");
        }
        return len == 0 ? gw_error_set(err, GW_E_INVALID, 0, "a bus event without a body")
                        : gw_error_set(err, GW_E_INVALID, 0,
                                       "a bus event that is not JSON (line %d, column %d)",
                                       fault.line, fault.column);
    }
    gw__bus_event event = {.root = root};
    gw_status st = read_event(self, root, &event, err);
    if (st != GW_OK) {
        json_decref(root);
        return st;
    }
    *ret_event = event;
    return GW_OK;
}

void gw__bus_event_dispose(gw__bus_event *event)
{
    json_decref(event->root);
    *event = (gw__bus_event){.root = NULL};
}

/* ---- its values ---------------------------------------------------------------------- */

gw_status gw__bus_event_changes(const gw__bus_event *event, gw__overrides *changes, gw_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(event->values, key, value)
    {
        char number[GW__SCALAR_MAX];
        const char *text = gw__scalar_text(value, number, sizeof(number));
        gw_status st = gw__overrides_add(changes, key, json_is_null(value) ? NULL : text, err);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* ---- the acknowledgement -------------------------------------------------------------- */

static void add_field(gw_buf *out, const char *name, const char *text)
{
    gw_buf_addf(out, ",\"%s\":", name);
    gw_buf_add_json(out, text, strlen(text));
}

static const char *class_of(const char *type)
{
    static const char *const known[] = {"RefreshRemoteApplicationEvent",
                                        "EnvironmentChangeRemoteApplicationEvent",
                                        "ShutdownRemoteApplicationEvent"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(type, known[i]) == 0) {
            return known[i];
        }
    }
    return "UnknownRemoteApplicationEvent";
}

void gw__bus_event_write_ack(const gw__bus_event *event, const char *own_id, gw_buf *out)
{
    char id[GW_ID_LEN + 1];
    char class_name[128];
    gw_id_new(id);
    snprintf(class_name, sizeof(class_name), EVENT_CLASS "%s", class_of(event->type));
    gw_buf_addf(out, "{\"type\":\"AckRemoteApplicationEvent\",\"timestamp\":%" PRIu64,
                gw_clock_unix_ns() / GW_NS_PER_MS);
    add_field(out, "originService", own_id);
    add_field(out, "destinationService", "**");
    add_field(out, "id", id);
    add_field(out, "ackId", event->id != NULL ? event->id : "");
    add_field(out, "ackDestinationService",
              gw__bus_is_blank(event->destination) ? "**" : event->destination);
    add_field(out, "event", class_name);
    gw_buf_add_char(out, '}');
}

/* ---- our own id ---------------------------------------------------------------------- */

static void add_part(gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        gw_buf_add_char(out, *text == ':' ? '-' : *text);
    }
}

void gw_config_bus_id(gw_buf *out, const char *name, const char *profile, unsigned port)
{
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    add_part(out, name);
    if (!gw__bus_is_blank(profile)) {
        gw_buf_add_char(out, ':');
        add_part(out, profile);
    }
    gw_buf_addf(out, ":%u:", port);
    for (const char *at = id; *at != '\0'; at++) {
        if (*at != '-') {
            gw_buf_add_char(out, *at);
        }
    }
}
