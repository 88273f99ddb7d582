/* SPDX-License-Identifier: MIT */
/*
 * What the outbox promises at every level, with more messages than it keeps in memory: each test
 * runs with one in memory, one that survives the process and one that survives power loss. The test
 * is the transport. test_relay.c has what does not depend on the level.
 */
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

#include "messaging/lane.h"
#include "messaging/relay.h"
#include "messaging/targets.h"
#include "support/child.h"

#define WAIT_MS   60000
#define ITEMS_MAX 512
#define N_TARGETS 4

static const gw_error refused = {GW_E_REFUSED, 0, "refused"};
static const gw_error invalid = {GW_E_INVALID, 0, "cannot be sent"};

typedef struct fixture {
    gw_outbox_level level;
    char dir[256];
    size_t max_messages;
    size_t max_bytes;
    gw__relay *relay;
    gw__source source;
    gw__targets *targets;
    gw__target *to[N_TARGETS]; /* queues but for the last, an exchange */
    gw__outgoing *items[ITEMS_MAX];
    atomic_uint n_wakes;
    unsigned n_failed;
} fixture;

static void on_wake(void *ctx)
{
    atomic_fetch_add(&((fixture *)ctx)->n_wakes, 1);
}

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    (void)msg;
    (void)why;
    ((fixture *)ctx)->n_failed++;
}

