/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/error.h>

#include "messaging/dead_letter.h"
#include "messaging/message.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const gw__dead_reason plain_reason = {
    .text = "not JSON", .queue = "vip_queue", .service = "vipservice", .n_attempts = 3};

static gw_message *new_message(const char *body, size_t len)
{
    gw_message *msg = gw_message_new(body, len);
    assert_non_null(msg);
    return msg;
}

static gw_message *new_letter(const gw_message *msg, const gw__dead_reason *reason)
{
    gw_message *letter = gw__dead_letter_new(msg, reason);
    assert_non_null(letter);
    return letter;
}

static void test_reason(void **state)
{
    (void)state;
    gw_message *msg = new_message("{\0}", 3);
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_EXCHANGE, "orders", 6), GW_OK);
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_ROUTING_KEY, "a.b", 3), GW_OK);
    gw_message *letter = new_letter(msg, &plain_reason);
    gw_message_free(msg);

    size_t len;
    assert_memory_equal(gw_message_body(letter, &len), "{\0}", 4);
    assert_int_equal(len, 3);
    static const struct {
        const char *name;
        const char *expected;
    } headers[] = {
        {"x-godwit-reason", "not JSON"},    {"x-godwit-queue", "vip_queue"},
        {"x-godwit-service", "vipservice"}, {"x-godwit-exchange", "orders"},
        {"x-godwit-routing-key", "a.b"},
    };
    for (size_t i = 0; i < N_OF(headers); i++) {
        const char *text = gw_message_header_text(letter, headers[i].name);
        if (text == NULL || strcmp(text, headers[i].expected) != 0) {
            fail_msg("%s: got '%s', expected '%s'", headers[i].name, text != NULL ? text : "(none)",
                     headers[i].expected);
        }
    }
    assert_int_equal(gw_message_header_int(letter, "x-godwit-attempts", 0), 3);
    const char *time = gw_message_header_text(letter, "x-godwit-time");
    assert_non_null(time);
    assert_int_equal(strlen(time), GW_TIME_LEN);
    assert_null(gw_message_header(letter, "x-godwit-user-id"));
    assert_null(gw_message_exchange(letter)); /* it was not delivered */
    assert_null(gw_message_routing_key(letter));
    gw_message_free(letter);
}

static void test_properties(void **state)
{
    (void)state;
    gw_message *msg = new_message("body", 4);
    assert_int_equal(gw_message_set_content_type(msg, "application/json"), GW_OK);
    assert_int_equal(gw_message_set_content_encoding(msg, "gzip"), GW_OK);
    assert_int_equal(gw_message_set_id(msg, "id"), GW_OK);
    assert_int_equal(gw_message_set_correlation_id(msg, "corr"), GW_OK);
    assert_int_equal(gw_message_set_reply_to(msg, "answers"), GW_OK);
    assert_int_equal(gw_message_set_type(msg, "type"), GW_OK);
    assert_int_equal(gw_message_set_app_id(msg, "app"), GW_OK);
    assert_int_equal(gw_message_set_user_id(msg, "somebody"), GW_OK);
    gw_message_set_priority(msg, 4);
    gw_message_set_timestamp(msg, 99);
    gw_message_set_expiration_ms(msg, 1000);
    gw_message_set_persistent(msg, false);
    gw_message *letter = new_letter(msg, &plain_reason);
    gw_message_free(msg);

    assert_string_equal(gw_message_content_type(letter), "application/json");
    assert_string_equal(gw_message_content_encoding(letter), "gzip");
    assert_string_equal(gw_message_id(letter), "id");
    assert_string_equal(gw_message_correlation_id(letter), "corr");
    assert_string_equal(gw_message_reply_to(letter), "answers");
    assert_string_equal(gw_message_type(letter), "type");
    assert_string_equal(gw_message_app_id(letter), "app");
    assert_int_equal(gw_message_priority(letter), 4);
    assert_int_equal(gw_message_timestamp(letter), 99);
    /* The broker would refuse another's user id; and a dead letter waits for a person. */
    assert_null(gw_message_user_id(letter));
    assert_string_equal(gw_message_header_text(letter, "x-godwit-user-id"), "somebody");
    assert_int_equal(gw_message_expiration_ms(letter), -1);
    assert_true(gw_message_is_persistent(letter));
    gw_message_free(letter);
}

