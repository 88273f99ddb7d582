/* SPDX-License-Identifier: MIT */
#include "config_server.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/http_client.h>
#include <godwit/secret.h>
#include <godwit/url.h>

#define TOKEN_MAX  4096
#define BODY_MAX   ((size_t)64 << 20)
#define DETAIL_MAX 400

/* ---- names ----------------------------------------------------------------------- */

bool config_names_read(const char *word, cs_request *ret_req, gw_error *fault)
{
    char parts[3][CS_NAME_BYTES_MAX + 1] = {"", "", ""};
    size_t n = 0;
    for (const char *rest = word; n < 3; n++) {
        const char *slash = n < 2 ? strchr(rest, '/') : NULL;
        size_t len = slash != NULL ? (size_t)(slash - rest) : strlen(rest);
        gw_buf segment;
        gw_buf_init(&segment, CS_NAME_BYTES_MAX);
        for (size_t i = 0; i < len; i++) {
            gw_buf_add_str(&segment, rest[i] == '/' ? "(_)" : (char[]){rest[i], '\0'});
        }
        bool fits = gw_buf_status(&segment) == GW_OK;
        if (fits && segment.data != NULL) {
            memcpy(parts[n], segment.data, segment.len + 1);
        }
        gw_buf_dispose(&segment);
        if (!fits) {
            gw_error_set(fault, GW_E_LIMIT, 0, "a name of more than %u bytes", CS_NAME_BYTES_MAX);
            return false;
        }
        if (slash == NULL) {
            n++;
            break;
        }
        rest = slash + 1;
    }
    if (n < 2) {
        gw_error_set(fault, GW_E_INVALID, 0,
                     "'%.128s' is not APP/PROFILE[/LABEL], such as "
                     "accountservice/test",
                     word);
        return false;
    }
    return cs_request_init(ret_req, parts[0], parts[1], n == 3 ? parts[2] : NULL, fault) == GW_OK;
}

void config_segment_write(const char *text, gw_buf *out)
{
    gw_buf_add_char(out, '/');
    for (; *text != '\0'; text++) {
        if (*text == '/' || *text == ',') {
            gw_buf_add_str(out, *text == '/' ? "(_)" : ",");
        } else {
            gw_url_encode(out, text, 1);
        }
    }
}

void config_names_write(const cs_request *req, gw_buf *out)
{
    config_segment_write(req->name, out);
    config_segment_write(req->profiles, out);
    if (req->has_label) {
        config_segment_write(req->label, out);
    }
}

/* ---- calls ----------------------------------------------------------------------- */

/* What the server says about a failure, in its own words; "" when it says nothing. */
static void read_detail(const gw_http_reply *reply, char *ret, size_t size)
{
    static const char *const members[] = {"detail", "message", "description", "error"};
    json_t *root = json_loadb(reply->body.data != NULL ? reply->body.data : "", reply->body.len,
                              JSON_DISABLE_EOF_CHECK, NULL);
    ret[0] = '\0';
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && ret[0] == '\0'; i++) {
        const char *text = json_string_value(json_object_get(root, members[i]));
        snprintf(ret, size, "%s", text != NULL ? text : "");
    }
    json_decref(root);
}

static int refuse(const gw_http_reply *reply, const char *url, FILE *err)
{
    char detail[DETAIL_MAX];
    gw_buf shown;
    gw_buf_init(&shown, 0);
    gw_url_mask(&shown, url);
    read_detail(reply, detail, sizeof(detail));
    const char *hint = reply->status == 401 ? ": name a token with --token-file" : "";
    int status = tool_fail(err, TOOL_FAILED, "%s answers %d%s%s%s",
                           shown.data != NULL ? shown.data : "the server", reply->status,
                           detail[0] != '\0' ? ": " : "", detail, hint);
    gw_buf_dispose(&shown);
    return status;
}

static int read_token(const options *given, char *ret_header, size_t size, FILE *err)
{
    static const char scheme[] = "Authorization: Bearer ";
    gw_error why = GW_ERROR_INIT;
    ret_header[0] = '\0';
    if (given->config.token_file == NULL) {
        return TOOL_OK;
    }
    memcpy(ret_header, scheme, sizeof(scheme));
    if (gw_secret_read("token-file", given->config.token_file, true,
                       ret_header + sizeof(scheme) - 1, size - sizeof(scheme) + 1, &why) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    return TOOL_OK;
}

static gw_status call(const options *given, const char *url, const char *token,
                      gw_http_reply *reply, gw_error *why)
{
    const char *const headers[] = {"Accept: application/json, text/plain;q=0.9",
                                   token[0] != '\0' ? token : NULL, NULL};
    const gw_http_call made = {.url = url,
                               .headers = headers,
                               .timeout_ms = given->timeout_ms,
                               .max_body_bytes = BODY_MAX};
    return gw_http_perform(&made, reply, why);
}

/* Ask the server whose URL is the `len` bytes at `base`. */
static gw_status ask(const options *given, const char *base, size_t len, const char *path,
                     const char *token, gw_buf *url, gw_http_reply *reply, gw_error *why)
{
    while (len > 0 && base[len - 1] == '/') {
        len--;
    }
    gw_buf_clear(url);
    gw_buf_add(url, base, len);
    gw_buf_add_str(url, path);
    return gw_buf_status(url) == GW_OK ? call(given, url->data, token, reply, why)
                                       : gw_error_set(why, GW_E_NOMEM, 0, "out of memory");
}

int config_server_get(const options *given, const char *path, gw_buf *ret_body, FILE *err)
{
    const char *servers = given->config.server;
    char token[TOKEN_MAX];
    gw_http_reply reply = {.status = 0};
    gw_error why = GW_ERROR_INIT;
    gw_status st = GW_E_INVALID;
    gw_buf url;
    gw_buf_init(&url, 0);
    bool is_named = servers != NULL && servers[0] != '\0';
    servers = is_named ? servers : CONFIG_SERVER_DEFAULT;
    int status = read_token(given, token, sizeof(token), err);
    for (const char *at = servers; status == TOOL_OK && st != GW_OK && *at != '\0';) {
        size_t len = strcspn(at, ",");
        st = ask(given, at, len, path, token, &url, &reply, &why);
        at += len + (at[len] == ',' ? 1 : 0);
    }
    explicit_bzero(token, sizeof(token));
    if (status == TOOL_OK && st != GW_OK) {
        status = tool_fail(err, TOOL_FAILED, "%s%s", why.text,
                           is_named ? "" : "; name the server with --url");
    } else if (status == TOOL_OK && reply.status != 200) {
        status = refuse(&reply, url.data, err);
    } else if (status == TOOL_OK) {
        gw_buf body = *ret_body;
        *ret_body = reply.body;
        reply.body = body;
    }
    gw_buf_dispose(&url);
    gw_http_reply_dispose(&reply);
    return status;
}

int config_server_get_json(const options *given, const char *path, json_t **ret_json, FILE *err)
{
    gw_buf body;
    json_error_t where;
    gw_buf_init(&body, 0);
    int status = config_server_get(given, path, &body, err);
    if (status == TOOL_OK) {
        *ret_json = json_loadb(body.data != NULL ? body.data : "", body.len, 0, &where);
        if (!json_is_object(*ret_json)) {
            json_decref(*ret_json);
            *ret_json = NULL;
            status = tool_fail(err, TOOL_FAILED,
                               "this is no configuration server: its answer is not JSON");
        }
    }
    if (body.data != NULL) {
        explicit_bzero(body.data, body.cap);
    }
    gw_buf_dispose(&body);
    return status;
}
