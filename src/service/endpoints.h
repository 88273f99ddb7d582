/* SPDX-License-Identifier: MIT */
/* The routes that every program has: health, metrics, and its configuration. */
#ifndef GW_SERVICE_ENDPOINTS_H
#define GW_SERVICE_ENDPOINTS_H

#include <godwit/service.h>

#include "service/management.h"

#define GW__N_ENDPOINTS 6

/* Write GW__N_ENDPOINTS routes to `ret_routes`. `spec` and `management` are borrowed. */
void gw__endpoints_add(const gw_service_spec *spec, gw__management *management,
                       gw_http_route *ret_routes);

#endif
