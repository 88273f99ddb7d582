/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "messaging/message.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_message *new_message(const char *body)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    return msg;
}

/* ---- the body ------------------------------------------------------------------- */

static void test_body(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"none", NULL, 0},
        {"empty", "", 0},
        {"text", "hello", 5},
        {"with a NUL", "a\0b", 3},
        {"high bytes", "\xff\xfe\x00\x01", 4},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = gw_message_new(cases[i].bytes, cases[i].len);
        assert_non_null(msg);
        size_t len = 99;
        const char *body = gw_message_body(msg, &len);
        if (len != cases[i].len || body[len] != '\0' ||
            (len > 0 && memcmp(body, cases[i].bytes, len) != 0)) {
            fail_msg("%s: got %zu bytes, expected %zu", cases[i].name, len, cases[i].len);
        }
        assert_ptr_equal(gw_message_body(msg, NULL), body);
        gw_message_free(msg);
    }
}

static void test_body_limits(void **state)
{
    (void)state;
    char byte = 'x';
    assert_null(gw_message_new(NULL, 1));
    assert_null(gw_message_new(&byte, GW_MESSAGE_BODY_MAX + 1));
    assert_null(gw_message_new(&byte, SIZE_MAX));
    assert_null(gw__message_new_sized(SIZE_MAX, 0));
    gw_message *largest = gw__message_new_sized(GW_MESSAGE_BODY_MAX, 0);
    assert_non_null(largest);
    gw_message_free(largest);
    gw_message_free(NULL);
}

/* ---- properties ------------------------------------------------------------------- */

#define TEXT(name)                                                                                 \
    {                                                                                              \
#name, gw_message_##name, gw_message_set_##name                                            \
    }

static const struct {
    const char *name;
    const char *(*get)(const gw_message *msg);
    gw_status (*set)(gw_message *msg, const char *text);
} texts[] = {
    TEXT(content_type), TEXT(content_encoding), TEXT(id),      TEXT(correlation_id), TEXT(reply_to),
    TEXT(type),         TEXT(app_id),           TEXT(user_id), TEXT(routing_key),
};

static void check_text(size_t i, const gw_message *msg, const char *expected)
{
    const char *text = texts[i].get(msg);
    if ((text == NULL) != (expected == NULL) || (text != NULL && strcmp(text, expected) != 0)) {
        fail_msg("%s: got '%s', expected '%s'", texts[i].name, text != NULL ? text : "(none)",
                 expected != NULL ? expected : "(none)");
    }
}

static void test_texts(void **state)
{
    (void)state;
    char longest[GW_MESSAGE_TEXT_MAX + 1];
    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char too_long[GW_MESSAGE_TEXT_MAX + 2];
    memset(too_long, 'k', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';

    gw_message *msg = new_message("body");
    for (size_t i = 0; i < N_OF(texts); i++) {
        check_text(i, msg, NULL);
        assert_int_equal(texts[i].set(msg, "first"), GW_OK);
        check_text(i, msg, "first");
        assert_int_equal(texts[i].set(msg, "fi"), GW_OK); /* shorter: in the same place */
        check_text(i, msg, "fi");
        assert_int_equal(texts[i].set(msg, texts[i].get(msg) + 1), GW_OK); /* part of itself */
        check_text(i, msg, "i");
        assert_int_equal(texts[i].set(msg, longest), GW_OK);
        check_text(i, msg, longest);
        assert_int_equal(texts[i].set(msg, too_long), GW_E_LIMIT);
        check_text(i, msg, longest); /* unchanged */
        assert_int_equal(texts[i].set(msg, ""), GW_OK);
        check_text(i, msg, "");
        assert_int_equal(texts[i].set(msg, NULL), GW_OK);
        check_text(i, msg, NULL);
        assert_int_equal(texts[i].set(msg, texts[i].name), GW_OK);
    }
    for (size_t i = 0; i < N_OF(texts); i++) { /* none overwrote another */
        check_text(i, msg, texts[i].name);
    }
    gw_message_free(msg);
}

static void test_text_bytes(void **state)
{
    (void)state;
    gw_message *msg = new_message("");
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_QUEUE, "vip_queue rest", 9), GW_OK);
    assert_string_equal(gw_message_queue(msg), "vip_queue");
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_QUEUE, "vip\0queue", 9), GW_E_INVALID);
    assert_string_equal(gw_message_queue(msg), "vip_queue");
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_EXCHANGE, NULL, 0), GW_OK);
    assert_string_equal(gw_message_exchange(msg), "");
    gw_message_free(msg);
}

