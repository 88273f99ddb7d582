/* SPDX-License-Identifier: MIT */
/* An environment as .properties, .yml and .json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/flat.h"
#include "configserver/rendering.h"
#include "configserver/view_double.h"
#include "files/bounds.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The text, or "!" and the error. Freed by the caller. */
static char *flatten(const double_file *files, cs_flat_format format, bool resolve)
{
    cs_view *view = NULL;
    cs_environment env = {.sources = NULL};
    gw_error err = GW_ERROR_INIT;
    gw_buf out;
    gw_buf_init(&out, CS_ENVIRONMENT_BYTES_MAX);
    gw_status st = view_double_load(files, "foo", "x", &view, &env, &err);
    if (st == GW_OK) {
        st = cs_flat_write(&out, &env, format, resolve, &err);
    }
    assert_int_equal(st, err.status);
    if (st != GW_OK) {
        gw_buf_clear(&out);
        gw_buf_addf(&out, "!%s", err.text);
    }
    gw_buf_add_str(&out, "");
    cs_environment_dispose(&env);
    view_double_free(view);
    return gw_buf_detach(&out, NULL);
}

static void expect(const char *about, const double_file *files, cs_flat_format format, bool resolve,
                   const char *wanted)
{
    char *got = flatten(files, format, resolve);
    bool is_error = wanted[0] == '!';
    if (is_error ? strncmp(got, wanted, strlen(wanted)) != 0 : strcmp(got, wanted) != 0) {
        fail_msg("%s: gave\n%s\nwanted\n%s", about, got, wanted);
    }
    free(got);
}

/* ---- merging and nesting ----------------------------------------------------------------- */

