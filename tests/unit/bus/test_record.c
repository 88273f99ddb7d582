/* SPDX-License-Identifier: MIT */
/* What is stored comes back. test_record_hostile.c has what must not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/record.h"
#include "messaging/message.h"
#include "sample.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_message *new_message(const void *body, size_t len)
{
    gw_message *msg = gw_message_new(body, len);
    assert_non_null(msg);
    return msg;
}

/* What comes back of it, to free. */
static gw_message *store_and_read(const gw_message *msg)
{
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    gw_message *read = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__record_read(record, len, &read, &err) != GW_OK) {
        fail_msg("not read: %s", err.text);
    }
    free(record);
    return read;
}

static void expect_back(const char *name, const gw_message *msg)
{
    gw_message *read = store_and_read(msg);
    const char *difference = sample_difference(msg, read);
    if (difference != NULL) {
        fail_msg("%s: %s differs", name, difference);
    }
    gw_message_free(read);
}

/* ---- properties -------------------------------------------------------------- */

static void test_nothing_set(void **state)
{
    (void)state;
    gw_message *msg = new_message("", 0);
    gw_message *read = store_and_read(msg);
    assert_null(sample_difference(msg, read));
    assert_null(gw_message_content_type(read));
    assert_null(gw_message_routing_key(read));
    assert_true(gw_message_is_persistent(read));
    assert_int_equal(gw_message_expiration_ms(read), -1);
    assert_int_equal(gw_message_n_headers(read), 0);
    gw_message_free(read);
    gw_message_free(msg);
}

static void test_each_text(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 36, 254, 255};
    char text[GW_MESSAGE_TEXT_MAX];
    memset(text, 0xe9, sizeof(text));
    for (int which = 0; which <= GW__TEXT_ROUTING_KEY; which++) {
        for (size_t i = 0; i < N_OF(lens); i++) {
            gw_message *msg = new_message("x", 1);
            gw_status st = gw__message_set_text(msg, (gw__text)which, text, lens[i]);
            assert_int_equal(st, GW_OK);
            char name[64];
            snprintf(name, sizeof(name), "text %d of %zu bytes", which, lens[i]);
            expect_back(name, msg);
            gw_message_free(msg);
        }
    }
}

static void test_numbers_and_flags(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t timestamp;
        int64_t expiration_ms;
        uint8_t priority;
        bool persistent;
        bool mandatory;
    } cases[] = {
        {"zeros", 0, 0, 0, false, false},
        {"ordinary", 1764075600, 60000, 5, true, false},
        {"mandatory", 0x0102030405060708, 0x0102030405060708, 1, false, true},
        {"largest", UINT64_MAX, INT64_MAX, 255, true, true},
        {"no expiration", 1, -1, 0, true, false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("x", 1);
        gw_message_set_timestamp(msg, cases[i].timestamp);
        gw_message_set_expiration_ms(msg, cases[i].expiration_ms);
        gw_message_set_priority(msg, cases[i].priority);
        gw_message_set_persistent(msg, cases[i].persistent);
        gw_message_set_mandatory(msg, cases[i].mandatory);
        expect_back(cases[i].name, msg);
        gw_message_free(msg);
    }
}

static void test_bodies(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 7, 100, 65536, 1 << 20};
    for (size_t i = 0; i < N_OF(lens); i++) {
        gw_message *msg = gw__message_new_sized(lens[i], 0);
        assert_non_null(msg);
        char *body = gw__message_body_buffer(msg);
        for (size_t at = 0; at < lens[i]; at++) {
            body[at] = (char)(at * 31 + at / 256);
        }
        char name[64];
        snprintf(name, sizeof(name), "body of %zu bytes", lens[i]);
        expect_back(name, msg);
        gw_message_free(msg);
    }
}

/* ---- headers ------------------------------------------------------------------- */

