/* SPDX-License-Identifier: MIT */
/*
 * Every metric of messaging counts: a client and the broker of a script do once what each of them
 * is about, and what GET /metrics would say is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/messaging.h>
#include <godwit/metrics.h>

#include "support/fake_broker.h"

#define WAIT_MS 15000

/* The value of a series, as it is written; -1 when there is none. */
static double value_of(const char *series)
{
    gw_buf text;
    gw_buf_init(&text, (size_t)4 << 20);
    gw_metrics_write(&text);
    char line[256];
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *found = text.data != NULL ? strstr(text.data, line) : NULL;
    double value = found != NULL ? strtod(found + strlen(line), NULL) : -1;
    gw_buf_dispose(&text);
    return value;
}

static void expect(const char *series, double value)
{
    uint64_t until_ms = gw_clock_ms() + WAIT_MS;
    double found;
    while ((found = value_of(series)) != value && gw_clock_ms() < until_ms) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (found != value) {
        fail_msg("%s is %g instead of %g", series, found, value);
    }
}

typedef struct fixture {
    fake_broker *broker;
    fake_conn *publish;
    fake_conn *consume;
    gw_client *client;
    uint16_t channel;
    char tag[256];
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    fix->broker = fake_broker_new();
    assert_int_equal(gw_connect(fake_broker_url(fix->broker), NULL, &fix->client, NULL), GW_OK);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    (void)gw_close(fix->client, 200, NULL);
    fake_hang_up(fix->publish);
    fake_hang_up(fix->consume);
    fake_broker_free(fix->broker);
    free(fix);
    return 0;
}

static void publish(fixture *fix, const char *id, bool mandatory)
{
    gw_message *msg = gw_message_new("body", 4);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    gw_message_set_mandatory(msg, mandatory);
    assert_int_equal(gw_publish(fix->client, "x", GW_EXCHANGE_TOPIC, msg, NULL), GW_OK);
    gw_message_free(msg);
}

static void connect_publisher(fixture *fix)
{
    fix->publish = fake_accept_open(fix->broker);
    fix->channel = fake_serve_confirm_channel(fix->publish);
}

