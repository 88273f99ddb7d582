/* SPDX-License-Identifier: MIT */
/* GET /config and POST /actuator/refresh of a running program: what they show, what they hide, and
 * from whom. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "support/child.h"
#include "unit/config/scripted_server.h"
#include "unit/http/peer.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* An answer of a config server: two sources, the first is the higher one. */
#define CONFIGURATION(version, first)                                                              \
    "{\"name\":\"sample\",\"profiles\":[\"test\"],\"label\":\"main\",\"version\":\"" version       \
    "\",\"propertySources\":[{\"name\":\"file:///repo/sample-test.yml\",\"source\":{" first        \
    "}},{\"name\":\"file:///repo/application.yml\",\"source\":{\"greeting\":\"lower\","            \
    "\"db.password\":\"hunter2\",\"db.url\":\"postgres://me:hunter2@db/x?password=hunter2&a=1\"}}" \
    "]}"

static child program;
static scripted_server *server;
static unsigned port;
static peer_answer answer;

static void spawn(const char *setting)
{
    const char *argv[] = {SAMPLE, "-port=0", "-configServerUrl", server_url(server), NULL};
    /* What changes is asked for here, and not found by the program itself. */
    const char *env[] = {"SAMPLE_CONFIG=1",
                         "GODWIT_SERVER_ADDRESS=127.0.0.1",
                         "GODWIT_CONFIG_WATCH=off",
                         "GODWIT_PIN=4711-secret",
                         setting,
                         NULL};
    child_start(&program, argv, env);
}

static void start(const char *setting)
{
    spawn(setting);
    port = child_wait_port(&program);
}

static int make_server(void **state)
{
    (void)state;
    server = server_start();
    server_answer(server, 200,
                  CONFIGURATION("abc", "\"greeting\":\"hello <b>&'\\\"\",\"friends[0]\":\"ann\","
                                       "\"friends[1]\":\"bob\",\"colour\":\"red\""));
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (program.pid != 0) {
        child_signal(&program, SIGTERM);
        if (child_wait_exit(&program) != 0) {
            return -1;
        }
    }
    server_stop(server);
    return 0;
}

static void ask(const char *method, const char *path, const char *headers)
{
    char request[1024];
    snprintf(request, sizeof(request),
             "%s %s HTTP/1.1\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", method, path,
             headers);
    peer_ask((uint16_t)port, request, &answer);
}

#define LOCAL "Host: 127.0.0.1\r\n"

/* The answer to GET /config; the caller gives it back. */
static json_t *get_config(void)
{
    ask("GET", "/config", LOCAL);
    assert_int_equal(answer.status, 200);
    json_t *root = json_loads(answer.body, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static const json_t *find(const json_t *root, const char *list, const char *key)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(root, list), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "key")), key) == 0) {
            return item;
        }
    }
    fail_msg("%s has no '%s': %s", list, key, answer.body);
    return NULL;
}

static void expect(const json_t *item, const char *field, const char *text)
{
    const char *got = json_string_value(json_object_get(item, field));
    if (got == NULL || strcmp(got, text) != 0) {
        fail_msg("%s is '%s', expected '%s'", field, got != NULL ? got : "(null)", text);
    }
}

