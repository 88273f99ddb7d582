/* SPDX-License-Identifier: MIT */
/* Consuming from a broker that follows a script. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/consumer.h"
#include "amqp/properties.h"
#include "source.h"
#include "support/fake_broker.h"

#define WAIT_S 15
#define N_MOST 64

/* ---- a sink -------------------------------------------------------------- */

typedef struct sink {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gw_message *msgs[N_MOST];
    gw__delivery deliveries[N_MOST];
    size_t n_msgs;
    size_t n_told; /* of them, when the end of a batch was told last */
    bool holds;    /* the transport's thread, at the next delivery */
    uint64_t lost;
    unsigned n_lost;
    bool consuming;
    unsigned n_consuming;
    char why[GW_ERROR_TEXT_MAX];
} sink;

static void on_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    sink *to = ctx;
    pthread_mutex_lock(&to->lock);
    if (to->n_msgs == N_MOST) {
        abort();
    }
    to->msgs[to->n_msgs] = msg;
    to->deliveries[to->n_msgs++] = delivery;
    pthread_cond_broadcast(&to->changed);
    while (to->holds) { /* which is not allowed, but lets a test do several things at once */
        pthread_cond_wait(&to->changed, &to->lock);
    }
    pthread_mutex_unlock(&to->lock);
}

static void on_delivered(void *ctx)
{
    sink *to = ctx;
    pthread_mutex_lock(&to->lock);
    to->n_told = to->n_msgs;
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->lock);
}

static void on_lost(void *ctx, uint64_t epoch)
{
    sink *to = ctx;
    pthread_mutex_lock(&to->lock);
    to->lost = epoch;
    to->n_lost++;
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->lock);
}

static void on_state(void *ctx, bool consuming, const gw_error *why)
{
    sink *to = ctx;
    pthread_mutex_lock(&to->lock);
    to->consuming = consuming;
    to->n_consuming += consuming;
    snprintf(to->why, sizeof(to->why), "%s", why != NULL ? why->text : "");
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->lock);
}

static sink *sink_new(void)
{
    sink *to = calloc(1, sizeof(*to));
    pthread_mutex_init(&to->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&to->changed, &attr);
    pthread_condattr_destroy(&attr);
    return to;
}

static void sink_free(sink *to)
{
    for (size_t i = 0; i < to->n_msgs; i++) {
        gw_message_free(to->msgs[i]);
    }
    pthread_cond_destroy(&to->changed);
    pthread_mutex_destroy(&to->lock);
    free(to);
}

typedef bool (*condition)(const sink *to, size_t n);

static bool has_messages(const sink *to, size_t n)
{
    return to->n_told >= n;
}

static bool is_held(const sink *to, size_t n)
{
    return to->holds && to->n_msgs >= n;
}

static bool was_lost(const sink *to, size_t n)
{
    return to->n_lost >= n;
}

static bool was_consuming(const sink *to, size_t n)
{
    return to->n_consuming >= n && to->consuming;
}

static bool is_idle(const sink *to, size_t n)
{
    (void)n;
    return !to->consuming && to->why[0] != '\0';
}

static void sink_wait(sink *to, condition holds, size_t n, const char *what)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&to->lock);
    while (!holds(to, n) && pthread_cond_timedwait(&to->changed, &to->lock, &until) == 0) {}
    bool held = holds(to, n);
    pthread_mutex_unlock(&to->lock);
    if (!held) {
        fail_msg("waited in vain for %s %zu; %zu messages, %u lost, why: %s", what, n, to->n_msgs,
                 to->n_lost, to->why);
    }
}

#define WAIT(to, holds, n) sink_wait((to), holds, (n), #holds)

/* Wait until it does not consume for a reason that contains this. */
static void wait_why(sink *to, const char *text)
{
    WAIT(to, is_idle, 0);
    pthread_mutex_lock(&to->lock);
    bool fits = strstr(to->why, text) != NULL && strstr(to->why, "'q'") != NULL;
    char why[GW_ERROR_TEXT_MAX];
    memcpy(why, to->why, sizeof(why));
    to->why[0] = '\0';
    pthread_mutex_unlock(&to->lock);
    if (!fits) {
        fail_msg("'%s' does not say '%s'", why, text);
    }
}

static size_t n_messages(sink *to)
{
    pthread_mutex_lock(&to->lock);
    size_t n = to->n_msgs;
    pthread_mutex_unlock(&to->lock);
    return n;
}

/* ---- fixture ------------------------------------------------------------- */

typedef struct fixture {
    fake_broker *broker;
    fake_conn *publish; /* the other connection, which is not of interest */
    fake_conn *conn;
    source *src;
    sink *to;
    gw__consumer *consumer;
    gw__consumer_spec spec;
    uint16_t channel;
    char tag[256];
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    fix->broker = fake_broker_new();
    fix->src = source_new();
    fix->to = sink_new();
    fix->spec = (gw__consumer_spec){.queue = "q", .consumer_name = "tester", .prefetch = 10};
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->publish = fake_accept_open(fix->broker);
    fake_serve_confirm_channel(fix->publish);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    if (fix->consumer != NULL) {
        gw__amqp_transport.cancel(fix->consumer, 0);
        gw__amqp_transport.release(fix->consumer, 0);
    }
    fake_hang_up(fix->conn);
    fake_hang_up(fix->publish);
    source_free(fix->src);
    sink_free(fix->to);
    fake_broker_free(fix->broker);
    free(fix);
    return 0;
}

static gw__consumer *subscribe(fixture *fix, sink *to)
{
    const gw__sink callbacks = {.deliver = on_deliver,
                                .delivered = on_delivered,
                                .lost = on_lost,
                                .state = on_state,
                                .ctx = to};
    gw__consumer *consumer = NULL;
    assert_int_equal(
        gw__amqp_transport.subscribe(fix->src->transport, &fix->spec, &callbacks, &consumer, NULL),
        GW_OK);
    return consumer;
}