/* A program that keeps one message and publishes it with ever new ids. */
static void test_replacing_texts_does_not_grow(void **state)
{
    (void)state;
    gw_message *msg = new_message("body");
    assert_int_equal(gw_message_set_id(msg, "00000"), GW_OK);
    size_t size = gw__message_size(msg);
    for (unsigned i = 0; i < 10000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%05u", i);
        assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    }
    assert_string_equal(gw_message_id(msg), "09999");
    assert_int_equal(gw__message_size(msg), size);
    gw_message_free(msg);
}

static void test_numbers(void **state)
{
    (void)state;
    gw_message *msg = new_message("");
    assert_true(gw_message_is_persistent(msg));
    assert_false(gw_message_is_mandatory(msg));
    assert_false(gw_message_is_redelivered(msg));
    assert_int_equal(gw_message_priority(msg), 0);
    assert_int_equal(gw_message_timestamp(msg), 0);
    assert_int_equal(gw_message_expiration_ms(msg), -1);
    assert_int_equal(gw_message_attempt(msg), 1);
    gw_message_set_persistent(msg, false);
    gw_message_set_mandatory(msg, true);
    gw__message_set_redelivered(msg, true);
    gw_message_set_priority(msg, 255);
    gw_message_set_timestamp(msg, UINT64_MAX);
    gw__message_set_attempt(msg, 7);
    assert_false(gw_message_is_persistent(msg));
    assert_true(gw_message_is_mandatory(msg));
    assert_true(gw_message_is_redelivered(msg));
    assert_int_equal(gw_message_priority(msg), 255);
    assert_true(gw_message_timestamp(msg) == UINT64_MAX);
    assert_int_equal(gw_message_attempt(msg), 7);
    static const struct {
        int64_t set;
        int64_t expected;
    } expirations[] = {{0, 0}, {60000, 60000}, {INT64_MAX, INT64_MAX}, {-1, -1}, {INT64_MIN, -1}};
    for (size_t i = 0; i < N_OF(expirations); i++) {
        gw_message_set_expiration_ms(msg, expirations[i].set);
        assert_true(gw_message_expiration_ms(msg) == expirations[i].expected);
    }
    gw_message_free(msg);
}

/* ---- headers ------------------------------------------------------------------------ */

static void test_headers(void **state)
{
    (void)state;
    gw_message *msg = new_message("");
    assert_int_equal(gw_message_n_headers(msg), 0);
    assert_null(gw_message_header_at(msg, 0));
    assert_null(gw_message_header(msg, "none"));
    assert_null(gw_message_header_text(msg, "none"));
    assert_int_equal(gw_message_header_int(msg, "none", -5), -5);

    assert_int_equal(gw_message_set_header_text(msg, "a", "one"), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "b", INT64_MIN), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "A", "other case"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "a", "two"), GW_OK);
    assert_int_equal(gw_message_n_headers(msg), 3);
    static const char *const order[] = {"a", "b", "A"};
    for (size_t i = 0; i < N_OF(order); i++) {
        assert_string_equal(gw_message_header_at(msg, i)->name, order[i]);
    }
    assert_null(gw_message_header_at(msg, 3));
    assert_null(gw_message_header_at(msg, SIZE_MAX));
    assert_string_equal(gw_message_header_text(msg, "a"), "two");
    assert_string_equal(gw_message_header_text(msg, "A"), "other case");
    assert_null(gw_message_header_text(msg, "b")); /* another kind */
    assert_true(gw_message_header_int(msg, "b", 0) == INT64_MIN);
    assert_int_equal(gw_message_header_int(msg, "a", 9), 9);
    gw_message_free(msg);
}

