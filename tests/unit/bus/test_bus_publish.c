/* SPDX-License-Identifier: MIT */
/* Publishing to a bus: ways, limits, priorities, delays, and what is left when all have gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/browse.h>
#include <godwit/clock.h>
#include <godwit/log.h>

#include "bus/log_format.h"
#include "bus_fixture.h"

/* ---- ways ---------------------------------------------------------------------------- */

/* What was published is there for the next one who opens the bus; nobody was there in between. */
static void test_outlives_all(void **state)
{
    (void)state;
    gw_client *client = bus_client("");
    for (int i = 0; i < 300; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(bus_send(client, "q", text, NULL), GW_OK);
    }
    bus_close_client(client);
    client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "q", 10, box);
    bus_wait(box, 300);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(atoi(box->texts[i]), i);
        assert_false(box->redelivered[i]);
    }
    bus_close_client(client);
    client = bus_client("");
    bus_collect(client, "q", 10, box);
    assert_int_equal(bus_send(client, "q", "end", NULL), GW_OK);
    bus_wait(box, 301);
    assert_string_equal(box->texts[300], "end"); /* what was handled does not come again */
    bus_close_client(client);
    bus_free_box(box);
}

/* Many at once arrive as one by one, with their priorities and keys mixed. */
static void test_batch(void **state)
{
    (void)state;
    enum { N = 1000 };
    gw_client *client = bus_client("");
    gw_message *msgs[N];
    for (int i = 0; i < N; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "%d", i);
        msgs[i] = gw_message_new(text, (size_t)len);
    }
    size_t n;
    assert_int_equal(gw_publish_batch_on_queue(client, "many", msgs, N, &n, NULL), GW_OK);
    assert_int_equal(n, N);
    bus_box *box = bus_new_box();
    bus_collect(client, "many", 100, box);
    bus_wait(box, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(atoi(box->texts[i]), i);
        gw_message_free(msgs[i]);
    }
    bus_close_client(client);
    bus_free_box(box);
}

/* ---- limits --------------------------------------------------------------------------- */

static void test_refuse(void **state)
{
    (void)state;
    gw_client *client = bus_client("?max_messages=3");
    gw_error err = GW_ERROR_INIT;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bus_send(client, "small", "x", NULL), GW_OK);
    }
    assert_int_equal(bus_send(client, "small", "x", &err), GW_E_FULL);
    assert_non_null(strstr(err.text, "'small'"));
    assert_int_equal(bus_send_with(client, "small", "x", 5, -1), GW_E_FULL);
    assert_int_equal(bus_send(client, "other", "x", NULL), GW_OK); /* each for itself */
    bus_box *box = bus_new_box();
    bus_collect(client, "small", 10, box);
    bus_wait(box, 3);
    assert_int_equal(bus_send(client, "small", "y", NULL), GW_OK);
    bus_wait(box, 4);
    bus_close_client(client);
    bus_free_box(box);
}

/* Those with an expiration of 0 ms are old at once; nobody consumes. */
static void test_expired_ones_take_no_room(void **state)
{
    (void)state;
    static const char *const overflows[] = {"refuse", "dead-letter"};
    for (size_t k = 0; k < 2; k++) {
        char options[64];
        char queue[32];
        snprintf(options, sizeof(options), "?max_messages=3&overflow=%s", overflows[k]);
        snprintf(queue, sizeof(queue), "old-%zu", k);
        gw_client *client = bus_client(options);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(bus_send_with(client, queue, "x", 0, 0), GW_OK);
        }
        bus_box *box = bus_new_box();
        assert_int_equal(bus_send(client, queue, "y", NULL), GW_OK);
        bus_collect(client, queue, 10, box);
        bus_wait(box, 1);
        bus_assert_texts(box, "y");
        char dead[64];
        snprintf(dead, sizeof(dead), "%s.dead", queue);
        assert_int_equal(bus_send(client, dead, "first", NULL), GW_OK);
        bus_box *letters = bus_new_box();
        bus_collect(client, dead, 10, letters);
        bus_wait(letters, 1);
        bus_assert_texts(letters, "first");
        bus_close_client(client);
        bus_free_box(box);
        bus_free_box(letters);
    }
}

static void test_batch_into_a_small_queue(void **state)
{
    (void)state;
    gw_client *client = bus_client("?max_messages=3");
    gw_message *msgs[5];
    for (int i = 0; i < 5; i++) {
        msgs[i] = gw_message_new("x", 1);
    }
    size_t n;
    assert_int_equal(gw_publish_batch_on_queue(client, "small", msgs, 5, &n, NULL), GW_E_FULL);
    assert_int_equal(n, 3);
    for (int i = 0; i < 5; i++) {
        gw_message_free(msgs[i]);
    }
    bus_close_client(client);
}

