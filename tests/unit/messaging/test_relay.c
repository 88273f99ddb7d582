/* SPDX-License-Identifier: MIT */
/* The outbox in memory. Most tests are the transport themselves: they take, and say what became of
 * it. */
#include <pthread.h>
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
#include <godwit/metrics.h>

#include "messaging/relay.h"
#include "messaging/targets.h"

#define N_OF(a)   (sizeof(a) / sizeof((a)[0]))
#define WAIT_MS   10000
#define ITEMS_MAX 64

static const gw_error refused = {GW_E_REFUSED, 0, "refused"};
static const gw_error unroutable = {GW_E_UNROUTABLE, 312, "no route"};
static const gw_error invalid = {GW_E_INVALID, 0, "cannot be sent"};

typedef struct fixture {
    gw__relay *relay;
    gw__source source;
    gw__targets *targets;
    gw__target *queue;
    gw__target *exchange;
    gw__outgoing *items[ITEMS_MAX]; /* of the last take() */
    atomic_uint n_wakes;
    atomic_uint n_failed; /* calls of on_failed, ... */
    char failed_id[64];   /* ... and the last one's */
    gw_status failed_status;
} fixture;

static void on_wake(void *ctx)
{
    atomic_fetch_add(&((fixture *)ctx)->n_wakes, 1);
}

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    fixture *fix = ctx;
    snprintf(fix->failed_id, sizeof(fix->failed_id), "%s", gw_message_id(msg));
    fix->failed_status = why->status;
    atomic_fetch_add(&fix->n_failed, 1);
}

static void fixture_init(fixture *fix, size_t max_messages, size_t max_bytes)
{
    memset(fix, 0, sizeof(*fix));
    gw__relay_options options = {.max_messages = max_messages,
                                 .max_bytes = max_bytes,
                                 .on_failed = on_failed,
                                 .wake = on_wake,
                                 .ctx = fix};
    fix->targets = gw__targets_new(GW_QUEUE_CLASSIC);
    assert_non_null(fix->targets);
    options.targets = fix->targets;
    assert_int_equal(gw__relay_open(&options, &fix->relay, NULL), GW_OK);
    fix->source = gw__relay_source(fix->relay);
    assert_int_equal(gw__targets_queue(fix->targets, "q", &fix->queue, NULL), GW_OK);
    assert_int_equal(
        gw__targets_exchange(fix->targets, "ex", GW_EXCHANGE_TOPIC, &fix->exchange, NULL), GW_OK);
}

static size_t fixture_dispose(fixture *fix)
{
    size_t n_left = gw__relay_count(fix->relay);
    gw__relay_free(fix->relay);
    gw__targets_free(fix->targets);
    return n_left;
}

static gw_message *new_message(const char *id, size_t len)
{
    static const char zeros[65536];
    assert_true(len <= sizeof(zeros));
    gw_message *msg = gw_message_new(zeros, len);
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return msg;
}

static gw_status put_sized(fixture *fix, gw__target *target, const char *id, size_t len,
                           gw_error *err)
{
    gw_message *msg = new_message(id, len);
    gw_status st = gw__relay_put(fix->relay, target, msg, NULL, NULL, NULL, err);
    if (st != GW_OK) {
        gw_message_free(msg);
    }
    return st;
}

/* Put one message for each character of `ids` on the queue. */
static void put(fixture *fix, const char *ids)
{
    for (; *ids != '\0'; ids++) {
        char id[] = {*ids, '\0'};
        assert_int_equal(put_sized(fix, fix->queue, id, 10, NULL), GW_OK);
    }
}

/* Take up to `max` and compare their ids. */
static void take(fixture *fix, size_t max, const char *expected)
{
    size_t n = fix->source.next(fix->source.ctx, fix->items, max);
    char ids[ITEMS_MAX + 1] = "";
    for (size_t i = 0; i < n; i++) {
        ids[i] = gw_message_id(fix->items[i]->msg)[0];
        ids[i + 1] = '\0';
    }
    assert_string_equal(ids, expected);
}

