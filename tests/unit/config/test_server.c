/* SPDX-License-Identifier: MIT */
/* Loading and reloading from a config server that answers, does not, or answers nonsense. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/config.h>
#include <godwit/log.h>

#include "unit/config/client.h"
#include "unit/config/scripted_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define OWN_ID  "accountservice:test:6767:x"

/* ---- loading ------------------------------------------------------------------- */

static void loads_what_it_asks_for(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"server_port\":6767,\"l[0]\":\"a\",\"l[1]\":\"b\""));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    const gw_config_snapshot *before = gw_config_acquire(config);
    must_load(config);
    assert_true(value_is(config, "server_port", "6767"));
    const gw_config_snapshot *snap = gw_config_acquire(config);
    assert_string_equal(gw_config_version(snap), "abc");
    assert_int_equal(gw_config_n_sources(snap), 1);
    assert_string_equal(gw_config_origin(snap, "l"), "file:///c/a-test.yml");
    assert_int_equal(gw_config_n_sources(before), 0); /* the empty one it began with */
    assert_string_equal(gw_config_version(before), "");
    gw_config_list list = {0};
    assert_int_equal(gw_config_get_list(snap, "l", &list, NULL), GW_OK);
    assert_int_equal(list.n_items, 2);
    gw_config_list_dispose(&list);
    gw_config_release(before);
    gw_config_release(snap);
    const char *request = server_last_request(server);
    assert_int_equal(strncmp(request, "GET /accountservice/test/main HTTP/1.1\r\n", 40), 0);
    assert_non_null(strstr(request,
                           "\r\nAccept: application/vnd.spring-cloud.config-server.v2+json, "
                           "application/json;q=0.9\r\n"));
    gw_config_free(config);
    server_stop(server);
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        const char *app;
        const char *profile;
        const char *label;
        const char *path;
    } cases[] = {
        {"", "app", "test", "main", "/app/test/main"},
        {"/", "app", "test", NULL, "/app/test"},
        {"/prefix/", "app", NULL, "", "/prefix/app/default"},
        {"", "app", "", "v1.2", "/app/default/v1.2"},
        {"", "app", "test", "feature/x", "/app/test/feature(_)x"},
        {"", "a b", "t?#", "50%", "/a%20b/t%3F%23/50%25"},
        {"", "../x", "t", "l", "/..%2Fx/t/l"},
    };
    scripted_server *server = server_start();
    server_answer(server, 200, document(""));
    for (size_t i = 0; i < N_OF(cases); i++) {
        char url[128];
        snprintf(url, sizeof(url), "%s%s", server_url(server), cases[i].suffix);
        gw_config_options options = options_for(url);
        options.app = cases[i].app;
        options.profile = cases[i].profile;
        options.label = cases[i].label;
        gw_config *config = new_config(&options);
        must_load(config);
        char line[160];
        snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n", cases[i].path);
        if (strncmp(server_last_request(server), line, strlen(line)) != 0) {
            fail_msg("got %.60s, expected %s", server_last_request(server), line);
        }
        gw_config_free(config);
    }
    server_stop(server);
}

static void options_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *app;
        const char *says;
    } cases[] = {
        {"configserver:8888", "a", "config server"},
        {"ftp://h", "a", "it begins with http:// or https://"},
        {"http://h1,h2", "a", "it has one host"},
        {"http://u:secret@h?x=1", "a", "'http://u:***@h?x=1' is not the URL of a config server"},
        {"http://h", NULL, "no name to ask it for"},
        {"http://h", "", "no name to ask it for"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config_options options = options_for(cases[i].url);
        options.app = cases[i].app;
        gw_config *config = NULL;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw_config_new(&options, &config, &err), GW_E_INVALID);
        if (strstr(err.text, cases[i].says) == NULL || strstr(err.text, "secret") != NULL) {
            fail_msg("got '%s', expected '%s'", err.text, cases[i].says);
        }
        assert_null(config);
    }
}

static void without_a_server(void **state)
{
    (void)state;
    gw_config *config = new_config(NULL);
    must_load(config);
    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    gw_config_request_reload(config);
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_string(snap, "k", &text, &err), GW_E_NOT_FOUND);
    gw_config_release(snap);
    gw_config_free(config);
}

