/* SPDX-License-Identifier: MIT */
/* Which values of a binding's headers are equal to a message's. Whole bindings are in the contract
 * suite, where RabbitMQ says what is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "messaging/headers_match.h"

static gw_value text(const char *data, size_t len)
{
    return (gw_value){.kind = GW_VALUE_TEXT, .as.bytes = {.data = data, .len = len}};
}

static gw_value bytes(const char *data, size_t len)
{
    return (gw_value){.kind = GW_VALUE_BYTES, .as.bytes = {.data = data, .len = len}};
}

static gw_value number(int64_t integer)
{
    return (gw_value){.kind = GW_VALUE_INT, .as.integer = integer};
}

static gw_value real(double value)
{
    return (gw_value){.kind = GW_VALUE_DOUBLE, .as.real = value};
}

static gw_value decimal(uint8_t scale, uint32_t digits)
{
    return (gw_value){.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = scale, .digits = digits}};
}

static gw_value seconds(uint64_t unix_s)
{
    return (gw_value){.kind = GW_VALUE_TIME, .as.uinteger = unix_s};
}

static gw_value boolean(bool on)
{
    return (gw_value){.kind = GW_VALUE_BOOL, .as.boolean = on};
}

static void test_values(void **state)
{
    (void)state;
    const gw_value null = {.kind = GW_VALUE_NULL};
    const gw_value big = {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX};
    const gw_value array = {.kind = GW_VALUE_ARRAY};
    const struct {
        gw_value wanted;
        gw_value has;
        bool matches;
    } cases[] = {
        {text("a", 1), text("a", 1), true},
        {text("a", 1), text("b", 1), false},
        {text("a", 1), text("ab", 2), false},
        {text("", 0), text("", 0), true},
        {text("a\0b", 3), text("a\0c", 3), false},
        {text("a", 1), bytes("a", 1), false},
        {bytes("a", 1), bytes("a", 1), true},
        {number(1), number(1), true},
        {number(1), number(2), false},
        {number(1), real(1), false},
        {number(1), text("1", 1), false},
        {real(0.5), real(0.5), true},
        {real(0.5), real(0.25), false},
        {real(__builtin_nan("")), real(__builtin_nan("")), false},
        {decimal(2, 150), decimal(2, 150), true},
        {decimal(2, 150), decimal(1, 15), false},
        {seconds(5), seconds(5), true},
        {seconds(5), number(5), false},
        {boolean(true), boolean(true), true},
        {boolean(true), boolean(false), false},
        {big, big, true},
        {number(-1), big, false}, /* the same bits */
        {number(7), {.kind = GW_VALUE_UINT, .as.uinteger = 7}, true},
        {null, number(7), true},
        {null, null, true},
        {number(7), null, false},
        {null, array, true},
        {number(7), array, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_message *msg = gw_message_new("", 0);
        assert_int_equal(gw_message_set_header(msg, "h", &cases[i].has), GW_OK);
        const gw_header wanted = {.name = "h", .value = cases[i].wanted};
        for (int any = 0; any <= 1; any++) {
            if (gw__headers_match(&wanted, 1, any == 1, msg) != cases[i].matches) {
                fail_msg("case %zu, any %d: expected %d", i, any, cases[i].matches);
            }
        }
        gw_message_free(msg);
    }
}

/* The copy is its own. */
static void test_copy(void **state)
{
    (void)state;
    char data[] = "a";
    const gw_header headers[] = {{.name = "kind", .value = text(data, 1)},
                                 {.name = "n", .value = number(3)}};
    gw_message *carrier = NULL;
    assert_int_equal(gw__headers_copy(headers, 2, &carrier, NULL), GW_OK);
    data[0] = 'z';
    assert_int_equal(gw_message_n_headers(carrier), 2);
    assert_string_equal(gw_message_header_text(carrier, "kind"), "a");
    assert_int_equal(gw_message_header_int(carrier, "n", 0), 3);
    gw_message_free(carrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_copy)};
    return cmocka_run_group_tests_name("headers_match", tests, NULL, NULL);
}
