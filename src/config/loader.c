/* SPDX-License-Identifier: MIT */
#include "config/loader.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/http_client.h>
#include <godwit/url.h>

#define DETAIL_MAX 256

/* ---- the URL --------------------------------------------------------------- */

static gw_status check_url(const char *text, gw_error *err)
{
    gw_url url;
    gw_status st = gw_url_parse(text, &url, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "config server");
    }
    const char *fault = NULL;
    if (strcmp(url.scheme, "http") != 0 && strcmp(url.scheme, "https") != 0) {
        fault = "it begins with http:// or https://";
    } else if (url.n_hosts != 1) {
        fault = "it has one host";
    } else if (url.query != NULL) {
        fault = "it has no query";
    }
    gw_url_dispose(&url);
    if (fault == NULL) {
        return GW_OK;
    }
    gw_buf masked;
    gw_buf_init(&masked, GW_URL_MAX);
    gw_url_mask(&masked, text);
    gw_error_set(err, GW_E_INVALID, 0, "'%s' is not the URL of a config server: %s",
                 masked.data != NULL ? masked.data : "", fault);
    gw_buf_dispose(&masked);
    return GW_E_INVALID;
}

static void add_segment(gw_buf *out, const char *text)
{
    gw_buf_add_char(out, '/');
    gw_url_encode(out, text, strlen(text));
}

/* A label can hold slashes, as branches do; Spring has "(_)" for them in a path. */
static void add_label(gw_buf *out, const char *label)
{
    gw_buf_add_char(out, '/');
    for (const char *at = label; *at != '\0'; at++) {
        if (*at == '/') {
            gw_buf_add_str(out, "(_)");
        } else {
            gw_url_encode(out, at, 1);
        }
    }
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

gw_status gw__loader_init(gw__loader *loader, const gw_config_options *options, gw_error *err)
{
    *loader = (gw__loader){NULL, NULL};
    if (!is_given(options->url)) {
        return GW_OK;
    }
    gw_status st = check_url(options->url, err);
    if (st != GW_OK) {
        return st;
    }
    if (!is_given(options->app)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a config server is given, but no name to ask it for");
    }
    gw_buf url;
    gw_buf_init(&url, 2 * GW_URL_MAX);
    gw_buf masked;
    gw_buf_init(&masked, 2 * GW_URL_MAX);
    gw_buf_add_str(&url, options->url);
    while (url.len > 0 && url.data[url.len - 1] == '/') {
        url.data[--url.len] = '\0';
    }
    add_segment(&url, options->app);
    add_segment(&url, is_given(options->profile) ? options->profile : "default");
    if (is_given(options->label)) {
        add_label(&url, options->label);
    }
    st = gw_buf_status(&url);
    if (st == GW_OK) {
        gw_url_mask(&masked, url.data);
        st = gw_buf_status(&masked);
    }
    loader->url = gw_buf_detach(&url, NULL);
    loader->masked = gw_buf_detach(&masked, NULL);
    gw_buf_dispose(&url);
    gw_buf_dispose(&masked);
    if (st == GW_OK && (loader->url == NULL || loader->masked == NULL)) {
        st = GW_E_NOMEM;
    }
    if (st != GW_OK) {
        gw__loader_dispose(loader);
        return gw_error_set(err, st, 0, "the URL of the configuration: %s", gw_status_text(st));
    }
    return GW_OK;
}

void gw__loader_dispose(gw__loader *loader)
{
    if (loader->url != NULL) {
        explicit_bzero(loader->url, strlen(loader->url));
    }
    free(loader->url);
    free(loader->masked);
    *loader = (gw__loader){NULL, NULL};
}

/* ---- the answer ---------------------------------------------------------------- */

typedef struct meaning {
    gw_status status;
    bool again;
} meaning;

static meaning meaning_of(int http_status)
{
    switch (http_status) {
    case 401:
    case 403: return (meaning){GW_E_DENIED, false};
    case 404: return (meaning){GW_E_NOT_FOUND, false};
    case 408:
    case 429:
    case 502:
    case 503:
    case 504: return (meaning){GW_E_UNAVAILABLE, true};
    case 500: return (meaning){GW_E_UNAVAILABLE, false}; /* such as a file it cannot read */
    default: return (meaning){GW_E_PROTOCOL, false};
    }
}

static gw_status explain_status(const gw__loader *loader, const gw_http_reply *reply,
                                bool *ret_again, gw_error *err)
{
    meaning mean = meaning_of(reply->status);
    char detail[DETAIL_MAX];
    gw__problem_detail(reply->body.data, reply->body.len, detail, sizeof(detail));
    *ret_again = mean.again;
    return gw_error_set(err, mean.status, reply->status, "%s: the server answers %d%s%s",
                        loader->masked, reply->status, detail[0] != '\0' ? ": " : "", detail);
}

/* The client's text names the URL first, in its own way. */
static gw_status explain_call(const gw__loader *loader, gw_status st, const gw_error *why,
                              bool *ret_again, gw_error *err)
{
    const char *reason = strstr(why->text, ": ");
    bool names_url = strncmp(why->text, "http", 4) == 0 && reason != NULL;
    *ret_again = st == GW_E_UNAVAILABLE || st == GW_E_TIMEOUT;
    return gw_error_set(err, st, why->native, "%s: %s", loader->masked,
                        names_url ? reason + 2 : why->text);
}

gw_status gw__loader_fetch(const gw__loader *loader, unsigned timeout_ms, gw__environment *ret_env,
                           bool *ret_again, gw_error *err)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    gw_http_call call = {.url = loader->url,
                         .headers = headers,
                         .connect_timeout_ms = timeout_ms,
                         .timeout_ms = timeout_ms};
    gw_http_reply reply = {0};
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_http_perform(&call, &reply, &why);
    if (st != GW_OK) {
        return explain_call(loader, st, &why, ret_again, err);
    }
    if (reply.status == 200) {
        *ret_again = false;
        st = gw__environment_parse(reply.body.data != NULL ? reply.body.data : "", reply.body.len,
                                   ret_env, &why);
        if (st != GW_OK) {
            gw_error_set(err, st, why.native, "%s: %s", loader->masked, why.text);
        }
    } else {
        st = explain_status(loader, &reply, ret_again, err);
    }
    gw_http_reply_dispose(&reply);
    return st;
}
