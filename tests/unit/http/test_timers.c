/* SPDX-License-Identifier: MIT */
/* The heap of times, beside a plain search of the earliest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/timers.h"

#define N_TIMERS 300

static uint64_t earliest(const gw__http_timer *timers)
{
    uint64_t due_ns = UINT64_MAX;
    for (size_t i = 0; i < N_TIMERS; i++) {
        if (timers[i].place != 0 && timers[i].due_ns < due_ns) {
            due_ns = timers[i].due_ns;
        }
    }
    return due_ns;
}

static void check_first(const gw__http_timers *heap, const gw__http_timer *timers)
{
    const gw__http_timer *first = gw__http_timers_first(heap);
    assert_int_equal(first != NULL ? first->due_ns : UINT64_MAX, earliest(timers));
}

static void the_first_is_the_earliest(void **state)
{
    (void)state;
    gw__http_timers heap = {NULL, 0, 0};
    gw__http_timer timers[N_TIMERS] = {{0, 0}};
    assert_null(gw__http_timers_first(&heap));
    unsigned random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345u;
        gw__http_timer *timer = &timers[(random >> 8) % N_TIMERS];
        if (timer->place != 0) {
            gw__http_timers_remove(&heap, timer);
            gw__http_timers_remove(&heap, timer); /* is not in there: nothing happens */
            assert_int_equal(timer->place, 0);
        } else {
            timer->due_ns = (random >> 16) % 50; /* many at the same time */
            assert_true(gw__http_timers_add(&heap, timer));
        }
        check_first(&heap, timers);
    }
    gw__http_timer *first = NULL;
    while ((first = gw__http_timers_first(&heap)) != NULL) {
        gw__http_timers_remove(&heap, first);
        check_first(&heap, timers);
    }
    gw__http_timers_dispose(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_the_earliest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