static const struct {
    const char *about;
    const char *low;  /* foo.properties or, if it begins with "---", foo.yml */
    const char *high; /* foo-x.properties, or foo-x.yml; may be NULL */
    const char *yaml, *json, *properties;
} cases[] = {
    {"nothing", "", NULL, "{}\n", "{}", ""},
    {"a map that is empty", "---\na: {}\n", NULL, "{}\n", "{}", ""},
    {"scalars keep their type", "---\na: 1\nb: true\nc: x\nd: '1'\ne: 1.50\nf: ~\n", NULL,
     "a: 1\nb: true\nc: x\nd: '1'\ne: 1.5\nf: ''\n",
     "{\"a\":1,\"b\":true,\"c\":\"x\",\"d\":\"1\",\"e\":1.5,\"f\":\"\"}",
     "a: 1\nb: true\nc: x\nd: 1\ne: 1.5\nf: "},
    {"those of .properties are text", "a=1\nb=true\nc=x", NULL, "a: '1'\nb: 'true'\nc: x\n",
     "{\"a\":\"1\",\"b\":\"true\",\"c\":\"x\"}", "a: 1\nb: true\nc: x"},
    {"maps nest", "a.b.c=d\na.b.e=f\na.g=h", NULL, "a:\n  b:\n    c: d\n    e: f\n  g: h\n",
     "{\"a\":{\"b\":{\"c\":\"d\",\"e\":\"f\"},\"g\":\"h\"}}", "a.b.c: d\na.b.e: f\na.g: h"},
    {"order is that of the lowest source", "z.b=1\na=2\nz.a=3", "a=9\nb=8\nz.b=7",
     "z:\n  b: '7'\n  a: '3'\na: '9'\nb: '8'\n",
     "{\"z\":{\"b\":\"7\",\"a\":\"3\"},\"a\":\"9\",\"b\":\"8\"}", "z.b: 7\na: 9\nz.a: 3\nb: 8"},
    {"lists lie at their parent's column", "---\na:\n  b: [c, d]\n", NULL,
     "a:\n  b:\n  - c\n  - d\n", "{\"a\":{\"b\":[\"c\",\"d\"]}}", "a.b[0]: c\na.b[1]: d"},
    {"a higher list takes the place of the whole", "a.b[0]=c\na.b[1]=d\na.b[2]=z",
     "a.b[0]=f\na.b[1]=h", "a:\n  b:\n  - f\n  - h\n", "{\"a\":{\"b\":[\"f\",\"h\"]}}",
     "a.b[0]: f\na.b[1]: h"},
    {"also of one of maps", "a[0].x=1\na[0].y=2\na[1].x=3", "a[0].y=9", "a:\n- y: '9'\n",
     "{\"a\":[{\"y\":\"9\"}]}", "a[0].y: 9"},
    {"other lists stay", "a[0]=1\nb[0]=2", "b[0]=3\nc[0]=4", "a:\n- '1'\nb:\n- '3'\nc:\n- '4'\n",
     "{\"a\":[\"1\"],\"b\":[\"3\"],\"c\":[\"4\"]}", "a[0]: 1\nb[0]: 3\nc[0]: 4"},
    {"lists come after all scalars", "a[0]=1\nb=2", NULL, "b: '2'\na:\n- '1'\n",
     "{\"b\":\"2\",\"a\":[\"1\"]}", "b: 2\na[0]: 1"},
    {"maps in lists", "---\na:\n- {c: d, d: e}\n- {c: d}\n", NULL, "a:\n- c: d\n  d: e\n- c: d\n",
     "{\"a\":[{\"c\":\"d\",\"d\":\"e\"},{\"c\":\"d\"}]}", "a[0].c: d\na[0].d: e\na[1].c: d"},
    {"lists in lists, and holes",
     "a.b[0].c=x\na.b[2].e[0].d=z\na.b[0].d[2]=yy\na.b[0].d[0]=xx\na.b[2].c=y\na.b[3][0]=r\n"
     "a.b[3][1]=s",
     NULL,
     "a:\n  b:\n  - c: x\n    d:\n    - xx\n    - null\n    - yy\n  - null\n  - e:\n    - d: z\n"
     "    c: y\n  - - r\n    - s\n",
     "{\"a\":{\"b\":[{\"c\":\"x\",\"d\":[\"xx\",null,\"yy\"]},null,{\"e\":[{\"d\":\"z\"}],\"c\":"
     "\"y\"},[\"r\",\"s\"]]}}",
     "a.b[0].c: x\na.b[2].e[0].d: z\na.b[0].d[2]: yy\na.b[0].d[0]: xx\na.b[2].c: y\na.b[3][0]: "
     "r\na.b[3][1]: s"},
    {"ten items come in order",
     "a[10]=k\na[2]=c\na[0]=a\na[1]=b\na[3]=d\na[4]=e\na[5]=f\na[6]=g\na[7]=h\na[8]=i\na[9]=j",
     NULL, "a:\n- a\n- b\n- c\n- d\n- e\n- f\n- g\n- h\n- i\n- j\n- k\n",
     "{\"a\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\"]}", NULL},
    {"brackets with text are part of the name",
     "a.test=e\na.b[hello]=c\na.b[world]=d\na.b[world]d=f", NULL,
     "a:\n  test: e\n  b[hello]: c\n  b[world]: d\n  b[world]d: f\n",
     "{\"a\":{\"test\":\"e\",\"b[hello]\":\"c\",\"b[world]\":\"d\",\"b[world]d\":\"f\"}}",
     "a.test: e\na.b[hello]: c\na.b[world]: d\na.b[world]d: f"},
    {"but of several sources it counts as a list", "a.b[x]=1\na.b[y]=2\na.c[x]=3", "a.b[x]=9",
     "a:\n  b[x]: '9'\n  c[x]: '3'\n", "{\"a\":{\"b[x]\":\"9\",\"c[x]\":\"3\"}}",
     "a.b[x]: 9\na.c[x]: 3"},
    {"so do keys that are numbers", "---\n1: a\ntrue: b\nc: d\n", "---\n2: e\n", "c: d\n'[2]': e\n",
     "{\"c\":\"d\",\"[2]\":\"e\"}", "c: d\n[2]: e"},
    {"a number as a map's key", "---\n1: a\ntrue: b\n", NULL, "'[1]': a\n'[true]': b\n",
     "{\"[1]\":\"a\",\"[true]\":\"b\"}", "[1]: a\n[true]: b"},
    {"a scalar, then a map below it", "org.springframework=WARN\norg.springframework.cloud=ERROR",
     NULL, "org:\n  springframework: WARN\n  springframework.cloud: ERROR\n",
     "{\"org\":{\"springframework\":\"WARN\",\"springframework.cloud\":\"ERROR\"}}",
     "org.springframework: WARN\norg.springframework.cloud: ERROR"},
    {"a map, then a scalar above it", "a.b=1\na.c=2\na=3", NULL, "a.b: '1'\na.c: '2'\na: '3'\n",
     "{\"a.b\":\"1\",\"a.c\":\"2\",\"a\":\"3\"}", "a.b: 1\na.c: 2\na: 3"},
    {"a scalar and a deep map", "l=1\nl.a.b=2\nl.a.c=3", NULL, "l: '1'\nl.a:\n  b: '2'\n  c: '3'\n",
     "{\"l\":\"1\",\"l.a\":{\"b\":\"2\",\"c\":\"3\"}}", "l: 1\nl.a.b: 2\nl.a.c: 3"},
    {"scalars all the way", "a=1\na.b=2\na.b.c=3", NULL, "a: '1'\na.b: '2'\na.b.c: '3'\n",
     "{\"a\":\"1\",\"a.b\":\"2\",\"a.b.c\":\"3\"}", "a: 1\na.b: 2\na.b.c: 3"},
    {"an empty list above a list", "a[0]=1\na[1]=2\nb=3", "---\na: []\n", "b: '3'\na: ''\n",
     "{\"b\":\"3\",\"a\":\"\"}", "b: 3\na: "},
    {"a list above an empty list", "---\na: []\nb: 3\n", "a[0]=1", "b: 3\na:\n- '1'\n",
     "{\"b\":3,\"a\":[\"1\"]}", "b: 3\na[0]: 1"},
    {"a scalar above a list of maps", "a[0].x=1", "a=2", "a: '2'\n", "{\"a\":\"2\"}", "a: 2"},
    {"a scalar and a list in one source", "a=1\na[0]=2\na[1]=3", NULL,
     "a: '1'\na[0]: '2'\na[1]: '3'\n", "{\"a\":\"1\",\"a[0]\":\"2\",\"a[1]\":\"3\"}",
     "a: 1\na[0]: 2\na[1]: 3"},
    {"a map and a list in one place", "a.b=1\na[0]=2", NULL, "a:\n  b: '1'\na[0]: '2'\n",
     "{\"a\":{\"b\":\"1\"},\"a[0]\":\"2\"}", "a.b: 1\na[0]: 2"},
    {"a value and a map in a list", "a[0]=1\na[0].b=2\na[1]=3", NULL,
     "a:\n- '1'\n- '3'\na[0].b: '2'\n", "{\"a\":[\"1\",\"3\"],\"a[0].b\":\"2\"}",
     "a[0]: 1\na[0].b: 2\na[1]: 3"},
    {"spring.profiles goes, its neighbours stay",
     "spring.profiles.group.a=b\nspring.application.name=n", NULL,
     "spring:\n  profiles:\n    group:\n      a: b\n  application:\n    name: n\n",
     "{\"spring\":{\"profiles\":{\"group\":{\"a\":\"b\"}},\"application\":{\"name\":\"n\"}}}",
     NULL},
    {"a list as the whole document", "---\n- c\n- d\n", NULL, "- c\n- d\n",
     "{\"document\":[\"c\",\"d\"]}", "document[0]: c\ndocument[1]: d"},
    {"maps in it", "---\n- a: c\n- a: d\n", NULL, "- a: c\n- a: d\n",
     "{\"document\":[{\"a\":\"c\"},{\"a\":\"d\"}]}", "document[0].a: c\ndocument[1].a: d"},
    {"a text as the whole document", "---\nblah\n", NULL, "blah\n", "{\"document\":\"blah\"}",
     "document: blah"},
    {"document as one key of several", "document=a\nb=c", NULL, "document: a\nb: c\n",
     "{\"document\":\"a\",\"b\":\"c\"}", "document: a\nb: c"},
    {"document as a map", "document.a=b", NULL, "document:\n  a: b\n",
     "{\"document\":{\"a\":\"b\"}}", "document.a: b"},
    {"an index with a zero before it is a name", "a[00]=1\na[01]=2", NULL,
     "a[00]: '1'\na[01]: '2'\n", "{\"a[00]\":\"1\",\"a[01]\":\"2\"}", "a[00]: 1\na[01]: 2"},
    {"an index before a bracket with text is a name", "a[0][k]=1", NULL, "a[0][k]: '1'\n",
     "{\"a[0][k]\":\"1\"}", "a[0][k]: 1"},
    {"brackets that do not close", "a[0=1\nb[=2\nc]=3", NULL, NULL,
     "{\"c]\":\"3\",\"a[0\":\"1\",\"b[\":\"2\"}", NULL},
    {"a key that ends with a dot", "a.=1", NULL, "a:\n  ? ''\n  : '1'\n", "{\"a\":{\"\":\"1\"}}",
     "a.: 1"},
    {"an empty part", "a..b=1", NULL, "!foo.properties:1: the key 'a..b' has an empty part",
     "!foo.properties:1: the key 'a..b' has an empty part", "a..b: 1"},
    {"a dot at the beginning", "x=1\n.b=1", NULL, "!foo.properties:2: the key '.b'",
     "!foo.properties:2: the key '.b'", "x: 1\n.b: 1"},
    {"a dot before a bracket", "a.[0]=1", NULL, "!foo.properties:1: the key 'a.[0]'",
     "!foo.properties:1: the key 'a.[0]'", NULL},
    {"no lists as large as memory", "a[65536]=1", NULL,
     "!foo.properties:1: the key 'a[65536]' has too large an index",
     "!foo.properties:1: the key 'a[65536]' has too large an index", "a[65536]: 1"},
    {"nor larger than numbers", "a[99999999999999999999999]=1", NULL, "!foo.properties:1: the key",
     "!foo.properties:1: the key", NULL},
    {"nor many of them", "a[65535]=1\nb[65535]=1\nc[65535]=1\nd[65535]=1\ne[65535]=1", NULL,
     "!foo.properties:4: the key 'd[65535]' is one too many",
     "!foo.properties:4: the key 'd[65535]' is one too many", NULL},
};

