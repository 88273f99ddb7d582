/* SPDX-License-Identifier: MIT */
/* Looking at what waits in a queue, removing and moving some of it. */
#include <stdio.h>

#include <godwit/browse.h>

#include "contract/contract.h"

/* What a visitor saw, and what it is to say. */
typedef struct visits {
    gw_browse_verdict verdict; /* to those whose text `only` has, or to all */
    const char *only;
    const char *target;     /* of those that are moved */
    gw_client *publisher;   /* sends one more message on each visit */
    const char *more_queue; /* to there */
    size_t n;
    char texts[2000][16];
    char ids[2000][64];
    char queue[256];
    bool redelivered;
} visits;

static visits *new_visits(gw_browse_verdict verdict, const char *only)
{
    visits *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    seen->verdict = verdict;
    seen->only = only;
    return seen;
}

/* Whether a list of words has this one. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len) {
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static gw_browse_verdict visit(void *ctx, const gw_message *msg, gw_browse_move *move)
{
    visits *seen = ctx;
    const char *text = gw_message_body(msg, NULL);
    assert_true(seen->n < N_OF(seen->texts));
    snprintf(seen->texts[seen->n], sizeof(seen->texts[0]), "%s", text);
    snprintf(seen->ids[seen->n], sizeof(seen->ids[0]), "%s", gw_message_id(msg));
    snprintf(seen->queue, sizeof(seen->queue), "%s", gw_message_queue(msg));
    seen->redelivered = gw_message_is_redelivered(msg);
    seen->n++;
    if (seen->publisher != NULL) {
        send_text(seen->publisher, seen->more_queue, "more");
        flush(seen->publisher);
    }
    if (seen->only != NULL && !has_word(seen->only, text)) {
        return GW_BROWSE_LEAVE;
    }
    if (seen->verdict == GW_BROWSE_MOVE) {
        move->queue = seen->target;
        move->msg = gw_message_dup(msg);
        assert_non_null(move->msg);
    }
    return seen->verdict;
}

static gw_browse_result browse(gw_client *client, const char *queue, size_t max_messages,
                               visits *seen)
{
    gw_browse_options options = {.max_messages = max_messages, .timeout_ms = WAIT_MS};
    gw_browse_result result;
    gw_error err = GW_ERROR_INIT;
    if (gw_browse(client, queue, &options, visit, seen, &result, &err) != GW_OK) {
        fail_msg("gw_browse: %s", err.text);
    }
    assert_int_equal(result.n_visited, seen->n);
    return result;
}

/* Publish the numbers from 1 to `n`. */
static void send_numbers(gw_client *client, const char *queue, int n)
{
    for (int i = 1; i <= n; i++) {
        send_number(client, queue, i);
    }
    flush(client);
}

static void assert_bodies(inbox *box, const char *const *texts, size_t n)
{
    inbox_wait(box, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(inbox_body(box, i), texts[i]);
    }
    assert_int_equal(inbox_count(box), n);
}

static void test_leave_all(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "leave");
    send_numbers(client, queue, 5);
    for (int i = 0; i < 2; i++) { /* the second time everything is where it was */
        visits *seen = new_visits(GW_BROWSE_LEAVE, NULL);
        gw_browse_result result = browse(client, queue, 0, seen);
        assert_int_equal(result.n_waiting, 5);
        assert_int_equal(result.n_removed, 0);
        assert_string_equal(seen->texts[0], "1");
        assert_string_equal(seen->texts[4], "5");
        assert_string_equal(seen->queue, queue);
        assert_int_equal(seen->redelivered, i > 0);
        free(seen);
    }
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    assert_bodies(box, (const char *const[]){"1", "2", "3", "4", "5"}, 5);
}

static void test_remove_some(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "remove");
    send_numbers(client, queue, 5);
    visits *seen = new_visits(GW_BROWSE_REMOVE, "2 4");
    assert_int_equal(browse(client, queue, 0, seen).n_removed, 2);
    assert_int_equal(seen->n, 5);
    free(seen);
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    assert_bodies(box, (const char *const[]){"1", "3", "5"}, 3);
}

static void test_move_some(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "from");
    visits *seen = new_visits(GW_BROWSE_MOVE, "1 2 5");
    seen->target = new_queue(fix, "to");
    send_numbers(client, queue, 5);
    assert_int_equal(browse(client, queue, 0, seen).n_removed, 3);
    inbox *left = new_inbox(fix);
    inbox *moved = new_inbox(fix);
    collect_queue(client, queue, left, NULL);
    collect_queue(client, seen->target, moved, NULL);
    assert_bodies(left, (const char *const[]){"3", "4"}, 2);
    assert_bodies(moved, (const char *const[]){"1", "2", "5"}, 3);
    assert_string_equal(gw_message_id(inbox_at(moved, 2)->msg), seen->ids[4]);
    free(seen);
}

