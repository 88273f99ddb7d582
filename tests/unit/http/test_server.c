/* SPDX-License-Identifier: MIT */
/* What the server answers, asked byte for byte over bare sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/http.h>
#include <godwit/metrics.h>

#include "served.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_answers(void **state)
{
    (void)state;
    server_start(NULL);
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
    server_start(NULL);
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
    server_start(NULL);
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
    server_start(NULL);
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
    server_start(NULL);
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

static void test_start_errors(void **state)
{
    (void)state;
    server_start(NULL);
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
    assert_int_equal(gw_http_server_start(&options, routes, n_routes, &server, &err), GW_OK);
    port = gw_http_server_port(server);
    ask("GET", "/tell/", "");
    assert_non_null(strstr(answer.body, "\"127.0.0.1\"")); /* not ::ffff:127.0.0.1 */
}

static void test_metrics(void **state)
{
    (void)state;
    server_start(NULL);
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
    server_start(&options);
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

/* More events at once than libmicrohttpd takes in one go, after which its own threads would wait
 * for still more: all these clients wait for their answers. */
static void test_many_requests_at_once(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.n_threads = 1;
    server_start(&options);
    static const char request[] = "GET /accounts/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[300];
    for (size_t i = 0; i < N_OF(fds); i++) {
        fds[i] = peer_connect(port);
        peer_send_text(fds[i], request);
        assert_true(peer_read(fds[i], &answer, false));
    }
    static const size_t bursts[] = {127, 128, 129, 255, 256, 299};
    for (size_t burst = 0; burst < N_OF(bursts); burst++) {
        peer_send_text(fds[0], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        sem_wait(&handler_entered);
        for (size_t i = 1; i <= bursts[burst]; i++) {
            peer_send_text(fds[i], request);
        }
        sem_post(&handler_released);
        for (size_t i = 0; i <= bursts[burst]; i++) {
            assert_true(peer_read(fds[i], &answer, false));
            assert_int_equal(answer.status, 200);
        }
    }
    for (size_t i = 0; i < N_OF(fds); i++) {
        close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_problems, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_one_connection_serves_many_requests, server_setup,
                                        server_teardown),
        cmocka_unit_test_setup_teardown(test_pipelining, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_large_answers, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_start_errors, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_any_address, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_metrics, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_many_connections, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_many_requests_at_once, server_setup, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
