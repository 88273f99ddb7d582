/* SPDX-License-Identifier: MIT */
/* What is said about a message arrives with it. */
#include <stdio.h>

#include <godwit/id.h>

#include "contract/contract.h"

/* ---- header values ---------------------------------------------------------- */

static bool same_value(const gw_value *a, const gw_value *b);

static bool same_table(const gw_value *a, const gw_value *b)
{
    bool same = a->as.table.n_items == b->as.table.n_items;
    for (size_t i = 0; same && i < a->as.table.n_items; i++) {
        same = strcmp(a->as.table.items[i].name, b->as.table.items[i].name) == 0 &&
               same_value(&a->as.table.items[i].value, &b->as.table.items[i].value);
    }
    return same;
}

static bool same_array(const gw_value *a, const gw_value *b)
{
    bool same = a->as.array.n_items == b->as.array.n_items;
    for (size_t i = 0; same && i < a->as.array.n_items; i++) {
        same = same_value(&a->as.array.items[i], &b->as.array.items[i]);
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
    case GW_VALUE_BYTES:
        return a->as.bytes.len == b->as.bytes.len &&
               memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0;
    case GW_VALUE_ARRAY: return same_array(a, b);
    case GW_VALUE_TABLE: return same_table(a, b);
    }
    return false;
}

typedef struct sample {
    const char *name;
    gw_value value;
} sample;

/* Every kind, its limits, and nesting. */
static const sample samples[] = {
    {"null", {.kind = GW_VALUE_NULL}},
    {"true", {.kind = GW_VALUE_BOOL, .as.boolean = true}},
    {"false", {.kind = GW_VALUE_BOOL, .as.boolean = false}},
    {"zero", {.kind = GW_VALUE_INT, .as.integer = 0}},
    {"minus", {.kind = GW_VALUE_INT, .as.integer = -1}},
    {"int-min", {.kind = GW_VALUE_INT, .as.integer = INT64_MIN}},
    {"int-max", {.kind = GW_VALUE_INT, .as.integer = INT64_MAX}},
    {"half", {.kind = GW_VALUE_DOUBLE, .as.real = 0.5}},
    {"small", {.kind = GW_VALUE_DOUBLE, .as.real = -1.2345678901234567e-300}},
    {"decimal", {.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = 2, .digits = 31415}}},
    {"empty", {.kind = GW_VALUE_TEXT, .as.bytes = {.data = "", .len = 0}}},
    {"unicode", {.kind = GW_VALUE_TEXT, .as.bytes = {.data = "gr\xc3\xbc\xc3\x9f", .len = 6}}},
    {"bytes", {.kind = GW_VALUE_BYTES, .as.bytes = {.data = "a\0b\xff", .len = 4}}},
    {"time", {.kind = GW_VALUE_TIME, .as.uinteger = 1795344133}},
    {"array",
     {.kind = GW_VALUE_ARRAY,
      .as.array = {.items = (const gw_value[]){{.kind = GW_VALUE_INT, .as.integer = 7},
                                               {.kind = GW_VALUE_TEXT,
                                                .as.bytes = {.data = "seven", .len = 5}},
                                               {.kind = GW_VALUE_ARRAY}},
                   .n_items = 3}}},
    {"table",
     {.kind = GW_VALUE_TABLE,
      .as.table =
          {.items =
               (const gw_header[]){
                   {.name = "k", .value = {.kind = GW_VALUE_BOOL, .as.boolean = true}},
                   {.name = "t",
                    .value = {.kind = GW_VALUE_TABLE,
                              .as.table =
                                  {.items = (const gw_header[]){{.name = "deep",
                                                                 .value = {.kind = GW_VALUE_NULL}}},
                                   .n_items = 1}}}},
           .n_items = 2}}},
    {"empty-table", {.kind = GW_VALUE_TABLE}},
};

static const sample unsigned_sample = {"uint-max",
                                       {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX}};

