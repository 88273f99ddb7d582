/* SPDX-License-Identifier: MIT */
/* Publishing against a broker that follows a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/confirms.h"
#include "source.h"
#include "support/fake_broker.h"

typedef struct fixture {
    fake_broker *broker;
    fake_conn *conn;
    source *src;
    uint16_t channel;
    gw__target queue;
    gw__target other;
    gw__target exchange;
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    fix->broker = fake_broker_new();
    fix->src = source_new();
    fix->queue = (gw__target){.exchange = "", .queue = "q"};
    fix->other = (gw__target){.exchange = "", .queue = "other"};
    fix->exchange = (gw__target){.exchange = "x", .type = GW_EXCHANGE_TOPIC};
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    source_free(fix->src);
    fake_hang_up(fix->conn);
    fake_broker_free(fix->broker);
    free(fix);
    return 0;
}

/* A connection with its publishing channel. */
static void connect_tuned(fixture *fix, fake_tuning tuning)
{
    if (fix->src->transport == NULL) {
        source_open(fix->src, fake_broker_url(fix->broker));
    }
    fix->conn = fake_accept_tuned(fix->broker, tuning);
    fix->channel = fake_serve_confirm_channel(fix->conn);
}

static void connect_plain(fixture *fix)
{
    connect_tuned(fix, FAKE_TUNING_DEFAULT);
}

/* The client lost the connection: it comes again. */
static void reconnect(fixture *fix)
{
    fake_hang_up(fix->conn);
    fix->conn = NULL;
    connect_plain(fix);
}

static void expect_id(fixture *fix, const char *id)
{
    fake_published published = fake_expect_publish(fix->conn);
    assert_string_equal(published.message_id, id);
    assert_int_equal(published.channel, fix->channel);
}

/* Publish `n` messages with ids "0", "1", ... to the queue; the broker has read them, confirmed
 * none. */
static void send_ids(fixture *fix, size_t n)
{
    char id[24];
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "%zu", i);
        source_add(fix->src, &fix->queue, id, 10);
        if (i == 0) {
            fake_serve_declarations(fix->conn, NULL);
        }
        expect_id(fix, id);
    }
}

/* ---- confirms ------------------------------------------------------------ */

static void test_publish_and_confirm(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    size_t n = source_add(fix->src, &fix->queue, "id", 100);
    char declared[256];
    fake_serve_declarations(fix->conn, declared);
    assert_string_equal(declared, "q");
    fake_published published = fake_expect_publish(fix->conn);
    assert_string_equal(published.exchange, "");
    assert_string_equal(published.routing_key, "q");
    assert_string_equal(published.message_id, "id");
    assert_int_equal(published.delivery_mode, 2);
    assert_true(published.mandatory);
    assert_int_equal(published.body_len, 100);
    assert_false(source_is_settled(fix->src, n));
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, n, GW_OK);
    /* The second needs no declaration. */
    n = source_add(fix->src, &fix->queue, "second", 0);
    expect_id(fix, "second");
    fake_ack(fix->conn, fix->channel, 2, false);
    source_wait(fix->src, n, GW_OK);
}

static void test_confirms_out_of_order_and_multiple(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 7);
    fake_ack(fix->conn, fix->channel, 3, false);
    source_wait(fix->src, 2, GW_OK);
    assert_false(source_is_settled(fix->src, 0));
    fake_ack(fix->conn, fix->channel, 5, true);
    for (size_t i = 0; i < 5; i++) {
        source_wait(fix->src, i, GW_OK);
    }
    assert_false(source_is_settled(fix->src, 5));
    fake_ack(fix->conn, fix->channel, 2, false); /* once more is no harm */
    fake_nack(fix->conn, fix->channel, 6, false);
    source_wait(fix->src, 5, GW_E_REFUSED);
    fake_ack(fix->conn, fix->channel, 0, true); /* 0: all */
    source_wait(fix->src, 6, GW_OK);
}