static void open_relay(fixture *fix)
{
    gw__relay_options options = {.level = fix->level,
                                 .dir = fix->dir,
                                 .max_messages = fix->max_messages,
                                 .max_bytes = fix->max_bytes,
                                 .on_failed = on_failed,
                                 .wake = on_wake,
                                 .ctx = fix};
    fix->targets = gw__targets_new(GW_QUEUE_CLASSIC);
    assert_non_null(fix->targets);
    options.targets = fix->targets;
    gw_error err = GW_ERROR_INIT;
    if (gw__relay_open(&options, &fix->relay, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    fix->source = gw__relay_source(fix->relay);
    for (unsigned i = 0; i < N_TARGETS; i++) {
        char name[] = {'t', (char)('0' + i), '\0'};
        gw_status st =
            i < N_TARGETS - 1
                ? gw__targets_queue(fix->targets, name, &fix->to[i], NULL)
                : gw__targets_exchange(fix->targets, name, GW_EXCHANGE_FANOUT, &fix->to[i], NULL);
        assert_int_equal(st, GW_OK);
    }
}

/* Returns how many messages it still had. */
static size_t close_relay(fixture *fix)
{
    size_t n_left = gw__relay_count(fix->relay);
    gw__relay_free(fix->relay);
    gw__targets_free(fix->targets);
    return n_left;
}

static int64_t gauge(const char *name)
{
    return gw_gauge_get(gw_metrics_gauge(name, "", NULL));
}

static fixture *start(gw_outbox_level level, size_t max_messages, size_t max_bytes)
{
    static fixture fix;
    fix = (fixture){.level = level, .max_messages = max_messages, .max_bytes = max_bytes};
    make_test_dir(fix.dir, sizeof(fix.dir));
    open_relay(&fix);
    assert_int_equal(gauge("godwit_outbox_messages"), 0);
    return &fix;
}

/* Everything is back to nothing. */
static void finish(fixture *fix)
{
    assert_int_equal(gw__relay_flush(fix->relay, gw_clock_ms(), NULL), GW_OK);
    assert_int_equal(gauge("godwit_outbox_messages"), 0);
    assert_int_equal(gauge("godwit_outbox_oldest_timestamp_seconds"), 0);
    assert_int_equal(close_relay(fix), 0);
    if (fix->level != GW_OUTBOX_MEMORY) {
        open_relay(fix);
        assert_int_equal(close_relay(fix), 0); /* nothing was left behind */
    }
    remove_test_dir(fix->dir);
}

static gw_status try_put(fixture *fix, unsigned target, unsigned number, size_t len, gw_error *err)
{
    char id[32];
    char *body = calloc(1, len + 1);
    assert_non_null(body);
    gw_message *msg = gw_message_new(body, len);
    free(body);
    snprintf(id, sizeof(id), "%u", number);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    gw_status st = gw__relay_put(fix->relay, fix->to[target], msg, NULL, NULL, NULL, err);
    if (st != GW_OK) {
        gw_message_free(msg);
    }
    return st;
}

static void put(fixture *fix, unsigned target, unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        gw_error err = GW_ERROR_INIT;
        if (try_put(fix, target, first + i, 20, &err) != GW_OK) {
            fail_msg("message %u: %s", first + i, err.text);
        }
    }
}

static size_t take(fixture *fix, size_t max)
{
    return fix->source.next(fix->source.ctx, fix->items, max);
}

static unsigned number_of(const gw__outgoing *item)
{
    return (unsigned)strtoul(gw_message_id(item->msg), NULL, 10);
}

static unsigned target_of(const fixture *fix, const gw__outgoing *item)
{
    unsigned i = 0;
    while (i < N_TARGETS && fix->to[i] != item->target) {
        i++;
    }
    assert_true(i < N_TARGETS);
    return i;
}

static void confirm(fixture *fix, gw__outgoing **items, size_t n)
{
    if (n > 0) {
        fix->source.settle(fix->source.ctx, items, n, GW_OK, NULL);
    }
}

/* Take and confirm until the next `n` have come: first, first + 1, ... all for one target. */
static void drain(fixture *fix, unsigned first, unsigned n)
{
    for (unsigned done = 0; done < n;) {
        size_t n_taken = take(fix, n - done < ITEMS_MAX ? n - done : ITEMS_MAX);
        assert_true(n_taken > 0); /* what is there comes without waiting */
        for (size_t i = 0; i < n_taken; i++) {
            assert_int_equal(number_of(fix->items[i]), first + done + i);
        }
        confirm(fix, fix->items, n_taken);
        done += (unsigned)n_taken;
    }
}

/* ---- hot and cold ----------------------------------------------------------------------- */

/* More than memory takes, then less, then more: always in order. */
static void test_order(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    unsigned n_put = 0;
    unsigned n_got = 0;
    static const struct {
        unsigned put;
        unsigned get;
    } steps[] = {{GW__LANE_HOT_MAX, 10},
                 {10, 0},
                 {3000, 100},
                 {1, 4000},
                 {700, 800},
                 {300, 1000},
                 {50, 1300},
                 {9000, 50},
                 {20, 8000}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        put(fix, 0, n_put, steps[i].put);
        n_put += steps[i].put;
        unsigned n = steps[i].get < n_put - n_got ? steps[i].get : n_put - n_got;
        drain(fix, n_got, n);
        n_got += n;
        assert_int_equal(gw__relay_count(fix->relay), n_put - n_got);
        assert_int_equal(gauge("godwit_outbox_messages"), n_put - n_got);
    }
    drain(fix, n_got, n_put - n_got);
    assert_int_equal(take(fix, ITEMS_MAX), 0);
    finish(fix);
}

/* A lost connection: what was handed out comes again, and what only the journal has after it. */
static void test_rewind(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    enum { N = GW__LANE_HOT_MAX + 2000 };
    put(fix, 0, 0, N);
    unsigned n_got = 0;
    unsigned seed = 3;
    while (n_got < N) {
        size_t n = take(fix, ITEMS_MAX);
        assert_true(n > 0);
        size_t n_confirmed = (size_t)rand_r(&seed) % (n + 1);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(number_of(fix->items[i]), n_got + i);
        }
        confirm(fix, fix->items, n_confirmed);
        n_got += (unsigned)n_confirmed;
        fix->source.rewind(fix->source.ctx);
    }
    finish(fix);
}

