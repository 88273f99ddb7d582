/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* The encoder, which is simpler than the decoder: what it makes of a code point is the only valid
 * form. */
static size_t encode(uint32_t code, unsigned char *to)
{
    if (code < 0x80) {
        to[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (unsigned char)(0xc0 | code >> 6);
        to[1] = (unsigned char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (unsigned char)(0xe0 | code >> 12);
        to[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (unsigned char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (unsigned char)(0xf0 | code >> 18);
    to[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (unsigned char)(0x80 | (code & 0x3f));
    return 4;
}

static void every_code_point_is_judged(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x140000; code++) {
        unsigned char bytes[4];
        size_t len = encode(code, bytes);
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        size_t want = surrogate || code > 0x10ffff ? 0 : len;
        size_t got = gw_utf8_sequence_len((const char *)bytes, len);
        if (got != want) {
            fail_msg("U+%04X: got %zu, want %zu", code, got, want);
        }
        for (size_t cut = 0; cut < len; cut++) {
            if (gw_utf8_sequence_len((const char *)bytes, cut) != 0) {
                fail_msg("U+%04X cut to %zu bytes was accepted", code, cut);
            }
        }
    }
}

/* Of all pairs of bytes the valid ones are two ASCII characters and one of two bytes: there are no
 * others. */
static void every_pair_of_bytes_is_judged(void **state)
{
    (void)state;
    size_t n_valid = 0;
    for (unsigned i = 0; i < 0x10000; i++) {
        char pair[2] = {(char)(i >> 8), (char)(i & 0xff)};
        n_valid += gw_utf8_is_valid(pair, 2);
    }
    assert_int_equal(n_valid, 128 * 128 + (0x800 - 0x80));
}

static void hostile_sequences_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "ok\xe2\x82",
        "\xe2\x82(",
        "\xf0\x9f\x90(",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (gw_utf8_is_valid(cases[i], strlen(cases[i]))) {
            fail_msg("case %zu was accepted", i);
        }
    }
    assert_true(gw_utf8_is_valid("", 0));
    assert_true(gw_utf8_is_valid("\0", 1));
}

static void cuts_fall_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        size_t want;
    } cases[] = {
        {"abcdef", 3, 3},
        {"abcdef", 0, 0},
        {"a\xc3\xa9z", 1, 1},
        {"a\xc3\xa9z", 2, 1},
        {"a\xc3\xa9z", 3, 3},
        {"\xe2\x82\xac!", 1, 0},
        {"\xe2\x82\xac!", 2, 0},
        {"\xe2\x82\xac!", 3, 3},
        {"\xf0\x9f\x90\xa6!", 3, 0},
        {"\xf0\x9f\x90\xa6!", 4, 4},
        {"\x80\x80\x80\x80\x80\x80", 5, 5}, /* no UTF-8: cut where the room ends */
        {"a\x80\x80", 2, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t got = gw__utf8_cut(cases[i].text, cases[i].len);
        if (got != cases[i].want) {
            fail_msg("case %zu: got %zu, want %zu", i, got, cases[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_judged),
        cmocka_unit_test(every_pair_of_bytes_is_judged),
        cmocka_unit_test(hostile_sequences_are_refused),
        cmocka_unit_test(cuts_fall_between_characters),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
