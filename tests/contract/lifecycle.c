/* SPDX-License-Identifier: MIT */
/* A client from its first state to its last: up, subscribing and leaving, closing. */
#include <stdio.h>

#include "contract/contract.h"

/* ---- states ---------------------------------------------------------------------- */

typedef struct history {
    pthread_mutex_t lock;
    gw_client_state states[32];
    size_t n;
    unsigned n_inside; /* calls at this moment: never more than one */
    bool overlapped;
    gw_client **client; /* to be tried when it is closed */
    gw_status publish_when_closed;
    gw_status subscribe_when_closed;
    gw_status wait_when_closed;
} history;

static void on_state(void *ctx, gw_client_state state, const char *reason)
{
    history *seen = ctx;
    (void)reason;
    pthread_mutex_lock(&seen->lock);
    seen->overlapped = seen->overlapped || seen->n_inside > 0;
    seen->n_inside++;
    if (seen->n < N_OF(seen->states)) {
        seen->states[seen->n++] = state;
    }
    pthread_mutex_unlock(&seen->lock);
    if (state == GW_CLIENT_CLOSED && seen->client != NULL) {
        gw_message *msg = gw_message_new("late", 4);
        seen->publish_when_closed = gw_publish_on_queue(*seen->client, "contract.q", msg, NULL);
        seen->subscribe_when_closed = gw_subscribe_to_queue(*seen->client, "contract.q", NULL,
                                                            inbox_handler, NULL, NULL, NULL);
        seen->wait_when_closed = gw_wait_up(*seen->client, 0, NULL);
        gw_message_free(msg);
    }
    pthread_mutex_lock(&seen->lock);
    seen->n_inside--;
    pthread_mutex_unlock(&seen->lock);
}

/* The last of a client's states is CLOSED, told when publishing is refused already. */
static void test_states_and_calls_after_close(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "states");
    history seen = {.n = 0};
    pthread_mutex_init(&seen.lock, NULL);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = "states";
    options.on_state = on_state;
    options.ctx = &seen;
    gw_client *client = new_client_with(fix, transport_of(fix)->url, &options);
    seen.client = &client;
    wait_up(client);
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    assert_int_equal(gw_client_get_state(client, NULL, 0), GW_CLIENT_UP);
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    assert_in_range(seen.n, 2, N_OF(seen.states) - 1);
    bool was_up = false;
    for (size_t i = 0; i < seen.n; i++) {
        was_up = was_up || seen.states[i] == GW_CLIENT_UP;
    }
    assert_true(was_up);
    assert_int_equal(seen.states[seen.n - 1], GW_CLIENT_CLOSED);
    assert_false(seen.overlapped);
    assert_int_equal(seen.publish_when_closed, GW_E_CLOSED);
    assert_int_equal(seen.subscribe_when_closed, GW_E_CLOSED);
    assert_int_equal(seen.wait_when_closed, GW_E_CLOSED);
    pthread_mutex_destroy(&seen.lock);
}

static void test_state_names(void **state)
{
    (void)state;
    assert_string_equal(gw_client_state_name(GW_CLIENT_CONNECTING), "connecting");
    assert_string_equal(gw_client_state_name(GW_CLIENT_UP), "up");
    assert_string_equal(gw_client_state_name(GW_CLIENT_BLOCKED), "blocked");
    assert_string_equal(gw_client_state_name(GW_CLIENT_DEGRADED), "degraded");
    assert_string_equal(gw_client_state_name(GW_CLIENT_CLOSED), "closed");
    assert_string_equal(gw_exchange_type_name(GW_EXCHANGE_DIRECT), "direct");
    assert_string_equal(gw_exchange_type_name(GW_EXCHANGE_FANOUT), "fanout");
    assert_string_equal(gw_exchange_type_name(GW_EXCHANGE_TOPIC), "topic");
    assert_string_equal(gw_exchange_type_name(GW_EXCHANGE_HEADERS), "headers");
}

/* ---- closing ------------------------------------------------------------------------ */

typedef struct closing {
    gw_client *client;
    gw_status st;
    gw_error err;
} closing;

static void *close_in_thread(void *arg)
{
    closing *it = arg;
    it->st = gw_close(it->client, WAIT_MS, &it->err);
    return NULL;
}

