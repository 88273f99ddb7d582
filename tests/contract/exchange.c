/* SPDX-License-Identifier: MIT */
/* Which subscriber gets what is published to an exchange. */
#include <stdio.h>

#include "contract/contract.h"

/* Routing keys are published in order and then a key that matches for sure: when that one has
 * come, the others have come or will not. */
static void test_bindings(void **state)
{
    static const struct {
        gw_exchange_type type;
        const char *binding;
        const char *keys[5];
        const char *expected; /* one digit a message */
        const char *last_key;
    } cases[] = {
        {GW_EXCHANGE_DIRECT, "red", {"red", "blue", "red.x", "", "RED"}, "0", "red"},
        {GW_EXCHANGE_FANOUT, "red", {"red", "blue", "", "a.b", "#"}, "01234", "any"},
        {GW_EXCHANGE_TOPIC, "*.red", {"a.red", "red", "a.b.red", ".red", "a.blue"}, "03", "b.red"},
        {GW_EXCHANGE_TOPIC, "a.#", {"a", "a.b", "a.b.c", "b.a", ""}, "012", "a"},
        {GW_EXCHANGE_TOPIC, "#", {"a", "a.b", "", "#", "..."}, "01234", "z"},
        {GW_EXCHANGE_TOPIC, "#.b.#", {"b", "a.b", "b.c", "a.b.c", "a.c"}, "0123", "b"},
        {GW_EXCHANGE_HEADERS, "red", {"red", "blue", "", "a.b", "#"}, "01234", "any"},
    };
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "bindings");
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *exchange = new_exchange(fix, "bindings");
        inbox *box = new_inbox(fix);
        collect_exchange(client, exchange, cases[i].type, cases[i].binding, box);
        for (size_t k = 0; k < N_OF(cases[i].keys); k++) {
            char digit[2] = {(char)('0' + k), '\0'};
            send_to_exchange(client, exchange, cases[i].type, cases[i].keys[k], digit);
        }
        send_to_exchange(client, exchange, cases[i].type, cases[i].last_key, "end");
        inbox_wait(box, strlen(cases[i].expected) + 1);
        char came[64] = "";
        for (size_t k = 0; k < inbox_count(box) && k < 10; k++) {
            strcat(came, inbox_body(box, k));
        }
        char expected[64];
        snprintf(expected, sizeof(expected), "%send", cases[i].expected);
        if (strcmp(came, expected) != 0) {
            fail_msg("%s exchange, binding '%s': got %s, expected %s",
                     gw_exchange_type_name(cases[i].type), cases[i].binding, came, expected);
        }
    }
}

/* Without keys, publisher and subscriber meet on the exchange's name. */
static void test_default_keys(void **state)
{
    static const gw_exchange_type types[] = {GW_EXCHANGE_DIRECT, GW_EXCHANGE_FANOUT,
                                             GW_EXCHANGE_TOPIC, GW_EXCHANGE_HEADERS};
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "defaults");
    for (size_t i = 0; i < N_OF(types); i++) {
        const char *exchange = new_exchange(fix, "defaults");
        inbox *box = new_inbox(fix);
        collect_exchange(client, exchange, types[i], NULL, box);
        send_to_exchange(client, exchange, types[i], NULL, "hello");
        inbox_wait(box, 1);
        assert_string_equal(gw_message_routing_key(inbox_at(box, 0)->msg), exchange);
        assert_string_equal(inbox_at(box, 0)->exchange, exchange);
    }
}

/* Every instance has a queue of its own, and in it only what came after it subscribed. */
static void test_every_subscriber_gets_all(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *publisher = new_client(fix, "publisher");
    gw_client *instances[3];
    inbox *boxes[3];
    const char *exchange = new_exchange(fix, "all");
    send_to_exchange(publisher, exchange, GW_EXCHANGE_FANOUT, NULL, "before"); /* to nobody */
    flush(publisher);
    for (size_t i = 0; i < 3; i++) {
        instances[i] = new_client(fix, "instance"); /* the same name, as instances have */
        boxes[i] = new_inbox(fix);
        collect_exchange(instances[i], exchange, GW_EXCHANGE_FANOUT, NULL, boxes[i]);
    }
    send_to_exchange(publisher, exchange, GW_EXCHANGE_FANOUT, NULL, "one");
    send_to_exchange(publisher, exchange, GW_EXCHANGE_FANOUT, NULL, "two");
    for (size_t i = 0; i < 3; i++) {
        inbox_wait(boxes[i], 2);
        assert_int_equal(inbox_count(boxes[i]), 2);
        assert_string_equal(inbox_body(boxes[i], 0), "one");
        assert_string_equal(inbox_body(boxes[i], 1), "two");
    }
    assert_string_not_equal(inbox_at(boxes[0], 0)->queue, inbox_at(boxes[1], 0)->queue);
}

