/* SPDX-License-Identifier: MIT */
/* Where the server says no: limits, malformed requests, idle clients, and its own end. */
#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/http.h>

#include "served.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_body_limit(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.max_body_bytes = 1000;
    server_start(&options);
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
    server_start(&options);
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
    server_start(&options);
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
    server_start(NULL);
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
    server_start(&options);
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
    server_start(&options);
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
    server_start(&options);
    int busy = peer_connect(port);
    peer_send_text(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    sem_wait(&handler_entered);
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
    assert_int_equal(answer.status, 200); /* its sender could not know */
    assert_string_equal(peer_header(&answer, "Connection"), "close");
    assert_true(peer_is_closed(idle));

    sem_post(&handler_released);
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
    server_start(NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_body_limit, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_endless_body_is_cut_off, server_setup,
                                        server_teardown),
        cmocka_unit_test_setup_teardown(test_header_limit, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_malformed_requests, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_idle_connections_are_closed, server_setup,
                                        server_teardown),
        cmocka_unit_test_setup_teardown(test_max_connections, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_drain, server_setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_drain_has_an_end, server_setup, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