static void connect_plain(fixture *fix)
{
    fix->conn = fake_accept_open(fix->broker);
}

static void serve(fixture *fix)
{
    fix->channel = fake_serve_consumer(fix->conn, fix->tag);
}

static void begin(fixture *fix)
{
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    serve(fix);
    WAIT(fix->to, was_consuming, 1);
}

/* Deliver bodies "first", "first + 1", ... with the tags of the same number. */
static void deliver(fixture *fix, uint64_t first, uint64_t last)
{
    for (uint64_t tag = first; tag <= last; tag++) {
        char body[32];
        snprintf(body, sizeof(body), "%llu", (unsigned long long)tag);
        fake_deliver(fix->conn, fix->channel, fix->tag, tag, body);
    }
}

static void settle(fixture *fix, size_t first, size_t n, gw__settlement how)
{
    gw__amqp_transport.settle(fix->consumer, fix->to->deliveries + first, n, how);
}

static void expect_ack(fixture *fix, uint64_t tag, bool multiple)
{
    const amqp_basic_ack_t *ack = fake_expect(fix->conn, AMQP_BASIC_ACK_METHOD, NULL);
    if (ack->delivery_tag != tag || (ack->multiple != 0) != multiple) {
        fail_msg("ack of %llu%s instead of %llu%s", (unsigned long long)ack->delivery_tag,
                 ack->multiple ? ", multiple" : "", (unsigned long long)tag,
                 multiple ? ", multiple" : "");
    }
}

/* ---- what is declared ---------------------------------------------------- */

static void test_work_queue(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    fake_serve_channel(fix->conn);
    const amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_true(declare->durable);
    assert_false(declare->exclusive);
    assert_false(declare->auto_delete);
    assert_false(declare->passive);
    assert_int_equal(declare->arguments.num_entries, 0);
}

static void test_temporary_queue(void **state)
{
    fixture *fix = *state;
    fix->spec.temporary = true;
    fix->spec.exchange = "x";
    fix->spec.exchange_type = GW_EXCHANGE_FANOUT;
    fix->spec.binding_key = "key.#";
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    uint16_t channel = fake_serve_channel(fix->conn);
    const amqp_exchange_declare_t *exchange =
        fake_expect(fix->conn, AMQP_EXCHANGE_DECLARE_METHOD, NULL);
    assert_memory_equal(exchange->type.bytes, "fanout", 6);
    assert_true(exchange->durable);
    amqp_exchange_declare_ok_t exchange_ok = {0};
    fake_send_method(fix->conn, channel, AMQP_EXCHANGE_DECLARE_OK_METHOD, &exchange_ok);
    const amqp_queue_declare_t *queue = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    assert_false(queue->durable);
    assert_false(queue->exclusive); /* it must survive a short loss of the connection */
    assert_false(queue->auto_delete);
    assert_int_equal(queue->arguments.num_entries, 1);
    assert_memory_equal(queue->arguments.entries[0].key.bytes, "x-expires", 9);
    assert_int_equal(queue->arguments.entries[0].value.value.i64, 60000);
    amqp_queue_declare_ok_t queue_ok = {.queue = amqp_cstring_bytes("q")};
    fake_send_method(fix->conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &queue_ok);
    const amqp_queue_bind_t *bind = fake_expect(fix->conn, AMQP_QUEUE_BIND_METHOD, NULL);
    assert_memory_equal(bind->exchange.bytes, "x", 1);
    assert_memory_equal(bind->queue.bytes, "q", 1);
    assert_memory_equal(bind->routing_key.bytes, "key.#", 5);
}

static void test_prefetch_and_tag(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    fake_serve_declarations(fix->conn, NULL);
    uint16_t channel = fake_serve_channel(fix->conn);
    const amqp_basic_qos_t *qos = fake_expect(fix->conn, AMQP_BASIC_QOS_METHOD, NULL);
    assert_int_equal(qos->prefetch_count, 10);
    assert_int_equal(qos->prefetch_size, 0);
    assert_false(qos->global);
    amqp_basic_qos_ok_t ok = {0};
    fake_send_method(fix->conn, channel, AMQP_BASIC_QOS_OK_METHOD, &ok);
    const amqp_basic_consume_t *consume = fake_expect(fix->conn, AMQP_BASIC_CONSUME_METHOD, NULL);
    assert_false(consume->no_ack);
    assert_false(consume->exclusive);
    assert_memory_equal(consume->consumer_tag.bytes, "tester-", 7);
}

/* ---- deliveries ---------------------------------------------------------- */

static void test_delivery(void **state)
{
    fixture *fix = *state;
    begin(fix);
    fake_deliver(fix->conn, fix->channel, fix->tag, 1, "hello");
    WAIT(fix->to, has_messages, 1);
    const gw_message *msg = fix->to->msgs[0];
    size_t len;
    assert_memory_equal(gw_message_body(msg, &len), "hello", 6);
    assert_int_equal(len, 5);
    assert_string_equal(gw_message_id(msg), "id-1");
    assert_string_equal(gw_message_exchange(msg), "an-exchange");
    assert_string_equal(gw_message_routing_key(msg), "a-key");
    assert_string_equal(gw_message_queue(msg), "q");
    assert_false(gw_message_is_redelivered(msg));
    assert_false(gw_message_is_persistent(msg));
    assert_int_equal(fix->to->deliveries[0].tag, 1);
}

static void test_delivery_byte_by_byte(void **state)
{
    fixture *fix = *state;
    begin(fix);
    fake_be_slow(fix->conn);
    deliver(fix, 1, 3);
    WAIT(fix->to, has_messages, 3);
    assert_string_equal(gw_message_body(fix->to->msgs[2], NULL), "3");
}

