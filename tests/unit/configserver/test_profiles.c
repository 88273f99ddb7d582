/* SPDX-License-Identifier: MIT */
/* Profile expressions, and what documents say about when they apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/activation.h"
#include "answer/profiles.h"
#include "configserver/rendering.h"
#include "files/yaml_reader.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static cs_text text_of(const char *str)
{
    return (cs_text){str, strlen(str)};
}

static void expressions_hold_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *active;
        const char *expression;
        bool expected;
    } cases[] = {
        {"dev", "dev", true},
        {"dev", "prod", false},
        {"dev", "DEV", false},
        {"dev", "de", false},
        {"dev", "!prod", true},
        {"dev", "!dev", false},
        {"dev", "!!dev", true},
        {"dev,eu", "dev & eu", true},
        {"dev", "dev&eu", false},
        {"dev", "dev | eu", true},
        {"us", "dev|eu", false},
        {"dev,eu", "dev & (eu | us)", true},
        {"dev", "dev & (eu | us)", false},
        {"dev,us", "(dev | prod) & !eu", true},
        {"dev", "!(eu | us)", true},
        {"dev,us", "!(eu | us)", false},
        {"a,b,c", "a & b & c", true},
        {"a,b", "a & b & c", false},
        {"", "default", false},
        {"default", "default", true},
        {"dev-db", "dev-db", true},
        {"dev", "  dev  ", true},
        {"dev", "((dev))", true},
        {"a b", "a b", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_profiles active = {.n = 0};
        bool match = !cases[i].expected;
        assert_int_equal(cs_profiles_add_list(&active, text_of(cases[i].active)), GW_OK);
        gw_status st = cs_profiles_match(&active, text_of(cases[i].expression), &match);
        if (st != GW_OK || match != cases[i].expected) {
            fail_msg("'%s' with '%s': %s, %d instead of %d", cases[i].expression, cases[i].active,
                     gw_status_name(st), match, cases[i].expected);
        }
    }
}

static void malformed_expressions_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",     "!",    "&",  "|",      "a &",         "& a",       "a | | b",
        "(a",   "a)",   "()", "a (b)",  "a !b",        "a & b | c", "a | b & c",
        "(a))", "((a)", "!(", "a & ()", "a & b | (c)",
    };
    cs_profiles active = {.n = 0};
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool match = false;
        gw_status st = cs_profiles_match(&active, text_of(cases[i]), &match);
        if (st != GW_E_INVALID) {
            fail_msg("'%s' gave %s", cases[i], gw_status_name(st));
        }
    }
}

static void expressions_are_bounded(void **state)
{
    (void)state;
    static const char *const units[] = {"(", "!", "a & ", "a"};
    cs_profiles active = {.n = 0};
    for (size_t i = 0; i < N_OF(units); i++) {
        bool match = false;
        char *deep = repeat(units[i], 2000);
        assert_int_equal(cs_profiles_match(&active, text_of(deep), &match), GW_E_LIMIT);
        free(deep);
    }
    char *deep = repeat("!", 40);
    bool match = false;
    assert_int_equal(cs_profiles_match(&active, text_of(deep), &match), GW_E_LIMIT);
    free(deep);
}

static void lists_are_split(void **state)
{
    (void)state;
    cs_profiles profiles = {.n = 0};
    assert_int_equal(cs_profiles_add_list(&profiles, text_of(" a ,,b, a ,c\t")), GW_OK);
    assert_int_equal(profiles.n, 3);
    assert_true(cs_text_is(profiles.items[0], "a"));
    assert_true(cs_text_is(profiles.items[1], "b"));
    assert_true(cs_text_is(profiles.items[2], "c"));
    static const char many[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,"
                               "26,27,28,29,30,31,32,33";
    assert_int_equal(cs_profiles_add_list(&profiles, text_of(many)), GW_E_LIMIT);
}

/* Read a file of one document and ask about it. */
static gw_status ask(const char *yaml, const char *active, bool is_profile_specific,
                     bool *ret_is_active, gw_error *err)
{
    cs_file file;
    cs_profiles profiles = {.n = 0};
    assert_int_equal(cs_file_init(&file, "app.yml"), GW_OK);
    assert_int_equal(cs_yaml_read(&file, yaml, strlen(yaml), err), GW_OK);
    assert_int_equal(file.n_documents, 1);
    assert_int_equal(cs_profiles_add_list(&profiles, text_of(active)), GW_OK);
    gw_status st = cs_document_is_active(&file, &file.documents[0], &profiles, ret_is_active, err);
    if (st == GW_OK && *ret_is_active) {
        st = cs_document_check(&file, &file.documents[0], is_profile_specific, err);
    }
    cs_file_dispose(&file);
    return st;
}

