/* SPDX-License-Identifier: MIT */
/* Whom a destination on Spring Cloud Bus means. Knows nothing of events. */
#ifndef GW_CONFIG_BUS_PATH_H
#define GW_CONFIG_BUS_PATH_H

#include <stdbool.h>

/* This process on the bus; borrowed. */
typedef struct gw__bus_self {
    const char *own_id;
    const char *config_names; /* `spring.cloud.config.name`, several with commas; NULL: none */
} gw__bus_self;

/* Whether a destination's pattern takes an id, by Spring's rules: parts between colons, empty ones
 * dropped; `*` and `{x}` within a part, `?` one character, a part `**` any number of parts. */
bool gw__bus_path_matches(const char *pattern, const char *id);

/* Whether a destination means us, as in Spring: NULL and blank mean everybody; an id with several
 * profiles is tried with each of them alone, and with each name of the configuration. */
bool gw__bus_is_for(const char *destination, const gw__bus_self *self);

/* Beyond that the short forms of older servers, "name", "*", "name:*". */
bool gw__bus_is_short_for(const char *destination, const gw__bus_self *self);

bool gw__bus_is_blank(const char *text);

#endif