static void sources_become_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *low = cases[i].low;
        const char *high = cases[i].high == NULL ? "" : cases[i].high;
        double_file files[] = {
            {strncmp(low, "---", 3) == 0 ? "foo.yml" : "foo.properties", low},
            {strncmp(high, "---", 3) == 0 ? "foo-x.yml" : "foo-x.properties", high},
            {NULL, NULL},
        };
        const char *wanted[] = {cases[i].properties, cases[i].yaml, cases[i].json};
        for (int format = CS_FLAT_PROPERTIES; format <= CS_FLAT_JSON; format++) {
            if (wanted[format] != NULL) {
                expect(cases[i].about, files, (cs_flat_format)format, true, wanted[format]);
            }
        }
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char *parts = repeat("a.", CS_FLAT_DEPTH_MAX);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text, "%sb=1", parts);
    double_file files[] = {{"foo.properties", text.data}, {NULL, NULL}};
    char *got = flatten(files, CS_FLAT_JSON, false);
    assert_int_equal(got[0], '{');
    free(got);
    gw_buf_clear(&text);
    gw_buf_addf(&text, "%sa.b=1", parts);
    files[0].text = text.data;
    got = flatten(files, CS_FLAT_YAML, false);
    assert_non_null(strstr(got, "is nested too deeply"));
    free(got);
    /* each key a scalar above the next */
    gw_buf_clear(&text);
    for (size_t n = 1; n < CS_KEY_BYTES_MAX / 2; n += 97) {
        for (size_t i = 0; i < n; i++) {
            gw_buf_add_str(&text, i == 0 ? "a" : ".a");
        }
        gw_buf_add_str(&text, "=1\n");
    }
    files[0].text = text.data;
    got = flatten(files, CS_FLAT_JSON, false);
    assert_true(got[0] == '{' || strstr(got, "is nested too deeply") != NULL);
    free(got);
    gw_buf_dispose(&text);
    free(parts);
}