/* What was not sent, or not wholly, cannot be confirmed: such a broker is not believed. */
static void test_confirm_of_what_was_not_sent(void **state)
{
    fixture *fix = *state;
    static const struct {
        uint64_t tag;
        bool multiple;
    } cases[] = {{3, false}, {3, true}, {0, false}, {UINT64_MAX, true}};
    connect_plain(fix);
    send_ids(fix, 2);
    for (size_t i = 0; i < 4; i++) {
        fake_ack(fix->conn, fix->channel, cases[i].tag, cases[i].multiple);
        fake_expect_hang_up(fix->conn);
        assert_false(source_is_settled(fix->src, 0));
        reconnect(fix);
        fake_serve_declarations(fix->conn, NULL);
        expect_id(fix, "0");
        expect_id(fix, "1");
    }
}

/* A confirm of a message of which half is sent would free what is still being read. */
static void test_confirm_of_half_a_message(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "large", (size_t)64 << 20);
    fake_serve_declarations(fix->conn, NULL);
    fake_expect(fix->conn, AMQP_BASIC_PUBLISH_METHOD, NULL);
    fake_ack(fix->conn, fix->channel, 1, true);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "not sent");
    assert_false(source_is_settled(fix->src, 0));
}

static void test_nack(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 4);
    fake_nack(fix->conn, fix->channel, 2, true);
    source_wait(fix->src, 0, GW_E_REFUSED);
    source_wait(fix->src, 1, GW_E_REFUSED);
    fake_ack(fix->conn, fix->channel, 4, true);
    source_wait(fix->src, 2, GW_OK);
    source_wait(fix->src, 3, GW_OK);
}

static void test_window(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    char id[24];
    for (size_t i = 0; i < GW__CONFIRM_WINDOW + 10; i++) {
        snprintf(id, sizeof(id), "%zu", i);
        source_add(fix->src, &fix->queue, id, 0);
    }
    fake_serve_declarations(fix->conn, NULL);
    for (size_t i = 0; i < GW__CONFIRM_WINDOW; i++) {
        snprintf(id, sizeof(id), "%zu", i);
        expect_id(fix, id);
    }
    assert_true(fake_is_quiet(fix->conn, 100));
    fake_ack(fix->conn, fix->channel, GW__CONFIRM_WINDOW, true);
    for (size_t i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "%zu", GW__CONFIRM_WINDOW + i);
        expect_id(fix, id);
    }
}

/* ---- returns ------------------------------------------------------------- */

static void test_returned_before_its_ack(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 3);
    fake_return(fix->conn, fix->channel, "", "q", "1");
    source_wait(fix->src, 1, GW_E_UNROUTABLE);
    if (strstr(source_why(fix->src, 1), "queue 'q'") == NULL ||
        strstr(source_why(fix->src, 1), "312 NO_ROUTE") == NULL) {
        fail_msg("'%s'", source_why(fix->src, 1));
    }
    fake_ack(fix->conn, fix->channel, 3, true); /* the returned one is confirmed as well */
    source_wait(fix->src, 0, GW_OK);
    source_wait(fix->src, 2, GW_OK);
}

static void test_returned_with_the_same_ids(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "same", 0);
    fake_serve_declarations(fix->conn, NULL);
    expect_id(fix, "same");
    for (int i = 0; i < 2; i++) {
        source_add(fix->src, &fix->queue, "same", 0);
        expect_id(fix, "same");
    }
    fake_return(fix->conn, fix->channel, "", "q", "same");
    fake_return(fix->conn, fix->channel, "", "q", "same");
    source_wait(fix->src, 0, GW_E_UNROUTABLE);
    source_wait(fix->src, 1, GW_E_UNROUTABLE);
    fake_ack(fix->conn, fix->channel, 3, true);
    source_wait(fix->src, 2, GW_OK);
}

static void test_return_of_something_else(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 1);
    fake_return(fix->conn, fix->channel, "", "q", "unknown");
    fake_return(fix->conn, fix->channel, "y", "q", "0");
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, 0, GW_OK);
}

/* ---- the connection goes ------------------------------------------------- */

