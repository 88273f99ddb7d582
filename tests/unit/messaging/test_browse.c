/* SPDX-License-Identifier: MIT */
/* gw_browse() where it fails, and at its bounds; what it does otherwise is in tests/contract. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/log.h>
#include <godwit/testing.h>

#include "messaging/browse.h"

#define URL     "memory:browse"
#define QUEUE   "letters"
#define WAIT_MS 20000

static const gw__browse_bounds small = {.first_round = 4,
                                        .max_round = 16,
                                        .round_bytes = 100000,
                                        .max_bytes = 1000,
                                        .max_moving = 2,
                                        .quiet_ms = 20};

static gw_client *open_client(const char *url)
{
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(url, NULL, &client, &err) != GW_OK ||
        gw_wait_up(client, WAIT_MS, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return client;
}

static void publish(gw_client *client, const char *queue, int number, size_t size)
{
    char *body = calloc(1, size + 16);
    assert_non_null(body);
    snprintf(body, 16, "%d", number);
    gw_message *msg = gw_message_new(body, size + 16);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
    free(body);
}

static size_t queue_len(const char *queue)
{
    size_t len = 0;
    assert_int_equal(gw_testing_queue_len(URL, queue, &len, NULL), GW_OK);
    return len;
}

typedef struct visits {
    gw_browse_verdict verdict;
    const char *target;
    int disconnect_at;
    int n;
    int last;
} visits;

/* The numbers come in their order. */
static gw_browse_verdict visit(void *ctx, const gw_message *msg, gw_browse_move *move)
{
    visits *seen = ctx;
    int number = atoi(gw_message_body(msg, NULL));
    if (number <= seen->last) {
        fail_msg("verdict %d: %d after %d, n %d", seen->verdict, number, seen->last, seen->n);
    }
    seen->last = number;
    seen->n++;
    if (seen->n == seen->disconnect_at) {
        assert_int_equal(gw_testing_disconnect(URL, NULL), GW_OK);
    }
    if (seen->verdict == GW_BROWSE_MOVE && seen->target != NULL) {
        move->queue = seen->target;
        move->msg = gw_message_dup(msg);
    }
    return seen->verdict;
}

/* Bodies that do not fit into memory at once are given back, and come in a later round. */
static void test_large_messages(void **state)
{
    (void)state;
    gw_client *client = open_client(URL);
    for (int i = 1; i <= 50; i++) {
        publish(client, QUEUE, i, i % 5 == 0 ? 5000 : 100);
    }
    gw_browse_options options = {.max_messages = 0, .timeout_ms = WAIT_MS};
    gw_browse_result result;
    for (int i = 0; i < 2; i++) {
        visits seen = {.verdict = i == 0 ? GW_BROWSE_LEAVE : GW_BROWSE_REMOVE};
        assert_int_equal(gw__browse(client, QUEUE, &options, &small, visit, &seen, &result, NULL),
                         GW_OK);
        assert_int_equal(result.n_waiting, 50);
        assert_int_equal(seen.n, 50);
        assert_int_equal(result.n_removed, i == 0 ? 0 : 50);
    }
    assert_int_equal(queue_len(QUEUE), 0);
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

static void test_lost_connection(void **state)
{
    (void)state;
    static const gw_browse_verdict verdicts[] = {GW_BROWSE_LEAVE, GW_BROWSE_MOVE};
    for (size_t i = 0; i < 2; i++) {
        gw_client *client = open_client(URL);
        for (int n = 1; n <= 20; n++) {
            publish(client, QUEUE, n, 0);
        }
        visits seen = {.verdict = verdicts[i], .target = "moved", .disconnect_at = 10};
        gw_browse_options options = {.max_messages = 0, .timeout_ms = WAIT_MS};
        gw_browse_result result;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__browse(client, QUEUE, &options, &small, visit, &seen, &result, &err);
        assert_int_equal(st, GW_E_UNAVAILABLE);
        assert_non_null(strstr(err.text, QUEUE));
        size_t n_moved = i == 0 ? 0 : queue_len("moved");
        assert_true(queue_len(QUEUE) + n_moved >= 20); /* some can be in both */
        assert_true(queue_len(QUEUE) >= 20 - result.n_removed);
        assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
    }
}

/* The broker takes no copy: the originals stay. */
static void test_no_room_for_copies(void **state)
{
    (void)state;
    gw_client *client = open_client(URL "?max_messages=3");
    for (int i = 1; i <= 3; i++) {
        publish(client, QUEUE, i, 0);
    }
    visits seen = {.verdict = GW_BROWSE_MOVE, .target = "moved"};
    gw_browse_options options = {.max_messages = 0, .timeout_ms = 100};
    gw_browse_result result;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw__browse(client, QUEUE, &options, &small, visit, &seen, &result, &err);
    assert_int_equal(st, GW_E_FULL);
    assert_int_equal(result.n_removed, 0);
    assert_int_equal(queue_len(QUEUE), 3);
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

static void test_bad_moves(void **state)
{
    (void)state;
    gw_client *client = open_client(URL);
    publish(client, QUEUE, 1, 0);
    static const struct {
        const char *target;
        gw_status st;
    } cases[] = {{NULL, GW_E_INVALID}, {"", GW_E_INVALID}, {"amq.theirs", GW_E_DENIED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        visits seen = {.verdict = GW_BROWSE_MOVE, .target = cases[i].target};
        gw_error err = GW_ERROR_INIT;
        gw_browse_result result;
        gw_status st = gw_browse(client, QUEUE, NULL, visit, &seen, &result, &err);
        if (st != cases[i].st) {
            fail_msg("case %zu: %s (%s)", i, gw_status_name(st), err.text);
        }
        assert_int_equal(result.n_visited, 1);
        assert_int_equal(result.n_removed, 0);
        assert_int_equal(queue_len(QUEUE), 1);
    }
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    gw_client *client = open_client(URL);
    gw_error err = GW_ERROR_INIT;
    visits seen = {.n = 0};
    assert_int_equal(gw_browse(NULL, QUEUE, NULL, visit, &seen, NULL, &err), GW_E_INVALID);
    assert_int_equal(gw_browse(client, "", NULL, visit, &seen, NULL, &err), GW_E_INVALID);
    assert_int_equal(gw_browse(client, QUEUE, NULL, NULL, &seen, NULL, &err), GW_E_INVALID);
    assert_int_equal(gw_browse(client, "none", NULL, visit, &seen, NULL, &err), GW_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "'none'"));
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

/* Nobody answers. */
static void test_no_broker(void **state)
{
    (void)state;
    gw_client *client = NULL;
    assert_int_equal(gw_connect("amqp://127.0.0.1:1/", NULL, &client, NULL), GW_OK);
    visits seen = {.n = 0};
    gw_browse_options options = {.max_messages = 0, .timeout_ms = 100};
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_browse(client, QUEUE, &options, visit, &seen, NULL, &err);
    assert_int_equal(st, GW_E_TIMEOUT);
    assert_non_null(strstr(err.text, "connecting"));
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_messages),     cmocka_unit_test(test_lost_connection),
        cmocka_unit_test(test_no_room_for_copies), cmocka_unit_test(test_bad_moves),
        cmocka_unit_test(test_bad_arguments),      cmocka_unit_test(test_no_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
