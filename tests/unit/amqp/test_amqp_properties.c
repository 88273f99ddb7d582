/* SPDX-License-Identifier: MIT */
/* Messages into AMQP's form and back: every property, every kind of header value, and what does not
 * fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/buf.h>

#include "amqp/frame.h"
#include "amqp/properties.h"
#include "amqp/table.h"
#include "amqp/wire.h"

#define FRAME_MAX 131072

typedef struct fixture {
    amqp_pool_t pool;
    gw_buf out;
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    init_amqp_pool(&fix->pool, 4096);
    gw_buf_init(&fix->out, 0);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    empty_amqp_pool(&fix->pool);
    gw_buf_dispose(&fix->out);
    free(fix);
    return 0;
}

/* Encode a message's header frame and decode it into a new message. */
static gw_message *round_trip(fixture *fix, const gw_message *msg)
{
    char expiration[GW__EXPIRATION_MAX];
    amqp_basic_properties_t properties;
    assert_int_equal(gw__properties_from_message(msg, &fix->pool, expiration, &properties), GW_OK);
    gw_buf_clear(&fix->out);
    assert_int_equal(gw__wire_header(&fix->out, 1, &properties, 0, FRAME_MAX), GW_OK);
    gw__frame frame;
    size_t len;
    assert_int_equal(gw__frame_parse((const uint8_t *)fix->out.data, fix->out.len, FRAME_MAX,
                                     &frame, &len, NULL),
                     GW_OK);
    assert_int_equal(len, fix->out.len);
    const amqp_basic_properties_t *decoded;
    size_t left_out;
    assert_int_equal(
        gw__properties_decode(frame.payload + 12, frame.len - 12, &fix->pool, &decoded, &left_out),
        GW_OK);
    gw_message *back = gw__properties_to_message(decoded, &fix->pool, left_out, 0, 0);
    assert_non_null(back);
    return back;
}

static void test_all_properties(void **state)
{
    fixture *fix = *state;
    gw_message *msg = gw_message_new("", 0);
    assert_int_equal(gw_message_set_content_type(msg, "text/plain"), GW_OK);
    assert_int_equal(gw_message_set_content_encoding(msg, "gzip"), GW_OK);
    assert_int_equal(gw_message_set_id(msg, "id"), GW_OK);
    assert_int_equal(gw_message_set_correlation_id(msg, "correlation"), GW_OK);
    assert_int_equal(gw_message_set_reply_to(msg, "reply"), GW_OK);
    assert_int_equal(gw_message_set_type(msg, "type"), GW_OK);
    assert_int_equal(gw_message_set_app_id(msg, "app"), GW_OK);
    assert_int_equal(gw_message_set_user_id(msg, "user"), GW_OK);
    gw_message_set_priority(msg, 9);
    gw_message_set_timestamp(msg, 1795343000);
    gw_message_set_expiration_ms(msg, 60000);
    gw_message *back = round_trip(fix, msg);
    assert_string_equal(gw_message_content_type(back), "text/plain");
    assert_string_equal(gw_message_content_encoding(back), "gzip");
    assert_string_equal(gw_message_id(back), "id");
    assert_string_equal(gw_message_correlation_id(back), "correlation");
    assert_string_equal(gw_message_reply_to(back), "reply");
    assert_string_equal(gw_message_type(back), "type");
    assert_string_equal(gw_message_app_id(back), "app");
    assert_string_equal(gw_message_user_id(back), "user");
    assert_int_equal(gw_message_priority(back), 9);
    assert_int_equal(gw_message_timestamp(back), 1795343000);
    assert_int_equal(gw_message_expiration_ms(back), 60000);
    assert_true(gw_message_is_persistent(back));
    gw_message_free(back);
    gw_message_free(msg);
}

static void test_no_properties(void **state)
{
    fixture *fix = *state;
    gw_message *msg = gw_message_new("", 0);
    gw_message_set_persistent(msg, false);
    gw_message *back = round_trip(fix, msg);
    assert_null(gw_message_content_type(back));
    assert_null(gw_message_id(back));
    assert_int_equal(gw_message_expiration_ms(back), -1);
    assert_int_equal(gw_message_n_headers(back), 0);
    assert_false(gw_message_is_persistent(back));
    gw_message_free(back);
    gw_message_free(msg);
}

