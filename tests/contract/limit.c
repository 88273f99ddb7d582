/* SPDX-License-Identifier: MIT */
/* Sizes, names and the outbox at their limits. */
#include <stdio.h>

#include "contract/contract.h"

#define FRAME_BODY (131072 - 8) /* what RabbitMQ's default frame has room for */

static char *pattern(size_t len)
{
    char *body = malloc(len + 1);
    assert_non_null(body);
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i * 31 + (i >> 8));
    }
    return body;
}

/* Bodies around the places where a frame ends: an exact multiple has made clients stall. */
static void test_body_sizes(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   255,
                                   256,
                                   4088,
                                   4096,
                                   FRAME_BODY - 1,
                                   FRAME_BODY,
                                   FRAME_BODY + 1,
                                   2 * FRAME_BODY - 1,
                                   2 * FRAME_BODY,
                                   2 * FRAME_BODY + 1,
                                   1 << 20};
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "sizes");
    gw_client *client = new_client(fix, "sizes");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    char *body = pattern(1 << 20);
    for (size_t i = 0; i < N_OF(sizes); i++) {
        gw_message *msg = gw_message_new(body, sizes[i]);
        assert_non_null(msg);
        assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
        gw_message_free(msg);
    }
    inbox_wait(box, N_OF(sizes));
    for (size_t i = 0; i < N_OF(sizes); i++) {
        size_t len;
        const char *got = gw_message_body(inbox_at(box, i)->msg, &len);
        if (len != sizes[i] || memcmp(got, body, len) != 0) {
            fail_msg("a body of %zu bytes arrived with %zu, or changed", sizes[i], len);
        }
    }
    free(body);
}

/* A unique name of exactly `len` bytes. */
static void long_name(char *name, size_t len, const char *unique)
{
    memset(name, 'n', len);
    memcpy(name, unique, strlen(unique));
    name[len] = '\0';
}

static void test_longest_names(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "long");
    char name[300];
    long_name(name, 255, new_queue(fix, "long"));
    const char *queue = own_queue(fix, name);
    send_text(client, queue, "fits");
    flush(client);
    long_name(name, 238, new_queue(fix, "long")); /* ".retry.60000" has to fit as well */
    queue = own_queue(fix, name);
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    send_text(client, queue, "comes");
    inbox_wait(box, 1);
    assert_string_equal(inbox_at(box, 0)->queue, queue);

    long_name(name, 255, new_exchange(fix, "long"));
    const char *exchange = own_exchange(fix, name);
    inbox *all = new_inbox(fix);
    collect_exchange(client, exchange, GW_EXCHANGE_DIRECT, NULL, all); /* a key of 255 bytes, too */
    send_to_exchange(client, exchange, GW_EXCHANGE_DIRECT, NULL, "comes too");
    inbox_wait(all, 1);
    assert_string_equal(inbox_at(all, 0)->exchange, exchange);
    assert_string_equal(gw_message_routing_key(inbox_at(all, 0)->msg), exchange);
}

static void test_names_that_are_refused(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "refused");
    char too_long[257];
    long_name(too_long, 256, "too.long");
    char no_room[240];
    long_name(no_room, 239, "no.room.for.retry");
    inbox *box = new_inbox(fix);
    gw_message *msg = gw_message_new("x", 1);
    gw_error err = GW_ERROR_INIT;
    gw_subscription *sub = NULL;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.binding_key = too_long;
    assert_int_equal(gw_publish_on_queue(client, too_long, msg, &err), GW_E_LIMIT);
    assert_int_equal(gw_publish(client, too_long, GW_EXCHANGE_TOPIC, msg, &err), GW_E_LIMIT);
    assert_int_equal(gw_subscribe_to_queue(client, too_long, NULL, inbox_handler, box, &sub, &err),
                     GW_E_LIMIT);
    assert_int_equal(gw_subscribe_to_queue(client, no_room, NULL, inbox_handler, box, &sub, &err),
                     GW_E_LIMIT);
    assert_int_equal(
        gw_subscribe(client, too_long, GW_EXCHANGE_TOPIC, NULL, inbox_handler, box, &sub, &err),
        GW_E_LIMIT);
    assert_int_equal(
        gw_subscribe(client, "x", GW_EXCHANGE_TOPIC, &options, inbox_handler, box, &sub, &err),
        GW_E_LIMIT);
    assert_int_equal(gw_message_set_routing_key(msg, too_long), GW_E_LIMIT);
    assert_int_equal(gw_publish_on_queue(client, "", msg, &err), GW_E_INVALID);
    assert_int_equal(gw_publish(client, "", GW_EXCHANGE_TOPIC, msg, &err), GW_E_INVALID);
    assert_int_equal(gw_subscribe_to_queue(client, "", NULL, inbox_handler, box, &sub, &err),
                     GW_E_INVALID);
    assert_int_equal(gw_subscribe_to_queue(client, "q", NULL, NULL, box, &sub, &err), GW_E_INVALID);
    assert_null(sub);
    assert_int_equal(gw_client_get_state(client, NULL, 0), GW_CLIENT_UP); /* nothing happened */
    gw_message_free(msg);
}

