/* SPDX-License-Identifier: MIT */
/* A server of a few routes, asked byte for byte over bare sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/clock.h>
#include <godwit/http.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "peer.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static sem_t entered;
static sem_t released;

static void get_account(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    const char *id = gw_http_var(req, "accountId");
    gw_buf *body = gw_http_response_body(res);
    gw_buf_add_str(body, "{\"id\":");
    gw_buf_add_json(body, id, strlen(id));
    gw_buf_add_str(body, "}");
}

/* Tells in JSON what the server made of the request. */
static void tell(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    const char *values[] = {gw_http_method(req),        gw_http_path(req),
                            gw_http_var(req, "rest"),   gw_http_query(req, "q"),
                            gw_http_header(req, "X-A"), gw_http_local_address(req)};
    gw_buf *body = gw_http_response_body(res);
    for (size_t i = 0; i < N_OF(values); i++) {
        gw_buf_add_char(body, i == 0 ? '[' : ',');
        if (values[i] == NULL) {
            gw_buf_add_str(body, "null");
        } else {
            gw_buf_add_json(body, values[i], strlen(values[i]));
        }
    }
    gw_buf_add_char(body, ']');
}

static void echo(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    size_t len = 0;
    const char *body = gw_http_body(req, &len);
    gw_http_set_content_type(res, "application/octet-stream");
    gw_buf_add(gw_http_response_body(res), body, len);
}

static void wait_for_release(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    sem_post(&entered);
    sem_wait(&released);
    gw_buf_add_str(gw_http_response_body(res), "\"late\"");
}

/* One of the ways to answer, by the name in the path. */
static void answer_as(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    static char large[3000];
    const char *way = gw_http_var(req, "way");
    if (strcmp(way, "nothing") == 0) {
        return;
    }
    gw_buf_add_str(gw_http_response_body(res), "some text");
    if (strcmp(way, "status-99") == 0) {
        gw_http_set_status(res, 99);
    } else if (strcmp(way, "no-content") == 0) {
        gw_http_set_status(res, 204);
    } else if (strcmp(way, "overflow") == 0) {
        gw_http_response_body(res)->limit = 20;
        gw_buf_add_str(gw_http_response_body(res), "more than twenty bytes");
    } else if (strcmp(way, "headers") == 0) {
        gw_http_set_header(res, "X-One", "1");
        gw_http_set_header(res, "X-Two", "a b");
        gw_http_set_header(res, "X-Split", "a\r\nX-Forged: 1");
        gw_http_set_header(res, "X Bad", "1");
        gw_http_set_header(res, "Content-Length", "7");
        gw_http_set_header(res, "transfer-encoding", "chunked");
        gw_http_set_header(res, "Connection", "close");
        gw_http_set_header(res, "content-type", "text/x-own");
    } else if (strcmp(way, "large-header") == 0) {
        memset(large, 'x', sizeof(large) - 1);
        gw_http_set_header(res, "X-Large", large);
    } else if (strcmp(way, "problem") == 0) {
        gw_http_problem(res, 409, "a \"detail\" with %s and \xff", "\n");
    } else if (strcmp(way, "long-problem") == 0) {
        memset(large, 'x', sizeof(large) - 1);
        gw_http_problem(res, 503, "%s", large);
    }
}

static void get_large(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    size_t len = strtoull(gw_http_query(req, "n"), NULL, 10);
    for (size_t i = 0; i < len; i++) {
        gw_buf_add_char(gw_http_response_body(res), (char)('a' + i % 26));
    }
}

static const gw_http_route routes[] = {
    {"GetAccount", "GET", "/accounts/{accountId}", get_account, NULL},
    {"Tell", "GET", "/tell/{rest...}", tell, NULL},
    {"Echo", "POST", "/echo", echo, NULL},
    {"EchoGet", "GET", "/echo", echo, NULL},
    {"Wait", "GET", "/wait", wait_for_release, NULL},
    {"As", "GET", "/as/{way}", answer_as, NULL},
    {"Large", "GET", "/large", get_large, NULL},
    {"Move", "POST", "/move/{x}", echo, NULL},
};

static gw_http_server *server;
static uint16_t port;
static peer_answer answer;

