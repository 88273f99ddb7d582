/* SPDX-License-Identifier: MIT */
/* What a retry carries, and what of it is believed. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/error.h>

#include "messaging/message.h"
#include "messaging/retry.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_message *new_delivery(const char *exchange, const char *routing_key)
{
    gw_message *msg = gw_message_new("body", 4);
    assert_non_null(msg);
    assert_int_equal(gw__message_set_text(msg, GW__TEXT_EXCHANGE, exchange, strlen(exchange)),
                     GW_OK);
    assert_int_equal(
        gw__message_set_text(msg, GW__TEXT_ROUTING_KEY, routing_key, strlen(routing_key)), GW_OK);
    return msg;
}

static gw_message *new_retry(const gw_message *msg, unsigned attempt, unsigned crashes)
{
    gw_status st = GW_E_IO;
    const gw__retry_count count = {.attempt = attempt, .crashes = crashes};
    gw_message *copy = gw__retry_new(msg, "q", count, &st);
    assert_int_equal(st, GW_OK);
    assert_non_null(copy);
    return copy;
}

/* From one attempt to the next and the one after it, everything stays that a handler looks at. */
static void test_round_trip(void **state)
{
    (void)state;
    gw_message *msg = new_delivery("orders", "a.b");
    assert_int_equal(gw_message_set_id(msg, "id"), GW_OK);
    assert_int_equal(gw_message_set_content_type(msg, "text/plain"), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "kept", 7), GW_OK);
    gw_message_set_timestamp(msg, 99);
    gw_message_set_priority(msg, 3);
    gw_message_set_expiration_ms(msg, 1);
    assert_int_equal(gw_message_set_user_id(msg, "somebody"), GW_OK);
    for (unsigned attempt = 2; attempt < 5; attempt++) {
        gw_message *copy = new_retry(msg, attempt, attempt - 2);
        gw_message_free(msg);
        assert_int_equal(gw_message_expiration_ms(copy), -1); /* or it would come too early */
        assert_null(gw_message_user_id(copy));                /* or the broker would refuse it */
        assert_true(gw_message_is_persistent(copy));
        msg = copy; /* delivered through the default exchange */
        assert_int_equal(gw__message_set_text(msg, GW__TEXT_EXCHANGE, "", 0), GW_OK);
        assert_int_equal(gw__message_set_text(msg, GW__TEXT_ROUTING_KEY, "q", 1), GW_OK);
        gw__retry_count count = gw__retry_read(msg, "q");
        assert_int_equal(count.attempt, attempt);
        assert_int_equal(count.crashes, attempt - 2);
        assert_string_equal(gw_message_exchange(msg), "orders");
        assert_string_equal(gw_message_routing_key(msg), "a.b");
        assert_string_equal(gw_message_id(msg), "id");
        assert_string_equal(gw_message_content_type(msg), "text/plain");
        assert_int_equal(gw_message_header_int(msg, "kept", 0), 7);
        assert_int_equal(gw_message_timestamp(msg), 99);
        assert_int_equal(gw_message_priority(msg), 3);
        assert_string_equal(gw_message_body(msg, NULL), "body");
    }
    gw_message_free(msg);
}

/* RabbitMQ drops what comes to a queue a second time by its own notes, and copies to what CC names.
 */
static void test_what_the_broker_acts_on(void **state)
{
    (void)state;
    static const char *const left_out[] = {"x-death",
                                           "x-first-death-queue",
                                           "x-first-death-reason",
                                           "x-first-death-exchange",
                                           "x-delivery-count",
                                           "x-last-death-queue",
                                           "CC"};
    gw_message *msg = new_delivery("", "q");
    for (size_t i = 0; i < N_OF(left_out); i++) {
        assert_int_equal(gw_message_set_header_text(msg, left_out[i], "q"), GW_OK);
    }
    assert_int_equal(gw_message_set_header_text(msg, "x-deaths", "kept"), GW_OK);
    gw_message *copy = new_retry(msg, 2, 0);
    for (size_t i = 0; i < N_OF(left_out); i++) {
        if (gw_message_header(copy, left_out[i]) != NULL) {
            fail_msg("'%s' is still there", left_out[i]);
        }
    }
    assert_string_equal(gw_message_header_text(copy, "x-deaths"), "kept");
    assert_string_equal(gw_message_header_text(copy, "x-godwit-cc"), "q");
    gw_message_free(copy);
    gw_message_free(msg);
}