/* Two subscriptions of one client to one exchange are two subscribers. */
static void test_two_subscriptions_of_one_client(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "both");
    const char *exchange = new_exchange(fix, "both");
    inbox *red = new_inbox(fix);
    inbox *all = new_inbox(fix);
    collect_exchange(client, exchange, GW_EXCHANGE_TOPIC, "red", red);
    collect_exchange(client, exchange, GW_EXCHANGE_TOPIC, "#", all);
    send_to_exchange(client, exchange, GW_EXCHANGE_TOPIC, "blue", "1");
    send_to_exchange(client, exchange, GW_EXCHANGE_TOPIC, "red", "2");
    inbox_wait(all, 2);
    inbox_wait(red, 1);
    assert_int_equal(inbox_count(red), 1);
    assert_string_equal(inbox_body(red, 0), "2");
}

/* ---- failures -------------------------------------------------------------------- */

typedef struct failures {
    pthread_mutex_t lock;
    size_t n;
    gw_status st;
    char id[256];
} failures;

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    failures *seen = ctx;
    pthread_mutex_lock(&seen->lock);
    seen->n++;
    seen->st = why->status;
    snprintf(seen->id, sizeof(seen->id), "%s", gw_message_id(msg));
    pthread_mutex_unlock(&seen->lock);
}

static gw_client *client_with_failures(fixture *fix, failures *seen)
{
    *seen = (failures){.n = 0};
    pthread_mutex_init(&seen->lock, NULL);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = "failures";
    options.on_failed = on_failed;
    options.ctx = seen;
    gw_client *client = new_client_with(fix, transport_of(fix)->url, &options);
    wait_up(client);
    return client;
}

static void expect_failure(failures *seen, size_t n, gw_status st, const char *id)
{
    pthread_mutex_lock(&seen->lock);
    if (seen->n != n || (n > 0 && (seen->st != st || strcmp(seen->id, id) != 0))) {
        fail_msg("%zu failures, the last %s of '%s'; expected %zu, %s of '%s'", seen->n,
                 gw_status_name(seen->st), seen->id, n, gw_status_name(st), id);
    }
    pthread_mutex_unlock(&seen->lock);
}

static void publish_with_id(gw_client *client, const char *exchange, gw_exchange_type type,
                            const char *id, bool mandatory)
{
    gw_message *msg = gw_message_new(id, strlen(id));
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    gw_message_set_mandatory(msg, mandatory);
    gw_status st = gw_publish(client, exchange, type, msg, &err);
    gw_message_free(msg);
    if (st != GW_OK) {
        fail_msg("gw_publish: %s", err.text);
    }
    flush(client); /* when it returns, failures were reported */
}

static void test_unroutable(void **state)
{
    fixture *fix = fixture_of(state);
    const char *exchange = new_exchange(fix, "unroutable");
    failures seen;
    gw_client *client = client_with_failures(fix, &seen);
    publish_with_id(client, exchange, GW_EXCHANGE_DIRECT, "ordinary", false);
    expect_failure(&seen, 0, GW_OK, "");
    publish_with_id(client, exchange, GW_EXCHANGE_DIRECT, "mandatory", true);
    expect_failure(&seen, 1, GW_E_UNROUTABLE, "mandatory");
    inbox *box = new_inbox(fix);
    collect_exchange(client, exchange, GW_EXCHANGE_DIRECT, NULL, box);
    publish_with_id(client, exchange, GW_EXCHANGE_DIRECT, "routed", true);
    expect_failure(&seen, 1, GW_E_UNROUTABLE, "mandatory");
    inbox_wait(box, 1);
    assert_string_equal(inbox_body(box, 0), "routed");
}

/* An exchange that is of another type fails what concerns it, and nothing else. */
static void test_exchange_of_another_type(void **state)
{
    fixture *fix = fixture_of(state);
    const char *exchange = new_exchange(fix, "conflict");
    const char *queue = new_queue(fix, "conflict");
    failures seen;
    gw_client *first = new_client(fix, "first");
    gw_client *client = client_with_failures(fix, &seen);
    inbox *healthy = new_inbox(fix);
    inbox *never = new_inbox(fix);
    send_to_exchange(first, exchange, GW_EXCHANGE_FANOUT, NULL, "declares it");
    flush(first);
    publish_with_id(client, exchange, GW_EXCHANGE_TOPIC, "wrong", false);
    expect_failure(&seen, 1, GW_E_EXISTS, "wrong");
    collect_queue(client, queue, healthy, NULL);
    gw_subscription *sub = NULL;
    assert_int_equal(
        gw_subscribe(client, exchange, GW_EXCHANGE_TOPIC, NULL, inbox_handler, never, &sub, NULL),
        GW_OK);
    wait_state(client, GW_CLIENT_DEGRADED);
    char reason[512];
    (void)gw_client_get_state(client, reason, sizeof(reason));
    if (strstr(reason, exchange) == NULL) {
        fail_msg("the reason does not name exchange '%s': %s", exchange, reason);
    }
    send_text(client, queue, "still works");
    inbox_wait(healthy, 1);
    gw_unsubscribe(sub);
    wait_state(client, GW_CLIENT_UP);
    assert_int_equal(inbox_count(never), 0);
}

contract_group contract_exchange(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_bindings),
        CONTRACT_TEST(test_default_keys),
        CONTRACT_TEST(test_every_subscriber_gets_all),
        CONTRACT_TEST(test_two_subscriptions_of_one_client),
        CONTRACT_TEST(test_unroutable),
        CONTRACT_TEST(test_exchange_of_another_type),
    };
    return (contract_group){tests, N_OF(tests)};
}
