/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/crc32c.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* What RFC 3720, B.4, gives, and the check value of the catalogues. */
static const uint8_t read_command[48] = {
    0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
    0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0,
};

static void expect(const char *name, const void *bytes, size_t len, uint32_t expected)
{
    uint32_t got[] = {
        gw__crc32c(0, bytes, len),
        gw__crc32c_by_table(0, bytes, len),
        gw__crc32c_has_instruction() ? gw__crc32c_by_instruction(0, bytes, len) : expected,
    };
    for (size_t i = 0; i < N_OF(got); i++) {
        if (got[i] != expected) {
            fail_msg("%s, way %zu: got %08x, expected %08x", name, i, got[i], expected);
        }
    }
}

static void test_known_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t rising[32];
    uint8_t falling[32];
    memset(ones, 0xff, sizeof(ones));
    for (uint8_t i = 0; i < 32; i++) {
        rising[i] = i;
        falling[i] = (uint8_t)(31 - i);
    }
    expect("nothing", "", 0, 0);
    expect("digits", "123456789", 9, 0xe3069283);
    expect("zeros", zeros, 32, 0x8a9136aa);
    expect("ones", ones, 32, 0x62a8ab43);
    expect("rising", rising, 32, 0x46dd794e);
    expect("falling", falling, 32, 0x113fdb5c);
    expect("read command", read_command, sizeof(read_command), 0xd9963a56);
}

/* Every length and alignment around the step of eight bytes, in blocks of their own size. */
static void test_both_ways_agree(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t len = 0; len < 300; len++) {
        for (size_t offset = 0; offset < 8; offset++) {
            uint8_t *block = malloc(offset + len + 1);
            assert_non_null(block);
            uint8_t *bytes = block + 1 + offset; /* nothing behind them */
            for (size_t i = 0; i < len; i++) {
                random = random * 1103515245 + 12345;
                bytes[i] = (uint8_t)(random >> 16);
            }
            uint32_t by_table = gw__crc32c_by_table(random, bytes, len);
            assert_int_equal(gw__crc32c(random, bytes, len), by_table);
            if (gw__crc32c_has_instruction()) {
                assert_int_equal(gw__crc32c_by_instruction(random, bytes, len), by_table);
            }
            free(block);
        }
    }
}

static void test_in_pieces(void **state)
{
    (void)state;
    size_t len = sizeof(read_command);
    for (size_t cut = 0; cut <= len; cut++) {
        uint32_t crc = gw__crc32c(0, read_command, cut);
        assert_int_equal(gw__crc32c(crc, read_command + cut, len - cut), 0xd9963a56);
        crc = gw__crc32c_by_table(0, read_command, cut);
        assert_int_equal(gw__crc32c_by_table(crc, read_command + cut, len - cut), 0xd9963a56);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_both_ways_agree),
        cmocka_unit_test(test_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
