/* SPDX-License-Identifier: MIT */
#include "service/endpoints.h"

#include <godwit/health.h>
#include <godwit/metrics.h>

/* Ready or not, in the body that the program's clients know. */
static void get_health_json(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_http_set_status(res, gw_health_write_json(gw_http_response_body(res), false) ? 200 : 503);
}

static void get_health_text(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_http_set_content_type(res, "text/plain; charset=utf-8");
    gw_buf *out = gw_http_response_body(res);
    if (!gw_health_is_ready()) {
        gw_health_write_text(out);
    }
    if (out->len > 0) {
        gw_http_set_status(res, 503);
    } else { /* also if it became ready between the two */
        gw_buf_add_str(out, "OK");
    }
}

/* With every component, up or down, and since when. */
static void get_readiness(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_http_set_status(res, gw_health_write_json(gw_http_response_body(res), true) ? 200 : 503);
}

/* It answers, therefore it lives. What it depends on is no reason to restart it. */
static void get_liveness(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_buf_add_str(gw_http_response_body(res), "{\"status\":\"UP\"}");
}

static void get_metrics(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_http_set_content_type(res, "text/plain; version=0.0.4; charset=utf-8");
    gw_metrics_write(gw_http_response_body(res));
}

void gw__endpoints_add(gw_health_style style, gw__management *management, gw_http_route *ret_routes)
{
    gw_http_handler health = style == GW_HEALTH_TEXT ? get_health_text : get_health_json;
    ret_routes[0] = (gw_http_route){"Health", "GET", "/health", health, NULL};
    ret_routes[1] = (gw_http_route){"Readiness", "GET", "/health/ready", get_readiness, NULL};
    ret_routes[2] = (gw_http_route){"Liveness", "GET", "/health/live", get_liveness, NULL};
    ret_routes[3] = (gw_http_route){"Metrics", "GET", "/metrics", get_metrics, NULL};
    ret_routes[4] =
        (gw_http_route){"Config", "GET", "/config", gw__management_get_config, management};
    ret_routes[5] =
        (gw_http_route){"Refresh", "POST", "/actuator/refresh", gw__management_refresh, management};
}