/* Some are refused, some cannot be sent at all: each has one outcome, and none is forgotten. */
static void test_refused(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    enum { N = GW__LANE_HOT_MAX + 500 };
    static unsigned char n_outcomes[N];
    memset(n_outcomes, 0, sizeof(n_outcomes));
    put(fix, 1, 0, N);
    unsigned n_done = 0;
    unsigned n_invalid = 0;
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    static bool was_refused[N];
    memset(was_refused, 0, sizeof(was_refused));
    while (n_done < N) {
        assert_true(gw_clock_ms() < deadline_ms);
        size_t n = take(fix, 64);
        for (size_t i = 0; i < n; i++) {
            unsigned number = number_of(fix->items[i]);
            if (number % 50 == 7 && !was_refused[number]) {
                was_refused[number] = true;
                fix->source.settle(fix->source.ctx, &fix->items[i], 1, GW_E_REFUSED, &refused);
                continue;
            }
            bool good = number % 50 != 13;
            fix->source.settle(fix->source.ctx, &fix->items[i], 1, good ? GW_OK : GW_E_INVALID,
                               good ? NULL : &invalid);
            n_outcomes[number]++;
            n_invalid += !good;
            n_done++;
        }
        if (n == 0) { /* the rest is delayed for a second */
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(n_outcomes[i], 1);
    }
    assert_int_equal(fix->n_failed, n_invalid);
    finish(fix);
}

/* Targets that take nothing, more than fill the memory, do not keep others from being sent. */
static void test_stuck_targets(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    enum { N_STUCK = GW__LANE_HOT_MAX + 1000, N = 1500 };
    for (unsigned target = 0; target < 3; target++) {
        put(fix, target, 0, N_STUCK);
    }
    put(fix, 3, 0, N);
    unsigned n_got = 0;
    for (unsigned idle = 0; n_got < N && idle < 100;) {
        size_t n = take(fix, ITEMS_MAX);
        idle = n == 0 ? idle + 1 : 0;
        for (size_t i = 0; i < n; i++) {
            if (fix->items[i]->target == fix->to[3]) {
                assert_int_equal(number_of(fix->items[i]), n_got++);
                confirm(fix, &fix->items[i], 1);
            }
        }
    }
    assert_int_equal(n_got, N);
    fix->source.rewind(fix->source.ctx);
    unsigned next[3] = {0};
    for (size_t n; (n = take(fix, ITEMS_MAX)) > 0; confirm(fix, fix->items, n)) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(number_of(fix->items[i]), next[target_of(fix, fix->items[i])]++);
        }
    }
    assert_int_equal(next[0] + next[1] + next[2], 3 * N_STUCK);
    finish(fix);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void test_full(gw_outbox_level level)
{
    fixture *fix = start(level, 3, 50000);
    gw_error err = GW_ERROR_INIT;
    put(fix, 0, 0, 3);
    assert_int_equal(try_put(fix, 0, 3, 20, &err), GW_E_FULL);
    assert_string_equal(err.text, "the outbox is full: 3 messages wait for the broker");
    drain(fix, 0, 3);
    unsigned n = 0;
    while (try_put(fix, 0, n, 20000, &err) == GW_OK) {
        n++;
    }
    assert_int_equal(n, 2);
    assert_int_equal(err.status, GW_E_FULL);
    assert_non_null(strstr(err.text, "of at most 50000 bytes wait for the broker"));
    assert_int_equal(try_put(fix, 0, n, 60000, &err), GW_E_LIMIT);
    drain(fix, 0, n);
    assert_int_equal(try_put(fix, 0, 0, 40000, NULL), GW_OK); /* all of it is free again */
    if (level != GW_OUTBOX_MEMORY) {
        assert_int_equal(close_relay(fix), 1);
        open_relay(fix);
        assert_int_equal(try_put(fix, 0, 1, 20000, &err), GW_E_FULL); /* what was left counts */
    }
    drain(fix, 0, 1);
    assert_int_equal(try_put(fix, 0, 1, 40000, &err), GW_OK);
    drain(fix, 1, 1);
    finish(fix);
}

