/* SPDX-License-Identifier: MIT */
/* The client against servers that follow a script, and against our own. */
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/http.h>
#include <godwit/http_client.h>

#include "peer.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Names are looked up by libcurl in a thread of its own. This stands in for a name server that
 * does not answer: the lookup of "stuck.example" lasts until the test ends it. */
static sem_t lookup_started;
static sem_t lookup_released;
static sem_t lookup_done;

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret_list);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    if (name != NULL && strcmp(name, "stuck.example") == 0) {
        sem_post(&lookup_started);
        sem_wait(&lookup_released);
        sem_post(&lookup_done);
        return EAI_NONAME;
    }
    if (name != NULL && strcmp(name, "no-such-host.invalid") == 0) {
        return EAI_NONAME; /* without a question that leaves this machine */
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof(real));
    return real(name, service, hints, ret_list);
}

static gw_error err;
static gw_http_reply reply;
static char url[300];

static int setup(void **state)
{
    (void)state;
    sem_init(&lookup_started, 0, 0);
    sem_init(&lookup_released, 0, 0);
    sem_init(&lookup_done, 0, 0);
    err = (gw_error)GW_ERROR_INIT;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_http_reply_dispose(&reply);
    return 0;
}

static peer_server script(const char *bytes)
{
    return (peer_server){.bytes = bytes, .len = strlen(bytes)};
}

static const char *url_of(const peer_server *server, const char *path)
{
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server->port, path);
    return url;
}

static void check_error(const char *wanted)
{
    if (strstr(err.text, wanted) == NULL) {
        fail_msg("wanted '%s', got '%s'", wanted, err.text);
    }
}

/* "http://127.0.0.1:PORT", and what follows it in the text of an error. */
static void check_error_at(const peer_server *server, const char *scheme, const char *rest)
{
    char wanted[400];
    snprintf(wanted, sizeof(wanted), "%s://127.0.0.1:%u%s", scheme, server->port, rest);
    check_error(wanted);
}

static void test_get(void **state)
{
    (void)state;
    peer_server server = script("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "ETag:   \"abc\" \r\nContent-Length: 5\r\n\r\nhello");
    peer_server_start(&server);
    static const char *const headers[] = {"X-One: 1", "Accept: text/plain", NULL};
    gw_http_call call = {.url = url_of(&server, "/a%20b?c=d"), .headers = headers};
    gw_status st = gw_http_perform(&call, &reply, &err);
    peer_server_stop(&server);
    assert_int_equal(st, GW_OK);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/json");
    assert_string_equal(reply.etag, "\"abc\"");
    assert_int_equal(reply.body.len, 5);
    assert_string_equal(reply.body.data, "hello");
    assert_memory_equal(server.request, "GET /a%20b?c=d HTTP/1.1\r\n", 25);
    assert_non_null(strstr(server.request, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(server.request, "\r\nAccept: text/plain\r\n"));
    assert_non_null(strstr(server.request, "\r\nUser-Agent: godwit/"));
    assert_null(strstr(server.request, "Expect"));
}

static void test_any_status_is_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
        const char *body;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no"},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 500, ""},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
        {"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 304, ""},
        {"HTTP/1.0 200 OK\r\n\r\nto the end", 200, "to the end"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         200, "abcde"},
        /* Not followed: it would leave the address that was asked for. */
        {"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", 302, ""},
        {"HTTP/1.1 100 Continue\r\nETag: \"no\"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
         "1\r\n\r\na",
         200, "a"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        peer_server server = script(cases[i].bytes);
        peer_server_start(&server);
        gw_http_call call = {.url = url_of(&server, "/")};
        gw_status st = gw_http_perform(&call, &reply, &err);
        peer_server_stop(&server);
        if (st != GW_OK || reply.status != cases[i].status) {
            fail_msg("case %zu: %s, status %d, '%s'", i, gw_status_name(st), reply.status,
                     err.text);
        }
        assert_int_equal(reply.body.len, strlen(cases[i].body));
        assert_memory_equal(reply.body.data != NULL ? reply.body.data : "", cases[i].body,
                            reply.body.len);
        assert_string_equal(reply.etag, cases[i].status == 304 ? "\"x\"" : "");
        assert_string_equal(reply.content_type, "");
    }
}

static void echo(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    size_t len = 0;
    const char *body = gw_http_body(req, &len);
    const char *type = gw_http_header(req, "Content-Type");
    gw_buf_addf(gw_http_response_body(res), "%s %s ", gw_http_method(req),
                type != NULL ? type : "");
    gw_buf_add(gw_http_response_body(res), body, len);
}

static void test_methods_and_bodies(void **state)
{
    (void)state;
    gw_http_route routes[] = {{"Post", "POST", "/x", echo, NULL},
                              {"Put", "PUT", "/x", echo, NULL},
                              {"Get", "GET", "/x", echo, NULL},
                              {"Delete", "DELETE", "/x", echo, NULL}};
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.address = "127.0.0.1";
    gw_http_server *server = NULL;
    assert_int_equal(gw_http_server_start(&options, routes, N_OF(routes), &server, &err), GW_OK);
    snprintf(url, sizeof(url), "http://localhost:%u/x", gw_http_server_port(server));
    static const char *const json[] = {"Content-Type: application/json", NULL};
    static const struct {
        const char *method;
        const char *body;
        int status;
        const char *wanted;
    } cases[] = {
        {NULL, NULL, 200, "GET application/json "},
        {"GET", "a", 200, "GET application/json a"},
        {"POST", "{}", 200, "POST application/json {}"},
        {"POST", "", 200, "POST application/json "},
        {"POST", NULL, 200, "POST application/json "},
        {"PUT", "x", 200, "PUT application/json x"},
        {"DELETE", NULL, 200, "DELETE application/json "},
        {"HEAD", NULL, 200, ""},
        {"PATCH", "x", 405, NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_http_call call = {.method = cases[i].method,
                             .url = url,
                             .headers = json,
                             .body = cases[i].body,
                             .body_len = cases[i].body != NULL ? strlen(cases[i].body) : 0};
        gw_status st = gw_http_perform(&call, &reply, &err);
        if (st != GW_OK || reply.status != cases[i].status) {
            fail_msg("case %zu: %s, status %d, '%s'", i, gw_status_name(st), reply.status,
                     err.text);
        }
        if (cases[i].wanted != NULL) {
            assert_string_equal(reply.body.len > 0 ? reply.body.data : "", cases[i].wanted);
        }
    }
    gw_http_server_stop(server, 1000);
}

static void test_nobody_there(void **state)
{
    (void)state;
    peer_server server = script("");
    peer_server_start(&server);
    peer_server_stop(&server); /* its port is free now */
    gw_http_call call = {.url = url_of(&server, "/app/test?token=secret")};
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_UNAVAILABLE);
    check_error_at(&server, "http", "/app/test: ");
    check_error("Connection refused");
    assert_null(strstr(err.text, "secret"));

    call.url = "http://no-such-host.invalid:1234/x";
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_UNAVAILABLE);
    check_error("http://no-such-host.invalid:1234/x: ");
}

