/* SPDX-License-Identifier: MIT */
/* URLs of embedded buses: what they say, and how wrong ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus/bus.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *dir;
        const char *group;
        uint64_t max_messages;
        uint64_t max_bytes;
        gw__overflow overflow;
    } cases[] = {
        {"bus:run/bus", "run/bus", "", 0, 0, GW__OVERFLOW_REFUSE},
        {"BUS:/var/lib/bus", "/var/lib/bus", "", 0, 0, GW__OVERFLOW_REFUSE},
        {"bus:run/bus///", "run/bus", "", 0, 0, GW__OVERFLOW_REFUSE},
        {"bus:/", "/", "", 0, 0, GW__OVERFLOW_REFUSE},
        {"bus:a b/ü", "a b/ü", "", 0, 0, GW__OVERFLOW_REFUSE},
        {"bus:d?group=staff", "d", "staff", 0, 0, GW__OVERFLOW_REFUSE},
        {"bus:d/?max_messages=5&max_bytes=1000000&overflow=drop-oldest", "d", "", 5, 1000000,
         GW__OVERFLOW_DROP_OLDEST},
        {"bus:d?overflow=dead-letter&max_messages=999999999999999999", "d", "", 999999999999999999,
         0, GW__OVERFLOW_DEAD_LETTER},
        {"bus:d?overflow=refuse", "d", "", 0, 0, GW__OVERFLOW_REFUSE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw__bus_url url;
        gw_error err = GW_ERROR_INIT;
        if (gw__bus_parse_url(cases[i].url, &url, &err) != GW_OK) {
            fail_msg("%s: %s", cases[i].url, err.text);
        }
        assert_string_equal(url.place.dir, cases[i].dir);
        assert_string_equal(url.place.group, cases[i].group);
        assert_int_equal(url.max_messages, cases[i].max_messages);
        assert_int_equal(url.max_bytes, cases[i].max_bytes);
        assert_int_equal(url.overflow, cases[i].overflow);
        assert_false(url.place.read_only);
    }
}

/* The error names the option. */
static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *names;
    } cases[] = {
        {"amqp://h", "bus:DIR"},
        {"bus:", "directory"},
        {"bus:?max_messages=5", "directory"},
        {"bus:d?", "unknown option ''"},
        {"bus:d?speed=9", "unknown option 'speed'"},
        {"bus:d?max_messages", "'max_messages'"},
        {"bus:d?max_messages=", "'max_messages'"},
        {"bus:d?max_messages=0", "'max_messages'"},
        {"bus:d?max_messages=-1", "'max_messages'"},
        {"bus:d?max_messages=5x", "'max_messages'"},
        {"bus:d?max_bytes=1000000000000000000", "'max_bytes'"},
        {"bus:d?max_messages=5&&max_bytes=1", "unknown option ''"},
        {"bus:d?overflow=block", "'overflow'"},
        {"bus:d?overflow=", "'overflow'"},
        {"bus:d?group=", "'group'"},
        {"bus:d?group=a/b", "'group'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw__bus_url url;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__bus_parse_url(cases[i].url, &url, &err), GW_E_INVALID);
        if (strstr(err.text, cases[i].names) == NULL) {
            fail_msg("%s: '%s' does not say %s", cases[i].url, err.text, cases[i].names);
        }
    }
    char longest[5000] = "bus:";
    memset(longest + 4, 'd', sizeof(longest) - 5);
    gw__bus_url url;
    assert_int_equal(gw__bus_parse_url(longest, &url, NULL), GW_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
