/* SPDX-License-Identifier: MIT */
/* The publisher and consumers on a session without a network, where the test moves the clock: what
 * takes minutes otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/confirms.h"
#include "amqp/consumers.h"
#include "amqp/endpoint.h"
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
    static const gw__endpoint endpoint = {.confirm_timeout_s = GW__CONFIRM_TIMEOUT_S};
    fix->publisher = gw__publisher_new(&callbacks, &endpoint);
    fix->target = (gw__target){.exchange = "", .queue = "q"};
    fix->now = 5000 * S;
    gw_buf_init(&fix->peer, 0);
    static const gw__login login = {"guest", "guest", "/", "test", 0, 0};
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
 * confirm can come, and what others confirm goes out again on another. */
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
    turn(fix);
    source_wait(fix->src, 0, GW_E_REFUSED); /* back to the source, which tries again, later */
    source_wait(fix->src, 1, GW_E_REFUSED);
}

/* Publish to a queue that confirms nothing until its minute is over. */
static uint16_t let_time_out(fixture *fix, uint16_t channel, gw__target *target, unsigned rounds)
{
    source_wait_rewinds(fix->src, rounds - 1);
    fix->now += 61 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
    source_wait_rewinds(fix->src, rounds);
    assert_int_equal(target->n_timeouts, rounds);
    amqp_channel_close_ok_t ok = {0};
    say(fix, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    turn(fix);
    return serve_confirms(fix);
}

/* A queue that confirms nothing fills the window: after its minute others have theirs, and longer
 * each time. */
static void test_one_queue_that_never_confirms(void **state)
{
    fixture *fix = *state;
    gw__target broken = {.exchange = "", .queue = "broken"};
    uint16_t channel = serve_confirms(fix);
    for (int i = 0; i < 2 * GW__CONFIRM_WINDOW; i++) {
        source_add(fix->src, &broken, "broken", 1);
    }
    size_t n = source_add(fix->src, &fix->target, "good", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    channel = let_time_out(fix, channel, &broken, 1);
    /* All of the broken one's go back to the source. */
    for (int i = 0; i < 4 && source_handed_out(fix->src, n) == 0; i++) {
        turn(fix);
    }
    source_wait(fix->src, 0, GW_E_REFUSED);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_basic_ack_t ack = {.delivery_tag = 1};
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    source_wait(fix->src, n, GW_OK);
    /* In five seconds it has another chance, then in ten. */
    fix->now += 6 * S;
    source_add(fix->src, &broken, "again", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    channel = let_time_out(fix, channel, &broken, 2);
    fix->now += 6 * S;
    n = source_add(fix->src, &broken, "too early", 1);
    turn(fix);
    source_wait(fix->src, n, GW_E_REFUSED);
    fix->now += 5 * S;
    source_add(fix->src, &broken, "in time", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
}

/* Publish one, which the broker refuses. */
static void let_refuse(fixture *fix, uint16_t channel, uint64_t tag)
{
    size_t n = source_add(fix->src, &fix->target, "refused", 1);
    turn(fix);
    if (n == 0) {
        serve_declaration(fix);
    }
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_basic_nack_t nack = {.delivery_tag = tag};
    say(fix, channel, AMQP_BASIC_NACK_METHOD, &nack);
    turn(fix);
    turn(fix);
    source_wait(fix->src, n, GW_E_REFUSED); /* back to the source, which tries again, later */
}

/* RabbitMQ refuses for ever on a channel that published to a quorum queue first while that had no
 * leader. Another is tried after a second, four times, and then after twice as long each time: a
 * full queue refuses on each. */
static void test_channel_that_refuses_everything(void **state)
{
    fixture *fix = *state;
    uint16_t channel = serve_confirms(fix);
    for (int i = 0; i < 4; i++) {
        let_refuse(fix, channel, 1);
        fix->now += S - 1;
        let_refuse(fix, channel, 2);
        assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
        fix->now += 1;
        let_refuse(fix, channel, 3);
        assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
        channel = serve_confirms(fix);
    }
    let_refuse(fix, channel, 1);
    fix->now += S;
    let_refuse(fix, channel, 2);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    fix->now += S;
    let_refuse(fix, channel, 3);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
    channel = serve_confirms(fix);
    size_t n = source_add(fix->src, &fix->target, "taken", 1);
    (void)source_add(fix->src, &fix->target, "after it", 1);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), 0); /* first one alone */
    amqp_basic_ack_t ack = {.delivery_tag = 1};
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    source_wait(fix->src, n, GW_OK);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(fix->target.n_renewals, 0);
}

/* What an earlier channel refused, and a refusal with a confirm after it, are no reason. */
static void test_channel_that_refuses_now_and_then(void **state)
{
    fixture *fix = *state;
    uint16_t channel = serve_confirms(fix);
    let_refuse(fix, channel, 1);
    fix->now += S;
    let_refuse(fix, channel, 2);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
    fix->now += 5 * S; /* so long it takes to open another */
    channel = serve_confirms(fix);
    let_refuse(fix, channel, 1);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    assert_int_equal(fix->target.n_renewals, 1);

    size_t n = source_add(fix->src, &fix->target, "taken", 1);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_basic_ack_t ack = {.delivery_tag = 2};
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    source_wait(fix->src, n, GW_OK);

    let_refuse(fix, channel, 3);
    fix->now += S;
    (void)source_add(fix->src, &fix->target, "refused", 1);
    n = source_add(fix->src, &fix->target, "taken", 1);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_basic_nack_t nack = {.delivery_tag = 4};
    ack.delivery_tag = 5;
    say(fix, channel, AMQP_BASIC_NACK_METHOD, &nack);
    say(fix, channel, AMQP_BASIC_ACK_METHOD, &ack);
    turn(fix);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    source_wait(fix->src, n, GW_OK);
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

/* What was sent before an alarm has its minute after it. */
static void test_confirms_after_an_alarm(void **state)
{
    fixture *fix = *state;
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &fix->target, "first", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("alarm")};
    say(fix, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    turn(fix);
    fix->now += 600 * S;
    amqp_connection_unblocked_t unblocked = {0};
    say(fix, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &unblocked);
    turn(fix);
    fix->now += 59 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), 0);
    fix->now += 2 * S;
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_CLOSE_METHOD), channel);
}