/* ---- YAML's scalars ------------------------------------------------------------------------- */

#define SEVEN   "one two three four five six seven "
#define WORDS40 SEVEN "eight "

static const struct {
    const char *value, *yaml;
} scalars[] = {
    {"plain", "plain"},
    {"two words", "two words"},
    {"", "''"},
    {"~", "'~'"},
    {"null", "'null'"},
    {"true", "'true'"},
    {"On", "'On'"},
    {"y", "y"},
    {"010", "'010'"},
    {"1_000", "'1_000'"},
    {"1:30", "'1:30'"},
    {"0x1F", "'0x1F'"},
    {"1e3", "'1e3'"},
    {".inf", "'.inf'"},
    {".nan", "'.nan'"},
    {"NaN", "NaN"},
    {"1.2.3", "1.2.3"},
    {"127.0.0.1", "127.0.0.1"},
    {"2026-11-25", "'2026-11-25'"},
    {"2026-1-2", "2026-1-2"},
    {"2026-11-25T20:00:00Z", "'2026-11-25T20:00:00Z'"},
    {"2026-11-25 20:00:00.5 +01:00", "'2026-11-25 20:00:00.5 +01:00'"},
    {"2026-11-25x", "2026-11-25x"},
    {"<<", "'<<'"},
    {"=", "'='"},
    {"a: b", "'a: b'"},
    {"a:b", "a:b"},
    {"http://h:1/p?q#f", "http://h:1/p?q#f"},
    {"a #b", "'a #b'"},
    {"a#b", "a#b"},
    {"#a", "'#a'"},
    {"-", "'-'"},
    {"- a", "'- a'"},
    {"-a", "-a"},
    {"--- a", "'--- a'"},
    {"...", "'...'"},
    {"? a", "'? a'"},
    {"?a", "?a"},
    {":a", ":a"},
    {"a:", "'a:'"},
    {"[a]", "'[a]'"},
    {"{cipher}ab", "'{cipher}ab'"},
    {"${a}", "${a}"},
    {"*a", "'*a'"},
    {"&a", "'&a'"},
    {"!a", "'!a'"},
    {"%a", "'%a'"},
    {"@a", "'@a'"},
    {"`a", "'`a'"},
    {"|a", "'|a'"},
    {">a", "'>a'"},
    {",a", "',a'"},
    {"a, b", "a, b"},
    {"it's", "it's"},
    {"'quoted'", "'''quoted'''"},
    {"\"quoted\"", "'\"quoted\"'"},
    {"it's: it", "'it''s: it'"},
    {" a", "' a'"},
    {"a ", "'a '"},
    {" ", "' '"},
    {"a  b", "a  b"},
    {"back\\slash", "back\\slash"},
    {"tab\there", "\"tab\\there\""},
    {"tab\t\"\\", "\"tab\\t\\\"\\\\\""},
    {"cr\rlf", "\"cr\\rlf\""},
    {"\x01\x1b\x7f", "\"\\x01\\e\\x7f\""},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6"},
    {"\xc3\xa4\t\xc2\xa0", "\"\xc3\xa4\\t\\_\""},
    {"nel\xc2\x85", "\"nel\\N\""},
    {"ls\xe2\x80\xa8ps\xe2\x80\xa9", "\"ls\\Lps\\P\""},
    {"\xef\xbb\xbf"
     "bom",
     "\"\\ufeffbom\""},
    {"a\nb", "|-\n  a\n  b"},
    {"a\nb\n", "|\n  a\n  b"},
    {"a\n\n", "|+\n  a\n"},
    {"\n", "|2+\n"},
    {"\na", "|2-\n\n  a"},
    {"  a\nb", "|2-\n    a\n  b"},
    {"a\n  b\n\nc", "|-\n  a\n    b\n\n  c"},
    {"# a\nb: c", "|-\n  # a\n  b: c"},
    {"a \nb", "\"a \\nb\""},
    {"a\nb ", "'a\n\n  b '"},
    {"a\tb\nc", "\"a\\tb\\nc\""},
    {WORDS40 SEVEN "eight nine ten", WORDS40 SEVEN "eight\n  nine ten"},
    {WORDS40 SEVEN "eightnine  ten eleven", WORDS40 SEVEN "eightnine  ten\n  eleven"},
    {WORDS40 SEVEN "eight : x", "'" WORDS40 SEVEN "eight\n  : x'"},
    {WORDS40 SEVEN "eight \t x", "\"" WORDS40 SEVEN "eight\\\n  \\ \\t x\""},
    {WORDS40 SEVEN "\t\t\t\tx y z", "\"" WORDS40 SEVEN "\\t\\t\\\n  \\t\\tx y z\""},
};