static void test_values_and_their_origin(void **state)
{
    (void)state;
    start(NULL);
    json_t *root = get_config();
    expect(root, "application", "sample");
    expect(root, "profile", "test");
    expect(root, "label", "main");
    expect(root, "version", "abc");
    assert_non_null(strstr(json_string_value(json_object_get(root, "server")), server_url(server)));
    assert_int_equal(strlen(json_string_value(json_object_get(root, "loadedAt"))),
                     strlen("2026-11-22T10:42:13.667Z"));
    assert_true(json_is_false(json_object_get(root, "fromCache")));

    const json_t *it = find(root, "settings", "greeting");
    expect(it, "value", "hello <b>&'\"");
    expect(it, "origin", "file:///repo/sample-test.yml");
    expect(it, "effect", "live");
    assert_true(json_is_false(json_object_get(it, "waiting")));
    it = find(root, "settings", "limit");
    expect(it, "value", "3");
    expect(it, "origin", "default");
    expect(it, "effect", "restart");
    expect(find(root, "settings", "server_port"), "origin", "the flag -port");
    expect(find(root, "settings", "server_address"), "origin",
           "environment variable GODWIT_SERVER_ADDRESS");
    const json_t *friends = json_object_get(find(root, "settings", "friends"), "value");
    assert_int_equal(json_array_size(friends), 2);
    assert_string_equal(json_string_value(json_array_get(friends, 1)), "bob");
    it = find(root, "others", "colour");
    expect(it, "value", "red");
    expect(it, "origin", "file:///repo/sample-test.yml");
    json_decref(root);
}

/* Of several servers the one that answered, without its password. */
static void test_the_server_that_answered(void **state)
{
    (void)state;
    char urls[256];
    snprintf(urls, sizeof(urls), "%s,http://me:hunter2@%s", dead_url(),
             server_url(server) + strlen("http://"));
    const char *argv[] = {SAMPLE, "-port=0", "-configServerUrl", urls, NULL};
    const char *env[] = {"SAMPLE_CONFIG=1", "GODWIT_SERVER_ADDRESS=127.0.0.1", NULL};
    child_start(&program, argv, env);
    port = child_wait_port(&program);
    json_t *root = get_config();
    snprintf(urls, sizeof(urls), "http://me:***@%s/sample/test/main",
             server_url(server) + strlen("http://"));
    expect(root, "server", urls);
    json_decref(root);
}

/* The values and their origins belong together whatever changes meanwhile. */
static void test_asked_while_it_changes(void **state)
{
    (void)state;
    start(NULL);
    for (int i = 0; i < 40; i++) {
        server_answer(server, 200,
                      i % 2 == 0 ? CONFIGURATION("def", "\"greeting\":\"one\",\"x\":\"one\"")
                                 : CONFIGURATION("abc", "\"greeting\":\"two\",\"x\":\"two\""));
        child_signal(&program, SIGHUP);
        if (i % 4 == 0) {
            ask("POST", "/actuator/refresh", LOCAL);
            assert_int_equal(answer.status, 200);
        }
        json_decref(get_config());
        ask("GET", "/config", LOCAL "Accept: text/html\r\n");
        assert_int_equal(answer.status, 200);
    }
}

static void test_secrets_are_masked(void **state)
{
    (void)state;
    start(NULL);
    json_t *root = get_config();
    expect(find(root, "settings", "pin"), "value", "***"); /* declared as a secret */
    expect(find(root, "others", "db.password"), "value", "***");
    expect(find(root, "others", "db.url"), "value", "postgres://me:***@db/x?password=***&a=1");
    json_decref(root);
    assert_null(strstr(answer.body, "hunter2"));
    assert_null(strstr(answer.body, "4711"));
    assert_string_equal(peer_header(&answer, "Cache-Control"), "no-store");
    ask("GET", "/config", LOCAL "Accept: text/html\r\n");
    assert_null(strstr(answer.body, "hunter2"));
    assert_null(strstr(answer.body, "4711"));
}

