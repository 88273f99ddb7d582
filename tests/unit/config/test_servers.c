/* SPDX-License-Identifier: MIT */
/* Several servers, several labels, who asks, and how patiently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/config.h>
#include <godwit/log.h>

#include "unit/config/client.h"
#include "unit/config/scripted_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *both(const char *a, const char *b)
{
    static char text[256];
    snprintf(text, sizeof(text), "%s, %s", a, b);
    return text;
}

/* ---- several servers ------------------------------------------------------- */

/* Whatever is wrong with the first, the second is asked. */
static void the_next_server_is_asked(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } cases[] = {{500, ""}, {503, ""}, {401, ""}, {404, ""}, {0, ""}, {200, "no JSON"}};
    scripted_server *first = server_start();
    scripted_server *second = server_start();
    for (size_t i = 0; i < N_OF(cases); i++) {
        server_answer(first, cases[i].status, cases[i].body);
        server_answer(second, 200, document("\"k\":\"second\""));
        gw_config_options options = options_for(both(server_url(first), server_url(second)));
        gw_config *config = new_config(&options);
        size_t n_before = server_count(first);
        must_load(config);
        assert_int_equal(server_count(first), n_before + 1);
        assert_true(value_is(config, "k", "second"));
        /* and first, next time */
        size_t n_second = server_count(second);
        assert_int_equal(gw_config_reload(config, NULL), GW_OK);
        assert_int_equal(server_count(first), n_before + 1);
        assert_int_equal(server_count(second), n_second + 1);
        /* until it fails */
        server_answer(second, 500, "");
        server_answer(first, 200, document("\"k\":\"first\""));
        assert_int_equal(gw_config_reload(config, NULL), GW_OK);
        assert_true(value_is(config, "k", "first"));
        gw_config_free(config);
    }
    server_stop(second);
    server_stop(first);
}

static void a_dead_server_is_passed_over(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"v\""));
    gw_config_options options = options_for(both(dead_url(), server_url(server)));
    gw_config *config = new_config(&options);
    must_load(config);
    assert_int_equal(server_count(server), 1);
    gw_config_free(config);
    server_stop(server);
}

/* One that takes the connection and says nothing leaves time for the other. */
static void a_server_that_hangs_is_passed_over(void **state)
{
    (void)state;
    scripted_server *hangs = server_start();
    scripted_server *server = server_start();
    server_close_gate(hangs);
    server_answer(server, 200, document("\"k\":\"v\""));
    gw_config_options options = options_for(both(server_url(hangs), server_url(server)));
    options.timeout_ms = 1000;
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(value_is(config, "k", "v"));
    gw_config_free(config);
    server_stop(server);
    server_stop(hangs);
}

static void only_connection_failures_if_so_wanted(void **state)
{
    (void)state;
    scripted_server *first = server_start();
    scripted_server *second = server_start();
    server_answer(second, 200, document("\"k\":\"v\""));
    gw_config_options options = options_for(both(server_url(first), server_url(second)));
    options.connection_failures_only = true;
    gw_error err = GW_ERROR_INIT;
    gw_config *config = new_config(&options);
    server_answer(first, 500, "");
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    server_answer(first, 401, "");
    assert_int_equal(gw_config_load(config, &err), GW_E_DENIED);
    assert_int_equal(server_count(second), 0);
    server_answer(first, 0, "");
    must_load(config);
    assert_int_equal(server_count(second), 1);
    gw_config_free(config);
    server_stop(second);
    server_stop(first);
}

/* Who reads it has to know of every server what was wrong there. */
static void a_failure_names_all_servers(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 401, "{\"message\":\"who are you?\"}");
    char urls[256];
    snprintf(urls, sizeof(urls), "http://u:hunter2@%s,%s", dead_url() + strlen("http://"),
             server_url(server));
    gw_config_options options = options_for(urls);
    options.timeout_ms = 50;
    gw_config *config = new_config(&options);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    char want[256];
    snprintf(want, sizeof(want), "; %s/accountservice/test/main: the server answers 401: who are",
             server_url(server));
    assert_non_null(strstr(err.text, "http://u:***@127.0.0.1"));
    assert_non_null(strstr(err.text, want));
    assert_null(strstr(err.text, "hunter2"));
    gw_config_free(config);
    server_stop(server);
}