static void test_lost_connection_sends_again_in_order(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 5);
    fake_ack(fix->conn, fix->channel, 2, false);
    source_wait(fix->src, 1, GW_OK);
    fake_reset(fix->conn);
    fix->conn = NULL;
    source_wait_rewinds(fix->src, 1);
    source_add(fix->src, &fix->queue, "newer", 0);
    connect_plain(fix);
    fake_serve_declarations(fix->conn, NULL); /* declared anew */
    static const char *const ids[] = {"0", "2", "3", "4", "newer"};
    for (size_t i = 0; i < 5; i++) {
        expect_id(fix, ids[i]);
    }
    fake_ack(fix->conn, fix->channel, 1, false); /* numbers start at 1 again */
    source_wait(fix->src, 0, GW_OK);
    assert_false(source_is_settled(fix->src, 2));
    fake_ack(fix->conn, fix->channel, 5, true);
    source_wait(fix->src, 5, GW_OK);
}

static void test_channel_lost_over_a_missing_exchange(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->exchange, "a", 0);
    fake_serve_declarations(fix->conn, NULL);
    expect_id(fix, "a");
    source_add(fix->src, &fix->exchange, "b", 0);
    expect_id(fix, "b");
    fake_close_channel(fix->conn, fix->channel, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    fix->channel = fake_serve_confirm_channel(fix->conn);
    fake_serve_declarations(fix->conn, NULL); /* it is declared again */
    expect_id(fix, "a");
    fake_ack(fix->conn, fix->channel, 1, false);
    expect_id(fix, "b");
    fake_ack(fix->conn, fix->channel, 2, false);
    source_wait(fix->src, 0, GW_OK);
    source_wait(fix->src, 1, GW_OK);
}

/* One message that the broker refuses by closing the channel: it is found, the others get through.
 */
static void test_one_poisonous_message(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 3);
    const char *text = "PRECONDITION_FAILED - user_id property set to 'x'";
    fake_close_channel(fix->conn, fix->channel, 406, text);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    fix->channel = fake_serve_confirm_channel(fix->conn);
    expect_id(fix, "0");
    assert_true(fake_is_quiet(fix->conn, 50)); /* one at a time */
    fake_ack(fix->conn, fix->channel, 1, false);
    expect_id(fix, "1");
    fake_close_channel(fix->conn, fix->channel, 406, text);
    source_wait(fix->src, 1, GW_E_INVALID);
    if (strstr(source_why(fix->src, 1), text) == NULL) {
        fail_msg("'%s'", source_why(fix->src, 1));
    }
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    fix->channel = fake_serve_confirm_channel(fix->conn);
    expect_id(fix, "2");
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, 0, GW_OK);
    source_wait(fix->src, 2, GW_OK);
    /* The suspicion is over: two at once again. */
    source_add(fix->src, &fix->queue, "3", 0);
    source_add(fix->src, &fix->queue, "4", 0);
    expect_id(fix, "3");
    expect_id(fix, "4");
}

/* The same where the broker closes the connection: alone twice, then it is given up. */
static void test_message_that_ends_the_connection(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 2);
    for (int i = 0; i < 3; i++) {
        fake_close_connection(fix->conn, 502, "SYNTAX_ERROR - cannot be read");
        fake_expect_after(fix->conn, AMQP_CONNECTION_CLOSE_OK_METHOD, AMQP_CHANNEL_CLOSE_METHOD,
                          NULL);
        reconnect(fix);
        fake_serve_declarations(fix->conn, NULL);
        if (i < 2) {
            assert_false(source_is_settled(fix->src, 0));
            expect_id(fix, "0");
        }
    }
    source_wait(fix->src, 0, GW_E_INVALID);
    expect_id(fix, "1");
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, 1, GW_OK);
}

