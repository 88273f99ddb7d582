/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/error.h>

#include "base/utf8.h"

static void set_fills_in_everything(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_error_set(&err, GW_E_PROTOCOL, 505, "frame %d of '%s'", 3, "queue"),
                     GW_E_PROTOCOL);
    assert_int_equal(err.status, GW_E_PROTOCOL);
    assert_int_equal(err.native, 505);
    assert_string_equal(err.text, "frame 3 of 'queue'");
    assert_int_equal(gw_error_set(NULL, GW_E_FULL, 1, "nobody asks"), GW_E_FULL);
}

static void outside_input_cannot_forge_a_line(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    gw_error_set(&err, GW_E_INVALID, 0, "key %s;", "a\nINFO all is well\r\x1b[2J\x7f\xc2\x9b");
    assert_string_equal(err.text, "key a?INFO all is well??[2J???;");
}

static void long_text_is_cut_between_characters(void **state)
{
    (void)state;
    char in[2000];
    for (size_t offset = 0; offset < 4; offset++) {
        memset(in, 'x', offset);
        in[offset] = '\0';
        while (strlen(in) < 1500) {
            strcat(in, "\xe2\x82\xac");
        }
        gw_error err = GW_ERROR_INIT;
        gw_error_set(&err, GW_E_INVALID, 0, "%s", in);
        size_t len = strlen(err.text);
        assert_in_range(len, GW_ERROR_TEXT_MAX - 4, GW_ERROR_TEXT_MAX - 1);
        assert_string_equal(err.text + len - 3, "...");
        assert_true(gw_utf8_is_valid(err.text, len));
    }
    memset(in, 'y', GW_ERROR_TEXT_MAX - 1);
    in[GW_ERROR_TEXT_MAX - 1] = '\0';
    gw_error err = GW_ERROR_INIT;
    gw_error_set(&err, GW_E_INVALID, 0, "%s", in); /* fits exactly */
    assert_string_equal(err.text, in);
}

static void errno_values_become_statuses(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        gw_status want;
    } cases[] = {
        {ENOMEM, GW_E_NOMEM},
        {ENOSPC, GW_E_NO_SPACE},
        {EDQUOT, GW_E_NO_SPACE},
        {EACCES, GW_E_DENIED},
        {EROFS, GW_E_DENIED},
        {ENOENT, GW_E_NOT_FOUND},
        {EEXIST, GW_E_EXISTS},
        {EADDRINUSE, GW_E_BUSY},
        {ETIMEDOUT, GW_E_TIMEOUT},
        {ECONNREFUSED, GW_E_UNAVAILABLE},
        {EMFILE, GW_E_FULL},
        {EIO, GW_E_IO},
        {ENAMETOOLONG, GW_E_LIMIT},
        {-1, GW_E_IO},
        {0, GW_E_IO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_error err = GW_ERROR_INIT;
        char want[256];
        gw_status st = gw_error_set_errno(&err, cases[i].errnum, "open %s", "/tmp/x");
        if (st != cases[i].want || err.status != st) {
            fail_msg("errno %d: got %s, want %s", cases[i].errnum, gw_status_name(st),
                     gw_status_name(cases[i].want));
        }
        snprintf(want, sizeof(want), "open /tmp/x: %s", strerror(cases[i].errnum));
        assert_string_equal(err.text, want);
        assert_int_equal(err.native, cases[i].errnum);
    }
    assert_int_equal(gw_error_set_errno(NULL, ENOSPC, "x"), GW_E_NO_SPACE);
}

static void the_reason_outlives_a_long_name(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    gw_error err = GW_ERROR_INIT;
    gw_error_set_errno(&err, ENOSPC, "write %s", name);
    size_t len = strlen(err.text);
    assert_string_equal(err.text + len - 28, "...: No space left on device");
}

static void prefix_goes_in_front(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    gw_error_set(&err, GW_E_UNAVAILABLE, 111, "connection refused");
    assert_int_equal(gw_error_prefix(&err, GW_E_TIMEOUT, "broker %s", "h"), GW_E_TIMEOUT);
    assert_string_equal(err.text, "broker h: connection refused");
    assert_int_equal(err.status, GW_E_TIMEOUT);
    assert_int_equal(err.native, 111);
    assert_int_equal(gw_error_prefix(NULL, GW_E_IO, "x"), GW_E_IO);

    gw_error empty = GW_ERROR_INIT;
    gw_error_prefix(&empty, GW_E_FULL, "outbox");
    assert_string_equal(empty.text, "outbox: no room at present");

    for (int i = 0; i < 100; i++) {
        gw_error_prefix(&err, GW_E_IO, "again and again");
    }
    assert_int_equal(strlen(err.text), GW_ERROR_TEXT_MAX - 1);
    assert_string_equal(err.text + GW_ERROR_TEXT_MAX - 4, "...");
}

static void arguments_may_point_into_the_error(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    gw_error_set(&err, GW_E_IO, 5, "inner");
    gw_error_set(&err, err.status, err.native, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    gw_error_prefix(&err, GW_E_IO, "after '%s'", err.text);
    assert_string_equal(err.text, "after 'outer (inner)': outer (inner)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_in_everything),
        cmocka_unit_test(outside_input_cannot_forge_a_line),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(errno_values_become_statuses),
        cmocka_unit_test(the_reason_outlives_a_long_name),
        cmocka_unit_test(prefix_goes_in_front),
        cmocka_unit_test(arguments_may_point_into_the_error),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
