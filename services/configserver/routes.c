/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include <stdint.h>
#include <string.h>

#include <godwit/health.h>
#include <godwit/log.h>

#include "answer/request.h"
#include "webhook.h"

static void answer_environment(cs_app *app, const gw_http_request *req, gw_http_response *res,
                               const char *label)
{
    cs_answer *answer = cs_lookup_environment(app->lookup, gw_http_var(req, "name"),
                                              gw_http_var(req, "profiles"), label);
    if (answer == NULL) {
        gw_http_problem(res, 503, "out of memory");
        return;
    }
    if (answer->status == 200) {
        gw_http_set_content_type(res, "application/json");
        gw_buf_add(gw_http_response_body(res), answer->body, answer->body_len);
    } else {
        gw_http_problem(res, answer->status, "%s", answer->body);
    }
    cs_answer_unref(answer);
}

static void refuse_flat_format(gw_http_response *res)
{
    gw_http_problem(res, 404,
                    "the flat formats (.yml, .yaml, .properties, .json) are not served; ask for "
                    "/{name}/{profiles}");
}

/* GET /{name}/{profiles} */
static void get_environment(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    if (cs_profiles_have_extension(gw_http_var(req, "profiles"))) {
        refuse_flat_format(res);
        return;
    }
    answer_environment(ctx, req, res, NULL);
}

/* GET /{name}/{profiles}/{label} */
static void get_labelled_environment(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    answer_environment(ctx, req, res, gw_http_var(req, "label"));
}

/* GET /{file}: "/accountservice-dev.yml" and everything else of one segment. */
static void get_file(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    if (cs_profiles_have_extension(gw_http_var(req, "file"))) {
        refuse_flat_format(res);
    } else {
        gw_http_problem(res, 404, "no such page; an environment is at /{name}/{profiles}");
    }
}

/* GET /actuator/health, where Spring's clients and probes look. */
static void get_actuator_health(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_http_set_status(res, gw_health_write_json(gw_http_response_body(res), false) ? 200 : 503);
}

static int status_of(gw_status st)
{
    switch (st) {
    case GW_E_INVALID: return 400;
    case GW_E_DENIED: return 403;
    case GW_E_LIMIT: return 413;
    default: return 503;
    }
}

static const char *header_of(void *ctx, const char *name)
{
    return gw_http_header(ctx, name);
}

static gw_status publish_names(const cs_app *app, const cs_names *names, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < names->n; i++) {
        gw_buf destination;
        gw_buf_init(&destination, 0);
        gw_buf_addf(&destination, "%s:**", names->items[i].bytes);
        st = gw_buf_status(&destination) == GW_OK
                 ? cs_bus_refresh(&app->bus, destination.data, err)
                 : gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
        gw_buf_dispose(&destination);
    }
    return st;
}

static void write_names(gw_buf *out, const cs_names *names)
{
    gw_buf_add_char(out, '[');
    for (size_t i = 0; i < names->n; i++) {
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        gw_buf_add_json(out, names->items[i].bytes, names->items[i].len);
    }
    gw_buf_add_char(out, ']');
}

static void log_push(const cs_push *push)
{
    const cs_names *names = &push->names;
    if (push->reason[0] != '\0') {
        gw_log_info("monitor", "nothing refreshed: %s", push->reason);
    } else {
        gw_log_info("monitor", "%zu %s changed, %zu %s refreshed", names->n_paths,
                    names->n_paths == 1 ? "file" : "files", names->n,
                    names->n == 1 ? "name" : "names");
    }
}

/* POST /monitor: a git host tells that files changed; answers the names that were told. */
static void post_monitor(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const cs_app *app = ctx;
    gw_error err = GW_ERROR_INIT;
    cs_webhook hook = {.header = header_of, .ctx = (void *)(uintptr_t)req};
    hook.body = gw_http_body(req, &hook.body_len);
    cs_push push;
    cs_push_init(&push);
    gw_status st = cs_webhook_read(&hook, &push, &err);
    if (st == GW_OK && app->bus.publish == NULL) {
        st = cs_bus_refresh(&app->bus, NULL, &err); /* its text says which flag is missing */
    } else if (st == GW_OK) {
        st = publish_names(app, &push.names, &err);
    }
    if (st == GW_OK) {
        log_push(&push);
        write_names(gw_http_response_body(res), &push.names);
    } else {
        gw_log_warn("monitor", "%s", err.text);
        gw_http_problem(res, status_of(st), "%s", err.text);
    }
    cs_push_dispose(&push);
}

/* POST /actuator/busrefresh[/{destination...}]: segments are joined with ':'. */
static void post_busrefresh(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const cs_app *app = ctx;
    const char *segments = gw_http_var(req, "destination");
    gw_error err = GW_ERROR_INIT;
    gw_buf destination;
    gw_buf_init(&destination, 0);
    gw_buf_add_str(&destination, segments == NULL ? "" : segments);
    for (size_t i = 0; i < destination.len; i++) {
        if (destination.data[i] == '/') {
            destination.data[i] = ':';
        }
    }
    gw_status st = gw_buf_status(&destination) == GW_OK
                       ? cs_bus_refresh(&app->bus, destination.data, &err)
                       : gw_error_set(&err, GW_E_NOMEM, 0, "out of memory");
    if (st == GW_OK) {
        gw_log_info("monitor", "refresh for '%s'", destination.len == 0 ? "**" : destination.data);
        gw_http_set_status(res, 204);
    } else {
        gw_http_problem(res, status_of(st), "%s", err.text);
    }
    gw_buf_dispose(&destination);
}

static const gw_http_route routes[] = {
    {"ActuatorHealth", "GET", "/actuator/health", get_actuator_health, NULL},
    {"BusRefresh", "POST", "/actuator/busrefresh", post_busrefresh, NULL},
    {"BusRefreshDestination", "POST", "/actuator/busrefresh/{destination...}", post_busrefresh,
     NULL},
    {"Monitor", "POST", "/monitor", post_monitor, NULL},
    {"File", "GET", "/{file}", get_file, NULL},
    {"Environment", "GET", "/{name}/{profiles}", get_environment, NULL},
    {"LabelledEnvironment", "GET", "/{name}/{profiles}/{label}", get_labelled_environment, NULL},
};

const gw_http_route *cs_routes(size_t *ret_n)
{
    *ret_n = sizeof(routes) / sizeof(routes[0]);
    return routes;
}
