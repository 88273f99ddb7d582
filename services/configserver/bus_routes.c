/* SPDX-License-Identifier: MIT */
#include "bus_routes.h"

#include <string.h>

#include <godwit/log.h>
#include <jansson.h>

#include "app.h"
#include "problem.h"

static int status_of(gw_status st)
{
    return st == GW_E_INVALID ? 400 : 503;
}

/* Append the destination; nothing for everybody. */
static gw_status read_destination(const gw_http_request *req, gw_buf *out, gw_error *err)
{
    const char *segments = gw_http_var(req, "destination");
    const char *argument = gw_http_query(req, "destination");
    gw_buf_add_str(out, segments != NULL ? segments : argument != NULL ? argument : "");
    for (size_t i = 0; segments != NULL && i < out->len; i++) {
        if (out->data[i] == '/') {
            out->data[i] = ':';
        }
    }
    return gw_buf_status(out) == GW_OK ? GW_OK : gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

static void answer(const gw_http_request *req, gw_http_response *res, const char *what,
                   const gw_buf *destination, gw_status st, const gw_error *err)
{
    if (st == GW_OK) {
        gw_log_info("bus", "%s for '%s'", what, destination->len == 0 ? "**" : destination->data);
        gw_http_set_status(res, 204);
    } else {
        cs_problem(req, res, status_of(st), err->text);
    }
}

void cs_post_refresh(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const cs_app *app = ctx;
    if (!cs_access_allow(app->access, req, res, CS_ACTION_REFRESH, NULL, NULL)) {
        return;
    }
    gw_error err = GW_ERROR_INIT;
    gw_buf destination;
    gw_buf_init(&destination, 0);
    gw_status st = read_destination(req, &destination, &err);
    if (st == GW_OK) {
        st = cs_bus_refresh(&app->bus, destination.data, &err);
    }
    answer(req, res, "refresh", &destination, st, &err);
    gw_buf_dispose(&destination);
}

/* The body's object; NULL with the answer's text in `err`, which says nothing of what is in it. */
static json_t *read_change(const gw_http_request *req, const char **ret_name,
                           const char **ret_value, gw_error *err)
{
    size_t len = 0;
    const char *body = gw_http_body(req, &len);
    json_t *change = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    *ret_name = json_string_value(json_object_get(change, "name"));
    *ret_value = json_string_value(json_object_get(change, "value"));
    if (*ret_name == NULL || *ret_value == NULL) {
        json_decref(change);
        gw_error_set(err, GW_E_INVALID, 0,
                     "the body is no {\"name\":\"key\",\"value\":\"text\"} in JSON");
        return NULL;
    }
    return change;
}

void cs_post_change(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const cs_app *app = ctx;
    if (!cs_access_allow(app->access, req, res, CS_ACTION_REFRESH, NULL, NULL)) {
        return;
    }
    gw_error err = GW_ERROR_INIT;
    gw_buf destination;
    gw_buf_init(&destination, 0);
    const char *name = NULL;
    const char *value = NULL;
    json_t *change = read_change(req, &name, &value, &err);
    gw_status st = change == NULL ? GW_E_INVALID : read_destination(req, &destination, &err);
    if (st == GW_OK) {
        st = cs_bus_change(&app->bus, destination.data, name, value, &err);
    }
    answer(req, res, "a change of the environment", &destination, st, &err);
    json_decref(change);
    gw_buf_dispose(&destination);
}