/* The message at the handler is finished and acknowledged; those behind it go back. */
static void test_close_finishes_what_is_in_flight(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "drain");
    gw_client *closed = new_client(fix, "closed");
    gw_client *other = new_client(fix, "other");
    inbox *box = new_inbox(fix);
    inbox *rest = new_inbox(fix);
    inbox_close_gate(box);
    collect_queue(closed, queue, box, NULL);
    for (int i = 0; i < 10; i++) {
        send_number(other, queue, i);
    }
    inbox_wait_running(box, 1);
    closing it = {.client = forget_client(fix, closed), .err = GW_ERROR_INIT};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_in_thread, &it), 0);
    inbox_open_gate(box);
    pthread_join(thread, NULL);
    if (it.st != GW_OK) {
        fail_msg("gw_close: %s", it.err.text);
    }
    size_t n_handled = inbox_count(box);
    assert_in_range(n_handled, 1, 10);
    collect_queue(other, queue, rest, NULL);
    send_number(other, queue, 10);
    inbox_wait(rest, 11 - n_handled);
    for (int i = 0; i < 11; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        size_t n = inbox_count_of(box, text) + inbox_count_of(rest, text);
        if (n != 1) {
            fail_msg("message %d was handled %zu times", i, n);
        }
    }
}

/* Everything accepted arrives, though the client is closed at once. */
static void test_close_sends_the_backlog(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "backlog");
    gw_client *other = new_client(fix, "other");
    inbox *box = new_inbox(fix);
    gw_client *client = new_client_with(fix, transport_of(fix)->url, NULL); /* not even up */
    for (int i = 0; i < 2000; i++) {
        send_number(client, queue, i);
    }
    gw_error err = GW_ERROR_INIT;
    if (close_client(fix, client, WAIT_MS, &err) != GW_OK) {
        fail_msg("gw_close: %s", err.text);
    }
    collect_queue(other, queue, box, NULL);
    inbox_wait(box, 2000);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(atoi(inbox_body(box, (size_t)i)), i);
    }
}

typedef struct forwarder {
    gw_client *client;
    const char *to;
    inbox *box;
} forwarder;

/* Publish from the handler. A failure shows as a message that does not come. */
static gw_verdict forward(void *ctx, const gw_message *msg, gw_error *why)
{
    forwarder *it = ctx;
    gw_message *copy = gw_message_dup(msg);
    gw_status st = gw_publish_on_queue(it->client, it->to, copy, why);
    gw_message_free(copy);
    if (st != GW_OK) {
        return GW_RETRY;
    }
    return inbox_handler(it->box, msg, why);
}

/* A handler that runs while its client closes can publish, and that is sent. */
static void test_handler_publishes_while_closing(void **state)
{
    fixture *fix = fixture_of(state);
    const char *from = new_queue(fix, "from");
    const char *to = new_queue(fix, "to");
    gw_client *client = new_client(fix, "forwarder");
    gw_client *other = new_client(fix, "other");
    inbox *box = new_inbox(fix);
    inbox *arrived = new_inbox(fix);
    forwarder it = {.client = client, .to = to, .box = box};
    inbox_close_gate(box);
    assert_int_equal(gw_subscribe_to_queue(client, from, NULL, forward, &it, NULL, NULL), GW_OK);
    send_text(other, from, "pass on");
    inbox_wait_running(box, 1);
    inbox_open_gate(box);
    assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    collect_queue(other, to, arrived, NULL);
    inbox_wait(arrived, 1);
    assert_string_equal(inbox_body(arrived, 0), "pass on");
}

static void test_close_nothing(void **state)
{
    (void)state;
    assert_int_equal(gw_close(NULL, 0, NULL), GW_OK);
    gw_unsubscribe(NULL);
}

/* A client that was never up can be closed at once. */
static void test_close_before_up(void **state)
{
    fixture *fix = fixture_of(state);
    for (int i = 0; i < 5; i++) {
        gw_client *client = new_client_with(fix, transport_of(fix)->url, NULL);
        assert_int_equal(close_client(fix, client, WAIT_MS, NULL), GW_OK);
    }
}

/* ---- subscribing and leaving ------------------------------------------------------------ */

typedef struct leaver {
    gw_subscription *_Atomic target;
    inbox *box;
} leaver;

static gw_verdict unsubscribe_other(void *ctx, const gw_message *msg, gw_error *why)
{
    leaver *it = ctx;
    gw_subscription *target = it->target;
    if (target != NULL) {
        it->target = NULL;
        gw_unsubscribe(target);
    }
    return inbox_handler(it->box, msg, why);
}

static void test_unsubscribe_another_in_a_handler(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "leaver");
    const char *exchange = new_exchange(fix, "left");
    gw_client *client = new_client(fix, "leaver");
    inbox *box = new_inbox(fix);
    inbox *left = new_inbox(fix);
    leaver it = {.box = box};
    it.target = collect_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, left);
    assert_int_equal(gw_subscribe_to_queue(client, queue, NULL, unsubscribe_other, &it, NULL, NULL),
                     GW_OK);
    send_to_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, "one");
    inbox_wait(left, 1);
    send_text(client, queue, "leave");
    inbox_wait(box, 1);
    send_to_exchange(client, exchange, GW_EXCHANGE_FANOUT, NULL, "two");
    send_text(client, queue, "end");
    inbox_wait(box, 2);
    assert_int_equal(inbox_count(left), 1);
    assert_int_equal(gw_client_get_state(client, NULL, 0), GW_CLIENT_UP);
}