static void begin_content(fixture *fix, uint64_t body_size)
{
    amqp_basic_deliver_t method = {
        .consumer_tag = amqp_cstring_bytes(fix->tag), .delivery_tag = 1, .redelivered = true};
    amqp_basic_properties_t properties = {._flags = 0};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_DELIVER_METHOD, &method);
    fake_send_header(fix->conn, fix->channel, &properties, body_size);
}

static void test_body_in_many_frames(void **state)
{
    fixture *fix = *state;
    begin(fix);
    enum { PIECE = 100000, N = 100 };
    char *piece = malloc(PIECE);
    begin_content(fix, (uint64_t)PIECE * N);
    for (int i = 0; i < N; i++) {
        memset(piece, 'a' + i % 26, PIECE);
        fake_send_frame(fix->conn, AMQP_FRAME_BODY, fix->channel, piece, PIECE);
    }
    free(piece);
    WAIT(fix->to, has_messages, 1);
    size_t len;
    const char *body = gw_message_body(fix->to->msgs[0], &len);
    assert_int_equal(len, PIECE * N);
    for (size_t i = 0; i < len; i += 9999) {
        assert_int_equal(body[i], 'a' + (int)(i / PIECE) % 26);
    }
    assert_true(gw_message_is_redelivered(fix->to->msgs[0]));
}

static void test_connection_lost_within_a_body(void **state)
{
    fixture *fix = *state;
    begin(fix);
    begin_content(fix, 10);
    fake_send_frame(fix->conn, AMQP_FRAME_BODY, fix->channel, "half.", 5);
    fake_reset(fix->conn);
    fix->conn = NULL;
    WAIT(fix->to, was_lost, 1);
    assert_int_equal(n_messages(fix->to), 0);
    connect_plain(fix);
    serve(fix);
    WAIT(fix->to, was_consuming, 2);
    deliver(fix, 1, 1);
    WAIT(fix->to, has_messages, 1);
}

/* A message with headers nested as deep as a frame can hold, which any publisher can send: it comes
 * without them, marked, and the connection lives. */
static void test_deep_headers(void **state)
{
    fixture *fix = *state;
    begin(fix);
    enum { DEPTH = 18000 };
    size_t table_len = DEPTH * 7;
    size_t len = 14 + 4 + table_len;
    uint8_t *payload = calloc(1, len);
    payload[1] = 60;
    payload[12] = AMQP_BASIC_HEADERS_FLAG >> 8;
    size_t at = 14;
    for (size_t i = 0; i <= DEPTH; i++) {
        size_t rest = table_len - i * 7;
        for (int shift = 24; shift >= 0; shift -= 8) {
            payload[at++] = (uint8_t)(rest >> shift);
        }
        if (i < DEPTH) {
            memcpy(payload + at, "\x01kF", 3);
            at += 3;
        }
    }
    assert_int_equal(at, len);
    amqp_basic_deliver_t method = {.consumer_tag = amqp_cstring_bytes(fix->tag), .delivery_tag = 1};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_DELIVER_METHOD, &method);
    fake_send_frame(fix->conn, AMQP_FRAME_HEADER, fix->channel, payload, len);
    free(payload);
    WAIT(fix->to, has_messages, 1);
    assert_int_equal(gw_message_header_int(fix->to->msgs[0], GW__HEADERS_DROPPED, 0), 1);
    settle(fix, 0, 1, GW__ACK);
    expect_ack(fix, 1, false);
}

/* Larger than we take: not delivered, not given back (it would come again at once), and the next
 * one comes. */
static void test_message_too_large(void **state)
{
    fixture *fix = *state;
    begin(fix);
    enum { PIECE = 131064 };
    char *piece = calloc(1, PIECE);
    uint64_t size = GW_MESSAGE_BODY_MAX + 1;
    begin_content(fix, size);
    for (uint64_t left = size; left > 0;) {
        size_t len = left < PIECE ? (size_t)left : PIECE;
        fake_send_frame(fix->conn, AMQP_FRAME_BODY, fix->channel, piece, len);
        left -= len;
    }
    free(piece);
    deliver(fix, 2, 2);
    WAIT(fix->to, has_messages, 1);
    assert_int_equal(fix->to->deliveries[0].tag, 2);
    settle(fix, 0, 1, GW__ACK);
    expect_ack(fix, 2, false); /* not multiple: 1 is still open */
}

/* ---- deliveries that are wrong ------------------------------------------- */

static void say_wrong(fixture *fix, int which)
{
    switch (which) {
    case 0: deliver(fix, 1, 11); break; /* more than the prefetch */
    case 1:
        deliver(fix, 2, 2);
        deliver(fix, 1, 1);
        break;
    case 2:
        deliver(fix, 1, 1);
        deliver(fix, 1, 1);
        break;
    case 3: fake_deliver(fix->conn, fix->channel, "not-ours", 1, "x"); break;
    case 4: fake_deliver(fix->conn, 7, fix->tag, 1, "x"); break;
    case 5: fake_return(fix->conn, fix->channel, "x", "k", "id"); break;
    case 6: fake_ack(fix->conn, fix->channel, 1, false); break;
    case 7: fake_send_frame(fix->conn, 9, 0, "x", 1); break;
    case 8: fake_send_bytes(fix->conn, "\x03\0\x01\0\x02\0\0", 7); break; /* 128 KiB: too large */
    case 9: fake_send_bytes(fix->conn, "\x08\0\0\0\0\0\0\xcd", 8); break;
    case 10: fake_send_bytes(fix->conn, "garbage", 7); break;
    case 11: fake_send_frame(fix->conn, AMQP_FRAME_METHOD, fix->channel, "\0\x3c", 2); break;
    default: fake_send_frame(fix->conn, AMQP_FRAME_HEADER, fix->channel, "\0\x3c", 2); break;
    }
}