/* As a value of ever deeper maps, and of a list; the longer lines are judged at "k". */
static void scalars_are_as_snakeyaml_has_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(scalars); i++) {
        cs_property item = {
            .key = {"k", 1},
            .value = {scalars[i].value, strlen(scalars[i].value)},
            .line = 1,
        };
        cs_source source = {.name = "s", .path = "s", .items = &item, .n_items = 1};
        cs_environment env = {.sources = &source, .n_sources = 1};
        gw_buf out;
        gw_buf wanted;
        gw_buf_init(&out, 0);
        gw_buf_init(&wanted, 0);
        gw_buf_addf(&wanted, "k: %s\n", scalars[i].yaml);
        assert_int_equal(cs_flat_write(&out, &env, CS_FLAT_YAML, false, NULL), GW_OK);
        assert_string_equal(out.data, wanted.data);
        gw_buf_dispose(&out);
        gw_buf_dispose(&wanted);
    }
}

static void keys_are_quoted_where_they_must(void **state)
{
    (void)state;
    char *longest = repeat("k", 122);
    char *longer = repeat("k", 123);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text,
                "---\n'true': 1\n'a b': 1\n'x: y': 1\n'007': 1\n'it''s': 1\n\"t\\tb\": 1\n'': 1\n"
                "\"two\\nlines\": {a: 1}\n\"m\\nn\": [a, {b: c}]\n%s: 1\n? %s\n: 1\n",
                longest, longer);
    gw_buf wanted;
    gw_buf_init(&wanted, 0);
    gw_buf_addf(&wanted,
                "'true': 1\na b: 1\n'x: y': 1\n'007': 1\nit's: 1\n\"t\\tb\": 1\n? ''\n: 1\n"
                "? |-\n  two\n  lines\n: a: 1\n%s: 1\n? %s\n: 1\n"
                "? |-\n  m\n  n\n: - a\n  - b: c\n",
                longest, longer);
    double_file files[] = {{"foo.yml", text.data}, {NULL, NULL}};
    expect("keys", files, CS_FLAT_YAML, false, wanted.data);
    gw_buf_dispose(&wanted);
    gw_buf_dispose(&text);
    free(longest);
    free(longer);
}

