/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void control_characters_become_question_marks(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\tb\nc\rd", "a?b?c?d"},
        {"\x01\x1f\x7f", "???"},
        {"\xc2\x80\xc2\x9f\xc2\xa0", "????\xc2\xa0"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xc2", "\xc2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        strcpy(text, cases[i].in);
        gw__text_tidy(text);
        assert_string_equal(text, cases[i].want);
    }
}

static void copies_are_cut_to_every_size(void **state)
{
    (void)state;
    const char *from = "0123456789";
    for (size_t size = 4; size < 16; size++) {
        char text[16];
        memset(text, 'x', sizeof(text));
        size_t len = gw__text_copy(text, size, from);
        assert_int_equal(len, strlen(text));
        if (size > 10) {
            assert_string_equal(text, from);
        } else {
            assert_int_equal(len, size - 1);
            assert_memory_equal(text, from, size - 4);
            assert_string_equal(text + size - 4, "...");
        }
    }
}

static size_t format(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static size_t format(char *text, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t len = gw__text_vformat(text, size, format, args);
    va_end(args);
    return len;
}

static void formatting_is_bounded_and_may_use_itself(void **state)
{
    (void)state;
    char text[20] = "one";
    assert_int_equal(format(text, sizeof(text), "%s, %s", text, text), 8);
    assert_string_equal(text, "one, one");
    assert_int_equal(format(text, sizeof(text), "%5000d", 1), 19);
    assert_string_equal(text, "                ...");
    static const wchar_t not_in_the_c_locale[] = {0x4e2d, 0};
    format(text, sizeof(text), "%ls", not_in_the_c_locale);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_become_question_marks),
        cmocka_unit_test(copies_are_cut_to_every_size),
        cmocka_unit_test(formatting_is_bounded_and_may_use_itself),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