/* Read what was sent as a broker does: nothing but its body may follow the beginning of a message
 * on its channel. Returns how much of the body came; sets `ret_next` to the method after it, 0 if
 * none came. */
static size_t read_body(fixture *fix, uint16_t channel, size_t len, amqp_method_number_t *ret_next)
{
    gw_buf *out = &fix->session.out;
    size_t got = 0;
    *ret_next = 0;
    while (*ret_next == 0 && out->len >= 8) {
        const uint8_t *frame = (const uint8_t *)out->data;
        uint32_t frame_len = gw__read_u32(frame + 3);
        if (gw__read_u16(frame + 1) == channel && frame[0] == AMQP_FRAME_BODY) {
            got += frame_len;
        } else if (gw__read_u16(frame + 1) == channel && frame[0] == AMQP_FRAME_METHOD) {
            *ret_next = gw__read_u32(frame + 7);
        }
        gw_buf_consume(out, frame_len + 8);
    }
    assert_true(got <= len);
    return got;
}

enum { LARGE = 1 << 20 };

/* A message that is sent by half, behind a small one that is not confirmed. */
static uint16_t send_half(fixture *fix)
{
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &fix->target, "small", 1);
    source_add(fix->src, &fix->target, "large", LARGE);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    return channel;
}

/* The rest of it must be first on the wire, then `id`. */
static void expect_rest_and(fixture *fix, uint16_t channel, amqp_method_number_t id)
{
    amqp_method_number_t next = 0;
    size_t got = 0;
    for (int i = 0; i < 100 && next == 0; i++) {
        got += read_body(fix, channel, LARGE - got, &next);
        turn(fix);
    }
    assert_int_equal(got, LARGE);
    assert_string_equal(amqp_method_name(next), amqp_method_name(id));
}

static void test_confirms_that_never_come_within_a_message(void **state)
{
    fixture *fix = *state;
    uint16_t channel = send_half(fix);
    fix->now += 61 * S;
    turn(fix);
    expect_rest_and(fix, channel, AMQP_CHANNEL_CLOSE_METHOD);
}

static void test_flow_within_a_message(void **state)
{
    fixture *fix = *state;
    uint16_t channel = send_half(fix);
    amqp_channel_flow_t flow = {.active = 0};
    say(fix, channel, AMQP_CHANNEL_FLOW_METHOD, &flow);
    turn(fix);
    source_add(fix->src, &fix->target, "waits", 1);
    expect_rest_and(fix, channel, AMQP_CHANNEL_FLOW_OK_METHOD);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), 0);
    flow.active = 1;
    say(fix, channel, AMQP_CHANNEL_FLOW_METHOD, &flow);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_CHANNEL_FLOW_OK_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
}

/* ---- consumers and a broker that does not read --------------------------- */

static void ignore_delivery(void *ctx, gw_message *msg, gw__delivery delivery)
{
    (void)ctx;
    (void)delivery;
    gw_message_free(msg);
}

static void ignore_batch(void *ctx)
{
    (void)ctx;
}