static void lists_that_are_refused(void **state)
{
    (void)state;
    char many[2048] = "";
    for (int i = 0; i < 17; i++) {
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "%shttp://h%d", i > 0 ? "," : "",
                 i);
    }
    const struct {
        const char *url;
        const char *label;
        gw_status st;
        const char *says;
    } cases[] = {
        {"http://a,http://b:secret@,http://c", "main", GW_E_INVALID, "config server"},
        {"http://a,http://u:secret@b?x", "main", GW_E_INVALID, "'http://u:***@b?x' is not the URL"},
        {"http://h1,h2", "main", GW_E_INVALID, "it has one host"},
        {"http://h1,", "main", GW_E_INVALID, ""},
        {many, "main", GW_E_LIMIT, "more than 16 config servers"},
        {"http://h", "a,,b", GW_E_INVALID, "an empty label in 'a,,b'"},
        {"http://h", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", GW_E_LIMIT,
         "more than 16 labels"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config_options options = options_for(cases[i].url);
        options.label = cases[i].label;
        gw_config *config = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_config_new(&options, &config, &err);
        if (st != cases[i].st || strstr(err.text, cases[i].says) == NULL ||
            strstr(err.text, "secret") != NULL) {
            fail_msg("%s: got %s '%s'", cases[i].url, gw_status_name(st), err.text);
        }
    }
}

/* ---- several labels -------------------------------------------------------- */

static void the_first_label_that_is_there(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    gw_config_options options = options_for(server_url(server));
    options.label = "feature/x, main";
    gw_config *config = new_config(&options);
    server_answer_once(server, 404, "");
    server_answer(server, 200, document("\"k\":\"main\""));
    must_load(config);
    assert_int_equal(server_count_of(server, "GET /accountservice/test/feature(_)x HTTP"), 1);
    assert_int_equal(server_count_of(server, "GET /accountservice/test/main HTTP"), 1);
    server_answer(server, 200, document("\"k\":\"feature\"")); /* it has come */
    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    assert_int_equal(server_count_of(server, "GET /accountservice/test/main HTTP"), 1);
    gw_config_free(config);
    server_stop(server);
}

/* A label that could be there is not passed over: that would be other settings. */
static void a_failure_is_no_missing_label(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    gw_config_options options = options_for(server_url(server));
    options.label = "feature,main";
    gw_config *config = new_config(&options);
    server_answer(server, 500, "");
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    assert_int_equal(server_count_of(server, "/main "), 0);
    server_answer(server, 404, "");
    assert_int_equal(gw_config_load(config, &err), GW_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "/feature: the server answers 404"));
    assert_non_null(strstr(err.text, "/main: the server answers 404"));
    gw_config_free(config);
    server_stop(server);
}

/* ---- who asks ---------------------------------------------------------------- */

static void credentials(void **state)
{
    (void)state;
    static const struct {
        const char *in_url;
        const char *user;
        const char *password;
        const char *token;
        const char *sent;
        const char *not_sent;
    } cases[] = {
        {"", NULL, NULL, NULL, "\r\nAccept: ", "Authorization"},
        {"user:geheim@", NULL, NULL, NULL, "\r\nAuthorization: Basic dXNlcjpnZWhlaW0=\r\n",
         "X-Config-Token"},
        {"", "user", "geheim", NULL, "\r\nAuthorization: Basic dXNlcjpnZWhlaW0=\r\n",
         "X-Config-Token"},
        {"", "user", "a:@/? %", NULL, "\r\nAuthorization: Basic dXNlcjphOkAvPyAl\r\n",
         "X-Config-Token"},
        {"user:geheim@", "other", "x", NULL, "\r\nAuthorization: Basic dXNlcjpnZWhlaW0=\r\n",
         "X-Config-Token"},
        {"", NULL, NULL, "t-1", "\r\nX-Config-Token: t-1\r\n", "Basic"},
        {"", NULL, NULL, "t-1", "\r\nAuthorization: Bearer t-1\r\n", "Basic"},
        {"", "user", "geheim", "t-1", "\r\nX-Config-Token: t-1\r\n", "Bearer"},
        {"user:geheim@", NULL, NULL, "t-1", "\r\nAuthorization: Basic dXNlcjpnZWhlaW0=\r\n",
         "Bearer"},
    };
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"v\""));
    for (size_t i = 0; i < N_OF(cases); i++) {
        char url[128];
        snprintf(url, sizeof(url), "http://%s%s", cases[i].in_url,
                 server_url(server) + strlen("http://"));
        gw_config_options options = options_for(url);
        options.username = cases[i].user;
        options.password = cases[i].password;
        options.token = cases[i].token;
        gw_config *config = new_config(&options);
        must_load(config);
        const char *request = server_last_request(server);
        if (strstr(request, cases[i].sent) == NULL || strstr(request, cases[i].not_sent) != NULL) {
            fail_msg("case %zu: %s", i, request);
        }
        gw_config_free(config);
    }
    server_stop(server);
}