static void test_options_that_are_refused(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "options");
    inbox *box = new_inbox(fix);
    for (int i = 0; i < 3; i++) {
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.n_workers = i == 0 ? 0 : options.n_workers;
        options.max_attempts = i == 1 ? 0 : options.max_attempts;
        options.retry_delay_max_ms = i == 2 ? 0 : options.retry_delay_max_ms;
        gw_subscription *sub = NULL;
        assert_int_equal(gw_subscribe_to_queue(client, "contract.options", &options, inbox_handler,
                                               box, &sub, NULL),
                         GW_E_INVALID);
    }
    gw_client *none = NULL;
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.heartbeat_s = 601;
    assert_int_equal(gw_connect(transport_of(fix)->url, &options, &none, NULL), GW_E_INVALID);
    assert_int_equal(gw_connect("", NULL, &none, NULL), GW_E_INVALID);
    assert_int_equal(gw_connect("gopher://h", NULL, &none, NULL), GW_E_UNSUPPORTED);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_connect("amqps://u:secret@h", NULL, &none, &err), GW_E_UNSUPPORTED);
    assert_null(strstr(err.text, "secret"));
    assert_null(none);
}

/* Headers near their limit arrive; past it the message is refused before anything is sent. */
static void test_large_headers(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "headers");
    gw_client *client = new_client(fix, "headers");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    size_t len = 60000;
    char *text = malloc(GW_MESSAGE_HEADERS_MAX + 1);
    assert_non_null(text);
    memset(text, 'h', GW_MESSAGE_HEADERS_MAX);
    text[GW_MESSAGE_HEADERS_MAX] = '\0';
    gw_message *msg = gw_message_new("x", 1);
    assert_int_equal(gw_message_set_header_text(msg, "too-large", text), GW_E_LIMIT);
    text[len] = '\0';
    assert_int_equal(gw_message_set_header_text(msg, "large", text), GW_OK);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    inbox_wait(box, 1);
    const char *got = gw_message_header_text(inbox_at(box, 0)->msg, "large");
    assert_non_null(got);
    assert_string_equal(got, text);
    free(text);
}

static void test_outbox_full(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.outbox_max_messages = 5;
    gw_client *client = new_client_with(fix, transport_of(fix)->full_url, &options);
    gw_message *msg = gw_message_new("x", 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(gw_publish_on_queue(client, "contract.full", msg, NULL), GW_OK);
    }
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_publish_on_queue(client, "contract.full", msg, &err), GW_E_FULL);
    assert_int_equal(err.status, GW_E_FULL);
    assert_non_null(strstr(err.text, "full"));
    assert_true(gw_status_is_retriable(GW_E_FULL));
    gw_message_free(msg);
    gw_status st = close_client(fix, client, 100, &err);
    if (st == GW_E_TIMEOUT) { /* of a broker that is away: the number that is lost is told */
        assert_non_null(strstr(err.text, "5 messages"));
    } else {
        assert_int_equal(st, GW_OK);
    }
}

contract_group contract_limit(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_body_sizes),
        CONTRACT_TEST(test_longest_names),
        CONTRACT_TEST(test_names_that_are_refused),
        CONTRACT_TEST(test_options_that_are_refused),
        CONTRACT_TEST(test_large_headers),
        CONTRACT_TEST(test_outbox_full),
    };
    return (contract_group){tests, N_OF(tests)};
}
