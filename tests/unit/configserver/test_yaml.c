/* SPDX-License-Identifier: MIT */
/* What the YAML reader makes of a file, rule by rule, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/buf.h>

#include "configserver/rendering.h"
#include "files/bounds.h"
#include "files/yaml_reader.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef struct good_case {
    const char *yaml;
    const char *expected;
} good_case;

typedef struct bad_case {
    const char *yaml;
    const char *error;
} bad_case;

static gw_status read_text(const char *text, size_t len, char **ret_rendered, gw_error *err)
{
    cs_file file;
    assert_int_equal(cs_file_init(&file, "app.yml"), GW_OK);
    gw_status st = cs_yaml_read(&file, text, len, err);
    if (st == GW_OK) {
        *ret_rendered = render_file(&file);
    }
    cs_file_dispose(&file);
    return st;
}

static void check_good(const good_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *rendered = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_text(cases[i].yaml, strlen(cases[i].yaml), &rendered, &err);
        if (st != GW_OK || strcmp(rendered, cases[i].expected) != 0) {
            fail_msg("case %zu\n%s\ngave   %s\n%s\nwanted\n%s", i, cases[i].yaml,
                     gw_status_name(st), st == GW_OK ? rendered : err.text, cases[i].expected);
        }
        free(rendered);
    }
}

static void check_bad(const bad_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *rendered = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_text(cases[i].yaml, strlen(cases[i].yaml), &rendered, &err);
        if (st == GW_OK || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("case %zu\n%s\ngave   '%s'\nwanted '%s'", i, cases[i].yaml,
                     st == GW_OK ? rendered : err.text, cases[i].error);
        }
        assert_int_equal(err.status, st);
        free(rendered);
    }
}

static void scalars_follow_yaml_1_1(void **state)
{
    (void)state;
    static const struct {
        const char *scalar;
        const char *expected; /* with '=' for text and ':' for a literal */
    } cases[] = {
        /* integers */
        {"0", ":0"},
        {"7", ":7"},
        {"+7", ":7"},
        {"-7", ":-7"},
        {"-0", ":0"},
        {"010", ":8"},
        {"-010", ":-8"},
        {"00", ":0"},
        {"08", "=08"},
        {"0o17", "=0o17"},
        {"0x1F", ":31"},
        {"0xfF_00", ":65280"},
        {"0X1F", "=0X1F"},
        {"-0x10", ":-16"},
        {"0b1010", ":10"},
        {"0b_", "=0b_"},
        {"0b102", "=0b102"},
        {"0x", "=0x"},
        {"1_000", ":1000"},
        {"1_", ":1"},
        {"_1", "=_1"},
        {"9223372036854775808", ":9223372036854775808"},
        {"0xffffffffffffffffffff", ":1208925819614629174706175"},
        {"+", "=+"},
        /* sexagesimal */
        {"1:30", ":90"},
        {"-1:30", ":-90"},
        {"190:20:30", ":685230"},
        {"1:60", "=1:60"},
        {"1:5", ":65"},
        {"01:30", "=01:30"},
        {"20:30.5", ":1230.5"},
        {"8080:80", "=8080:80"},
        {"127.0.0.1", "=127.0.0.1"},
        {"1:30 pm", "=1:30 pm"},
        /* floats */
        {"1.5", ":1.5"},
        {"-1.5", ":-1.5"},
        {"+1.5", ":1.5"},
        {"1.", ":1.0"},
        {".5", ":0.5"},
        {"-.5", ":-0.5"},
        {".", "=."},
        {"._", "=._"},
        {"1e3", ":1000.0"},
        {"1E3", ":1000.0"},
        {"1e", "=1e"},
        {"e3", "=e3"},
        {"1.5e+3", ":1500.0"},
        {"1.5e-3", ":0.0015"},
        {"1_0.2_5", ":10.25"},
        {"0.1", ":0.1"},
        {"0.001", ":0.001"},
        {"0.0001", ":1.0E-4"},
        {"9999999.0", ":9999999.0"},
        {"10000000.0", ":1.0E7"},
        {"123456789.25", ":1.2345678925E8"},
        {"3.141592653589793", ":3.141592653589793"},
        {"0.0", ":0.0"},
        {"-0.0", ":-0.0"},
        {"1.2.3", "=1.2.3"},
        {"1e400", "=Infinity"},
        {".inf", "=Infinity"},
        {"-.INF", "=-Infinity"},
        {".NaN", "=NaN"},
        {"-.nan", "=-.nan"},
        {".iNf", "=.iNf"},
        {"09.5", ":9.5"},
        /* booleans and null */
        {"true", ":true"},
        {"True", ":true"},
        {"tRue", "=tRue"},
        {"yes", ":true"},
        {"No", ":false"},
        {"ON", ":true"},
        {"off", ":false"},
        {"y", "=y"},
        {"n", "=n"},
        {"~", "="},
        {"null", "="},
        {"Null", "="},
        {"nUll", "=nUll"},
        {"", "="},
        /* dates stay text */
        {"2026-11-22", "=2026-11-22"},
        {"2026-11-22T10:42:13Z", "=2026-11-22T10:42:13Z"},
        {"12:30:45", ":45045"},
        /* quotes keep text */
        {"'010'", "=010"},
        {"\"true\"", "=true"},
        {"''", "="},
        {"\"a\\tb\"", "=a\tb"},
        /* tags */
        {"!!str 010", "=010"},
        {"!!int '010'", ":8"},
        {"!!float 5", ":5.0"},
        {"!!bool 'yes'", ":true"},
        {"!!null x", "="},
        {"! 12", "=12"},
        /* the rest */
        {"=", "=="},
        {"http://host:8080/x", "=http://host:8080/x"},
        {"\xec\x84\x9c\xeb\xb2\x84", "=\xec\x84\x9c\xeb\xb2\x84"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char yaml[256];
        char expected[256];
        snprintf(yaml, sizeof(yaml), "k: %s\n", cases[i].scalar);
        snprintf(expected, sizeof(expected), "k%s\n", cases[i].expected);
        check_good(&(good_case){yaml, expected}, 1);
    }
}

