/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/record.h"
#include "messaging/message.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void set_all_kinds(gw_message *msg)
{
    const gw_value items[] = {
        {.kind = GW_VALUE_NULL},
        {.kind = GW_VALUE_BOOL, .as.boolean = true},
        {.kind = GW_VALUE_INT, .as.integer = INT64_MIN},
        {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX},
        {.kind = GW_VALUE_DOUBLE, .as.real = -0.125},
        {.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = 2, .digits = 4294967295U}},
        {.kind = GW_VALUE_TEXT, .as.bytes = {.data = "ab\0c", .len = 4}},
        {.kind = GW_VALUE_BYTES, .as.bytes = {.data = "\xff\x00\x01", .len = 3}},
        {.kind = GW_VALUE_TIME, .as.uinteger = 1764075600},
    };
    const gw_header fields[] = {
        {.name = "", .value = items[2]}, /* only a header needs a name */
        {.name = "inner", .value = {.kind = GW_VALUE_ARRAY, .as.array = {items, N_OF(items)}}},
        {.name = "none", .value = {.kind = GW_VALUE_TABLE, .as.table = {NULL, 0}}},
    };
    gw_value table = {.kind = GW_VALUE_TABLE, .as.table = {fields, N_OF(fields)}};
    for (size_t i = 0; i < N_OF(items); i++) {
        char name[] = {'k', (char)('0' + i), '\0'};
        assert_int_equal(gw_message_set_header(msg, name, &items[i]), GW_OK);
    }
    assert_int_equal(gw_message_set_header(msg, "inner", &fields[1].value), GW_OK);
    assert_int_equal(gw_message_set_header(msg, "table", &table), GW_OK);
}

gw_message *sample_full(void)
{
    static const char *const texts[GW__N_TEXTS] = {
        "text/plain", "gzip", "id-1", "c-1", "back", "t", "app", "", "key.a", "thrown", "away"};
    gw_message *msg = gw_message_new("the\0body", 8);
    assert_non_null(msg);
    for (int i = 0; i < GW__N_TEXTS; i++) {
        gw_status st = gw__message_set_text(msg, (gw__text)i, texts[i], strlen(texts[i]));
        assert_int_equal(st, GW_OK);
    }
    gw_message_set_persistent(msg, false);
    gw_message_set_mandatory(msg, true);
    gw_message_set_priority(msg, 255);
    gw_message_set_timestamp(msg, UINT64_MAX - 1);
    gw_message_set_expiration_ms(msg, INT64_MAX);
    gw__message_set_redelivered(msg, true);
    gw__message_set_attempt(msg, 7);
    set_all_kinds(msg);
    return msg;
}

void sample_nest(gw_message *msg, const char *name, unsigned depth)
{
    gw_value levels[GW_VALUE_DEPTH_MAX + 2];
    gw_header fields[GW_VALUE_DEPTH_MAX + 2];
    assert_true(depth < N_OF(levels));
    levels[0] = (gw_value){.kind = GW_VALUE_INT, .as.integer = -5};
    for (unsigned i = 1; i <= depth; i++) {
        if (i % 2 != 0) {
            levels[i] = (gw_value){.kind = GW_VALUE_ARRAY, .as.array = {&levels[i - 1], 1}};
        } else {
            fields[i] = (gw_header){.name = "f", .value = levels[i - 1]};
            levels[i] = (gw_value){.kind = GW_VALUE_TABLE, .as.table = {&fields[i], 1}};
        }
    }
    assert_int_equal(gw_message_set_header(msg, name, &levels[depth]), GW_OK);
}

uint8_t *sample_record(const gw_message *msg, size_t *ret_len)
{
    size_t len = gw__record_size(msg);
    uint8_t *record = malloc(len);
    assert_non_null(record);
    assert_ptr_equal(gw__record_write(msg, record), record + len);
    *ret_len = len;
    return record;
}

/* ---- differences ----------------------------------------------------------- */

static bool same_value(const gw_value *a, const gw_value *b);

static bool same_header(const gw_header *a, const gw_header *b)
{
    return strcmp(a->name, b->name) == 0 && same_value(&a->value, &b->value);
}

static bool same_items(const gw_value *a, const gw_value *b)
{
    bool is_array = a->kind == GW_VALUE_ARRAY;
    size_t n = is_array ? a->as.array.n_items : a->as.table.n_items;
    bool same = n == (is_array ? b->as.array.n_items : b->as.table.n_items);
    for (size_t i = 0; same && i < n; i++) {
        same = is_array ? same_value(&a->as.array.items[i], &b->as.array.items[i])
                        : same_header(&a->as.table.items[i], &b->as.table.items[i]);
    }
    return same;
}

static bool same_value(const gw_value *a, const gw_value *b)
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
    case GW_VALUE_BYTES: /* the NUL behind them as well */
        return a->as.bytes.len == b->as.bytes.len &&
               memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len + 1) == 0;
    default: return same_items(a, b);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

const char *sample_difference(const gw_message *a, const gw_message *b)
{
    size_t a_len;
    size_t b_len;
    const char *a_body = gw_message_body(a, &a_len);
    const char *b_body = gw_message_body(b, &b_len);
    if (a_len != b_len || memcmp(a_body, b_body, a_len + 1) != 0) {
        return "body";
    }
    for (int i = 0; i <= GW__TEXT_ROUTING_KEY; i++) {
        if (!same_text(gw__message_texts(a)[i], gw__message_texts(b)[i])) {
            return "a text";
        }
    }
    if (gw_message_is_persistent(a) != gw_message_is_persistent(b) ||
        gw_message_is_mandatory(a) != gw_message_is_mandatory(b)) {
        return "a flag";
    }
    if (gw_message_priority(a) != gw_message_priority(b) ||
        gw_message_timestamp(a) != gw_message_timestamp(b) ||
        gw_message_expiration_ms(a) != gw_message_expiration_ms(b)) {
        return "a number";
    }
    bool same = gw_message_n_headers(a) == gw_message_n_headers(b);
    for (size_t i = 0; same && i < gw_message_n_headers(a); i++) {
        same = same_header(gw_message_header_at(a, i), gw_message_header_at(b, i));
    }
    return same ? NULL : "a header";
}