static void start(const gw_http_options *changes)
{
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    if (changes != NULL) {
        options = *changes;
    }
    options.address = "127.0.0.1";
    gw_error err = GW_ERROR_INIT;
    if (gw_http_server_start(&options, routes, N_OF(routes), &server, &err) != GW_OK) {
        fail_msg("no server: %s", err.text);
    }
    port = gw_http_server_port(server);
    assert_int_not_equal(port, 0);
}

static int setup(void **state)
{
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&released, 0, 0);
    server = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_http_server_stop(server, 5000);
    return 0;
}

/* Whether the answer is a problem of this status, with this in its detail. */
static void check_problem(int status, const char *detail)
{
    assert_int_equal(answer.status, status);
    assert_string_equal(peer_header(&answer, "Content-Type"), "application/problem+json");
    json_error_t error;
    json_t *problem = json_loads(answer.body, JSON_REJECT_DUPLICATES, &error);
    if (problem == NULL) {
        fail_msg("not JSON: %s: %s", error.text, answer.body);
    }
    assert_int_equal(json_object_size(problem), 4);
    assert_string_equal(json_string_value(json_object_get(problem, "type")), "about:blank");
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    assert_true(json_string_length(json_object_get(problem, "title")) > 0);
    const char *got = json_string_value(json_object_get(problem, "detail"));
    if (got == NULL || strstr(got, detail) == NULL) {
        fail_msg("wanted '%s' in the detail, got '%s'", detail, got);
    }
    json_decref(problem);
}

static void ask(const char *method, const char *target, const char *rest)
{
    static char request[40000];
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target, rest);
    peer_ask(port, request, &answer);
}