static void test_header_arguments(void **state)
{
    (void)state;
    char longest[GW_MESSAGE_TEXT_MAX + 1];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char too_long[GW_MESSAGE_TEXT_MAX + 2];
    memset(too_long, 'n', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    static const gw_value five = {.kind = GW_VALUE_INT, .as.integer = 5};
    const struct {
        const char *what;
        const char *name;
        const gw_value *value;
        gw_status expected;
    } cases[] = {
        {"no name", NULL, &five, GW_E_INVALID},     {"empty name", "", &five, GW_E_INVALID},
        {"no value", "a", NULL, GW_E_INVALID},      {"longest name", longest, &five, GW_OK},
        {"long name", too_long, &five, GW_E_LIMIT},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("");
        gw_status st = gw_message_set_header(msg, cases[i].name, cases[i].value);
        if (st != cases[i].expected) {
            fail_msg("%s: got %s, expected %s", cases[i].what, gw_status_name(st),
                     gw_status_name(cases[i].expected));
        }
        assert_int_equal(gw_message_n_headers(msg), st == GW_OK ? 1 : 0);
        gw_message_free(msg);
    }
    gw_message *msg = new_message("");
    assert_int_equal(gw_message_set_header_text(msg, "a", NULL), GW_E_INVALID);
    gw_message_free(msg);
}

static void test_many_headers(void **state)
{
    (void)state;
    gw_message *msg = new_message("");
    gw_status st = GW_OK;
    unsigned n = 0;
    for (; st == GW_OK && n < 100000; n++) {
        char name[16];
        snprintf(name, sizeof(name), "h%u", n);
        st = gw_message_set_header_int(msg, name, n);
    }
    n--;
    assert_int_equal(st, GW_E_LIMIT);
    assert_in_range(n, GW_MESSAGE_HEADERS_MAX / 32, GW_MESSAGE_HEADERS_MAX / 8);
    assert_int_equal(gw_message_n_headers(msg), n); /* those before are all there */
    for (unsigned i = 0; i < n; i += 97) {
        char name[16];
        snprintf(name, sizeof(name), "h%u", i);
        assert_int_equal(gw_message_header_int(msg, name, -1), i);
    }
    gw_message *copy = gw_message_dup(msg);
    assert_non_null(copy);
    assert_int_equal(gw_message_n_headers(copy), n);
    gw_message_free(copy);
    gw_message_free(msg);
}

/* A text, bytes, array or table of `n` bytes or items, all zero. */
static gw_status set_sized(gw_message *msg, gw_value_kind kind, size_t n)
{
    size_t item = kind == GW_VALUE_TABLE   ? sizeof(gw_header)
                  : kind == GW_VALUE_ARRAY ? sizeof(gw_value)
                                           : 1;
    void *items = calloc(n + 1, item);
    assert_non_null(items);
    gw_value value = {.kind = kind};
    if (kind == GW_VALUE_TABLE) {
        gw_header *headers = items;
        for (size_t i = 0; i < n; i++) {
            headers[i].name = "";
        }
        value.as.table.items = headers;
        value.as.table.n_items = n;
    } else if (kind == GW_VALUE_ARRAY) {
        value.as.array.items = items;
        value.as.array.n_items = n;
    } else {
        value.as.bytes.data = items;
        value.as.bytes.len = n;
    }
    gw_status st = gw_message_set_header(msg, "h", &value);
    free(items);
    return st;
}

static void test_large_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        gw_value_kind kind;
        size_t n;
        gw_status expected;
    } cases[] = {
        {"text", GW_VALUE_TEXT, 60000, GW_OK},
        {"long text", GW_VALUE_TEXT, GW_MESSAGE_HEADERS_MAX, GW_E_LIMIT},
        {"bytes", GW_VALUE_BYTES, 60000, GW_OK},
        {"many bytes", GW_VALUE_BYTES, 1000000, GW_E_LIMIT},
        {"array", GW_VALUE_ARRAY, 7000, GW_OK},
        {"long array", GW_VALUE_ARRAY, 7300, GW_E_LIMIT},
        {"very long array", GW_VALUE_ARRAY, 100000, GW_E_LIMIT},
        {"table", GW_VALUE_TABLE, 6000, GW_OK},
        {"long table", GW_VALUE_TABLE, 7000, GW_E_LIMIT},
        {"very long table", GW_VALUE_TABLE, 100000, GW_E_LIMIT},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("");
        gw_status st = set_sized(msg, cases[i].kind, cases[i].n);
        if (st != cases[i].expected) {
            fail_msg("%s of %zu: got %s, expected %s", cases[i].name, cases[i].n,
                     gw_status_name(st), gw_status_name(cases[i].expected));
        }
        assert_int_equal(gw_message_n_headers(msg), st == GW_OK ? 1 : 0);
        /* What is refused for its size took no memory of that size first. */
        assert_true(st == GW_OK || gw__message_size(msg) < 512 * 1024);
        gw_message_free(msg);
    }
    gw_message *msg = new_message("");
    gw_value lie = {.kind = GW_VALUE_BYTES, .as.bytes = {.data = "x", .len = SIZE_MAX}};
    assert_int_equal(gw_message_set_header(msg, "h", &lie), GW_E_LIMIT);
    gw_message_free(msg);
}

