/* SPDX-License-Identifier: MIT */
/* Events of Spring Cloud Bus: their JSON, and whom they are addressed to. */
#ifndef GW_CONFIG_BUS_EVENT_H
#define GW_CONFIG_BUS_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#define GW__EVENT_MAX ((size_t)1 << 20)

/* Whether a destination's pattern takes an id, by Spring's rules: parts between colons, empty ones
 * dropped; `*` and `{x}` within a part, `?` one character, a part `**` any number of parts. */
bool gw__bus_path_matches(const char *pattern, const char *id);

/* Whether a destination means us; NULL and blank mean everybody. More than the above: our profiles
 * one by one, and the short forms of older servers, "name", "*", "name:*". */
bool gw__bus_is_for(const char *destination, const char *own_id);

/* Read an event. `ret_refresh`: it is a refresh, for us and not by us. GW_E_INVALID; GW_E_LIMIT. */
gw_status gw__bus_event_read(const char *own_id, const void *body, size_t len, bool *ret_refresh,
                             gw_error *err);

#endif
