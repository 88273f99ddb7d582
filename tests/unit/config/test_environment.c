/* SPDX-License-Identifier: MIT */
/* What a config server may say, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/buf.h>

#include "config/environment.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *value_of(const gw__environment *env, const char *key)
{
    gw__group group = gw__properties_group(env->properties, key, gw__key_group_len(key));
    for (size_t i = 0; i < group.n; i++) {
        if (strcmp(group.items[i].key, key) == 0) {
            return group.items[i].value;
        }
    }
    return NULL;
}

static gw__environment parse(const char *text)
{
    gw__environment env = {0};
    gw_error err = GW_ERROR_INIT;
    if (gw__environment_parse(text, strlen(text), &env, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return env;
}

static void all_sources_count(void **state)
{
    (void)state;
    gw__environment env = parse(
        "{\"name\":\"accountservice\",\"profiles\":[\"test\"],\"label\":\"main\","
        "\"version\":\"5f2c9e\",\"state\":null,\"unknown\":{\"a\":[1]},\"propertySources\":["
        "{\"name\":\"https://u:pw@h/c.git/accountservice-test.yml\",\"source\":{\"server_port\":"
        "6767,\"vip_accounts[0]\":\"10000\"}},"
        "{\"name\":\"file:///c/accountservice.yml\",\"source\":{\"server_port\":1,"
        "\"server_name\":\"Account\",\"vip_accounts[0]\":\"1\",\"vip_accounts[1]\":\"2\"}},"
        "{\"source\":{\"shared\":true}}]}");
    assert_int_equal(env.n_sources, 3);
    assert_string_equal(env.version, "5f2c9e");
    assert_string_equal(value_of(&env, "server_port"), "6767");
    assert_string_equal(value_of(&env, "server_name"), "Account");
    assert_string_equal(value_of(&env, "vip_accounts[0]"), "10000");
    assert_null(value_of(&env, "vip_accounts[1]"));
    gw__group port = gw__properties_group(env.properties, "server_port", 11);
    assert_string_equal(port.items[0].origin, "https://u:***@h/c.git/accountservice-test.yml");
    gw__group shared = gw__properties_group(env.properties, "shared", 6);
    assert_string_equal(shared.items[0].origin, "property source 3");
    gw__properties_unref(env.properties);

    env = parse("{\"propertySources\":[]}"); /* an unknown service */
    assert_int_equal(env.n_sources, 0);
    assert_string_equal(env.version, "");
    assert_int_equal(gw__properties_count(env.properties), 0);
    gw__properties_unref(env.properties);
}

static void values_become_text(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"\"text\"", "text"},
        {"\"\"", ""},
        {"\"gr\\u00fc\\u00df \\ud83d\\ude00\"", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"},
        {"\"a\\nb\"", "a\nb"},
        {"0", "0"},
        {"-17", "-17"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"0.1", "0.1"},
        {"1e3", "1000"},
        {"3.141592653589793", "3.141592653589793"},
        {"-2.5e-9", "-2.5e-09"},
        {"true", "true"},
        {"false", "false"},
        {"null", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"propertySources\":[{\"name\":\"n\",\"source\":{\"k\":%s}}]}", cases[i].json);
        gw__environment env = parse(text);
        const char *got = value_of(&env, "k");
        if (got == NULL || strcmp(got, cases[i].text) != 0) {
            fail_msg("%s: got '%s', expected '%s'", cases[i].json, got, cases[i].text);
        }
        gw__properties_unref(env.properties);
    }
}

