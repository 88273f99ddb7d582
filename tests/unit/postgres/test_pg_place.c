/* SPDX-License-Identifier: MIT */
/* What is taken for the place of a database, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "postgres/pg_place.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *value_of(const pg_place *place, const char *keyword)
{
    const char *value = NULL;
    for (size_t i = 0; place->keywords[i] != NULL; i++) {
        if (strcmp(place->keywords[i], keyword) == 0) {
            assert_null(value); /* once */
            value = place->values[i];
        }
    }
    return value;
}

static void check_value(const pg_place *place, const char *url, const char *keyword,
                        const char *expected)
{
    const char *value = value_of(place, keyword);
    bool is_same = expected == NULL ? value == NULL : value != NULL && strcmp(value, expected) == 0;
    if (!is_same) {
        fail_msg("%s: %s is '%s', expected '%s'", url, keyword, value != NULL ? value : "(none)",
                 expected != NULL ? expected : "(none)");
    }
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *password;
        const char *shown;
        const char *expected[5][2]; /* keyword, value */
        unsigned connect_ms;
    } cases[] = {
        {"postgresql://u@h/d",
         NULL,
         "h:5432/d",
         {{"user", "u"},
          {"dbname", "d"},
          {"password", NULL},
          {"client_encoding", "UTF8"},
          {"fallback_application_name", "app"}},
         3000},
        {"postgres://u:p%40ss@h:1/d",
         "",
         "h:1/d",
         {{"user", "u"},
          {"password", "p@ss"},
          {"gssencmode", "disable"},
          {"target_session_attrs", NULL}},
         3000},
        {"postgresql://u@h/d", "other", "h:5432/d", {{"password", "other"}}, 3000},
        {"postgresql://u@a:1,b,c:3/d",
         NULL,
         "a:1,b:5432,c:3/d",
         {{"target_session_attrs", "read-write"}},
         3000},
        {"postgresql://u@a,b/d?target_session_attrs=any&connect_timeout=7",
         NULL,
         "a:5432,b:5432/d",
         {{"target_session_attrs", "any"}, {"connect_timeout", NULL}},
         7000},
        {"postgresql://u@h/d%20e?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&gssencmode=prefer",
         NULL,
         "h:5432/d e",
         {{"dbname", "d e"},
          {"sslmode", "verify-full"},
          {"sslrootcert", "/etc/ca.pem"},
          {"gssencmode", "prefer"}},
         3000},
        {"postgresql://u@h/d?options=-csearch_path%3Dx&keepalives_idle=60",
         NULL,
         "h:5432/d",
         {{"options", "-csearch_path=x"}, {"keepalives_idle", "60"}},
         3000},
        {"postgresql://u@localhost/d?host=/run/postgresql",
         NULL,
         "/run/postgresql/d",
         {{"user", "u"}, {"host", NULL}},
         3000},
        {"postgresql://u@[::1]:5/d", NULL, "::1:5/d", {{"user", "u"}}, 3000},
        {"postgresql://u@h/d?application_name=shop",
         NULL,
         "h:5432/d",
         {{"application_name", "shop"}},
         3000},
        {"postgresql://u@h/d?sslmode=", NULL, "h:5432/d", {{"sslmode", ""}}, 3000},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        pg_place place;
        gw_error err = GW_ERROR_INIT;
        if (pg_place_init(&place, cases[i].url, cases[i].password, "app", &err) != GW_OK) {
            fail_msg("%s: %s", cases[i].url, err.text);
        }
        assert_string_equal(place.shown, cases[i].shown);
        assert_int_equal(place.connect_ms, cases[i].connect_ms);
        for (size_t j = 0; j < 5 && cases[i].expected[j][0] != NULL; j++) {
            check_value(&place, cases[i].url, cases[i].expected[j][0], cases[i].expected[j][1]);
        }
        pg_place_dispose(&place);
        pg_place_dispose(&place);
        assert_null(pg_place_check(cases[i].url));
    }
    assert_null(pg_place_check(""));
}

static void test_refused(void **state)
{
    (void)state;
    static char many[2000] = "postgresql://u@h/d?";
    for (int i = 0; i < 40; i++) {
        strcat(many, "sslmode=open-sesame&");
    }
    static char too_long[GW_URL_MAX + 100];
    memset(too_long, 'a', sizeof(too_long) - 1);
    memcpy(too_long, "postgresql://u@h/", 17);
    const struct {
        const char *url;
        const char *password;
        const char *text;
    } cases[] = {
        {"mysql://u:open-sesame@h/d", NULL, "only postgresql:// is known"},
        {"postgresql://u:open-sesame@h", NULL, "names no database"},
        {"postgresql://u:open-sesame@h/", NULL, "names no database"},
        {"postgresql://h/d", NULL, "names no user"},
        {"postgresql://:open-sesame@h/d", NULL, "names no user"},
        {"postgresql://u:open-sesame@h/d", "other", "keep one"},
        {"postgresql://u@h/d?password=open-sesame", NULL, "store_password"},
        {"postgresql://u@h/d?sslpassword=open-sesame", NULL, "store_password"},
        {"postgresql://u@h/d?client_encoding=LATIN1", NULL, "unknown parameter"},
        {"postgresql://u@h/d?service=x", NULL, "unknown parameter"},
        {"postgresql://u@h/d?dbname=open-sesame", NULL, "unknown parameter"},
        {"postgresql://u@h/d?host=elsewhere", NULL, "only the directory of a Unix socket"},
        {"postgresql://u@h/d?connect_timeout=0", NULL, "connect_timeout"},
        {"postgresql://u@h/d?connect_timeout=61", NULL, "connect_timeout"},
        {"postgresql://u@h/d?connect_timeout=-1", NULL, "connect_timeout"},
        {"postgresql://u@h/d?connect_timeout=3s", NULL, "connect_timeout"},
        {"postgresql://u@h/d?connect_timeout=99999999999999999999", NULL, "connect_timeout"},
        {"postgresql://u@h/d?sslmode", NULL, "not name=value"},
        {"postgresql://u@h/d?=x", NULL, "not name=value"},
        {"postgresql://u@h/d?sslmode=%zz", NULL, ""},
        {"postgresql://u@h/d?sslmode=%00", NULL, ""},
        {many, NULL, "parameters"},
        {too_long, NULL, ""},
        {"postgresql://", NULL, ""},
        {"", NULL, ""},
        {"/var/lib/store", NULL, ""},
        {"postgresql://u:open-sesame@h:99999/d", NULL, ""},
        {"postgresql://u:open-sesame@h /d", NULL, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        pg_place place;
        gw_error err = GW_ERROR_INIT;
        gw_status st = pg_place_init(&place, cases[i].url, cases[i].password, "app", &err);
        if (st == GW_OK) {
            fail_msg("%.60s: taken for a place", cases[i].url);
        }
        if (strstr(err.text, cases[i].text) == NULL || strstr(err.text, "open-sesame") != NULL) {
            fail_msg("%.60s: got '%s', expected '%s'", cases[i].url, err.text, cases[i].text);
        }
        if (cases[i].password == NULL && cases[i].url[0] != '\0') {
            assert_non_null(pg_place_check(cases[i].url));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("places of databases", tests, NULL, NULL);
}
