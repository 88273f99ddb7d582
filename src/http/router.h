/* SPDX-License-Identifier: MIT */
/**
 * @file router.h
 * The route table, compiled at start into a tree of path segments. Immutable afterwards, so any
 * thread may match. Matching allocates nothing.
 */
#ifndef GW_HTTP_ROUTER_H
#define GW_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/buf.h>
#include <godwit/error.h>
#include <godwit/http.h>

#include "http/target.h"

typedef struct gw__http_router gw__http_router;

/** A variable of a pattern. */
typedef struct gw__http_variable {
    const char *name; /**< borrowed from the pattern, not NUL-terminated */
    size_t name_len;
    size_t segment; /**< which segment it takes */
    bool is_rest;
} gw__http_variable;

/** One route of the table. */
typedef struct gw__http_entry {
    gw_http_route route;
    size_t index; /**< in the table it was made from */
    size_t n_variables;
    gw__http_variable *variables;
} gw__http_entry;

typedef enum gw__http_found {
    GW__HTTP_FOUND,          /**< `entry` answers it */
    GW__HTTP_FOUND_REDIRECT, /**< the table has it with or without the slash at the end */
    GW__HTTP_FOUND_OTHER,    /**< the path is there, not with this method; `allow` says which */
    GW__HTTP_FOUND_NOTHING
} gw__http_found;

typedef struct gw__http_match {
    gw__http_found found;
    const gw__http_entry *entry; /**< set for GW__HTTP_FOUND */
    uint32_t allow;              /**< methods of the path, for gw__http_router_allow() */
} gw__http_match;

/**
 * @param routes copied; their strings are borrowed for the router's life.
 * @return GW_OK; GW_E_INVALID with the pattern and what is wrong with it; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status gw__http_router_new(const gw_http_route *routes, size_t n_routes,
                              gw__http_router **ret_router, gw_error *err);

void gw__http_router_free(gw__http_router *router);

/** Find the route for a method and a path. HEAD is answered by a GET route if it has none. */
gw__http_match gw__http_router_match(const gw__http_router *router, const char *method,
                                     const gw__http_target *target);

/**
 * A variable's value in a target that matched `entry`; NULL if the pattern has none of the name.
 * Asking for "{rest...}" joins the segments of the target.
 */
const char *gw__http_entry_var(const gw__http_entry *entry, gw__http_target *target,
                               const char *name);

/** Append the value of an Allow header: the methods of `allow`, HEAD with GET, and OPTIONS. */
void gw__http_router_allow(const gw__http_router *router, uint32_t allow, gw_buf *out);

#endif