static void properties_say_what_java_reads(void **state)
{
    (void)state;
    double_file files[] = {
        {"foo.yml",
         "path: 'C:\\temp'\nlines: \"a\\nb\\r\\n\"\nlead: ' x '\ntab: \"\\tx\\t\"\nuni: \xc3\xa4\n"
         "'a b': 1\n'c=d:e': 1\n'#f': 1\n'!g': 1\n'h#': '#='\n\"n\\nl\": 1\nempty: ''\n"},
        {NULL, NULL},
    };
    expect("escapes", files, CS_FLAT_PROPERTIES, false,
           "path: C:\\\\temp\nlines: a\\nb\\r\\n\nlead: \\ x \ntab: \\tx\t\nuni: \xc3\xa4\n"
           "a\\ b: 1\nc\\=d\\:e: 1\n\\#f: 1\n\\!g: 1\nh#: #=\nn\\nl: 1\nempty: ");
}

/* ---- placeholders in all formats --------------------------------------------------------------
 */

static void placeholders_are_resolved_from_the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("GODWIT_TEST_LEAK", "secret", 1), 0);
    double_file files[] = {
        {"foo.yml", "host: h\nport: 6767\nurl: 'http://${host}:${ port }/${path:x}'\n"
                    "none: '${GODWIT_TEST_LEAK} ${HOME}'\nkept: '\\${host}'\nlist: [a, '${host}']\n"
                    "item: '${list[0]}'\nlines: \"${two}\"\ntwo: \"a: 'b'\\nc\"\nnum: '${port}'\n"},
        {"foo-x.yml", "host: other\n"},
        {NULL, NULL},
    };
    expect("yaml", files, CS_FLAT_YAML, true,
           "host: other\nport: 6767\nurl: http://other:6767/x\n"
           "none: ${GODWIT_TEST_LEAK} ${HOME}\nkept: ${host}\nitem: a\n"
           "lines: |-\n  a: 'b'\n  c\ntwo: |-\n  a: 'b'\n  c\nnum: '6767'\nlist:\n- a\n- other\n");
    expect("json", files, CS_FLAT_JSON, true,
           "{\"host\":\"other\",\"port\":6767,\"url\":\"http://other:6767/x\","
           "\"none\":\"${GODWIT_TEST_LEAK} ${HOME}\",\"kept\":\"${host}\",\"item\":\"a\","
           "\"lines\":\"a: 'b'\\nc\",\"two\":\"a: 'b'\\nc\",\"num\":\"6767\","
           "\"list\":[\"a\",\"other\"]}");
    expect("properties", files, CS_FLAT_PROPERTIES, true,
           "host: other\nport: 6767\nurl: http://other:6767/x\n"
           "none: ${GODWIT_TEST_LEAK} ${HOME}\nkept: ${host}\nitem: a\n"
           "lines: a: 'b'\\nc\ntwo: a: 'b'\\nc\nnum: 6767\nlist[0]: a\nlist[1]: other");
    double_file as_is[] = {{"foo.properties", "a=${b}\nb=\\\\${c}"}, {NULL, NULL}};
    expect("not resolved", as_is, CS_FLAT_YAML, false, "a: ${b}\nb: \\${c}\n");
    double_file circle[] = {{"foo.properties", "x=1\na=${b}\nb=${a}"}, {NULL, NULL}};
    expect("a circle", circle, CS_FLAT_JSON, true,
           "!foo.properties:2: the value of 'a': placeholders: the value of 'b' contains itself");
    expect("that nobody resolves", circle, CS_FLAT_JSON, false,
           "{\"x\":\"1\",\"a\":\"${b}\",\"b\":\"${a}\"}");
}