static void take_late(fixture *fix, const char *expected)
{
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    while (gw_clock_ms() < deadline_ms) {
        size_t n = fix->source.next(fix->source.ctx, fix->items, 1);
        if (n == 1) {
            assert_string_equal(gw_message_id(fix->items[0]->msg), expected);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    fail_msg("'%s' was not handed out again", expected);
}

static void settle(fixture *fix, gw__outgoing *item, gw_status outcome, const gw_error *why)
{
    fix->source.settle(fix->source.ctx, &item, 1, outcome, why);
}

static gw_status flush_now(fixture *fix, gw_error *err)
{
    return gw__relay_flush(fix->relay, gw_clock_ms(), err);
}

/* ---- order ------------------------------------------------------------------------ */

static void test_order(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    take(&fix, 10, "");
    put(&fix, "abcde");
    take(&fix, 3, "abc");
    fix.source.settle(fix.source.ctx, fix.items, 3, GW_OK, NULL);
    take(&fix, 0, "");
    take(&fix, 10, "de");
    take(&fix, 10, "");
    put(&fix, "f");
    fix.source.settle(fix.source.ctx, fix.items, 2, GW_OK, NULL);
    take(&fix, 10, "f");
    settle(&fix, fix.items[0], GW_OK, NULL);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    assert_int_equal(atomic_load(&fix.n_failed), 0);
    assert_int_equal(fixture_dispose(&fix), 0);
}

static void test_settle_out_of_order(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "abcdef");
    take(&fix, 5, "abcde");
    gw__outgoing *a = fix.items[0], *b = fix.items[1], *c = fix.items[2];
    gw__outgoing *ed[] = {fix.items[4], fix.items[3]};
    settle(&fix, c, GW_OK, NULL);
    settle(&fix, a, GW_OK, NULL);
    fix.source.settle(fix.source.ctx, ed, 2, GW_OK, NULL);
    put(&fix, "g");
    take(&fix, 5, "fg");
    settle(&fix, fix.items[1], GW_OK, NULL);
    settle(&fix, b, GW_OK, NULL);
    assert_int_equal(flush_now(&fix, NULL), GW_E_TIMEOUT);
    settle(&fix, fix.items[0], GW_OK, NULL);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    assert_int_equal(fixture_dispose(&fix), 0);
}

static void test_rewind(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    fix.source.rewind(fix.source.ctx); /* with nothing in it */
    put(&fix, "abcd");
    take(&fix, 3, "abc");
    settle(&fix, fix.items[1], GW_OK, NULL);
    put(&fix, "ef");
    fix.source.rewind(fix.source.ctx);
    take(&fix, 2, "ac");
    fix.source.rewind(fix.source.ctx);
    fix.source.rewind(fix.source.ctx);
    take(&fix, 10, "acdef");
    fix.source.settle(fix.source.ctx, fix.items, 5, GW_OK, NULL);
    fix.source.rewind(fix.source.ctx);
    take(&fix, 10, "");
    put(&fix, "g");
    take(&fix, 10, "g");
    fix.source.rewind(fix.source.ctx); /* all of it was on its way */
    put(&fix, "h");
    take(&fix, 10, "gh");
    assert_int_equal(fixture_dispose(&fix), 2);
}

/* ---- limits ------------------------------------------------------------------------- */

static void test_full_by_count(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 3, 1000000);
    put(&fix, "abc");
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(put_sized(&fix, fix.queue, "d", 1, &err), GW_E_FULL);
    assert_string_equal(err.text, "the outbox is full: 3 messages wait for the broker");
    assert_true(gw_status_is_retriable(err.status));
    take(&fix, 10, "abc");
    assert_int_equal(put_sized(&fix, fix.queue, "d", 1, NULL), GW_E_FULL); /* not confirmed yet */
    settle(&fix, fix.items[1], GW_OK, NULL);
    put(&fix, "d");
    assert_int_equal(put_sized(&fix, fix.queue, "e", 1, NULL), GW_E_FULL);
    settle(&fix, fix.items[0], GW_E_REFUSED, &refused); /* still here */
    assert_int_equal(put_sized(&fix, fix.queue, "e", 1, NULL), GW_E_FULL);
    settle(&fix, fix.items[2], GW_E_INVALID, &invalid); /* gone */
    put(&fix, "e");
    assert_int_equal(fixture_dispose(&fix), 3);
}