static void numbers_of_any_size_are_kept(void **state)
{
    (void)state;
    char *nines = repeat("9", CS_NUMBER_BYTES_MAX);
    char *more = repeat("9", CS_NUMBER_BYTES_MAX + 1);
    char yaml[2048];
    char expected[2048];
    snprintf(
        yaml, sizeof(yaml), "a: %s\nb: %s\nc: 0x%.254s\n", nines, more,
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
    snprintf(expected, sizeof(expected), "a:%s\nb=%s\nc:", nines, more);
    char *rendered = NULL;
    assert_int_equal(read_text(yaml, strlen(yaml), &rendered, NULL), GW_OK);
    assert_memory_equal(rendered, expected, strlen(expected));
    assert_int_equal(strspn(rendered + strlen(expected), "0123456789"), 102);
    free(rendered);
    free(nines);
    free(more);
}

static void structure_is_flattened(void **state)
{
    (void)state;
    static const good_case cases[] = {
        {"", ""},
        {"# only a comment\n", ""},
        {"---\n---\n", ""},
        {"{}", ""},
        {"~", ""},
        {"a: 1\nb: 2\n", "a:1\nb:2\n"},
        {"a:\n  b:\n    c: 1\n", "a.b.c:1\n"},
        {"a:\n- x\n- y\n", "a[0]=x\na[1]=y\n"},
        {"a:\n- b: 1\n  c: 2\n- d: 3\n", "a[0].b:1\na[0].c:2\na[1].d:3\n"},
        {"a: [[1, 2], [3]]\n", "a[0][0]:1\na[0][1]:2\na[1][0]:3\n"},
        {"a: []\n", "a=\n"},
        {"a: {}\nb: 1\n", "b:1\n"},
        {"a:\nb: ~\n", "a=\nb=\n"},
        {"a:\n  '[peer0.x.com]': 1\n", "a[peer0.x.com]:1\n"},
        {"a.b: 1\n", "a.b:1\n"},
        {"1: a\n", "[1]=a\n"},
        {"p:\n  1: a\n  true: b\n  1.5: c\n  010: d\n", "p[1]=a\np[true]=b\np[1.5]=c\np[8]=d\n"},
        {"'1': a\n", "1=a\n"},
        {"on: a\n", "[true]=a\n"},
        {"[a, b]", "document[0]=a\ndocument[1]=b\n"},
        {"just text", "document=just text\n"},
        {"42", "document:42\n"},
        {"'': {a: 1}\n", "a:1\n"},
        {"' ': {' ': {a: 1}}\nb: {c: 2}\n", "a:1\nb.c:2\n"},
        {"a: {'': 1}\n", "a.:1\n"},
        {"a: |\n  x\n  y\nb: >\n  x\n  y\n", "a=x\\ny\\n\nb=x y\\n\n"},
        {"? a\n: 1\n", "a:1\n"},
        /* the first place, the last value */
        {"a.b: 1\nc: 2\na: {b: 3}\n", "a.b:3\nc:2\n"},
        {"a: 1\n---\nb: 2\n...\n---\n# nothing\n---\nc: 3\n", "a:1\n---\nb:2\n---\nc:3\n"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         "a:1\n"},
        {"a: 1\r\nb: 2\r\n", "a:1\nb:2\n"},
        {"%YAML 1.1\n---\na: 1\n", "a:1\n"},
    };
    check_good(cases, N_OF(cases));
}

static void aliases_and_merges_are_followed(void **state)
{
    (void)state;
    static const good_case cases[] = {
        {"a: &x {k: 1}\nb: *x\n", "a.k:1\nb.k:1\n"},
        {"a: &x 5\nb: [*x, *x]\n", "a:5\nb[0]:5\nb[1]:5\n"},
        {"&k key: 1\nb: {*k : 2}\n", "key:1\nb.key:2\n"},
        {"a: &x 1\nb: &x 2\nc: *x\n", "a:1\nb:2\nc:2\n"},
        {"d: &d {p: 1, q: 2}\na:\n  <<: *d\n  q: 3\n", "d.p:1\nd.q:2\na.p:1\na.q:3\n"},
        /* a key before the merge wins too, and keeps its place */
        {"d: &d {p: 1, q: 2}\na:\n  q: 3\n  <<: *d\n", "d.p:1\nd.q:2\na.q:3\na.p:1\n"},
        {"d: &d {p: 1}\ne: &e {p: 2, q: 3}\na:\n  <<: [*d, *e]\n",
         "d.p:1\ne.p:2\ne.q:3\na.p:1\na.q:3\n"},
        {"d: &d {p: 1}\ne: &e\n  <<: *d\n  q: 2\na:\n  <<: *e\n",
         "d.p:1\ne.p:1\ne.q:2\na.p:1\na.q:2\n"},
        {"a:\n  <<: {p: 1}\n", "a.p:1\n"},
        {"a:\n  '<<': 1\n", "a.<<:1\n"},
        {"a: <<\n", "a=<<\n"},
    };
    check_good(cases, N_OF(cases));
}

static void mistakes_are_named_with_file_and_line(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {"server_port: 1\nx: 2\nserver_port: 3\n",
         "app.yml:3: duplicate key 'server_port' (first at line 1)"},
        {"a:\n  b: 1\n  b: 1\n", "app.yml:3: duplicate key 'b' (first at line 2)"},
        {"1: a\n01: b\n", "app.yml:2: duplicate key '1' (first at line 1)"},
        {"a: &x 1\nb: *y\n", "app.yml:2: no anchor '&y' before this alias"},
        {"a: &x [*x]\n", "app.yml:1: '*x' contains itself"},
        {"a: &x\n  b:\n    c: *x\n", "app.yml:3: '*x' contains itself"},
        {"? [a]\n: 1\n", "app.yml:1: a key must be a scalar"},
        {"? {a: 1}\n: 1\n", "app.yml:1: a key must be a scalar"},
        {"~: 1\n", "app.yml:1: a key must not be null"},
        {"a: !!python/object:os.system x\n",
         "app.yml:1: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"},
        {"a: !!javax.script.ScriptEngineManager [x]\n", "app.yml:1: the tag '"},
        {"a: !own x\n", "app.yml:1: the tag '!own' is not allowed"},
        {"a: !!binary aGk=\n", "is not allowed"},
        {"a: !!set {x: }\n", "is not allowed"},
        {"a: !!int x\n", "app.yml:1: the value does not fit the tag 'tag:yaml.org,2002:int'"},
        {"a: !!bool maybe\n", "does not fit the tag"},
        {"a: !!float x\n", "does not fit the tag"},
        {"a:\n  <<: 5\n", "app.yml:2: the value of '<<' must be a map or a list of maps"},
        {"a:\n  <<: [5]\n", "app.yml:2: the value of '<<' must be a map"},
        {"a: 1\n  b: 2\n", "app.yml:2: "},
        {"a: [1\nb: 2\n", "app.yml:2: "},
        {"a: 'x\n", "app.yml:2: found unexpected end of stream"},
        {"\ta: 1\n", "app.yml:1: "},
        {"a: @x\n", "app.yml:1: "},
        {"a: \"\\0\"\n", "app.yml:1: a NUL character is not allowed"},
        {"\"a\\0b\": 1\n", "app.yml:1: a NUL character is not allowed"},
        {"a: \xff\n", "app.yml:"},
        {"a: \xc0\xaf\n", "app.yml:"},
        {"a: \xed\xa0\x80\n", "app.yml:"},
        {"a: b\x01\n", "app.yml:"},
        {"a: \x1b[31m\n", "app.yml:"},
        {"%YAML 9.9\n---\na: 1\n", "app.yml:1: "},
    };
    check_bad(cases, N_OF(cases));
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char text[] = "a: b\0c\n";
    char *rendered = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(read_text(text, sizeof(text) - 1, &rendered, &err), GW_E_INVALID);
    assert_non_null(strstr(err.text, "app.yml:1: control characters are not allowed"));
}

