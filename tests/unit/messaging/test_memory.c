/* SPDX-License-Identifier: MIT */
/* The in-memory transport at the transport's own interface, and the test helpers of
 * godwit/testing.h. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/testing.h>

#include "messaging/memory_broker.h"
#include "messaging/transport.h"

#define WAIT_MS 10000
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- what a client would see ------------------------------------------------ */

#define SEEN_MAX 4096

typedef struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gw_message *msgs[SEEN_MAX];
    gw__delivery deliveries[SEEN_MAX];
    size_t n;
    unsigned n_states;
    bool consuming;
    gw_status why;
    uint64_t lost;
    bool closed;               /* nothing may come any more */
    bool late;                 /* but it did */
    gw__consumer *settle_with; /* acknowledge at once */
} recorder;

static void recorder_init(recorder *rec)
{
    memset(rec, 0, sizeof(*rec));
    pthread_mutex_init(&rec->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&rec->changed, &attr);
    pthread_condattr_destroy(&attr);
}

static void recorder_dispose(recorder *rec)
{
    for (size_t i = 0; i < rec->n; i++) {
        gw_message_free(rec->msgs[i]);
    }
    pthread_cond_destroy(&rec->changed);
    pthread_mutex_destroy(&rec->lock);
}

static void on_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    recorder *rec = ctx;
    pthread_mutex_lock(&rec->lock);
    rec->late = rec->late || rec->closed;
    assert_true(rec->n < SEEN_MAX);
    rec->msgs[rec->n] = msg;
    rec->deliveries[rec->n++] = delivery;
    gw__consumer *consumer = rec->settle_with;
    pthread_cond_broadcast(&rec->changed);
    pthread_mutex_unlock(&rec->lock);
    if (consumer != NULL) {
        consumer->transport->type->settle(consumer, &delivery, 1, GW__ACK);
    }
}

static void on_delivered(void *ctx)
{
    (void)ctx;
}

static void on_lost(void *ctx, uint64_t epoch)
{
    recorder *rec = ctx;
    pthread_mutex_lock(&rec->lock);
    rec->late = rec->late || rec->closed;
    rec->lost = epoch;
    pthread_cond_broadcast(&rec->changed);
    pthread_mutex_unlock(&rec->lock);
}

static void on_state(void *ctx, bool consuming, const gw_error *why)
{
    recorder *rec = ctx;
    pthread_mutex_lock(&rec->lock);
    rec->late = rec->late || rec->closed;
    rec->consuming = consuming;
    rec->why = why == NULL ? GW_OK : why->status;
    rec->n_states++;
    pthread_cond_broadcast(&rec->changed);
    pthread_mutex_unlock(&rec->lock);
}

static bool wait_more(recorder *rec, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&rec->changed, &rec->lock, deadline) == 0;
}

static struct timespec deadline_in(unsigned ms)
{
    uint64_t ns = gw_clock_ns() + (uint64_t)ms * GW_NS_PER_MS;
    return (struct timespec){.tv_sec = (time_t)(ns / GW_NS_PER_S),
                             .tv_nsec = (long)(ns % GW_NS_PER_S)};
}

static void wait_for_n(recorder *rec, size_t n)
{
    struct timespec deadline = deadline_in(WAIT_MS);
    pthread_mutex_lock(&rec->lock);
    while (rec->n < n) {
        if (!wait_more(rec, &deadline)) {
            fail_msg("%zu messages came, %zu expected", rec->n, n);
        }
    }
    pthread_mutex_unlock(&rec->lock);
}

static void wait_for_state(recorder *rec, unsigned n_states)
{
    struct timespec deadline = deadline_in(WAIT_MS);
    pthread_mutex_lock(&rec->lock);
    while (rec->n_states < n_states) {
        if (!wait_more(rec, &deadline)) {
            fail_msg("%u states came, %u expected", rec->n_states, n_states);
        }
    }
    pthread_mutex_unlock(&rec->lock);
}

static const char *body_of(const recorder *rec, size_t i)
{
    assert_true(i < rec->n);
    return gw_message_body(rec->msgs[i], NULL);
}

/* ---- fixtures ------------------------------------------------------------------- */

static const gw__transport_type *const type = &gw__memory_transport;

static void ignore_state(void *ctx, gw_client_state st, const gw_error *why)
{
    (void)ctx;
    (void)st;
    (void)why;
}