/* The same where the protocol has no such integers. */
static const sample digits_sample = {
    "uint-max", {.kind = GW_VALUE_TEXT, .as.bytes = {.data = "18446744073709551615", .len = 20}}};

static void set_sample(gw_message *msg, const sample *it)
{
    assert_int_equal(gw_message_set_header(msg, it->name, &it->value), GW_OK);
}

static void expect_sample(const gw_message *msg, const sample *it)
{
    const gw_value *value = gw_message_header(msg, it->name);
    if (value == NULL || !same_value(value, &it->value)) {
        fail_msg("header '%s' of kind %d arrived as kind %d or with another value", it->name,
                 (int)it->value.kind, value == NULL ? -1 : (int)value->kind);
    }
}

static void test_header_values(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "headers");
    const char *queue = new_queue(fix, "headers");
    inbox *box = new_inbox(fix);
    gw_message *msg = gw_message_new("body", 4);
    for (size_t i = 0; i < N_OF(samples); i++) {
        set_sample(msg, &samples[i]);
    }
    set_sample(msg, &unsigned_sample);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 1);
    const gw_message *got = inbox_at(box, 0)->msg;
    for (size_t i = 0; i < N_OF(samples); i++) {
        expect_sample(got, &samples[i]);
    }
    expect_sample(got, transport_of(fix)->unsigned_long ? &unsigned_sample : &digits_sample);
    assert_int_equal(gw_message_n_headers(got), N_OF(samples) + 1);
    assert_string_equal(gw_message_header_at(got, 0)->name, "null"); /* the order is kept */
}

/* ---- properties ---------------------------------------------------------------- */

static void test_all_properties(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "properties");
    const char *exchange = new_exchange(fix, "properties");
    inbox *box = new_inbox(fix);
    collect_exchange(client, exchange, GW_EXCHANGE_TOPIC, "#", box);
    gw_message *msg = gw_message_new("{\"a\":1}", 7);
    const char *user = transport_of(fix)->user;
    char long_text[256];
    memset(long_text, 'x', 255);
    long_text[255] = '\0';
    assert_int_equal(gw_message_set_content_type(msg, "application/json"), GW_OK);
    assert_int_equal(gw_message_set_content_encoding(msg, "identity"), GW_OK);
    assert_int_equal(gw_message_set_id(msg, "my-own-id"), GW_OK);
    assert_int_equal(gw_message_set_correlation_id(msg, long_text), GW_OK);
    assert_int_equal(gw_message_set_reply_to(msg, "somewhere"), GW_OK);
    assert_int_equal(gw_message_set_type(msg, "account.read"), GW_OK);
    assert_int_equal(gw_message_set_app_id(msg, "gr\xc3\xbc\xc3\x9f"), GW_OK);
    assert_int_equal(gw_message_set_user_id(msg, user), GW_OK);
    assert_int_equal(gw_message_set_routing_key(msg, "a.b.c"), GW_OK);
    gw_message_set_persistent(msg, false);
    gw_message_set_mandatory(msg, true);
    gw_message_set_priority(msg, 7);
    gw_message_set_timestamp(msg, 1795344133);
    gw_message_set_expiration_ms(msg, 600000);
    assert_int_equal(gw_message_set_header_text(msg, "trace", "on"), GW_OK);
    assert_int_equal(gw_publish(client, exchange, GW_EXCHANGE_TOPIC, msg, NULL), GW_OK);
    gw_message_free(msg);
    inbox_wait(box, 1);
    const received *got = inbox_at(box, 0);
    size_t len;
    assert_memory_equal(gw_message_body(got->msg, &len), "{\"a\":1}", 7);
    assert_int_equal(len, 7);
    assert_string_equal(gw_message_content_type(got->msg), "application/json");
    assert_string_equal(gw_message_content_encoding(got->msg), "identity");
    assert_string_equal(gw_message_id(got->msg), "my-own-id");
    assert_string_equal(gw_message_correlation_id(got->msg), long_text);
    assert_string_equal(gw_message_reply_to(got->msg), "somewhere");
    assert_string_equal(gw_message_type(got->msg), "account.read");
    assert_string_equal(gw_message_app_id(got->msg), "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(gw_message_user_id(got->msg), user);
    assert_string_equal(gw_message_routing_key(got->msg), "a.b.c");
    assert_false(gw_message_is_persistent(got->msg));
    assert_int_equal(gw_message_priority(got->msg), 7);
    assert_int_equal(gw_message_timestamp(got->msg), 1795344133);
    assert_int_equal(gw_message_expiration_ms(got->msg), 600000);
    assert_string_equal(gw_message_header_text(got->msg, "trace"), "on");
    assert_string_equal(got->exchange, exchange);
    assert_non_null(got->queue);
    assert_false(got->redelivered);
    assert_int_equal(got->attempt, 1);
}