static void test_each_kind(void **state)
{
    (void)state;
    const gw_value one = {.kind = GW_VALUE_INT, .as.integer = 1};
    const gw_header field = {.name = "f", .value = one};
    const struct {
        const char *name;
        gw_value value;
    } cases[] = {
        {"null", {.kind = GW_VALUE_NULL}},
        {"true", {.kind = GW_VALUE_BOOL, .as.boolean = true}},
        {"false", {.kind = GW_VALUE_BOOL, .as.boolean = false}},
        {"least int", {.kind = GW_VALUE_INT, .as.integer = INT64_MIN}},
        {"largest int", {.kind = GW_VALUE_INT, .as.integer = INT64_MAX}},
        {"uint", {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX}},
        {"double", {.kind = GW_VALUE_DOUBLE, .as.real = 1.0 / 3}},
        {"minus zero", {.kind = GW_VALUE_DOUBLE, .as.real = -0.0}},
        {"not a number", {.kind = GW_VALUE_DOUBLE, .as.real = (double)NAN}},
        {"infinite", {.kind = GW_VALUE_DOUBLE, .as.real = (double)-INFINITY}},
        {"decimal", {.kind = GW_VALUE_DECIMAL, .as.decimal = {255, UINT32_MAX}}},
        {"text", {.kind = GW_VALUE_TEXT, .as.bytes = {"grüße", 7}}},
        {"text with a NUL", {.kind = GW_VALUE_TEXT, .as.bytes = {"a\0b", 3}}},
        {"empty text", {.kind = GW_VALUE_TEXT, .as.bytes = {"", 0}}},
        {"bytes", {.kind = GW_VALUE_BYTES, .as.bytes = {"\0\xff", 2}}},
        {"no bytes", {.kind = GW_VALUE_BYTES, .as.bytes = {NULL, 0}}},
        {"time", {.kind = GW_VALUE_TIME, .as.uinteger = 1764075600}},
        {"array", {.kind = GW_VALUE_ARRAY, .as.array = {&one, 1}}},
        {"empty array", {.kind = GW_VALUE_ARRAY, .as.array = {NULL, 0}}},
        {"table", {.kind = GW_VALUE_TABLE, .as.table = {&field, 1}}},
        {"empty table", {.kind = GW_VALUE_TABLE, .as.table = {NULL, 0}}},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("x", 1);
        assert_int_equal(gw_message_set_header(msg, "h", &cases[i].value), GW_OK);
        expect_back(cases[i].name, msg);
        gw_message_free(msg);
    }
}

static void test_nesting_to_the_limit(void **state)
{
    (void)state;
    gw_message *msg = new_message("x", 1);
    char name[16];
    for (unsigned depth = 0; depth <= GW_VALUE_DEPTH_MAX; depth++) {
        snprintf(name, sizeof(name), "h%u", depth);
        sample_nest(msg, name, depth);
    }
    expect_back("nested", msg);
    gw_message_free(msg);
}

/* As many headers as a message takes, and one as large as it may be. */
static void test_headers_to_the_limit(void **state)
{
    (void)state;
    const gw_value nothing = {.kind = GW_VALUE_NULL};
    gw_message *msg = new_message("x", 1);
    gw_status st = GW_OK;
    char name[16];
    for (unsigned i = 0; st == GW_OK; i++) {
        snprintf(name, sizeof(name), "%x", i);
        st = gw_message_set_header(msg, name, &nothing);
    }
    assert_int_equal(st, GW_E_LIMIT);
    assert_true(gw_message_n_headers(msg) > 4000);
    expect_back("many headers", msg);
    gw_message_free(msg);

    msg = new_message("x", 1);
    static const char zeros[GW_MESSAGE_HEADERS_MAX];
    gw_value large = {.kind = GW_VALUE_BYTES, .as.bytes = {zeros, sizeof(zeros)}};
    while (gw_message_set_header(msg, "h", &large) == GW_E_LIMIT) {
        large.as.bytes.len--;
    }
    expect_back("a large header", msg);
    gw_message_free(msg);
}