static void test_full_by_bytes(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 1000, 50000);
    unsigned n = 0;
    gw_error err = GW_ERROR_INIT;
    while (put_sized(&fix, fix.queue, "x", 10000, &err) == GW_OK) {
        assert_true(++n < 5);
    }
    assert_int_equal(n, 4); /* with what is around the body, five do not fit */
    assert_int_equal(err.status, GW_E_FULL);
    assert_non_null(strstr(err.text, "of at most 50000 bytes wait for the broker"));
    assert_int_equal(put_sized(&fix, fix.queue, "small", 1000, NULL), GW_OK);
    take(&fix, 1, "x");
    settle(&fix, fix.items[0], GW_OK, NULL);
    assert_int_equal(put_sized(&fix, fix.queue, "x", 10000, NULL), GW_OK);

    /* No time mends that. */
    assert_int_equal(put_sized(&fix, fix.queue, "x", 60000, &err), GW_E_LIMIT);
    assert_false(gw_status_is_retriable(err.status));
    assert_non_null(strstr(err.text, "the whole outbox has room for 50000"));
    assert_int_equal(fixture_dispose(&fix), 5);
}

/* ---- refused and returned --------------------------------------------------------------- */

static void test_refused_goes_again_later(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "abc");
    take(&fix, 10, "abc");
    gw__outgoing *c = fix.items[2];
    uint64_t start_ms = gw_clock_ms();
    settle(&fix, fix.items[0], GW_OK, NULL);
    settle(&fix, fix.items[1], GW_E_REFUSED, &refused);
    take(&fix, 10, "");
    take_late(&fix, "b");
    assert_in_range(gw_clock_ms() - start_ms, 900, WAIT_MS);
    settle(&fix, fix.items[0], GW_E_REFUSED, &refused); /* as often as it takes */
    put(&fix, "d");
    take(&fix, 10, "d");
    settle(&fix, fix.items[0], GW_OK, NULL);
    take_late(&fix, "b");
    settle(&fix, fix.items[0], GW_OK, NULL);
    settle(&fix, c, GW_OK, NULL);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    assert_int_equal(atomic_load(&fix.n_failed), 0);
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* What was refused comes before what has not been sent yet, and stays in order. */
static void test_refused_goes_first(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "abcd");
    take(&fix, 4, "abcd");
    gw__outgoing *bc[] = {fix.items[1], fix.items[2]};
    fix.source.settle(fix.source.ctx, bc, 2, GW_E_REFUSED, &refused);
    put(&fix, "ef");
    uint64_t due_ms = gw_clock_ms() + 1001;
    while (gw_clock_ms() < due_ms) { /* no event: the time itself is what is tested */
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    take(&fix, 3, "bce");
    fix.source.rewind(fix.source.ctx);
    take(&fix, 10, "adbcef");
    assert_int_equal(fixture_dispose(&fix), 6);
}

static void test_returned_queue_message(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "a");
    fix.queue->declared_epoch = 7;
    take(&fix, 10, "a");
    for (int i = 0; i < 3; i++) {
        fix.queue->declared_epoch = 7;
        settle(&fix, fix.items[0], GW_E_UNROUTABLE, &unroutable);
        assert_int_equal(fix.queue->declared_epoch, 0); /* to be declared again */
        assert_int_equal(atomic_load(&fix.n_failed), 0);
        take(&fix, 10, "");
        take_late(&fix, "a");
    }
    settle(&fix, fix.items[0], GW_E_UNROUTABLE, &unroutable);
    assert_int_equal(atomic_load(&fix.n_failed), 1);
    assert_string_equal(fix.failed_id, "a");
    assert_int_equal(fix.failed_status, GW_E_UNROUTABLE);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    assert_int_equal(fixture_dispose(&fix), 0);
}

