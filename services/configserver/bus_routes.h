/* SPDX-License-Identifier: MIT */
/* POST of events for the bus, at the paths that Spring Cloud Bus had over the years. */
#ifndef CS_BUS_ROUTES_H
#define CS_BUS_ROUTES_H

#include <godwit/http.h>

/* The destination is the variable {destination}, its segments joined with ':', or the query's
 * ?destination=; without either everybody. `ctx` is the cs_app. */
void cs_post_refresh(void *ctx, const gw_http_request *req, gw_http_response *res);

/* The same with {"name","value"} as the body: receivers set the property. */
void cs_post_change(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
