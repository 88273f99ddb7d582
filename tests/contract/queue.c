/* SPDX-License-Identifier: MIT */
/* Work queues: each message goes to one of those who share the queue. */
#include <stdio.h>
#include <time.h>

#include <godwit/metrics.h>

#include "contract/contract.h"

static void test_publish_before_subscribe(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "early");
    const char *queue = new_queue(fix, "early");
    inbox *box = new_inbox(fix);
    send_text(client, queue, "waits");
    flush(client);
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 1);
    assert_string_equal(inbox_body(box, 0), "waits");
}

static void test_subscribe_before_the_queue_exists(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "first");
    const char *queue = new_queue(fix, "first");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    send_text(client, queue, "comes");
    inbox_wait(box, 1);
    assert_string_equal(inbox_body(box, 0), "comes");
}

/* Subscribing and publishing do not wait for the connection. */
static void test_without_waiting_for_up(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "eager");
    inbox *box = new_inbox(fix);
    gw_client *client = new_client_with(fix, transport_of(fix)->url, NULL);
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe_to_queue(client, queue, NULL, inbox_handler, box, NULL, &err) != GW_OK) {
        fail_msg("gw_subscribe_to_queue: %s", err.text);
    }
    send_text(client, queue, "eager");
    inbox_wait(box, 1);
    wait_up(client);
}

/* Two idle consumers get two of four messages each. */
static void test_fair_sharing(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "fair");
    gw_client *publisher = new_client(fix, "publisher");
    inbox *boxes[2];
    for (size_t i = 0; i < 2; i++) {
        boxes[i] = new_inbox(fix);
        collect_queue(new_client(fix, "worker"), queue, boxes[i], NULL);
    }
    for (int i = 0; i < 4; i++) {
        send_number(publisher, queue, i);
    }
    inbox_wait(boxes[0], 2);
    inbox_wait(boxes[1], 2);
    assert_int_equal(inbox_count(boxes[0]), 2);
    assert_int_equal(inbox_count(boxes[1]), 2);
    for (int i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(inbox_count_of(boxes[0], text) + inbox_count_of(boxes[1], text), 1);
    }
}

/* A consumer that is stuck holds no more than its prefetch; the other gets the rest. */
static void test_prefetch(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "prefetch");
    gw_client *publisher = new_client(fix, "publisher");
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = 3;
    inbox *stuck = new_inbox(fix);
    inbox *quick = new_inbox(fix);
    inbox_close_gate(stuck);
    collect_queue(new_client(fix, "stuck"), queue, stuck, &options);
    collect_queue(new_client(fix, "quick"), queue, quick, &options);
    for (int i = 0; i < 20; i++) {
        send_number(publisher, queue, i);
    }
    inbox_wait(quick, 17);
    assert_int_equal(inbox_count(stuck), 0);
    inbox_open_gate(stuck);
    inbox_wait(stuck, 3);
    assert_int_equal(inbox_count(quick), 17);
}

static gw_verdict slow_handler(void *ctx, const gw_message *msg, gw_error *why)
{
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    return inbox_handler(ctx, msg, why);
}

/* Nobody says how many are to come ahead, and the handler is slow: it becomes fewer, while each
 * message is handled once and in order. */
static void test_automatic_prefetch(void **state)
{
    enum { N = 120 };
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "automatic");
    gw_client *client = new_client(fix, "automatic");
    inbox *box = new_inbox(fix);
    for (int i = 0; i < N; i++) {
        send_number(client, queue, i);
    }
    assert_int_equal(gw_subscribe_to_queue(client, queue, NULL, slow_handler, box, NULL, NULL),
                     GW_OK);
    wait_up(client);
    char label[300];
    snprintf(label, sizeof(label), "queue=\"%s\"", queue);
    const gw_gauge *prefetch = gw_metrics_gauge(
        "godwit_prefetch", "Messages that may be on their way to the handlers.", label);
    assert_int_equal(gw_gauge_get(prefetch), 100);
    inbox_wait(box, N);
    assert_in_range(gw_gauge_get(prefetch), 2, 8);
    assert_int_equal(gw_client_get_state(client, NULL, 0), GW_CLIENT_UP);
    for (size_t i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%zu", i);
        assert_string_equal(inbox_body(box, i), text);
        assert_false(inbox_at(box, i)->redelivered);
    }
    for (int i = N; i < N + 50; i++) { /* it goes on so */
        send_number(client, queue, i);
    }
    inbox_wait(box, N + 50);
    assert_int_equal(inbox_count(box), N + 50);
}

static void *unsubscribe(void *sub)
{
    gw_unsubscribe(sub);
    return NULL;
}

/* What waits for a handler that will not come any more goes to the others. */
static void test_unsubscribe_returns_what_waits(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "return");
    gw_client *leaving = new_client(fix, "leaving");
    gw_client *staying = new_client(fix, "staying");
    inbox *left = new_inbox(fix);
    inbox *stayed = new_inbox(fix);
    inbox_close_gate(left);
    gw_subscription *sub = collect_queue(leaving, queue, left, NULL);
    for (int i = 0; i < 50; i++) {
        send_number(staying, queue, i);
    }
    inbox_wait_running(left, 1);
    collect_queue(staying, queue, stayed, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unsubscribe, sub), 0);
    inbox_open_gate(left);
    pthread_join(thread, NULL);
    size_t n_left = inbox_count(left);
    assert_in_range(n_left, 1, 50);
    inbox_wait(stayed, 50 - n_left);
    send_number(staying, queue, 50);
    inbox_wait(stayed, 50 - n_left + 1);
    assert_int_equal(inbox_count(left), n_left); /* not called after it returned */
    for (int i = 0; i < 51; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        size_t n = inbox_count_of(left, text) + inbox_count_of(stayed, text);
        if (n != 1) {
            fail_msg("message %d was handled %zu times", i, n);
        }
    }
}

/* A message that expired is not delivered; others are. */
static void test_expiration(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "expiration");
    gw_client *client = new_client(fix, "expiration");
    inbox *box = new_inbox(fix);
    static const struct {
        const char *text;
        int64_t expiration_ms;
    } messages[] = {{"expires", 1}, {"stays", -1}, {"stays long", 600000}};
    for (size_t i = 0; i < N_OF(messages); i++) {
        gw_message *msg = gw_message_new(messages[i].text, strlen(messages[i].text));
        gw_message_set_expiration_ms(msg, messages[i].expiration_ms);
        assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
        gw_message_free(msg);
    }
    flush(client);
    struct timespec pause = {.tv_sec = 0, .tv_nsec = 50000000}; /* time itself is what it needs */
    nanosleep(&pause, NULL);
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 2);
    assert_string_equal(inbox_body(box, 0), "stays");
    assert_string_equal(inbox_body(box, 1), "stays long");
}

contract_group contract_queue(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_publish_before_subscribe),
        CONTRACT_TEST(test_subscribe_before_the_queue_exists),
        CONTRACT_TEST(test_without_waiting_for_up),
        CONTRACT_TEST(test_fair_sharing),
        CONTRACT_TEST(test_prefetch),
        CONTRACT_TEST(test_automatic_prefetch),
        CONTRACT_TEST(test_unsubscribe_returns_what_waits),
        CONTRACT_TEST(test_expiration),
    };
    return (contract_group){tests, N_OF(tests)};
}