/* ---- header values ------------------------------------------------------------------------------
 */

static const gw_header inner_items[] = {{"yes", {.kind = GW_VALUE_BOOL, .as.boolean = true}},
                                        {"nothing", {.kind = GW_VALUE_NULL}}};
static const gw_value array_items[] = {
    {.kind = GW_VALUE_INT, .as.integer = 1},
    {.kind = GW_VALUE_TEXT, .as.bytes = {"two", 3}},
    {.kind = GW_VALUE_TABLE, .as.table = {inner_items, 2}},
};

static const gw_header value_cases[] = {
    {"null", {.kind = GW_VALUE_NULL}},
    {"true", {.kind = GW_VALUE_BOOL, .as.boolean = true}},
    {"least", {.kind = GW_VALUE_INT, .as.integer = INT64_MIN}},
    {"most", {.kind = GW_VALUE_INT, .as.integer = INT64_MAX}},
    {"double", {.kind = GW_VALUE_DOUBLE, .as.real = -2.5e300}},
    {"decimal", {.kind = GW_VALUE_DECIMAL, .as.decimal = {2, 31415}}},
    {"text", {.kind = GW_VALUE_TEXT, .as.bytes = {"h\xc3\xa9", 3}}},
    {"empty text", {.kind = GW_VALUE_TEXT, .as.bytes = {"", 0}}},
    {"bytes", {.kind = GW_VALUE_BYTES, .as.bytes = {"\0\x01\xff", 3}}},
    {"time", {.kind = GW_VALUE_TIME, .as.uinteger = 1795343000}},
    {"array", {.kind = GW_VALUE_ARRAY, .as.array = {array_items, 3}}},
    {"table", {.kind = GW_VALUE_TABLE, .as.table = {inner_items, 2}}},
    {"empty table", {.kind = GW_VALUE_TABLE, .as.table = {NULL, 0}}},
};

#define N_VALUES (sizeof(value_cases) / sizeof(value_cases[0]))

static bool is_equal(const gw_value *a, const gw_value *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case GW_VALUE_NULL: return true;
    case GW_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case GW_VALUE_INT: return a->as.integer == b->as.integer;
    case GW_VALUE_UINT:
    case GW_VALUE_TIME: return a->as.uinteger == b->as.uinteger;
    case GW_VALUE_DOUBLE: return memcmp(&a->as.real, &b->as.real, sizeof(double)) == 0;
    case GW_VALUE_DECIMAL:
        return a->as.decimal.scale == b->as.decimal.scale &&
               a->as.decimal.digits == b->as.decimal.digits;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        return a->as.bytes.len == b->as.bytes.len &&
               memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0;
    case GW_VALUE_ARRAY:
        for (size_t i = 0; i < a->as.array.n_items; i++) {
            if (i >= b->as.array.n_items ||
                !is_equal(&a->as.array.items[i], &b->as.array.items[i])) {
                return false;
            }
        }
        return a->as.array.n_items == b->as.array.n_items;
    case GW_VALUE_TABLE:
        for (size_t i = 0; i < a->as.table.n_items; i++) {
            if (i >= b->as.table.n_items ||
                strcmp(a->as.table.items[i].name, b->as.table.items[i].name) != 0 ||
                !is_equal(&a->as.table.items[i].value, &b->as.table.items[i].value)) {
                return false;
            }
        }
        return a->as.table.n_items == b->as.table.n_items;
    }
    return false;
}

static void test_every_kind_of_value(void **state)
{
    fixture *fix = *state;
    gw_message *msg = gw_message_new("", 0);
    for (size_t i = 0; i < N_VALUES; i++) {
        assert_int_equal(gw_message_set_header(msg, value_cases[i].name, &value_cases[i].value),
                         GW_OK);
    }
    gw_message *back = round_trip(fix, msg);
    assert_int_equal(gw_message_n_headers(back), N_VALUES);
    for (size_t i = 0; i < N_VALUES; i++) {
        const gw_header *header = gw_message_header_at(back, i);
        if (strcmp(header->name, value_cases[i].name) != 0 ||
            !is_equal(&header->value, &value_cases[i].value)) {
            fail_msg("header '%s' came back as '%s' of kind %d", value_cases[i].name, header->name,
                     header->value.kind);
        }
    }
    gw_message_free(back);
    gw_message_free(msg);
}

