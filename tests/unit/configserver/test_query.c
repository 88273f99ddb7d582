/* SPDX-License-Identifier: MIT */
/* From a path to what is asked for: each route of Spring's table, and each hostile path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/query.h"
#include "configserver/rendering.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define V2          "application/vnd.spring-cloud.config-server.v2+json"

/* "form name profiles label path"; "-" for what is not there. */
static char *describe(const cs_query *query)
{
    static const char *const forms[] = {
        [CS_FORM_ENVIRONMENT] = "env",
        [CS_FORM_ENVIRONMENT_ORIGINS] = "v2",
        [CS_FORM_PROPERTIES] = "properties",
        [CS_FORM_YAML] = "yaml",
        [CS_FORM_JSON] = "json",
        [CS_FORM_EXPLAIN_JSON] = "explain",
        [CS_FORM_EXPLAIN_PAGE] = "explainpage",
        [CS_FORM_TEXT] = "text",
        [CS_FORM_BYTES] = "bytes",
    };
    static char text[2048];
    snprintf(text, sizeof(text), "%s %s %s %s %s%s%s", forms[query->form], query->names.name,
             query->names.profiles, query->names.has_label ? query->names.label : "-",
             query->path[0] == '\0' ? "-" : query->path, query->keep_placeholders ? " raw" : "",
             query->is_latin1 ? " latin1" : "");
    return text;
}

typedef struct route_case {
    cs_asked asked;
    const char *expected;
} route_case;

#define PATH1(a)          .first = (a)
#define PATH2(a, b)       .first = (a), .second = (b)
#define PATH3(a, b, c)    .first = (a), .second = (b), .third = (c)
#define PATH4(a, b, c, d) .first = (a), .second = (b), .third = (c), .rest = (d)

static void every_route_is_known(void **state)
{
    (void)state;
    static const route_case cases[] = {
        {{PATH2("foo", "default")}, "env foo default - -"},
        {{PATH2("foo", "dev,mysql")}, "env foo dev,mysql - -"},
        {{PATH2("foo,bar", "dev")}, "env foo,bar dev - -"},
        {{PATH2("foo", "dev-db")}, "env foo dev-db - -"},
        {{PATH2("foo", "dev-yml")}, "env foo dev-yml - -"},
        {{PATH3("foo", "dev", "main")}, "env foo dev main -"},
        {{PATH3("foo", "dev", "v1.2.yml")}, "env foo dev v1.2.yml -"},
        {{PATH3("foo", "dev", "feature(_)x")}, "env foo dev feature/x -"},
        {{PATH3("foo", "dev", "main,fix(_)1")}, "env foo dev main,fix/1 -"},
        {{PATH3("a(_)foo", "dev", "main")}, "env a/foo dev main -"},
        {{PATH4("foo", "dev", "main", "")}, "env foo dev main -"},
        /* flat */
        {{PATH1("foo-dev.yml")}, "yaml foo dev - -"},
        {{PATH1("foo-dev.yaml")}, "yaml foo dev - -"},
        {{PATH1("foo-dev.properties")}, "properties foo dev - -"},
        {{PATH1("foo-dev.json")}, "json foo dev - -"},
        {{PATH1("foo-dev,db.json")}, "json foo dev,db - -"},
        {{PATH1("foo-bar-dev.yml")}, "yaml foo-bar dev - -"},
        {{PATH1("foo-1.2.yml")}, "yaml foo 1.2 - -"},
        {{PATH2("main", "foo-dev.yml")}, "yaml foo dev main -"},
        {{PATH2("v1.2", "foo-dev.properties")}, "properties foo dev v1.2 -"},
        {{PATH2("feature(_)x", "foo-bar-dev.json")}, "json foo-bar dev feature/x -"},
        {{PATH1("foo-dev.yml"), .resolve_placeholders = "false"}, "yaml foo dev - - raw"},
        {{PATH1("foo-dev.yml"), .resolve_placeholders = "true"}, "yaml foo dev - -"},
        /* files */
        {{PATH4("foo", "dev", "main", "nginx.conf")}, "text foo dev main nginx.conf"},
        {{PATH4("foo", "dev", "main", "a/b/c.txt")}, "text foo dev main a/b/c.txt"},
        {{PATH4("foo", "dev", "feature(_)x", "a(_)b.txt")}, "text foo dev feature/x a/b.txt"},
        {{PATH4("foo", "dev", "main", "foo.yml")}, "text foo dev main foo.yml"},
        {{PATH3("foo", "dev", "nginx.conf"), .use_default_label = ""}, "text foo dev - nginx.conf"},
        {{PATH3("foo", "dev", "a(_)b.txt"), .use_default_label = "true"}, "text foo dev - a/b.txt"},
        {{PATH4("foo", "dev", "main", "a b+c.txt"), .resolve_placeholders = "false"},
         "text foo dev main a b+c.txt raw"},
        {{PATH4("foo", "dev", "main", "x"), .accept = "application/octet-stream"},
         "bytes foo dev main x"},
        {{PATH3("foo", "dev", "x"), .use_default_label = "",
          .accept = "text/plain;q=0.1, application/octet-stream"},
         "bytes foo dev - x"},
        {{PATH4("foo", "dev", "main", "x"), .accept = "*/*"}, "text foo dev main x"},
        {{PATH4("foo", "dev", "main", "x"), .accept_charset = "ISO-8859-1"},
         "text foo dev main x latin1"},
        {{PATH4("foo", "dev", "main", "x"), .accept_charset = "iso-8859-1;q=0.5, utf-8"},
         "text foo dev main x"},
        {{PATH4("foo", "dev", "main", "x"), .accept_charset = "utf-16"}, "text foo dev main x"},
        /* what is accepted */
        {{PATH2("foo", "dev"), .accept = V2}, "v2 foo dev - -"},
        {{PATH3("foo", "dev", "main"), .accept = V2}, "v2 foo dev main -"},
        {{PATH2("foo", "dev"), .accept = "text/html, " V2 ";q=0.2"}, "v2 foo dev - -"},
        {{PATH2("foo", "dev"), .accept = V2 ", application/json"}, "v2 foo dev - -"},
        {{PATH2("foo", "dev"), .accept = "application/json, " V2}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = V2 ";q=0.1, application/json;q=0.9"}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = "application/json;q=0.1, " V2 ";q=0.9"}, "v2 foo dev - -"},
        {{PATH2("foo", "dev"), .accept = V2 ";q=0"}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = "*/*"}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = "application/json"}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = ""}, "env foo dev - -"},
        {{PATH2("foo", "dev"), .accept = ";;,,;q=,"}, "env foo dev - -"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        static cs_query query;
        gw_error err = GW_ERROR_INIT;
        if (cs_query_read(&query, &cases[i].asked, &err) != GW_OK) {
            fail_msg("case %zu (%s): %s", i, cases[i].expected, err.text);
        }
        assert_string_equal(describe(&query), cases[i].expected);
    }
}