static void expect_limit(char *yaml, const char *error)
{
    char *rendered = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = read_text(yaml, strlen(yaml), &rendered, &err);
    if (st != GW_E_LIMIT || strstr(err.text, error) == NULL) {
        fail_msg("gave %s '%s', wanted '%s'", gw_status_name(st), err.text, error);
    }
    free(rendered);
    free(yaml);
}

static char *join(const char *a, const char *b, const char *c)
{
    char *text = NULL;
    assert_true(asprintf(&text, "%s%s%s", a, b, c) >= 0);
    return text;
}

static void everything_is_bounded(void **state)
{
    (void)state;
    char *many = repeat("[", 10000);
    expect_limit(join("a: ", many, ""), "app.yml:1: nested more than 64 deep");
    free(many);
    many = repeat("{a: ", 10000);
    expect_limit(join("a: ", many, ""), "app.yml:1: nested more than 64 deep");
    free(many);
    many = repeat("- ", 10000);
    expect_limit(join("", many, "x\n"), "nested more than 64 deep");
    free(many);
    many = repeat("- x\n", CS_YAML_NODES_MAX);
    expect_limit(join("", many, ""), "more than 262144 values");
    free(many);
    many = repeat("- x\n", CS_PROPERTIES_MAX + 1);
    expect_limit(join("", many, ""), "app.yml:65537: more than 65536 properties");
    free(many);
    many = repeat("- &a x\n", CS_YAML_ANCHORS_MAX + 1);
    expect_limit(join("", many, ""), "app.yml:513: more than 512 anchors");
    free(many);
    many = repeat("%TAG ! a\n", CS_YAML_DIRECTIVES_MAX + 1);
    expect_limit(join("", many, "---\na: 1\n"), "app.yml:1: more than 256 %TAG directives");
    free(many);
    many = repeat("a: 1\n---\n", CS_DOCUMENTS_MAX + 1);
    expect_limit(join("", many, ""), "more than 256 documents");
    free(many);
    many = repeat("k", CS_KEY_BYTES_MAX);
    expect_limit(join("a:\n  ? \"", many, "\"\n  : 1\n"),
                 "app.yml:3: a key of more than 4096 bytes");
    free(many);
    many = repeat("x", CS_FILE_BYTES_MAX);
    expect_limit(join("a: ", many, "\n"), "app.yml:1: larger than 4 MiB");
    free(many);
}

