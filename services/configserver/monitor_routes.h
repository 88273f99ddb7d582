/* SPDX-License-Identifier: MIT */
/* What git hosts and people tell: that files changed; and what they ask: whether all is well. */
#ifndef CS_MONITOR_ROUTES_H
#define CS_MONITOR_ROUTES_H

#include <godwit/http.h>

/* POST /monitor: answers the names that are told. `ctx` is the cs_app, here and below. */
void cs_post_monitor(void *ctx, const gw_http_request *req, gw_http_response *res);

/* GET /actuator/health */
void cs_get_actuator_health(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