static void explanations_have_routes(void **state)
{
    (void)state;
    static const route_case cases[] = {
        {{PATH2("foo", "dev")}, "explain foo dev - -"},
        {{PATH3("foo", "dev", "feature(_)x")}, "explain foo dev feature/x -"},
        {{PATH2("foo", "dev"), .accept = "text/html,application/xhtml+xml,*/*;q=0.8"},
         "explainpage foo dev - -"},
        {{PATH2("foo", "dev"), .accept = "application/json, text/html"}, "explain foo dev - -"},
    };
    static cs_query query;
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(cs_query_read_explain(&query, &cases[i].asked, NULL), GW_OK);
        assert_string_equal(describe(&query), cases[i].expected);
        assert_null(query.key);
    }
    cs_asked asked = {PATH2("foo", "dev"), .key = "port"};
    assert_int_equal(cs_query_read_explain(&query, &asked, NULL), GW_OK);
    assert_string_equal(query.key, "port");
    asked.key = repeat("x", CS_NAME_BYTES_MAX + 1);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_query_read_explain(&query, &asked, &err), GW_E_INVALID);
    assert_string_equal(err.text, "the key has more than 256 bytes");
    free((void *)(uintptr_t)asked.key);
    cs_asked hostile = {PATH2("..", "dev")};
    assert_int_equal(cs_query_read_explain(&query, &hostile, NULL), GW_E_INVALID);
}

static void expect(const cs_asked *asked, gw_status expected)
{
    static cs_query query;
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_query_read(&query, asked, &err);
    if (st != expected || err.text[0] == '\0') {
        fail_msg("%s/%s/%s/%s gave %s '%s', wanted %s", asked->first,
                 asked->second == NULL ? "-" : asked->second,
                 asked->third == NULL ? "-" : asked->third, asked->rest == NULL ? "-" : asked->rest,
                 gw_status_name(st), err.text, gw_status_name(expected));
    }
}

static void what_is_no_route_is_not_found(void **state)
{
    (void)state;
    static const cs_asked cases[] = {
        {PATH1("foo")},
        {PATH1("foo.yml")},
        {PATH1("foo-dev")},
        {PATH1("foo-dev.xml")},
        {PATH1("foo-dev.YML")},
        {PATH1("foo-dev.yml.bak")},
        {PATH2("foo", "dev.yml")},
        {PATH2("foo", "dev.properties")},
        {PATH2("foo", "dev.json")},
        {PATH2("foo", "dev.yml.x")},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(&cases[i], GW_E_NOT_FOUND);
    }
}

/* As they come out of the one decoding that the HTTP server does: "%252f" is "%2f" here. Each is
 * tried as every part that it can be. */