static gw__transport *open_broker(const char *url)
{
    gw__transport_options options = {.name = "test", .heartbeat_s = 10};
    gw__transport_events events = {.state = ignore_state};
    gw__transport *transport = NULL;
    gw_error err = GW_ERROR_INIT;
    if (type->open(url, &options, &events, &transport, &err) != GW_OK) {
        fail_msg("open %s: %s", url, err.text);
    }
    return transport;
}

static gw__consumer *consume(gw__transport *transport, recorder *rec, gw__consumer_spec spec)
{
    gw__sink sink = {.deliver = on_deliver,
                     .delivered = on_delivered,
                     .lost = on_lost,
                     .state = on_state,
                     .ctx = rec};
    gw__consumer *consumer = NULL;
    spec.prefetch = spec.prefetch == 0 ? 100 : spec.prefetch;
    assert_int_equal(type->subscribe(transport, &spec, &sink, &consumer, NULL), GW_OK);
    wait_for_state(rec, 1);
    return consumer;
}

static gw_status publish_to(gw__transport *transport, gw__target *target, const char *key,
                            const char *body, bool mandatory)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    gw__outgoing item = {.msg = msg, .target = target, .routing_key = key, .mandatory = mandatory};
    gw_error err = GW_ERROR_INIT;
    gw_status st = type->publish(transport, &item, &err);
    assert_true(st == GW_OK || err.text[0] != '\0');
    gw_message_free(msg);
    return st;
}

static gw_status publish_on(gw__transport *transport, const char *queue, const char *body)
{
    gw__target target = {.exchange = "", .queue = queue};
    return publish_to(transport, &target, queue, body, true);
}

static void publish_numbers(gw__transport *transport, const char *queue, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(publish_on(transport, queue, text), GW_OK);
    }
}

static void release(gw__consumer *consumer, recorder *rec)
{
    type->cancel(consumer, WAIT_MS);
    type->release(consumer, WAIT_MS);
    pthread_mutex_lock(&rec->lock);
    rec->closed = true;
    pthread_mutex_unlock(&rec->lock);
}

static size_t queue_len(const char *url, const char *queue)
{
    size_t len = 0;
    gw_error err = GW_ERROR_INIT;
    if (gw_testing_queue_len(url, queue, &len, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return len;
}

static void take_expect(const char *url, const char *queue, const char *body, bool redelivered)
{
    gw_message *msg = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_testing_take(url, queue, WAIT_MS, &msg, &err) != GW_OK) {
        fail_msg("take '%s': %s", body, err.text);
    }
    assert_string_equal(gw_message_body(msg, NULL), body);
    assert_int_equal(gw_message_is_redelivered(msg), redelivered);
    gw_message_free(msg);
}

/* ---- URLs -------------------------------------------------------------------------- */

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        gw_status st;
        const char *name;
        size_t max_messages;
        size_t max_bytes;
    } cases[] = {
        {"memory:a", GW_OK, "a", GW__BROKER_MAX_MESSAGES, GW__BROKER_MAX_BYTES},
        {"memory:a?max_messages=3", GW_OK, "a", 3, GW__BROKER_MAX_BYTES},
        {"memory:a b?max_bytes=9&max_messages=0", GW_OK, "a b", 0, 9},
        {"memory:", GW_E_INVALID, NULL, 0, 0},
        {"memory:?max_bytes=9", GW_E_INVALID, NULL, 0, 0},
        {"memory", GW_E_INVALID, NULL, 0, 0},
        {"amqp://h", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?max_bytes", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?max_bytes=", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?max_bytes=-1", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?max_bytes=1x", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?max_bytes=9999999999999", GW_E_INVALID, NULL, 0, 0},
        {"memory:a?other=1", GW_E_INVALID, NULL, 0, 0},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char name[GW__BROKER_NAME_MAX + 1];
        gw__broker_limits limits;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__broker_parse_url(cases[i].url, name, &limits, &err);
        if (st != cases[i].st) {
            fail_msg("%s: got %s, expected %s", cases[i].url, gw_status_name(st),
                     gw_status_name(cases[i].st));
        }
        if (st == GW_OK) {
            assert_string_equal(name, cases[i].name);
            assert_int_equal(limits.max_messages, cases[i].max_messages);
            assert_int_equal(limits.max_bytes, cases[i].max_bytes);
        } else {
            assert_non_null(strstr(err.text, "memory:NAME"));
        }
    }
    char url[300] = "memory:";
    memset(url + 7, 'n', 256);
    url[7 + 256] = '\0';
    char name[GW__BROKER_NAME_MAX + 1];
    gw__broker_limits limits;
    assert_int_equal(gw__broker_parse_url(url, name, &limits, NULL), GW_E_INVALID);
    url[7 + 255] = '\0';
    assert_int_equal(gw__broker_parse_url(url, name, &limits, NULL), GW_OK);
}

