/* SPDX-License-Identifier: MIT */
#include "problem.h"

#include <string.h>

#include <godwit/clock.h>

static const char *title_of(int status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 413: return "Content Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Error";
    }
}

static void add_member(gw_buf *out, const char *name, const char *value)
{
    gw_buf_addf(out, ",\"%s\":", name);
    gw_buf_add_json(out, value, strlen(value));
}

void cs_problem(const gw_http_request *req, gw_http_response *res, int status, const char *detail)
{
    char now[GW_TIME_MS_LEN + 1];
    gw_time_format_ms(gw_clock_unix_ns(), now);
    gw_http_set_status(res, status);
    gw_http_set_content_type(res, "application/problem+json");
    gw_buf *out = gw_http_response_body(res);
    gw_buf_clear(out);
    gw_buf_add_str(out, "{\"type\":\"about:blank\"");
    add_member(out, "title", title_of(status));
    gw_buf_addf(out, ",\"status\":%d", status);
    add_member(out, "detail", detail);
    add_member(out, "timestamp", now);
    add_member(out, "error", title_of(status));
    add_member(out, "message", detail);
    add_member(out, "path", gw_http_path(req));
    gw_buf_add_char(out, '}');
}
