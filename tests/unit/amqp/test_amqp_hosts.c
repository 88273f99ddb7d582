/* SPDX-License-Identifier: MIT */
/* Several hosts in the URL, as of a cluster: which is tried when, and when one is left for another.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "source.h"
#include "support/fake_broker.h"

enum { A, B, N_BROKERS };

typedef struct fixture {
    fake_broker *brokers[N_BROKERS];
    fake_conn *conn;
    source *src;
    gw__target queue;
    char url[512];
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    for (size_t i = 0; i < N_BROKERS; i++) {
        fix->brokers[i] = fake_broker_new();
    }
    fix->queue = (gw__target){.exchange = "", .queue = "q"};
    fix->src = source_new();
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    source_free(fix->src);
    fake_hang_up(fix->conn);
    for (size_t i = 0; i < N_BROKERS; i++) {
        fake_broker_free(fix->brokers[i]);
    }
    free(fix);
    return 0;
}

static void open_both(fixture *fix, const char *query)
{
    snprintf(fix->url, sizeof(fix->url), "amqp://127.0.0.1:%u,127.0.0.1:%u/%s",
             fake_broker_port(fix->brokers[A]), fake_broker_port(fix->brokers[B]), query);
    source_open(fix->src, fix->url);
}

/* The next connection, whichever broker it comes to; returns which. */
static size_t accept_anywhere(fixture *fix)
{
    uint64_t until = gw_clock_ms() + FAKE_WAIT_MS;
    for (size_t i = 0; gw_clock_ms() < until; i = (i + 1) % N_BROKERS) {
        if (!fake_nobody_comes(fix->brokers[i], 10)) {
            fix->conn = fake_accept_open(fix->brokers[i]);
            return i;
        }
    }
    fail_msg("nobody came within %d ms", FAKE_WAIT_MS);
    return A;
}

/* Publish one message; the broker reads it and does not confirm it. */
static uint16_t take_without_confirm(fixture *fix)
{
    uint16_t channel = fake_serve_confirm_channel(fix->conn);
    fake_serve_declarations(fix->conn, NULL);
    fake_published published = fake_expect_publish(fix->conn);
    assert_string_equal(published.message_id, "id");
    return channel;
}

/* One that was lost a moment ago may take connections still, and no more than that. */
static void test_host_that_failed_is_tried_last(void **state)
{
    fixture *fix = *state;
    open_both(fix, "");
    size_t at = accept_anywhere(fix);
    for (int i = 0; i < 5; i++) {
        source_wait_state(fix->src, GW_CLIENT_UP, "");
        fake_hang_up(fix->conn);
        size_t next = accept_anywhere(fix);
        assert_int_not_equal(next, at);
        at = next;
    }
}

/* Its kernel takes connections, as for a process that is stopped; nothing answers. It has two
 * seconds, or the time of a heartbeat, not the ten seconds that an only host has. */
static void test_host_that_takes_and_does_not_answer(void **state)
{
    fixture *fix = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(fix->url, sizeof(fix->url), "amqp://127.0.0.1:%u,127.0.0.1:%u/?heartbeat=1",
             ntohs(address.sin_port), fake_broker_port(fix->brokers[A]));
    uint64_t before = gw_clock_ms();
    source_open(fix->src, fix->url);
    fix->conn = fake_accept_open(fix->brokers[A]);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    assert_true(gw_clock_ms() - before < 9000);
    /* Now the silent one is tried first. */
    before = gw_clock_ms();
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->brokers[A]);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    assert_in_range(gw_clock_ms() - before, 1900, 9000);
    close(fd);
}

/* A node that has lost the others of its cluster takes messages, and confirms none. */
static void test_host_that_confirms_nothing_is_left(void **state)
{
    fixture *fix = *state;
    open_both(fix, "?confirm_timeout=1");
    size_t n = source_add(fix->src, &fix->queue, "id", 1);
    size_t at = accept_anywhere(fix);
    (void)take_without_confirm(fix);
    fake_expect_hang_up(fix->conn);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "the broker confirms nothing: 1 messages");
    source_wait_rewinds(fix->src, 1);
    fake_hang_up(fix->conn);
    assert_int_not_equal(accept_anywhere(fix), at);
    uint16_t channel = take_without_confirm(fix);
    fake_ack(fix->conn, channel, 1, false);
    source_wait(fix->src, n, GW_OK);
    assert_int_equal(source_handed_out(fix->src, n), 2);
}

/* When the next confirms nothing either it is the queue: others on this connection are to have the
 * window meanwhile, and nobody goes in circles. */
static void test_queue_that_nobody_confirms_is_put_off(void **state)
{
    fixture *fix = *state;
    open_both(fix, "?confirm_timeout=1");
    size_t n = source_add(fix->src, &fix->queue, "id", 1);
    (void)accept_anywhere(fix);
    (void)take_without_confirm(fix);
    fake_expect_hang_up(fix->conn);
    fake_hang_up(fix->conn);
    (void)accept_anywhere(fix);
    uint16_t first = take_without_confirm(fix);
    uint16_t closed;
    (void)fake_expect(fix->conn, AMQP_CHANNEL_CLOSE_METHOD, &closed);
    assert_int_equal(closed, first);
    amqp_channel_close_ok_t ok = {0};
    fake_send_method(fix->conn, closed, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    (void)fake_serve_confirm_channel(fix->conn);
    source_wait(fix->src, n, GW_E_REFUSED); /* back to the source, which tries again, later */
}

static void expect_queue(fixture *fix, char *ret_name, size_t size)
{
    fake_serve_channel(fix->conn);
    const amqp_queue_declare_t *declare = fake_expect(fix->conn, AMQP_QUEUE_DECLARE_METHOD, NULL);
    snprintf(ret_name, size, "%.*s", (int)declare->queue.len, (const char *)declare->queue.bytes);
}

/* The nodes of a cluster clear away what was on one that they lost, by its name: another node's
 * queue has another one. */
static void test_temporary_queue_of_another_host(void **state)
{
    fixture *fix = *state;
    open_both(fix, "");
    accept_anywhere(fix);
    fake_conn *publishing = fix->conn;
    const gw__consumer_spec spec = {
        .queue = "q", .consumer_name = "tester", .prefetch = 10, .temporary = true};
    gw__consumer *consumer = NULL;
    assert_int_equal(gw__amqp_transport.subscribe(fix->src->transport, &spec, &sink_that_ignores,
                                                  &consumer, NULL),
                     GW_OK);
    size_t at = accept_anywhere(fix);
    char name[256];
    expect_queue(fix, name, sizeof(name));
    assert_string_equal(name, "q");
    fake_hang_up(fix->conn);
    assert_int_not_equal(accept_anywhere(fix), at);
    expect_queue(fix, name, sizeof(name));
    assert_memory_equal(name, "q.", 2);
    gw__amqp_transport.cancel(consumer, 0);
    gw__amqp_transport.release(consumer, 0);
    fake_hang_up(publishing);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_host_that_failed_is_tried_last),
        TEST(test_host_that_takes_and_does_not_answer),
        TEST(test_host_that_confirms_nothing_is_left),
        TEST(test_queue_that_nobody_confirms_is_put_off),
        TEST(test_temporary_queue_of_another_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