/* Whatever the broker does wrong, the connection is made anew and consuming goes on. */
static void test_wrong_deliveries(void **state)
{
    for (int which = 0; which <= 12; which++) {
        fixture *fix = *state;
        begin(fix);
        say_wrong(fix, which);
        fake_expect_hang_up(fix->conn);
        fake_hang_up(fix->conn);
        WAIT(fix->to, was_lost, 1);
        connect_plain(fix);
        serve(fix);
        WAIT(fix->to, was_consuming, 2);
        teardown(state); /* a fresh one, for the backoff grows */
        setup(state);
    }
}

/* ---- settling ------------------------------------------------------------ */

static void test_acks_are_gathered(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 10);
    WAIT(fix->to, has_messages, 10);
    settle(fix, 0, 10, GW__ACK);
    expect_ack(fix, 10, true);
    assert_true(fake_is_quiet(fix->conn, 20));
}

static void test_settled_out_of_order(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 4);
    WAIT(fix->to, has_messages, 4);
    settle(fix, 2, 1, GW__ACK);
    expect_ack(fix, 3, false);
    settle(fix, 0, 1, GW__ACK);
    expect_ack(fix, 1, false);
    settle(fix, 1, 1, GW__REQUEUE);
    const amqp_basic_nack_t *nack = fake_expect(fix->conn, AMQP_BASIC_NACK_METHOD, NULL);
    assert_int_equal(nack->delivery_tag, 2);
    assert_true(nack->requeue);
    assert_false(nack->multiple);
    /* Settled twice: the broker would close the channel over it. */
    settle(fix, 0, 3, GW__ACK);
    settle(fix, 3, 1, GW__ACK);
    expect_ack(fix, 4, false);
}

/* What was delivered before the connection was lost is not ours to settle any more. */
static void test_stale_settlements(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 2);
    WAIT(fix->to, has_messages, 2);
    fake_reset(fix->conn);
    fix->conn = NULL;
    WAIT(fix->to, was_lost, 1);
    assert_int_equal(fix->to->lost, fix->to->deliveries[0].epoch);
    settle(fix, 0, 1, GW__ACK); /* with no connection */
    connect_plain(fix);
    char first_tag[256];
    memcpy(first_tag, fix->tag, sizeof(first_tag));
    serve(fix);
    assert_string_not_equal(fix->tag, first_tag); /* a consumer tag is never used again */
    WAIT(fix->to, was_consuming, 2);
    deliver(fix, 1, 2);
    WAIT(fix->to, has_messages, 4);
    assert_true(fix->to->deliveries[2].epoch > fix->to->deliveries[0].epoch);
    settle(fix, 0, 2, GW__ACK); /* the same tags, of the old epoch */
    settle(fix, 3, 1, GW__ACK);
    expect_ack(fix, 2, false);
    assert_true(fake_is_quiet(fix->conn, 20));
}

/* ---- another prefetch while it consumes ---------------------------------- */

static void send_ok(fixture *fix, amqp_method_number_t id)
{
    amqp_basic_cancel_ok_t cancelled = {.consumer_tag = amqp_cstring_bytes(fix->tag)};
    amqp_basic_consume_ok_t consuming = {.consumer_tag = amqp_cstring_bytes(fix->tag)};
    amqp_basic_qos_ok_t qos = {0};
    void *method = id == AMQP_BASIC_CANCEL_OK_METHOD    ? (void *)&cancelled
                   : id == AMQP_BASIC_CONSUME_OK_METHOD ? (void *)&consuming
                                                        : (void *)&qos;
    fake_send_method(fix->conn, fix->channel, id, method);
}

static void expect_qos(fixture *fix, unsigned prefetch)
{
    uint16_t channel;
    const amqp_basic_qos_t *qos = fake_expect(fix->conn, AMQP_BASIC_QOS_METHOD, &channel);
    assert_int_equal(qos->prefetch_count, prefetch);
    assert_int_equal(channel, fix->channel);
}

static void expect_consume(fixture *fix)
{
    uint16_t channel;
    const amqp_basic_consume_t *consume =
        fake_expect(fix->conn, AMQP_BASIC_CONSUME_METHOD, &channel);
    assert_int_equal(channel, fix->channel);
    assert_memory_not_equal(consume->consumer_tag.bytes, fix->tag, strlen(fix->tag));
    snprintf(fix->tag, sizeof(fix->tag), "%.*s", (int)consume->consumer_tag.len,
             (const char *)consume->consumer_tag.bytes);
}

/* The whole way to another prefetch. */
static void serve_tuning(fixture *fix, unsigned prefetch)
{
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
    expect_qos(fix, prefetch);
    send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
    expect_consume(fix);
    send_ok(fix, AMQP_BASIC_CONSUME_OK_METHOD);
}

static void set_prefetch(fixture *fix, uint16_t prefetch)
{
    gw__amqp_transport.set_prefetch(fix->consumer, prefetch);
}

/* What is out stays valid, what comes before the old consumer's end is taken, and at no moment is
 * it said not to consume. */
static void test_other_prefetch(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 3);
    WAIT(fix->to, has_messages, 3);
    set_prefetch(fix, 20);
    const amqp_basic_cancel_t *cancel = fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    assert_memory_equal(cancel->consumer_tag.bytes, fix->tag, strlen(fix->tag));
    deliver(fix, 4, 10);
    send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
    expect_qos(fix, 20);
    settle(fix, 0, 1, GW__ACK);
    expect_ack(fix, 1, false);
    send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
    expect_consume(fix);
    send_ok(fix, AMQP_BASIC_CONSUME_OK_METHOD);
    deliver(fix, 11, 30); /* a full one on top of the nine that are out */
    WAIT(fix->to, has_messages, 30);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(fix->to->deliveries[i].tag, i + 1);
        assert_int_equal(fix->to->deliveries[i].epoch, fix->to->deliveries[0].epoch);
    }
    settle(fix, 1, 29, GW__ACK);
    expect_ack(fix, 30, true);
    assert_int_equal(fix->to->n_consuming, 1);
    assert_true(fix->to->consuming);
    assert_int_equal(fix->to->n_lost, 0);
    set_prefetch(fix, 20); /* as it is: nothing to do */
    assert_true(fake_is_quiet(fix->conn, 20));
}