static void test_page(void **state)
{
    (void)state;
    start(NULL);
    ask("GET", "/config", LOCAL "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
    assert_int_equal(answer.status, 200);
    assert_string_equal(peer_header(&answer, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(peer_header(&answer, "Content-Security-Policy"), "default-src 'none'"));
    assert_non_null(strstr(answer.body, "hello &lt;b&gt;&amp;&#39;&quot;"));
    assert_null(strstr(answer.body, "<b>"));
    assert_null(strstr(answer.body, "<script"));
    assert_non_null(strstr(answer.body, "ann<br>bob"));
    ask("GET", "/config", LOCAL "Accept: application/json, text/html\r\n");
    assert_string_equal(peer_header(&answer, "Content-Type"), "application/json");
}

static void test_a_change_that_waits(void **state)
{
    (void)state;
    start(NULL);
    server_answer(server, 200, CONFIGURATION("def", "\"limit\":5,\"greeting\":\"bye\""));
    ask("POST", "/actuator/refresh", LOCAL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "[\"colour\",\"friends\",\"greeting\",\"limit\"]");
    child_wait_out(&program, "settings: 2 changed, first greeting, greeting bye, limit 3\n");
    child_wait_err(&program, "'limit' has changed: that takes effect at the next start\n");

    json_t *root = get_config();
    expect(root, "version", "def");
    expect(find(root, "settings", "greeting"), "value", "bye");
    const json_t *it = find(root, "settings", "limit");
    expect(it, "value", "3");
    assert_true(json_is_true(json_object_get(it, "waiting")));
    expect(it, "waitsFor", "the next start");
    expect(json_object_get(it, "next"), "value", "5");
    expect(json_object_get(it, "next"), "origin", "file:///repo/sample-test.yml");
    json_decref(root);
}

/* A wrong value keeps all of the old, and the page says what is in force. */
static void test_a_wrong_value_waits_too(void **state)
{
    (void)state;
    start(NULL);
    server_answer(server, 200, CONFIGURATION("def", "\"limit\":10,\"greeting\":\"bye\""));
    ask("POST", "/actuator/refresh", LOCAL);
    assert_int_equal(answer.status, 200);
    child_wait_err(&program, "key 'limit' = '10' from file:///repo/sample-test.yml is not a number "
                             "from 1 to 9\n");
    child_wait_err(&program, "the settings stay as they are");
    json_t *root = get_config();
    const json_t *it = find(root, "settings", "greeting");
    expect(it, "value", "hello <b>&'\"");
    expect(it, "waitsFor", "a valid configuration");
    expect(json_object_get(it, "next"), "value", "bye");
    json_decref(root);
}

/* Started without its server: the page says that it may be out of date. */
static void test_from_the_cache(void **state)
{
    (void)state;
    char dir[256];
    char cache[300];
    make_test_dir(dir, sizeof(dir));
    snprintf(cache, sizeof(cache), "GODWIT_CONFIG_CACHE=%s/cache", dir);
    start(cache);
    child_signal(&program, SIGTERM);
    assert_int_equal(child_wait_exit(&program), 0);
    server_answer(server, 200, "out of order"); /* no use trying again */
    start(cache);
    json_t *root = get_config();
    assert_true(json_is_true(json_object_get(root, "fromCache")));
    expect(root, "version", "abc");
    expect(find(root, "settings", "greeting"), "origin", "file:///repo/sample-test.yml");
    json_decref(root);
    ask("GET", "/config", LOCAL "Accept: text/html\r\n");
    assert_non_null(strstr(answer.body, "the cache file"));
    remove_test_dir(dir);
}

/* Nor does a server that has wrong values, at the start or later, spoil the file. */
static void test_the_cache_has_what_one_can_start_from(void **state)
{
    (void)state;
    char dir[256];
    char cache[300];
    make_test_dir(dir, sizeof(dir));
    snprintf(cache, sizeof(cache), "GODWIT_CONFIG_CACHE=%s/cache", dir);
    start(cache);
    server_answer(server, 200, CONFIGURATION("bad", "\"limit\":10"));
    ask("POST", "/actuator/refresh", LOCAL);
    assert_int_equal(answer.status, 200);
    child_wait_err(&program, "the settings stay as they are");
    ask("POST", "/actuator/refresh", LOCAL); /* the same again */
    assert_int_equal(answer.status, 200);
    child_signal(&program, SIGTERM);
    assert_int_equal(child_wait_exit(&program), 0);
    spawn(cache);
    assert_int_equal(child_wait_exit(&program), 1);
    server_answer(server, 503, "gone");
    start(cache);
    json_t *root = get_config();
    assert_true(json_is_true(json_object_get(root, "fromCache")));
    expect(root, "version", "abc");
    json_decref(root);
    remove_test_dir(dir);
}

static void test_refresh_that_fails(void **state)
{
    (void)state;
    start(NULL);
    server_answer(server, 500, "broken");
    ask("POST", "/actuator/refresh", LOCAL);
    assert_true(answer.status == 502 || answer.status == 503);
    assert_non_null(strstr(answer.body, "answers 500"));
    ask("GET", "/actuator/refresh", LOCAL);
    assert_int_equal(answer.status, 405);
}

static void test_who_may_ask(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"Host: 127.0.0.1:6767\r\n", 200},
        {"Host: localhost:6767\r\n", 200},
        {"Host: LOCALHOST\r\n", 200},
        {"Host: [::1]:6767\r\n", 200},
        {"Host: 127.0.0.1.evil.example\r\n", 403}, /* a name that leads here */
        {"Host: evil.example:6767\r\n", 403},
        {"Host: localhost.evil.example\r\n", 403},
        {LOCAL "X-Forwarded-For: 192.0.2.1\r\n", 403}, /* somebody else, over a proxy */
        {LOCAL "Forwarded: for=192.0.2.1\r\n", 403},
        {LOCAL "Via: 1.1 proxy\r\n", 403},
        {LOCAL "Origin: http://evil.example\r\n", 403}, /* a page in a browser */
    };
    start(NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        static const char *const requests[][2] = {{"GET", "/config"},
                                                  {"POST", "/actuator/refresh"}};
        for (size_t k = 0; k < N_OF(requests); k++) {
            ask(requests[k][0], requests[k][1], cases[i].headers);
            if (answer.status != cases[i].status) {
                fail_msg("%s %s with %s: %d", requests[k][0], requests[k][1], cases[i].headers,
                         answer.status);
            }
        }
        if (cases[i].status == 403) {
            assert_null(strstr(answer.body, "hello"));
        }
    }
}