/* ---- the next process ---------------------------------------------------------------------- */

static void test_left(gw_outbox_level level)
{
    if (level == GW_OUTBOX_MEMORY) { /* nothing is left of that */
        return;
    }
    enum { N = GW__LANE_HOT_MAX + 1000 };
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    time_t started = time(NULL);
    put(fix, 0, 0, N);
    drain(fix, 0, 1000);
    assert_int_equal(take(fix, 10), 10); /* 1000 to 1009; the even ones are confirmed */
    for (size_t i = 0; i < 10; i += 2) {
        confirm(fix, &fix->items[i], 1);
    }
    put(fix, 3, 50000, 10);
    assert_int_equal(close_relay(fix), N - 1005 + 10);
    assert_int_equal(gauge("godwit_outbox_messages"), 0);
    open_relay(fix);
    assert_int_equal(gw__relay_count(fix->relay), N - 1005 + 10);
    put(fix, 0, N, 10); /* after what was left */
    put(fix, 3, 50010, 10);
    unsigned next[N_TARGETS] = {1001, 0, 0, 50000};
    size_t n;
    while ((n = take(fix, ITEMS_MAX)) > 0) {
        int64_t oldest = gauge("godwit_outbox_oldest_timestamp_seconds");
        assert_in_range(oldest, started, time(NULL));
        for (size_t i = 0; i < n; i++) {
            unsigned target = target_of(fix, fix->items[i]);
            assert_int_equal(number_of(fix->items[i]), next[target]);
            next[target] += target == 0 && next[target] < 1009 ? 2 : 1;
        }
        confirm(fix, fix->items, n);
    }
    assert_int_equal(next[0], N + 10);
    assert_int_equal(next[3], 50020);
    finish(fix);
}

/* ---- threads ----------------------------------------------------------------------------------
 */

enum { N_PUTTERS = 4, N_EACH = 3000, PUTTER_SHIFT = 100000 };

typedef struct putter {
    fixture *fix;
    unsigned index;
    gw_status st;
} putter;

static void *put_main(void *ctx)
{
    putter *it = ctx;
    for (unsigned i = 0; i < N_EACH && it->st == GW_OK; i++) {
        it->st =
            try_put(it->fix, (i / 10) % 2 == 0 ? 0 : 3, it->index * PUTTER_SHIFT + i, 30, NULL);
    }
    return NULL;
}

typedef struct pump {
    fixture *fix;
    unsigned start_at; /* not before so many are there */
    unsigned n_confirmed;
    unsigned n_disorder;
} pump;

