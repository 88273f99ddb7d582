/* SPDX-License-Identifier: MIT */
/* The answer that a handler puts together, and handing it to MHD. */
#include "http/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "http/date.h"
#include "http/problem.h"

#define KEEP_MAX    4096               /* memory of a body kept for the connection's next answer */
#define BODY_MAX    ((size_t)64 << 20) /* of an answer */
#define HEADERS_MAX 2048               /* they must fit into the connection's memory at MHD */

/* Written by MHD from what it knows; a second opinion would break the framing. */
static const char *const reserved_headers[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                               "Date"};

void gw__http_response_reset(gw_http_response *res)
{
    if (res->body.cap > KEEP_MAX) {
        gw_buf_dispose(&res->body);
    }
    gw_buf_clear(&res->body);
    res->body.limit = BODY_MAX;
    gw_buf_clear(&res->headers);
    res->headers.limit = HEADERS_MAX;
    res->status = 200;
    res->content_type = NULL;
    res->has_type = false;
    res->channel = NULL;
}

void gw_http_set_status(gw_http_response *res, int status)
{
    res->status = status;
}

static bool is_token(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL) {
            return false;
        }
    }
    return name[0] != '\0';
}

static bool is_field_value(const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

void gw_http_set_header(gw_http_response *res, const char *name, const char *value)
{
    if (!is_token(name) || !is_field_value(value)) {
        return;
    }
    for (size_t i = 0; i < sizeof(reserved_headers) / sizeof(reserved_headers[0]); i++) {
        if (strcasecmp(name, reserved_headers[i]) == 0) {
            return;
        }
    }
    res->has_type = res->has_type || strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE) == 0;
    size_t name_size = strlen(name) + 1;
    size_t value_size = strlen(value) + 1;
    if (gw_buf_reserve(&res->headers, name_size + value_size) != GW_OK) {
        return; /* the sticking error makes a 500 of the answer */
    }
    gw_buf_add(&res->headers, name, name_size);
    gw_buf_add(&res->headers, value, value_size);
}

void gw_http_set_content_type(gw_http_response *res, const char *content_type)
{
    res->content_type = content_type;
}

gw_buf *gw_http_response_body(gw_http_response *res)
{
    return &res->body;
}

void gw_http_problem(gw_http_response *res, int status, const char *format, ...)
{
    char detail[GW__HTTP_DETAIL_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    size_t detail_len = len < 0 ? 0 : (size_t)len;
    if (detail_len >= sizeof(detail)) {
        detail_len = gw__utf8_cut(detail, sizeof(detail) - 1 - 3);
        memcpy(detail + detail_len, "...", 3);
        detail_len += 3;
    }
    gw_buf_clear(&res->body);
    res->body.limit = BODY_MAX; /* a handler may have set a limit of its own */
    res->status = status;
    res->content_type = GW__HTTP_PROBLEM_TYPE;
    gw__http_problem_write(&res->body, status, detail, detail_len);
}

void gw_http_wait(gw_http_response *res, gw_http_channel *channel, uint64_t ticket,
                  unsigned timeout_ms)
{
    res->channel = channel;
    res->ticket = ticket;
    res->timeout_ms = timeout_ms;
}

static bool may_have_body(int status)
{
    return status != 204 && status != 304;
}

/* Replace what a handler made if it cannot be sent. */
static void check(gw_http_response *res)
{
    if (res->status < 200 || res->status > 599) {
        gw_http_problem(res, 500, "the handler answered with the status %d", res->status);
    }
    if (gw_buf_status(&res->headers) != GW_OK) {
        gw_buf_clear(&res->headers);
        gw_http_problem(res, 500, "the answer's headers are larger than %d bytes", HEADERS_MAX);
    }
    if (gw_buf_status(&res->body) != GW_OK) {
        const char *reason = gw_status_text(gw_buf_status(&res->body));
        gw_buf_dispose(&res->body);
        gw_http_problem(res, 500, "the answer could not be made: %s", reason);
    }
}

static enum MHD_Result add_headers(struct MHD_Response *answer, const gw_buf *headers)
{
    const char *end = headers->data + headers->len;
    for (const char *name = headers->data; name < end;) {
        const char *value = name + strlen(name) + 1;
        if (MHD_add_response_header(answer, name, value) != MHD_YES) {
            return MHD_NO;
        }
        name = value + strlen(value) + 1;
    }
    return MHD_YES;
}

static struct MHD_Response *make_answer(const gw_http_response *res, const char *data, size_t len,
                                        const char *type, const char *date, bool close)
{
    /* Persistent: MHD borrows the bytes; they stay until gw__http_exchange_end() or later. */
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
    if (answer == NULL) {
        return NULL;
    }
    enum MHD_Result ok = MHD_add_response_header(answer, MHD_HTTP_HEADER_DATE, date);
    if (ok == MHD_YES && type != NULL) {
        ok = MHD_add_response_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    }
    if (ok == MHD_YES && res->headers.len > 0) {
        ok = add_headers(answer, &res->headers);
    }
    if (ok == MHD_YES && close) {
        ok = MHD_add_response_header(answer, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    if (ok != MHD_YES) {
        MHD_destroy_response(answer);
        return NULL;
    }
    return answer;
}

static bool is_same(const gw__http_kept_answer *kept, const gw__http_kept_answer *wanted)
{
    return kept->mhd != NULL && kept->data == wanted->data && kept->len == wanted->len &&
           kept->type == wanted->type && kept->second == wanted->second;
}

void gw__http_response_forget(gw_http_response *res)
{
    if (res->kept.mhd != NULL) {
        MHD_destroy_response(res->kept.mhd);
        res->kept.mhd = NULL;
    }
}

enum MHD_Result gw__http_response_queue(gw_http_response *res, struct MHD_Connection *mhd,
                                        bool close)
{
    check(res);
    gw__http_kept_answer wanted = {.data = "", .len = 0};
    if (may_have_body(res->status) && res->body.len > 0) {
        wanted.data = res->body.data;
        wanted.len = res->body.len;
        wanted.type = res->content_type != NULL ? res->content_type : "application/json";
    }
    const char *date = gw__http_date(&wanted.second);
    bool is_plain = !close && res->headers.len == 0;
    if (is_plain && is_same(&res->kept, &wanted)) {
        return MHD_queue_response(mhd, (unsigned)res->status, res->kept.mhd);
    }
    const char *type = res->has_type ? NULL : wanted.type;
    wanted.mhd = make_answer(res, wanted.data, wanted.len, type, date, close);
    if (wanted.mhd == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_queue_response(mhd, (unsigned)res->status, wanted.mhd);
    if (is_plain) {
        gw__http_response_forget(res);
        res->kept = wanted;
    } else {
        MHD_destroy_response(wanted.mhd);
    }
    return ok;
}