static void test_drop_oldest(void **state)
{
    (void)state;
    gw_client *client = bus_client("?max_messages=3&overflow=drop-oldest");
    for (int i = 0; i < 5; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(bus_send(client, "ring", text, NULL), GW_OK);
    }
    bus_box *box = bus_new_box();
    bus_collect(client, "ring", 10, box);
    bus_assert_texts(box, "2 3 4");
    bus_close_client(client);
    bus_free_box(box);
}

static void test_bytes(void **state)
{
    (void)state;
    gw_client *client = bus_client("?max_bytes=4096&overflow=drop-oldest");
    char body[1000];
    memset(body, 'b', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    for (int i = 0; i < 10; i++) {
        body[0] = (char)('0' + i);
        assert_int_equal(bus_send(client, "bytes", body, NULL), GW_OK);
    }
    bus_box *box = bus_new_box();
    bus_collect(client, "bytes", 10, box);
    bus_wait(box, 1);
    assert_int_equal(bus_send(client, "bytes", "end", NULL), GW_OK);
    bus_wait(box, 4);
    assert_in_range(box->texts[0][0], '6', '8'); /* of the last three or so */
    bus_close_client(client);
    bus_free_box(box);
}

/* While the oldest is being handled, what was settled or dropped behind it takes no room. */
static void test_bytes_behind_a_leased_one(void **state)
{
    (void)state;
    char body[901];
    memset(body, 'b', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    gw_client *client = bus_client("?max_bytes=4096&overflow=drop-oldest");
    gw__bus *bus = bus_open();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bus_send(client, "held", body, NULL), GW_OK);
    }
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *queue = gw__topology_queue(topology, "held");
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, queue, &queue->logs[0], &log, NULL), GW_OK);
    gw__log_record records[2];
    assert_int_equal(gw__log_take(log, gw__bus_member(bus), 1, 0, records, 2), 2);
    assert_int_equal(
        gw__log_settle(log, gw__bus_member(bus), &records[1].position, 1, GW__LOG_DONE), 1);
    gw__log_counts counts;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(bus_send(client, "held", body, NULL), GW_OK);
        gw__log_count(log, &counts);
        assert_int_equal(counts.n_ready, i == 0 ? 2 : 3); /* and the one that is held */
    }
    assert_int_equal(
        gw__log_settle(log, gw__bus_member(bus), &records[0].position, 1, GW__LOG_DONE), 1);
    gw__log_count(log, &counts);
    assert_in_range(counts.n_bytes, 3 * 900, 4096);
    gw__topology_put(topology);
    bus_close_client(client);
    gw__bus_close(bus);
}

/* What the other priorities take is room that can be made, or that will be there later. */
static void test_bytes_of_priorities(void **state)
{
    (void)state;
    char body[3001];
    memset(body, 'b', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    gw_client *client = bus_client("?max_bytes=4096");
    assert_int_equal(bus_send_with(client, "refuses", body, 0, -1), GW_OK);
    assert_int_equal(bus_send_with(client, "refuses", body, 5, -1), GW_E_FULL);
    bus_close_client(client);
    client = bus_client("?max_bytes=4096&overflow=drop-oldest");
    assert_int_equal(bus_send_with(client, "drops", body, 0, -1), GW_OK);
    body[0] = 'a';
    assert_int_equal(bus_send_with(client, "drops", body, 5, -1), GW_OK);
    bus_box *box = bus_new_box();
    bus_collect(client, "drops", 10, box);
    bus_wait(box, 1);
    assert_int_equal(box->texts[0][0], 'a');
    bus_close_client(client);
    bus_free_box(box);
}

static void test_dead_letters(void **state)
{
    (void)state;
    gw_client *client = bus_client("?max_messages=2&overflow=dead-letter");
    for (int i = 0; i < 5; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(bus_send(client, "jobs", text, NULL), GW_OK);
    }
    bus_box *box = bus_new_box();
    bus_box *dead = bus_new_box();
    bus_collect(client, "jobs", 10, box);
    bus_collect(client, "jobs.dead", 10, dead);
    bus_assert_texts(box, "3 4");
    bus_assert_texts(dead, "0 1 2");
    assert_non_null(strstr(dead->reason, "full"));
    bus_close_client(client);
    bus_free_box(box);
    bus_free_box(dead);
}

/* ---- the disk ----------------------------------------------------------------------------- */

/* What the disk did not take is not done, whatever else went wrong. */
static void test_disk_fails(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    gw__target target = {.exchange = "", .queue = "disk"};
    gw_message *msg = gw_message_new("x", 1);
    gw__outgoing items[3];
    for (size_t i = 0; i < 3; i++) {
        items[i] = (gw__outgoing){.msg = msg, .target = &target, .routing_key = "disk"};
    }
    gw__bus_url limits = {.max_messages = 4};
    size_t n_done;
    assert_int_equal(gw__bus_publish(bus, items, 1, &limits, true, &n_done, NULL), GW_OK);
    assert_int_equal(n_done, 1);
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *queue = gw__topology_queue(topology, "disk");
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, queue, &queue->logs[0], &log, NULL), GW_OK);
    log->state->sync_failed = true;
    for (int i = 0; i < 2; i++) { /* the second time the queue is full, too */
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__bus_publish(bus, items, 2, &limits, true, &n_done, &err), GW_E_IO);
        assert_int_equal(n_done, 0);
        assert_non_null(strstr(err.text, "disk"));
    }
    gw__topology_put(topology);
    gw_message_free(msg);
    gw__bus_close(bus);
}

