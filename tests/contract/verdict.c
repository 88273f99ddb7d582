/* SPDX-License-Identifier: MIT */
/* What becomes of a message after its handler: done, reject. */
#include <stdio.h>

#include "contract/contract.h"

/* Nothing is left in the queue, not even unacknowledged: another consumer gets only what is
 * published later. */
static void expect_drained(fixture *fix, const char *queue)
{
    inbox *rest = new_inbox(fix);
    gw_client *client = new_client(fix, "rest");
    collect_queue(client, queue, rest, NULL);
    send_text(client, queue, "marker");
    inbox_wait(rest, 1);
    if (strcmp(inbox_body(rest, 0), "marker") != 0) {
        fail_msg("'%s' was still in the queue", inbox_body(rest, 0));
    }
}

static void test_done_acknowledges(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "done");
    gw_client *client = new_client(fix, "done");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    for (int i = 0; i < 200; i++) {
        send_number(client, queue, i);
    }
    inbox_wait(box, 200);
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    expect_drained(fix, queue);
}

static const char *dead_queue(char *name, size_t size, const char *queue)
{
    snprintf(name, size, "%s.dead", queue);
    return name;
}

static void expect_header(const received *letter, const char *name, const char *text)
{
    const char *value = gw_message_header_text(letter->msg, name);
    if (value == NULL || strstr(value, text) == NULL) {
        fail_msg("header '%s' is '%s', expected to have '%s'", name, value == NULL ? "" : value,
                 text);
    }
}

static void test_reject(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "reject");
    gw_client *client = new_client(fix, "rejecting");
    inbox *box = new_inbox(fix);
    inbox *dead = new_inbox(fix);
    box->failure = GW_REJECT;
    box->n_failures = 1;
    box->reason = "not a notification: no accountId";
    collect_queue(client, queue, box, NULL);
    gw_message *msg = gw_message_new("nonsense", 8);
    assert_int_equal(gw_message_set_id(msg, "bad-1"), GW_OK);
    assert_int_equal(gw_message_set_content_type(msg, "text/plain"), GW_OK);
    assert_int_equal(gw_message_set_correlation_id(msg, "c-1"), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "kept", 42), GW_OK);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    send_text(client, queue, "good");
    inbox_wait(box, 2);
    assert_string_equal(inbox_body(box, 0), "nonsense");
    assert_string_equal(inbox_body(box, 1), "good"); /* the next one is handled */

    char name[300];
    collect_queue(client, dead_queue(name, sizeof(name), queue), dead, NULL);
    inbox_wait(dead, 1);
    const received *letter = inbox_at(dead, 0);
    assert_string_equal(inbox_body(dead, 0), "nonsense");
    assert_string_equal(gw_message_id(letter->msg), "bad-1");
    assert_string_equal(gw_message_content_type(letter->msg), "text/plain");
    assert_string_equal(gw_message_correlation_id(letter->msg), "c-1");
    assert_int_equal(gw_message_header_int(letter->msg, "kept", 0), 42);
    assert_true(gw_message_is_persistent(letter->msg));
    expect_header(letter, "x-godwit-reason", "not a notification: no accountId");
    expect_header(letter, "x-godwit-queue", queue);
    expect_header(letter, "x-godwit-service", "rejecting");
    expect_header(letter, "x-godwit-routing-key", queue);
    assert_int_equal(gw_message_header_int(letter->msg, "x-godwit-attempts", 0), 1);
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    expect_drained(fix, queue);
}

/* Many rejected ones at once: each arrives in the dead letter queue, none is lost or doubled. */
static void test_many_rejected(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "many-rejected");
    gw_client *client = new_client(fix, "many-rejected");
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = 10;
    inbox *box = new_inbox(fix);
    inbox *dead = new_inbox(fix);
    box->failure = GW_REJECT;
    box->n_failures = 100;
    collect_queue(client, queue, box, &options);
    for (int i = 0; i < 100; i++) {
        send_number(client, queue, i);
    }
    inbox_wait(box, 100);
    char name[300];
    collect_queue(client, dead_queue(name, sizeof(name), queue), dead, NULL);
    inbox_wait(dead, 100);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(inbox_count_of(dead, text), 1);
    }
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    expect_drained(fix, queue);
}

/* A temporary queue has no dead letters: the message is given up, and the next one handled. */
static void test_reject_from_an_exchange(void **state)
{
    fixture *fix = fixture_of(state);
    const char *exchange = new_exchange(fix, "reject");
    gw_client *client = new_client(fix, "reject");
    inbox *box = new_inbox(fix);
    box->failure = GW_REJECT;
    box->n_failures = 1;
    collect_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, box);
    send_to_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, "bad");
    send_to_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, "good");
    inbox_wait(box, 2);
    assert_string_equal(inbox_body(box, 1), "good");
}

contract_group contract_verdict(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_done_acknowledges),
        CONTRACT_TEST(test_reject),
        CONTRACT_TEST(test_many_rejected),
        CONTRACT_TEST(test_reject_from_an_exchange),
    };
    return (contract_group){tests, N_OF(tests)};
}
