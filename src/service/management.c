/* SPDX-License-Identifier: MIT */
#include "service/management.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/log.h>

/* ---- who may --------------------------------------------------------------------- */

/* A proxy on this machine asks for others. */
static bool came_over_proxy(const gw_http_request *req)
{
    static const char *const headers[] = {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (gw_http_header(req, headers[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* A page from elsewhere, in a browser on this machine, may have made its own name lead here; but
 * the browser then says that name. */
static bool names_this_machine(const char *host)
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    return (len == strlen("localhost") && strncasecmp(host, "localhost", len) == 0) ||
           (len == strlen("[::1]") && strncmp(host, "[::1]", len) == 0) ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len);
}

static bool is_local(const gw_http_request *req)
{
    const char *host = gw_http_header(req, "Host");
    return gw_http_peer_is_loopback(req) && !came_over_proxy(req) && host != NULL &&
           names_this_machine(host) && gw_http_header(req, "Origin") == NULL;
}

/* False: the answer says why. */
static bool is_allowed(gw__management *self, const gw_http_request *req, gw_http_response *res)
{
    const gw__chassis *now = gw_settings_acquire(self->source.chassis);
    gw__endpoint_access access = now->config_endpoint;
    gw_settings_release(now);
    gw_http_set_header(res, "Cache-Control", "no-store");
    if (access == GW__ENDPOINT_OFF) {
        gw_http_problem(res, 404, "%s is turned off (config_endpoint)", gw_http_path(req));
        return false;
    }
    if (access == GW__ENDPOINT_LOOPBACK && !is_local(req)) {
        gw_http_problem(res, 403, "%s answers only requests of this machine (config_endpoint)",
                        gw_http_path(req));
        return false;
    }
    return true;
}

/* ---- GET /config --------------------------------------------------------------------- */

static bool wants_page(const gw_http_request *req)
{
    const char *accept = gw_http_header(req, "Accept");
    const char *html = accept != NULL ? strcasestr(accept, "text/html") : NULL;
    const char *json = accept != NULL ? strcasestr(accept, "json") : NULL;
    return html != NULL && (json == NULL || html < json);
}

void gw__management_get_config(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    gw__management *self = ctx;
    if (!is_allowed(self, req, res)) {
        return;
    }
    gw_http_set_header(res, "Vary", "Accept");
    gw_http_set_header(res, "X-Content-Type-Options", "nosniff");
    if (!wants_page(req)) {
        gw__config_write_json(&self->source, gw_http_response_body(res));
        return;
    }
    gw_http_set_content_type(res, "text/html; charset=utf-8");
    gw_http_set_header(res, "Content-Security-Policy",
                       "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    gw__config_write_html(&self->source, gw_http_response_body(res));
}

/* ---- POST /actuator/refresh -------------------------------------------------------------- */

/* Keys that a reload has changed, as a JSON array. */
static void on_changed(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                       size_t n_keys)
{
    gw_buf *out = ctx;
    (void)snapshot;
    for (size_t i = 0; i < n_keys; i++) {
        gw_buf_add_str(out, out->len > 1 ? "," : "");
        gw_buf_add_json(out, keys[i], strlen(keys[i]));
    }
}

static int status_of(gw_status st)
{
    return gw_status_is_retriable(st) || st == GW_E_CLOSED ? 503 : 502;
}

static void refresh(gw__management *self, gw_http_response *res)
{
    gw_config *config = self->source.config;
    gw_buf *out = gw_http_response_body(res);
    gw_config_watch *watch = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_buf_add_char(out, '[');
    gw_status st = gw_config_watch_add(config, on_changed, out, &watch, &err);
    if (st == GW_OK) {
        st = gw_config_reload(config, &err);
    }
    gw_config_watch_remove(config, watch); /* before anybody else looks at the buffer */
    gw_buf_add_char(out, ']');
    if (st != GW_OK) {
        gw_log_error("config", "the configuration stays as it is: %s", err.text);
        gw_http_problem(res, status_of(st), "%s", err.text);
    }
}

void gw__management_refresh(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    gw__management *self = ctx;
    if (!is_allowed(self, req, res)) {
        return;
    }
    if (pthread_mutex_trylock(&self->refreshing) != 0) {
        gw_http_set_header(res, "Retry-After", "1");
        gw_http_problem(res, 503, "another request is loading the configuration");
        return;
    }
    refresh(self, res);
    pthread_mutex_unlock(&self->refreshing);
}
