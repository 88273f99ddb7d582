/* SPDX-License-Identifier: MIT */
/* Java's XML properties; and which reader a file's name calls for. */
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
#include "files/format.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

#define DOCTYPE     "<!DOCTYPE properties SYSTEM \"http://java.sun.com/dtd/properties.dtd\">\n"

/* "path:line: ..." or what the file comes to. Freed by the caller. */
static char *read_as(const char *path, const char *text, size_t len)
{
    cs_file file = {.path = ""};
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_format_read(&file, path, text, len, &err);
    assert_int_equal(st, err.status);
    char *rendered = st == GW_OK ? render_file(&file) : strdup(err.text);
    if (rendered == NULL) {
        rendered = strdup(""); /* of no documents */
    }
    cs_file_dispose(&file);
    return rendered;
}

static void expect(const char *about, const char *path, const char *text, const char *expected)
{
    char *got = read_as(path, text, strlen(text));
    if (strncmp(got, expected, strlen(expected)) != 0 || (expected[0] == '\0' && got[0] != '\0')) {
        fail_msg("%s: gave '%s', wanted '%s'", about, got, expected);
    }
    free(got);
}

static const struct {
    const char *about, *text, *expected;
} good[] = {
    {"what Java writes",
     "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n" DOCTYPE
     "<properties>\n<comment>hello</comment>\n<entry key=\"a.b\">1</entry>\n"
     "<entry key=\"c\">two</entry>\n</properties>\n",
     "a.b=1\nc=two\n"},
    {"values are text and keep their blanks",
     "<properties><entry key='n'> 010 </entry><entry key='b'>true</entry></properties>",
     "n= 010 \nb=true\n"},
    {"an entry without text", "<properties><entry key='a'/></properties>", "a=\n"},
    {"newlines within a value", "<properties><entry key='a'>x\r\ny</entry></properties>",
     "a=x\\ny\n"},
    {"XML's own entities and characters by number",
     "<properties><entry key='a&amp;b'>&lt;&#65;&#x42;&gt;</entry></properties>", "a&b=<AB>\n"},
    {"CDATA", "<properties><entry key='a'><![CDATA[<x>]]>y</entry></properties>", "a=<x>y\n"},
    {"the last of a key counts, in the first one's place",
     "<properties><entry key='a'>1</entry><entry key='b'>2</entry><entry key='a'>3</entry>"
     "</properties>",
     "a=3\nb=2\n"},
    {"Latin-1 where the file says so",
     "<?xml version='1.0' encoding='ISO-8859-1'?><properties><entry key='a'>\xe9</entry>"
     "</properties>",
     "a=\xc3\xa9\n"},
    {"UTF-8 otherwise", "<properties><entry key='\xc3\xa4'>\xe2\x82\xac</entry></properties>",
     "\xc3\xa4=\xe2\x82\xac\n"},
    {"no entries", "<properties/>", ""},
};

static const struct {
    const char *about, *text, *expected;
} bad[] = {
    {"an empty file", "", "f.xml:1: no element found"},
    {"not XML", "a=1", "f.xml:1: "},
    {"cut off", "<properties>\n<entry key='a'>", "f.xml:2: "},
    {"another root", "\n<configuration/>", "f.xml:2: the root is not <properties>"},
    {"another element", "<properties>\n<property/></properties>",
     "f.xml:2: only <comment> and <entry> are allowed"},
    {"an entry without a key", "<properties>\n<entry>a</entry></properties>",
     "f.xml:2: an <entry> must have a 'key'"},
    {"an entry within an entry",
     "<properties>\n<entry key='a'><entry key='b'/></entry></properties>",
     "f.xml:2: an element within"},
    {"an entity of its own",
     "<!DOCTYPE properties [\n<!ENTITY a \"b\">]><properties><entry key='a'>&a;</entry>"
     "</properties>",
     "f.xml:2: entity declarations are not allowed"},
    {"an entity that is a file",
     "<!DOCTYPE properties [\n<!ENTITY a SYSTEM \"file:///etc/passwd\">]><properties>"
     "<entry key='a'>&a;</entry></properties>",
     "f.xml:2: entity declarations are not allowed"},
    {"a parameter entity",
     "<!DOCTYPE properties [\n<!ENTITY % a SYSTEM \"http://127.0.0.1/\"> %a;]><properties/>",
     "f.xml:2: entity declarations are not allowed"},
    {"an entity that the DTD may declare",
     DOCTYPE "<properties>\n<entry key='a'>&x;</entry></properties>",
     "f.xml:3: an entity that is not one of XML's own"},
    {"an entity that nobody declares", "<properties>\n<entry key='a'>&x;</entry></properties>",
     "f.xml:2: undefined entity"},
    {"bytes that are no UTF-8", "<properties>\n<entry key='a'>\xff</entry></properties>",
     "f.xml:2: "},
    {"a character that XML has not", "<properties>\n<entry key='a'>\x01</entry></properties>",
     "f.xml:2: "},
    {"NUL by number", "<properties>\n<entry key='a'>&#0;</entry></properties>", "f.xml:2: "},
    {"an encoding that is not known", "<?xml version='1.0' encoding='EBCDIC-X'?><properties/>",
     "f.xml:1: unknown encoding"},
};