/* ---- queues --------------------------------------------------------------------------- */

static void test_order_and_properties(void **state)
{
    (void)state;
    gw__transport *transport = open_broker("memory:order");
    recorder rec;
    recorder_init(&rec);
    publish_numbers(transport, "q", 1, 3); /* before there is a consumer */
    gw__consumer *consumer = consume(transport, &rec, (gw__consumer_spec){.queue = "q"});
    publish_numbers(transport, "q", 4, 5);
    wait_for_n(&rec, 5);
    for (size_t i = 0; i < 5; i++) {
        char want[2] = {(char)('1' + i), '\0'};
        assert_string_equal(body_of(&rec, i), want);
        assert_string_equal(gw_message_exchange(rec.msgs[i]), "");
        assert_string_equal(gw_message_routing_key(rec.msgs[i]), "q");
        assert_string_equal(gw_message_queue(rec.msgs[i]), "q");
        assert_false(gw_message_is_redelivered(rec.msgs[i]));
        assert_int_equal(rec.deliveries[i].epoch, 1);
    }
    type->settle(consumer, rec.deliveries, 5, GW__ACK);
    type->settle(consumer, rec.deliveries, 5, GW__REQUEUE); /* again: nothing */
    release(consumer, &rec);
    assert_int_equal(queue_len("memory:order", "q"), 0);
    assert_false(rec.late);
    recorder_dispose(&rec);
    type->close(transport, WAIT_MS);
}

static void test_prefetch_and_turns(void **state)
{
    (void)state;
    const char *url = "memory:prefetch";
    gw__transport *one = open_broker(url);
    gw__transport *two = open_broker(url);
    recorder first;
    recorder second;
    recorder_init(&first);
    recorder_init(&second);
    gw__consumer_spec spec = {.queue = "q", .prefetch = 2};
    gw__consumer *a = consume(one, &first, spec);
    gw__consumer *b = consume(two, &second, spec);
    publish_numbers(one, "q", 1, 9);
    wait_for_n(&first, 2);
    wait_for_n(&second, 2);
    assert_int_equal(queue_len(url, "q"), 5); /* the prefetch is used up */
    assert_string_equal(body_of(&first, 0), "1");
    assert_string_equal(body_of(&second, 0), "2");
    assert_string_equal(body_of(&first, 1), "3");
    assert_string_equal(body_of(&second, 1), "4");
    type->settle(b, &second.deliveries[1], 1, GW__ACK); /* out of order */
    wait_for_n(&second, 3);
    assert_string_equal(body_of(&second, 2), "5");
    assert_int_equal(queue_len(url, "q"), 4);
    release(a, &first);
    release(b, &second);
    assert_int_equal(queue_len(url, "q"), 8); /* all but the one acknowledged */
    static const char *const left[] = {"1", "2", "3", "5"};
    for (size_t i = 0; i < N_OF(left); i++) {
        take_expect(url, "q", left[i], true);
    }
    take_expect(url, "q", "6", false);
    type->close(one, WAIT_MS);
    assert_int_equal(queue_len(url, "q"), 3); /* the other has the broker open still */
    type->close(two, WAIT_MS);
    size_t len;
    assert_int_equal(gw_testing_queue_len(url, "q", &len, NULL), GW_E_NOT_FOUND);
    recorder_dispose(&first);
    recorder_dispose(&second);
}