static void test_connection_closed_without_answer(void **state)
{
    (void)state;
    peer_server server = script("");
    peer_server_start(&server);
    gw_http_call call = {.url = url_of(&server, "/")};
    gw_status st = gw_http_perform(&call, &reply, &err);
    peer_server_stop(&server);
    assert_int_equal(st, GW_E_UNAVAILABLE);
    check_error_at(&server, "http", "/: Empty reply");
}

static void test_timeouts(void **state)
{
    (void)state;
    peer_server servers[] = {
        {.bytes = "", .len = 0, .hold = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", .len = 41, .hold = true},
        {.bytes = "HTTP/1.1 200 OK\r\nX: ", .len = 20, .endless = true, .drip_ms = 5},
    };
    for (size_t i = 0; i < N_OF(servers); i++) {
        peer_server_start(&servers[i]);
        gw_http_call call = {.url = url_of(&servers[i], "/slow"), .timeout_ms = 200};
        uint64_t start_ms = gw_clock_ms();
        gw_status st = gw_http_perform(&call, &reply, &err);
        uint64_t took_ms = gw_clock_ms() - start_ms;
        peer_server_stop(&servers[i]);
        assert_int_equal(st, GW_E_TIMEOUT);
        check_error_at(&servers[i], "http", "/slow: ");
        assert_in_range(took_ms, 200, 9000);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *part; /* what follows, this often */
        int n_parts;
        bool endless;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", "a", 101, false},
        {"HTTP/1.1 200 OK\r\n\r\n", "a", 101, false},
        {"HTTP/1.1 200 OK\r\n\r\n", "a", 101, true},
        {"HTTP/1.1 200 OK\r\n", "X-Header: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", 3000, false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf bytes;
        gw_buf_init(&bytes, 0);
        gw_buf_add_str(&bytes, cases[i].head);
        for (int n = 0; n < cases[i].n_parts; n++) {
            gw_buf_add_str(&bytes, cases[i].part);
        }
        peer_server server = {.bytes = bytes.data, .len = bytes.len, .endless = cases[i].endless};
        peer_server_start(&server);
        gw_http_call call = {.url = url_of(&server, "/large"), .max_body_bytes = 100};
        gw_status st = gw_http_perform(&call, &reply, &err);
        peer_server_stop(&server);
        gw_buf_dispose(&bytes);
        if (st != GW_E_LIMIT) {
            fail_msg("case %zu: %s '%s'", i, gw_status_name(st), err.text);
        }
        check_error_at(&server, "http", "/large: the answer is too large");
    }
    /* Exactly as large as allowed. */
    peer_server server = script("HTTP/1.1 200 OK\r\n\r\n12345");
    peer_server_start(&server);
    gw_http_call call = {.url = url_of(&server, "/"), .max_body_bytes = 5};
    gw_status st = gw_http_perform(&call, &reply, &err);
    peer_server_stop(&server);
    assert_int_equal(st, GW_OK);
    assert_string_equal(reply.body.data, "12345");
}

static void test_not_http(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "AMQP\x01\x01\x01\x01 and more\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbroken off",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x01\x02\x03",
    };
    for (size_t i = 0; i < N_OF(answers); i++) {
        peer_server server = script(answers[i]);
        peer_server_start(&server);
        gw_http_call call = {.url = url_of(&server, "/")};
        gw_status st = gw_http_perform(&call, &reply, &err);
        peer_server_stop(&server);
        if (st != GW_E_PROTOCOL) {
            fail_msg("case %zu: %s '%s'", i, gw_status_name(st), err.text);
        }
        check_error_at(&server, "http", "/: ");
    }
}

static void test_https_on_a_plain_port(void **state)
{
    (void)state;
    peer_server server = script("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    peer_server_start(&server);
    snprintf(url, sizeof(url), "https://user:geheim@127.0.0.1:%u/x", server.port);
    gw_http_call call = {.url = url};
    gw_status st = gw_http_perform(&call, &reply, &err);
    peer_server_stop(&server);
    assert_int_equal(st, GW_E_PROTOCOL);
    check_error_at(&server, "https", "/x: ");
    assert_null(strstr(err.text, "geheim"));
}

static void test_bad_calls(void **state)
{
    (void)state;
    static const char *const split[] = {"X: a\r\nY: b", NULL};
    static const char *const no_colon[] = {"X", NULL};
    const struct {
        gw_http_call call;
        const char *text;
    } cases[] = {
        {{.url = NULL}, "no URL"},
        {{.url = ""}, "not valid"},
        {{.url = "127.0.0.1:80/x"}, "no scheme"},
        {{.url = "ftp://127.0.0.1/"}, "is not http:// or https://"},
        {{.url = "file:///etc/passwd"}, ""},
        {{.url = "gopher://127.0.0.1:1/"}, "is not http:// or https://"},
        {{.url = "amqp://guest:geheim@127.0.0.1:1/"}, "amqp://guest:***@127.0.0.1:1/"},
        {{.url = "http://a:geheim@127.0.0.1:99999/"}, "a:***@"},
        {{.url = "http://127.0.0.1:1,127.0.0.1:2/"}, "several hosts"},
        {{.url = "http://127.0.0.1:1/ x"}, "control character"},
        {{.url = "http://127.0.0.1:1/\r\nX: y"}, "control character"},
        {{.url = "http://127.0.0.1:1/", .headers = split}, "a header is not of the form"},
        {{.url = "http://127.0.0.1:1/", .headers = no_colon}, "a header is not of the form"},
        {{.url = "http://127.0.0.1:1/", .method = "GET / HTTP/1.1\r\nX"}, "method is not valid"},
        {{.url = "http://127.0.0.1:1/", .method = ""}, "method is not valid"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_status st = gw_http_perform(&cases[i].call, &reply, &err);
        if (st != GW_E_INVALID || strstr(err.text, cases[i].text) == NULL) {
            fail_msg("case %zu: wanted '%s', got %s '%s'", i, cases[i].text, gw_status_name(st),
                     err.text);
        }
        assert_null(strstr(err.text, "geheim"));
    }
    assert_int_equal(gw_http_perform(NULL, &reply, &err), GW_E_INVALID);
    gw_http_call call = {.url = "http://127.0.0.1:1/"};
    assert_int_equal(gw_http_perform(&call, NULL, NULL), GW_E_INVALID);
    gw_http_reply_dispose(NULL);
}

static void test_user_in_the_url_is_sent_not_shown(void **state)
{
    (void)state;
    peer_server server = script("SSH-2.0-x\r\n");
    peer_server_start(&server);
    snprintf(url, sizeof(url), "http://user:geheim@127.0.0.1:%u/", server.port);
    gw_http_call call = {.url = url};
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_PROTOCOL);
    peer_server_stop(&server);
    assert_non_null(strstr(server.request, "\r\nAuthorization: Basic dXNlcjpnZWhlaW0=\r\n"));
    assert_null(strstr(err.text, "geheim"));
    assert_null(strstr(err.text, "user"));
}

static void test_environment_proxy_is_not_for_loopback(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    peer_server server = script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer_server_start(&server);
    gw_http_call call = {.url = url_of(&server, "/")};
    gw_status st = gw_http_perform(&call, &reply, &err);
    peer_server_stop(&server);
    call.url = "http://192.0.2.1/";
    gw_status other = gw_http_perform(&call, &reply, &err);
    unsetenv("http_proxy");
    assert_int_equal(st, GW_OK);
    assert_int_equal(other, GW_E_UNAVAILABLE); /* of the proxy, on port 1 */
    check_error("Connection refused");
}

static bool is_loaded(void)
{
    void *handle = dlopen("libcurl.so.4", RTLD_NOLOAD | RTLD_LAZY);
    if (handle != NULL) {
        dlclose(handle);
    }
    return handle != NULL;
}

static void *call_many(void *ctx)
{
    gw_http_reply mine = {0};
    gw_http_call call = {.url = ctx};
    size_t failures = 0;
    for (int i = 0; i < 20; i++) {
        failures += gw_http_perform(&call, &mine, NULL) != GW_OK || mine.status != 404;
    }
    gw_http_reply_dispose(&mine);
    return (void *)failures;
}

static void test_many_threads(void **state)
{
    (void)state;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.address = "127.0.0.1";
    gw_http_server *server = NULL;
    assert_int_equal(gw_http_server_start(&options, NULL, 0, &server, &err), GW_OK);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", gw_http_server_port(server));
    pthread_t threads[8];
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, url), 0);
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        void *failures = NULL;
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    gw_http_server_stop(server, 1000);
    assert_false(is_loaded());
}

