/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <godwit/http_client.h>
#include <godwit/url.h>
#include <godwit/version.h>

#include "http/curl_library.h"

#define DEFAULT_CONNECT_MS 3000u
#define DEFAULT_TIMEOUT_MS 10000u
#define DEFAULT_BODY_MAX   ((size_t)8 << 20)
#define HEADERS_MAX        65536 /* of an answer */
#define POLL_MAX_MS        1000

/* One call under way. */
typedef struct transfer {
    const gw__curl *curl;
    CURL *easy;
    struct curl_slist *headers;
    gw_http_reply reply;
    const char *keep_header;
    size_t header_bytes;
    bool too_large;
    char reason[CURL_ERROR_SIZE];
} transfer;

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    transfer *t = ctx;
    gw_buf_add(&t->reply.body, data, size * n);
    t->too_large = gw_buf_status(&t->reply.body) == GW_E_LIMIT;
    return gw_buf_status(&t->reply.body) == GW_OK ? size * n : 0;
}

static bool has_control(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Copy a header's value if this line is that header. One that does not fit, or could not be sent
 * back, is left out. */
static void take_header(const char *line, size_t len, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);
    if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':') {
        return;
    }
    const char *start = line + name_len + 1;
    const char *end = line + len;
    while (start < end && (*start == ' ' || *start == '\t')) {
        start++;
    }
    while (end > start && (unsigned char)end[-1] <= ' ') {
        end--;
    }
    size_t value_len = (size_t)(end - start);
    if (value_len < size && memchr(start, '\0', value_len) == NULL) {
        memcpy(value, start, value_len);
        value[value_len] = '\0';
        value[0] = has_control(value) ? '\0' : value[0];
    }
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    transfer *t = ctx;
    size_t len = size * n;
    t->header_bytes += len;
    if (t->header_bytes > HEADERS_MAX) {
        t->too_large = true;
        return 0;
    }
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* The head of another answer, after a "100 Continue" for example. */
        t->reply.content_type[0] = '\0';
        t->reply.etag[0] = '\0';
        t->reply.kept[0] = '\0';
    }
    take_header(line, len, "Content-Type", t->reply.content_type, sizeof(t->reply.content_type));
    take_header(line, len, "ETag", t->reply.etag, sizeof(t->reply.etag));
    if (t->keep_header != NULL) {
        take_header(line, len, t->keep_header, t->reply.kept, sizeof(t->reply.kept));
    }
    return len;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static gw_status add_headers(transfer *t, const gw_http_call *call, gw_error *err)
{
    /* No "Expect: 100-continue": some servers answer it with an error, others a second late. */
    static const char *const none[] = {NULL};
    const char *const *line = call->headers != NULL ? call->headers : none;
    const char *next = "Expect:";
    while (next != NULL) {
        if (has_control(next) || strchr(next, ':') == NULL) {
            return gw_error_set(err, GW_E_INVALID, 0, "a header is not of the form 'Name: value'");
        }
        struct curl_slist *longer = t->curl->slist_append(t->headers, next);
        if (longer == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory for an HTTP call");
        }
        t->headers = longer;
        next = *line != NULL ? *line++ : NULL;
    }
    return GW_OK;
}

static void set_method(transfer *t, const gw_http_call *call)
{
    const gw__curl *c = t->curl;
    const char *method = call->method != NULL ? call->method : "GET";
    if (call->body == NULL && strcmp(method, "GET") == 0) {
        return;
    }
    if (call->body == NULL && strcmp(method, "HEAD") == 0) {
        c->easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    bool is_post = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    if (call->body != NULL || is_post) { /* without one, some servers wait for a length */
        c->easy_setopt(t->easy, CURLOPT_POSTFIELDS, call->body != NULL ? call->body : "");
        c->easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                       (curl_off_t)(call->body != NULL ? call->body_len : 0));
    }
    c->easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
}

static long or_default(unsigned value, unsigned fallback)
{
    return (long)(value != 0 ? value : fallback);
}

