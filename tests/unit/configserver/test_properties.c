/* SPDX-License-Identifier: MIT */
/* What the .properties reader makes of a file, rule by rule, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configserver/rendering.h"
#include "files/bounds.h"
#include "files/properties_reader.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static gw_status read_text(const char *text, size_t len, char **ret_rendered, gw_error *err)
{
    cs_file file;
    assert_int_equal(cs_file_init(&file, "app.properties"), GW_OK);
    gw_status st = cs_properties_read(&file, text, len, err);
    if (st == GW_OK) {
        *ret_rendered = render_file(&file);
    }
    cs_file_dispose(&file);
    return st;
}

static void lines_become_properties(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"\n\r\n \t\n", ""},
        {"a=1", "a=1\n"},
        {"a=1\nb=2\n", "a=1\nb=2\n"},
        {"a=1\rb=2\r\nc=3", "a=1\nb=2\nc=3\n"},
        {"a:1\nb 2\nc\t3\n", "a=1\nb=2\nc=3\n"},
        {"a = 1\nb : 2\nc   3\n", "a=1\nb=2\nc=3\n"},
        {"a==1\nb=:2\nc = = 3\n", "a==1\nb=:2\nc== 3\n"},
        {"a\nb=\nc:\n", "a=\nb=\nc=\n"},
        {"  a=1\n\tb=2\n\fc=3\n", "a=1\nb=2\nc=3\n"},
        {"a=1  \nb=\t2\t\n", "a=1  \nb=2\t\n"},
        {"# c\n! d\n  # e\na=1 # f\n", "a=1 # f\n"},
        {"=1\n:2\n", ""},
        /* the last value, in the first place */
        {"a=1\nb=2\na=3\n", "a=3\nb=2\n"},
        /* escapes */
        {"a\\ b=1\na\\=b=2\na\\:b=3\n", "a b=1\na=b=2\na:b=3\n"},
        {"\\#a=1\na=\\ 1\n", "#a=1\na= 1\n"},
        {"a=x\\ty\\nz\\\\w\\q\n", "a=x\ty\\nz\\wq\n"},
        {"a=\\u0041\\u00e9\\uac00\n", "a=A\xc3\xa9\xea\xb0\x80\n"},
        {"a=\\ud83d\\ude00\n", "a=\xf0\x9f\x98\x80\n"},
        {"a=\\ud83d!\nb=\\ude00\nc=\\ud83d\\u0041\n",
         "a=\xef\xbf\xbd!\nb=\xef\xbf\xbd\nc=\xef\xbf\xbd"
         "A\n"},
        {"\\u0061=1\n", "a=1\n"},
        {"a=\\", "a=\n"},
        /* continued lines */
        {"a=1,\\\n   2,\\\r\n\t3\nb=4\n", "a=1,2,3\nb=4\n"},
        {"a\\\n  b=1\n", "ab=1\n"},
        {"a=1\\\\\nb=2\n", "a=1\\\nb=2\n"},
        {"a=1\\\n# not a comment\n", "a=1# not a comment\n"},
        {"# a comment \\\na=1\n", "a=1\n"},
        /* ISO-8859-1 */
        {"a=\xe9\xff\n\xe9=1\n", "a=\xc3\xa9\xc3\xbf\n\xc3\xa9=1\n"},
        /* lists */
        {"a[]=x,y\n", "a[0]=x\na[1]=y\n"},
        {"a[]=x, y ,\n", "a[0]=x\na[1]=y \n"},
        {"a[]=x\\,y,,z\n", "a[0]=x,y\na[1]=\na[2]=z\n"},
        {"a[]=\n", "a[0]=\n"},
        {"a[0]=x,y\n", "a[0]=x,y\n"},
        /* documents */
        {"a=1\n#---\nb=2\n", "a=1\n---\nb=2\n"},
        {"a=1\n!---  \nb=2\n", "a=1\n---\nb=2\n"},
        {"#---\na=1\n#---\n#---\n", "a=1\n"},
        {"a=1\n#---x\nb=2\n", "a=1\nb=2\n"},
        {"a=1\n #---\nb=2\n", "a=1\nb=2\n"},
        {"a=1\n# x\n#---\nb=2\n", "a=1\nb=2\n"},
        {"a=1\n! x\n#---\nb=2\n", "a=1\n---\nb=2\n"},
        {"a=1\n#---\n# x\nb=2\n", "a=1\nb=2\n"},
        {"a=1\n#---\nb=2\n#---\nb=3\n", "a=1\n---\nb=2\n---\nb=3\n"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *rendered = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_text(cases[i].text, strlen(cases[i].text), &rendered, &err);
        if (st != GW_OK || strcmp(rendered, cases[i].expected) != 0) {
            fail_msg("case %zu\n%s\ngave   %s\n%s\nwanted\n%s", i, cases[i].text,
                     gw_status_name(st), st == GW_OK ? rendered : err.text, cases[i].expected);
        }
        free(rendered);
    }
}

static void mistakes_are_named_with_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"a=1\nb=\\u00g1\n", "app.properties:2: a \\u escape without four hexadecimal digits"},
        {"a=\\u12", "app.properties:1: a \\u escape"},
        {"a=\\u", "app.properties:1: a \\u escape"},
        {"\\u", "app.properties:1: a \\u escape"},
        {"a=\\u0000", "app.properties:1: a NUL character is not allowed"},
        {"\\u0000=1", "app.properties:1: a NUL character is not allowed"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *rendered = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_text(cases[i].text, strlen(cases[i].text), &rendered, &err);
        if (st != GW_E_INVALID || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("case %zu gave '%s', wanted '%s'", i, err.text, cases[i].error);
        }
        free(rendered);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    char *rendered = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(read_text("a=b\0c\n", 6, &rendered, &err), GW_E_INVALID);
    assert_string_equal(err.text, "app.properties:1: a NUL character is not allowed");
    assert_int_equal(read_text("a=\\\0\n", 5, &rendered, &err), GW_E_INVALID);
}

static void expect_limit(const char *unit, size_t n, const char *end, const char *error)
{
    char *many = repeat(unit, n);
    char *text = NULL;
    assert_true(asprintf(&text, "%s%s", many, end) >= 0);
    char *rendered = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = read_text(text, strlen(text), &rendered, &err);
    if (st != GW_E_LIMIT || strstr(err.text, error) == NULL) {
        fail_msg("gave %s '%s', wanted '%s'", gw_status_name(st), err.text, error);
    }
    free(rendered);
    free(text);
    free(many);
}

static void everything_is_bounded(void **state)
{
    (void)state;
    expect_limit("k", CS_KEY_BYTES_MAX + 1, "=1\n", "app.properties:1: the property is too long");
    expect_limit("a=1\n", CS_PROPERTIES_MAX + 1, "",
                 "app.properties:65537: more than 65536 properties");
    expect_limit("a=1\n#---\n", CS_DOCUMENTS_MAX + 1, "", "more than 256 documents");
    expect_limit("a=12345\n", CS_FILE_BYTES_MAX / 8, "b=1\n", "larger than 4 MiB");
    expect_limit("x,", CS_PROPERTIES_MAX + 1, "", "too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_properties),
        cmocka_unit_test(mistakes_are_named_with_file_and_line),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(everything_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