/* ---- the texts of failures --------------------------------------------------------- */

static void expect_load_error(gw_config *config, gw_status st, const char *url, const char *says)
{
    gw_error err = GW_ERROR_INIT;
    gw_status got = gw_config_load(config, &err);
    char want[512];
    snprintf(want, sizeof(want), "cannot load configuration from %s/accountservice/test/main: %s",
             url, says);
    if (got != st || strncmp(err.text, want, strlen(want)) != 0) {
        fail_msg("got %s '%s', expected %s '%s'", gw_status_name(got), err.text, gw_status_name(st),
                 want);
    }
}

static void nobody_answers(void **state)
{
    (void)state;
    gw_config_options options = options_for(dead_url());
    gw_config *config = new_config(&options);
    uint64_t start_ms = gw_clock_ms();
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    assert_true(gw_clock_ms() - start_ms < 5000);
    char want[128];
    snprintf(want, sizeof(want),
             "cannot load configuration from %s/accountservice/test/main: ", dead_url());
    assert_int_equal(strncmp(err.text, want, strlen(want)), 0);
    assert_non_null(strstr(err.text, "; tried "));
    assert_non_null(strstr(err.text, " times in 0."));
    const gw_config_snapshot *snap = gw_config_acquire(config); /* there is one all the same */
    assert_int_equal(gw_config_n_sources(snap), 0);
    gw_config_release(snap);
    gw_config_free(config);
}

static void answers_that_are_failures(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        gw_status st;
        bool again;
        const char *says;
    } cases[] = {
        {404, "{\"title\":\"Not Found\",\"detail\":\"no such label: main\"}", GW_E_NOT_FOUND, false,
         "the server answers 404: no such label: main"},
        {404, "", GW_E_NOT_FOUND, false, "the server answers 404"},
        {500, "{\"message\":\"a-test.yml: line 3: found a tab\"}", GW_E_UNAVAILABLE, false,
         "the server answers 500: a-test.yml: line 3: found a tab"},
        {401, "<html>", GW_E_DENIED, false, "the server answers 401"},
        {403, "", GW_E_DENIED, false, "the server answers 403"},
        {400, "{\"detail\":\"bad profile\"}", GW_E_PROTOCOL, false,
         "the server answers 400: bad profile"},
        {301, "", GW_E_PROTOCOL, false, "the server answers 301"},
        {204, "", GW_E_PROTOCOL, false, "the server answers 204"},
        {503, "{\"detail\":\"starting\"}", GW_E_UNAVAILABLE, true,
         "the server answers 503: starting; tried "},
        {502, "", GW_E_UNAVAILABLE, true, "the server answers 502; tried "},
        {429, "", GW_E_UNAVAILABLE, true, "the server answers 429; tried "},
        {200, "{\"propertySources\":3}", GW_E_PROTOCOL, false,
         "the answer is not a configuration: its 'propertySources' is no array"},
        {200, "welcome to the proxy", GW_E_PROTOCOL, false,
         "the answer is not a configuration: it is not JSON (line 1, column 7)"},
        {200, "", GW_E_PROTOCOL, false, "the answer is not a configuration: it is empty"},
    };
    scripted_server *server = server_start();
    for (size_t i = 0; i < N_OF(cases); i++) {
        server_answer(server, cases[i].status, cases[i].body);
        gw_config_options options = options_for(server_url(server));
        gw_config *config = new_config(&options);
        size_t n_before = server_count(server);
        expect_load_error(config, cases[i].st, server_url(server), cases[i].says);
        bool again = server_count(server) > n_before + 1;
        if (again != cases[i].again) {
            fail_msg("%d: tried again: %d, expected %d", cases[i].status, again, cases[i].again);
        }
        gw_config_free(config);
    }
    server_stop(server);
}

