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

/* ---- headers exchanges ------------------------------------------------------------ */

static gw_header text_header(const char *name, const char *text)
{
    return (gw_header){
        .name = name,
        .value = {.kind = GW_VALUE_TEXT, .as.bytes = {.data = text, .len = strlen(text)}}};
}

static gw_header int_header(const char *name, int64_t number)
{
    return (gw_header){.name = name, .value = {.kind = GW_VALUE_INT, .as.integer = number}};
}

static gw_header no_value(const char *name)
{
    return (gw_header){.name = name, .value = {.kind = GW_VALUE_NULL}};
}

static void send_with_headers(gw_client *client, const char *exchange, const char *body,
                              const gw_header *headers, size_t n_headers)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    gw_error err = GW_ERROR_INIT;
    for (size_t i = 0; i < n_headers; i++) {
        if (headers[i].name != NULL) {
            assert_int_equal(gw_message_set_header(msg, headers[i].name, &headers[i].value), GW_OK);
        }
    }
    if (gw_publish(client, exchange, GW_EXCHANGE_HEADERS, msg, &err) != GW_OK) {
        fail_msg("gw_publish: %s", err.text);
    }
    gw_message_free(msg);
}

/* Messages with the bodies 0 to 7 are sent, and then one that matches for sure. */
static void test_binding_headers(void **state)
{
    const gw_header kind_a = text_header("kind", "a");
    const gw_header kind_b = text_header("kind", "b");
    const gw_header size_1 = int_header("size", 1);
    const gw_header size_text = text_header("size", "1");
    const gw_header hidden = text_header("x-hidden", "yes");
    const gw_header messages[8][2] = {
        {{.name = NULL}},
        {kind_a},
        {kind_b},
        {size_1},
        {kind_a, size_1},
        {kind_b, size_1},
        {kind_a, size_text},
        {hidden, text_header("other", "a")},
    };
    const struct {
        gw_header wanted[3];
        size_t n_wanted;
        bool any;
        const char *expected;
        bool last_is_b; /* what matches for sure */
    } cases[] = {
        {{{.name = NULL}}, 0, false, "01234567", false},
        {{{.name = NULL}}, 0, true, "01234567", false},
        {{kind_a}, 1, false, "146", false},
        {{kind_a, size_1}, 2, false, "4", false},
        {{kind_a, size_1}, 2, true, "13456", false},
        {{no_value("size")}, 1, false, "3456", false},
        {{no_value("size"), kind_b}, 2, false, "5", true},
        {{no_value("size"), kind_b}, 2, true, "23456", true},
        {{text_header("x-ignored", "z"), kind_a}, 2, false, "146", false},
        {{text_header("x-ignored", "z"), kind_a, hidden}, 3, true, "146", false},
        {{text_header("x-ignored", "z")}, 1, false, "01234567", false},
        {{text_header("x-ignored", "z")}, 1, true, "01234567", false},
    };
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "headers");
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *exchange = new_exchange(fix, "headers");
        inbox *box = new_inbox(fix);
        gw_header wanted[3];
        memcpy(wanted, cases[i].wanted, sizeof(wanted));
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.binding_headers = wanted;
        options.n_binding_headers = cases[i].n_wanted;
        options.match_any = cases[i].any;
        gw_error err = GW_ERROR_INIT;
        if (gw_subscribe(client, exchange, GW_EXCHANGE_HEADERS, &options, inbox_handler, box, NULL,
                         &err) != GW_OK) {
            fail_msg("gw_subscribe: %s", err.text);
        }
        memset(wanted, 0, sizeof(wanted)); /* it was copied */
        wait_up(client);
        for (size_t k = 0; k < N_OF(messages); k++) {
            char digit[2] = {(char)('0' + k), '\0'};
            send_with_headers(client, exchange, digit, messages[k], 2);
        }
        const gw_header last[] = {cases[i].last_is_b ? kind_b : kind_a, size_1, hidden};
        send_with_headers(client, exchange, "end", last, N_OF(last));
        inbox_wait(box, strlen(cases[i].expected) + 1);
        char came[64] = "";
        for (size_t k = 0; k < inbox_count(box) && k < 10; k++) {
            strcat(came, inbox_body(box, k));
        }
        char expected[64];
        snprintf(expected, sizeof(expected), "%send", cases[i].expected);
        if (strcmp(came, expected) != 0) {
            fail_msg("case %zu: got %s, expected %s", i, came, expected);
        }
    }
}

static void test_binding_headers_that_are_refused(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "refused");
    const char *exchange = new_exchange(fix, "refused");
    char long_text[3000];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    gw_header many[65];
    char names[65][8];
    for (size_t i = 0; i < N_OF(many); i++) {
        snprintf(names[i], sizeof(names[i]), "h%zu", i);
        many[i] = int_header(names[i], 1);
    }
    const gw_header twice[] = {int_header("a", 1), int_header("a", 2)};
    const gw_header empty[] = {int_header("", 1)};
    const gw_header nameless[] = {int_header(NULL, 1)};
    const gw_header large[] = {text_header("a", long_text)};
    const gw_header array[] = {{.name = "a", .value = {.kind = GW_VALUE_ARRAY}}};
    const struct {
        const gw_header *headers;
        size_t n_headers;
        gw_exchange_type type;
        gw_status expected;
    } cases[] = {
        {twice, 2, GW_EXCHANGE_HEADERS, GW_E_INVALID},
        {empty, 1, GW_EXCHANGE_HEADERS, GW_E_INVALID},
        {nameless, 1, GW_EXCHANGE_HEADERS, GW_E_INVALID},
        {array, 1, GW_EXCHANGE_HEADERS, GW_E_INVALID},
        {NULL, 1, GW_EXCHANGE_HEADERS, GW_E_INVALID},
        {many, 1, GW_EXCHANGE_TOPIC, GW_E_INVALID},
        {many, 65, GW_EXCHANGE_HEADERS, GW_E_LIMIT},
        {large, 1, GW_EXCHANGE_HEADERS, GW_E_LIMIT},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.binding_headers = cases[i].headers;
        options.n_binding_headers = cases[i].n_headers;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_subscribe(client, exchange, cases[i].type, &options, inbox_handler, NULL,
                                    NULL, &err);
        if (st != cases[i].expected) {
            fail_msg("case %zu: %s, expected %s", i, gw_status_name(st),
                     gw_status_name(cases[i].expected));
        }
    }
    /* The most that is taken reaches the broker. */
    inbox *box = new_inbox(fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    gw_header unsigned_longs[64];
    for (size_t i = 0; i < N_OF(unsigned_longs); i++) {
        unsigned_longs[i] = (gw_header){
            .name = names[i], .value = {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX - i}};
    }
    options.binding_headers = unsigned_longs;
    options.n_binding_headers = N_OF(unsigned_longs);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_subscribe(client, exchange, GW_EXCHANGE_HEADERS, &options, inbox_handler,
                                  box, NULL, &err),
                     GW_OK);
    wait_up(client);
    send_with_headers(client, exchange, "all", unsigned_longs, N_OF(unsigned_longs));
    inbox_wait(box, 1);
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
        CONTRACT_TEST(test_binding_headers),
        CONTRACT_TEST(test_binding_headers_that_are_refused),
    };
    return (contract_group){tests, N_OF(tests)};
}
