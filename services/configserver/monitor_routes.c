/* SPDX-License-Identifier: MIT */
#include "monitor_routes.h"

#include <stdint.h>

#include <godwit/log.h>

#include "announce.h"
#include "app.h"
#include "health.h"
#include "problem.h"
#include "webhook.h"

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

static void log_push(const cs_app *app, const cs_push *push)
{
    const cs_names *names = &push->names;
    if (push->reason[0] != '\0') {
        gw_log_info("monitor", "nothing refreshed: %s", push->reason);
        return;
    }
    gw_log_info("monitor", "%zu %s changed, %zu %s refreshed%s", names->n_paths,
                names->n_paths == 1 ? "file" : "files", names->n, names->n == 1 ? "name" : "names",
                app->bus.publish == NULL ? "; without -amqp only those who poll are told" : "");
}

/* A git host proves itself by its signature if there is a secret; people and hosts without one by a
 * user's password or token. */
static bool is_let_in(const cs_app *app, const gw_http_request *req, gw_http_response *res,
                      bool *ret_is_user)
{
    const cs_webhook_rules *rules = app->hook_rules;
    bool has_secret = rules != NULL && rules->secret != NULL && rules->secret[0] != '\0';
    *ret_is_user = app->access != NULL && (gw_http_header(req, "Authorization") != NULL ||
                                           gw_http_header(req, "X-Config-Token") != NULL);
    return (has_secret && !*ret_is_user) ||
           cs_access_allow(app->access, req, res, CS_ACTION_REFRESH, NULL, NULL);
}

static gw_status take_push(const cs_app *app, const gw_http_request *req, bool is_user,
                           cs_push *push, gw_error *err)
{
    cs_webhook hook = {
        .header = header_of,
        .ctx = (void *)(uintptr_t)req,
        .rules = app->hook_rules,
        .is_authorised = is_user,
    };
    hook.body = gw_http_body(req, &hook.body_len);
    gw_status st = cs_webhook_read(&hook, push, err);
    bool is_news = push->names.n > 0 || push->n_urls > 0;
    return st == GW_OK && is_news ? cs_announce(app, push, err) : st;
}

void cs_post_monitor(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const cs_app *app = ctx;
    bool is_user = false;
    if (!is_let_in(app, req, res, &is_user)) {
        return;
    }
    gw_error err = GW_ERROR_INIT;
    cs_push push;
    cs_push_init(&push);
    gw_status st = take_push(app, req, is_user, &push, &err);
    if (st == GW_OK) {
        log_push(app, &push);
        write_names(gw_http_response_body(res), &push.names);
    } else {
        gw_log_warn("monitor", "%s", err.text);
        cs_problem(req, res, status_of(st), err.text);
    }
    cs_push_dispose(&push);
}

void cs_get_actuator_health(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)req;
    const cs_app *app = ctx;
    bool is_up = cs_health_write(gw_http_response_body(res), cs_estate_view(app->estate));
    cs_estate_leave(app->estate);
    gw_http_set_status(res, is_up ? 200 : 503);
    gw_http_set_header(res, "Cache-Control", "no-store");
}
