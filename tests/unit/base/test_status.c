/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/status.h>

static void each_status_has_a_name_and_a_text(void **state)
{
    (void)state;
    static const gw_status all[] = {
#define X(constant, text, retriable) constant,
        GW_STATUS_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(all[i], i);
        const char *text = gw_status_text(all[i]);
        assert_true(strncmp(gw_status_name(all[i]), "GW_", 3) == 0);
        assert_true(strlen(text) > 0);
        assert_true(text[strlen(text) - 1] != '.');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(gw_status_name(all[i]), gw_status_name(all[j]));
            assert_string_not_equal(gw_status_text(all[i]), gw_status_text(all[j]));
        }
    }
    assert_string_equal(gw_status_name(GW_OK), "GW_OK");
    assert_string_equal(gw_status_name(GW_E_FULL), "GW_E_FULL");
}

static void values_that_are_none_are_answered(void **state)
{
    (void)state;
    static const int none[] = {-1, GW_E_INTERNAL + 1, 1000000};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        gw_status st;
        memcpy(&st, &none[i],
               sizeof(st)); /* as a broken caller would, without a sanitizer's objection */
        assert_string_equal(gw_status_name(st), "GW_E_?");
        assert_string_equal(gw_status_text(st), "unknown status");
        assert_false(gw_status_is_retriable(st));
    }
}

static void retriable_means_the_same_call_can_succeed(void **state)
{
    (void)state;
    static const struct {
        gw_status st;
        bool want;
    } cases[] = {
        {GW_OK, false},           {GW_E_INVALID, false}, {GW_E_FULL, true},
        {GW_E_UNAVAILABLE, true}, {GW_E_CLOSED, false},  {GW_E_NO_SPACE, true},
        {GW_E_UNROUTABLE, false}, {GW_E_REFUSED, true},  {GW_E_INTERNAL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (gw_status_is_retriable(cases[i].st) != cases[i].want) {
            fail_msg("%s: want %d", gw_status_name(cases[i].st), cases[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_a_name_and_a_text),
        cmocka_unit_test(values_that_are_none_are_answered),
        cmocka_unit_test(retriable_means_the_same_call_can_succeed),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