/* An operator closing the connection casts no suspicion on what was on its way. */
static void test_forced_close_blames_nobody(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 1);
    for (int i = 0; i < 3; i++) {
        fake_close_connection(fix->conn, 320, "CONNECTION_FORCED - closed by the operator");
        source_wait_state(fix->src, GW_CLIENT_CONNECTING,
                          "broker closed the connection: 320 CONNECTION_FORCED - closed by");
        reconnect(fix);
        fake_serve_declarations(fix->conn, NULL);
        expect_id(fix, "0");
    }
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, 0, GW_OK);
}

/* ---- declarations -------------------------------------------------------- */

/* A refused declaration closes its own channel only; what is there is used. */
static void test_queue_with_other_properties(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "a", 0);
    uint16_t channel = fake_serve_channel(fix->conn);
    assert_int_not_equal(channel, fix->channel);
    amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_true(declare->durable);
    assert_false(declare->exclusive);
    assert_false(declare->auto_delete);
    assert_int_equal(declare->arguments.num_entries, 0);
    fake_close_channel(fix->conn, channel, 406, "PRECONDITION_FAILED - inequivalent arg 'durable'");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    channel = fake_serve_channel(fix->conn);
    declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_true(declare->passive);
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes("q")};
    fake_send_method(fix->conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_channel_close_ok_t closed = {0};
    fake_send_method(fix->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    expect_id(fix, "a");
}

static void expect_argument(const amqp_table_t *arguments, const char *key, const char *text,
                            int64_t number)
{
    for (int i = 0; i < arguments->num_entries; i++) {
        const amqp_table_entry_t *it = &arguments->entries[i];
        if (it->key.len != strlen(key) || memcmp(it->key.bytes, key, it->key.len) != 0) {
            continue;
        }
        if (text == NULL) {
            assert_int_equal(it->value.kind, AMQP_FIELD_KIND_I64);
            assert_int_equal(it->value.value.i64, number);
        } else {
            assert_int_equal(it->value.value.bytes.len, strlen(text));
            assert_memory_equal(it->value.value.bytes.bytes, text, strlen(text));
        }
        return;
    }
    fail_msg("the queue is declared without '%s'", key);
}

static void start_delayed(fixture *fix)
{
    fix->queue.delay_ms = 1500;
    fix->queue.waiting_queue = "q.retry.1500";
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "a", 0);
}

/* First whether it is there; returns the channel. */
static uint16_t expect_asked(fixture *fix)
{
    uint16_t channel = fake_serve_channel(fix->conn);
    amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_true(declare->passive);
    assert_memory_equal(declare->queue.bytes, "q.retry.1500", 12);
    return channel;
}

static void expect_waiting_queue(fixture *fix)
{
    amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_memory_equal(declare->queue.bytes, "q.retry.1500", 12);
    assert_false(declare->passive);
    assert_true(declare->durable);
    assert_int_equal(declare->arguments.num_entries, 6);
    expect_argument(&declare->arguments, "x-queue-type", "quorum", 0);
    expect_argument(&declare->arguments, "x-message-ttl", NULL, 1500);
    expect_argument(&declare->arguments, "x-dead-letter-exchange", "", 0);
    expect_argument(&declare->arguments, "x-dead-letter-routing-key", "q", 0);
    expect_argument(&declare->arguments, "x-dead-letter-strategy", "at-least-once", 0);
    expect_argument(&declare->arguments, "x-overflow", "reject-publish", 0);
}

static void serve_declare_ok(fixture *fix, uint16_t channel, const char *queue)
{
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes(queue)};
    fake_send_method(fix->conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
}

