/* SPDX-License-Identifier: MIT */
/* The HTTP face: requests in, answers out; what they mean is decided elsewhere. */
#ifndef CS_ROUTES_H
#define CS_ROUTES_H

#include <godwit/http.h>

#include "event.h"
#include "answer/lookup.h"

/* What the handlers need; filled in before the server starts. */
typedef struct cs_app {
    cs_lookup *lookup;
    cs_bus bus;
} cs_app;

/* The routes, with NULL as their ctx: it must become the cs_app. Static. */
const gw_http_route *cs_routes(size_t *ret_n);

#endif