static gw_verdict subscribe_another(void *ctx, const gw_message *msg, gw_error *why)
{
    forwarder *it = ctx;
    (void)msg;
    gw_status st =
        gw_subscribe_to_queue(it->client, it->to, NULL, inbox_handler, it->box, NULL, why);
    return st == GW_OK ? GW_DONE : GW_REJECT;
}

static void test_subscribe_in_a_handler(void **state)
{
    fixture *fix = fixture_of(state);
    const char *from = new_queue(fix, "from");
    const char *to = new_queue(fix, "to");
    gw_client *client = new_client(fix, "starter");
    inbox *box = new_inbox(fix);
    forwarder it = {.client = client, .to = to, .box = box};
    assert_int_equal(gw_subscribe_to_queue(client, from, NULL, subscribe_another, &it, NULL, NULL),
                     GW_OK);
    send_text(client, to, "waits");
    send_text(client, from, "begin");
    inbox_wait(box, 1);
    assert_string_equal(inbox_body(box, 0), "waits");
}

/* Leave and come back, often: nothing is lost, and what is handled is not handled again. */
static void test_subscribe_again_and_again(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "again");
    gw_client *client = new_client(fix, "again");
    inbox *box = new_inbox(fix);
    for (int i = 0; i < 10; i++) {
        gw_subscription *sub = collect_queue(client, queue, box, NULL);
        for (int k = 0; k < 10; k++) {
            send_number(client, queue, i * 10 + k);
        }
        inbox_wait(box, (size_t)i * 5); /* leave somewhere in the middle */
        gw_unsubscribe(sub);
    }
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 100);
    send_text(client, queue, "end");
    inbox_wait(box, 101);
    assert_string_equal(inbox_body(box, 100), "end");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(atoi(inbox_body(box, (size_t)i)), i);
    }
}

/* ---- request and reply ---------------------------------------------------------------------- */

static gw_verdict reply(void *ctx, const gw_message *msg, gw_error *why)
{
    gw_client *client = ctx;
    const char *to = gw_message_reply_to(msg);
    if (to == NULL) {
        gw_error_set(why, GW_E_INVALID, 0, "no reply-to");
        return GW_REJECT;
    }
    char text[64];
    int len = snprintf(text, sizeof(text), "re: %s", (const char *)gw_message_body(msg, NULL));
    gw_message *answer = gw_message_new(text, (size_t)len);
    gw_status st = gw_message_set_correlation_id(answer, gw_message_correlation_id(msg));
    if (st == GW_OK) {
        st = gw_publish_on_queue(client, to, answer, why);
    }
    gw_message_free(answer);
    return st == GW_OK ? GW_DONE : GW_RETRY;
}

static void test_request_and_reply(void **state)
{
    fixture *fix = fixture_of(state);
    const char *requests = new_queue(fix, "requests");
    const char *replies = new_queue(fix, "replies");
    gw_client *server = new_client(fix, "server");
    gw_client *caller = new_client(fix, "caller");
    inbox *box = new_inbox(fix);
    collect_queue(caller, replies, box, NULL);
    assert_int_equal(gw_subscribe_to_queue(server, requests, NULL, reply, server, NULL, NULL),
                     GW_OK);
    for (int i = 0; i < 20; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "%d", i);
        gw_message *msg = gw_message_new(text, (size_t)len);
        assert_int_equal(gw_message_set_reply_to(msg, replies), GW_OK);
        assert_int_equal(gw_message_set_correlation_id(msg, text), GW_OK);
        assert_int_equal(gw_publish_on_queue(caller, requests, msg, NULL), GW_OK);
        gw_message_free(msg);
    }
    inbox_wait(box, 20);
    for (size_t i = 0; i < 20; i++) {
        const char *id = gw_message_correlation_id(inbox_at(box, i)->msg);
        assert_int_equal(atoi(id), i);
        assert_string_equal(inbox_body(box, i) + 4, id);
    }
}

contract_group contract_lifecycle(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_states_and_calls_after_close),
        CONTRACT_TEST(test_state_names),
        CONTRACT_TEST(test_close_finishes_what_is_in_flight),
        CONTRACT_TEST(test_close_sends_the_backlog),
        CONTRACT_TEST(test_handler_publishes_while_closing),
        CONTRACT_TEST(test_close_nothing),
        CONTRACT_TEST(test_close_before_up),
        CONTRACT_TEST(test_unsubscribe_another_in_a_handler),
        CONTRACT_TEST(test_subscribe_in_a_handler),
        CONTRACT_TEST(test_subscribe_again_and_again),
        CONTRACT_TEST(test_request_and_reply),
    };
    return (contract_group){tests, N_OF(tests)};
}