/* What was not set is absent, except the id. */
static void test_nothing_set(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "bare");
    const char *queue = new_queue(fix, "bare");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    gw_message *msg = gw_message_new("bare", 4);
    assert_null(gw_message_id(msg));
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    assert_non_null(gw_message_id(msg)); /* made, and ours to read */
    inbox_wait(box, 1);
    const received *got = inbox_at(box, 0);
    assert_string_equal(gw_message_id(got->msg), gw_message_id(msg));
    assert_true(gw_id_is_valid(gw_message_id(msg), strlen(gw_message_id(msg))));
    gw_message_free(msg);
    assert_null(gw_message_content_type(got->msg));
    assert_null(gw_message_content_encoding(got->msg));
    assert_null(gw_message_correlation_id(got->msg));
    assert_null(gw_message_reply_to(got->msg));
    assert_null(gw_message_type(got->msg));
    assert_null(gw_message_app_id(got->msg));
    assert_null(gw_message_user_id(got->msg));
    assert_string_equal(gw_message_routing_key(got->msg), queue);
    assert_true(gw_message_is_persistent(got->msg));
    assert_int_equal(gw_message_priority(got->msg), 0);
    assert_int_equal(gw_message_timestamp(got->msg), 0);
    assert_int_equal(gw_message_expiration_ms(got->msg), -1);
    assert_int_equal(gw_message_n_headers(got->msg), 0);
    assert_string_equal(got->exchange, "");
    assert_string_equal(got->queue, queue);
}

/* The caller's message can be published again and changed: what was accepted is a copy. */
static void test_message_is_copied(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "copied");
    const char *queue = new_queue(fix, "copied");
    inbox *box = new_inbox(fix);
    gw_message *msg = gw_message_new("same", 4);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(gw_message_set_header_int(msg, "n", i), GW_OK);
        assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    }
    char id[GW_ID_LEN + 1];
    snprintf(id, sizeof(id), "%s", gw_message_id(msg));
    gw_message_free(msg);
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(gw_message_header_int(inbox_at(box, i)->msg, "n", -1), i);
        assert_string_equal(gw_message_id(inbox_at(box, i)->msg), id); /* the same message */
    }
}

static void test_order_is_kept(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "order");
    const char *queue = new_queue(fix, "order");
    inbox *box = new_inbox(fix);
    for (int i = 0; i < 300; i++) {
        send_number(client, queue, i);
    }
    collect_queue(client, queue, box, NULL);
    for (int i = 300; i < 600; i++) {
        send_number(client, queue, i);
    }
    inbox_wait(box, 600);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(atoi(inbox_body(box, (size_t)i)), i);
    }
}

contract_group contract_message(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_all_properties), CONTRACT_TEST(test_header_values),
        CONTRACT_TEST(test_nothing_set),    CONTRACT_TEST(test_message_is_copied),
        CONTRACT_TEST(test_order_is_kept),
    };
    return (contract_group){tests, N_OF(tests)};
}
