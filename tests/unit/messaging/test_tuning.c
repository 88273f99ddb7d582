/* SPDX-License-Identifier: MIT */
/* A subscription asks for as many messages ahead as its handler can use, and says how many. */
#include "unit/messaging/fake_transport.h"

#include <godwit/metrics.h>

static int64_t gauge(void)
{
    return gw_gauge_get(gw_metrics_gauge(
        "godwit_prefetch", "Messages that may be on their way to the handlers.", "queue=\"q\""));
}

static gw_status start_with(fixture *fix, uint16_t prefetch)
{
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = prefetch;
    return start_on(fix, "q", &options, NULL);
}

static void test_slow_handler(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.spin_us = 30000;
    assert_int_equal(start_with(&fix, 0), GW_OK);
    assert_int_equal(gauge(), 100);
    for (size_t i = 0; i < 70; i++) {
        deliver(&fix, "D");
        wait_for(&fix, fix.n_handled > i);
    }
    wait_for(&fix, fix.prefetch != 0);
    stop(&fix, WAIT_MS);
    assert_in_range(fix.prefetch, 2, 8); /* 250 ms in pieces of 30 at least */
    assert_int_equal(gauge(), 0);
    fixture_dispose(&fix);
}

/* A number that was given is kept. */
static void test_given_number(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.spin_us = 30000;
    assert_int_equal(start_with(&fix, 40), GW_OK);
    assert_int_equal(gauge(), 40);
    for (size_t i = 0; i < 80; i++) {
        deliver(&fix, "D");
        wait_for(&fix, fix.n_handled > i);
    }
    assert_int_equal(gauge(), 40);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.prefetch, 0);
    fixture_dispose(&fix);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_handler),
        cmocka_unit_test(test_given_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
