/* SPDX-License-Identifier: MIT */
/* The answer of a Spring-style config server, {"propertySources":[{"name":...,"source":{...}}]},
 * read into properties. A value stands for itself, or in {"value":...,"origin":"3:7"}, which tells
 * its line and column: the second format of Spring's servers. Refuses what such a server would not
 * say, as a whole. */
#ifndef GW_CONFIG_ENVIRONMENT_H
#define GW_CONFIG_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/properties.h"

#define GW__VERSION_MAX 127
#define GW__STATE_MAX   1023
#define GW__SOURCES_MAX 1000

typedef struct gw__environment {
    gw__properties *properties; /* sealed; NULL in a zeroed struct */
    size_t n_sources;
    const char *place; /* the URL that it is from, for people; the loader's. NULL: not known */
    bool from_cache;   /* and not from the server itself; the reader of the cache says so */
    char version[GW__VERSION_MAX + 1]; /* "" if it says none; cut */
    char state[GW__STATE_MAX + 1];     /* to be said back to the server; "" if none, or not fit */
} gw__environment;

/* The text of a failure names keys and sources, and no values. GW_E_PROTOCOL; GW_E_LIMIT;
 * GW_E_NOMEM. */
gw_status gw__environment_parse(const char *body, size_t len, gw__environment *ret_env,
                                gw_error *err);

#define GW__SCALAR_MAX 64

struct json_t;

/* A scalar of JSON as text, an empty one for null; NULL for what is none. `number` is room for one,
 * of GW__SCALAR_MAX bytes. */
const char *gw__scalar_text(const struct json_t *value, char *number, size_t size);

/* What the server says of a failure: "detail", "message", "error" or "title" of a JSON object, at
 * most `size` bytes of it, masked; "" for anything else. */
void gw__problem_detail(const char *body, size_t len, char *ret_detail, size_t size);

#endif