/* A smaller one holds for the new consumer: more than that is the broker's error. */
static void test_smaller_prefetch(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 10);
    set_prefetch(fix, 2);
    serve_tuning(fix, 2);
    deliver(fix, 11, 12);
    WAIT(fix->to, has_messages, 12);
    assert_int_equal(fix->to->n_lost, 0);
    deliver(fix, 13, 13);
    fake_expect_hang_up(fix->conn);
}

static void test_other_prefetch_twice(void **state)
{
    fixture *fix = *state;
    begin(fix);
    set_prefetch(fix, 20);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
    expect_qos(fix, 20);
    set_prefetch(fix, 30); /* too late for this time */
    send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
    expect_consume(fix);
    send_ok(fix, AMQP_BASIC_CONSUME_OK_METHOD);
    serve_tuning(fix, 30);
    deliver(fix, 1, 30);
    WAIT(fix->to, has_messages, 30);
}

/* Both end the consumer: it is declared and consumed from again, and what is out is kept. */
static void test_other_prefetch_and_cancelled_by_the_broker(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 2);
    WAIT(fix->to, has_messages, 2);
    set_prefetch(fix, 20);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(fix->tag), .nowait = 1};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
    send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
    wait_why(fix->to, "ended the consumer");
    fake_serve_declarations(fix->conn, NULL);
    expect_qos(fix, 20);
    send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
    expect_consume(fix);
    send_ok(fix, AMQP_BASIC_CONSUME_OK_METHOD);
    WAIT(fix->to, was_consuming, 2);
    assert_int_equal(fix->to->n_lost, 0);
    settle(fix, 0, 2, GW__ACK);
    expect_ack(fix, 2, true);
}

static void test_connection_lost_between_two_prefetches(void **state)
{
    fixture *fix = *state;
    begin(fix);
    set_prefetch(fix, 20);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    fake_reset(fix->conn);
    WAIT(fix->to, was_lost, 1);
    connect_plain(fix);
    fake_serve_declarations(fix->conn, NULL);
    fix->channel = fake_serve_channel(fix->conn);
    expect_qos(fix, 20);
}

/* ---- a consumer is lost, the connection is not --------------------------- */

static void test_cancelled_by_the_broker(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 1);
    WAIT(fix->to, has_messages, 1);
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(fix->tag), .nowait = 1};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
    wait_why(fix->to, "ended the consumer");
    fake_serve_declarations(fix->conn, NULL); /* declared again */
    uint16_t channel;
    const amqp_basic_consume_t *consume =
        fake_expect(fix->conn, AMQP_BASIC_CONSUME_METHOD, &channel);
    assert_int_equal(channel, fix->channel); /* consumed from again, on the same channel */
    assert_memory_not_equal(consume->consumer_tag.bytes, fix->tag, strlen(fix->tag));
    snprintf(fix->tag, sizeof(fix->tag), "%.*s", (int)consume->consumer_tag.len,
             (const char *)consume->consumer_tag.bytes);
    amqp_basic_consume_ok_t ok = {.consumer_tag = consume->consumer_tag};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CONSUME_OK_METHOD, &ok);
    WAIT(fix->to, was_consuming, 2);
    /* A full prefetch on top of what was out; and what was delivered before is not lost. */
    deliver(fix, 2, 11);
    WAIT(fix->to, has_messages, 11);
    assert_int_equal(fix->to->n_lost, 0);
    settle(fix, 0, 11, GW__ACK);
    expect_ack(fix, 11, true);
}

/* Nor is it when we end it as well before it consumes again. */
static void test_cancelled_by_both(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 2);
    WAIT(fix->to, has_messages, 2);
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(fix->tag), .nowait = 1};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
    wait_why(fix->to, "ended the consumer");
    fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    gw__amqp_transport.cancel(fix->consumer, 10000);         /* nothing to wait for */
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL); /* of the declaration */
    settle(fix, 0, 2, GW__ACK);
    expect_ack(fix, 2, true);
    assert_int_equal(fix->to->n_lost, 0);
}

