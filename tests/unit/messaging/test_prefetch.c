/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "messaging/prefetch.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MS          UINT64_C(1000000)
#define MIB         ((uint64_t)1 << 20)

static void test_wanted(void **state)
{
    (void)state;
    static const struct {
        unsigned n_workers;
        bool is_shared;
        uint64_t mean_ns;
        uint64_t mean_bytes;
        unsigned wanted;
    } cases[] = {
        {1, true, MS, 100, 250},           /* a quarter of a second of work */
        {4, true, 10 * MS, 100, 100},      /* for each worker */
        {3, true, 200 * MS, 100, 4},       /* 3.75, and no fewer than one more than the workers */
        {1, true, 60000 * MS, 100, 2},     /* slow: the rest is for others */
        {1, false, 60000 * MS, 100, 100},  /* where there are none */
        {256, true, 60000 * MS, 100, 257}, /* many workers */
        {1, true, 1, 0, 1000},             /* no more than this */
        {1, true, 0, 0, 1000},             /* too quick for the clock */
        {1, true, 1000, 100000, 167},      /* 16 MiB of bodies */
        {1, true, 1000, 5 * MIB, 3},       /* */
        {4, true, 1000, 5 * MIB, 4},       /* but each worker has one */
        {1, false, 1000, 128 * MIB, 1},    /* */
        {256, true, UINT64_MAX / 2, MIB, 256}, /* no overflow */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const gw__prefetch_sample seen = {
            .n = 2, .handler_ns = 2 * cases[i].mean_ns, .body_bytes = 2 * cases[i].mean_bytes};
        unsigned wanted = gw__prefetch_wanted(cases[i].n_workers, cases[i].is_shared, &seen);
        if (wanted != cases[i].wanted) {
            fail_msg("case %zu: %u instead of %u", i, wanted, cases[i].wanted);
        }
    }
}

static void test_first(void **state)
{
    (void)state;
    static const unsigned cases[][2] = {{0, 100}, {1, 100}, {99, 100}, {256, 257}, {~0u, 1000}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(gw__prefetch_first(cases[i][0]), cases[i][1]);
    }
}

static void test_when_to_tell(void **state)
{
    (void)state;
    gw__prefetch_sample sample = {.n = 0};
    for (int i = 1; i < GW__PREFETCH_SAMPLE_MAX; i++) {
        assert_false(gw__prefetch_note(&sample, 1000, 10));
    }
    assert_true(gw__prefetch_note(&sample, 1000, 10)); /* many */
    assert_int_equal(sample.body_bytes, 10 * GW__PREFETCH_SAMPLE_MAX);
    sample = (gw__prefetch_sample){.n = 0};
    assert_true(gw__prefetch_note(&sample, 20 * MS, 10)); /* or long */
}

/* Tell of `n` messages that took so long each; they are over at `now_ms`. */
static unsigned tell(gw__prefetch *prefetch, uint64_t n, uint64_t each_ns, uint64_t now_ms)
{
    gw__prefetch_sample sample = {.n = n, .handler_ns = n * each_ns, .body_bytes = n * 100};
    unsigned told = gw__prefetch_update(prefetch, &sample, now_ms);
    assert_int_equal(sample.n, 0);
    return told;
}

/* Not too often, and not for little. */
static void test_when_to_change(void **state)
{
    (void)state;
    gw__prefetch prefetch;
    gw__prefetch_init(&prefetch, 1, true, 1000);
    assert_int_equal(prefetch.current, 100);
    assert_int_equal(tell(&prefetch, 10, MS, 2999), 0); /* 250 is wanted, but not yet */
    assert_int_equal(tell(&prefetch, 10, MS, 3000), 250);
    assert_int_equal(prefetch.current, 250);
    assert_int_equal(tell(&prefetch, 1000, MS / 2 + 10000, 6000), 0); /* 490: less than twice */
    assert_int_equal(tell(&prefetch, 100, 3 * MS, 6001), 0);          /* 341 */
    assert_int_equal(tell(&prefetch, 1000, 10 * MS, 6002), 48);       /* 5.1 ms on average by now */
    assert_int_equal(tell(&prefetch, 10000, MS, 8001), 0);
    assert_int_equal(tell(&prefetch, 0, 0, 8002), 249);
}

/* What was long ago does not weigh against the present. */
static void test_a_handler_becomes_slow(void **state)
{
    (void)state;
    gw__prefetch prefetch;
    gw__prefetch_init(&prefetch, 1, true, 0);
    uint64_t now_ms = 0;
    for (int i = 0; i < 10000; i++) {
        now_ms += 256;
        (void)tell(&prefetch, 256, MS, now_ms);
    }
    assert_int_equal(prefetch.current, 250);
    unsigned n = 0;
    while (prefetch.current > 2 && n < 100) {
        now_ms += 1000;
        (void)tell(&prefetch, 1, 1000 * MS, now_ms);
        n++;
    }
    assert_in_range(n, 1, 10);
    /* And quick again. */
    for (n = 0; prefetch.current < 250 && n < 100; n++) {
        now_ms += 256;
        (void)tell(&prefetch, 256, MS / 2, now_ms);
    }
    assert_in_range(n, 1, 30);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_when_to_tell),
        cmocka_unit_test(test_when_to_change),
        cmocka_unit_test(test_a_handler_becomes_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