static void test_headers(void **state)
{
    (void)state;
    gw_message *msg = new_message("", 0);
    gw_value queue = {.kind = GW_VALUE_TEXT, .as.bytes = {.data = "elsewhere", .len = 9}};
    gw_value cc = {.kind = GW_VALUE_ARRAY, .as.array = {.items = &queue, .n_items = 1}};
    assert_int_equal(gw_message_set_header_text(msg, "trace", "t-1"), GW_OK);
    assert_int_equal(gw_message_set_header(msg, "CC", &cc), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "cc", 1), GW_OK); /* means nothing to brokers */
    /* From an earlier life in a dead letter queue. */
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-reason", "older"), GW_OK);
    gw_message *letter = new_letter(msg, &plain_reason);
    gw_message_free(msg);

    assert_string_equal(gw_message_header_text(letter, "trace"), "t-1");
    assert_null(gw_message_header(letter, "CC"));
    const gw_value *kept = gw_message_header(letter, "x-godwit-cc");
    assert_non_null(kept);
    assert_int_equal(kept->kind, GW_VALUE_ARRAY);
    assert_string_equal(kept->as.array.items[0].as.bytes.data, "elsewhere");
    assert_int_equal(gw_message_header_int(letter, "cc", 0), 1);
    assert_string_equal(gw_message_header_text(letter, "x-godwit-reason"), "not JSON");
    gw_message_free(letter);
}

/* Headers that leave no room for ours are left out; the body and the reason are not. */
static void test_headers_too_large(void **state)
{
    (void)state;
    static char bytes[GW_MESSAGE_HEADERS_MAX];
    gw_value large = {.kind = GW_VALUE_BYTES,
                      .as.bytes = {.data = bytes, .len = GW_MESSAGE_HEADERS_MAX - 100}};
    gw_message *msg = new_message("body", 4);
    assert_int_equal(gw_message_set_id(msg, "id"), GW_OK);
    assert_int_equal(gw_message_set_header(msg, "large", &large), GW_OK);
    gw_message *letter = new_letter(msg, &plain_reason);
    gw_message_free(msg);
    assert_null(gw_message_header(letter, "large"));
    assert_string_equal(gw_message_header_text(letter, "x-godwit-reason"), "not JSON");
    assert_string_equal(gw_message_body(letter, NULL), "body");
    assert_string_equal(gw_message_id(letter), "id");
    gw_message_free(letter);
}

static void test_reasons_of_any_bytes(void **state)
{
    (void)state;
    char long_text[2000];
    memset(long_text, 'r', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    char cut_text[GW_ERROR_TEXT_MAX];
    memset(cut_text, 'r', sizeof(cut_text) - 1);
    cut_text[sizeof(cut_text) - 1] = '\0';
    const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"'\xec\x96\xb4'", "'\xec\x96\xb4'"},
        {"cut '\xec\x96'", "cut '\?\?'"},
        {"\xff\xfe\xed\xa0\x80", "?????"},
        {long_text, cut_text},
    };
    gw_message *msg = new_message("", 0);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__dead_reason reason = plain_reason;
        reason.text = cases[i].text;
        gw_message *letter = new_letter(msg, &reason);
        assert_string_equal(gw_message_header_text(letter, "x-godwit-reason"), cases[i].expected);
        gw_message_free(letter);
    }
    gw_message_free(msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_headers_too_large),
        cmocka_unit_test(test_reasons_of_any_bytes),
    };
    return cmocka_run_group_tests_name("dead letter", tests, NULL, NULL);
}