/* Confirms in order, now and then only some of what it has before its connection is lost. */
static void *pump_main(void *ctx)
{
    pump *self = ctx;
    fixture *fix = self->fix;
    unsigned next[N_TARGETS][N_PUTTERS] = {{0}};
    unsigned seed = 5;
    while (gw__relay_count(fix->relay) < self->start_at) {
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    while (self->n_confirmed < N_PUTTERS * N_EACH) {
        size_t n = take(fix, 100);
        bool lost = rand_r(&seed) % 20 == 0;
        size_t n_confirmed = lost ? (size_t)rand_r(&seed) % (n + 1) : n;
        for (size_t i = 0; i < n_confirmed; i++) {
            unsigned number = number_of(fix->items[i]);
            unsigned *expected = &next[target_of(fix, fix->items[i])][number / PUTTER_SHIFT];
            self->n_disorder += number % PUTTER_SHIFT < *expected;
            *expected = number % PUTTER_SHIFT + 1;
        }
        confirm(fix, fix->items, n_confirmed);
        self->n_confirmed += (unsigned)n_confirmed;
        if (lost) {
            fix->source.rewind(fix->source.ctx);
        }
    }
    return NULL;
}

/* Several threads publish while the outbox goes from hot to cold and back: each target has each
 * thread's messages in order, and a flush waits for those before it, cold ones too. */
static void test_threads(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    pump transport = {.fix = fix, .start_at = GW__LANE_HOT_MAX + 3000};
    putter putters[N_PUTTERS];
    pthread_t pump_thread;
    pthread_t threads[N_PUTTERS];
    for (unsigned i = 0; i < N_PUTTERS; i++) {
        putters[i] = (putter){.fix = fix, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_main, &putters[i]), 0);
    }
    assert_int_equal(pthread_create(&pump_thread, NULL, pump_main, &transport), 0);
    for (unsigned i = 0; i < N_PUTTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(putters[i].st, GW_OK);
    }
    gw_error err = GW_ERROR_INIT;
    if (gw__relay_flush(fix->relay, gw_clock_ms() + WAIT_MS, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    pthread_join(pump_thread, NULL);
    assert_int_equal(transport.n_confirmed, N_PUTTERS * N_EACH);
    assert_int_equal(transport.n_disorder, 0);
    finish(fix);
}

/* ---- flush --------------------------------------------------------------------------------------
 */

static void *flush_main(void *ctx)
{
    fixture *fix = ctx;
    return (void *)(uintptr_t)gw__relay_flush(fix->relay, gw_clock_ms() + WAIT_MS, NULL);
}

/* It ends when what was there is settled, though there is always something newer. */
static void test_flush(gw_outbox_level level)
{
    fixture *fix = start(level, 100000, (size_t)1 << 30);
    enum { N = GW__LANE_HOT_MAX + 600 };
    put(fix, 0, 0, N);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__relay_flush(fix->relay, gw_clock_ms() + 5, &err), GW_E_TIMEOUT);
    char text[64];
    snprintf(text, sizeof(text), "%d messages are still in the outbox", N);
    assert_string_equal(err.text, text);
    pthread_t flusher;
    assert_int_equal(pthread_create(&flusher, NULL, flush_main, fix), 0);
    for (unsigned i = 0; i < N; i += 100) { /* more comes than goes */
        put(fix, 0, N + i, 100);
        drain(fix, i, N - i < 100 ? N - i : 100);
    }
    unsigned n_more = (N + 99) / 100 * 100; /* it may have begun while those were put */
    drain(fix, N, n_more);
    void *st;
    pthread_join(flusher, &st);
    assert_int_equal((gw_status)(uintptr_t)st, GW_OK);
    finish(fix);
}

/* ---- each test at each level
 * ---------------------------------------------------------------------- */

typedef void (*level_test)(gw_outbox_level level);

static void run(level_test test)
{
    for (int level = GW_OUTBOX_MEMORY; level <= GW_OUTBOX_DISK; level++) {
        print_message("  %s\n", gw_outbox_level_name((gw_outbox_level)level));
        test((gw_outbox_level)level);
    }
}

#define AT_ALL_LEVELS(test)                                                                        \
    static void test##_at_all_levels(void **state)                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        run(test);                                                                                 \
    }

AT_ALL_LEVELS(test_order)
AT_ALL_LEVELS(test_rewind)
AT_ALL_LEVELS(test_refused)
AT_ALL_LEVELS(test_stuck_targets)
AT_ALL_LEVELS(test_full)
AT_ALL_LEVELS(test_left)
AT_ALL_LEVELS(test_threads)
AT_ALL_LEVELS(test_flush)

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_at_all_levels),
        cmocka_unit_test(test_rewind_at_all_levels),
        cmocka_unit_test(test_refused_at_all_levels),
        cmocka_unit_test(test_stuck_targets_at_all_levels),
        cmocka_unit_test(test_full_at_all_levels),
        cmocka_unit_test(test_left_at_all_levels),
        cmocka_unit_test(test_threads_at_all_levels),
        cmocka_unit_test(test_flush_at_all_levels),
    };
    return cmocka_run_group_tests_name("relay at all levels", tests, NULL, NULL);
}