static void answers_that_are_not_http(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    gw_error err = GW_ERROR_INIT;
    server_answer(server, 0, ""); /* closes without a word: may be starting, so it is tried again */
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    assert_true(server_count(server) > 1);
    server_answer(server, -1, "220 smtp.example ready\r\n");
    assert_int_not_equal(gw_config_load(config, &err), GW_OK);
    server_answer(server, -1, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"cut");
    assert_int_not_equal(gw_config_load(config, &err), GW_OK);
    server_answer(server, -1, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
    assert_int_not_equal(gw_config_load(config, &err), GW_OK);
    gw_config_free(config);
    server_stop(server);
}

/* The server's password is for the server alone. */
static void the_password_is_masked(void **state)
{
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "http://user:hunter2@%s", dead_url() + strlen("http://"));
    gw_config_options options = options_for(url);
    options.timeout_ms = 50;
    gw_config *config = new_config(&options);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_UNAVAILABLE);
    assert_null(strstr(err.text, "hunter2"));
    assert_non_null(strstr(err.text, "http://user:***@127.0.0.1"));
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text;
    assert_int_equal(gw_config_get_string(snap, "k", &text, &err), GW_E_NOT_FOUND);
    assert_null(strstr(err.text, "hunter2"));
    gw_config_release(snap);
    gw_config_free(config);
}

static void a_missing_key_names_the_server(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, "{\"propertySources\":[]}");
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_string(snap, "amqp_server_url", &text, &err), GW_E_NOT_FOUND);
    char want[512];
    snprintf(
        want, sizeof(want),
        "key 'amqp_server_url' is not set: there is no environment variable "
        "GODWIT_AMQP_SERVER_URL, and nothing of the name at %s/accountservice/test/main (which "
        "knows nothing of this service: is the name right?)",
        server_url(server));
    assert_string_equal(err.text, want);
    gw_config_release(snap);
    gw_config_free(config);
    server_stop(server);
}

/* ---- retries ---------------------------------------------------------------------- */

static void waits_for_a_server_that_starts(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_once(server, 0, "");
    server_answer_once(server, 503, "");
    server_answer(server, 200, document("\"k\":\"v\""));
    gw_config_options options = options_for(server_url(server));
    options.timeout_ms = 10000;
    gw_config *config = new_config(&options);
    must_load(config);
    assert_int_equal(server_count(server), 3);
    assert_true(value_is(config, "k", "v"));
    gw_config_free(config);
    server_stop(server);
}

static void *stop_config(void *arg)
{
    gw_config_stop(arg);
    return NULL;
}

static void stopping_ends_a_load(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 503, "");
    gw_config_options options = options_for(server_url(server));
    options.timeout_ms = 600000;
    gw_config *config = new_config(&options);
    pthread_t thread;
    server_close_gate(server);
    pthread_create(&thread, NULL, stop_config, config);
    server_open_gate(server);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_CLOSED);
    pthread_join(thread, NULL);
    assert_int_equal(gw_config_reload(config, &err), GW_E_CLOSED);
    gw_config_free(config);
    server_stop(server);
}

/* ---- reloading ---------------------------------------------------------------------- */

static void reload_tells_what_changed(void **state)
{
    (void)state;
    setenv("GODWIT_FIXED", "mine", 1);
    scripted_server *server = server_start();
    server_answer(server, 200,
                  document("\"same\":1,\"changed\":1,\"gone\":1,\"fixed\":1,\"shadowed\":1,"
                           "\"l[0]\":\"a\",\"l[1]\":\"b\",\"m[0]\":\"a\""));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    assert_int_equal(gw_config_set(config, "shadowed", "mine", "a flag", NULL), GW_OK);
    seen it = {.n = 0};
    pthread_mutex_init(&it.lock, NULL);
    assert_int_equal(gw_config_watch_add(config, note_keys, &it, NULL, NULL), GW_OK);
    const gw_config_snapshot *old = gw_config_acquire(config);

    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    assert_int_equal(it.n, 0); /* nothing changed, nobody is told */

    server_answer(server, 200,
                  document("\"same\":1,\"changed\":2,\"new\":1,\"fixed\":2,\"shadowed\":2,"
                           "\"l[0]\":\"a\",\"m[0]\":\"a\""));
    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    assert_int_equal(it.n, 1);
    assert_string_equal(it.text, "changed gone l new ");
    assert_true(value_is(config, "changed", "2"));
    assert_true(value_is(config, "fixed", "mine"));
    assert_true(value_is(config, "shadowed", "mine"));
    assert_false(value_is(config, "l[1]", "b"));
    const char *text = NULL;
    assert_int_equal(gw_config_get_string(old, "gone", &text, NULL), GW_OK); /* whole as it was */
    assert_string_equal(text, "1");
    gw_config_release(old);
    gw_config_free(config);
    server_stop(server);
    unsetenv("GODWIT_FIXED");
}