static void test_failures_are_reported(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        gw_status outcome;
        const gw_error *why;
    } cases[] = {{"exchange", GW_E_UNROUTABLE, &unroutable}, {"other", GW_E_INVALID, &invalid}};
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(put_sized(&fix, fix.exchange, cases[i].id, 5, NULL), GW_OK);
        assert_int_equal(fix.source.next(fix.source.ctx, fix.items, 5), 1);
        settle(&fix, fix.items[0], cases[i].outcome, cases[i].why);
        assert_int_equal(atomic_load(&fix.n_failed), i + 1);
        assert_string_equal(fix.failed_id, cases[i].id);
        assert_int_equal(fix.failed_status, cases[i].outcome);
        assert_int_equal(flush_now(&fix, NULL), GW_OK);
    }
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* ---- what the transport is told of a message ---------------------------------------------- */

static void test_outgoing(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    const struct {
        gw__target *target;
        const char *key;
        bool mandatory;
        const char *expected_key;
        bool expected_mandatory;
    } cases[] = {
        {fix.queue, NULL, false, "q", true},      {fix.queue, "ignored", false, "q", true},
        {fix.exchange, NULL, false, "ex", false}, {fix.exchange, "a.b", true, "a.b", true},
        {fix.exchange, "", false, "", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("id", 1);
        assert_int_equal(gw_message_set_routing_key(msg, cases[i].key), GW_OK);
        gw_message_set_mandatory(msg, cases[i].mandatory);
        assert_int_equal(gw__relay_put(fix.relay, cases[i].target, msg, NULL, NULL, NULL, NULL),
                         GW_OK);
        assert_int_equal(fix.source.next(fix.source.ctx, fix.items, 5), 1);
        assert_ptr_equal(fix.items[0]->msg, msg);
        assert_ptr_equal(fix.items[0]->target, cases[i].target);
        assert_string_equal(fix.items[0]->routing_key, cases[i].expected_key);
        assert_int_equal(fix.items[0]->mandatory, cases[i].expected_mandatory);
        settle(&fix, fix.items[0], GW_OK, NULL);
    }
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* The transport is woken when it has found nothing more, and only then. */
static void test_wake(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "a");
    assert_int_equal(atomic_load(&fix.n_wakes), 1);
    put(&fix, "bcd");
    assert_int_equal(atomic_load(&fix.n_wakes), 1);
    take(&fix, 2, "ab"); /* there is more: it comes back by itself */
    put(&fix, "e");
    assert_int_equal(atomic_load(&fix.n_wakes), 1);
    take(&fix, 5, "cde");
    put(&fix, "f");
    assert_int_equal(atomic_load(&fix.n_wakes), 2);
    assert_int_equal(fixture_dispose(&fix), 6);
}

/* ---- outcomes to the publisher's own callback ------------------------------------------------ */

typedef struct outcome {
    unsigned n_calls;
    gw_status status;
    char text[64];
} outcome;

static void on_done(void *ctx, gw_status status, const gw_error *why)
{
    outcome *out = ctx;
    out->n_calls++;
    out->status = status;
    snprintf(out->text, sizeof(out->text), "%.60s", why != NULL ? why->text : "");
}

static void test_done(void **state)
{
    (void)state;
    static const struct {
        gw_status outcome;
        const gw_error *why;
        const char *text;
    } cases[] = {{GW_OK, NULL, ""},
                 {GW_E_INVALID, &invalid, "cannot be sent"},
                 {GW_E_UNROUTABLE, &unroutable, "no route"},
                 {GW_E_REFUSED, &refused, "refused"}}; /* has another way */
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        outcome out = {0};
        gw_message *msg = new_message("id", 1);
        assert_int_equal(gw__relay_put(fix.relay, fix.exchange, msg, on_done, &out, NULL, NULL),
                         GW_OK);
        assert_int_equal(fix.source.next(fix.source.ctx, fix.items, 5), 1);
        assert_int_equal(out.n_calls, 0);
        settle(&fix, fix.items[0], cases[i].outcome, cases[i].why);
        assert_int_equal(out.n_calls, 1);
        assert_int_equal(out.status, cases[i].outcome);
        assert_string_equal(out.text, cases[i].text);
    }
    assert_int_equal(atomic_load(&fix.n_failed), 0); /* told once, not twice */
    assert_int_equal(fixture_dispose(&fix), 0);
}