static void set_up(transfer *t, const gw_http_call *call, const char *host)
{
    const gw__curl *c = t->curl;
    CURL *easy = t->easy;
    c->easy_setopt(easy, CURLOPT_URL, call->url);
    c->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    c->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    c->easy_setopt(easy, CURLOPT_USERAGENT, "godwit/" GW_VERSION);
    c->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    c->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* see was_resolving() */
    c->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   or_default(call->connect_timeout_ms, DEFAULT_CONNECT_MS));
    c->easy_setopt(easy, CURLOPT_TIMEOUT_MS, or_default(call->timeout_ms, DEFAULT_TIMEOUT_MS));
    c->easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    c->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    c->easy_setopt(easy, CURLOPT_WRITEDATA, t);
    c->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    c->easy_setopt(easy, CURLOPT_HEADERDATA, t);
    c->easy_setopt(easy, CURLOPT_ERRORBUFFER, t->reason);
    if (is_loopback(host)) {
        c->easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    }
    set_method(t, call);
}

static gw_status status_of(const transfer *t, CURLcode code, long errnum)
{
    if (t->too_large) {
        return GW_E_LIMIT;
    }
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING: return GW_E_UNAVAILABLE;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return errnum != 0 ? GW_E_UNAVAILABLE : GW_E_PROTOCOL;
    case CURLE_OPERATION_TIMEDOUT: return GW_E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR: return GW_E_NOMEM; /* of our callbacks; too_large is the other case */
    case CURLE_URL_MALFORMAT: return GW_E_INVALID;
    case CURLE_ABORTED_BY_CALLBACK: return GW_E_CLOSED; /* ours, see run_until_done() */
    default: return GW_E_PROTOCOL;
    }
}

/* The target as errors name it: without user, password and query. */
static void write_target(gw_buf *out, const gw_url *url)
{
    unsigned port = url->hosts[0].port;
    if (port == 0) {
        port = strcmp(url->scheme, "https") == 0 ? 443 : 80;
    }
    bool ipv6 = strchr(url->hosts[0].name, ':') != NULL;
    gw_buf_addf(out, ipv6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s", url->scheme, url->hosts[0].name,
                port, url->path != NULL ? url->path : "/");
}

static gw_status fail(const transfer *t, CURLcode code, const gw_url *url, gw_error *err)
{
    gw_buf target;
    gw_buf reason;
    gw_buf_init(&target, 0);
    gw_buf_init(&reason, 0);
    write_target(&target, url);
    long errnum = 0;
    t->curl->easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &errnum);
    if (t->too_large) {
        gw_buf_add_str(&reason, "the answer is too large");
    } else if (code == CURLE_ABORTED_BY_CALLBACK) {
        gw_buf_add_str(&reason, "the call was cancelled");
    } else {
        gw_url_mask(&reason, t->reason[0] != '\0' ? t->reason : t->curl->easy_strerror(code));
        char text[128];
        if (errnum != 0) {
            gw_buf_addf(&reason, " (%s)", strerror_r((int)errnum, text, sizeof(text)));
        }
    }
    gw_status st = gw_error_set(err, status_of(t, code, errnum), (int)code, "%s: %s",
                                target.data != NULL ? target.data : "",
                                reason.data != NULL ? reason.data : "");
    gw_buf_dispose(&reason);
    gw_buf_dispose(&target);
    return st;
}

/* Whether the call ended early while libcurl's resolver thread still waited for the DNS. It is not
 * joined (QUICK_EXIT), which could take much longer than `timeout_ms`; so its code must stay. */
static bool was_resolving(const transfer *t, CURLcode code)
{
    curl_off_t lookup_us = 0;
    t->curl->easy_getinfo(t->easy, CURLINFO_NAMELOOKUP_TIME_T, &lookup_us);
    return (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) &&
           lookup_us == 0;
}

/* Drive the transfer to its end, or until it is cancelled. */
static CURLcode run_until_done(const transfer *t, CURLM *multi, int cancel_fd)
{
    const gw__curl *c = t->curl;
    for (;;) {
        struct curl_waitfd cancel = {.fd = cancel_fd, .events = CURL_WAIT_POLLIN};
        unsigned n_cancel = cancel_fd > 0 ? 1 : 0;
        int n_running = 0;
        int n_messages = 0;
        CURLMcode rc = c->multi_perform(multi, &n_running);
        const CURLMsg *msg = rc == CURLM_OK ? c->multi_info_read(multi, &n_messages) : NULL;
        if (msg != NULL && msg->msg == CURLMSG_DONE) {
            return msg->data.result;
        }
        if (rc == CURLM_OK) { /* woken by the transfer, its timeouts, the cancel */
            rc = c->multi_poll(multi, &cancel, n_cancel, POLL_MAX_MS, NULL);
        }
        if (rc != CURLM_OK) {
            return rc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
        }
        if (n_cancel > 0 && cancel.revents != 0) {
            return CURLE_ABORTED_BY_CALLBACK;
        }
    }
}