/* Refused as a whole, with a text that shows no values. */
static void hostile_answers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        gw_status st;
        const char *says;
    } cases[] = {
        {"", GW_E_PROTOCOL, "it is empty"},
        {"   ", GW_E_PROTOCOL, "not JSON"},
        {"<html>secret</html>", GW_E_PROTOCOL, "not JSON (line 1, column 1)"},
        {"{", GW_E_PROTOCOL, "not JSON"},
        {"{\"propertySources\":[]", GW_E_PROTOCOL, "not JSON"},
        {"{\"propertySources\":[]} secret", GW_E_PROTOCOL, "not JSON"},
        {"[]", GW_E_PROTOCOL, "it is an array, not an object"},
        {"{}", GW_E_PROTOCOL, "it has no 'propertySources'"},
        {"{\"propertySources\":null}", GW_E_PROTOCOL, "is no array"},
        {"{\"propertySources\":{}}", GW_E_PROTOCOL, "is no array"},
        {"{\"propertySources\":\"secret\"}", GW_E_PROTOCOL, "is no array"},
        {"{\"propertySources\":[1]}", GW_E_PROTOCOL, "property source 1 has no object 'source'"},
        {"{\"propertySources\":[null]}", GW_E_PROTOCOL, "property source 1 has no object"},
        {"{\"propertySources\":[[]]}", GW_E_PROTOCOL, "property source 1 has no object"},
        {"{\"propertySources\":[{\"source\":{}},{\"name\":\"n\"}]}", GW_E_PROTOCOL,
         "property source 2 has no object 'source'"},
        {"{\"propertySources\":[{\"source\":[\"secret\"]}]}", GW_E_PROTOCOL, "no object 'source'"},
        {"{\"propertySources\":[{\"source\":\"secret\"}]}", GW_E_PROTOCOL, "no object 'source'"},
        {"{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":{\"secret\":1}}}]}",
         GW_E_PROTOCOL, "'k' of f.yml is an object, not a plain value"},
        {"{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":[\"secret\"]}}]}",
         GW_E_PROTOCOL, "'k' of f.yml is an array, not a plain value"},
        {"{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":{\"value\":[\"secret\"],"
         "\"origin\":\"1:2\"}}}]}",
         GW_E_PROTOCOL, "'k' of f.yml is an array, not a plain value"},
        {"{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":{\"value\":{\"value\":1}}}}]"
         "}",
         GW_E_PROTOCOL, "'k' of f.yml is an object, not a plain value"},
        {"{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":{\"value\":1,\"secret\":2}}}]"
         "}",
         GW_E_PROTOCOL, "'k' of f.yml is an object, not a plain value"},
        {"{\"propertySources\":[{\"source\":{\"k\":\"secret\",\"k\":2}}]}", GW_E_PROTOCOL,
         "a key stands twice"},
        {"{\"propertySources\":[],\"propertySources\":[]}", GW_E_PROTOCOL, "a key stands twice"},
        {"{\"propertySources\":[{\"source\":{\"\":\"secret\"}}]}", GW_E_INVALID, "an empty key"},
        {"{\"propertySources\":[{\"source\":{\"k\":\"a\\u0000secret\"}}]}", GW_E_PROTOCOL,
         "holds a NUL"},
        {"{\"propertySources\":[{\"source\":{\"k\":\"\xff\"}}]}", GW_E_PROTOCOL, "not UTF-8"},
        {"{\"propertySources\":[{\"source\":{\"k\":99999999999999999999}}]}", GW_E_PROTOCOL,
         "a number is too large"},
        {"{\"propertySources\":[{\"source\":{\"k\":1e999}}]}", GW_E_PROTOCOL,
         "a number is too large"},
        {"{\"propertySources\":[{\"source\":{\"k\":NaN}}]}", GW_E_PROTOCOL, "not JSON"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__environment env = {0};
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__environment_parse(cases[i].json, strlen(cases[i].json), &env, &err);
        if (st != cases[i].st || strstr(err.text, cases[i].says) == NULL ||
            strstr(err.text, "secret") != NULL) {
            fail_msg("%s: got %s '%s', expected %s '%s'", cases[i].json, gw_status_name(st),
                     err.text, gw_status_name(cases[i].st), cases[i].says);
        }
        assert_null(env.properties);
    }
}

static void deep_nesting(void **state)
{
    (void)state;
    size_t depth = 100000;
    char *text = malloc(depth + 1);
    assert_non_null(text);
    memset(text, '[', depth);
    gw__environment env = {0};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__environment_parse(text, depth, &env, &err), GW_E_PROTOCOL);
    assert_non_null(strstr(err.text, "nested too deeply"));
    free(text);
}

static void huge_answers(void **state)
{
    (void)state;
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_add_str(&text, "{\"propertySources\":[{\"name\":\"big\",\"source\":{");
    for (int i = 0; i < 30000; i++) {
        gw_buf_addf(&text, "%s\"key%d\":%d", i > 0 ? "," : "", i, i);
    }
    gw_buf_add_str(&text, "}}]}");
    gw__environment env = {0};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__environment_parse(text.data, text.len, &env, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "more than 20000 properties");

    gw_buf_clear(&text); /* one value of a megabyte is fine */
    gw_buf_add_str(&text, "{\"propertySources\":[{\"source\":{\"k\":\"");
    for (int i = 0; i < 1 << 20; i++) {
        gw_buf_add_char(&text, 'v');
    }
    gw_buf_add_str(&text, "\"}}]}");
    assert_int_equal(gw__environment_parse(text.data, text.len, &env, &err), GW_OK);
    assert_int_equal(strlen(value_of(&env, "k")), 1 << 20);
    gw__properties_unref(env.properties);

    gw_buf_clear(&text);
    gw_buf_add_str(&text, "{\"propertySources\":[{\"source\":{}}");
    for (int i = 0; i < GW__SOURCES_MAX; i++) {
        gw_buf_add_str(&text, ",{\"source\":{}}");
    }
    gw_buf_add_str(&text, "]}");
    env = (gw__environment){0};
    assert_int_equal(gw__environment_parse(text.data, text.len, &env, &err), GW_E_LIMIT);
    gw_buf_dispose(&text);
}

static void problem_details(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *detail;
    } cases[] = {
        {"{\"title\":\"Not Found\",\"detail\":\"no such label: x\"}", "no such label: x"},
        {"{\"status\":404,\"error\":\"Not Found\",\"message\":\"No such label: x\"}",
         "No such label: x"},
        {"{\"error\":\"Internal Server Error\",\"message\":\"\"}", "Internal Server Error"},
        {"{\"title\":\"Bad\"}", "Bad"},
        {"{\"detail\":42}", ""},
        {"{\"detail\":\"clone of https://u:pw@h/r failed\"}", "clone of https://u:***@h/r failed"},
        {"<html>", ""},
        {"", ""},
        {"[\"detail\"]", ""},
        {"{\"detail\":\"0123456789012345678901234567890123456789\"}",
         "0123456789012345678901234567890"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char detail[64];
        size_t size = i == N_OF(cases) - 1 ? 32 : sizeof(detail);
        gw__problem_detail(cases[i].body, strlen(cases[i].body), detail, size);
        if (strcmp(detail, cases[i].detail) != 0) {
            fail_msg("%s: got '%s', expected '%s'", cases[i].body, detail, cases[i].detail);
        }
    }
}

/* The second format: each value with its place; both can be mixed. */
static void values_with_origins(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
        const char *origin;
    } cases[] = {
        {"{\"value\":6767,\"origin\":\"3:14\"}", "6767", "f.yml:3"},
        {"{\"origin\":\"12:1\",\"value\":\"text\"}", "text", "f.yml:12"},
        {"{\"value\":null,\"origin\":\"4:2\"}", "", "f.yml:4"},
        {"{\"value\":true,\"origin\":null}", "true", "f.yml"},
        {"{\"value\":\"\"}", "", "f.yml"},
        {"{\"value\":1,\"origin\":\"URL [https://h/f.yml]:7:3\"}", "1", "f.yml:7"},
        {"{\"value\":1,\"origin\":\"5\"}", "1", "f.yml:5"},
        {"{\"value\":1,\"origin\":\"host:8888\"}", "1", "f.yml"},
        {"{\"value\":1,\"origin\":\"\"}", "1", "f.yml"},
        {"{\"value\":1,\"origin\":\":\"}", "1", "f.yml"},
        {"{\"value\":1,\"origin\":\"99999999999999999999:1\"}", "1", "f.yml"},
        {"{\"value\":1,\"origin\":7}", "1", "f.yml"},
        {"\"flat\"", "flat", "f.yml"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"propertySources\":[{\"name\":\"f.yml\",\"source\":{\"k\":%s}}]}",
                 cases[i].json);
        gw__environment env = parse(text);
        gw__group group = gw__properties_group(env.properties, "k", 1);
        assert_int_equal(group.n, 1);
        if (strcmp(group.items[0].value, cases[i].text) != 0 ||
            strcmp(group.items[0].origin, cases[i].origin) != 0) {
            fail_msg("%s: got '%s' from %s", cases[i].json, group.items[0].value,
                     group.items[0].origin);
        }
        gw__properties_unref(env.properties);
    }
}

/* What the client has to say back, if a header can hold it. */
static void states(void **state)
{
    (void)state;
    gw__environment env = parse("{\"state\":\"s-1\",\"propertySources\":[]}");
    assert_string_equal(env.state, "s-1");
    gw__properties_unref(env.properties);
    env = parse("{\"state\":\"a\\r\\nX-Evil: 1\",\"propertySources\":[]}");
    assert_string_equal(env.state, "");
    gw__properties_unref(env.properties);
    env = parse("{\"state\":null,\"propertySources\":[]}");
    assert_string_equal(env.state, "");
    gw__properties_unref(env.properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sources_count),   cmocka_unit_test(values_become_text),
        cmocka_unit_test(hostile_answers),     cmocka_unit_test(deep_nesting),
        cmocka_unit_test(huge_answers),        cmocka_unit_test(problem_details),
        cmocka_unit_test(values_with_origins), cmocka_unit_test(states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