/* More come at once; fewer only once enough of those that are out are settled. */
static void test_other_prefetch(void **state)
{
    (void)state;
    const char *url = "memory:other-prefetch";
    gw__transport *transport = open_broker(url);
    recorder rec;
    recorder_init(&rec);
    gw__consumer *consumer =
        consume(transport, &rec, (gw__consumer_spec){.queue = "q", .prefetch = 2});
    publish_numbers(transport, "q", 1, 9);
    wait_for_n(&rec, 2);
    type->set_prefetch(consumer, 4);
    wait_for_n(&rec, 4);
    assert_int_equal(queue_len(url, "q"), 5);
    type->set_prefetch(consumer, 1);
    type->settle(consumer, rec.deliveries, 3, GW__ACK);
    assert_int_equal(queue_len(url, "q"), 5);
    type->settle(consumer, &rec.deliveries[3], 1, GW__ACK);
    wait_for_n(&rec, 5);
    assert_string_equal(body_of(&rec, 4), "5");
    assert_int_equal(queue_len(url, "q"), 4);
    release(consumer, &rec);
    type->close(transport, WAIT_MS);
    recorder_dispose(&rec);
}

static void test_requeue_to_the_front(void **state)
{
    (void)state;
    const char *url = "memory:requeue";
    gw__transport *transport = open_broker(url);
    recorder rec;
    recorder_init(&rec);
    gw__consumer *consumer =
        consume(transport, &rec, (gw__consumer_spec){.queue = "q", .prefetch = 3});
    publish_numbers(transport, "q", 1, 5);
    wait_for_n(&rec, 3);
    gw__delivery wrong = {.epoch = 1, .tag = 99};
    type->settle(consumer, &wrong, 1, GW__ACK);
    type->settle(consumer, &rec.deliveries[1], 1, GW__REQUEUE);
    wait_for_n(&rec, 4);
    assert_string_equal(body_of(&rec, 3), "2"); /* before 4 and 5, which waited behind it */
    assert_true(gw_message_is_redelivered(rec.msgs[3]));
    type->settle(consumer, &rec.deliveries[1], 1, GW__ACK); /* the old tag: nothing */
    type->settle(consumer, &rec.deliveries[3], 1, GW__ACK);
    wait_for_n(&rec, 5);
    assert_string_equal(body_of(&rec, 4), "4");
    assert_false(gw_message_is_redelivered(rec.msgs[4]));
    release(consumer, &rec);
    take_expect(url, "q", "1", true);
    take_expect(url, "q", "3", true);
    take_expect(url, "q", "4", true);
    take_expect(url, "q", "5", false);
    type->close(transport, WAIT_MS);
    recorder_dispose(&rec);
}

static void test_cancel_hands_the_rest_to_others(void **state)
{
    (void)state;
    const char *url = "memory:cancel";
    gw__transport *transport = open_broker(url);
    recorder first;
    recorder second;
    recorder_init(&first);
    recorder_init(&second);
    gw__consumer *a = consume(transport, &first, (gw__consumer_spec){.queue = "q"});
    publish_numbers(transport, "q", 1, 3);
    wait_for_n(&first, 3);
    type->cancel(a, WAIT_MS);
    publish_numbers(transport, "q", 4, 4);
    assert_int_equal(queue_len(url, "q"), 1);      /* not for the cancelled one */
    type->settle(a, first.deliveries, 1, GW__ACK); /* still possible */
    gw__consumer *b = consume(transport, &second, (gw__consumer_spec){.queue = "q"});
    wait_for_n(&second, 1);
    type->release(a, WAIT_MS);
    wait_for_n(&second, 3);
    assert_string_equal(body_of(&second, 0), "4");
    assert_string_equal(body_of(&second, 1), "2");
    assert_string_equal(body_of(&second, 2), "3");
    assert_true(gw_message_is_redelivered(second.msgs[1]));
    assert_int_equal(first.n, 3);
    release(b, &second);
    type->close(transport, WAIT_MS);
    recorder_dispose(&first);
    recorder_dispose(&second);
}

