/* SPDX-License-Identifier: MIT */
/* Which names, profiles and labels may come in: the guard of everything that becomes a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/request.h"
#include "configserver/rendering.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void good_requests_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *name, *profiles, *label;
        const char *as_name, *as_label;
    } cases[] = {
        {"foo", "default", NULL, "foo", NULL},
        {"foo-bar.v2_x", "dev,mysql", "main", "foo-bar.v2_x", "main"},
        {"foo,bar", "dev", "v1.2", "foo,bar", "v1.2"},
        {"a(_)b", "dev", "feature(_)x(_)y", "a/b", "feature/x/y"},
        {"a(_)b,c", "dev", NULL, "a/b,c", NULL},
        {"foo", "dev-yml", "0123456789abcdef", "foo", "0123456789abcdef"},
        {"foo", "a.b_c-d+e@f", "release-1.0", "foo", "release-1.0"},
        {"foo", "1", "a@b", "foo", "a@b"},
        {"\xec\x95\xb1", "\xea\xb0\x9c\xeb\xb0\x9c", NULL, "\xec\x95\xb1", NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_request req;
        gw_error err = GW_ERROR_INIT;
        if (cs_request_init(&req, cases[i].name, cases[i].profiles, cases[i].label, &err) !=
            GW_OK) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_string_equal(req.name, cases[i].as_name);
        assert_string_equal(req.profiles, cases[i].profiles);
        assert_int_equal(req.has_label, cases[i].label != NULL);
        assert_string_equal(req.label, cases[i].as_label == NULL ? "" : cases[i].as_label);
    }
}

static void expect_refused(const char *name, const char *profiles, const char *label)
{
    cs_request req;
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_request_init(&req, name, profiles, label, &err);
    if (st != GW_E_INVALID || err.text[0] == '\0') {
        fail_msg("%s/%s/%s gave %s '%s'", name, profiles, label == NULL ? "-" : label,
                 gw_status_name(st), err.text);
    }
}

/* For names and labels alike; each line is a way that was tried on Spring's server, or could be. */
static void hostile_names_and_labels_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        ".",
        "..",
        "../etc/passwd",
        "..(_)..(_)etc(_)passwd",
        "(_)etc(_)passwd",
        "a(_)..(_)b",
        "a(_).(_)b",
        "a(_)(_)b",
        "a(_)",
        ".(_)a",
        ".(.(_)",
        ".git(_)config",
        "a(_).git",
        "a/b",
        "/a",
        "a/",
        "..%2f..%2f",
        "..%252fetc",
        "%2e%2e",
        "a%00b",
        "a#b",
        "foo%23",
        "a\\b",
        "..\\..\\etc",
        "a\nb",
        "a\tb",
        "a\x7f",
        "a b",
        "a?b",
        "a*",
        "a:b",
        "HEAD~1",
        "main^{commit}",
        "main@{1}",
        "a[0]",
        "<a>",
        "a|b",
        "a;b",
        "a&b",
        "a'b",
        "a\"b",
        "a`b`",
        "$(a)",
        "{application}",
        "-a",
        "--upload-pack=touch",
        "-(_)a",
        "a.",
        "file:///etc/passwd",
        "ext::sh",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_refused(cases[i], "dev", NULL);
        expect_refused("foo", "dev", cases[i]);
    }
    expect_refused("a,,b", "dev", NULL);
    expect_refused(",", "dev", NULL);
    expect_refused("a,../b", "dev", NULL);
    expect_refused("a,(_)b", "dev", NULL);
    char *many = repeat("a,", CS_APPLICATIONS_MAX);
    expect_refused(many, "dev", NULL);
    many[strlen(many) - 1] = 'b';
    cs_request req;
    assert_int_equal(cs_request_init(&req, many, "dev", NULL, NULL), GW_OK);
    free(many);
    many = repeat("a,", CS_APPLICATIONS_MAX + 1);
    many[strlen(many) - 1] = '\0';
    expect_refused(many, "dev", NULL);
    free(many);
    char *longest = repeat("x", CS_NAME_BYTES_MAX);
    assert_int_equal(cs_request_init(&req, longest, longest, longest, NULL), GW_OK);
    free(longest);
    char *too_long = repeat("x", CS_NAME_BYTES_MAX + 1);
    expect_refused(too_long, "dev", NULL);
    expect_refused("foo", too_long, NULL);
    expect_refused("foo", "dev", too_long);
    free(too_long);
    char *huge = repeat("x", 100000);
    expect_refused(huge, huge, huge);
    free(huge);
}

static void hostile_profiles_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",      ",",    "dev,", ",dev", "dev,,x", "-dev", "dev-", ".dev",
        "dev.",  "_dev", "a..b", "a/b",  "a(_)b",  "../x", "a b",  "a#b",
        "a%2fb", "a\\b", "a:b",  "a?b",  "{x}",    "${x}", "a\nb", "http://x",
        "@dev",  "dev+", "a;b",  "a=b",  "a&b",    "a|b",  "!a",   "dev, mysql",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_refused("foo", cases[i], NULL);
    }
    char *many = repeat("a,", CS_PROFILES_MAX + 1);
    many[strlen(many) - 1] = '\0';
    expect_refused("foo", many, NULL);
    free(many);
}

static void extensions_are_seen(void **state)
{
    (void)state;
    static const struct {
        const char *profiles;
        bool expected;
    } cases[] = {
        {"dev", false},           {"dev.yml", true},   {"dev.yaml", true},   {"dev.json", true},
        {"dev.properties", true}, {"dev-yml", false},  {"yml", false},       {".yml", false},
        {"-.yml", false},         {"dev.ymlx", false}, {"dev.yml.x", true},  {"dev.yml,x", true},
        {"dev.xml", false},       {"a.b.yml", true},   {"dev.yml_x", false}, {"dev.YML", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (cs_profiles_have_extension(cases[i].profiles) != cases[i].expected) {
            fail_msg("%s: not %d", cases[i].profiles, cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_normalised),
        cmocka_unit_test(hostile_names_and_labels_are_refused),
        cmocka_unit_test(hostile_profiles_are_refused),
        cmocka_unit_test(extensions_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
