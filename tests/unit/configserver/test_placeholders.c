/* SPDX-License-Identifier: MIT */
/* ${key} and ${key:default} in a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/placeholders.h"
#include "configserver/rendering.h"
#include "files/bounds.h"
#include "files/document.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *key, *value;
} values[] = {
    {"a", "1"},           {"b", "${a}2"},         {"name", "a"},       {"empty", ""},
    {"k:x", "whole"},     {"esc", "\\${a}"},      {"self", "${self}"}, {"ping", "x${pong}"},
    {"pong", "${ping}y"}, {"list[0]", "item"},    {"brace", "}"},      {"json", "{\"x\":\"${a}\"}"},
    {"keyed.1", "one"},   {"spaced", " ${ a } "},
};

static bool find(void *ctx, cs_text key, cs_text *ret_value)
{
    (void)ctx;
    for (size_t i = 0; i < N_OF(values); i++) {
        if (cs_text_is(key, values[i].key)) {
            *ret_value = (cs_text){values[i].value, strlen(values[i].value)};
            return true;
        }
    }
    return false;
}

static const struct {
    const char *text, *expected;
} cases[] = {
    {"", ""},
    {"plain $ { } \\ text$", "plain $ { } \\ text$"},
    {"${a}", "1"},
    {"<${a}${a}>", "<11>"},
    {"${b}", "12"},
    {"${ a }", "1"},
    {"${\ta\n}", "1"},
    {"${none}", "${none}"},
    {"${none} ${a}", "${none} 1"},
    {"${none:default}", "default"},
    {"${none:}", ""},
    {"${a:default}", "1"},
    {"${empty:default}", ""},
    {"${ none : d }", " d "},
    {"${none:http://h:1/${a}}", "http://h:1/1"},
    {"${none:${other:${b}}}", "12"},
    {"${none:${other}}", "${other}"},
    {"${none:{\"x\":\"${a}\"}}", "{\"x\":\"1\"}"},
    {"${${name}}", "1"},
    {"${keyed.${a}}", "one"},
    {"${keyed.${none}}", "${keyed.${none}}"},
    {"${keyed.${none}:d}", "d"},
    {"${k:x}", "whole"},
    {"${list[0]}", "item"},
    {"${json}", "{\"x\":\"1\"}"},
    {"${spaced}", " 1 "},
    {"\\${a}", "${a}"},
    {"\\\\${a}", "${a}"},
    {"\\\\\\${a}", "\\${a}"},
    {"\\${a} ${a}", "${a} 1"},
    {"${esc}", "${a}"},
    {"${none:\\${a}}", "${a}"},
    {"${none\\${a}}", "${none${a}}"},
    {"\\$a \\{a}", "\\$a \\{a}"},
    {"${", "${"},
    {"${a", "${a"},
    {"x${a ${a}", "x${a ${a}"},
    {"${}", "${}"},
    {"${:d}", "d"},
    {"${a}}", "1}"},
    {"$${a}", "$1"},
    {"${self:x}", "!placeholders: the value of 'self' contains itself"},
    {"${ping}", "!placeholders: the value of 'ping' contains itself"},
};

static void expect(const char *text, cs_find_value look, const char *expected)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 1 << 20);
    gw_buf_add_str(&out, "");
    gw_status st = cs_placeholders_resolve(&out, (cs_text){text, strlen(text)}, look, NULL, &err);
    assert_int_equal(st, err.status);
    if (expected[0] == '!') {
        assert_int_not_equal(st, GW_OK);
        assert_string_equal(err.text, expected + 1);
    } else {
        if (st != GW_OK) {
            fail_msg("'%s': %s", text, err.text);
        }
        assert_string_equal(out.data, expected);
    }
    gw_buf_dispose(&out);
}

static void placeholders_are_springs(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(cases[i].text, find, cases[i].expected);
    }
}

/* "n<i>" is made of n<i+1>, twice. */
static bool find_doubled(void *ctx, cs_text key, cs_text *ret_value)
{
    static char text[64];
    (void)ctx;
    unsigned n = (unsigned)strtoul(key.bytes + 1, NULL, 10);
    text[0] = '\0';
    if (n < 25) {
        snprintf(text, sizeof(text), "${n%u}${n%u}", n + 1, n + 1);
    }
    static const char *kept[64];
    if (kept[n] == NULL) {
        kept[n] = strdup(text);
    }
    *ret_value = (cs_text){kept[n], strlen(kept[n])};
    return true;
}

static bool find_deeper(void *ctx, cs_text key, cs_text *ret_value)
{
    static char texts[64][16];
    (void)ctx;
    unsigned n = (unsigned)strtoul(key.bytes + 1, NULL, 10);
    snprintf(texts[n], sizeof(texts[n]), "${n%u}", n + 1);
    *ret_value = (cs_text){texts[n], strlen(texts[n])};
    return true;
}

static bool find_large(void *ctx, cs_text key, cs_text *ret_value)
{
    (void)key;
    *ret_value = (cs_text){ctx, 1000};
    return true;
}

static void work_is_bounded(void **state)
{
    (void)state;
    expect("${n0}", find_deeper, "!placeholders: nested deeper than 32");
    expect("${n0}", find_doubled, "!placeholders: more steps than 262144");
    char *many = repeat("${x}", 2000);
    char *large = repeat("x", 1000);
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 1 << 20);
    assert_int_equal(
        cs_placeholders_resolve(&out, (cs_text){many, strlen(many)}, find_large, large, &err),
        GW_E_LIMIT);
    assert_non_null(strstr(err.text, "what they come to"));
    gw_buf_dispose(&out);
    free(large);
    free(many);
    /* a default within a default */
    gw_buf text;
    gw_buf_init(&text, 0);
    for (int i = 0; i < 40; i++) {
        gw_buf_add_str(&text, "${none:");
    }
    for (int i = 0; i < 40; i++) {
        gw_buf_add_char(&text, '}');
    }
    expect(text.data, find, "!placeholders: nested deeper than 32");
    /* what does not close is not looked at again and again */
    gw_buf_clear(&text);
    for (int i = 0; i < 200000; i++) {
        gw_buf_add_str(&text, "${a");
    }
    expect(text.data, find, text.data);
    gw_buf_dispose(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_are_springs),
        cmocka_unit_test(work_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