static void test_expiration(void **state)
{
    (void)state;
    const char *url = "memory:expiration";
    gw__transport *transport = open_broker(url);
    gw__target target = {.exchange = "", .queue = "q"};
    static const int64_t expirations[] = {0, 1, -1, 60000, 0};
    for (size_t i = 0; i < N_OF(expirations); i++) {
        char text[2] = {(char)('1' + i), '\0'};
        gw_message *msg = gw_message_new(text, 1);
        gw_message_set_expiration_ms(msg, expirations[i]);
        gw__outgoing item = {.msg = msg, .target = &target, .routing_key = "q"};
        assert_int_equal(type->publish(transport, &item, NULL), GW_OK);
        gw_message_free(msg);
    }
    uint64_t until = gw_clock_ms() + WAIT_MS;
    while (queue_len(url, "q") > 3 && gw_clock_ms() < until) {
        struct timespec pause = {.tv_sec = 0, .tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(queue_len(url, "q"), 3); /* the last has expired, but is not at the head */
    take_expect(url, "q", "3", false);
    take_expect(url, "q", "4", false);
    assert_int_equal(queue_len(url, "q"), 0);

    recorder rec; /* a consumer that waits gets what would expire at once */
    recorder_init(&rec);
    gw__consumer *consumer = consume(transport, &rec, (gw__consumer_spec){.queue = "q"});
    gw_message *msg = gw_message_new("now", 3);
    gw_message_set_expiration_ms(msg, 0);
    gw__outgoing item = {.msg = msg, .target = &target, .routing_key = "q"};
    assert_int_equal(type->publish(transport, &item, NULL), GW_OK);
    gw_message_free(msg);
    wait_for_n(&rec, 1);
    assert_int_equal(gw_message_expiration_ms(rec.msgs[0]), 0);
    release(consumer, &rec);
    assert_int_equal(queue_len(url, "q"), 0); /* and it does not wait again */
    type->close(transport, WAIT_MS);
    recorder_dispose(&rec);
}

/* ---- exchanges ---------------------------------------------------------------------------- */

static void test_exchange_types(void **state)
{
    (void)state;
    static const struct {
        gw_exchange_type type;
        const char *binding;
        const char *key;
        bool routed;
    } cases[] = {
        {GW_EXCHANGE_DIRECT, "k", "k", true},    {GW_EXCHANGE_DIRECT, "k", "l", false},
        {GW_EXCHANGE_DIRECT, "#", "l", false},   {GW_EXCHANGE_FANOUT, "k", "l", true},
        {GW_EXCHANGE_TOPIC, "k.*", "k.l", true}, {GW_EXCHANGE_TOPIC, "k.*", "l.k", false},
        {GW_EXCHANGE_TOPIC, "#", "", true},      {GW_EXCHANGE_HEADERS, "k", "l", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *url = "memory:types";
        gw__transport *transport = open_broker(url);
        gw__target target = {.exchange = "x", .type = cases[i].type};
        recorder rec;
        recorder_init(&rec);
        gw__consumer *consumer = consume(transport, &rec,
                                         (gw__consumer_spec){.queue = "q",
                                                             .exchange = "x",
                                                             .exchange_type = cases[i].type,
                                                             .binding_key = cases[i].binding});
        gw_status st = publish_to(transport, &target, cases[i].key, "body", true);
        gw_status want = cases[i].routed ? GW_OK : GW_E_UNROUTABLE;
        if (st != want) {
            fail_msg("%s '%s' '%s': got %s, expected %s", gw_exchange_type_name(cases[i].type),
                     cases[i].binding, cases[i].key, gw_status_name(st), gw_status_name(want));
        }
        assert_int_equal(publish_to(transport, &target, cases[i].key, "body", false), GW_OK);
        if (cases[i].routed) {
            wait_for_n(&rec, 2);
            assert_string_equal(gw_message_exchange(rec.msgs[0]), "x");
            assert_string_equal(gw_message_routing_key(rec.msgs[0]), cases[i].key);
        }
        release(consumer, &rec);
        type->close(transport, WAIT_MS);
        recorder_dispose(&rec);
    }
}

/* One queue with two bindings that match gets one copy; a temporary queue goes with its consumer.
 */
static void test_bindings_and_temporary_queues(void **state)
{
    (void)state;
    const char *url = "memory:temporary";
    gw__transport *transport = open_broker(url);
    gw__consumer_spec spec = {.queue = "t",
                              .temporary = true,
                              .exchange = "x",
                              .exchange_type = GW_EXCHANGE_TOPIC,
                              .binding_key = "#"};
    recorder first;
    recorder second;
    recorder_init(&first);
    recorder_init(&second);
    gw__consumer *a = consume(transport, &first, spec);
    spec.binding_key = "a.*";
    gw__consumer *b = consume(transport, &second, spec);
    gw__target target = {.exchange = "x", .type = GW_EXCHANGE_TOPIC};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(publish_to(transport, &target, "a.b", "body", true), GW_OK);
    }
    wait_for_n(&first, 2);
    wait_for_n(&second, 2);
    release(a, &first);
    wait_for_n(&second, 4); /* the queue is there as long as one consumer is */
    release(b, &second);
    size_t len;
    assert_int_equal(gw_testing_queue_len(url, "t", &len, NULL), GW_E_NOT_FOUND);
    assert_int_equal(publish_to(transport, &target, "a.b", "body", true), GW_E_UNROUTABLE);
    type->close(transport, WAIT_MS);
    recorder_dispose(&first);
    recorder_dispose(&second);
}

static void test_conflicts(void **state)
{
    (void)state;
    gw__transport *transport = open_broker("memory:conflicts");
    gw__target direct = {.exchange = "x", .type = GW_EXCHANGE_DIRECT};
    gw__target fanout = {.exchange = "x", .type = GW_EXCHANGE_FANOUT};
    gw__target reserved = {.exchange = "amq.mine", .type = GW_EXCHANGE_FANOUT};
    gw__target ready_made = {.exchange = "amq.topic", .type = GW_EXCHANGE_TOPIC};
    gw__target quorum = {.exchange = "", .queue = "q", .queue_type = GW_QUEUE_QUORUM};
    assert_int_equal(publish_to(transport, &direct, "k", "b", false), GW_OK);
    assert_int_equal(publish_to(transport, &fanout, "k", "b", false), GW_E_EXISTS);
    assert_int_equal(publish_to(transport, &reserved, "k", "b", false), GW_E_DENIED);
    assert_int_equal(publish_to(transport, &ready_made, "k", "b", false), GW_OK);
    assert_int_equal(publish_on(transport, "q", "b"), GW_OK);
    assert_int_equal(publish_to(transport, &quorum, "q", "b", false), GW_E_EXISTS);
    assert_int_equal(publish_on(transport, "amq.q", "b"), GW_E_DENIED);

    static const gw__consumer_spec specs[] = {
        {.queue = "new", .exchange = "x", .exchange_type = GW_EXCHANGE_TOPIC, .binding_key = "#"},
        {.queue = "q", .temporary = true},
        {.queue = "q", .queue_type = GW_QUEUE_QUORUM},
    };
    for (size_t i = 0; i < N_OF(specs); i++) {
        recorder rec;
        recorder_init(&rec);
        gw__consumer *consumer = consume(transport, &rec, specs[i]);
        assert_false(rec.consuming);
        assert_int_equal(rec.why, GW_E_EXISTS);
        assert_int_equal(gw_testing_disconnect("memory:conflicts", NULL), GW_OK);
        gw__delivery delivery = {.epoch = 1, .tag = 1};
        type->settle(consumer, &delivery, 1, GW__REQUEUE);
        release(consumer, &rec);
        recorder_dispose(&rec);
    }
    size_t len;
    assert_int_equal(gw_testing_queue_len("memory:conflicts", "new", &len, NULL), GW_E_NOT_FOUND);
    type->close(transport, WAIT_MS);
}

/* ---- limits, loss of the connection, load ---------------------------------------------------- */

static void test_full(void **state)
{
    (void)state;
    const char *url = "memory:full?max_messages=3";
    gw__transport *transport = open_broker(url);
    publish_numbers(transport, "q", 1, 3);
    assert_int_equal(publish_on(transport, "q", "4"), GW_E_FULL);
    take_expect(url, "q", "1", false);
    assert_int_equal(publish_on(transport, "q", "5"), GW_OK);
    recorder rec;
    recorder_init(&rec);
    gw__consumer *consumer = consume(transport, &rec, (gw__consumer_spec){.queue = "q"});
    wait_for_n(&rec, 3);
    assert_int_equal(publish_on(transport, "q", "6"), GW_E_FULL); /* unsettled ones count */
    type->settle(consumer, rec.deliveries, 1, GW__ACK);
    assert_int_equal(publish_on(transport, "q", "7"), GW_OK);
    release(consumer, &rec);
    type->close(transport, WAIT_MS);
    recorder_dispose(&rec);

    transport = open_broker("memory:full?max_bytes=2000"); /* a new broker: new limits */
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(publish_on(transport, "q", big), GW_E_FULL);
    assert_int_equal(publish_on(transport, "q", "small"), GW_OK);
    type->close(transport, WAIT_MS);
}

static void test_disconnect(void **state)
{
    (void)state;
    const char *url = "memory:disconnect";
    gw__transport *transport = open_broker(url);
    recorder rec;
    recorder_init(&rec);
    gw__consumer *consumer =
        consume(transport, &rec, (gw__consumer_spec){.queue = "q", .prefetch = 2});
    publish_numbers(transport, "q", 1, 3);
    wait_for_n(&rec, 2);
    assert_int_equal(gw_testing_disconnect(url, NULL), GW_OK);
    wait_for_n(&rec, 4);
    assert_int_equal(rec.lost, 1);
    assert_int_equal(rec.n_states, 3); /* up, down, up */
    assert_true(rec.consuming);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(body_of(&rec, i), body_of(&rec, i + 2));
        assert_true(gw_message_is_redelivered(rec.msgs[i + 2]));
        assert_int_equal(rec.deliveries[i + 2].epoch, 2);
    }
    type->settle(consumer, rec.deliveries, 2, GW__ACK); /* of the old epoch: nothing */
    assert_int_equal(queue_len(url, "q"), 1);
    type->settle(consumer, rec.deliveries + 2, 2, GW__ACK);
    wait_for_n(&rec, 5);
    type->settle(consumer, rec.deliveries + 4, 1, GW__ACK);
    assert_int_equal(gw_testing_wait_handled(url, "q", WAIT_MS, NULL), GW_OK);
    release(consumer, &rec);
    assert_false(rec.late);
    type->close(transport, WAIT_MS);
    recorder_dispose(&rec);
}

static void test_helpers_without_a_broker(void **state)
{
    (void)state;
    gw_message *msg = NULL;
    size_t len;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_testing_take("memory:none", "q", 0, &msg, &err), GW_E_NOT_FOUND);
    assert_string_equal(err.text, "no client has opened memory:none");
    assert_int_equal(gw_testing_queue_len("amqp://h", "q", &len, NULL), GW_E_INVALID);
    assert_int_equal(gw_testing_disconnect("memory:none", NULL), GW_E_NOT_FOUND);
    gw__transport *transport = open_broker("memory:helpers");
    assert_int_equal(gw_testing_take("memory:helpers", "q", 1, &msg, &err), GW_E_TIMEOUT);
    assert_int_equal(gw_testing_wait_handled("memory:helpers", "q", 1, &err), GW_E_NOT_FOUND);
    publish_numbers(transport, "q", 1, 1);
    assert_int_equal(gw_testing_wait_handled("memory:helpers", "q", 1, &err), GW_E_TIMEOUT);
    assert_non_null(
        strstr(err.text, "1 messages wait, 0 of them for a retry, and 0 are at consumers"));
    assert_null(msg);
    type->close(transport, WAIT_MS);
}