/* Each consumer has its own channel: what closes one does not touch the other. */
static void test_channel_closed_by_the_broker(void **state)
{
    fixture *fix = *state;
    begin(fix);
    sink *second = sink_new();
    fix->spec.queue = "second";
    gw__consumer *consumer = subscribe(fix, second);
    char tag[256];
    uint16_t channel = fake_serve_consumer(fix->conn, tag);
    WAIT(second, was_consuming, 1);
    assert_int_not_equal(channel, fix->channel);
    fake_close_channel(fix->conn, fix->channel, 406,
                       "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    wait_why(fix->to, "timed out");
    fake_deliver(fix->conn, channel, tag, 1, "meanwhile");
    WAIT(second, has_messages, 1);
    serve(fix);
    WAIT(fix->to, was_consuming, 2);
    assert_int_equal(second->n_lost, 0);
    gw__amqp_transport.cancel(consumer, 0);
    gw__amqp_transport.release(consumer, 0);
    sink_free(second);
}

/* The channel and right behind it the connection, which are heard of in one turn: the consumer
 * begins with the next connection, not on the one that is gone. */
static void test_channel_and_connection_closed_at_once(void **state)
{
    fixture *fix = *state;
    begin(fix);
    const uint8_t closes[] = {1,   0,    (uint8_t)fix->channel,
                              0,   0,    0,
                              12,  0,    20,
                              0,   40,   1,
                              148, 1,    'x',
                              0,   0,    0,
                              0,   0xce, /* 404 */
                              1,   0,    0,
                              0,   0,    0,
                              12,  0,    10,
                              0,   50,   1,
                              64,  1,    'y',
                              0,   0,    0,
                              0,   0xce};
    fake_send_bytes(fix->conn, closes, sizeof(closes));
    WAIT(fix->to, was_lost, 1);
    fake_expect_hang_up(fix->conn);
    fake_hang_up(fix->conn);
    connect_plain(fix);
    serve(fix);
    WAIT(fix->to, was_consuming, 2);
}

/* Refusals of a declaration, each tried again; what the code means decides how soon. */
static void test_refused_declarations(void **state)
{
    fixture *fix = *state;
    static const struct {
        uint16_t code;
        const char *text;
    } cases[] = {{405, "RESOURCE_LOCKED - cannot obtain exclusive access"},
                 {404, "NOT_FOUND - home node 'rabbit@x' of durable queue is down"},
                 {541, "INTERNAL_ERROR"}};
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    for (size_t i = 0; i < 3; i++) {
        uint16_t channel = fake_serve_channel(fix->conn);
        fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
        fake_close_channel(fix->conn, channel, cases[i].code, cases[i].text);
        fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
        wait_why(fix->to, cases[i].text);
    }
    serve(fix);
    WAIT(fix->to, was_consuming, 1);
}

typedef struct beating {
    fake_conn *conn;
    atomic_bool stop;
    pthread_t thread;
} beating;

static void *beat(void *arg)
{
    beating *it = arg;
    const struct timespec pause = {.tv_nsec = 300000000};
    while (!atomic_load(&it->stop)) {
        fake_send_frame(it->conn, AMQP_FRAME_HEARTBEAT, 0, NULL, 0);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* The next declaration of a queue, whose name is returned; refused if it is `locked`. */
static uint16_t expect_declare(fixture *fix, char *ret_name, const char *locked)
{
    uint16_t channel = fake_serve_channel(fix->conn);
    const amqp_queue_declare_t *method = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    snprintf(ret_name, 256, "%.*s", (int)method->queue.len, (const char *)method->queue.bytes);
    if (strcmp(ret_name, locked) == 0) {
        fake_close_channel(fix->conn, channel, 405,
                           "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'");
        fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    }
    return channel;
}

/* A queue of our own name is held by another: for two heartbeats it may be a connection of ours
 * that the broker has not found dead yet; then another name will do. */
static void test_locked_temporary_queue(void **state)
{
    fixture *fix = *state;
    fix->spec.temporary = true;
    fix->consumer = subscribe(fix, fix->to);
    fix->conn = fake_accept_tuned(fix->broker, (fake_tuning){2047, 131072, 1});
    beating beats = {.conn = fix->conn};
    assert_int_equal(pthread_create(&beats.thread, NULL, beat, &beats), 0);
    char name[256];
    uint16_t channel;
    unsigned n = 0;
    uint64_t before = gw_clock_ms();
    do {
        channel = expect_declare(fix, name, "q");
        n++;
    } while (strcmp(name, "q") == 0);
    assert_true(gw_clock_ms() - before >= 2000);
    assert_true(n > 3);
    assert_memory_equal(name, "q.", 2);
    wait_why(fix->to, "405 RESOURCE_LOCKED");
    amqp_queue_declare_ok_t ok = {.queue = amqp_cstring_bytes(name)};
    fake_send_method(fix->conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_channel_close_ok_t closed = {0};
    fake_send_method(fix->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    fix->channel = fake_serve_channel(fix->conn);
    expect_qos(fix, 10);
    send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
    const amqp_basic_consume_t *consume = fake_expect(fix->conn, AMQP_BASIC_CONSUME_METHOD, NULL);
    assert_int_equal(consume->queue.len, strlen(name));
    assert_memory_equal(consume->queue.bytes, name, strlen(name));
    atomic_store(&beats.stop, true);
    pthread_join(beats.thread, NULL);
}

/* A work queue has the name that it has: it is tried for as long as it takes. */
static void test_locked_work_queue(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    fix->conn = fake_accept_tuned(fix->broker, (fake_tuning){2047, 131072, 1});
    beating beats = {.conn = fix->conn};
    assert_int_equal(pthread_create(&beats.thread, NULL, beat, &beats), 0);
    uint64_t until = gw_clock_ms() + 2500;
    char name[256];
    do {
        expect_declare(fix, name, "q");
        assert_string_equal(name, "q");
    } while (gw_clock_ms() < until);
    wait_why(fix->to, "405 RESOURCE_LOCKED");
    atomic_store(&beats.stop, true);
    pthread_join(beats.thread, NULL);
}

static void test_queue_with_other_properties(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    uint16_t channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    fake_close_channel(fix->conn, channel, 406, "PRECONDITION_FAILED - inequivalent arg 'x-max'");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    serve(fix); /* passive, and on */
    WAIT(fix->to, was_consuming, 1);
}

static void test_no_permission(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    fake_serve_declarations(fix->conn, NULL);
    uint16_t channel = fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_BASIC_QOS_METHOD, NULL);
    amqp_basic_qos_ok_t ok = {0};
    fake_send_method(fix->conn, channel, AMQP_BASIC_QOS_OK_METHOD, &ok);
    fake_expect(fix->conn, AMQP_BASIC_CONSUME_METHOD, NULL);
    fake_close_channel(fix->conn, channel, 403, "ACCESS_REFUSED - read access to queue 'q'");
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL);
    wait_why(fix->to, "403 ACCESS_REFUSED");
    assert_true(fake_is_quiet(fix->conn, 300)); /* five seconds at least */
}

/* ---- cancel and release -------------------------------------------------- */

typedef struct ending {
    gw__consumer *consumer;
    unsigned timeout_ms;
    bool release;
    pthread_t thread;
} ending;

static void *end(void *arg)
{
    const ending *it = arg;
    if (it->release) {
        gw__amqp_transport.release(it->consumer, it->timeout_ms);
    } else {
        gw__amqp_transport.cancel(it->consumer, it->timeout_ms);
    }
    return NULL;
}

/* Both wait for the broker, which is played here; so they run elsewhere. */
static void start_ending(fixture *fix, ending *it, bool release)
{
    *it = (ending){.consumer = fix->consumer, .timeout_ms = 10000, .release = release};
    assert_int_equal(pthread_create(&it->thread, NULL, end, it), 0);
}

static void cancel_politely(fixture *fix)
{
    ending cancelling;
    start_ending(fix, &cancelling, false);
    const amqp_basic_cancel_t *method = fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    amqp_basic_cancel_ok_t ok = {.consumer_tag = method->consumer_tag};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
    pthread_join(cancelling.thread, NULL);
}

/* Deliveries that come before the broker's answer are still dispatched. */
static void test_cancel(void **state)
{
    fixture *fix = *state;
    begin(fix);
    ending cancelling;
    start_ending(fix, &cancelling, false);
    const amqp_basic_cancel_t *method = fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    assert_int_equal(method->consumer_tag.len, strlen(fix->tag));
    assert_memory_equal(method->consumer_tag.bytes, fix->tag, strlen(fix->tag));
    deliver(fix, 1, 2);
    amqp_basic_cancel_ok_t ok = {.consumer_tag = amqp_cstring_bytes(fix->tag)};
    fake_send_method(fix->conn, fix->channel, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
    pthread_join(cancelling.thread, NULL);
    assert_int_equal(n_messages(fix->to), 2); /* when cancel returns, they have been */
    settle(fix, 0, 2, GW__ACK);
    expect_ack(fix, 2, true);
}

static void hold(fixture *fix, bool holds)
{
    pthread_mutex_lock(&fix->to->lock);
    fix->to->holds = holds;
    pthread_cond_broadcast(&fix->to->changed);
    pthread_mutex_unlock(&fix->to->lock);
}

/* Wait until another thread has asked this of the consumer, whose own thread is held. */
static void wait_until_asked(fixture *fix, unsigned what)
{
    gw__amqp_consumer *consumer = (gw__amqp_consumer *)fix->consumer;
    uint64_t until_ms = gw_clock_ms() + WAIT_S * 1000;
    bool asked = false;
    while (!asked && gw_clock_ms() < until_ms) {
        pthread_mutex_lock(&consumer->lock);
        asked = (consumer->asked & what) != 0;
        pthread_mutex_unlock(&consumer->lock);
        sched_yield();
    }
    assert_true(asked);
}

/* It is ended for good on its way to another prefetch, at each step of it. */
static void test_cancel_between_two_prefetches(void **state)
{
    for (int step = 0; step < 3; step++) {
        fixture *fix = *state;
        begin(fix);
        deliver(fix, 1, 2);
        WAIT(fix->to, has_messages, 2);
        set_prefetch(fix, 20);
        fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
        if (step > 0) {
            send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
            expect_qos(fix, 20);
        }
        if (step > 1) {
            send_ok(fix, AMQP_BASIC_QOS_OK_METHOD);
            expect_consume(fix);
        }
        ending cancelling;
        hold(fix, true);
        deliver(fix, 3, 3);
        WAIT(fix->to, is_held, 3);
        start_ending(fix, &cancelling, false);
        wait_until_asked(fix, GW__ASK_CANCEL);
        settle(fix, 0, 1, GW__ACK);
        hold(fix, false);
        expect_ack(fix, 1, false);
        static const amqp_method_number_t answers[] = {
            AMQP_BASIC_CANCEL_OK_METHOD, AMQP_BASIC_QOS_OK_METHOD, AMQP_BASIC_CONSUME_OK_METHOD};
        send_ok(fix, answers[step]);
        if (step == 2) {
            fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
            deliver(fix, 4, 4);
            send_ok(fix, AMQP_BASIC_CANCEL_OK_METHOD);
        }
        pthread_join(cancelling.thread, NULL);
        assert_int_equal(n_messages(fix->to), step == 2 ? 4 : 3);
        settle(fix, 1, 1, GW__ACK);
        expect_ack(fix, 2, false);
        assert_int_equal(fix->to->n_lost, 0);
        teardown(state);
        setup(state);
    }
}

/* The broker does not answer: cancel returns all the same, and nothing is delivered after that. */
static void test_cancel_without_an_answer(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 1);
    WAIT(fix->to, has_messages, 1);
    gw__amqp_transport.cancel(fix->consumer, 50);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    deliver(fix, 2, 3);
    settle(fix, 0, 1, GW__ACK); /* seen by the broker after those two were sent */
    expect_ack(fix, 1, false);
    assert_int_equal(n_messages(fix->to), 1);
}

static void test_cancel_when_the_connection_is_lost(void **state)
{
    fixture *fix = *state;
    begin(fix);
    ending cancelling;
    start_ending(fix, &cancelling, false);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    fake_reset(fix->conn);
    fix->conn = NULL;
    uint64_t before = gw_clock_ms();
    pthread_join(cancelling.thread, NULL);
    assert_true(gw_clock_ms() - before < 5000);
    /* It is not consumed from again. */
    connect_plain(fix);
    assert_true(fake_is_quiet(fix->conn, 50));
}

static void test_cancel_before_it_consumed(void **state)
{
    fixture *fix = *state;
    fix->consumer = subscribe(fix, fix->to);
    connect_plain(fix);
    fake_serve_channel(fix->conn);
    fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    gw__amqp_transport.cancel(fix->consumer, 10000); /* nothing to wait for */
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    assert_int_equal(fix->to->n_consuming, 0);
}

/* Settlements are with the broker when release returns. */
static void test_release(void **state)
{
    fixture *fix = *state;
    begin(fix);
    deliver(fix, 1, 3);
    WAIT(fix->to, has_messages, 3);
    cancel_politely(fix);
    settle(fix, 0, 2, GW__ACK);
    ending releasing;
    start_ending(fix, &releasing, true);
    expect_ack(fix, 2, true);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL); /* the third goes back by this */
    amqp_channel_close_ok_t ok = {0};
    fake_send_method(fix->conn, fix->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    pthread_join(releasing.thread, NULL);
    fix->consumer = NULL;
}

static void test_release_of_a_temporary_queue(void **state)
{
    fixture *fix = *state;
    fix->spec.temporary = true;
    begin(fix);
    cancel_politely(fix);
    ending releasing;
    start_ending(fix, &releasing, true);
    const amqp_queue_delete_t *method = fake_expect(fix->conn, AMQP_QUEUE_DELETE_METHOD, NULL);
    assert_memory_equal(method->queue.bytes, "q", 1);
    amqp_queue_delete_ok_t deleted = {0};
    fake_send_method(fix->conn, fix->channel, AMQP_QUEUE_DELETE_OK_METHOD, &deleted);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_channel_close_ok_t ok = {0};
    fake_send_method(fix->conn, fix->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    pthread_join(releasing.thread, NULL);
    fix->consumer = NULL;
}

/* No second call on a channel that still owes the answer to the first: the queue expires by itself.
 * The answer that comes late is no harm to the other consumers. */
static void test_release_of_a_temporary_queue_without_cancel_ok(void **state)
{
    fixture *fix = *state;
    begin(fix);
    gw__consumer *bystander = fix->consumer;
    sink *second = sink_new();
    fix->spec.temporary = true;
    fix->consumer = subscribe(fix, second);
    char tag[256];
    uint16_t channel = fake_serve_consumer(fix->conn, tag);
    WAIT(second, was_consuming, 1);
    gw__amqp_transport.cancel(fix->consumer, 50);
    ending releasing;
    start_ending(fix, &releasing, true);
    fake_expect(fix->conn, AMQP_BASIC_CANCEL_METHOD, NULL);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    amqp_basic_cancel_ok_t ok = {.consumer_tag = amqp_cstring_bytes(tag)};
    fake_send_method(fix->conn, channel, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
    amqp_channel_close_ok_t closed = {0};
    fake_send_method(fix->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    pthread_join(releasing.thread, NULL);
    fix->consumer = bystander;
    deliver(fix, 1, 1);
    WAIT(fix->to, has_messages, 1);
    assert_int_equal(fix->to->n_lost, 0);
    sink_free(second);
}

static void test_release_without_an_answer(void **state)
{
    fixture *fix = *state;
    begin(fix);
    cancel_politely(fix);
    gw__amqp_transport.release(fix->consumer, 50);
    fix->consumer = NULL;
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
}

static void test_release_when_the_connection_is_lost(void **state)
{
    fixture *fix = *state;
    begin(fix);
    cancel_politely(fix);
    ending releasing;
    start_ending(fix, &releasing, true);
    fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, NULL);
    fake_reset(fix->conn);
    fix->conn = NULL;
    pthread_join(releasing.thread, NULL);
    fix->consumer = NULL;
}

/* The consuming connection exists only once there is a consumer, and both count for the state. */
static void test_second_connection(void **state)
{
    fixture *fix = *state;
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    assert_true(fake_nobody_comes(fix->broker, 50));
    begin(fix);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    const char *name = fake_client_property(fix->conn, "connection_name");
    assert_non_null(name);
    assert_non_null(strstr(name, " consume"));
    fake_hang_up(fix->conn);
    fix->conn = NULL;
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "closed the connection");
    connect_plain(fix);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_work_queue),
        TEST(test_temporary_queue),
        TEST(test_prefetch_and_tag),
        TEST(test_delivery),
        TEST(test_delivery_byte_by_byte),
        TEST(test_body_in_many_frames),
        TEST(test_connection_lost_within_a_body),
        TEST(test_deep_headers),
        TEST(test_message_too_large),
        TEST(test_wrong_deliveries),
        TEST(test_acks_are_gathered),
        TEST(test_settled_out_of_order),
        TEST(test_stale_settlements),
        TEST(test_other_prefetch),
        TEST(test_smaller_prefetch),
        TEST(test_other_prefetch_twice),
        TEST(test_other_prefetch_and_cancelled_by_the_broker),
        TEST(test_connection_lost_between_two_prefetches),
        TEST(test_cancelled_by_the_broker),
        TEST(test_cancelled_by_both),
        TEST(test_channel_closed_by_the_broker),
        TEST(test_channel_and_connection_closed_at_once),
        TEST(test_refused_declarations),
        TEST(test_locked_temporary_queue),
        TEST(test_locked_work_queue),
        TEST(test_queue_with_other_properties),
        TEST(test_no_permission),
        TEST(test_cancel),
        TEST(test_cancel_between_two_prefetches),
        TEST(test_cancel_without_an_answer),
        TEST(test_cancel_when_the_connection_is_lost),
        TEST(test_cancel_before_it_consumed),
        TEST(test_release),
        TEST(test_release_of_a_temporary_queue),
        TEST(test_release_of_a_temporary_queue_without_cancel_ok),
        TEST(test_release_without_an_answer),
        TEST(test_release_when_the_connection_is_lost),
        TEST(test_second_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