static void test_left_over(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    outcome sent = {0}, waiting = {0}, delayed = {0};
    assert_int_equal(
        gw__relay_put(fix.relay, fix.queue, new_message("1", 1), on_done, &sent, NULL, NULL),
        GW_OK);
    assert_int_equal(
        gw__relay_put(fix.relay, fix.queue, new_message("2", 1), on_done, &delayed, NULL, NULL),
        GW_OK);
    take(&fix, 5, "12");
    settle(&fix, fix.items[1], GW_E_UNROUTABLE, &unroutable);
    put(&fix, "3");
    assert_int_equal(
        gw__relay_put(fix.relay, fix.queue, new_message("4", 1), on_done, &waiting, NULL, NULL),
        GW_OK);
    assert_int_equal(fixture_dispose(&fix), 4);
    const outcome *all[] = {&sent, &waiting, &delayed};
    for (size_t i = 0; i < N_OF(all); i++) {
        assert_int_equal(all[i]->n_calls, 1);
        assert_int_equal(all[i]->status, GW_E_CLOSED);
        assert_string_equal(all[i]->text, "the client was closed");
    }
    gw__relay_free(NULL);
}

static void test_close(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    put(&fix, "ab");
    gw__relay_close(fix.relay);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(put_sized(&fix, fix.queue, "c", 1, &err), GW_E_CLOSED);
    assert_string_equal(err.text, "the client is closed");
    take(&fix, 10, "ab"); /* what was accepted still goes out */
    fix.source.settle(fix.source.ctx, fix.items, 2, GW_OK, NULL);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* ---- flush ------------------------------------------------------------------------------------
 */

static void test_flush_times_out(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 100, 1000000);
    assert_int_equal(flush_now(&fix, NULL), GW_OK);
    put(&fix, "abc");
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__relay_flush(fix.relay, gw_clock_ms() + 20, &err), GW_E_TIMEOUT);
    assert_string_equal(err.text, "3 messages are still in the outbox");
    take(&fix, 10, "abc");
    settle(&fix, fix.items[2], GW_OK, NULL);
    put(&fix, "d");
    assert_int_equal(flush_now(&fix, &err), GW_E_TIMEOUT);
    assert_string_equal(err.text, "3 messages are still in the outbox");
    fix.source.settle(fix.source.ctx, fix.items, 2, GW_OK, NULL);
    assert_int_equal(flush_now(&fix, &err), GW_E_TIMEOUT);
    take(&fix, 10, "d");
    settle(&fix, fix.items[0], GW_OK, NULL);
    assert_int_equal(flush_now(&fix, &err), GW_OK);
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* A transport that confirms, now and then refuses, and sometimes loses its connection. */
typedef struct pump {
    fixture *fix;
    atomic_bool stop;
    unsigned seed;
} pump;

static void *pump_main(void *ctx)
{
    pump *self = ctx;
    gw__source *source = &self->fix->source;
    gw__outgoing *items[8];
    while (!atomic_load(&self->stop)) {
        size_t n = source->next(source->ctx, items, N_OF(items));
        if (n == 0) {
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
            continue;
        }
        unsigned dice = (unsigned)rand_r(&self->seed) % 100;
        if (dice < 10) {
            source->rewind(source->ctx);
        } else if (dice == 10) {
            source->settle(source->ctx, items, 1, GW_E_REFUSED, &refused);
            source->rewind(source->ctx);
        } else {
            source->settle(source->ctx, items, n, GW_OK, NULL);
        }
    }
    return NULL;
}

typedef struct publisher {
    fixture *fix;
    atomic_bool stop;
    atomic_uint n_put;
    atomic_uint n_done;
    unsigned limit; /* 0: until stop */
} publisher;