#define LOAD_THREADS 4
#define LOAD_EACH    500

static void *publish_load(void *arg)
{
    gw__transport *transport = arg;
    for (int i = 0; i < LOAD_EACH; i++) {
        gw_status st = publish_on(transport, "q", "load");
        if (st != GW_OK) {
            return (void *)1;
        }
    }
    return NULL;
}

static void *disconnect_often(void *arg)
{
    for (int i = 0; i < 50; i++) {
        if (gw_testing_disconnect(arg, NULL) != GW_OK) {
            return (void *)1;
        }
    }
    return NULL;
}

static gw__consumer *consume_and_acknowledge(gw__transport *transport, recorder *rec)
{
    recorder_init(rec);
    gw__consumer *consumer =
        consume(transport, rec, (gw__consumer_spec){.queue = "q", .prefetch = 7});
    pthread_mutex_lock(&rec->lock);
    rec->settle_with = consumer;
    size_t n = rec->n;
    pthread_mutex_unlock(&rec->lock);
    type->settle(consumer, rec->deliveries, n, GW__ACK);
    return consumer;
}

/* Many publishers, consumers that come and go and lose their connections: everything is
 * acknowledged in the end, nothing comes after a release. */
static void test_load(void **state)
{
    (void)state;
    const char *url = "memory:load";
    gw__transport *transports[2] = {open_broker(url), open_broker(url)};
    pthread_t threads[LOAD_THREADS + 1];
    for (size_t i = 0; i < LOAD_THREADS; i++) {
        pthread_create(&threads[i], NULL, publish_load, transports[i % 2]);
    }
    pthread_create(&threads[LOAD_THREADS], NULL, disconnect_often, (void *)(uintptr_t)url);
    for (int round = 0; round < 20; round++) {
        recorder recs[2];
        gw__consumer *consumers[2];
        for (size_t i = 0; i < 2; i++) {
            consumers[i] = consume_and_acknowledge(transports[i], &recs[i]);
        }
        for (size_t i = 0; i < 2; i++) {
            release(consumers[i], &recs[i]);
            assert_false(recs[i].late);
            recorder_dispose(&recs[i]);
        }
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    recorder rec;
    gw__consumer *consumer = consume_and_acknowledge(transports[0], &rec);
    assert_int_equal(gw_testing_wait_handled(url, "q", WAIT_MS, NULL), GW_OK);
    release(consumer, &rec);
    recorder_dispose(&rec);
    type->close(transports[0], WAIT_MS);
    type->close(transports[1], WAIT_MS);
}

/* ---- delays ------------------------------------------------------------------------ */

static gw_status publish_later(gw__transport *transport, const char *queue, const char *body,
                               unsigned delay_ms)
{
    gw__target target = {.exchange = "", .queue = queue, .delay_ms = delay_ms};
    return publish_to(transport, &target, queue, body, true);
}

/* In the order in which they are due, none too early; the publisher may be gone by then. */
static void test_delayed(void **state)
{
    (void)state;
    static recorder rec;
    recorder_init(&rec);
    gw__transport *publisher = open_broker("memory:delayed");
    gw__transport *transport = open_broker("memory:delayed");
    gw__consumer *consumer = consume(transport, &rec, (gw__consumer_spec){.queue = "q"});
    uint64_t start_ms = gw_clock_ms();
    assert_int_equal(publish_later(publisher, "q", "third", 120), GW_OK);
    assert_int_equal(publish_later(publisher, "q", "second", 60), GW_OK);
    assert_int_equal(publish_later(publisher, "q", "fourth", 120), GW_OK);
    assert_int_equal(publish_on(publisher, "q", "first"), GW_OK);
    type->close(publisher, WAIT_MS);
    wait_for_n(&rec, 2);
    assert_in_range(gw_clock_ms() - start_ms, 60, WAIT_MS);
    wait_for_n(&rec, 4);
    assert_in_range(gw_clock_ms() - start_ms, 120, WAIT_MS);
    static const char *const expected[] = {"first", "second", "third", "fourth"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(body_of(&rec, i), expected[i]);
        assert_string_equal(gw_message_routing_key(rec.msgs[i]), "q");
        assert_false(gw_message_is_redelivered(rec.msgs[i]));
    }
    release(consumer, &rec);
    recorder_dispose(&rec);
    type->close(transport, WAIT_MS);
}

/* What is not due yet counts, and goes with the broker. */
static void test_delayed_counts(void **state)
{
    (void)state;
    gw__transport *transport = open_broker("memory:delayed-full?max_messages=2");
    assert_int_equal(publish_later(transport, "q", "1", 60000), GW_OK);
    assert_int_equal(publish_later(transport, "q", "2", 60000), GW_OK);
    assert_int_equal(publish_later(transport, "q", "3", 60000), GW_E_FULL);
    assert_int_equal(queue_len("memory:delayed-full", "q"), 0);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_testing_wait_handled("memory:delayed-full", "q", 1, &err), GW_E_TIMEOUT);
    assert_non_null(strstr(err.text, "2 messages wait, 2 of them for a retry"));
    type->close(transport, WAIT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_order_and_properties),
        cmocka_unit_test(test_prefetch_and_turns),
        cmocka_unit_test(test_other_prefetch),
        cmocka_unit_test(test_requeue_to_the_front),
        cmocka_unit_test(test_cancel_hands_the_rest_to_others),
        cmocka_unit_test(test_expiration),
        cmocka_unit_test(test_exchange_types),
        cmocka_unit_test(test_bindings_and_temporary_queues),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_helpers_without_a_broker),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_delayed),
        cmocka_unit_test(test_delayed_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
