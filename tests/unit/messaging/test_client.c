/* SPDX-License-Identifier: MIT */
/* What the contract suite does not ask of a client: closing while others use it, and options. */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
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
#include <godwit/log.h>
#include <godwit/messaging.h>
#include <godwit/testing.h>

#include "unit/config/scripted_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define BROKER  "memory:client"
#define WAIT_MS 20000

static gw_client *new_client(const char *url, const gw_client_options *options)
{
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(url, options, &client, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return client;
}

static void send_text(gw_client *client, const char *queue, const char *text)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    assert_non_null(msg);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        size_t max_messages;
        size_t max_bytes;
        unsigned heartbeat_s;
        int queue_type;
        gw_status expected;
    } cases[] = {
        {1, 1, 0, GW_QUEUE_CLASSIC, GW_OK},
        {1, 1, 600, GW_QUEUE_QUORUM, GW_OK},
        {0, 0, 10, GW_QUEUE_CLASSIC, GW_OK}, /* the defaults */
        {1, 1, 601, GW_QUEUE_CLASSIC, GW_E_INVALID},
        {1, 1, UINT_MAX, GW_QUEUE_CLASSIC, GW_E_INVALID},
        {1, 1, 10, 2, GW_E_INVALID},
        {1, 1, 10, -1, GW_E_INVALID},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_client_options options = GW_CLIENT_OPTIONS_INIT;
        options.outbox_max_messages = cases[i].max_messages;
        options.outbox_max_bytes = cases[i].max_bytes;
        options.heartbeat_s = cases[i].heartbeat_s;
        options.queue_type = (gw_queue_type)cases[i].queue_type;
        gw_client *client = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_connect(BROKER, &options, &client, &err);
        if (st != cases[i].expected) {
            fail_msg("case %zu: got %s '%s', expected %s", i, gw_status_name(st), err.text,
                     gw_status_name(cases[i].expected));
        }
        assert_int_equal(client != NULL, st == GW_OK);
        assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
    }
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        gw_status expected;
        const char *text;
    } cases[] = {
        {NULL, GW_E_INVALID, "no broker URL given"},
        {"", GW_E_INVALID, "no broker URL given"},
        {"amqps://u:secret@h/", GW_E_UNSUPPORTED, "amqps:// (TLS) is not supported yet"},
        {"bus:", GW_E_INVALID, "it needs the path of a directory"},
        {"bus:x?speed=9", GW_E_INVALID, "unknown option 'speed'"},
        {"kafka://u:secret@h/", GW_E_UNSUPPORTED, "'kafka://u:***@h/' has no scheme that is known"},
        {"amqpx://h", GW_E_UNSUPPORTED, "has no scheme that is known"},
        {"memory", GW_E_UNSUPPORTED, "has no scheme that is known"},
        {"u:secret@h", GW_E_UNSUPPORTED, "has no scheme that is known"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_client *client = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_connect(cases[i].url, NULL, &client, &err);
        if (st != cases[i].expected || strstr(err.text, cases[i].text) == NULL ||
            strstr(err.text, "secret") != NULL) {
            fail_msg("case %zu: got %s '%s', expected %s '%s'", i, gw_status_name(st), err.text,
                     gw_status_name(cases[i].expected), cases[i].text);
        }
        assert_null(client);
    }
}

/* ---- closing ------------------------------------------------------------------------ */

typedef struct waiter {
    gw_client *client;
    gw_status status;
    gw_error err;
    atomic_bool waits;
} waiter;

static void *waiter_main(void *ctx)
{
    waiter *self = ctx;
    atomic_store(&self->waits, true);
    self->status = gw_wait_up(self->client, WAIT_MS, &self->err);
    return NULL;
}

/* gw_close() waits for those who wait for it to come up. */
static void test_close_while_others_wait(void **state)
{
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "amqp://%s", dead_url() + strlen("http://"));
    waiter waiters[3];
    pthread_t threads[N_OF(waiters)];
    gw_client *client = new_client(url, NULL);
    for (size_t i = 0; i < N_OF(waiters); i++) {
        memset(&waiters[i], 0, sizeof(waiters[i]));
        waiters[i].client = client;
        assert_int_equal(pthread_create(&threads[i], NULL, waiter_main, &waiters[i]), 0);
    }
    for (size_t i = 0; i < N_OF(waiters); i++) {
        while (!atomic_load(&waiters[i].waits)) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* now they are inside, very likely */
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
    for (size_t i = 0; i < N_OF(waiters); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiters[i].status, GW_E_CLOSED);
        assert_string_equal(waiters[i].err.text, "the client is closed");
    }
}