static void hostile_parts_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        /* CVE-2019-3799: ..%252f in the path of a file */
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "a%2fb",
        /* a slash that was encoded once */
        "../../etc/passwd",
        "a/../b",
        "..",
        /* CVE-2020-5405: (_) that becomes a slash */
        "..(_)..(_)etc(_)passwd",
        "(_)etc(_)passwd",
        "a(_)..(_)b",
        "a(_)(_)b",
        "a(_)",
        ".(.(_)",
        /* CVE-2020-5410: %23 cuts off the extension */
        "passwd#",
        "..%2F..%2Fetc%2Fpasswd%23",
        "a#/b",
        /* CVE-2026-22739: profiles that lead out, or to another host */
        "dev/../../x",
        "http://169.254.169.254/",
        "x@evil.example:80",
        /* CVE-2026-40982: the same in every part */
        "..\\..\\windows",
        "a\\b",
        "a\nb",
        "a\x7f",
        "\x1b[0m",
        "file:///etc/passwd",
        /* not CVEs */
        ".git(_)config",
        "-(_)-upload-pack=x",
        "*",
        "?",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_asked as_name = {PATH2(cases[i], "dev")};
        cs_asked as_profile = {PATH2("foo", cases[i])};
        cs_asked as_label = {PATH3("foo", "dev", cases[i])};
        cs_asked as_second = {PATH3("foo", "dev", "main"), .rest = cases[i]};
        cs_asked as_path = {PATH3("foo", "dev", cases[i]), .use_default_label = ""};
        cs_asked as_flat_label = {PATH2(cases[i], "foo-dev.yml")};
        expect(&as_name, GW_E_INVALID);
        expect(&as_profile, GW_E_INVALID);
        expect(&as_label, GW_E_INVALID);
        expect(&as_flat_label, GW_E_INVALID);
        if (cases[i][0] != 'x' && cases[i][0] != '-') { /* harmless as a file's name */
            expect(&as_second, GW_E_INVALID);
            expect(&as_path, GW_E_INVALID);
        }
        char file[128];
        snprintf(file, sizeof(file), "%s-dev.yml", cases[i]);
        cs_asked as_flat_name = {PATH1(file)};
        expect(&as_flat_name, GW_E_INVALID);
        snprintf(file, sizeof(file), "foo-%s.yml", cases[i]);
        cs_asked as_flat_profile = {PATH1(file)};
        expect(&as_flat_profile, GW_E_INVALID);
    }
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "/etc/passwd",       "a//b",   "a/",   "./a",  "a/./b",  ".git/config", "a/.GIT/config",
        "a(_).git(_)config", "a..b/c", "a/..", "c:/x", "a/b%00", "a?b",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_asked asked = {PATH4("foo", "dev", "main", cases[i])};
        expect(&asked, GW_E_INVALID);
    }
    char *longest = repeat("x", CS_PATH_BYTES_MAX);
    char *too_long = repeat("x", CS_PATH_BYTES_MAX + 1);
    static cs_query query;
    cs_asked asked = {PATH4("foo", "dev", "main", longest)};
    assert_int_equal(cs_query_read(&query, &asked, NULL), GW_OK);
    asked.rest = too_long;
    expect(&asked, GW_E_INVALID);
    free(longest);
    free(too_long);
}

static void bad_profiles_and_queries_are_refused(void **state)
{
    (void)state;
    static const cs_asked cases[] = {
        {PATH1("foo-.yml")},
        {PATH1("-dev.yml")},
        {PATH1("-.yml")},
        {PATH1("foo-dev,.yml")},
        {PATH2("foo", "-dev")},
        {PATH2("foo", "dev,,db")},
        {PATH3("foo", "dev", "main,,x")},
        {PATH3("foo", "dev", "main,")},
        {PATH1("foo-dev.yml"), .resolve_placeholders = "maybe"},
        {PATH4("foo", "dev", "main", "x"), .resolve_placeholders = "0"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(&cases[i], GW_E_INVALID);
    }
    char *labels = repeat("a,", CS_LABELS_MAX + 1);
    labels[strlen(labels) - 1] = '\0';
    cs_asked asked = {PATH3("foo", "dev", labels)};
    expect(&asked, GW_E_INVALID);
    free(labels);
    /* Too long, and cut nowhere so that it fits. */
    char *name = repeat("x", 5000);
    char file[6000];
    snprintf(file, sizeof(file), "%s-dev.yml", name);
    cs_asked flat = {PATH1(file)};
    expect(&flat, GW_E_INVALID);
    snprintf(file, sizeof(file), "foo-%s.yml", name);
    expect(&flat, GW_E_INVALID);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_known),
        cmocka_unit_test(explanations_have_routes),
        cmocka_unit_test(what_is_no_route_is_not_found),
        cmocka_unit_test(hostile_parts_are_refused),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(bad_profiles_and_queries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