/* RabbitMQ knows no unsigned 64 bits and closes the connection over one. */
static void test_large_unsigned_goes_as_digits(void **state)
{
    fixture *fix = *state;
    gw_message *msg = gw_message_new("", 0);
    gw_value value = {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX};
    assert_int_equal(gw_message_set_header(msg, "large", &value), GW_OK);
    gw_message *back = round_trip(fix, msg);
    assert_string_equal(gw_message_header_text(back, "large"), "18446744073709551615");
    gw_message_free(back);
    gw_message_free(msg);
}

/* The deepest value that a message can hold goes out and comes back. */
static void test_deepest_value(void **state)
{
    fixture *fix = *state;
    gw_value values[GW_VALUE_DEPTH_MAX + 1];
    values[GW_VALUE_DEPTH_MAX] = (gw_value){.kind = GW_VALUE_INT, .as.integer = 7};
    for (int i = GW_VALUE_DEPTH_MAX - 1; i >= 0; i--) {
        values[i] = (gw_value){.kind = GW_VALUE_ARRAY, .as.array = {&values[i + 1], 1}};
    }
    gw_message *msg = gw_message_new("", 0);
    assert_int_equal(gw_message_set_header(msg, "deep", &values[0]), GW_OK);
    gw_message *back = round_trip(fix, msg);
    assert_true(is_equal(gw_message_header(back, "deep"), &values[0]));
    gw_message_free(back);
    gw_message_free(msg);
}

/* ---- what a message cannot hold ------------------------------------------ */

static gw_message *decode(fixture *fix, const uint8_t *data, size_t len, gw_status *ret_st)
{
    const amqp_basic_properties_t *decoded;
    size_t left_out;
    *ret_st = gw__properties_decode(data, len, &fix->pool, &decoded, &left_out);
    return *ret_st == GW_OK ? gw__properties_to_message(decoded, &fix->pool, left_out, 0, 0) : NULL;
}

/* Headers with "ok" = true and "deep" = `depth` tables in each other; content type "t" before and
 * message id "m" behind. */
static size_t write_deep(uint8_t *data, size_t depth)
{
    size_t table_len = 5 + 7 + depth * 7;
    size_t at = 0;
    memcpy(data, "\xa0\x80\x01t", 4);
    at += 4;
    for (int shift = 24; shift >= 0; shift -= 8) {
        data[at++] = (uint8_t)(table_len >> shift);
    }
    memcpy(data + at, "\x02okt\x01", 5);
    at += 5;
    for (size_t i = 0; i <= depth; i++) {
        memcpy(data + at, "\x01kF", 3);
        at += 3;
        size_t rest = (depth - i) * 7;
        for (int shift = 24; shift >= 0; shift -= 8) {
            data[at++] = (uint8_t)(rest >> shift);
        }
    }
    memcpy(data + at, "\x01m", 2);
    return at + 2;
}

/* The publisher of such a message must not be able to end the consumer's connection: the headers
 * that are too deep are left out, the message comes. */
static void test_deep_headers_are_left_out(void **state)
{
    fixture *fix = *state;
    static const struct {
        size_t depth;
        bool others_kept;
    } cases[] = {{GW_VALUE_DEPTH_MAX + 1, true}, {90, true}, {200, false}, {18000, false}};
    uint8_t *data = malloc(18000 * 7 + 100);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_status st;
        gw_message *msg = decode(fix, data, write_deep(data, cases[i].depth), &st);
        if (msg == NULL) {
            fail_msg("%zu levels: %s", cases[i].depth, gw_status_name(st));
        }
        assert_string_equal(gw_message_content_type(msg), "t");
        assert_string_equal(gw_message_id(msg), "m");
        assert_null(gw_message_header(msg, "k"));
        assert_int_equal(gw_message_header_int(msg, GW__HEADERS_DROPPED, 0), 1);
        assert_int_equal(gw_message_header(msg, "ok") != NULL, cases[i].others_kept);
        gw_message_free(msg);
        recycle_amqp_pool(&fix->pool);
    }
    free(data);
}

/* As many as a frame can hold would take the I/O thread a while: the first thousand are taken, and
 * it is marked how many there were besides. */