typedef struct late {
    gw_client *client;
    gw_status subscribed;
    gw_status published;
    atomic_bool runs;
} late;

static gw_verdict ignore(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)msg;
    (void)why;
    return GW_DONE;
}

/* Waits until the client is being closed, then uses it: publishing goes on, subscribing does not.
 */
static gw_verdict on_message(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)msg;
    (void)why;
    late *self = ctx;
    atomic_store(&self->runs, true);
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        self->subscribed =
            gw_subscribe_to_queue(self->client, "late", NULL, ignore, NULL, NULL, NULL);
    } while (self->subscribed == GW_OK && gw_clock_ms() < deadline_ms);
    gw_message *answer = gw_message_new("answer", 6);
    self->published = gw_publish_on_queue(self->client, "answers", answer, NULL);
    gw_message_free(answer);
    return GW_DONE;
}

static void test_close_while_a_handler_subscribes(void **state)
{
    (void)state;
    gw_client *observer = new_client(BROKER, NULL);
    late self = {.client = new_client(BROKER, NULL)};
    assert_int_equal(gw_subscribe_to_queue(self.client, "q", NULL, on_message, &self, NULL, NULL),
                     GW_OK);
    send_text(self.client, "q", "go");
    while (!atomic_load(&self.runs)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(gw_close(self.client, WAIT_MS, NULL), GW_OK);
    assert_int_equal(self.subscribed, GW_E_CLOSED);
    assert_int_equal(self.published, GW_OK);
    gw_message *msg = NULL;
    assert_int_equal(gw_testing_take(BROKER, "answers", WAIT_MS, &msg, NULL), GW_OK);
    gw_message_free(msg);
    assert_int_equal(gw_testing_wait_handled(BROKER, "q", WAIT_MS, NULL), GW_OK); /* acknowledged */
    assert_int_equal(gw_close(observer, 1000, NULL), GW_OK);
}

typedef struct unsubscriber {
    gw_subscription *_Atomic sub;
    atomic_uint n_calls;
} unsubscriber;

static gw_verdict unsubscribe_itself(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)msg;
    (void)why;
    unsubscriber *self = ctx;
    gw_subscription *sub;
    while ((sub = atomic_load(&self->sub)) == NULL) {
        sched_yield();
    }
    gw_unsubscribe(sub);
    atomic_fetch_add(&self->n_calls, 1);
    return GW_DONE;
}

/* A mistake that must not free what is in use: the subscription goes on. */
static void test_unsubscribe_in_its_own_handler(void **state)
{
    (void)state;
    gw_client *client = new_client(BROKER, NULL);
    unsubscriber self = {.sub = NULL};
    gw_subscription *sub = NULL;
    assert_int_equal(
        gw_subscribe_to_queue(client, "own", NULL, unsubscribe_itself, &self, &sub, NULL), GW_OK);
    atomic_store(&self.sub, sub);
    for (unsigned i = 1; i <= 2; i++) {
        send_text(client, "own", "go");
        assert_int_equal(gw_flush(client, WAIT_MS, NULL), GW_OK);
        assert_int_equal(gw_testing_wait_handled(BROKER, "own", WAIT_MS, NULL), GW_OK);
        assert_int_equal(atomic_load(&self.n_calls), i);
    }
    gw_unsubscribe(sub);
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
}

static void test_null(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_close(NULL, 0, &err), GW_OK);
    gw_unsubscribe(NULL);
    assert_int_equal(gw_flush(NULL, 0, &err), GW_E_INVALID);
    gw_client *client = new_client(BROKER, NULL);
    assert_int_equal(gw_publish(client, "x", GW_EXCHANGE_TOPIC, NULL, &err), GW_E_INVALID);
    assert_int_equal(gw_publish_on_queue(client, "x", NULL, &err), GW_E_INVALID);
    assert_int_equal(gw_subscribe_to_queue(client, NULL, NULL, ignore, NULL, NULL, &err),
                     GW_E_INVALID);
    assert_int_equal(gw_subscribe(client, NULL, GW_EXCHANGE_TOPIC, NULL, ignore, NULL, NULL, &err),
                     GW_E_INVALID);
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_close_while_others_wait),
        cmocka_unit_test(test_close_while_a_handler_subscribes),
        cmocka_unit_test(test_unsubscribe_in_its_own_handler),
        cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