/* An array in an array, `depth` deep, around a number. */
static gw_status set_nested(gw_message *msg, unsigned depth)
{
    gw_value *levels = calloc(depth + 1, sizeof(*levels));
    assert_non_null(levels);
    levels[depth] = (gw_value){.kind = GW_VALUE_INT, .as.integer = 42};
    for (unsigned i = depth; i > 0; i--) {
        levels[i - 1].kind = GW_VALUE_ARRAY;
        levels[i - 1].as.array.items = &levels[i];
        levels[i - 1].as.array.n_items = 1;
    }
    gw_status st = gw_message_set_header(msg, "deep", &levels[0]);
    free(levels);
    return st;
}

static void test_nesting(void **state)
{
    (void)state;
    static const struct {
        unsigned depth;
        gw_status expected;
    } cases[] = {{0, GW_OK},
                 {1, GW_OK},
                 {GW_VALUE_DEPTH_MAX, GW_OK},
                 {GW_VALUE_DEPTH_MAX + 1, GW_E_LIMIT},
                 {5000, GW_E_LIMIT}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_message("");
        gw_status st = set_nested(msg, cases[i].depth);
        if (st != cases[i].expected) {
            fail_msg("depth %u: got %s, expected %s", cases[i].depth, gw_status_name(st),
                     gw_status_name(cases[i].expected));
        }
        if (st == GW_OK) { /* the levels were freed: this is a copy */
            const gw_value *value = gw_message_header(msg, "deep");
            for (unsigned d = 0; d < cases[i].depth; d++) {
                assert_int_equal(value->kind, GW_VALUE_ARRAY);
                assert_int_equal(value->as.array.n_items, 1);
                value = &value->as.array.items[0];
            }
            assert_int_equal(value->as.integer, 42);
        }
        gw_message_free(msg);
    }
}

/* A table with one value of each kind, in memory that goes away. */
static void set_every_kind(gw_message *msg)
{
    char text[] = "text";
    char bytes[] = {'\0', '\x01', '\xff'};
    char name[] = "bool";
    gw_value in_array[] = {{.kind = GW_VALUE_DOUBLE, .as.real = 0.5}, {.kind = GW_VALUE_NULL}};
    gw_header fields[] = {
        {name, {.kind = GW_VALUE_BOOL, .as.boolean = true}},
        {"int", {.kind = GW_VALUE_INT, .as.integer = -1}},
        {"uint", {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX}},
        {"decimal", {.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = 2, .digits = 314}}},
        {"text", {.kind = GW_VALUE_TEXT, .as.bytes = {.data = text, .len = 4}}},
        {"bytes", {.kind = GW_VALUE_BYTES, .as.bytes = {.data = bytes, .len = 3}}},
        {"time", {.kind = GW_VALUE_TIME, .as.uinteger = 1700000000}},
        {"array", {.kind = GW_VALUE_ARRAY, .as.array = {.items = in_array, .n_items = 2}}},
        {"empty", {.kind = GW_VALUE_TABLE}},
    };
    gw_value table = {.kind = GW_VALUE_TABLE,
                      .as.table = {.items = fields, .n_items = N_OF(fields)}};
    assert_int_equal(gw_message_set_header(msg, "all", &table), GW_OK);
    memset(text, 'X', sizeof(text));
    memset(bytes, 'X', sizeof(bytes));
    memset(name, 'X', sizeof(name));
    memset(in_array, 0xee, sizeof(in_array));
    memset(fields, 0xee, sizeof(fields));
}

static void check_every_kind(const gw_message *msg)
{
    const gw_value *all = gw_message_header(msg, "all");
    assert_non_null(all);
    assert_int_equal(all->kind, GW_VALUE_TABLE);
    assert_int_equal(all->as.table.n_items, 9);
    const gw_header *fields = all->as.table.items;
    assert_string_equal(fields[0].name, "bool");
    assert_true(fields[0].value.as.boolean);
    assert_int_equal(fields[1].value.as.integer, -1);
    assert_true(fields[2].value.as.uinteger == UINT64_MAX);
    assert_int_equal(fields[3].value.as.decimal.scale, 2);
    assert_int_equal(fields[3].value.as.decimal.digits, 314);
    assert_string_equal(fields[4].value.as.bytes.data, "text");
    assert_int_equal(fields[5].value.as.bytes.len, 3);
    assert_memory_equal(fields[5].value.as.bytes.data, "\0\x01\xff", 4); /* with a NUL behind it */
    assert_int_equal(fields[6].value.kind, GW_VALUE_TIME);
    assert_int_equal(fields[6].value.as.uinteger, 1700000000);
    assert_int_equal(fields[7].value.as.array.n_items, 2);
    assert_true(fields[7].value.as.array.items[0].as.real == 0.5);
    assert_int_equal(fields[7].value.as.array.items[1].kind, GW_VALUE_NULL);
    assert_int_equal(fields[8].value.as.table.n_items, 0);
}

