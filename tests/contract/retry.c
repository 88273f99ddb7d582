/* SPDX-License-Identifier: MIT */
/* What is to be tried again: when it comes, to whom, and what becomes of it in the end. */
#include <stdio.h>

#include "contract/contract.h"

#define LONG_MS 3600000 /* no test waits for this */

static gw_subscribe_options retry_options(fixture *fix, const char *queue, unsigned delay_ms,
                                          unsigned max_attempts)
{
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = delay_ms;
    options.retry_delay_max_ms = delay_ms > LONG_MS / 2 ? LONG_MS : 60000;
    options.max_attempts = max_attempts;
    own_retries(fix, queue, &options);
    return options;
}

static void expect_dead_letter(inbox *dead, const char *body, const char *reason, int64_t attempts)
{
    const received *letter = inbox_at(dead, 0);
    assert_string_equal(inbox_body(dead, 0), body);
    const char *value = gw_message_header_text(letter->msg, "x-godwit-reason");
    assert_non_null(value);
    if (strstr(value, reason) == NULL) {
        fail_msg("the reason is '%s', expected to have '%s'", value, reason);
    }
    assert_int_equal(gw_message_header_int(letter->msg, "x-godwit-attempts", 0), attempts);
    assert_null(gw_message_header(letter->msg, "x-godwit-attempt"));
    assert_null(gw_message_header(letter->msg, "x-death"));
}

static inbox *collect_dead(fixture *fix, gw_client *client, const char *queue)
{
    inbox *dead = new_inbox(fix);
    char name[300];
    snprintf(name, sizeof(name), "%s.dead", queue);
    collect_queue(client, name, dead, NULL);
    return dead;
}

static void test_then_success(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "retry");
    gw_client *client = new_client(fix, "retry");
    gw_subscribe_options options = retry_options(fix, queue, 40, 3);
    inbox *box = new_inbox(fix);
    box->n_failures = 2;
    collect_queue(client, queue, box, &options);
    gw_message *msg = gw_message_new("hard", 4);
    assert_int_equal(gw_message_set_id(msg, "hard-1"), GW_OK);
    assert_int_equal(gw_message_set_content_type(msg, "text/plain"), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "kept", 42), GW_OK);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    inbox_wait(box, 3);
    for (unsigned i = 0; i < 3; i++) {
        const received *it = inbox_at(box, i);
        assert_string_equal(inbox_body(box, i), "hard");
        assert_string_equal(gw_message_id(it->msg), "hard-1");
        assert_string_equal(gw_message_content_type(it->msg), "text/plain");
        assert_int_equal(gw_message_header_int(it->msg, "kept", 0), 42);
        assert_string_equal(it->exchange, "");
        assert_string_equal(it->queue, queue);
        assert_int_equal(it->attempt, i + 1);
    }
    assert_true(inbox_at(box, 1)->at_ms - inbox_at(box, 0)->at_ms >= 39);
    assert_true(inbox_at(box, 2)->at_ms - inbox_at(box, 1)->at_ms >= 79); /* doubled */
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    inbox *rest = new_inbox(fix);
    client = new_client(fix, "rest");
    collect_queue(client, queue, rest, NULL);
    send_text(client, queue, "marker");
    inbox_wait(rest, 1);
    assert_string_equal(inbox_body(rest, 0), "marker"); /* of the other, nothing is left */
}

/* Many more wait for their time than are fetched at once: the next message is handled all the same.
 */
static void test_takes_no_place(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "places");
    gw_client *client = new_client(fix, "places");
    gw_subscribe_options options = retry_options(fix, queue, LONG_MS, 2);
    options.prefetch = 2;
    inbox *box = new_inbox(fix);
    box->n_failures = 40;
    collect_queue(client, queue, box, &options);
    for (int i = 0; i < 40; i++) {
        send_number(client, queue, i);
    }
    send_text(client, queue, "neighbour");
    inbox_wait(box, 41);
    assert_string_equal(inbox_body(box, 40), "neighbour");
}

/* They come back in the order in which they failed, none before its time. */
static void test_order(void **state)
{
    enum { N = 20, DELAY_MS = 300 };
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "order");
    gw_client *client = new_client(fix, "order");
    gw_subscribe_options options = retry_options(fix, queue, DELAY_MS, 2);
    inbox *box = new_inbox(fix);
    box->n_failures = N;
    collect_queue(client, queue, box, &options);
    for (int i = 0; i < N; i++) {
        send_number(client, queue, i);
    }
    inbox_wait(box, (size_t)2 * N);
    uint64_t firsts_ms[N];
    size_t n_firsts = 0, n_seconds = 0;
    for (size_t i = 0; i < (size_t)2 * N; i++) {
        const received *it = inbox_at(box, i);
        char text[16];
        snprintf(text, sizeof(text), "%zu", it->attempt == 1 ? n_firsts : n_seconds);
        assert_string_equal(inbox_body(box, i), text);
        if (it->attempt == 1) {
            firsts_ms[n_firsts++] = it->at_ms;
        } else {
            uint64_t after_ms = it->at_ms - firsts_ms[n_seconds++];
            assert_in_range(after_ms, DELAY_MS - 1, WAIT_MS);
        }
    }
}

static void test_attempts_used_up(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "attempts");
    gw_client *client = new_client(fix, "attempts");
    gw_subscribe_options options = retry_options(fix, queue, 1, 3);
    inbox *box = new_inbox(fix);
    box->n_failures = 3;
    box->reason = "the database is away";
    collect_queue(client, queue, box, &options);
    send_text(client, queue, "unlucky");
    inbox *dead = collect_dead(fix, client, queue);
    inbox_wait(dead, 1);
    assert_int_equal(inbox_count(box), 3);
    assert_int_equal(inbox_at(box, 2)->attempt, 3);
    expect_dead_letter(dead, "unlucky", "given up after 3 attempts: the database is away", 3);
    send_text(client, queue, "next");
    inbox_wait(box, 4);
    assert_string_equal(inbox_body(box, 3), "next");
}