/* Of a count that is of another queue, or none, nothing is believed. */
static void test_hostile_counts(void **state)
{
    (void)state;
    static const struct {
        const char *queue; /* NULL: none */
        int64_t attempt;   /* INT64_MIN: none */
        int64_t crashes;
        gw__retry_count expected;
    } cases[] = {
        {"q", 3, 2, {3, 2}},         {"q", 3, -1, {3, 0}},
        {"q", 3, INT64_MAX, {3, 0}}, {"q", 3, UINT_MAX, {3, 0}},
        {"q", 0, 2, {1, 0}},         {"q", -3, 2, {1, 0}},
        {"q", UINT_MAX, 2, {1, 0}},  {"q", (int64_t)UINT_MAX + 3, 2, {1, 0}},
        {"q", INT64_MIN, 2, {1, 0}}, {"Q", 3, 2, {1, 0}},
        {"q2", 3, 2, {1, 0}},        {NULL, 3, 2, {1, 0}},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_message *msg = new_delivery("real", "real");
        assert_int_equal(gw_message_set_header_text(msg, "x-godwit-exchange", "told"), GW_OK);
        assert_int_equal(gw_message_set_header_int(msg, "x-godwit-crashes", cases[i].crashes),
                         GW_OK);
        if (cases[i].queue != NULL) {
            assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", cases[i].queue),
                             GW_OK);
        }
        if (cases[i].attempt != INT64_MIN) {
            assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", cases[i].attempt),
                             GW_OK);
        }
        gw__retry_count count = gw__retry_read(msg, "q");
        if (count.attempt != cases[i].expected.attempt ||
            count.crashes != cases[i].expected.crashes) {
            fail_msg("case %zu: got %u, %u, expected %u, %u", i, count.attempt, count.crashes,
                     cases[i].expected.attempt, cases[i].expected.crashes);
        }
        const char *exchange = cases[i].expected.attempt == 1 ? "real" : "told";
        assert_string_equal(gw_message_exchange(msg), exchange);
        assert_string_equal(gw_message_routing_key(msg), "real");
        gw_message_free(msg);
    }
    /* Headers of other kinds than ours. */
    gw_message *msg = new_delivery("real", "real");
    assert_int_equal(gw_message_set_header_int(msg, "x-godwit-queue", 1), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-attempt", "3"), GW_OK);
    assert_int_equal(gw__retry_read(msg, "q").attempt, 1);
    gw_message_free(msg);
}

static void test_no_room(void **state)
{
    (void)state;
    static char bytes[GW_MESSAGE_HEADERS_MAX];
    gw_value large = {.kind = GW_VALUE_BYTES,
                      .as.bytes = {.data = bytes, .len = GW_MESSAGE_HEADERS_MAX - 40}};
    gw_message *msg = new_delivery("", "q");
    assert_int_equal(gw_message_set_header(msg, "large", &large), GW_OK);
    gw_status st = GW_OK;
    const gw__retry_count count = {.attempt = 2};
    assert_null(gw__retry_new(msg, "q", count, &st));
    assert_int_equal(st, GW_E_LIMIT);
    gw_message_free(msg);
}

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        unsigned first_ms, max_ms, attempt, expected;
    } cases[] = {
        {1000, 60000, 1, 1000},
        {1000, 60000, 2, 2000},
        {1000, 60000, 6, 32000},
        {1000, 60000, 7, 60000},
        {1000, 60000, 8, 60000},
        {1000, 60000, UINT_MAX, 60000},
        {1000, 500, 1, 500},
        {0, 500, 1, 1},
        {0, 500, UINT_MAX, 1},
        {1, UINT_MAX, 40, UINT_MAX},
        {UINT_MAX, UINT_MAX, 9, UINT_MAX},
        {7, 7, 3, 7},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        unsigned got = gw__retry_delay_ms(cases[i].first_ms, cases[i].max_ms, cases[i].attempt);
        if (got != cases[i].expected) {
            fail_msg("case %zu: got %u, expected %u", i, got, cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_what_the_broker_acts_on),
        cmocka_unit_test(test_hostile_counts), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_delays),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