static void a_token_that_is_none(void **state)
{
    (void)state;
    gw_config_options options = options_for("http://h");
    options.token = "geheim\r\nX-Evil: 1";
    gw_config *config = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_new(&options, &config, &err), GW_E_INVALID);
    assert_non_null(strstr(err.text, "token holds a blank"));
    assert_null(strstr(err.text, "geheim"));
}

/* What the server says of itself it hears again: Spring's client does that. */
static void the_state_goes_back(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, "{\"state\":\"s-7\",\"propertySources\":[]}");
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    assert_int_equal(server_count_of(server, "X-Config-State"), 0);
    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    assert_int_equal(server_count_of(server, "\r\nX-Config-State: s-7\r\n"), 1);
    gw_config_free(config);
    server_stop(server);
}

/* ---- places ------------------------------------------------------------------- */

static void errors_name_file_and_line(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"server_port\":{\"value\":\"abc\",\"origin\":\"3:14\"}"));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    const gw_config_snapshot *snap = gw_config_acquire(config);
    assert_string_equal(gw_config_origin(snap, "server_port"), "file:///c/a-test.yml:3");
    int64_t port;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_int(snap, "server_port", 1, 65535, &port, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'server_port' = 'abc' from file:///c/a-test.yml:3 is not a "
                                  "number from 1 to 65535");
    gw_config_release(snap);
    gw_config_free(config);
    server_stop(server);
}

/* ---- patience ------------------------------------------------------------------ */

static void as_many_tries_as_wanted(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 503, "");
    gw_config_options options = options_for(server_url(server));
    options.timeout_ms = 60000;
    options.retry_first_ms = 1;
    options.retry_max_ms = 2;
    options.retry_factor = 1.5;
    options.retry_max_tries = 4;
    gw_config *config = new_config(&options);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    assert_int_equal(server_count(server), 4);
    assert_non_null(strstr(err.text, "; tried 4 times"));
    gw_config_free(config);
    server_stop(server);
}

static void patience_that_is_none(void **state)
{
    (void)state;
    gw_config_options base = options_for("http://h");
    gw_config_options cases[5];
    for (size_t i = 0; i < N_OF(cases); i++) {
        cases[i] = base;
    }
    cases[0].connect_timeout_ms = 0;
    cases[1].retry_first_ms = 0;
    cases[2].retry_max_ms = cases[2].retry_first_ms - 1;
    cases[3].retry_factor = 0.5;
    cases[4].retry_jitter_percent = 101;
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config *config = NULL;
        gw_error err = GW_ERROR_INIT;
        if (gw_config_new(&cases[i], &config, &err) != GW_E_INVALID ||
            strncmp(err.text, "configuration: ", 15) != 0) {
            fail_msg("case %zu: '%s'", i, err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_server_is_asked),
        cmocka_unit_test(a_dead_server_is_passed_over),
        cmocka_unit_test(a_server_that_hangs_is_passed_over),
        cmocka_unit_test(only_connection_failures_if_so_wanted),
        cmocka_unit_test(a_failure_names_all_servers),
        cmocka_unit_test(lists_that_are_refused),
        cmocka_unit_test(the_first_label_that_is_there),
        cmocka_unit_test(a_failure_is_no_missing_label),
        cmocka_unit_test(credentials),
        cmocka_unit_test(a_token_that_is_none),
        cmocka_unit_test(the_state_goes_back),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(as_many_tries_as_wanted),
        cmocka_unit_test(patience_that_is_none),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
