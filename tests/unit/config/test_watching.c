/* SPDX-License-Identifier: MIT */
/* Changes that are found without events. */
#include <pthread.h>
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

#include "config/fetcher.h"
#include "config/pauses.h"
#include "unit/config/client.h"
#include "unit/config/scripted_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_config_options watching(const scripted_server *server)
{
    gw_config_options options = options_for(server_url(server));
    options.timeout_ms = 10000;
    options.watch = GW_CONFIG_WATCH_ALWAYS;
    options.watch_interval_ms = 10;
    return options;
}

/* The server says that it can wait; then it is asked to, and tells of a change at once. */
static void a_long_poll(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_set_headers(server, "X-Godwit-Wait: 60\r\n");
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"v 1\"");
    gw_config_options options = watching(server);
    options.watch_interval_ms = 600000; /* not by polling */
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(server_wait(server, 2)); /* it waits there now */
    server_answer_tagged(server, 200, document("\"k\":\"2\""), "\"v2\"");
    wait_value(config, "k", "2");
    assert_int_equal(server_count_of(server, "?wait=30s&etag=%22v%201%22 HTTP/1.1\r\n"), 1);
    assert_int_equal(server_count_of(server, "\r\nIf-None-Match: \"v 1\"\r\n"), 1);
    gw_config_free(config); /* does not wait for the next one's end */
    server_stop(server);
}

/* The server's limit is kept. */
static void a_shorter_wait(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_set_headers(server, "X-Godwit-Wait: 7\r\n");
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(server_wait(server, 2));
    assert_int_equal(server_count_of(server, "?wait=7s&etag=%221%22 HTTP/1.1\r\n"), 1);
    gw_config_free(config);
    server_stop(server);
}

/* A server with ETags that cannot wait is asked again and again whether it has another. */
static void polling_with_etags(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(server_wait(server, 5));
    assert_true(server_count_of(server, "\r\nIf-None-Match: \"1\"\r\n") >= 4);
    server_answer_tagged(server, 200, document("\"k\":\"2\""), "\"2\"");
    wait_value(config, "k", "2");
    assert_int_equal(server_count_of(server, "?wait="), 0);
    gw_config_free(config);
    server_stop(server);
}

/* One without, such as Spring's, gives the whole each time: only what differs is a change. */
static void plain_polling(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    seen it = {.n = 0};
    pthread_mutex_init(&it.lock, NULL);
    assert_int_equal(gw_config_watch_add(config, note_keys, &it, NULL, NULL), GW_OK);
    assert_true(server_wait(server, 5));
    assert_int_equal(count_of(&it), 0);
    server_answer(server, 200, document("\"k\":\"2\""));
    wait_value(config, "k", "2");
    assert_int_equal(server_count_of(server, "If-None-Match"), 0);
    gw_config_free(config);
    assert_string_equal(it.text, "k ");
    server_stop(server);
}

/* Away, nonsense, refusals: tried again, and the old one stays meanwhile. */
static void failures_pass(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    server_answer(server, 404, "");
    server_answer_once(server, 500, "");
    server_answer_once(server, 0, "");
    server_answer_once(server, 200, "{");
    server_answer_once(server, 304, ""); /* which nobody asked for */
    assert_true(server_wait(server, 8));
    assert_true(value_is(config, "k", "1"));
    server_answer(server, 200, document("\"k\":\"2\""));
    wait_value(config, "k", "2");
    gw_config_free(config);
    server_stop(server);
}

/* A server that was to wait and answers at once, for ever, is asked ever more rarely. */
static void a_server_that_does_not_wait(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_set_headers(server, "X-Godwit-Wait: 60\r\nETag: \"same\"\r\n");
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = watching(server);
    options.watch_interval_ms = 100000;
    gw_config *config = new_config(&options);
    uint64_t start_ms = gw_clock_ms();
    must_load(config);
    assert_true(server_wait(server, 3)); /* the load, a look at once, one a second later */
    assert_true(gw_clock_ms() - start_ms >= 700);
    gw_config_free(config);
    server_stop(server);
}

/* An ETag that cannot be sent back is none. */
static void an_etag_that_is_no_text(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_set_headers(server, "X-Godwit-Wait: 60\r\nETag: \"a\x01z\"\r\n");
    server_answer(server, 200, document("\"k\":\"1\""));
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    server_answer(server, 200, document("\"k\":\"2\""));
    wait_value(config, "k", "2");
    gw_config_free(config);
    server_stop(server);
}

/* The time that a server was to wait is not taken from the next one: when the first hangs, the
 * other has as long. */
static void a_server_that_hangs_while_it_waits(void **state)
{
    (void)state;
    scripted_server *first = server_start();
    scripted_server *second = server_start();
    server_close_gate(first);
    server_close_gate(second);
    char urls[256];
    snprintf(urls, sizeof(urls), "%s,%s", server_url(first), server_url(second));
    gw_config_options options = options_for(urls);
    options.try_timeout_ms = 300;
    gw__fetcher fetcher;
    assert_int_equal(gw__fetcher_init(&fetcher, &options, NULL), GW_OK);
    gw__known known = {.etag = "\"1\"", .wait_s = 1};
    gw__answer answer = {.unchanged = false};
    bool again = false;
    uint64_t start_ms = gw_clock_ms();
    assert_int_equal(gw__fetcher_poll(&fetcher, &known, 1, &answer, &again, NULL), GW_E_TIMEOUT);
    assert_true(gw_clock_ms() - start_ms >= 2 * (1000 + 300));
    assert_int_equal(server_count(second), 1);
    gw__fetcher_dispose(&fetcher);
    server_stop(second);
    server_stop(first);
}

