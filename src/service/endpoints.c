/* SPDX-License-Identifier: MIT */
#include "service/endpoints.h"

#include <stdio.h>
#include <string.h>

#include <godwit/health.h>
#include <godwit/metrics.h>

/* Which program answers, for who sees no more than headers. */
static void name_server(const gw_service_spec *spec, gw_http_response *res)
{
    char server[256];
    if (spec->version == NULL) {
        return;
    }
    if (spec->commit == NULL) {
        snprintf(server, sizeof(server), "%s/%s", spec->name, spec->version);
    } else {
        snprintf(server, sizeof(server), "%s/%s (commit %s)", spec->name, spec->version,
                 spec->commit);
    }
    gw_http_set_header(res, "Server", server);
}

/* Ready or not, in the body that the program's clients know. */
static void get_health_json(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)req;
    name_server(ctx, res);
    gw_http_set_status(res, gw_health_write_json(gw_http_response_body(res), false) ? 200 : 503);
}

/* Only who names JSON gets it: probes that accept anything know the text. */
static bool wants_json(const gw_http_request *req)
{
    const char *accept = gw_http_header(req, "Accept");
    const char *json = accept != NULL ? strcasestr(accept, "application/json") : NULL;
    const char *text = accept != NULL ? strcasestr(accept, "text/") : NULL;
    return json != NULL && (text == NULL || json < text);
}

static void get_health_text(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    gw_http_set_header(res, "Vary", "Accept");
    if (wants_json(req)) {
        get_health_json(ctx, req, res);
        return;
    }
    name_server(ctx, res);
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

void gw__endpoints_add(const gw_service_spec *spec, gw__management *management,
                       gw_http_route *ret_routes)
{
    gw_http_handler health =
        spec->health_style == GW_HEALTH_TEXT ? get_health_text : get_health_json;
    ret_routes[0] = (gw_http_route){"Health", "GET", "/health", health, (void *)(uintptr_t)spec};
    ret_routes[1] = (gw_http_route){"Readiness", "GET", "/health/ready", get_readiness, NULL};
    ret_routes[2] = (gw_http_route){"Liveness", "GET", "/health/live", get_liveness, NULL};
    ret_routes[3] = (gw_http_route){"Metrics", "GET", "/metrics", get_metrics, NULL};
    ret_routes[4] =
        (gw_http_route){"Config", "GET", "/config", gw__management_get_config, management};
    ret_routes[5] =
        (gw_http_route){"Refresh", "POST", "/actuator/refresh", gw__management_refresh, management};
}