static void ignore_lost(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
}

static void ignore_consuming(void *ctx, bool consuming, const gw_error *why)
{
    (void)ctx;
    (void)consuming;
    (void)why;
}

static void ignore_session(void *ctx, gw__session *session)
{
    (void)ctx;
    (void)session;
}

static gw__turn ignore_work(void *ctx, uint64_t now_ns)
{
    (void)ctx;
    (void)now_ns;
    return (gw__turn){.timer_ms = UINT64_MAX};
}

static void ignore_state(void *ctx, gw_client_state state, const gw_error *why)
{
    (void)ctx;
    (void)state;
    (void)why;
}

typedef struct ending {
    gw__consumers *set;
    gw__amqp_consumer *consumer;
    pthread_t thread;
} ending;

static void *end(void *arg)
{
    const ending *it = arg;
    gw__consumers_cancel(it->set, it->consumer, 10);
    gw__consumers_release(it->set, it->consumer, 10);
    return NULL;
}

/* The test is the I/O thread: have turns until the other thread is through. */
static bool work_until_ended(fixture *fix, gw__consumers *set, ending *it)
{
    for (int i = 0; i < 1000; i++) {
        gw__consumers_work(set, fix->now);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 5000000;
        until.tv_sec += until.tv_nsec / GW_NS_PER_S;
        until.tv_nsec %= GW_NS_PER_S;
        if (pthread_timedjoin_np(it->thread, NULL, &until) == 0) {
            return true;
        }
    }
    return false;
}

/* Cancel and release keep their deadlines though nothing can be sent. */
static void test_ending_while_the_broker_does_not_read(void **state)
{
    fixture *fix = *state;
    gw__endpoint endpoint;
    assert_int_equal(gw__endpoint_parse("amqp://nowhere.invalid", 0, &endpoint, NULL), GW_OK);
    /* For the others to wake; its own thread has nothing to do with this. */
    const gw__connection_role role = {.purpose = "consume",
                                      .up = ignore_session,
                                      .down = ignore_batch,
                                      .work = ignore_work,
                                      .state = ignore_state};
    gw__consumers set;
    gw__consumers_init(&set);
    assert_int_equal(gw__connection_start(&endpoint, "test", &role, &set.connection, NULL), GW_OK);
    const gw__consumer_spec spec = {.queue = "q", .prefetch = 1};
    const gw__sink sink = {.deliver = ignore_delivery,
                           .delivered = ignore_batch,
                           .lost = ignore_lost,
                           .state = ignore_consuming};
    ending it = {.set = &set, .consumer = gw__amqp_consumer_new(&set, &spec, &sink)};
    gw__consumers_up(&set, &fix->session);
    gw__consumers_start(&set, it.consumer);
    gw__consumers_work(&set, fix->now);
    while (fix->session.out.len < GW__OUT_HIGH_WATER) {
        assert_int_equal(gw__wire_heartbeat(&fix->session.out), GW_OK);
    }
    assert_int_equal(pthread_create(&it.thread, NULL, end, &it), 0);
    if (!work_until_ended(fix, &set, &it)) {
        fail_msg("they wait for the broker to read");
    }
    gw__consumers_down(&set);
    gw__amqp_consumer_free(it.consumer);
    gw__connection_stop(set.connection, 0);
    gw__consumers_dispose(&set);
    gw__endpoint_dispose(&endpoint);
}

/* Nor are others declared after it only. */
static void test_declarations_at_the_same_time(void **state)
{
    fixture *fix = *state;
    gw__target hanging = {.exchange = "", .queue = "no-leader"};
    uint16_t channel = serve_confirms(fix);
    source_add(fix->src, &hanging, "held", 1);
    turn(fix);
    uint16_t first = serve_channel(fix);
    assert_int_equal(expect(fix, AMQP_QUEUE_DECLARE_METHOD), first);
    source_add(fix->src, &hanging, "held too", 1);
    source_add(fix->src, &fix->target, "good", 1);
    turn(fix);
    serve_declaration(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes("no-leader")};
    say(fix, first, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    turn(fix);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
    assert_int_equal(expect(fix, AMQP_BASIC_PUBLISH_METHOD), channel);
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
        TEST(test_one_queue_that_never_confirms),
        TEST(test_channel_that_refuses_everything),
        TEST(test_channel_that_refuses_now_and_then),
        TEST(test_confirms_that_wait_for_an_alarm),
        TEST(test_confirms_after_an_alarm),
        TEST(test_confirms_that_never_come_within_a_message),
        TEST(test_flow_within_a_message),
        TEST(test_ending_while_the_broker_does_not_read),
        TEST(test_declarations_at_the_same_time),
        TEST(test_declaration_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
