/* SPDX-License-Identifier: MIT */
/* godwit/testing.h as a service's unit test uses it: real clients on a broker in memory, which also
 * loses connections on demand. */
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

#include <godwit/log.h>
#include <godwit/messaging.h>
#include <godwit/testing.h>

#define WAIT_MS    20000
#define N_MESSAGES 2000

static gw_client *connect_to(const char *url, const gw_client_options *options)
{
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(url, options, &client, &err) != GW_OK ||
        gw_wait_up(client, WAIT_MS, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return client;
}

static void publish_number(gw_client *client, const char *queue, int number)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%d", number);
    gw_message *msg = gw_message_new(text, (size_t)len);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
}

typedef struct tally {
    atomic_int counts[N_MESSAGES];
    atomic_int n_redelivered;
} tally;

static gw_verdict count(void *ctx, const gw_message *msg, gw_error *why)
{
    tally *seen = ctx;
    (void)why;
    int number = atoi(gw_message_body(msg, NULL));
    atomic_fetch_add(&seen->counts[number], 1);
    if (gw_message_is_redelivered(msg)) {
        atomic_fetch_add(&seen->n_redelivered, 1);
    }
    return GW_DONE;
}

/* What a service publishes can be taken and looked at. */
static void take_what_was_published(void **state)
{
    (void)state;
    const char *url = "memory:take";
    gw_client *client = connect_to(url, NULL);
    publish_number(client, "q", 1);
    publish_number(client, "q", 2);
    size_t len = 0;
    assert_int_equal(gw_testing_queue_len(url, "q", &len, NULL), GW_OK);
    assert_int_equal(len, 2);
    gw_message *msg = NULL;
    assert_int_equal(gw_testing_take(url, "q", WAIT_MS, &msg, NULL), GW_OK);
    assert_string_equal(gw_message_body(msg, NULL), "1");
    assert_string_equal(gw_message_queue(msg), "q");
    assert_non_null(gw_message_id(msg));
    gw_message_free(msg);
    assert_int_equal(gw_testing_queue_len(url, "q", &len, NULL), GW_OK);
    assert_int_equal(len, 1);
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
}

/* Connections that are lost again and again lose no message: each is handled, some of them twice.
 */
static void lost_connections_lose_nothing(void **state)
{
    (void)state;
    static const struct {
        uint16_t prefetch;
        unsigned n_workers;
    } cases[] = {{100, 1}, {1, 1}, {16, 4}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const char *url = "memory:lossy";
        static tally seen;
        memset(&seen, 0, sizeof(seen));
        gw_client *client = connect_to(url, NULL);
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.prefetch = cases[c].prefetch;
        options.n_workers = cases[c].n_workers;
        assert_int_equal(gw_subscribe_to_queue(client, "q", &options, count, &seen, NULL, NULL),
                         GW_OK);
        for (int i = 0; i < N_MESSAGES; i++) {
            publish_number(client, "q", i);
            if (i % 50 == 0) {
                assert_int_equal(gw_testing_disconnect(url, NULL), GW_OK);
            }
        }
        gw_error err = GW_ERROR_INIT;
        if (gw_testing_wait_handled(url, "q", WAIT_MS, &err) != GW_OK) {
            fail_msg("%s", err.text);
        }
        for (int i = 0; i < N_MESSAGES; i++) {
            if (atomic_load(&seen.counts[i]) == 0) {
                fail_msg("message %d was not handled", i);
            }
        }
        assert_int_equal(gw_wait_up(client, WAIT_MS, NULL), GW_OK);
        assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
    }
}

typedef struct states {
    atomic_int n_down;
    atomic_int n_up;
} states;

static void on_state(void *ctx, gw_client_state client_state, const char *reason)
{
    states *seen = ctx;
    if (client_state == GW_CLIENT_CONNECTING && strstr(reason, "closed the connection") != NULL) {
        atomic_fetch_add(&seen->n_down, 1);
    }
    if (client_state == GW_CLIENT_UP) {
        atomic_fetch_add(&seen->n_up, 1);
    }
}

/* A service's own reaction to a lost connection can be tested. */
static void a_lost_connection_is_told(void **state)
{
    (void)state;
    const char *url = "memory:told";
    states seen = {0};
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.on_state = on_state;
    options.ctx = &seen;
    gw_client *client = connect_to(url, &options);
    assert_int_equal(gw_testing_disconnect(url, NULL), GW_OK);
    publish_number(client, "q", 1); /* works all the same */
    struct timespec pause = {.tv_sec = 0, .tv_nsec = 1000000};
    for (int i = 0; i < WAIT_MS && atomic_load(&seen.n_up) < 2; i++) {
        nanosleep(&pause, NULL);
    }
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
    assert_int_equal(atomic_load(&seen.n_down), 1);
    assert_int_equal(atomic_load(&seen.n_up), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_what_was_published),
        cmocka_unit_test(lost_connections_lose_nothing),
        cmocka_unit_test(a_lost_connection_is_told),
    };
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
