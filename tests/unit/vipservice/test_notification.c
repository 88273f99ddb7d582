/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "notification.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define NOT     "not a notification: "

/* The bytes in memory of their own, so that a sanitizer sees what reads past them. */
static gw_status parse(const char *body, size_t len, notification *ret_note, gw_error *err)
{
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, body, len);
    gw_status st = notification_parse(exact, len, ret_note, err);
    free(exact);
    return st;
}

static void test_valid(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *account_id;
        const char *read_at;
    } cases[] = {
        {"{\"accountId\":\"10000\",\"readAt\":\"2026-11-22T10:42:13.667108584Z\"}", "10000",
         "2026-11-22T10:42:13.667108584Z"},
        {" {\n\"readAt\" : \"Sun, 22 Nov 2026\" ,\r\n\t\"accountId\":\"a-B_9\" } \n", "a-B_9",
         "Sun, 22 Nov 2026"},
        {"{\"accountId\":\"1\",\"readAt\":\"x\",\"more\":{\"a\":[1,null]},\"z\":1e9}", "1", "x"},
        {"{\"accountId\":\"\\u0031\",\"readAt\":\"\xec\x96\xb4\\\"\"}", "1", "\xec\x96\xb4\""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        notification note;
        gw_error err = GW_ERROR_INIT;
        if (parse(cases[i].body, strlen(cases[i].body), &note, &err) != GW_OK) {
            fail_msg("%s: %s", cases[i].body, err.text);
        }
        assert_string_equal(note.account_id, cases[i].account_id);
        assert_string_equal(note.read_at, cases[i].read_at);
    }
}

#define ID_64 "0123456789012345678901234567890123456789012345678901234567890123"

static void test_longest(void **state)
{
    (void)state;
    notification note;
    static const char body[] = "{\"accountId\":\"" ID_64 "\",\"readAt\":\"" ID_64 "\"}";
    assert_int_equal(parse(body, strlen(body), &note, NULL), GW_OK);
    assert_string_equal(note.account_id, ID_64);
    assert_string_equal(note.read_at, ID_64);
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *text;
    } cases[] = {
        {"", "not JSON: "},
        {" ", "not JSON: "},
        {"hello", "not JSON: '[' or '{' expected near 'hello' (at byte 5)"},
        {"{", "not JSON: "},
        {"{\"accountId\":\"1\",\"readAt\":\"x\"", "not JSON: "},
        {"{\"accountId\":\"1\",\"readAt\":\"x\"}}", "not JSON: end of file expected"},
        {"{\"accountId\":\"1\",\"readAt\":\"x\"} x", "not JSON: end of file expected"},
        {"{'accountId':'1','readAt':'x'}", "not JSON: "},
        {"{\"accountId\":\"1\",\"accountId\":\"2\",\"readAt\":\"x\"}", "not JSON: duplicate"},
        {"{\"accountId\":\"\xff\",\"readAt\":\"x\"}", "not JSON: unable to decode byte 0xff"},
        {"{\"accountId\":\"1\\u0000\",\"readAt\":\"x\"}", "not JSON: "},
        {"{\"accountId\":\"1\\ud800\",\"readAt\":\"x\"}", "not JSON: "},
        {"[]", NOT "not a JSON object"},
        {"[{\"accountId\":\"1\",\"readAt\":\"x\"}]", NOT "not a JSON object"},
        {"{}", NOT "it has no \"accountId\""},
        {"{\"accountid\":\"1\",\"readAt\":\"x\"}", NOT "it has no \"accountId\""},
        {"{\"readAt\":\"x\"}", NOT "it has no \"accountId\""},
        {"{\"accountId\":\"1\"}", NOT "it has no \"readAt\""},
        {"{\"accountId\":10000,\"readAt\":\"x\"}", NOT "\"accountId\" is not a string"},
        {"{\"accountId\":null,\"readAt\":\"x\"}", NOT "\"accountId\" is not a string"},
        {"{\"accountId\":[\"1\"],\"readAt\":\"x\"}", NOT "\"accountId\" is not a string"},
        {"{\"accountId\":\"1\",\"readAt\":7}", NOT "\"readAt\" is not a string"},
        {"{\"accountId\":\"\",\"readAt\":\"x\"}", NOT "\"accountId\" is not valid: \"\""},
        {"{\"accountId\":\"../1\",\"readAt\":\"x\"}", NOT "\"accountId\" is not valid: \"../1\""},
        {"{\"accountId\":\"a b\",\"readAt\":\"x\"}", NOT "\"accountId\" is not valid: \"a b\""},
        {"{\"accountId\":\"\\n\",\"readAt\":\"x\"}", NOT "\"accountId\" is not valid: \"\\n\""},
        {"{\"accountId\":\"\xec\x96\xb4\",\"readAt\":\"x\"}",
         NOT "\"accountId\" is not valid: \"\xec\x96\xb4\""},
        {"{\"accountId\":\"" ID_64 "0\",\"readAt\":\"x\"}",
         NOT "\"accountId\" is not valid: \"" ID_64 "0\""},
        /* Cut at 80 bytes, in the middle of a character. */
        {"{\"accountId\":\"" ID_64 "012345678901234\xec\x96\xb4\",\"readAt\":\"x\"}",
         NOT "\"accountId\" is not valid: \"" ID_64 "012345678901234\xef\xbf\xbd\""},
        {"{\"accountId\":\"1\",\"readAt\":\"\"}", NOT "\"readAt\" is not valid: \"\""},
        {"{\"accountId\":\"1\",\"readAt\":\"a\\tb\"}", NOT "\"readAt\" is not valid: \"a\\tb\""},
        {"{\"accountId\":\"1\",\"readAt\":\"\\u007f\"}", NOT "\"readAt\" is not valid: "},
        {"{\"accountId\":\"1\",\"readAt\":\"" ID_64 "0\"}", NOT "\"readAt\" is not valid: "},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        notification note = {.account_id = "untouched"};
        gw_error err = GW_ERROR_INIT;
        gw_status st = parse(cases[i].body, strlen(cases[i].body), &note, &err);
        if (st != GW_E_INVALID || strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0) {
            fail_msg("%s: got %s '%s', expected '%s'", cases[i].body, gw_status_name(st), err.text,
                     cases[i].text);
        }
        assert_string_equal(note.account_id, "untouched");
        for (const char *p = err.text; *p != '\0'; p++) {
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static char body[1 << 20];
    static const char head[] = "{\"accountId\":\"1\",\"readAt\":\"x\"}";
    memset(body, ' ', sizeof(body));
    memcpy(body, head, strlen(head));
    notification note;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(parse(body, NOTIFICATION_MAX, &note, &err), GW_OK);
    assert_int_equal(parse(body, NOTIFICATION_MAX + 1, &note, &err), GW_E_LIMIT);
    assert_string_equal(err.text, NOT "4097 bytes are more than 4096");
    assert_int_equal(parse(body, sizeof(body), &note, &err), GW_E_LIMIT);
    memset(body, '[', sizeof(body));
    assert_int_equal(parse(body, NOTIFICATION_MAX, &note, &err), GW_E_INVALID);
    assert_int_equal(parse("{\"accountId\":\"1\0\",\"readAt\":\"x\"}", 32, &note, &err),
                     GW_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests_name("notification", tests, NULL, NULL);
}
