/* SPDX-License-Identifier: MIT */
/* The publisher and consumers on a session without a network, where the test moves the clock: what
 * takes minutes otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/frame.h"
#include "amqp/publisher.h"
#include "amqp/session.h"
#include "amqp/wire.h"
#include "source.h"

#define S (uint64_t) GW_NS_PER_S

typedef struct fixture {
    gw__session session;
    gw__publisher *publisher;
    source *src;
    gw_buf peer;
    uint64_t now;
    gw__target target;
} fixture;

static void on_open(void *ctx)
{
    fixture *fix = ctx;
    gw__publisher_up(fix->publisher, &fix->session);
}

static void on_blocked(void *ctx, const char *reason)
{
    (void)ctx;
    (void)reason;
}

static void say(fixture *fix, uint16_t channel, amqp_method_number_t id, void *method)
{
    assert_int_equal(gw__wire_method(&fix->peer, channel, id, method), GW_OK);
}

/* The session hears what the peer said, and the publisher has its turn. */
static void turn(fixture *fix)
{
    size_t used =
        gw__session_input(&fix->session, (const uint8_t *)fix->peer.data, fix->peer.len, fix->now);
    assert_int_equal(used, fix->peer.len);
    gw_buf_clear(&fix->peer);
    gw__session_tick(&fix->session, fix->now);
    gw__publisher_work(fix->publisher, fix->now);
}

/* The next frame of this type or method that was sent; what stands before is dropped. Returns its
 * channel, 0 if there is none. */
static uint16_t expect(fixture *fix, amqp_method_number_t id)
{
    gw_buf *out = &fix->session.out;
    uint16_t channel = 0;
    bool found = false;
    while (!found && out->len >= 8) {
        const uint8_t *frame = (const uint8_t *)out->data;
        uint32_t len = gw__read_u32(frame + 3);
        found = frame[0] == AMQP_FRAME_METHOD && gw__read_u32(frame + 7) == id;
        channel = gw__read_u16(frame + 1);
        gw_buf_consume(out, len + 8);
    }
    return found ? channel : 0;
}

/* A channel was asked for: open it, in confirm mode. */
static uint16_t serve_channel(fixture *fix)
{
    uint16_t channel = expect(fix, AMQP_CHANNEL_OPEN_METHOD);
    assert_int_not_equal(channel, 0);
    amqp_channel_open_ok_t open = {.channel_id = amqp_empty_bytes};
    say(fix, channel, AMQP_CHANNEL_OPEN_OK_METHOD, &open);
    turn(fix);
    return channel;
}

static uint16_t serve_confirms(fixture *fix)
{
    uint16_t channel = serve_channel(fix);
    assert_int_equal(expect(fix, AMQP_CONFIRM_SELECT_METHOD), channel);
    amqp_confirm_select_ok_t select = {0};
    say(fix, channel, AMQP_CONFIRM_SELECT_OK_METHOD, &select);
    turn(fix);
    return channel;
}

static void serve_declaration(fixture *fix)
{
    uint16_t channel = serve_channel(fix);
    assert_int_equal(expect(fix, AMQP_QUEUE_DECLARE_METHOD), channel);
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes("q")};
    say(fix, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    amqp_channel_close_ok_t closed = {0}; /* it will be */
    say(fix, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    turn(fix);
}

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    fix->src = source_new();
    const gw__source callbacks = source_callbacks(fix->src);
    fix->publisher = gw__publisher_new(&callbacks);
    fix->target = (gw__target){.exchange = "", .queue = "q"};
    fix->now = 5000 * S;
    gw_buf_init(&fix->peer, 0);
    static const gw__login login = {"guest", "guest", "/", "test", 0};
    const gw__session_events events = {.open = on_open, .blocked = on_blocked, .ctx = fix};
    gw__session_begin(&fix->session, &login, &events, fix->now);
    amqp_connection_start_t start = {.version_minor = 9, .mechanisms = amqp_cstring_bytes("PLAIN")};
    amqp_connection_tune_t tune = {.frame_max = 131072};
    amqp_connection_open_ok_t open_ok = {.known_hosts = amqp_empty_bytes};
    say(fix, 0, AMQP_CONNECTION_START_METHOD, &start);
    say(fix, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
    say(fix, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &open_ok);
    turn(fix);
    gw_buf_consume(&fix->session.out, 8); /* the protocol header */
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    gw__session_end(&fix->session);
    gw__publisher_down(fix->publisher);
    gw__session_dispose(&fix->session);
    gw__publisher_free(fix->publisher);
    source_free(fix->src);
    gw_buf_dispose(&fix->peer);
    free(fix);
    return 0;
}

/* A queue without a leader confirms nothing: after a minute the channel is closed, so that no late
 * confirm can come, and everything goes out again on another. */
static void test_confirms_that_never_come(void **state)
{
    fixture *fix = *state;
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &fix->target, "first", 1);
    source_add(fix->src, &fix->target, "second", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    fix->now += 59 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    fix->now += 2 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
    source_wait_rewinds(fix->src, 1);
    /* The confirm comes after all; too late, it belongs to a channel that is given up. */
    amqp_basic_ack_t ack = {.delivery_tag = 2, .multiple = 1};
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    assert_false(source_is_settled(fix->src, 0));
    uint16_t next = serve_confirms(fix);
    assert_int_not_equal(next, channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), next); /* declared it is already */
    say(fix, next, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    source_wait(fix->src, 0, GW_OK);
    source_wait(fix->src, 1, GW_OK);
}

/* An alarm stops the clock for them. */
static void test_confirms_that_wait_for_an_alarm(void **state)
{
    fixture *fix = *state;
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &fix->target, "first", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("alarm")};
    say(fix, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    fix->now += 600 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    amqp_basic_ack_t ack = {.delivery_tag = 1};
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    source_wait(fix->src, 0, GW_OK);
}

/* A declaration that is not answered holds up its own target for as long, no other. */
static void test_declaration_without_an_answer(void **state)
{
    fixture *fix = *state;
    gw__target hanging = {.exchange = "", .queue = "no-leader"};
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &hanging, "held", 1);
    turn(fix);
    assert_int_not_equal(serve_channel(fix), channel);
    fix->now += 31 * S;
    turn(fix);
    turn(fix);
    source_wait(fix->src, 0, GW_E_REFUSED); /* back to the source, for later */
    source_add(fix->src, &fix->target, "good", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_confirms_that_never_come),
        TEST(test_confirms_that_wait_for_an_alarm),
        TEST(test_declaration_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
