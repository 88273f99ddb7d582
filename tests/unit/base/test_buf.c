/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include <godwit/buf.h>

static void appends_of_all_kinds_end_in_nul(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 0);
    gw_buf_add(&buf, "a\0b", 3);
    assert_memory_equal(buf.data, "a\0b", 4);
    gw_buf_clear(&buf);
    gw_buf_add_str(&buf, "one");
    gw_buf_add_char(&buf, ' ');
    gw_buf_addf(&buf, "%d-%s", 42, "two");
    assert_string_equal(buf.data, "one 42-two");
    assert_int_equal(buf.len, 10);
    gw_buf_add(&buf, NULL, 0);
    assert_int_equal(gw_buf_status(&buf), GW_OK);
    gw_buf_dispose(&buf);
    assert_null(buf.data);
    gw_buf_dispose(&buf);
    gw_buf_dispose(NULL);
}

static void formatted_text_grows_past_the_room_there_is(void **state)
{
    (void)state;
    for (int width = 250; width < 262; width++) { /* around the first capacity */
        gw_buf buf;
        gw_buf_init(&buf, 0);
        gw_buf_addf(&buf, "%*d", width, 7);
        gw_buf_addf(&buf, "%s", "end");
        assert_int_equal(buf.len, width + 3);
        assert_string_equal(buf.data + width - 1, "7end");
        gw_buf_dispose(&buf);
    }
}

static void a_reached_limit_sticks_until_clear(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 5);
    gw_buf_add_str(&buf, "12345");
    assert_int_equal(gw_buf_status(&buf), GW_OK);
    gw_buf_add_char(&buf, '6');
    assert_int_equal(gw_buf_status(&buf), GW_E_LIMIT);
    assert_string_equal(buf.data, "12345");
    gw_buf_consume(&buf, 4);
    gw_buf_add_char(&buf,
                    'x'); /* there would be room, but a hole in a text is worse than its end */
    assert_string_equal(buf.data, "5");
    assert_null(gw_buf_detach(&buf, NULL));
    gw_buf_clear(&buf);
    gw_buf_addf(&buf, "%s", "123456");
    assert_int_equal(gw_buf_status(&buf), GW_E_LIMIT);
    assert_string_equal(buf.data, "");
    gw_buf_clear(&buf);
    gw_buf_addf(&buf, "%s", "abcde");
    assert_int_equal(gw_buf_status(&buf), GW_OK);
    assert_string_equal(buf.data, "abcde");
    gw_buf_dispose(&buf);
}

static void sizes_near_the_largest_do_not_wrap(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, SIZE_MAX);
    gw_buf_add_str(&buf, "x");
    assert_int_equal(gw_buf_status(&buf), GW_OK);
    assert_int_equal(gw_buf_reserve(&buf, SIZE_MAX), GW_E_LIMIT);
    gw_buf_clear(&buf);
    assert_int_equal(gw_buf_reserve(&buf, SIZE_MAX - 1), GW_E_LIMIT);
    gw_buf_dispose(&buf);
}

static void text_that_cannot_be_formatted_is_an_error(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 0);
    gw_buf_add_str(&buf, "before");
    static const wchar_t not_in_the_c_locale[] = {0x4e2d, 0};
    gw_buf_addf(&buf, "%ls", not_in_the_c_locale);
    assert_int_equal(gw_buf_status(&buf), GW_E_INVALID);
    assert_string_equal(buf.data, "before");
    gw_buf_dispose(&buf);
}

static void consume_moves_the_rest(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 0);
    gw_buf_consume(&buf, 3);
    gw_buf_add_str(&buf, "abcdef");
    gw_buf_consume(&buf, 0);
    gw_buf_consume(&buf, 2);
    assert_string_equal(buf.data, "cdef");
    gw_buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
    gw_buf_dispose(&buf);
}

static void detach_gives_the_bytes_away(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 10);
    gw_buf_add_str(&buf, "mine");
    size_t len = 99;
    char *text = gw_buf_detach(&buf, &len);
    assert_string_equal(text, "mine");
    assert_int_equal(len, 4);
    free(text);
    assert_null(buf.data);
    text = gw_buf_detach(&buf, NULL); /* of an empty one: an empty string */
    assert_string_equal(text, "");
    free(text);
    gw_buf_add_str(&buf, "12345678901"); /* the limit stayed */
    assert_int_equal(gw_buf_status(&buf), GW_E_LIMIT);
    gw_buf_dispose(&buf);
}

static void json_strings_are_always_valid(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *want;
    } cases[] = {
        {NULL, 0, "\"\""},
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\n\r\t\b", 4, "\"\\n\\r\\t\\u0008\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x7f\x1b", 2, "\"\\u007f\\u001b\""},
        {"gr\xc3\xbc\xc3\x9f", 6, "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x90\xa6", 4, "\"\xf0\x9f\x90\xa6\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xc3", 2, "\"a\xef\xbf\xbd\""},                               /* cut */
        {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong '/' */
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xe2\x28\xa1", 3, "\"\xef\xbf\xbd(\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_buf buf;
        gw_buf_init(&buf, 0);
        gw_buf_add_json(&buf, cases[i].in, cases[i].len);
        if (strcmp(buf.data, cases[i].want) != 0) {
            fail_msg("case %zu: got %s, want %s", i, buf.data, cases[i].want);
        }
        gw_buf_dispose(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_of_all_kinds_end_in_nul),
        cmocka_unit_test(formatted_text_grows_past_the_room_there_is),
        cmocka_unit_test(a_reached_limit_sticks_until_clear),
        cmocka_unit_test(sizes_near_the_largest_do_not_wrap),
        cmocka_unit_test(text_that_cannot_be_formatted_is_an_error),
        cmocka_unit_test(consume_moves_the_rest),
        cmocka_unit_test(detach_gives_the_bytes_away),
        cmocka_unit_test(json_strings_are_always_valid),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
