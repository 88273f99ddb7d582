/* SPDX-License-Identifier: MIT */
/* Hostile bytes as text for terminals and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

typedef struct bytes {
    const char *data;
    size_t len;
} bytes;
#define B(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static void test_safe_and_json(void **state)
{
    (void)state;
    static const struct {
        bytes in;
        const char *line;
        const char *block;
        const char *json;
        bool utf8;
    } cases[] = {
        {B(""), "", "", "\"\"", true},
        {B("plain \"text\" \\"), "plain \"text\" \\", "plain \"text\" \\",
         "\"plain \\\"text\\\" \\\\\"", true},
        {B("a\nb\tc\r"), "a\\nb\\tc\\r", "a\nb\tc\\r", "\"a\\u000ab\\u0009c\\u000d\"", true},
        {B("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f", "\\x1b[2J\\x07\\x7f",
         "\"\\u001b[2J\\u0007\\u007f\"", true},
        {B("nul\0in"), "nul\\x00in", "nul\\x00in", "\"nul\\u0000in\"", true},
        {B("c1 \xc2\x9b"
           "31m"),
         "c1 \\u{009b}31m", "c1 \\u{009b}31m", "\"c1 \\u009b31m\"", true},
        {B("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8"), "\\u{202e}\\u{2066}\\u{2028}",
         "\\u{202e}\\u{2066}\\u{2028}", "\"\\u202e\\u2066\\u2028\"", true},
        {B("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6"), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6",
         "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6", "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6\"", true},
        {B("\xff\xfe"), "\\xff\\xfe", "\\xff\\xfe", "\"\\ufffd\\ufffd\"", false},
        {B("cut \xe2\x82"), "cut \\xe2\\x82", "cut \\xe2\\x82", "\"cut \\ufffd\\ufffd\"", false},
        {B("\xc0\xaf"), "\\xc0\\xaf", "\\xc0\\xaf", "\"\\ufffd\\ufffd\"", false},
        {B("\xed\xa0\x80"), "\\xed\\xa0\\x80", "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"",
         false},
        {B("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80",
         "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", false},
        {B("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf", "\\xe0\\x9f\\xbf", "\"\\ufffd\\ufffd\\ufffd\"",
         false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf buf;
        gw_buf_init(&buf, 0);
        text_add_safe(&buf, cases[i].in.data, cases[i].in.len, TEXT_LINE);
        assert_string_equal(buf.data != NULL ? buf.data : "", cases[i].line);
        gw_buf_clear(&buf);
        text_add_safe(&buf, cases[i].in.data, cases[i].in.len, TEXT_BLOCK);
        assert_string_equal(buf.data != NULL && buf.len > 0 ? buf.data : "", cases[i].block);
        bool same = buf.len == cases[i].in.len &&
                    (buf.len == 0 || memcmp(buf.data, cases[i].in.data, buf.len) == 0);
        assert_int_equal(text_is_safe(cases[i].in.data, cases[i].in.len), same);
        gw_buf_clear(&buf);
        text_add_json(&buf, cases[i].in.data, cases[i].in.len);
        assert_string_equal(buf.data, cases[i].json);
        assert_int_equal(text_is_utf8(cases[i].in.data, cases[i].in.len), cases[i].utf8);
        gw_buf_dispose(&buf);
    }
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf buf;
        gw_buf_init(&buf, 0);
        text_add_base64(&buf, cases[i].in, strlen(cases[i].in));
        assert_string_equal(buf.data != NULL ? buf.data : "", cases[i].out);
        gw_buf_dispose(&buf);
    }
}

static void test_hex(void **state)
{
    (void)state;
    gw_buf buf;
    gw_buf_init(&buf, 0);
    text_add_hex(&buf, "0123456789\x1b~\x7f\xff\0 more", 20);
    assert_string_equal(
        buf.data, "00000000  30 31 32 33 34 35 36 37  38 39 1b 7e 7f ff 00 20  0123456789.~... \n"
                  "00000010  6d 6f 72 65                                       more\n");
    gw_buf_dispose(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_and_json),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
