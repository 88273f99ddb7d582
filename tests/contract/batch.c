/* SPDX-License-Identifier: MIT */
/* Publishing many messages at once. */
#include <stdio.h>

#include <godwit/id.h>

#include "contract/contract.h"

#define N_MSGS 300

static void make_numbers(gw_message **ret_msgs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%zu", i);
        ret_msgs[i] = gw_message_new(text, strlen(text));
        assert_non_null(ret_msgs[i]);
    }
}

static void free_all(gw_message **msgs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gw_message_free(msgs[i]);
    }
}

static void expect_numbers(inbox *box, gw_message **msgs, size_t n)
{
    inbox_wait(box, n);
    assert_int_equal(inbox_count(box), n);
    for (size_t i = 0; i < n; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%zu", i);
        assert_string_equal(inbox_body(box, i), text);
        assert_string_equal(gw_message_id(inbox_at(box, i)->msg), gw_message_id(msgs[i]));
    }
}

/* All of it comes, in order, with the ids that the publisher reads. */
static void test_batches(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "batches");
    const char *queue = new_queue(fix, "batches");
    const char *exchange = new_exchange(fix, "batches");
    inbox *of_queue = new_inbox(fix);
    inbox *of_exchange = new_inbox(fix);
    collect_queue(client, queue, of_queue, NULL);
    collect_exchange(client, exchange, GW_EXCHANGE_TOPIC, "a.*", of_exchange);
    gw_message *msgs[N_MSGS];
    make_numbers(msgs, N_MSGS);
    assert_int_equal(gw_message_set_id(msgs[7], "my own"), GW_OK);
    size_t n = 0;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_publish_batch_on_queue(client, queue, msgs, N_MSGS, &n, &err), GW_OK);
    assert_int_equal(n, N_MSGS);
    assert_true(gw_id_is_valid(gw_message_id(msgs[0]), strlen(gw_message_id(msgs[0]))));
    expect_numbers(of_queue, msgs, N_MSGS);
    for (size_t i = 0; i < N_MSGS; i++) {
        assert_int_equal(gw_message_set_routing_key(msgs[i], i < 3 ? "a.b" : "b.a"), GW_OK);
    }
    assert_int_equal(
        gw_publish_batch(client, exchange, GW_EXCHANGE_TOPIC, msgs, N_MSGS, NULL, &err), GW_OK);
    flush(client);
    expect_numbers(of_exchange, msgs, 3);
    free_all(msgs, N_MSGS);
}

/* Where there is no room for all, the first are accepted and the rest is not. */
static void test_batch_without_room(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.outbox_max_messages = 5;
    gw_client *client = new_client_with(fix, transport_of(fix)->full_url, &options);
    const char *queue = new_queue(fix, "full");
    gw_message *msgs[8];
    make_numbers(msgs, N_OF(msgs));
    size_t n = 100;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_publish_batch_on_queue(client, queue, msgs, N_OF(msgs), &n, &err),
                     GW_E_FULL);
    assert_int_equal(n, 5);
    assert_int_equal(err.status, GW_E_FULL);
    assert_int_equal(gw_publish_batch_on_queue(client, queue, msgs + n, 1, &n, &err), GW_E_FULL);
    assert_int_equal(n, 0);
    free_all(msgs, N_OF(msgs));
    (void)gw_close(forget_client(fix, client), 0, NULL);
}

/* Nothing of a batch that is not valid is accepted. */
static void test_batch_that_is_not_valid(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "invalid");
    const char *queue = new_queue(fix, "invalid");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    gw_message *msgs[3];
    make_numbers(msgs, 2);
    msgs[2] = NULL;
    size_t n = 100;
    assert_int_equal(gw_publish_batch_on_queue(client, queue, msgs, 3, &n, NULL), GW_E_INVALID);
    assert_int_equal(n, 0);
    assert_int_equal(gw_publish_batch(client, queue, (gw_exchange_type)9, msgs, 2, &n, NULL),
                     GW_E_INVALID);
    n = 100;
    assert_int_equal(
        gw_publish_batch_on_queue(client, queue, msgs, GW_PUBLISH_BATCH_MAX + 1, &n, NULL),
        GW_E_LIMIT);
    assert_int_equal(n, 0);
    assert_int_equal(gw_publish_batch_on_queue(client, queue, NULL, 0, &n, NULL), GW_OK);
    send_text(client, queue, "last");
    inbox_wait(box, 1);
    assert_string_equal(inbox_body(box, 0), "last");
    free_all(msgs, 2);
}

contract_group contract_batch(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_batches),
        CONTRACT_TEST(test_batch_without_room),
        CONTRACT_TEST(test_batch_that_is_not_valid),
    };
    return (contract_group){tests, N_OF(tests)};
}