/* The last test: libcurl stays loaded, since one of its threads was left behind. */
static void *cancel_soon(void *arg)
{
    (void)!write(*(int *)arg, &(uint64_t){1}, sizeof(uint64_t));
    return NULL;
}

/* A server that says nothing for long, and somebody who does not want to wait. */
static void test_cancelling(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_true(fd > 0);
    peer_server server = {.bytes = "", .len = 0, .hold = true};
    peer_server_start(&server);
    gw_http_call call = {.url = url_of(&server, "/wait"), .timeout_ms = 600000, .cancel_fd = fd};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, &fd);
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_CLOSED);
    check_error_at(&server, "http", "/wait: the call was cancelled");
    pthread_join(thread, NULL);
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_CLOSED); /* it stays so */
    peer_server_stop(&server);
    close(fd);
}

static void test_a_header_of_choice(void **state)
{
    (void)state;
    peer_server server = script("HTTP/1.1 200 OK\r\nX-Godwit-Wait: 60\r\nX-Other: 1\r\n\r\n");
    peer_server_start(&server);
    gw_http_call call = {.url = url_of(&server, "/"), .keep_header = "x-godwit-wait"};
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_OK);
    assert_string_equal(reply.kept, "60");
    call.keep_header = "X-Missing";
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_OK);
    assert_string_equal(reply.kept, "");
    peer_server_stop(&server);
}

