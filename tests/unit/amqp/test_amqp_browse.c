/* SPDX-License-Identifier: MIT */
/* A message that is moved: when its original is acknowledged, to the frame. The test is the broker,
 * gw_browse() runs on a thread of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/browse.h>
#include <godwit/log.h>

#include "support/fake_broker.h"

typedef struct fixture {
    fake_broker *broker;
    gw_client *client;
    fake_conn *publishing;
    fake_conn *consuming;
    uint16_t publish_channel;
    uint16_t consume_channel;
    char tag[256];
    pthread_t thread;
    unsigned timeout_ms;
    gw_status st;
    gw_error err;
    gw_browse_result result;
} fixture;

static gw_browse_verdict move_it(void *ctx, const gw_message *msg, gw_browse_move *move)
{
    (void)ctx;
    move->queue = "work";
    move->msg = gw_message_dup(msg);
    return GW_BROWSE_MOVE;
}

static void *browse(void *arg)
{
    fixture *fix = arg;
    gw_browse_options options = {.max_messages = 0, .timeout_ms = fix->timeout_ms};
    fix->st = gw_browse(fix->client, "work.dead", &options, move_it, NULL, &fix->result, &fix->err);
    return NULL;
}

/* The queue is looked up, not declared, and has `n_waiting` messages. */
static void serve_lookup(fixture *fix, uint32_t n_waiting)
{
    uint16_t channel = fake_serve_channel(fix->consuming);
    amqp_queue_declare_t *declare = fake_expect(fix->consuming, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_true(declare->passive);
    amqp_queue_declare_ok_t ok = {.queue = declare->queue, .message_count = n_waiting};
    fake_send_method(fix->consuming, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    fake_expect(fix->consuming, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_channel_close_ok_t closed = {0};
    fake_send_method(fix->consuming, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
}

static void serve_consume(fixture *fix)
{
    fix->consume_channel = fake_serve_channel(fix->consuming);
    fake_expect(fix->consuming, AMQP_BASIC_QOS_METHOD, NULL);
    amqp_basic_qos_ok_t qos_ok = {0};
    fake_send_method(fix->consuming, fix->consume_channel, AMQP_BASIC_QOS_OK_METHOD, &qos_ok);
    amqp_basic_consume_t *consume = fake_expect(fix->consuming, AMQP_BASIC_CONSUME_METHOD, NULL);
    assert_false(consume->no_ack);
    snprintf(fix->tag, sizeof(fix->tag), "%.*s", (int)consume->consumer_tag.len,
             (char *)consume->consumer_tag.bytes);
    amqp_basic_consume_ok_t ok = {.consumer_tag = consume->consumer_tag};
    fake_send_method(fix->consuming, fix->consume_channel, AMQP_BASIC_CONSUME_OK_METHOD, &ok);
}

static void serve_cancel(fixture *fix)
{
    amqp_basic_cancel_t *cancel = fake_expect(fix->consuming, AMQP_BASIC_CANCEL_METHOD, NULL);
    amqp_basic_cancel_ok_t ok = {.consumer_tag = cancel->consumer_tag};
    fake_send_method(fix->consuming, fix->consume_channel, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
}

static void serve_release(fixture *fix)
{
    uint16_t channel;
    fake_expect(fix->consuming, AMQP_CHANNEL_CLOSE_METHOD, &channel);
    assert_int_equal(channel, fix->consume_channel);
    amqp_channel_close_ok_t ok = {0};
    fake_send_method(fix->consuming, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
}

/* One message was delivered, and its copy has arrived. */
static void serve_up_to_the_copy(fixture *fix, unsigned timeout_ms)
{
    fix->timeout_ms = timeout_ms;
    assert_int_equal(pthread_create(&fix->thread, NULL, browse, fix), 0);
    fix->consuming = fake_accept_open(fix->broker);
    serve_lookup(fix, 1);
    serve_consume(fix);
    fake_deliver(fix->consuming, fix->consume_channel, fix->tag, 7, "hello");
    fake_serve_declarations(fix->publishing, NULL);
    fake_published copy = fake_expect_publish(fix->publishing);
    assert_string_equal(copy.routing_key, "work");
    assert_string_equal(copy.body, "hello");
    assert_true(copy.mandatory);
    fix->publish_channel = copy.channel;
    serve_cancel(fix); /* no acknowledgement before it */
}

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    gw_log_set_level(GW_LOG_OFF);
    fix->broker = fake_broker_new();
    assert_int_equal(gw_connect(fake_broker_url(fix->broker), NULL, &fix->client, NULL), GW_OK);
    fix->publishing = fake_accept_open(fix->broker);
    fake_serve_confirm_channel(fix->publishing);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    fake_hang_up(fix->consuming);
    fake_hang_up(fix->publishing);
    fake_broker_free(fix->broker);
    (void)gw_close(fix->client, 100, NULL);
    free(fix);
    return 0;
}

static void test_acknowledged_when_the_copy_is_confirmed(void **state)
{
    fixture *fix = *state;
    serve_up_to_the_copy(fix, FAKE_WAIT_MS);
    assert_true(fake_is_quiet(fix->consuming, 50));
    fake_ack(fix->publishing, fix->publish_channel, 1, false);
    amqp_basic_ack_t *ack = fake_expect(fix->consuming, AMQP_BASIC_ACK_METHOD, NULL);
    assert_int_equal(ack->delivery_tag, 7);
    serve_release(fix);
    pthread_join(fix->thread, NULL);
    assert_int_equal(fix->st, GW_OK);
    assert_int_equal(fix->result.n_removed, 1);
}

/* What the broker does not confirm is not acknowledged, also when the confirm comes too late. */
static void test_a_copy_that_is_not_confirmed(void **state)
{
    fixture *fix = *state;
    serve_up_to_the_copy(fix, 3000);
    serve_release(fix); /* nothing before it */
    serve_lookup(fix, 1);
    pthread_join(fix->thread, NULL);
    assert_int_equal(fix->st, GW_E_TIMEOUT);
    assert_int_equal(fix->result.n_removed, 0);
    fake_ack(fix->publishing, fix->publish_channel, 1, false);
    assert_int_equal(gw_flush(fix->client, FAKE_WAIT_MS, NULL), GW_OK);
}

/* Both connections are lost before the broker has said anything about the copy. */
static void test_lost_connections(void **state)
{
    fixture *fix = *state;
    serve_up_to_the_copy(fix, FAKE_WAIT_MS);
    fake_hang_up(fix->publishing);
    fake_hang_up(fix->consuming);
    fix->publishing = fix->consuming = NULL;
    pthread_join(fix->thread, NULL);
    assert_int_equal(fix->st, GW_E_UNAVAILABLE);
    assert_int_equal(fix->result.n_removed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_acknowledged_when_the_copy_is_confirmed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_that_is_not_confirmed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_connections, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
