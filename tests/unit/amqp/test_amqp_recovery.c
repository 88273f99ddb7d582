/* SPDX-License-Identifier: MIT */
/* When to try again, and how an I/O thread is woken. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/recovery.h"
#include "amqp/wake.h"

static void test_backoff(void **state)
{
    (void)state;
    unsigned longest[12] = {0};
    for (int run = 0; run < 2000; run++) {
        gw__recovery recovery;
        gw__recovery_init(&recovery);
        assert_int_equal(gw__recovery_next_ms(&recovery, GW_E_UNAVAILABLE), 0); /* once */
        unsigned most = 100;
        for (int i = 1; i < 12; i++) {
            unsigned wait = gw__recovery_next_ms(&recovery, GW_E_UNAVAILABLE);
            if (wait == 0 || wait > most + 10) {
                fail_msg("try %d waits %u ms, the most is %u", i, wait, most);
            }
            longest[i] = wait > longest[i] ? wait : longest[i];
            most = most * 2 > 30000 ? 30000 : most * 2;
        }
        gw__recovery_worked(&recovery, GW__RETRY_STABLE_MS);
        assert_int_equal(gw__recovery_next_ms(&recovery, GW_E_UNAVAILABLE), 0);
    }
    /* Full jitter: the whole range is used. */
    assert_true(longest[1] > 80 && longest[11] > 25000);
}

/* Who is refused must not hammer: an account could be locked for it. */
static void test_refused_waits_longer(void **state)
{
    (void)state;
    gw__recovery recovery;
    gw__recovery_init(&recovery);
    for (int i = 0; i < 100; i++) {
        unsigned wait = gw__recovery_next_ms(&recovery, GW_E_DENIED);
        if (wait < 5000 || wait > 30000) {
            fail_msg("refused %d times it waits %u ms", i, wait);
        }
    }
}

/* After an outage a connection that came and went again is not waited for as long as the outage
 * was. */
static void test_flapping_is_capped(void **state)
{
    (void)state;
    gw__recovery recovery;
    gw__recovery_init(&recovery);
    for (int run = 0; run < 1000; run++) {
        for (int i = 0; i < 12; i++) {
            gw__recovery_next_ms(&recovery, GW_E_UNAVAILABLE);
        }
        gw__recovery_worked(&recovery, GW__RETRY_STABLE_MS - 1);
        unsigned wait = gw__recovery_next_ms(&recovery, GW_E_UNAVAILABLE);
        if (wait == 0 || wait > 1610) {
            fail_msg("a connection that flaps waits %u ms, not 1 to 1610", wait);
        }
    }
}

static void test_two_are_not_alike(void **state)
{
    (void)state;
    gw__recovery a;
    gw__recovery b;
    gw__recovery_init(&a);
    gw__recovery_init(&b);
    int n_same = 0;
    for (int i = 0; i < 100; i++) {
        n_same += gw__recovery_random(&a, 1000000) == gw__recovery_random(&b, 1000000);
    }
    assert_true(n_same < 5);
}

/* ---- waking -------------------------------------------------------------- */

static const uint64_t LONG = (uint64_t)30 * GW_NS_PER_S;

static void test_call_before_the_wait(void **state)
{
    (void)state;
    gw__wake wake;
    assert_int_equal(gw__wake_init(&wake, NULL), GW_OK);
    uint64_t before = gw_clock_ms();
    gw__wake_call(&wake, false);
    gw__wake_call(&wake, false);
    gw__wake_wait(&wake, -1, 0, LONG, false);
    gw__wake_call(&wake, true);
    gw__wake_wait(&wake, -1, 0, LONG, true);
    assert_true(gw_clock_ms() - before < 20000);
    gw__wake_wait(&wake, -1, 0, 1000000, false); /* nothing is left over */
    gw__wake_dispose(&wake);
}

typedef struct caller {
    gw__wake *wake;
    bool urgent;
} caller;

static void *call_when_it_waits(void *arg)
{
    const caller *who = arg;
    while (atomic_load(&who->wake->state) < 2) { /* asleep or dozing */
        usleep(100);
    }
    gw__wake_call(who->wake, who->urgent);
    return NULL;
}

static void test_call_during_the_wait(void **state)
{
    (void)state;
    gw__wake wake;
    assert_int_equal(gw__wake_init(&wake, NULL), GW_OK);
    static const struct {
        bool doze;
        bool urgent;
        bool wakes;
    } cases[] = {
        {false, false, true}, {false, true, true}, {true, true, true}, {true, false, false}};
    for (size_t i = 0; i < 4; i++) {
        caller who = {&wake, cases[i].urgent};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, call_when_it_waits, &who), 0);
        uint64_t before = gw_clock_ms();
        uint64_t timeout = cases[i].wakes ? LONG : (uint64_t)100 * GW_NS_PER_MS;
        gw__wake_wait(&wake, -1, 0, timeout, cases[i].doze);
        uint64_t took = gw_clock_ms() - before;
        pthread_join(thread, NULL);
        if (cases[i].wakes ? took >= 20000 : took < 99) {
            fail_msg("case %zu: waited %llu ms", i, (unsigned long long)took);
        }
    }
    gw__wake_dispose(&wake);
}

static void test_wait_for_a_descriptor(void **state)
{
    (void)state;
    gw__wake wake;
    int pipe_fds[2];
    assert_int_equal(gw__wake_init(&wake, NULL), GW_OK);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(gw__wake_wait(&wake, pipe_fds[0], POLLIN, 0, false), 0);
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    assert_int_equal(gw__wake_wait(&wake, pipe_fds[0], POLLIN, LONG, false), POLLIN);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    gw__wake_dispose(&wake);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_refused_waits_longer),
        cmocka_unit_test(test_flapping_is_capped),
        cmocka_unit_test(test_two_are_not_alike),
        cmocka_unit_test(test_call_before_the_wait),
        cmocka_unit_test(test_call_during_the_wait),
        cmocka_unit_test(test_wait_for_a_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
