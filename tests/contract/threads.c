/* SPDX-License-Identifier: MIT */
/* Many at once: publishers, handlers, messages. */
#include <stdio.h>

#include "contract/contract.h"

#define N_THREADS 8
#define N_EACH    250

typedef struct publisher {
    gw_client *client;
    const char *queue;
    int number;
    gw_status st;
} publisher;

static void *publish_many(void *arg)
{
    publisher *it = arg;
    for (int i = 0; i < N_EACH && it->st == GW_OK; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%d", it->number * N_EACH + i);
        gw_message *msg = gw_message_new(text, (size_t)len);
        it->st = gw_publish_on_queue(it->client, it->queue, msg, NULL);
        gw_message_free(msg);
    }
    return NULL;
}

/* Each thread's messages arrive once and in its order. */
static void test_publish_from_many_threads(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "threads");
    gw_client *client = new_client(fix, "threads");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    publisher publishers[N_THREADS];
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        publishers[i] = (publisher){.client = client, .queue = queue, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, publish_many, &publishers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(publishers[i].st, GW_OK);
    }
    inbox_wait(box, N_THREADS * N_EACH);
    int next[N_THREADS] = {0};
    for (size_t i = 0; i < N_THREADS * N_EACH; i++) {
        int number = atoi(inbox_body(box, i));
        int thread = number / N_EACH;
        assert_in_range(thread, 0, N_THREADS - 1);
        assert_int_equal(number % N_EACH, next[thread]);
        next[thread]++;
    }
}

static void test_one_worker_is_one_at_a_time(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "one-worker");
    gw_client *client = new_client(fix, "one-worker");
    inbox *box = new_inbox(fix);
    collect_queue(client, queue, box, NULL);
    for (int i = 0; i < 200; i++) {
        send_number(client, queue, i);
    }
    inbox_wait(box, 200);
    assert_int_equal(box->max_running, 1);
}

static void test_many_workers(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "workers");
    gw_client *client = new_client(fix, "workers");
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.n_workers = 4;
    inbox *box = new_inbox(fix);
    inbox_close_gate(box);
    collect_queue(client, queue, box, &options);
    for (int i = 0; i < 50; i++) {
        send_number(client, queue, i);
    }
    inbox_wait_running(box, 4); /* each worker holds one */
    assert_int_equal(inbox_count(box), 0);
    inbox_open_gate(box);
    inbox_wait(box, 50);
    assert_int_equal(box->max_running, 4);
    for (int i = 0; i < 50; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(inbox_count_of(box, text), 1);
    }
}

/* From one client to another: all, once, in order. */
static void test_ten_thousand(void **state)
{
    fixture *fix = fixture_of(state);
    const char *queue = new_queue(fix, "load");
    gw_client *sender = new_client(fix, "sender");
    gw_client *receiver = new_client(fix, "receiver");
    inbox *box = new_inbox(fix);
    collect_queue(receiver, queue, box, NULL);
    for (int i = 0; i < 10000; i++) {
        send_number(sender, queue, i);
    }
    inbox_wait(box, 10000);
    for (int i = 0; i < 10000; i++) {
        if (atoi(inbox_body(box, (size_t)i)) != i) {
            fail_msg("message %d is '%s'", i, inbox_body(box, (size_t)i));
        }
    }
    assert_int_equal(close_client(fix, receiver, WAIT_MS, NULL), GW_OK);
    assert_int_equal(close_client(fix, sender, WAIT_MS, NULL), GW_OK);
    assert_int_equal(inbox_count(box), 10000);
}

static void *come_and_go(void *arg)
{
    publisher *it = arg;
    for (int i = 0; i < 5 && it->st == GW_OK; i++) {
        gw_client *client = NULL;
        it->st = gw_connect(it->queue, NULL, &client, NULL); /* `queue` is the URL here */
        gw_status st = gw_close(client, WAIT_MS, NULL);
        it->st = it->st == GW_OK ? st : it->st;
    }
    return NULL;
}

static void test_clients_come_and_go(void **state)
{
    fixture *fix = fixture_of(state);
    publisher users[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        users[i] = (publisher){.queue = transport_of(fix)->url};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &users[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(users[i].st, GW_OK);
    }
}

contract_group contract_threads(void)
{
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_publish_from_many_threads),
        CONTRACT_TEST(test_one_worker_is_one_at_a_time),
        CONTRACT_TEST(test_many_workers),
        CONTRACT_TEST(test_ten_thousand),
        CONTRACT_TEST(test_clients_come_and_go),
    };
    return (contract_group){tests, N_OF(tests)};
}