static void documents_apply_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *active;
        bool expected;
    } cases[] = {
        {"a: 1", "dev", true},
        {"spring.config.activate.on-profile: dev", "dev", true},
        {"spring.config.activate.on-profile: dev", "prod", false},
        {"spring: {config: {activate: {on-profile: '!dev'}}}", "prod", true},
        {"spring.config.activate.onProfile: dev", "prod", false},
        {"spring.config.activate.on_profile: dev", "prod", false},
        {"SPRING.CONFIG.ACTIVATE.ONPROFILE: dev", "prod", false},
        {"spring.config.activate.on-profile: 'a, b'", "b", true},
        {"spring.config.activate.on-profile: [a, b & c]", "b", false},
        {"spring.config.activate.on-profile: [a, b & c]", "b,c", true},
        {"spring.config.activate.on-profile: default", "default", true},
        {"spring.config.activate.on-profile: ''", "dev", true},
        {"spring.config.activate.on-cloud-platform: kubernetes", "dev", false},
        {"spring.config.activate.on-cloud-platform: none", "dev", true},
        {"spring.config.activate.on-profiles: x", "dev", true},
        {"myspring.config.activate.on-profile: x", "dev", true},
        {"spring.profiles.active: x", "dev", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool is_active = !cases[i].expected;
        gw_error err = GW_ERROR_INIT;
        gw_status st = ask(cases[i].yaml, cases[i].active, false, &is_active, &err);
        if (st != GW_OK || is_active != cases[i].expected) {
            fail_msg("%s with %s: %s %s, %d instead of %d", cases[i].yaml, cases[i].active,
                     gw_status_name(st), err.text, is_active, cases[i].expected);
        }
    }
}

static void what_documents_must_not_say(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        bool is_profile_specific;
        const char *error;
    } cases[] = {
        {"a: 1\nspring.profiles: dev", false,
         "app.yml:2: 'spring.profiles' is no longer allowed; use "
         "'spring.config.activate.on-profile'"},
        {"spring.profiles: [dev]", false, "app.yml:1: 'spring.profiles' is no longer allowed"},
        {"spring.profiles.active: x", true,
         "app.yml:1: 'spring.profiles.active' is not allowed in a profile-specific document"},
        {"spring.profiles.include: [x]", true, "'spring.profiles.include[0]' is not allowed"},
        {"spring.profiles.default: x", true, "'spring.profiles.default' is not allowed"},
        {"spring.config.activate.on-profile: dev\nspring.profiles.include: x", false,
         "app.yml:2: 'spring.profiles.include' is not allowed"},
        {"spring.config.activate.on-profile: a & b | c", false,
         "app.yml:1: malformed profile expression 'a & b | c'"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool is_active = false;
        gw_error err = GW_ERROR_INIT;
        gw_status st = ask(cases[i].yaml, "dev", cases[i].is_profile_specific, &is_active, &err);
        if (st == GW_OK || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("%s\ngave   '%s'\nwanted '%s'", cases[i].yaml, err.text, cases[i].error);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_hold_or_not),
        cmocka_unit_test(malformed_expressions_are_refused),
        cmocka_unit_test(expressions_are_bounded),
        cmocka_unit_test(lists_are_split),
        cmocka_unit_test(documents_apply_or_not),
        cmocka_unit_test(what_documents_must_not_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