/* Into a queue of its own, from which the broker moves it when its time has come. */
static void test_delayed(void **state)
{
    fixture *fix = *state;
    start_delayed(fix);
    uint16_t channel = expect_asked(fix);
    serve_declare_ok(fix, channel, "q.retry.1500");
    expect_waiting_queue(fix); /* and whether it is as it should be */
    serve_declare_ok(fix, channel, "q.retry.1500");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_channel_close_ok_t closed = {0};
    fake_send_method(fix->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    amqp_basic_publish_t *publish = fake_expect(fix->conn, AMQP_BASIC_PUBLISH_METHOD, NULL);
    assert_memory_equal(publish->routing_key.bytes, "q.retry.1500", 12);
    assert_true(publish->mandatory);
}

/* RabbitMQ would forget what it confirmed, should it be killed now. */
static void test_delayed_into_a_new_queue(void **state)
{
    fixture *fix = *state;
    start_delayed(fix);
    uint16_t channel = expect_asked(fix);
    fake_close_channel(fix->conn, channel, 404, "NOT_FOUND - no queue");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    channel = fake_serve_channel(fix->conn);
    expect_waiting_queue(fix);
    serve_declare_ok(fix, channel, "q.retry.1500");
    source_wait(fix->src, 0, GW_E_REFUSED);
    assert_non_null(strstr(source_why(fix->src, 0), "queue 'q.retry.1500' is new"));
}

/* One with other properties might keep what is put into it for ever: it is not used. */
static void test_delayed_into_a_strange_queue(void **state)
{
    fixture *fix = *state;
    start_delayed(fix);
    uint16_t channel = expect_asked(fix);
    serve_declare_ok(fix, channel, "q.retry.1500");
    expect_waiting_queue(fix);
    fake_close_channel(fix->conn, channel, 406,
                       "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl'");
    source_wait(fix->src, 0, GW_E_EXISTS);
}

static void expect_quorum_queue(const amqp_queue_declare_t *declare)
{
    assert_memory_equal(declare->queue.bytes, "q", 1);
    assert_int_equal(declare->queue.len, 1);
    assert_int_equal(declare->arguments.num_entries, 6);
    expect_argument(&declare->arguments, "x-queue-type", "quorum", 0);
    expect_argument(&declare->arguments, "x-delivery-limit", NULL, 20);
    expect_argument(&declare->arguments, "x-dead-letter-exchange", "", 0);
    expect_argument(&declare->arguments, "x-dead-letter-routing-key", "q.dead", 0);
    expect_argument(&declare->arguments, "x-dead-letter-strategy", "at-least-once", 0);
    expect_argument(&declare->arguments, "x-overflow", "reject-publish", 0);
}

/* With where the broker's own dead letters go, which must be there before. */
static void test_quorum_queue(void **state)
{
    fixture *fix = *state;
    fix->queue.queue_type = GW_QUEUE_QUORUM;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "a", 0);
    uint16_t channel = fake_serve_channel(fix->conn);
    amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_memory_equal(declare->queue.bytes, "q.dead", 6);
    assert_true(declare->durable);
    assert_int_equal(declare->arguments.num_entries, 1);
    expect_argument(&declare->arguments, "x-queue-type", "quorum", 0);
    serve_declare_ok(fix, channel, "q.dead");
    expect_quorum_queue(fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL));
}

/* A queue of dead letters has none of its own, and a name without room for them neither. */
static void test_quorum_queue_alone(void **state)
{
    fixture *fix = *state;
    static char long_name[252];
    memset(long_name, 'n', sizeof(long_name) - 1);
    const char *const names[] = {"q.dead", ".dead", long_name};
    connect_plain(fix);
    for (size_t i = 0; i < 3; i++) {
        gw__target *target = i == 0 ? &fix->queue : i == 1 ? &fix->other : &fix->exchange;
        *target = (gw__target){.exchange = "", .queue = names[i], .queue_type = GW_QUEUE_QUORUM};
        source_add(fix->src, target, "a", 0);
        fake_serve_channel(fix->conn);
        amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
        assert_memory_equal(declare->queue.bytes, names[i], strlen(names[i]));
        assert_int_equal(declare->arguments.num_entries, 1);
    }
}

/* Whoever may not declare the one for dead letters can use the queue all the same. */
static void test_quorum_queue_without_dead_letters(void **state)
{
    fixture *fix = *state;
    fix->queue.queue_type = GW_QUEUE_QUORUM;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "a", 0);
    for (int i = 0; i < 2; i++) { /* in earnest, and whether it is there */
        uint16_t channel = fake_serve_channel(fix->conn);
        amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
        assert_memory_equal(declare->queue.bytes, "q.dead", 6);
        assert_int_equal(declare->passive, i == 1);
        fake_close_channel(fix->conn, channel, i == 0 ? 403 : 404, "not for you");
        fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    }
    fake_serve_channel(fix->conn);
    amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_false(declare->passive);
    expect_quorum_queue(declare);
}