/* Whatever goes wrong, the old snapshot stays whole. */
static void a_failed_reload_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        {500, ""},
        {404, ""},
        {0, ""},
        {200, "{"},
        {200, "{\"propertySources\":[{\"source\":{\"k\":\"half\",\"bad\":[]}}]}"},
        {200, "{\"propertySources\":[{\"source\":{\"k\":\"half\"}},{\"source\":1}]}"},
    };
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"whole\",\"j\":\"too\""));
    gw_config_options options = options_for(server_url(server));
    options.try_timeout_ms = 300;
    gw_config *config = new_config(&options);
    must_load(config);
    seen it = {.n = 0};
    pthread_mutex_init(&it.lock, NULL);
    assert_int_equal(gw_config_watch_add(config, note_keys, &it, NULL, NULL), GW_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        server_answer(server, cases[i].status, cases[i].body);
        gw_error err = GW_ERROR_INIT;
        assert_int_not_equal(gw_config_reload(config, &err), GW_OK);
        assert_true(err.text[0] != '\0');
        assert_true(value_is(config, "k", "whole") && value_is(config, "j", "too"));
    }
    assert_int_equal(it.n, 0);
    gw_config_free(config);
    server_stop(server);
}

/* ---- events --------------------------------------------------------------------------- */

static const char *event_for(const char *destination)
{
    static char text[256];
    snprintf(text, sizeof(text),
             "{\"type\":\"RefreshRemoteApplicationEvent\",\"timestamp\":1,\"originService\":"
             "\"configserver:8888:y\",\"destinationService\":\"%s\",\"id\":\"1\"}",
             destination);
    return text;
}