/* Nobody can read what a caller made up: it goes into the store as it goes onto the wire. */
static void test_an_unknown_kind_is_null(void **state)
{
    (void)state;
    const gw_value odd = {.kind = (gw_value_kind)99};
    gw_message *msg = new_message("x", 1);
    assert_int_equal(gw_message_set_header(msg, "h", &odd), GW_OK);
    gw_message *read = store_and_read(msg);
    assert_int_equal(gw_message_header(read, "h")->kind, GW_VALUE_NULL);
    gw_message_free(read);
    gw_message_free(msg);
}

/* ---- the whole -------------------------------------------------------------------- */

static void test_everything_at_once(void **state)
{
    (void)state;
    gw_message *msg = sample_full();
    gw_message *read = store_and_read(msg);
    assert_null(sample_difference(msg, read));
    /* as a copy has it */
    gw_message *copy = gw_message_dup(msg);
    assert_null(sample_difference(copy, read));
    assert_null(gw_message_exchange(read));
    assert_null(gw_message_queue(read));
    assert_false(gw_message_is_redelivered(read));
    assert_int_equal(gw_message_attempt(read), 1);
    /* and it can be changed as any other */
    assert_int_equal(gw_message_set_header_int(read, "k2", 5), GW_OK);
    assert_int_equal(gw_message_set_header_int(read, "new", 6), GW_OK);
    assert_int_equal(gw_message_n_headers(read), gw_message_n_headers(msg) + 1);
    expect_back("changed", read);
    gw_message_free(copy);
    gw_message_free(read);
    gw_message_free(msg);
}

/* What version 1 is, whatever becomes of the code. */
static void test_the_layout(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        1,   3,   0x04, 0x01, 1,   0,   0,   0,   2,    0, 0, 0, 9, 0, 0, 0, /* flags, lengths */
        8,   7,   6,    5,    4,   3,   2,   1,   0x2c, 1, 0, 0, 0, 0, 0, 0, /* times */
        2,   'i', 'd',  3,    'k', 'e', 'y',                                 /* texts */
        1,   'n', 6,    2,    0,   0,   0,   'o', 'k',                       /* header */
        'h', 'i',
    };
    gw_message *msg = new_message("hi", 2);
    gw_message_set_mandatory(msg, true);
    gw_message_set_priority(msg, 9);
    gw_message_set_timestamp(msg, 0x0102030405060708);
    gw_message_set_expiration_ms(msg, 300);
    assert_int_equal(gw_message_set_id(msg, "id"), GW_OK);
    assert_int_equal(gw_message_set_routing_key(msg, "key"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "n", "ok"), GW_OK);
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    assert_int_equal(len, sizeof(expected));
    assert_memory_equal(record, expected, len);
    free(record);
    gw_message_free(msg);
}

/* A further chunk of the message's memory would make it larger than this. */
static void test_one_allocation_is_enough(void **state)
{
    (void)state;
    gw_message *msg = new_message("some body", 9);
    assert_int_equal(gw_message_set_id(msg, "0193"), GW_OK);
    assert_int_equal(gw_message_set_content_type(msg, "application/json"), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", 2), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "traceparent", "00-4bf9-00f0-01"), GW_OK);
    gw_message *read = store_and_read(msg);
    gw_message *bare = gw__message_new_sized(0, 0);
    assert_non_null(bare);
    size_t most = gw__message_size(bare) + gw__record_size(msg) + 3 * sizeof(gw_header);
    assert_in_range(gw__message_size(read), gw__message_size(bare), most);
    gw_message_free(bare);
    gw_message_free(read);
    gw_message_free(msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_set),
        cmocka_unit_test(test_each_text),
        cmocka_unit_test(test_numbers_and_flags),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_nesting_to_the_limit),
        cmocka_unit_test(test_headers_to_the_limit),
        cmocka_unit_test(test_an_unknown_kind_is_null),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_the_layout),
        cmocka_unit_test(test_one_allocation_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
