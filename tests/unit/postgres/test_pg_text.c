/* SPDX-License-Identifier: MIT */
/* What goes to a server and comes from it as text: arrays, digits, complaints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "postgres/pg_array.h"
#include "postgres/pg_error.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void test_arrays(void **state)
{
    (void)state;
    gw_buf array;
    pg_array_init(&array);
    assert_string_equal(pg_array_close(&array), "{}");
    gw_buf_dispose(&array);
    pg_array_init(&array);
    pg_array_add_text(&array, "a b");
    pg_array_add_text(&array, "");
    pg_array_add_text(&array, "{\"x\\\",NULL}");
    pg_array_add_number(&array, UINT64_C(9223372036854775807));
    pg_array_add_bytes(&array, "\x01~\xff");
    pg_array_add_bytes(&array, "");
    assert_string_equal(pg_array_close(&array), "{\"a b\",\"\",\"{\\\"x\\\\\\\",NULL}\","
                                                "9223372036854775807,\"\\\\x017eff\",\"\\\\x\"}");
    gw_buf_dispose(&array);
}

static void test_digits(void **state)
{
    (void)state;
    static const struct {
        const char *digits;
        const char *text; /* NULL: none */
    } cases[] = {{"", ""},      {"6d31", "m1"}, {"ff00", "\xff"},  {"6", NULL},
                 {"6g", NULL},  {"6D", NULL},   {"616263", "abc"}, {"61626364", NULL},
                 {" 61", NULL}, {"\\x61", NULL}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[4] = "?";
        bool is_good = pg_decode_hex(cases[i].digits, text, sizeof(text));
        if (is_good != (cases[i].text != NULL) || (is_good && strcmp(text, cases[i].text) != 0)) {
            fail_msg("'%s': got '%s', expected '%s'", cases[i].digits, is_good ? text : "(none)",
                     cases[i].text != NULL ? cases[i].text : "(none)");
        }
    }
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        gw_status st;
    } cases[] = {{NULL, GW_E_IO},
                 {"", GW_E_IO},
                 {"XX000", GW_E_IO},
                 {"08006", GW_E_UNAVAILABLE},
                 {"57P01", GW_E_UNAVAILABLE},
                 {"57P03", GW_E_UNAVAILABLE},
                 {"53300", GW_E_UNAVAILABLE},
                 {"25006", GW_E_UNAVAILABLE},
                 {"57014", GW_E_TIMEOUT},
                 {"40001", GW_E_BUSY},
                 {"40P01", GW_E_BUSY},
                 {"53100", GW_E_NO_SPACE},
                 {"42501", GW_E_DENIED},
                 {"28P01", GW_E_DENIED},
                 {"42P01", GW_E_NOT_FOUND},
                 {"22021", GW_E_INVALID}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_status st = pg_error_status(cases[i].sqlstate);
        if (st != cases[i].st) {
            fail_msg("%s: got %s, expected %s", cases[i].sqlstate, gw_status_name(st),
                     gw_status_name(cases[i].st));
        }
    }
}

/* Whatever a library or a server says: one line, and not the password. */
static void test_texts(void **state)
{
    (void)state;
    pg_place place;
    assert_int_equal(pg_place_init(&place, "postgresql://u:sesame@h/d", NULL, "app", NULL), GW_OK);
    static const struct {
        const char *message;
        const char *text;
    } cases[] = {
        {"connection refused\n\tIs it running?\n",
         "the database at h:5432/d: connection refused  Is it running?"},
        {"user u, password sesame: sesamesesame",
         "the database at h:5432/d: user u, password ***: ******"},
        {"", "the database at h:5432/d: the peer cannot be reached"},
        {NULL, "the database at h:5432/d: the peer cannot be reached"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(pg_error_set(&err, GW_E_UNAVAILABLE, &place, cases[i].message),
                         GW_E_UNAVAILABLE);
        assert_string_equal(err.text, cases[i].text);
    }
    static char endless[5000];
    memset(endless, 'x', sizeof(endless) - 1);
    gw_error err = GW_ERROR_INIT;
    pg_error_set(&err, GW_E_IO, &place, endless);
    assert_true(strlen(err.text) < GW_ERROR_TEXT_MAX);
    pg_place_dispose(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests_name("texts of databases", tests, NULL, NULL);
}