static CURLcode run(const transfer *t, int cancel_fd)
{
    const gw__curl *c = t->curl;
    CURLM *multi = c->multi_init();
    if (multi == NULL || c->multi_add_handle(multi, t->easy) != CURLM_OK) {
        c->multi_cleanup(multi);
        return CURLE_OUT_OF_MEMORY;
    }
    CURLcode code = run_until_done(t, multi, cancel_fd);
    c->multi_remove_handle(multi, t->easy);
    c->multi_cleanup(multi);
    return code;
}

static gw_status perform(transfer *t, const gw_http_call *call, const gw_url *url,
                         bool *ret_keep_loaded, gw_error *err)
{
    gw_status st = add_headers(t, call, err);
    if (st != GW_OK) {
        return st;
    }
    t->easy = t->curl->easy_init();
    if (t->easy == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for an HTTP call");
    }
    set_up(t, call, url->hosts[0].name);
    CURLcode code = run(t, call->cancel_fd);
    *ret_keep_loaded = was_resolving(t, code);
    if (code != CURLE_OK) {
        st = fail(t, code, url, err);
    } else {
        long status = 0;
        t->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->reply.status = (int)status;
    }
    t->curl->easy_cleanup(t->easy);
    return st;
}

static gw_status parse_url(const char *text, gw_url *ret_url, gw_error *err)
{
    gw_status st = gw_url_parse(text, ret_url, err);
    if (st != GW_OK) {
        return st == GW_E_NOMEM ? st : GW_E_INVALID;
    }
    const char *fault = NULL;
    if (strcmp(ret_url->scheme, "http") != 0 && strcmp(ret_url->scheme, "https") != 0) {
        fault = "is not http:// or https://";
    } else if (ret_url->n_hosts != 1) {
        fault = "names several hosts";
    }
    if (fault != NULL) {
        gw_buf masked;
        gw_buf_init(&masked, 0);
        gw_url_mask(&masked, text);
        gw_error_set(err, GW_E_INVALID, 0, "URL '%s' %s", masked.data != NULL ? masked.data : "",
                     fault);
        gw_buf_dispose(&masked);
        gw_url_dispose(ret_url);
        return GW_E_INVALID;
    }
    return GW_OK;
}

gw_status gw_http_perform(const gw_http_call *call, gw_http_reply *ret_reply, gw_error *err)
{
    if (call == NULL || ret_reply == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "HTTP call: an argument is NULL");
    }
    if (call->method != NULL && (call->method[0] == '\0' || has_control(call->method) ||
                                 strchr(call->method, ' ') != NULL)) {
        return gw_error_set(err, GW_E_INVALID, 0, "HTTP call: the method is not valid");
    }
    gw_url url = {0};
    gw_status st = parse_url(call->url, &url, err);
    if (st != GW_OK) {
        return st;
    }
    transfer t = {.keep_header = call->keep_header};
    gw_buf_init(&t.reply.body, call->max_body_bytes != 0 ? call->max_body_bytes : DEFAULT_BODY_MAX);
    bool keep_loaded = false;
    st = gw__curl_acquire(&t.curl, err);
    if (st == GW_OK) {
        st = perform(&t, call, &url, &keep_loaded, err);
        t.curl->slist_free_all(t.headers);
        gw__curl_release(keep_loaded);
    }
    if (st == GW_OK) {
        gw_http_reply_dispose(ret_reply);
        *ret_reply = t.reply;
    } else {
        gw_buf_dispose(&t.reply.body);
    }
    gw_url_dispose(&url);
    return st;
}

void gw_http_reply_dispose(gw_http_reply *reply)
{
    if (reply != NULL) {
        gw_buf_dispose(&reply->body);
        *reply = (gw_http_reply){0};
    }
}
