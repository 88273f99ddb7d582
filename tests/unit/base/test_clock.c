/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

static void known_times_are_written(void **state)
{
    (void)state;
    static const struct {
        uint64_t unix_ns;
        const char *want;
        const char *want_ms;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000000Z", "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000Z"},
        {999999999, "1970-01-01T00:00:00.999999999Z", "1970-01-01T00:00:00.999Z"},
        {951782399999999999u, "2000-02-28T23:59:59.999999999Z", "2000-02-28T23:59:59.999Z"},
        {951782400000000000u, "2000-02-29T00:00:00.000000000Z", "2000-02-29T00:00:00.000Z"},
        {1795344133667108584u, "2026-11-22T10:42:13.667108584Z", "2026-11-22T10:42:13.667Z"},
        {UINT64_MAX, "2554-07-21T23:34:33.709551615Z", "2554-07-21T23:34:33.709Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[GW_TIME_LEN + 1];
        gw_time_format(cases[i].unix_ns, text);
        assert_string_equal(text, cases[i].want);
        assert_int_equal(strlen(text), GW_TIME_LEN);
        char text_ms[GW_TIME_MS_LEN + 1];
        gw_time_format_ms(cases[i].unix_ns, text_ms);
        assert_string_equal(text_ms, cases[i].want_ms);
        assert_int_equal(strlen(text_ms), GW_TIME_MS_LEN);
    }
}

static void each_day_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 200000; day += 1 + day / 4096) {
        uint64_t seconds = day * 86400 + day * 7919 % 86400;
        time_t time = (time_t)seconds;
        struct tm tm;
        char want[64];
        gmtime_r(&time, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000000123Z", &tm);
        char text[GW_TIME_LEN + 1];
        gw_time_format(seconds * GW_NS_PER_S + 123, text);
        assert_string_equal(text, want);
    }
}

static void clocks_go_forward_and_agree(void **state)
{
    (void)state;
    uint64_t before = gw_clock_ns();
    uint64_t ms = gw_clock_ms();
    uint64_t after = gw_clock_ns();
    assert_in_range(ms, before / GW_NS_PER_MS, after / GW_NS_PER_MS);
    uint64_t second = (uint64_t)time(NULL);
    assert_in_range(gw_clock_unix_ns() / GW_NS_PER_S, second, second + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_are_written),
        cmocka_unit_test(each_day_agrees_with_the_c_library),
        cmocka_unit_test(clocks_go_forward_and_agree),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
