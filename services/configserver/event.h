/* SPDX-License-Identifier: MIT */
/*
 * Events for the bus, exactly as Spring Cloud Bus writes them: every version reads these
 * fields and old ones refuse any other.
 */
#ifndef CS_EVENT_H
#define CS_EVENT_H

#include <stdint.h>

#include <godwit/buf.h>
#include <godwit/error.h>

/* Hand one event to the bus. Any thread. */
typedef gw_status (*cs_publish_fn)(void *ctx, const char *json, size_t len, gw_error *err);

typedef struct cs_bus {
    cs_publish_fn publish; /* NULL: there is no bus */
    void *ctx;
    const char *origin; /* this process: "configserver:default:8888:<random>" */
} cs_bus;

/*
 * Append the destination as a publisher writes it: nothing is "**" (everybody); "customers" and
 * "customers:9000" get ":**" for all their instances; what has more parts or ends in ":**" stays.
 * `text` may be NULL.
 *
 * @return GW_OK; GW_E_INVALID for control characters or more than CS_DESTINATION_BYTES_MAX bytes.
 */
gw_status cs_destination_write(gw_buf *out, const char *text, gw_error *err);

/* Append a RefreshRemoteApplicationEvent. */
void cs_event_write_refresh(gw_buf *out, const char *origin, const char *destination,
                            uint64_t unix_ms, const char *id);

/* Append an EnvironmentChangeRemoteApplicationEvent: receivers set the property. */
void cs_event_write_change(gw_buf *out, const char *origin, const char *destination,
                           uint64_t unix_ms, const char *id, const char *name, const char *value);

/*
 * Publish one refresh event.
 *
 * @param destination as for cs_destination_write().
 * @return GW_OK; GW_E_INVALID; GW_E_UNAVAILABLE when there is no bus; what publishing fails with.
 */
gw_status cs_bus_refresh(const cs_bus *bus, const char *destination, gw_error *err);

/* The same with an environment change. GW_E_INVALID also for a name or a value that is too long. */
gw_status cs_bus_change(const cs_bus *bus, const char *destination, const char *name,
                        const char *value, gw_error *err);

#endif