static void on_published(void *ctx, gw_status status, const gw_error *why)
{
    (void)why;
    assert_true(status == GW_OK || status == GW_E_REFUSED); /* which is final for these */
    atomic_fetch_add(&((publisher *)ctx)->n_done, 1);
}

static void *publisher_main(void *ctx)
{
    publisher *self = ctx;
    while (!atomic_load(&self->stop) &&
           (self->limit == 0 || atomic_load(&self->n_put) < self->limit)) {
        gw_message *msg = new_message("id", 20);
        gw_status st =
            gw__relay_put(self->fix->relay, self->fix->queue, msg, on_published, self, NULL, NULL);
        if (st == GW_OK) {
            atomic_fetch_add(&self->n_put, 1);
        } else {
            assert_int_equal(st, GW_E_FULL);
            gw_message_free(msg);
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
    }
    return NULL;
}

/* A flush ends although others never stop publishing, and several flushes can wait at once. */
static void *flusher_main(void *ctx)
{
    publisher *self = ctx;
    for (int i = 0; i < 3; i++) {
        unsigned n_put = atomic_load(&self->n_put);
        assert_int_equal(gw__relay_flush(self->fix->relay, gw_clock_ms() + WAIT_MS, NULL), GW_OK);
        assert_true(atomic_load(&self->n_done) >= n_put);
    }
    return NULL;
}

static void test_flush_among_publishers(void **state)
{
    (void)state;
    fixture fix;
    fixture_init(&fix, 50, 1000000);
    pump transport = {.fix = &fix, .seed = 1};
    publisher publishers[2] = {{.fix = &fix}, {.fix = &fix}};
    pthread_t pump_thread, threads[2], flushers[2];
    assert_int_equal(pthread_create(&pump_thread, NULL, pump_main, &transport), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, publisher_main, &publishers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&flushers[i], NULL, flusher_main, &publishers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(flushers[i], NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&publishers[i].stop, true);
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(gw__relay_flush(fix.relay, gw_clock_ms() + WAIT_MS, NULL), GW_OK);
    atomic_store(&transport.stop, true);
    pthread_join(pump_thread, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&publishers[i].n_done), atomic_load(&publishers[i].n_put));
    }
    assert_int_equal(fixture_dispose(&fix), 0);
}

/* Each message has exactly one outcome, whatever the transport goes through. */
static void test_threads(void **state)
{
    (void)state;
    enum { N_PUBLISHERS = 4, N_EACH = 2000 };
    gw_gauge *depth = gw_metrics_gauge("godwit_outbox_messages", "", NULL);
    assert_int_equal(gw_gauge_get(depth), 0);
    fixture fix;
    fixture_init(&fix, 200, 1000000);
    pump transport = {.fix = &fix, .seed = 2};
    publisher publishers[N_PUBLISHERS];
    pthread_t pump_thread, threads[N_PUBLISHERS];
    assert_int_equal(pthread_create(&pump_thread, NULL, pump_main, &transport), 0);
    for (size_t i = 0; i < N_PUBLISHERS; i++) {
        publishers[i] = (publisher){.fix = &fix, .limit = N_EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, publisher_main, &publishers[i]), 0);
    }
    for (size_t i = 0; i < N_PUBLISHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(gw__relay_flush(fix.relay, gw_clock_ms() + WAIT_MS, NULL), GW_OK);
    for (size_t i = 0; i < N_PUBLISHERS; i++) {
        assert_int_equal(atomic_load(&publishers[i].n_done), N_EACH);
    }
    atomic_store(&transport.stop, true);
    pthread_join(pump_thread, NULL);
    assert_int_equal(gw_gauge_get(depth), 0);
    assert_int_equal(fixture_dispose(&fix), 0);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_settle_out_of_order),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_full_by_count),
        cmocka_unit_test(test_full_by_bytes),
        cmocka_unit_test(test_refused_goes_again_later),
        cmocka_unit_test(test_refused_goes_first),
        cmocka_unit_test(test_returned_queue_message),
        cmocka_unit_test(test_failures_are_reported),
        cmocka_unit_test(test_outgoing),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_done),
        cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_flush_times_out),
        cmocka_unit_test(test_flush_among_publishers),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