static void test_answers(void **state)
{
    (void)state;
    start(NULL);
    static const struct {
        const char *method;
        const char *target;
        int status;
        const char *header; /* "Name: value", or NULL */
        const char *body;   /* NULL: not looked at */
    } cases[] = {
        {"GET", "/accounts/10000", 200, "Content-Type: application/json", "{\"id\":\"10000\"}"},
        {"HEAD", "/accounts/10000", 200, "Content-Length: 14", ""},
        {"GET", "/accounts/a%2Fb%22", 200, NULL, "{\"id\":\"a/b\\\"\"}"},
        {"GET", "/accounts/..", 200, NULL, "{\"id\":\"..\"}"},
        {"GET", "http://other/accounts/1", 200, NULL, "{\"id\":\"1\"}"},
        {"GET", "/tell/a/b?q=1%202+3&x", 200, NULL,
         "[\"GET\",\"/tell/a/b\",\"a/b\",\"1 2 3\",null,\"127.0.0.1\"]"},
        {"GET", "/tell/", 200, NULL, "[\"GET\",\"/tell/\",\"\",null,null,\"127.0.0.1\"]"},
        {"GET", "/tell/%2e%2e?", 200, NULL,
         "[\"GET\",\"/tell/%2e%2e\",\"..\",null,null,\"127.0.0.1\"]"},
        {"GET", "/tell?q=1", 301, "Location: /tell/?q=1", ""},
        {"GET", "/accounts/1/", 301, "Location: /accounts/1", ""},
        {"HEAD", "/accounts/1/?a=%20b", 301, "Location: /accounts/1?a=%20b", ""},
        {"GET", "/accounts/%2f%2Fx/?", 301, "Location: /accounts/%2f%2Fx?", ""},
        {"POST", "/move/1/", 308, "Location: /move/1", ""},
        {"OPTIONS", "/echo", 204, "Allow: GET, POST, HEAD, OPTIONS", ""},
        {"OPTIONS", "/move/1", 204, "Allow: POST, OPTIONS", ""},
        {"OPTIONS", "*", 204, "Allow: GET, POST, HEAD, OPTIONS", ""},
        {"GET", "/as/nothing", 200, "Content-Length: 0", ""},
        {"GET", "/as/no-content", 204, NULL, ""},
        {"GET", "/as/headers", 200, "X-Two: a b", "some text"},
        {"GET", "/as/headers", 200, "Content-Type: text/x-own", "some text"},
        {"GET", "/as/headers", 200, "Content-Length: 9", "some text"},
        {"GET", "/echo", 200, "Content-Length: 0", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        ask(cases[i].method, cases[i].target, "");
        if (answer.status != cases[i].status) {
            fail_msg("%s %s: wanted %d, got %d %s", cases[i].method, cases[i].target,
                     cases[i].status, answer.status, answer.body);
        }
        if (cases[i].body != NULL) {
            assert_string_equal(answer.body, cases[i].body);
        }
        if (cases[i].header != NULL && strcasestr(answer.head, cases[i].header) == NULL) {
            fail_msg("%s %s: no %s in %s", cases[i].method, cases[i].target, cases[i].header,
                     answer.head);
        }
        assert_null(strstr(answer.head, "X-Forged"));
        assert_null(peer_header(&answer, "Connection"));
        assert_null(peer_header(&answer, "Transfer-Encoding"));
    }
    ask("GET", "/tell/x", "x-a: b\tc\r\n");
    assert_non_null(strstr(answer.body, "\"b\\tc\""));
}

static void test_problems(void **state)
{
    (void)state;
    start(NULL);
    static const struct {
        const char *method;
        const char *target;
        int status;
        const char *detail;
    } cases[] = {
        {"GET", "/", 404, "nothing at this path"},
        {"GET", "/accounts", 404, "nothing at this path"},
        {"GET", "//accounts/1", 404, "nothing at this path"},
        {"GET", "/accounts/\\evil.example/", 404, "nothing at this path"},
        {"OPTIONS", "/nothing", 404, "nothing at this path"},
        {"POST", "/accounts/1", 405, "POST is not among the methods of this path: GET, HEAD"},
        {"BREW", "/echo", 405, "BREW is not among"},
        {"DELETE", "/accounts/1/", 405, "DELETE is not among"},
        {"GET", "/accounts/a%00b", 400, "control character"},
        {"GET", "/accounts/%", 400, "broken escape"},
        {"GET", "/accounts/%zz", 400, "broken escape"},
        {"GET", "/accounts/a%0d%0aX-Forged:1", 400, "control character"},
        {"GET", "/accounts/a\x01", 400, "control character"},
        {"GET", "/accounts/a b", 400, "a blank"},
        {"GET", "/nothing/%", 400, "broken escape"},
        {"GET", "*", 400, "broken escape"},
        {"CONNECT", "example.org:443", 400, "broken escape"},
        {"GET", "/tell/?q=%zz", 400, "query has a broken escape"},
        {"GET", "/tell/?q=%00", 400, "encoded NUL"},
        {"GET", "/as/status-99", 500, "status 99"},
        {"GET", "/as/overflow", 500, "a limit was exceeded"},
        {"GET", "/as/large-header", 500, "headers are larger"},
        {"GET", "/as/problem", 409, "a \"detail\" with \n and \xef\xbf\xbd"},
        {"GET", "/as/long-problem", 503, "xxx..."},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        print_message("%s %s\n", cases[i].method, cases[i].target);
        ask(cases[i].method, cases[i].target, "");
        check_problem(cases[i].status, cases[i].detail);
        assert_null(peer_header(&answer, "X-Forged"));
        if (answer.status == 405) {
            assert_non_null(peer_header(&answer, "Allow"));
        }
    }
}

static void test_one_connection_serves_many_requests(void **state)
{
    (void)state;
    start(NULL);
    int fd = peer_connect(port);
    char request[200];
    char wanted[100];
    for (int i = 0; i < 2000; i++) {
        /* Also those the server answers on its own keep the connection. */
        snprintf(request, sizeof(request), "GET /%s/%d HTTP/1.1\r\nHost: x\r\n\r\n",
                 i % 10 == 3 ? "nothing" : "accounts", i);
        peer_send_text(fd, request);
        assert_true(peer_read(fd, &answer, false));
        assert_int_equal(answer.status, i % 10 == 3 ? 404 : 200);
        if (answer.status == 200) {
            snprintf(wanted, sizeof(wanted), "{\"id\":\"%d\"}", i);
            assert_string_equal(answer.body, wanted);
        }
    }
    /* Bodies, escapes and queries leave nothing behind for the next request. */
    peer_send_text(fd, "POST /echo?q=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(peer_read(fd, &answer, false));
    assert_string_equal(answer.body, "abc");
    peer_send_text(fd, "GET /tell/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(peer_read(fd, &answer, false));
    assert_string_equal(answer.body, "[\"GET\",\"/tell/\",\"\",null,null,\"127.0.0.1\"]");
    peer_send_text(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(peer_read(fd, &answer, false));
    assert_string_equal(answer.body, "");
    peer_send_text(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    assert_true(peer_read(fd, &answer, false));
    assert_string_equal(answer.body, "hi");
    peer_send_text(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(peer_read(fd, &answer, false));
    assert_true(peer_is_closed(fd));
    close(fd);
}

static void test_pipelining(void **state)
{
    (void)state;
    start(NULL);
    gw_buf requests;
    gw_buf_init(&requests, 0);
    for (int i = 0; i < 200; i++) {
        gw_buf_addf(&requests, "GET /accounts/%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        gw_buf_addf(&requests, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04d",
                    i);
    }
    int fd = peer_connect(port);
    peer_send(fd, requests.data, requests.len);
    for (int i = 0; i < 200; i++) {
        char wanted[100];
        assert_true(peer_read(fd, &answer, false));
        snprintf(wanted, sizeof(wanted), "{\"id\":\"%d\"}", i);
        assert_string_equal(answer.body, wanted);
        assert_true(peer_read(fd, &answer, false));
        snprintf(wanted, sizeof(wanted), "%04d", i);
        assert_string_equal(answer.body, wanted);
    }
    close(fd);
    gw_buf_dispose(&requests);
}

static void test_large_answers(void **state)
{
    (void)state;
    start(NULL);
    int fd = peer_connect(port);
    static const size_t sizes[] = {100000, 1, 0, 4097, 120000, 10};
    for (size_t i = 0; i < N_OF(sizes); i++) {
        char request[100];
        snprintf(request, sizeof(request), "GET /large?n=%zu HTTP/1.1\r\nHost: x\r\n\r\n",
                 sizes[i]);
        peer_send_text(fd, request);
        assert_true(peer_read(fd, &answer, false));
        assert_int_equal(answer.body_len, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k += 997) {
            assert_int_equal(answer.body[k], 'a' + k % 26);
        }
    }
    close(fd);
}

static void test_body_limit(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.max_body_bytes = 1000;
    start(&options);
    char body[1002];
    memset(body, 'b', sizeof(body));
    char head[200];
    int fd = peer_connect(port);
    for (size_t len = 999; len <= 1001; len++) {
        snprintf(head, sizeof(head),
                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
        peer_send_text(fd, head);
        peer_send(fd, body, len);
        assert_true(peer_read(fd, &answer, false));
        if (len <= 1000) {
            assert_int_equal(answer.status, 200);
            assert_int_equal(answer.body_len, len);
        } else {
            check_problem(413, "larger than 1000 bytes");
        }
    }
    /* In chunks, whose sum nobody announces. The connection is still good. */
    for (int n = 9; n <= 11; n++) {
        peer_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < n; i++) {
            peer_send_text(fd, "64\r\n");
            peer_send(fd, body, 100);
            peer_send_text(fd, "\r\n");
        }
        peer_send_text(fd, "0\r\n\r\n");
        assert_true(peer_read(fd, &answer, false));
        if (n <= 10) {
            assert_int_equal(answer.status, 200);
            assert_int_equal(answer.body_len, 100 * n);
        } else {
            check_problem(413, "larger than 1000 bytes");
        }
    }
    close(fd);
    /* Announced as huge: refused before the body comes, and closed. */
    fd = peer_connect(port);
    peer_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
                       "Expect: 100-continue\r\n\r\n");
    assert_true(peer_read(fd, &answer, false));
    check_problem(413, "larger than 1000 bytes");
    assert_true(peer_is_closed(fd));
    close(fd);
}

static void test_endless_body_is_cut_off(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.max_body_bytes = 1000;
    start(&options);
    int fd = peer_connect(port);
    peer_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[6 + 4096 + 2] = "1000\r\n";
    memset(chunk + 6, 'b', 4096);
    memcpy(chunk + 6 + 4096, "\r\n", 2);
    ssize_t n = 0;
    size_t sent = 0;
    do {
        n = send(fd, chunk, 6 + 4096 + 2, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
    } while (n > 0 && sent < (size_t)1 << 30);
    assert_true(n < 0 && (errno == ECONNRESET || errno == EPIPE));
    close(fd);
    ask("GET", "/accounts/1", "");
    assert_int_equal(answer.status, 200);
}

/* A request line or a header of `len` bytes. */
static int ask_long(size_t len, bool in_target)
{
    gw_buf request;
    gw_buf_init(&request, 0);
    gw_buf_add_str(&request, in_target ? "GET /accounts/" : "GET /accounts/1 HTTP/1.1\r\nX: ");
    for (size_t i = 0; i < len; i++) {
        gw_buf_add_char(&request, 'x');
    }
    gw_buf_add_str(&request, in_target ? " HTTP/1.1\r\nHost: x\r\n\r\n" : "\r\nHost: x\r\n\r\n");
    peer_ask(port, request.data, &answer);
    gw_buf_dispose(&request);
    return answer.status;
}

static void test_header_limit(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.max_header_bytes = 8192;
    start(&options);
    assert_int_equal(ask_long(8000, false), 200);
    assert_int_equal(ask_long(8000, true), 200);
    assert_int_equal(ask_long(8300, false), 431);
    check_problem(431, "larger than 8192 bytes");
    assert_int_equal(ask_long(8300, true), 414);
    check_problem(414, "larger than 8192 bytes");
    /* Past the memory of the connection libmicrohttpd answers. */
    assert_int_equal(ask_long(20000, false), 431);
    assert_int_equal(ask_long(20000, true), 414);
    /* The longest answer's head still fits behind the longest request. */
    gw_buf target;
    gw_buf_init(&target, 0);
    gw_buf_add_str(&target, "/accounts/");
    for (int i = 0; i < 1000; i++) {
        gw_buf_add_char(&target, 'x');
    }
    gw_buf_add_char(&target, '/');
    gw_buf filler;
    gw_buf_init(&filler, 0);
    gw_buf_add_str(&filler, "X: ");
    for (int i = 0; i < 7000; i++) {
        gw_buf_add_char(&filler, 'x');
    }
    gw_buf_add_str(&filler, "\r\n");
    ask("GET", target.data, filler.data);
    assert_int_equal(answer.status, 301);
    assert_int_equal(strlen(peer_header(&answer, "Location")), target.len - 1);
    gw_buf_dispose(&filler);
    target.len--;
    for (int i = 0; i < 1000; i++) {
        gw_buf_add_char(&target, 'x');
    }
    gw_buf_add_char(&target, '/');
    ask("GET", target.data, "");
    assert_int_equal(answer.status, 414);
    gw_buf_dispose(&target);
}

static void test_malformed_requests(void **state)
{
    (void)state;
    start(NULL);
    static const struct {
        const char *request;
        int status;
        const char *detail; /* NULL: libmicrohttpd's own answer */
    } cases[] = {
        {"GET /accounts/1 HTTP/1.1\r\n\r\n", 400, "one Host header"},
        {"GET /accounts/1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "one Host header"},
        {"GET /accounts/1 HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", 400, "name is empty or has"},
        {"GET /accounts/1 HTTP/1.1\r\nHost: x\r\n Y: y\r\n\r\n", 400, "name is empty or has"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400,
         "more than one Content-Length"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
         "\r\n0\r\n\r\n",
         400, "both Content-Length and Transfer-Encoding"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400,
         "only Transfer-Encoding understood"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400,
         "only Transfer-Encoding understood"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, NULL},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\na", 400, NULL},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400,
         NULL},
        {"GET /accounts/1 HTTP/3.0\r\nHost: x\r\n\r\n", 505, NULL},
        {"GET /accounts/1\r\n\r\n", 400, NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        int fd = peer_connect(port);
        peer_send_text(fd, cases[i].request);
        assert_true(peer_read(fd, &answer, false));
        if (answer.status != cases[i].status) {
            fail_msg("wanted %d, got %d for %s", cases[i].status, answer.status, cases[i].request);
        }
        if (cases[i].detail != NULL) {
            check_problem(cases[i].status, cases[i].detail);
        }
        assert_string_equal(peer_header(&answer, "Connection"), "close");
        if (cases[i].detail != NULL && !peer_is_closed(fd)) {
            fail_msg("still open after %s", cases[i].request);
        }
        close(fd);
    }
    /* HTTP/1.0 is closed after the answer. */
    int fd = peer_connect(port);
    peer_send_text(fd, "GET /accounts/1 HTTP/1.0\r\n\r\n");
    assert_true(peer_read(fd, &answer, false));
    assert_int_equal(answer.status, 200);
    assert_true(peer_is_closed(fd));
    close(fd);
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.idle_timeout_s = 1;
    start(&options);
    static const char *const beginnings[] = {
        "", "GET /acc", "GET /accounts/1 HTTP/1.1\r\nHost: x\r\nX: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"};
    int fds[N_OF(beginnings)];
    for (size_t i = 0; i < N_OF(beginnings); i++) {
        fds[i] = peer_connect(port);
        peer_send_text(fds[i], beginnings[i]);
    }
    for (size_t i = 0; i < N_OF(beginnings); i++) {
        assert_true(peer_is_closed(fds[i]));
        close(fds[i]);
    }
}

static void test_max_connections(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.max_connections = 2;
    start(&options);
    static const char request[] = "GET /accounts/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = peer_connect(port);
        peer_send_text(fds[i], request);
        if (i < 2) {
            assert_true(peer_read(fds[i], &answer, false));
        }
    }
    /* The first two are served on; the third waits. */
    for (int i = 0; i < 200; i++) {
        peer_send_text(fds[i % 2], request);
        assert_true(peer_read(fds[i % 2], &answer, false));
    }
    char byte;
    assert_int_equal(recv(fds[2], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    close(fds[0]);
    assert_true(peer_read(fds[2], &answer, false));
    assert_int_equal(answer.status, 200);
    close(fds[1]);
    close(fds[2]);
}

static void *stop_in_thread(void *ctx)
{
    gw_http_server_stop(server, *(unsigned *)ctx);
    server = NULL;
    return NULL;
}

/* Connect again and again until the kernel refuses. */
static void wait_until_refused(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint64_t limit_ms = gw_clock_ms() + 10000;
    int failed = 0;
    while (failed == 0 && gw_clock_ms() < limit_ms) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        failed = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
        close(fd);
    }
    assert_int_not_equal(failed, 0);
}

static void test_drain(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.n_threads = 2;
    start(&options);
    int busy = peer_connect(port);
    peer_send_text(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    sem_wait(&entered);
    /* The other thread's, since the first one is busy. */
    int idle = peer_connect(port);
    peer_send_text(idle, "GET /accounts/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(peer_read(idle, &answer, false));

    pthread_t thread;
    unsigned timeout_ms = 30000;
    uint64_t start_ms = gw_clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, stop_in_thread, &timeout_ms), 0);
    wait_until_refused();
    peer_send_text(idle, "GET /accounts/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(peer_read(idle, &answer, false));
    check_problem(503, "shutting down");
    assert_string_equal(peer_header(&answer, "Connection"), "close");
    assert_true(peer_is_closed(idle));

    sem_post(&released);
    assert_true(peer_read(busy, &answer, false));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "\"late\"");
    assert_string_equal(peer_header(&answer, "Connection"), "close");
    assert_true(peer_is_closed(busy));
    pthread_join(thread, NULL);
    assert_true(gw_clock_ms() - start_ms < 30000);
    close(idle);
    close(busy);
}

static void test_drain_has_an_end(void **state)
{
    (void)state;
    start(NULL);
    int fd = peer_connect(port);
    peer_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
                       "Expect: 100-continue\r\n\r\n");
    assert_true(peer_read(fd, &answer, false)); /* 100: the request is in flight */
    assert_int_equal(answer.status, 100);
    gw_http_server_stop(server, 50);
    server = NULL;
    assert_true(peer_is_closed(fd));
    close(fd);
}

static void test_start_errors(void **state)
{
    (void)state;
    start(NULL);
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    gw_http_server *second = NULL;
    gw_error err = GW_ERROR_INIT;
    char wanted[100];

    options.address = "127.0.0.1";
    options.port = port;
    assert_int_equal(gw_http_server_start(&options, routes, 1, &second, &err), GW_E_BUSY);
    snprintf(wanted, sizeof(wanted), "cannot listen on port %u: another process has it", port);
    assert_string_equal(err.text, wanted);
    options.address = NULL;
    assert_int_equal(gw_http_server_start(&options, routes, 1, &second, &err), GW_E_BUSY);

    options.port = 0;
    options.address = "no address";
    assert_int_equal(gw_http_server_start(&options, routes, 1, &second, &err), GW_E_INVALID);
    assert_string_equal(err.text, "cannot listen on 'no address': not an IP address");
    options.address = "192.0.2.1"; /* of nobody */
    assert_int_equal(gw_http_server_start(&options, routes, 1, &second, &err), GW_E_IO);
    assert_string_equal(err.text,
                        "cannot listen on 192.0.2.1 port 0: Cannot assign requested address");

    options = (gw_http_options)GW_HTTP_OPTIONS_INIT;
    gw_http_options bad = options;
    bad.max_connections = 0;
    assert_int_equal(gw_http_server_start(&bad, routes, 1, &second, &err), GW_E_INVALID);
    bad = options;
    bad.max_header_bytes = 10;
    assert_int_equal(gw_http_server_start(&bad, routes, 1, &second, &err), GW_E_INVALID);
    bad = options;
    bad.max_body_bytes = 0;
    assert_int_equal(gw_http_server_start(&bad, routes, 1, &second, &err), GW_E_INVALID);
    bad = options;
    bad.idle_timeout_s = 0;
    assert_int_equal(gw_http_server_start(&bad, routes, 1, &second, &err), GW_E_INVALID);
    gw_http_route twice[] = {routes[0], routes[0]};
    assert_int_equal(gw_http_server_start(&options, twice, 2, &second, &err), GW_E_INVALID);
    assert_int_equal(gw_http_server_start(&options, NULL, 1, &second, &err), GW_E_INVALID);
    assert_null(second);
    gw_http_server_stop(NULL, 0);
}

/* All addresses of both families, with the defaults, and without a route. */
static void test_any_address(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    if (gw_http_server_start(NULL, NULL, 0, &server, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    port = gw_http_server_port(server);
    ask("GET", "/", "");
    check_problem(404, "nothing at this path");
    gw_http_server_stop(server, 1000);
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    assert_int_equal(gw_http_server_start(&options, routes, N_OF(routes), &server, &err), GW_OK);
    port = gw_http_server_port(server);
    ask("GET", "/tell/", "");
    assert_non_null(strstr(answer.body, "\"127.0.0.1\"")); /* not ::ffff:127.0.0.1 */
}

static void test_metrics(void **state)
{
    (void)state;
    start(NULL);
    gw_http_server_set_access_log(server, false);
    for (int i = 0; i < 3; i++) {
        ask("GET", "/accounts/777", "");
    }
    ask("HEAD", "/accounts/777", "");
    ask("BREW", "/accounts/777", "");
    ask("GET", "/nothing-here", "");
    gw_http_server_stop(server, 5000); /* all are counted after it */
    server = NULL;
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_metrics_write(&text);
    static const char *const lines[] = {
        "godwit_http_requests_total{route=\"GetAccount\",method=\"HEAD\",status=\"200\"}",
        "godwit_http_requests_total{route=\"\",method=\"other\",status=\"405\"}",
        "godwit_http_requests_total{route=\"\",method=\"GET\",status=\"404\"}",
        "godwit_http_requests_total{route=\"GetAccount\",method=\"GET\",status=\"200\"}",
        "godwit_http_request_seconds_count{route=\"GetAccount\"}",
        "godwit_http_connections 0",
    };
    for (size_t i = 0; i < N_OF(lines); i++) {
        if (strstr(text.data, lines[i]) == NULL) {
            fail_msg("no %s in:\n%s", lines[i], text.data);
        }
    }
    gw_buf_dispose(&text);
}

static void *ask_many(void *ctx)
{
    int *failures = ctx;
    int fd = peer_connect(port);
    peer_answer *mine = malloc(sizeof(*mine));
    for (int i = 0; i < 300; i++) {
        char request[200];
        char wanted[100];
        snprintf(request, sizeof(request), "GET /accounts/%p-%d HTTP/1.1\r\nHost: x\r\n\r\n", ctx,
                 i);
        snprintf(wanted, sizeof(wanted), "{\"id\":\"%p-%d\"}", ctx, i);
        peer_send_text(fd, request);
        *failures += !peer_read(fd, mine, false) || strcmp(mine->body, wanted) != 0;
    }
    free(mine);
    close(fd);
    return NULL;
}

static void test_many_connections(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.n_threads = 4;
    start(&options);
    pthread_t threads[16];
    int failures[N_OF(threads)] = {0};
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, &failures[i]), 0);
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_connection_serves_many_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endless_body_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_connections_are_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_max_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_connections, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