/* What was moved to the end of the same queue is not visited again. */
static void test_move_to_the_same_queue(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    visits *seen = new_visits(GW_BROWSE_MOVE, NULL);
    seen->target = new_queue(fix, "ring");
    send_numbers(client, seen->target, 300);
    gw_browse_result result = browse(client, seen->target, 0, seen);
    assert_int_equal(result.n_visited, 300);
    assert_int_equal(result.n_removed, 300);
    visits *again = new_visits(GW_BROWSE_LEAVE, NULL);
    assert_int_equal(browse(client, seen->target, 0, again).n_visited, 300);
    assert_string_equal(again->texts[0], "1");
    assert_string_equal(again->texts[299], "300");
    free(seen);
    free(again);
}

static void test_what_comes_meanwhile_is_not_visited(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "busy");
    visits *seen = new_visits(GW_BROWSE_REMOVE, NULL);
    seen->publisher = client;
    seen->more_queue = queue;
    send_numbers(client, queue, 40);
    gw_browse_result result = browse(client, queue, 0, seen);
    assert_int_equal(result.n_waiting, 40);
    assert_int_equal(result.n_removed, 40);
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    inbox_wait(box, 40);
    assert_int_equal(inbox_count_of(box, "more"), 40);
    free(seen);
}

static void test_no_such_queue(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "missing");
    visits *seen = new_visits(GW_BROWSE_LEAVE, NULL);
    for (int i = 0; i < 2; i++) { /* it is not made by being asked for */
        gw_error err = GW_ERROR_INIT;
        gw_browse_result result;
        gw_status st = gw_browse(client, queue, NULL, visit, seen, &result, &err);
        assert_int_equal(st, GW_E_NOT_FOUND);
        assert_non_null(strstr(err.text, queue));
        assert_int_equal(result.n_visited, 0);
    }
    free(seen);
}

static void test_empty_queue(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "empty");
    send_numbers(client, queue, 1);
    visits *seen = new_visits(GW_BROWSE_REMOVE, NULL);
    assert_int_equal(browse(client, queue, 0, seen).n_removed, 1);
    seen->n = 0;
    assert_int_equal(browse(client, queue, 0, seen).n_waiting, 0);
    assert_int_equal(seen->n, 0);
    free(seen);
}

static void test_limit_and_stop(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "limit");
    send_numbers(client, queue, 5);
    visits *seen = new_visits(GW_BROWSE_LEAVE, NULL);
    gw_browse_result result = browse(client, queue, 2, seen);
    assert_int_equal(result.n_waiting, 5);
    assert_int_equal(result.n_visited, 2);
    free(seen);
    seen = new_visits(GW_BROWSE_STOP, "3");
    assert_int_equal(browse(client, queue, 0, seen).n_visited, 3);
    free(seen);
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    assert_bodies(box, (const char *const[]){"1", "2", "3", "4", "5"}, 5);
}

/* More than the broker has out at once: the order stays. */
static void test_many(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "many");
    const int n = 1500;
    send_numbers(client, queue, n);
    visits *seen = new_visits(GW_BROWSE_REMOVE, "7 77 777 1007");
    assert_int_equal(browse(client, queue, 0, seen).n_visited, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(atoi(seen->texts[i]), i + 1);
    }
    visits *again = new_visits(GW_BROWSE_LEAVE, NULL);
    browse(client, queue, 0, again);
    int last = 0;
    for (size_t i = 0; i < again->n; i++) {
        assert_true(atoi(again->texts[i]) > last);
        last = atoi(again->texts[i]);
    }
    assert_int_equal(again->n, n - 4);
    free(seen);
    free(again);
}

/* What another consumer has is not seen, and is not waited for. */
static void test_beside_a_consumer(void **state)
{
    fixture *fix = fixture_of(state);
    gw_client *client = new_client(fix, "browser");
    const char *queue = new_queue(fix, "beside");
    inbox *box = new_inbox(fix);
    inbox_close_gate(box);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = 2;
    collect_queue(new_client(fix, "other"), queue, box, &options);
    send_numbers(client, queue, 2);
    inbox_wait_running(box, 1);
    send_number(client, queue, 3);
    send_number(client, queue, 4);
    flush(client);
    visits *seen = new_visits(GW_BROWSE_REMOVE, NULL);
    assert_int_equal(browse(client, queue, 0, seen).n_removed, 2);
    assert_string_equal(seen->texts[0], "3");
    assert_string_equal(seen->texts[1], "4");
    inbox_open_gate(box);
    assert_bodies(box, (const char *const[]){"1", "2"}, 2);
    free(seen);
}

contract_group contract_browse(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_leave_all),
        CONTRACT_TEST(test_remove_some),
        CONTRACT_TEST(test_move_some),
        CONTRACT_TEST(test_move_to_the_same_queue),
        CONTRACT_TEST(test_what_comes_meanwhile_is_not_visited),
        CONTRACT_TEST(test_no_such_queue),
        CONTRACT_TEST(test_empty_queue),
        CONTRACT_TEST(test_limit_and_stop),
        CONTRACT_TEST(test_many),
        CONTRACT_TEST(test_beside_a_consumer),
    };
    return (contract_group){tests, N_OF(tests)};
}