static void pauses_grow(void **state)
{
    (void)state;
    gw__pauses pauses = {.first_ms = 1000, .max_ms = 30000, .factor = 2, .jitter_percent = 0};
    static const unsigned want[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (size_t i = 0; i < N_OF(want); i++) {
        assert_int_equal(gw__pauses_next(&pauses), want[i]);
    }
    gw__pauses_reset(&pauses);
    assert_int_equal(gw__pauses_next(&pauses), 1000);
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        unsigned ms = gw__shorten(1000, 20);
        assert_in_range(ms, 800, 1000);
        differs |= ms != gw__shorten(1000, 20);
    }
    assert_true(differs);
    gw__pauses shortened = {.first_ms = 1000, .max_ms = 1000, .factor = 1, .jitter_percent = 20};
    unsigned least_ms = 1000;
    for (int i = 0; i < 1000; i++) {
        unsigned ms = gw__pauses_next(&shortened);
        assert_in_range(ms, 800, 1000);
        least_ms = ms < least_ms ? ms : least_ms;
    }
    assert_true(least_ms < 1000);
    assert_int_equal(gw__shorten(1000, 0), 1000);
    assert_in_range(gw__shorten(1000, 100), 0, 1000);
}

/* ---- with a bus -------------------------------------------------------------------- */

/* While the bus works nobody looks; when it has been away for long they do; and when it is back,
 * what was missed is loaded. */
static void the_bus_comes_first(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    options.watch = GW_CONFIG_WATCH_AUTO;
    options.watch_bus_away_ms = 50;
    gw_config *config = new_config(&options);
    gw_config_note_bus(config, true);
    must_load(config);
    pause_ms(100); /* nothing can be waited for that does not happen */
    assert_int_equal(server_count(server), 1);

    gw_config_note_bus(config, false);
    server_answer_tagged(server, 200, document("\"k\":\"2\""), "\"2\"");
    wait_value(config, "k", "2");

    gw_config_note_bus(config, true);
    size_t n = server_count_of(server, "GET ") - server_count_of(server, "If-None-Match");
    for (uint64_t until = gw_clock_ms() + 10000;
         server_count_of(server, "GET ") - server_count_of(server, "If-None-Match") <= n;
         pause_ms(1)) {
        assert_true(gw_clock_ms() < until); /* one load that is no look */
    }
    gw_config_free(config);
    server_stop(server);
}

/* A change between the load and the subscription to events has told nobody. */
static void a_change_before_the_bus_is_there(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    options.watch = GW_CONFIG_WATCH_AUTO;
    options.watch_bus_away_ms = 600000;
    gw_config *config = new_config(&options);
    gw_config_note_bus(config, false);
    must_load(config);
    server_answer_tagged(server, 200, document("\"k\":\"2\""), "\"2\"");
    gw_config_note_bus(config, true);
    wait_value(config, "k", "2");
    gw_config_free(config);
    server_stop(server);
}

static void without_a_bus_auto_watches(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    options.watch = GW_CONFIG_WATCH_AUTO;
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(server_wait(server, 3));
    gw_config_free(config);
    server_stop(server);
}

static void always_means_beside_the_bus(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    gw_config_note_bus(config, true);
    must_load(config);
    assert_true(server_wait(server, 3));
    gw_config_free(config);
    server_stop(server);
}

/* ---- beside other loads ---------------------------------------------------------------- */

/* A reload while the watch waits at the server: neither holds up the other, the newer one stays. */
static void a_reload_beside_the_watch(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_set_headers(server, "X-Godwit-Wait: 60\r\n");
    server_answer_tagged(server, 200, document("\"k\":\"1\""), "\"1\"");
    gw_config_options options = watching(server);
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(server_wait(server, 2));
    assert_int_equal(gw_config_reload(config, NULL), GW_OK);
    for (int i = 2; i < 12; i++) {
        char properties[32];
        char etag[16];
        char value[16];
        snprintf(properties, sizeof(properties), "\"k\":\"%d\"", i);
        snprintf(etag, sizeof(etag), "\"%d\"", i);
        snprintf(value, sizeof(value), "%d", i);
        server_answer_tagged(server, 200, document(properties), etag);
        assert_int_equal(gw_config_reload(config, NULL), GW_OK);
        assert_true(value_is(config, "k", value));
    }
    gw_config_free(config);
    server_stop(server);
}

static void *stop_config(void *arg)
{
    gw_config_stop(arg);
    return NULL;
}

/* A load at a server that says nothing ends when it is told to, not when its time is up. */
static void stopping_cuts_a_call_short(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_close_gate(server);
    gw_config_options options = options_for(server_url(server));
    options.timeout_ms = options.try_timeout_ms = 600000;
    gw_config *config = new_config(&options);
    pthread_t thread;
    pthread_create(&thread, NULL, stop_config, config);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_load(config, &err), GW_E_CLOSED);
    pthread_join(thread, NULL);
    gw_config_free(config);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_poll),
        cmocka_unit_test(a_shorter_wait),
        cmocka_unit_test(polling_with_etags),
        cmocka_unit_test(plain_polling),
        cmocka_unit_test(failures_pass),
        cmocka_unit_test(a_server_that_does_not_wait),
        cmocka_unit_test(an_etag_that_is_no_text),
        cmocka_unit_test(a_server_that_hangs_while_it_waits),
        cmocka_unit_test(pauses_grow),
        cmocka_unit_test(the_bus_comes_first),
        cmocka_unit_test(a_change_before_the_bus_is_there),
        cmocka_unit_test(without_a_bus_auto_watches),
        cmocka_unit_test(always_means_beside_the_bus),
        cmocka_unit_test(a_reload_beside_the_watch),
        cmocka_unit_test(stopping_cuts_a_call_short),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