static void test_exchange_declared_durable(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->exchange, "a", 0);
    fake_serve_channel(fix->conn);
    amqp_exchange_declare_t *declare = fake_expect(fix->conn, AMQP_EXCHANGE_DECLARE_METHOD, NULL);
    assert_true(declare->durable);
    assert_false(declare->passive);
    assert_memory_equal(declare->type.bytes, "topic", 5);
}

/* While one target cannot be declared, messages to another go on; and those to the first in order.
 */
static void test_declaration_that_takes_long(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 1); /* "q" is declared */
    source_add(fix->src, &fix->other, "held 1", 0);
    uint16_t channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    source_add(fix->src, &fix->other, "held 2", 0);
    source_add(fix->src, &fix->queue, "free", 0);
    expect_id(fix, "free");
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes("other")};
    fake_send_method(fix->conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    expect_id(fix, "held 1");
    expect_id(fix, "held 2");
}

/* Refused for want of permission: back to the source, with the reason; others go on. */
static void test_target_that_is_refused(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->other, "refused", 0);
    for (int i = 0; i < 2; i++) { /* the second time passive */
        uint16_t channel = fake_serve_channel(fix->conn);
        fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
        fake_close_channel(fix->conn, channel, 403, "ACCESS_REFUSED - access to queue refused");
        fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    }
    source_wait(fix->src, 0, GW_E_REFUSED);
    if (strstr(source_why(fix->src, 0), "queue 'other': 403 ACCESS_REFUSED") == NULL) {
        fail_msg("'%s'", source_why(fix->src, 0));
    }
    /* For a while it is not asked for again. */
    size_t n = source_add(fix->src, &fix->other, "refused too", 0);
    source_wait(fix->src, n, GW_E_REFUSED);
    n = source_add(fix->src, &fix->queue, "good", 0);
    fake_serve_declarations(fix->conn, NULL);
    expect_id(fix, "good");
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, n, GW_OK);
}

static void test_exchange_of_another_type(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->exchange, "a", 0);
    uint16_t channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_EXCHANGE_DECLARE_METHOD, NULL);
    fake_close_channel(fix->conn, channel, 406,
                       "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x'");
    source_wait(fix->src, 0, GW_E_EXISTS);
}

/* Other properties, but when it is asked for it is gone: that is no reason to give a message up. */
static void test_queue_deleted_while_it_is_declared(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    source_add(fix->src, &fix->queue, "a", 0);
    uint16_t channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    fake_close_channel(fix->conn, channel, 406, "PRECONDITION_FAILED - inequivalent arg 'x-max'");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    fake_close_channel(fix->conn, channel, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    source_wait(fix->src, 0, GW_E_REFUSED);
}

/* ---- sizes --------------------------------------------------------------- */

/* Bodies at the edges of a frame. librabbitmq leaves the last frame of an exact multiple in the
 * kernel for 200 ms. */
static void test_bodies_at_frame_edges(void **state)
{
    fixture *fix = *state;
    enum { PIECE = 4096 - 8 };
    static const struct {
        size_t len;
        size_t n_frames;
    } cases[] = {{0, 0},         {1, 1},         {PIECE - 1, 1},     {PIECE, 1},
                 {PIECE + 1, 2}, {2 * PIECE, 2}, {2 * PIECE + 1, 3}, {100 * PIECE, 100}};
    connect_tuned(fix, (fake_tuning){2047, 4096, 60});
    uint64_t tag = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = source_add(fix->src, &fix->queue, "id", cases[i].len);
        if (tag == 0) {
            fake_serve_declarations(fix->conn, NULL);
        }
        fake_published published = fake_expect_publish(fix->conn);
        if (published.n_body_frames != cases[i].n_frames || published.body_len != cases[i].len) {
            fail_msg("%zu bytes came in %zu frames as %zu", cases[i].len, published.n_body_frames,
                     published.body_len);
        }
        fake_ack(fix->conn, fix->channel, ++tag, false);
        source_wait(fix->src, n, GW_OK);
    }
    uint64_t before = gw_clock_ms();
    for (int i = 0; i < 20; i++) {
        size_t n = source_add(fix->src, &fix->queue, "id", 2 * PIECE);
        fake_expect_publish(fix->conn);
        fake_ack(fix->conn, fix->channel, ++tag, false);
        source_wait(fix->src, n, GW_OK);
    }
    assert_true(gw_clock_ms() - before < 20 * 200); /* each would be held back 200 ms */
}

