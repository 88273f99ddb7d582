/* SPDX-License-Identifier: MIT */
/* Events of Spring Cloud Bus: their JSON, what they are for us, and how they are acknowledged. */
#ifndef GW_CONFIG_BUS_EVENT_H
#define GW_CONFIG_BUS_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>
#include <godwit/error.h>

#include "config/bus_path.h"
#include "config/overrides.h"

#define GW__EVENT_MAX        ((size_t)1 << 20)
#define GW__EVENT_VALUES_MAX 1000

typedef enum gw__event_kind {
    GW__EVENT_IGNORED,    /* for others, by ourselves, or of a type that means nothing here */
    GW__EVENT_REFRESH,    /* load again */
    GW__EVENT_ENVIRONMENT /* set values */
} gw__event_kind;

struct json_t;

typedef struct gw__bus_event {
    gw__event_kind kind;
    bool wants_ack; /* it is addressed to us, also if it is by us, and is no acknowledgement */
    const char *type;
    const char *id;          /* NULL: it has none */
    const char *destination; /* NULL: everybody */
    struct json_t *values;   /* of GW__EVENT_ENVIRONMENT, checked; may be NULL */
    struct json_t *root;     /* what all of it is borrowed from */
} gw__bus_event;

/* Read an event. GW_E_INVALID; GW_E_LIMIT; GW_E_NOMEM. */
gw_status gw__bus_event_read(const gw__bus_self *self, const void *body, size_t len,
                             gw__bus_event *ret_event, gw_error *err);
void gw__bus_event_dispose(gw__bus_event *event);

/* Add its values. GW_E_INVALID for an empty key; GW_E_LIMIT; GW_E_NOMEM. */
gw_status gw__bus_event_changes(const gw__bus_event *event, gw__overrides *changes, gw_error *err);

/* Append the acknowledgement, exactly the fields that every version of Spring takes. */
void gw__bus_event_write_ack(const gw__bus_event *event, const char *own_id, gw_buf *out);

#endif