static void test_too_many_headers_are_left_out(void **state)
{
    fixture *fix = *state;
    gw_message *msg = gw_message_new("", 0);
    char name[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(gw_message_set_header_int(msg, name, i), GW_OK);
    }
    gw_message *back = round_trip(fix, msg);
    assert_int_equal(gw_message_n_headers(back), 1001);
    assert_int_equal(gw_message_header_int(back, "0", -1), 0);
    assert_int_equal(gw_message_header_int(back, "999", -1), 999);
    assert_int_equal(gw_message_header_int(back, "1000", -1), -1);
    assert_int_equal(gw_message_header_int(back, GW__HEADERS_DROPPED, -1), 2000);
    gw_message_free(back);
    gw_message_free(msg);
}

static void test_odd_names_are_left_out(void **state)
{
    fixture *fix = *state;
    static const uint8_t data[] = "\x20\0\0\0\0\x0e\0t\x01\x03"
                                  "a\0bt\x01\x02okt\x01";
    gw_status st;
    gw_message *msg = decode(fix, data, sizeof(data) - 1, &st);
    assert_non_null(msg);
    assert_int_equal(gw_message_n_headers(msg), 2);
    assert_non_null(gw_message_header(msg, "ok"));
    assert_int_equal(gw_message_header_int(msg, GW__HEADERS_DROPPED, 0), 2);
    gw_message_free(msg);
}

static const struct {
    const char *what;
    const char *bytes;
    size_t len;
    gw_status st;
} hostile_cases[] = {
#define BYTES(literal) (literal), sizeof(literal) - 1
    {"no flags", BYTES("\x80"), GW_E_PROTOCOL},
    {"a text cut short", BYTES("\x80\0\x05hi"), GW_E_PROTOCOL},
    {"no timestamp", BYTES("\0\x40\0\0"), GW_E_PROTOCOL},
    {"a table with an unknown kind", BYTES("\x20\0\0\0\0\x03\x01k?"), GW_E_PROTOCOL},
    {"a NUL in a text", BYTES("\x80\0\x03h\0i"), GW_OK},
    {"an expiration of words", BYTES("\x01\0\x04soon"), GW_OK},
    {"an expiration past 64 bits",
     BYTES("\x01\0\x14"
           "99999999999999999999"),
     GW_OK},
};

static void test_hostile_properties(void **state)
{
    fixture *fix = *state;
    for (size_t i = 0; i < sizeof(hostile_cases) / sizeof(hostile_cases[0]); i++) {
        uint8_t *data = malloc(hostile_cases[i].len);
        memcpy(data, hostile_cases[i].bytes, hostile_cases[i].len);
        gw_status st;
        gw_message *msg = decode(fix, data, hostile_cases[i].len, &st);
        if (st != hostile_cases[i].st) {
            fail_msg("%s: %s instead of %s", hostile_cases[i].what, gw_status_name(st),
                     gw_status_name(hostile_cases[i].st));
        }
        if (msg != NULL) {
            assert_null(gw_message_content_type(msg));
            assert_int_equal(gw_message_expiration_ms(msg), -1);
        }
        gw_message_free(msg);
        free(data);
    }
}

/* Headers that do not fit a small frame are refused whole, and the buffer is as before. */
static void test_headers_larger_than_a_frame(void **state)
{
    fixture *fix = *state;
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    gw_message *msg = gw_message_new("", 0);
    assert_int_equal(gw_message_set_header_text(msg, "large", text), GW_OK);
    char expiration[GW__EXPIRATION_MAX];
    amqp_basic_properties_t properties;
    assert_int_equal(gw__properties_from_message(msg, &fix->pool, expiration, &properties), GW_OK);
    gw_buf_add_str(&fix->out, "before");
    assert_int_equal(gw__wire_header(&fix->out, 1, &properties, 0, 4096), GW_E_LIMIT);
    assert_int_equal(fix->out.len, 6);
    assert_int_equal(gw__wire_header(&fix->out, 1, &properties, 0, 8192), GW_OK);
    gw_message_free(msg);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_all_properties),
        TEST(test_no_properties),
        TEST(test_every_kind_of_value),
        TEST(test_large_unsigned_goes_as_digits),
        TEST(test_deepest_value),
        TEST(test_deep_headers_are_left_out),
        TEST(test_too_many_headers_are_left_out),
        TEST(test_odd_names_are_left_out),
        TEST(test_hostile_properties),
        TEST(test_headers_larger_than_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