/* A value of a megabyte, many times. */
static void memory_is_bounded(void **state)
{
    (void)state;
    char *large = repeat("x", (size_t)1 << 20);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text, "large=%s\n", large);
    for (size_t i = 0; i <= CS_FLAT_MEMORY_MAX >> 20; i++) {
        gw_buf_addf(&text, "k%zu=${large}\n", i);
    }
    double_file files[] = {{"foo.properties", text.data}, {NULL, NULL}};
    expect("memory", files, CS_FLAT_JSON, true, "!the flat form of the environment: ");
    /* what is not resolved is small, but for the one value */
    char *got = flatten(files, CS_FLAT_JSON, false);
    assert_int_equal(got[0], '{');
    free(got);
    /* no text longer than an answer may be */
    gw_buf_clear(&text);
    gw_buf_addf(&text, "large=%s\nmany=", large);
    for (size_t i = 0; i <= CS_ENVIRONMENT_BYTES_MAX >> 20; i++) {
        gw_buf_add_str(&text, "${large}");
    }
    files[0].text = text.data;
    expect("one value", files, CS_FLAT_JSON, true,
           "!foo.properties:2: the value of 'many': placeholders: what they come to: ");
    gw_buf_dispose(&text);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_become_one),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(scalars_are_as_snakeyaml_has_them),
        cmocka_unit_test(keys_are_quoted_where_they_must),
        cmocka_unit_test(properties_say_what_java_reads),
        cmocka_unit_test(placeholders_are_resolved_from_the_environment),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