static void test_large_body(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    size_t n = source_add(fix->src, &fix->queue, "large", (size_t)20 << 20);
    source_add(fix->src, &fix->queue, "small", 1);
    fake_serve_declarations(fix->conn, NULL);
    fake_published published = fake_expect_publish(fix->conn);
    assert_int_equal(published.body_len, 20 << 20);
    expect_id(fix, "small");
    fake_ack(fix->conn, fix->channel, 1, false);
    source_wait(fix->src, n, GW_OK);
}

/* Each time the buffer for sending is empty again it is filled at once, not with the next timer, a
 * second later. */
static void test_large_body_does_not_wait_for_timers(void **state)
{
    fixture *fix = *state;
    size_t size = (size_t)64 << 20;
    source_add(fix->src, &fix->queue, "large", size);
    connect_plain(fix);
    fake_serve_declarations(fix->conn, NULL);
    fake_expect(fix->conn, AMQP_BASIC_PUBLISH_METHOD, NULL);
    assert_int_equal(fake_read_frame(fix->conn).type, AMQP_FRAME_HEADER);
    int n_gaps = 0;
    for (size_t got = 0; got < size;) {
        uint64_t before = gw_clock_ms();
        got += fake_read_frame(fix->conn).len;
        n_gaps += gw_clock_ms() - before > 500;
    }
    assert_true(n_gaps <= 1); /* one is for a busy machine */
}

static void test_headers_that_fit_no_frame(void **state)
{
    fixture *fix = *state;
    connect_tuned(fix, (fake_tuning){2047, 4096, 60});
    send_ids(fix, 1);
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    gw_message *msg = gw_message_new("", 0);
    assert_int_equal(gw_message_set_header_text(msg, "large", text), GW_OK);
    size_t n = source_add_message(fix->src, &fix->queue, msg, true);
    source_wait(fix->src, n, GW_E_LIMIT);
    source_add(fix->src, &fix->queue, "next", 0);
    expect_id(fix, "next");
    fake_ack(fix->conn, fix->channel, 2, true); /* the one between took no number */
    source_wait(fix->src, 0, GW_OK);
    source_wait(fix->src, 2, GW_OK);
}

/* ---- the broker takes nothing -------------------------------------------- */

static void test_blocked(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 1);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    fake_send_method(fix->conn, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    source_wait_state(fix->src, GW_CLIENT_BLOCKED, "low on memory");
    source_add(fix->src, &fix->queue, "waits", 0);
    assert_true(fake_is_quiet(fix->conn, 100));
    fake_ack(fix->conn, fix->channel, 1, false); /* confirms are taken meanwhile */
    source_wait(fix->src, 0, GW_OK);
    amqp_connection_unblocked_t unblocked = {0};
    fake_send_method(fix->conn, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &unblocked);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    expect_id(fix, "waits");
}