static void test_turned_off_and_on(void **state)
{
    (void)state;
    start("GODWIT_CONFIG_ENDPOINT=off");
    ask("GET", "/config", LOCAL);
    assert_int_equal(answer.status, 404);
    ask("POST", "/actuator/refresh", LOCAL);
    assert_int_equal(answer.status, 404);
    child_signal(&program, SIGTERM);
    assert_int_equal(child_wait_exit(&program), 0);
    start("GODWIT_CONFIG_ENDPOINT=on");
    ask("GET", "/config", "Host: shop.example\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_int_equal(answer.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_and_their_origin, make_server, end),
        cmocka_unit_test_setup_teardown(test_the_server_that_answered, make_server, end),
        cmocka_unit_test_setup_teardown(test_asked_while_it_changes, make_server, end),
        cmocka_unit_test_setup_teardown(test_secrets_are_masked, make_server, end),
        cmocka_unit_test_setup_teardown(test_page, make_server, end),
        cmocka_unit_test_setup_teardown(test_a_change_that_waits, make_server, end),
        cmocka_unit_test_setup_teardown(test_a_wrong_value_waits_too, make_server, end),
        cmocka_unit_test_setup_teardown(test_from_the_cache, make_server, end),
        cmocka_unit_test_setup_teardown(test_the_cache_has_what_one_can_start_from, make_server,
                                        end),
        cmocka_unit_test_setup_teardown(test_refresh_that_fails, make_server, end),
        cmocka_unit_test_setup_teardown(test_who_may_ask, make_server, end),
        cmocka_unit_test_setup_teardown(test_turned_off_and_on, make_server, end),
    };
    return cmocka_run_group_tests_name("management", tests, NULL, NULL);
}