/* A message that was to survive power loss does so among the dead letters, too, whoever published
 * the one for which it made room. */
static void test_dead_letters_on_disk(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    gw__target target = {.exchange = "", .queue = "safe"};
    gw_message *msg = gw_message_new("x", 1);
    gw__outgoing item = {.msg = msg, .target = &target, .routing_key = "safe"};
    gw__bus_url limits = {.max_messages = 1, .overflow = GW__OVERFLOW_DEAD_LETTER};
    size_t n_done;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gw__bus_publish(bus, &item, 1, &limits, i == 0, &n_done, NULL), GW_OK);
    }
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *dead = gw__topology_queue(topology, "safe.dead");
    assert_non_null(dead);
    const gw__log_state *log = &gw__bus_control(bus)->logs[dead->logs[0].log];
    assert_int_equal(log->last_seq, 1);
    assert_int_equal(log->synced, log->tail);
    gw__topology_put(topology);
    gw_message_free(msg);
    gw__bus_close(bus);
}

/* ---- priorities and delays --------------------------------------------------------------- */

static void test_priorities(void **state)
{
    (void)state;
    gw_client *client = bus_client("");
    static const struct {
        const char *text;
        uint8_t priority;
    } messages[] = {{"0a", 0}, {"1", 1}, {"9", 9}, {"200", 200}, {"5a", 5}, {"0b", 0}, {"5b", 5}};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        assert_int_equal(bus_send_with(client, "prio", messages[i].text, messages[i].priority, -1),
                         GW_OK);
    }
    bus_box *box = bus_new_box();
    bus_collect(client, "prio", 100, box);
    bus_assert_texts(box, "9 200 5a 5b 1 0a 0b"); /* those above 9 are as 9 */
    /* One that is new to a consumer which waits. */
    assert_int_equal(bus_send_with(client, "prio", "3", 3, -1), GW_OK);
    bus_wait(box, 8);
    bus_close_client(client);
    bus_free_box(box);
}

static void send_later(gw__bus *bus, const char *queue, const char *text, unsigned delay_ms,
                       int64_t expiration_ms)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    gw_message_set_expiration_ms(msg, expiration_ms);
    gw__target target = {.exchange = "", .queue = queue, .delay_ms = delay_ms};
    gw__outgoing item = {.msg = msg, .target = &target, .routing_key = queue, .mandatory = true};
    gw__bus_url limits = {.max_messages = 0};
    size_t n_done;
    assert_int_equal(gw__bus_publish(bus, &item, 1, &limits, false, &n_done, NULL), GW_OK);
    assert_int_equal(n_done, 1);
    gw_message_free(msg);
}