/* Ten lines that would be ten billion values. */
static void aliases_of_aliases_are_bounded(void **state)
{
    (void)state;
    gw_buf yaml;
    gw_buf_init(&yaml, 0);
    gw_buf_add_str(&yaml, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        gw_buf_addf(&yaml, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            gw_buf_addf(&yaml, "%s*a%d", j == 0 ? "" : ",", i - 1);
        }
        gw_buf_add_str(&yaml, "]\n");
    }
    expect_limit(gw_buf_detach(&yaml, NULL), "more than 65536 properties");
    gw_buf_init(&yaml, 0);
    gw_buf_add_str(&yaml, "a0: &a0 {}\n");
    for (int i = 1; i < 10; i++) {
        gw_buf_addf(&yaml, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            gw_buf_addf(&yaml, "%s*a%d", j == 0 ? "" : ",", i - 1);
        }
        gw_buf_add_str(&yaml, "]\n");
    }
    expect_limit(gw_buf_detach(&yaml, NULL), "the aliases expand to more than 262144 values");
    gw_buf_init(&yaml, 0);
    gw_buf_add_str(&yaml, "a0: &a0 {k: 1}\n");
    for (int i = 1; i < 20; i++) {
        gw_buf_addf(&yaml, "a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i, i, i - 1, i - 1, i - 1);
    }
    expect_limit(gw_buf_detach(&yaml, NULL), "the aliases expand to more than 262144 values");
    /* nesting through aliases, each within the limit of the parser */
    gw_buf_init(&yaml, 0);
    gw_buf_add_str(&yaml, "a0: &a0 {k: 1}\n");
    for (int i = 1; i < 100; i++) {
        gw_buf_addf(&yaml, "a%d: &a%d {k: *a%d}\n", i, i, i - 1);
    }
    expect_limit(gw_buf_detach(&yaml, NULL), "nested more than 64 deep");
}

static void places_are_kept(void **state)
{
    (void)state;
    static const char yaml[] = "a:\n  b: 1\n  c:\n    - x\n";
    cs_file file;
    assert_int_equal(cs_file_init(&file, "app.yml"), GW_OK);
    assert_int_equal(cs_yaml_read(&file, yaml, strlen(yaml), NULL), GW_OK);
    assert_int_equal(file.n_documents, 1);
    assert_int_equal(file.documents[0].n_items, 2);
    const cs_property *b = &file.documents[0].items[0];
    const cs_property *c = &file.documents[0].items[1];
    assert_string_equal(b->key.bytes, "a.b");
    assert_string_equal(c->key.bytes, "a.c[0]");
    assert_int_equal(b->line, 2);
    assert_int_equal(b->column, 6);
    assert_int_equal(c->line, 4);
    assert_int_equal(c->column, 7);
    cs_file_dispose(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_follow_yaml_1_1),
        cmocka_unit_test(numbers_of_any_size_are_kept),
        cmocka_unit_test(structure_is_flattened),
        cmocka_unit_test(aliases_and_merges_are_followed),
        cmocka_unit_test(mistakes_are_named_with_file_and_line),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(aliases_of_aliases_are_bounded),
        cmocka_unit_test(places_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