static void test_deep_copy(void **state)
{
    (void)state;
    gw_message *msg = new_message("");
    set_every_kind(msg);
    check_every_kind(msg);
    /* Headers that follow, and copies of the message's own, leave it alone. */
    assert_int_equal(gw_message_set_header(msg, "again", gw_message_header(msg, "all")), GW_OK);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(gw_message_set_header_text(msg, name, "x"), GW_OK);
    }
    check_every_kind(msg);
    gw_message_free(msg);
}

/* Those that were built in the message's own memory, as a store does. */
static void test_adopted_headers(void **state)
{
    (void)state;
    gw_message *msg = new_message("x");
    gw_header header = {.name = "n", .value = {.kind = GW_VALUE_INT, .as.integer = 5}};
    const size_t size = GW__VALUE_SIZE + 2;
    assert_int_equal(gw__message_reserve_headers(msg, SIZE_MAX), GW_E_LIMIT);
    assert_int_equal(gw__message_reserve_headers(msg, 2), GW_OK);
    assert_int_equal(gw__message_adopt_header(msg, &header, size), GW_OK);
    assert_int_equal(gw__message_adopt_header(msg, &header, size), GW_E_EXISTS);
    header.name = "";
    assert_int_equal(gw__message_adopt_header(msg, &header, size), GW_E_INVALID);
    char *name = gw__message_take(msg, 2, 1);
    assert_non_null(name);
    memcpy(name, "m", 2);
    header.name = name;
    assert_int_equal(gw__message_adopt_header(msg, &header, GW_MESSAGE_HEADERS_MAX), GW_E_LIMIT);
    assert_int_equal(gw__message_adopt_header(msg, &header, GW_MESSAGE_HEADERS_MAX - size), GW_OK);
    assert_int_equal(gw_message_n_headers(msg), 2);
    assert_int_equal(gw_message_header_int(msg, "m", 0), 5);
    /* they count for what is set later */
    assert_int_equal(gw_message_set_header_int(msg, "k", 1), GW_E_LIMIT);
    gw_message_free(msg);
}

/* ---- dup ------------------------------------------------------------------------------ */

static void test_dup(void **state)
{
    (void)state;
    gw_message *msg = gw_message_new("a\0b", 3);
    assert_non_null(msg);
    for (size_t i = 0; i < N_OF(texts); i++) {
        assert_int_equal(texts[i].set(msg, texts[i].name), GW_OK);
    }
    gw_message_set_persistent(msg, false);
    gw_message_set_mandatory(msg, true);
    gw_message_set_priority(msg, 3);
    gw_message_set_timestamp(msg, 1234);
    gw_message_set_expiration_ms(msg, 5000);
    set_every_kind(msg);
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_EXCHANGE, "ex", 2), GW_OK);
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_QUEUE, "q", 1), GW_OK);
    gw__message_set_redelivered(msg, true);
    gw__message_set_attempt(msg, 4);

    gw_message *copy = gw_message_dup(msg);
    assert_non_null(copy);
    assert_string_equal(gw_message_id(msg), "id"); /* the original is as it was */
    gw_message_free(msg);

    size_t len;
    assert_memory_equal(gw_message_body(copy, &len), "a\0b", 4);
    assert_int_equal(len, 3);
    for (size_t i = 0; i < N_OF(texts); i++) {
        check_text(i, copy, texts[i].name);
    }
    assert_false(gw_message_is_persistent(copy));
    assert_true(gw_message_is_mandatory(copy));
    assert_int_equal(gw_message_priority(copy), 3);
    assert_int_equal(gw_message_timestamp(copy), 1234);
    assert_int_equal(gw_message_expiration_ms(copy), 5000);
    check_every_kind(copy);
    /* A delivery's own are not copied. */
    assert_null(gw_message_exchange(copy));
    assert_null(gw_message_queue(copy));
    assert_false(gw_message_is_redelivered(copy));
    assert_int_equal(gw_message_attempt(copy), 1);
    gw_message_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_body_limits),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_text_bytes),
        cmocka_unit_test(test_replacing_texts_does_not_grow),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_header_arguments),
        cmocka_unit_test(test_many_headers),
        cmocka_unit_test(test_large_headers),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_deep_copy),
        cmocka_unit_test(test_adopted_headers),
        cmocka_unit_test(test_dup),
    };
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