static void java_properties_as_xml(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(good); i++) {
        expect(good[i].about, "f.xml", good[i].text, good[i].expected);
    }
}

static void faults_name_file_and_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(bad); i++) {
        expect(bad[i].about, "f.xml", bad[i].text, bad[i].expected);
    }
}

static void size_is_bounded(void **state)
{
    (void)state;
    char *blanks = repeat(" ", CS_FILE_BYTES_MAX + 1);
    expect("a large file", "f.xml", blanks, "f.xml:1: larger than 4 MiB");
    free(blanks);
    char *entries = repeat("<entry key='k'/>", CS_PROPERTIES_MAX + 1);
    size_t len = strlen(entries) + 64;
    char *text = malloc(len);
    assert_non_null(text);
    snprintf(text, len, "<properties>%s</properties>", entries);
    expect("many entries", "f.xml", text, "f.xml:1: more than 65536 properties");
    free(text);
    free(entries);
    char *key = repeat("k", CS_KEY_BYTES_MAX + 1);
    len = strlen(key) + 64;
    text = malloc(len);
    assert_non_null(text);
    snprintf(text, len, "<properties>\n<entry key='%s'/></properties>", key);
    expect("a long key", "f.xml", text, "f.xml:2: the property is too long");
    free(text);
    free(key);
}

static void the_extension_says_the_format(void **state)
{
    (void)state;
    static const char *const extensions[] = {"yaml", "yml", "xml", "properties"};
    for (size_t i = 0; i < N_OF(extensions); i++) {
        assert_string_equal(cs_format_extension(i), extensions[i]);
    }
    assert_null(cs_format_extension(N_OF(extensions)));
    static const struct {
        const char *path;
        bool known;
    } cases[] = {
        {"a.yml", true},    {"a/b.yaml", true}, {"a.b.properties", true},
        {"a-b.xml", true},  {"a.json", false},  {"yml", false},
        {"a.yml/b", false}, {"a.YML", false},   {"a.properties.bak", false},
        {"", false},        {".yml", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (cs_format_is_known(cases[i].path) != cases[i].known) {
            fail_msg("'%s'", cases[i].path);
        }
    }
    expect("yaml", "d/a.yaml", "a: 010", "a:8\n");
    expect("yml", "a.yml", "a: 010", "a:8\n");
    expect("properties", "a.properties", "a: 010", "a=010\n");
    expect("an empty file", "a.properties", "", "");
    expect("json", "a.json", "{}", "a.json:1: not a format of configuration files");
    expect("a fault", "d/a.yml", "a: [", "d/a.yml:");
}

static void properties_can_be_utf8(void **state)
{
    (void)state;
    expect("Java's way", "a.properties", "a=\xc3\xa9", "a=\xc3\x83\xc2\xa9\n");
    cs_format_set_utf8_properties(true);
    expect("UTF-8", "a.properties", "\xc3\xa4=\xe2\x82\xac\\\xc3\xa9\\u00e9\\t",
           "\xc3\xa4=\xe2\x82\xac\xc3\xa9\xc3\xa9\t\n");
    expect("beyond the first plane", "a.properties", "a:\xf0\x9f\x90\xa6", "a=\xf0\x9f\x90\xa6\n");
    expect("a byte order mark", "a.properties",
           "\xef\xbb\xbf"
           "a=\xc3\xa9",
           "a=\xc3\xa9\n");
    expect("bytes that are not UTF-8 are Latin-1, all of them", "a.properties",
           "a=\xe9\nb=\xc3\xa9", "a=\xc3\xa9\nb=\xc3\x83\xc2\xa9\n");
    expect("half of a surrogate pair is not UTF-8", "a.properties", "a=\xed\xa0\x80",
           "a=\xc3\xad\xc2\xa0\xc2\x80\n");
    cs_format_set_utf8_properties(false);
    expect("Java's way again", "a.properties", "a=\xc3\xa9", "a=\xc3\x83\xc2\xa9\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(java_properties_as_xml), cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(size_is_bounded),        cmocka_unit_test(the_extension_says_the_format),
        cmocka_unit_test(properties_can_be_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
