/* SPDX-License-Identifier: MIT */
/* All routes of the program but those that every service has. */
#ifndef CS_ROUTES_H
#define CS_ROUTES_H

#include <stddef.h>

#include <godwit/error.h>
#include <godwit/http.h>

#include "app.h"

typedef struct cs_route_table {
    gw_http_route *items; /* all strings are static, or the table's */
    size_t n;
    char **patterns; /* private: those with a prefix */
    size_t n_patterns;
} cs_route_table;

/*
 * The routes with `app`, which is borrowed, as their ctx.
 *
 * @param prefix of environments, files, explanations and /encrypt, "/config" or "config"; NULL or
 * "": none. /monitor and /actuator have none, as in Spring.
 * @return GW_OK; GW_E_INVALID for a prefix that is no path; GW_E_NOMEM.
 */
gw_status cs_routes_make(cs_app *app, const char *prefix, cs_route_table *ret_table, gw_error *err);

/* Once they are copied. Accepts a zeroed struct. */
void cs_routes_dispose(cs_route_table *table);

#endif