static void test_channel_flow(void **state)
{
    fixture *fix = *state;
    connect_plain(fix);
    send_ids(fix, 1);
    amqp_channel_flow_t flow = {.active = 0};
    fake_send_method(fix->conn, fix->channel, AMQP_CHANNEL_FLOW_METHOD, &flow);
    amqp_channel_flow_ok_t *ok = fake_expect(fix->conn, AMQP_CHANNEL_FLOW_OK_METHOD, NULL);
    assert_false(ok->active);
    source_add(fix->src, &fix->queue, "waits", 0);
    assert_true(fake_is_quiet(fix->conn, 100));
    flow.active = 1;
    fake_send_method(fix->conn, fix->channel, AMQP_CHANNEL_FLOW_METHOD, &flow);
    fake_expect(fix->conn, AMQP_CHANNEL_FLOW_OK_METHOD, NULL);
    expect_id(fix, "waits");
}

/* A broker that reads nothing stalls nobody but itself: the connection is given up after twice the
 * heartbeat, though the broker's own heartbeats keep coming. */
static void test_broker_that_does_not_read(void **state)
{
    fixture *fix = *state;
    /* First, since building it takes longer than the broker may be silent. */
    source_add(fix->src, &fix->queue, "large", (size_t)64 << 20);
    connect_tuned(fix, (fake_tuning){2047, 131072, 1});
    fake_serve_declarations(fix->conn, NULL);
    uint64_t before = gw_clock_ms();
    while (fake_nobody_comes(fix->broker, 250)) {
        if (gw_clock_ms() - before > 12000) {
            fail_msg("it is still waiting");
        }
        fake_send_frame(fix->conn, AMQP_FRAME_HEARTBEAT, 0, NULL, 0);
    }
    assert_true(gw_clock_ms() - before >= 1500);
    source_wait_rewinds(fix->src, 1);
}

/* In an alarm the same is no reason: it can last for hours. */
static void test_blocked_broker_that_does_not_read(void **state)
{
    fixture *fix = *state;
    /* First, since building it takes longer than the broker may be silent. */
    source_add(fix->src, &fix->queue, "large", (size_t)64 << 20);
    connect_tuned(fix, (fake_tuning){2047, 131072, 1});
    fake_serve_declarations(fix->conn, NULL);
    fake_expect(fix->conn, AMQP_BASIC_PUBLISH_METHOD, NULL);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on disk")};
    fake_send_method(fix->conn, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    source_wait_state(fix->src, GW_CLIENT_BLOCKED, "low on disk");
    for (int i = 0; i < 16; i++) { /* 4 s, twice the patience with others */
        fake_send_frame(fix->conn, AMQP_FRAME_HEARTBEAT, 0, NULL, 0);
        assert_true(fake_nobody_comes(fix->broker, 250));
    }
    assert_int_equal(source_handed_out(fix->src, 0), 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_publish_and_confirm),
        TEST(test_confirms_out_of_order_and_multiple),
        TEST(test_confirm_of_what_was_not_sent),
        TEST(test_confirm_of_half_a_message),
        TEST(test_nack),
        TEST(test_window),
        TEST(test_returned_before_its_ack),
        TEST(test_returned_with_the_same_ids),
        TEST(test_return_of_something_else),
        TEST(test_lost_connection_sends_again_in_order),
        TEST(test_channel_lost_over_a_missing_exchange),
        TEST(test_one_poisonous_message),
        TEST(test_message_that_ends_the_connection),
        TEST(test_forced_close_blames_nobody),
        TEST(test_queue_with_other_properties),
        TEST(test_quorum_queue),
        TEST(test_quorum_queue_alone),
        TEST(test_quorum_queue_without_dead_letters),
        TEST(test_delayed),
        TEST(test_delayed_into_a_new_queue),
        TEST(test_delayed_into_a_strange_queue),
        TEST(test_exchange_declared_durable),
        TEST(test_declaration_that_takes_long),
        TEST(test_target_that_is_refused),
        TEST(test_exchange_of_another_type),
        TEST(test_queue_deleted_while_it_is_declared),
        TEST(test_bodies_at_frame_edges),
        TEST(test_large_body),
        TEST(test_large_body_does_not_wait_for_timers),
        TEST(test_headers_that_fit_no_frame),
        TEST(test_blocked),
        TEST(test_channel_flow),
        TEST(test_broker_that_does_not_read),
        TEST(test_blocked_broker_that_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