static void test_publishing(void **state)
{
    fixture *fix = *state;
    expect("godwit_broker_up", 0);
    expect("godwit_broker_state{state=\"connecting\"}", 1);
    connect_publisher(fix);
    expect("godwit_broker_up", 1);
    expect("godwit_broker_state{state=\"connecting\"}", 0);
    expect("godwit_broker_state{state=\"up\"}", 1);

    publish(fix, "one", false);
    fake_serve_declarations(fix->publish, NULL);
    fake_expect_publish(fix->publish);
    expect("godwit_messages_accepted_total", 1);
    expect("godwit_outbox_messages", 1);
    expect("godwit_amqp_published_total", 1);
    expect("godwit_amqp_unconfirmed", 1);
    fake_ack(fix->publish, fix->channel, 1, false);
    expect("godwit_messages_confirmed_total", 1);
    expect("godwit_amqp_confirmed_total", 1);
    expect("godwit_amqp_confirm_seconds_count", 1);
    expect("godwit_outbox_messages", 0);
    expect("godwit_amqp_unconfirmed", 0);

    publish(fix, "two", true);
    fake_expect_publish(fix->publish);
    fake_return(fix->publish, fix->channel, "x", "x", "two");
    fake_ack(fix->publish, fix->channel, 2, false);
    expect("godwit_amqp_returned_total", 1);
    expect("godwit_messages_failed_total", 1);

    publish(fix, "three", false);
    fake_expect_publish(fix->publish);
    fake_nack(fix->publish, fix->channel, 3, false);
    expect("godwit_amqp_nacked_total", 1);
    fake_expect_publish(fix->publish); /* again, after a while */
    fake_ack(fix->publish, fix->channel, 4, false);
    expect("godwit_outbox_messages", 0);

    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    fake_send_method(fix->publish, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    expect("godwit_broker_state{state=\"blocked\"}", 1);
    expect("godwit_broker_up", 0);
    amqp_connection_unblocked_t unblocked = {0};
    fake_send_method(fix->publish, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &unblocked);
    expect("godwit_broker_state{state=\"up\"}", 1);

    publish(fix, "four", false);
    fake_expect_publish(fix->publish);
    fake_reset(fix->publish);
    connect_publisher(fix);
    expect("godwit_amqp_reconnects_total", 1);
    fake_serve_declarations(fix->publish, NULL);
    fake_expect_publish(fix->publish);
    expect("godwit_messages_resent_total", 1);
    expect("godwit_amqp_published_total", 6);
    fake_ack(fix->publish, fix->channel, 1, false);
    expect("godwit_messages_confirmed_total", 3);
}

static gw_verdict handle(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    gw_error_set(why, GW_E_INVALID, 0, "it says so");
    switch (*(const char *)gw_message_body(msg, NULL)) {
    case 'R': return GW_REJECT;
    case 'T': return GW_RETRY;
    default: return GW_DONE;
    }
}

static void deliver(fixture *fix, uint64_t tag, const char *body, bool redelivered)
{
    amqp_basic_deliver_t method = {.consumer_tag = amqp_cstring_bytes(fix->tag),
                                   .delivery_tag = tag,
                                   .redelivered = redelivered};
    amqp_basic_properties_t properties = {._flags = 0};
    fake_send_method(fix->consume, fix->channel, AMQP_BASIC_DELIVER_METHOD, &method);
    fake_send_header(fix->consume, fix->channel, &properties, strlen(body));
    fake_send_frame(fix->consume, AMQP_FRAME_BODY, fix->channel, body, strlen(body));
}

static void test_consuming(void **state)
{
    fixture *fix = *state;
    fix->publish = fake_accept_open(fix->broker);
    fake_serve_confirm_channel(fix->publish);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.max_attempts = 1;
    options.prefetch = 7;
    gw_subscription *sub = NULL;
    assert_int_equal(gw_subscribe_to_queue(fix->client, "m", &options, handle, NULL, &sub, NULL),
                     GW_OK);
    expect("godwit_subscriptions{queue=\"m\",state=\"waiting\"}", 1);
    expect("godwit_subscriptions{queue=\"m\",state=\"consuming\"}", 0);
    fix->consume = fake_accept_open(fix->broker);

    uint16_t channel = fake_serve_channel(fix->consume);
    fake_expect(fix->consume, AMQP_QUEUE_DECLARE_METHOD, NULL);
    fake_close_channel(fix->consume, channel, 404, "NOT_FOUND - home node is down");
    fake_expect(fix->consume, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    expect("godwit_broker_state{state=\"degraded\"}", 1);
    fix->channel = fake_serve_consumer(fix->consume, fix->tag);
    expect("godwit_broker_state{state=\"up\"}", 1);
    expect("godwit_subscriptions{queue=\"m\",state=\"waiting\"}", 0);
    expect("godwit_subscriptions{queue=\"m\",state=\"consuming\"}", 1);
    expect("godwit_prefetch{queue=\"m\"}", 7);

    deliver(fix, 1, "done", true);
    expect("godwit_amqp_delivered_total", 1);
    expect("godwit_amqp_redelivered_total", 1);
    expect("godwit_messages_handled_total{queue=\"m\",verdict=\"done\"}", 1);
    expect("godwit_handler_seconds_count{queue=\"m\"}", 1);
    expect("godwit_amqp_acked_total", 1);
    expect("godwit_amqp_unsettled", 0);

    deliver(fix, 2, "R", false); /* its dead letter has no confirm yet: it stays unsettled */
    expect("godwit_messages_handled_total{queue=\"m\",verdict=\"reject\"}", 1);
    expect("godwit_amqp_unsettled", 1);
    fake_serve_declarations(fix->publish, NULL);
    fake_published letter = fake_expect_publish(fix->publish);
    fake_reset(fix->consume);
    fix->consume = NULL;
    expect("godwit_amqp_unsettled", 0);
    fake_ack(fix->publish, letter.channel, 1, false);
    expect("godwit_dead_letters_total{queue=\"m\"}", 1);
    expect("godwit_amqp_stale_settlements_total", 1);
    fix->consume = fake_accept_open(fix->broker);
    gw_unsubscribe(sub);
    expect("godwit_subscriptions{queue=\"m\",state=\"consuming\"}", 0);
    expect("godwit_subscriptions{queue=\"m\",state=\"waiting\"}", 0);
    expect("godwit_prefetch{queue=\"m\"}", 0);
}

/* Clients that are no more are in no state. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    static const char *const states[] = {"connecting", "up", "blocked", "degraded", "closed"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        char series[64];
        snprintf(series, sizeof(series), "godwit_broker_state{state=\"%s\"}", states[i]);
        expect(series, 0);
    }
    expect("godwit_amqp_unconfirmed", 0);
    expect("godwit_amqp_unsettled", 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_publishing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consuming, setup, teardown),
        cmocka_unit_test(test_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