static bool handle(gw_config *config, const char *body)
{
    bool taken = false;
    gw_error err = GW_ERROR_INIT;
    if (gw_config_handle_event(config, OWN_ID, body, strlen(body), &taken, NULL, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return taken;
}

/* The events of one push, "accountservice-test", "accountservice", "*", are one reload. */
static void a_burst_of_events_is_one_reload(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    server_answer(server, 200, document("\"k\":\"2\""));
    server_close_gate(server);
    assert_false(handle(config, event_for("vipservice:**")));
    assert_false(handle(config, event_for("accountservice-test:**")));
    assert_true(handle(config, event_for("accountservice:**")));
    assert_true(handle(config, event_for("*:**")));
    assert_true(handle(config, event_for("**")));
    assert_true(server_wait(server, 2));
    server_open_gate(server);
    wait_value(config, "k", "2");
    assert_int_equal(server_count(server), 2); /* the load, and one reload */

    server_answer(server, 200, document("\"k\":\"3\"")); /* and again after that */
    assert_true(handle(config, event_for("accountservice")));
    wait_value(config, "k", "3");
    assert_int_equal(server_count(server), 3);

    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_handle_event(config, OWN_ID, "no", 2, NULL, NULL, &err),
                     GW_E_INVALID);
    gw_config_free(config);
    server_stop(server);
}

/* Events without end do not put the reload off without end. */
static void a_stream_of_events_is_served(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = options_for(server_url(server));
    options.refresh_quiet_ms = 60000;
    options.refresh_max_ms = 50;
    gw_config *config = new_config(&options);
    must_load(config);
    server_answer(server, 200, document("\"k\":\"2\""));
    uint64_t until = gw_clock_ms() + 10000;
    while (!value_is(config, "k", "2") && gw_clock_ms() < until) {
        (void)handle(config, event_for("**"));
        pause_ms(1);
    }
    assert_true(value_is(config, "k", "2"));
    gw_config_free(config);
    server_stop(server);
}

/* The server is away when the event comes: tried again until it is back. */
static void a_reload_is_tried_again(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    seen it = {.n = 0};
    pthread_mutex_init(&it.lock, NULL);
    assert_int_equal(gw_config_watch_add(config, note_keys, &it, NULL, NULL), GW_OK);
    server_answer_once(server, 503, "");
    server_answer(server, 200, document("\"k\":\"2\""));
    gw_config_request_reload(config);
    wait_value(config, "k", "2");
    for (uint64_t until = gw_clock_ms() + 10000; count_of(&it) == 0; pause_ms(1)) {
        assert_true(gw_clock_ms() < until);
    }
    assert_string_equal(it.text, "k ");
    gw_config_free(config);
    server_stop(server);
}

/* ---- threads --------------------------------------------------------------------------- */

typedef struct reader {
    gw_config *config;
    atomic_bool stop;
    atomic_uint n_torn;
    atomic_uint n_reads;
} reader;

/* Both keys always have the same value: half a snapshot would show. */
static void *read_often(void *arg)
{
    reader *it = arg;
    while (!atomic_load(&it->stop)) {
        const gw_config_snapshot *snap = gw_config_acquire(it->config);
        int64_t a = -1;
        int64_t b = -2;
        gw_status st = gw_config_get_int(snap, "a", 0, 1000, &a, NULL);
        st = st == GW_OK ? gw_config_get_int(snap, "b", 0, 1000, &b, NULL) : st;
        if (st != GW_OK || a != b) {
            atomic_fetch_add(&it->n_torn, 1);
        }
        atomic_fetch_add(&it->n_reads, 1);
        gw_config_release(snap);
    }
    return NULL;
}

static void readers_never_see_half(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"a\":0,\"b\":0"));
    gw_config_options options = options_for(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    reader it = {.config = config};
    pthread_t threads[3];
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_create(&threads[i], NULL, read_often, &it);
    }
    for (int i = 1; i <= 50; i++) {
        char properties[64];
        snprintf(properties, sizeof(properties), "\"a\":%d,\"b\":%d", i, i);
        server_answer(server, 200, document(properties));
        assert_int_equal(gw_config_reload(config, NULL), GW_OK);
        assert_int_equal(gw_config_set(config, "other", i % 2 == 0 ? "x" : NULL, "a test", NULL),
                         GW_OK);
    }
    while (atomic_load(&it.n_reads) < 100) {
        pause_ms(1);
    }
    atomic_store(&it.stop, true);
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(it.n_torn, 0);
    gw_config_free(config);
    server_stop(server);
}

/* Freed while a reload is on its way. */
static void freeing_waits_for_a_reload(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = options_for(server_url(server));
    options.refresh_quiet_ms = 0;
    for (int i = 0; i < 10; i++) {
        gw_config *config = new_config(&options);
        must_load(config);
        size_t n = server_count(server);
        gw_config_request_reload(config);
        if (i % 2 == 0) {
            assert_true(server_wait(server, n + 1));
        }
        gw_config_free(config);
    }
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_what_it_asks_for),
        cmocka_unit_test(paths),
        cmocka_unit_test(options_that_are_refused),
        cmocka_unit_test(without_a_server),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(answers_that_are_failures),
        cmocka_unit_test(answers_that_are_not_http),
        cmocka_unit_test(the_password_is_masked),
        cmocka_unit_test(a_missing_key_names_the_server),
        cmocka_unit_test(waits_for_a_server_that_starts),
        cmocka_unit_test(stopping_ends_a_load),
        cmocka_unit_test(reload_tells_what_changed),
        cmocka_unit_test(a_failed_reload_changes_nothing),
        cmocka_unit_test(a_burst_of_events_is_one_reload),
        cmocka_unit_test(a_stream_of_events_is_served),
        cmocka_unit_test(a_reload_is_tried_again),
        cmocka_unit_test(readers_never_see_half),
        cmocka_unit_test(freeing_waits_for_a_reload),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