/* Cancelled while the name is looked up: that thread goes on, as below. */
static void test_cancelling_a_lookup(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_CLOEXEC);
    gw_http_call call = {
        .url = "http://stuck.example:1234/x", .timeout_ms = 600000, .cancel_fd = fd};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, &fd);
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_CLOSED);
    pthread_join(thread, NULL);
    sem_wait(&lookup_started);
    sem_post(&lookup_released);
    sem_wait(&lookup_done);
    close(fd);
}

static void test_stuck_name_server(void **state)
{
    (void)state;
    assert_false(is_loaded());
    gw_http_call call = {.url = "http://stuck.example:1234/x", .timeout_ms = 200};
    uint64_t start_ms = gw_clock_ms();
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_TIMEOUT);
    assert_in_range(gw_clock_ms() - start_ms, 200, 9000);
    check_error("http://stuck.example:1234/x: ");
    sem_wait(&lookup_started);
    assert_true(is_loaded());
    sem_post(&lookup_released); /* its thread goes on in the code of libcurl */
    sem_wait(&lookup_done);
    call.url = "http://127.0.0.1:1/";
    assert_int_equal(gw_http_perform(&call, &reply, &err), GW_E_UNAVAILABLE);
    assert_true(is_loaded());
}

int main(void)
{
    unsetenv("http_proxy");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_status_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_methods_and_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_closed_without_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeouts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_http, setup, teardown),
        cmocka_unit_test_setup_teardown(test_https_on_a_plain_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_user_in_the_url_is_sent_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment_proxy_is_not_for_loopback, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cancelling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_header_of_choice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stuck_name_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelling_a_lookup, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