/* Two delays at once: each message comes when it is due, to a consumer that sleeps. */
static void test_delays(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "later", 10, box);
    uint64_t begin_ms = gw_clock_ms();
    send_later(bus, "later", "b", 150, -1);
    send_later(bus, "later", "a", 50, -1);
    assert_int_equal(bus_send(client, "later", "now", NULL), GW_OK);
    bus_assert_texts(box, "now a b");
    assert_true(gw_clock_ms() >= begin_ms + 149);
    assert_false(box->redelivered[1]);
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* Nobody consumes: what is due is moved by who asks, once, with its expiration from then on. */
static void test_ripen(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    send_later(bus, "ripe", "a", 20, -1);
    send_later(bus, "ripe", "b", 30, 600000);
    send_later(bus, "ripe", "c", 3600000, -1);
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *queue = gw__topology_queue(topology, "ripe");
    assert_non_null(queue);
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, queue, &queue->logs[0], &log, NULL), GW_OK);
    uint64_t now_ms = gw_clock_unix_ns() / 1000000;
    uint64_t due_ms = gw__bus_ripen(bus, queue, now_ms);
    assert_true(due_ms <= now_ms + 30);
    now_ms += 1000; /* as if it had passed */
    for (int i = 0; i < 2; i++) {
        due_ms = gw__bus_ripen(bus, queue, now_ms);
        assert_in_range(due_ms, now_ms + 3500000, now_ms + 3600000);
        gw__log_counts counts;
        gw__log_count(log, &counts);
        assert_int_equal(counts.n_ready, 2);
    }
    gw__log_record records[3];
    assert_int_equal(gw__log_take(log, gw__bus_member(bus), now_ms, 0, records, 3), 2);
    assert_int_equal(records[0].expires_ms, 0);
    assert_int_equal(records[1].expires_ms, now_ms + 600000);
    gw_message *msg;
    assert_int_equal(gw__bus_read(&records[1], "ripe", &msg, NULL), GW_OK);
    assert_memory_equal(gw_message_body(msg, NULL), "b", 1);
    assert_string_equal(gw_message_queue(msg), "ripe");
    gw_message_free(msg);
    gw__topology_put(topology);
    gw__bus_close(bus);
}

/* ---- damage ------------------------------------------------------------------------------ */

/* Every record that is cut or changed is a message or refused, and nothing is read behind it. */
/* What was to survive power loss in the delay log does so behind it, before it is settled there;
 * what was not costs nothing. */
static void test_ripen_to_disk(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    for (int to_disk = 0; to_disk <= 1; to_disk++) {
        gw_message *msg = gw_message_new("x", 1);
        gw__target target = {.exchange = "", .queue = to_disk ? "safe" : "fast", .delay_ms = 20};
        gw__outgoing item = {.msg = msg, .target = &target, .routing_key = target.queue};
        gw__bus_url limits = {.max_messages = 0};
        size_t n_done;
        assert_int_equal(gw__bus_publish(bus, &item, 1, &limits, to_disk == 1, &n_done, NULL),
                         GW_OK);
        gw_message_free(msg);
        const gw__topology *topology;
        assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
        const gw__queue_row *queue = gw__topology_queue(topology, target.queue);
        gw__log_state *log = &gw__bus_control(bus)->logs[queue->logs[0].log];
        gw__log_state *delay = &gw__bus_control(bus)->logs[queue->logs[1].log];
        uint64_t synced = log->synced;
        gw__bus_ripen(bus, queue, gw_clock_unix_ns() / 1000000 + 1000);
        assert_int_equal(delay->n_settled, 1);
        assert_int_equal(log->last_seq, 1);
        assert_int_equal(log->synced, to_disk ? log->tail : synced);
        gw__topology_put(topology);
    }
    gw__bus_close(bus);
}

static void test_hostile_records(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    send_later(bus, "hostile", "body", 0, -1);
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *queue = gw__topology_queue(topology, "hostile");
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, queue, &queue->logs[0], &log, NULL), GW_OK);
    gw__log_record record;
    assert_int_equal(gw__log_take(log, gw__bus_member(bus), 0, 0, &record, 1), 1);
    for (size_t len = 0; len <= record.len; len++) {
        for (size_t at = 0; at < len; at++) {
            static const uint8_t values[] = {0, 1, 127, 255};
            for (size_t i = 0; i < sizeof(values); i++) {
                uint8_t *bytes = malloc(len);
                assert_non_null(bytes);
                memcpy(bytes, record.bytes, len);
                bytes[at] = values[i];
                gw__log_record cut = {.bytes = bytes, .len = len};
                gw_message *msg = NULL;
                gw_error err = GW_ERROR_INIT;
                if (gw__bus_read(&cut, "hostile", &msg, &err) == GW_OK) {
                    gw_message_free(msg);
                } else {
                    assert_true(err.text[0] != '\0');
                }
                free(bytes);
            }
        }
    }
    gw__topology_put(topology);
    gw__bus_close(bus);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
#define T(f) cmocka_unit_test_setup_teardown(f, bus_make_dir, bus_remove_dir)
    const struct CMUnitTest tests[] = {
        T(test_outlives_all),
        T(test_batch),
        T(test_refuse),
        T(test_expired_ones_take_no_room),
        T(test_batch_into_a_small_queue),
        T(test_drop_oldest),
        T(test_bytes),
        T(test_bytes_of_priorities),
        T(test_bytes_behind_a_leased_one),
        T(test_dead_letters),
        T(test_disk_fails),
        T(test_dead_letters_on_disk),
        T(test_priorities),
        T(test_delays),
        T(test_ripen),
        T(test_ripen_to_disk),
        T(test_hostile_records),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
