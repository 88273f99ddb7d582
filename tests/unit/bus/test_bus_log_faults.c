/* SPDX-License-Identifier: MIT */
/* A log when something is missing: descriptors, space, a map that others have, a lock's owner. Each
 * time nothing is lost that is there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/segment.h"
#include "log_fixture.h"

#define OTHER 8u

static gw__log_state *state;
static gw__log *orders;

static int open_log(void **unused)
{
    int rc = log_make_dir(unused);
    state = log_new_state();
    orders = log_open(state);
    return rc;
}

static int close_log(void **unused)
{
    gw__log_close(orders);
    log_free_state(state);
    return log_remove_dir(unused);
}

/* So many records that they need `n` files; returns the last number. */
static uint64_t fill_segments(size_t n)
{
    uint64_t number = 0;
    while (log_n_segments(NULL) < n) {
        assert_int_equal(log_put(orders, number + 1, 100, 60000, NULL), GW_OK);
        number += 100;
    }
    return number;
}

/* One message is being handled for long, many segments of others come and go behind it, and then a
 * process comes that has none of them mapped. */
static void test_a_late_comer_leaves_alone_what_is_before_it(void **unused)
{
    (void)unused;
    uint64_t first;
    uint64_t positions[100];
    uint64_t last = fill_segments(4);
    log_expect(orders, 1, 1, false, &first);
    for (uint64_t number = 2; number + 100 < last; number += 100) {
        log_expect(orders, number, 100, false, positions);
        log_done(orders, positions, 100);
    }
    gw__log *late = log_open(state);
    gw__log_record record;
    assert_int_equal(gw__log_take(late, OTHER, 1000, 0, &record, 1), 1);
    assert_int_equal(gw__log_settle(late, OTHER, &record.position, 1, GW__LOG_DONE), 1);
    /* The first one's handler dies: that it was there is found out by the late comer. */
    assert_int_equal(gw__log_return_all(late, LOG_MEMBER), 1);
    assert_int_equal(gw__log_take(late, OTHER, 1000, 0, &record, 1), 1);
    assert_int_equal(log_number(&record), 1);
    assert_true(record.redelivered);
    gw__log_close(late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_late_comer_leaves_alone_what_is_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