/* The count is the message's, not that of who counted. */
static void test_attempts_survive_the_client(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "survive");
    gw_client *publisher = new_client(fix, "publisher");
    gw_client *first = new_client(fix, "first");
    gw_subscribe_options options = retry_options(fix, queue, 50, 2);
    inbox *box = new_inbox(fix);
    box->n_failures = 1;
    collect_queue(first, queue, box, &options);
    send_text(publisher, queue, "moves on");
    inbox_wait(box, 1);
    assert_int_equal(close_client(fix, first, WAIT_MS, NULL), GW_OK);
    assert_int_equal(inbox_count(box), 1);

    inbox *next = new_inbox(fix);
    next->n_failures = 1;
    next->reason = "still not";
    collect_queue(new_client(fix, "second"), queue, next, &options);
    inbox_wait(next, 1);
    assert_string_equal(inbox_body(next, 0), "moves on");
    assert_int_equal(inbox_at(next, 0)->attempt, 2);
    assert_false(inbox_at(next, 0)->redelivered);
    assert_true(inbox_at(next, 0)->at_ms - inbox_at(box, 0)->at_ms >= 49);
    inbox *dead = collect_dead(fix, publisher, queue);
    inbox_wait(dead, 1);
    expect_dead_letter(dead, "moves on", "given up after 2 attempts: still not", 2);
}

/* A dead letter that somebody puts back with all its headers is a new message. */
static void test_put_back(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "back");
    gw_client *client = new_client(fix, "back");
    gw_subscribe_options options = retry_options(fix, queue, 1, 2);
    inbox *box = new_inbox(fix);
    box->n_failures = 3;
    collect_queue(client, queue, box, &options);
    send_text(client, queue, "once more");
    inbox *dead = collect_dead(fix, client, queue);
    inbox_wait(dead, 1);
    gw_message *copy = gw_message_dup(inbox_at(dead, 0)->msg);
    assert_int_equal(gw_publish_on_queue(client, queue, copy, NULL), GW_OK);
    gw_message_free(copy);
    inbox_wait(box, 4); /* fails once, and then it does not */
    static const unsigned attempts[] = {1, 2, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(inbox_body(box, i), "once more");
        assert_int_equal(inbox_at(box, i)->attempt, attempts[i]);
    }
    assert_int_equal(inbox_count(dead), 1);
}

/* What another queue counted is not counted here. */
static void test_count_of_another_queue(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "foreign");
    gw_client *client = new_client(fix, "foreign");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    static const char *const queues[] = {"another", NULL};
    for (size_t i = 0; i < N_OF(queues); i++) {
        gw_message *msg = gw_message_new("x", 1);
        const char *counted_at = queues[i] != NULL ? queues[i] : queue;
        assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", counted_at), GW_OK);
        assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", 4), GW_OK);
        assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
        gw_message_free(msg);
    }
    inbox_wait(box, 2);
    assert_int_equal(inbox_at(box, 0)->attempt, 1);
    assert_int_equal(inbox_at(box, 1)->attempt, 4);
}

/* Its expiration is about the first delivery: it neither shortens the delay nor ends the message.
 */
static void test_of_a_message_that_expires(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "expires");
    gw_client *client = new_client(fix, "expires");
    gw_subscribe_options options = retry_options(fix, queue, 80, 2);
    inbox *box = new_inbox(fix);
    box->n_failures = 1;
    collect_queue(client, queue, box, &options);
    gw_message *msg = gw_message_new("brief", 5);
    gw_message_set_expiration_ms(msg, WAIT_MS);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    inbox_wait(box, 2);
    assert_int_equal(gw_message_expiration_ms(inbox_at(box, 0)->msg), WAIT_MS);
    assert_int_equal(gw_message_expiration_ms(inbox_at(box, 1)->msg), -1);
    assert_true(inbox_at(box, 1)->at_ms - inbox_at(box, 0)->at_ms >= 79);
}

/* A queue of one's own has no other to wait in. */
static void test_from_an_exchange(void **state)
{
    fixture *fix = fixture_of(state);
    const char *exchange = new_exchange(fix, "retry");
    gw_client *client = new_client(fix, "retry");
    inbox *box = new_inbox(fix);
    box->n_failures = 2;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 30;
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe(client, exchange, GW_EXCHANGE_FANOUT, &options, inbox_handler, box, NULL,
                     &err) != GW_OK) {
        fail_msg("gw_subscribe: %s", err.text);
    }
    wait_up(client);
    send_to_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, "hard");
    inbox_wait(box, 3);
    assert_int_equal(inbox_at(box, 2)->attempt, 3);
    assert_true(inbox_at(box, 2)->at_ms - inbox_at(box, 0)->at_ms >= 89);
    assert_string_equal(inbox_at(box, 2)->exchange, exchange);
}

contract_group contract_retry(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_then_success),
        CONTRACT_TEST(test_takes_no_place),
        CONTRACT_TEST(test_order),
        CONTRACT_TEST(test_attempts_used_up),
        CONTRACT_TEST(test_attempts_survive_the_client),
        CONTRACT_TEST(test_put_back),
        CONTRACT_TEST(test_count_of_another_queue),
        CONTRACT_TEST(test_of_a_message_that_expires),
        CONTRACT_TEST(test_from_an_exchange),
    };
    return (contract_group){tests, N_OF(tests)};
}
