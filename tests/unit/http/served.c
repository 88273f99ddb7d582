/* SPDX-License-Identifier: MIT */
#include "served.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

sem_t handler_entered;
sem_t handler_released;
gw_http_server *server;
uint16_t port;
peer_answer answer;

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
    sem_post(&handler_entered);
    sem_wait(&handler_released);
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

const gw_http_route routes[] = {
    {"GetAccount", "GET", "/accounts/{accountId}", get_account, NULL},
    {"Tell", "GET", "/tell/{rest...}", tell, NULL},
    {"Echo", "POST", "/echo", echo, NULL},
    {"EchoGet", "GET", "/echo", echo, NULL},
    {"Wait", "GET", "/wait", wait_for_release, NULL},
    {"As", "GET", "/as/{way}", answer_as, NULL},
    {"Large", "GET", "/large", get_large, NULL},
    {"Move", "POST", "/move/{x}", echo, NULL},
};

const size_t n_routes = N_OF(routes);

void server_start(const gw_http_options *changes)
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

int server_setup(void **state)
{
    (void)state;
    sem_init(&handler_entered, 0, 0);
    sem_init(&handler_released, 0, 0);
    server = NULL;
    return 0;
}

int server_teardown(void **state)
{
    (void)state;
    gw_http_server_stop(server, 5000);
    return 0;
}

/* Whether the answer is a problem of this status, with this in its detail. */
void check_problem(int status, const char *detail)
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

void ask(const char *method, const char *target, const char *rest)
{
    static char request[40000];
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target, rest);
    peer_ask(port, request, &answer);
}
