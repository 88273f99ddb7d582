/* SPDX-License-Identifier: MIT */
/* The routes that every program has: health and metrics. */
#ifndef GW_SERVICE_ENDPOINTS_H
#define GW_SERVICE_ENDPOINTS_H

#include <godwit/service.h>

#define GW__N_ENDPOINTS 4

/* Write GW__N_ENDPOINTS routes to `ret_routes`. */
void gw__endpoints_add(gw_health_style style, gw_http_route *ret_routes);

#endif
