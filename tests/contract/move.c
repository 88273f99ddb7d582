/* SPDX-License-Identifier: MIT */
/* From an embedded bus to a real broker: what of a bus can be moved, and how. The commands are
 * tested in tests/e2e/test_godwit_bus.py. */
#include <stdio.h>

#include <godwit/browse.h>
#include <godwit/bus.h>
#include <godwit/id.h>
#include <godwit/log.h>

#include "bus/bus.h"
#include "contract/contract.h"
#include "support/child.h"

static const contract_transport *transport;

typedef struct move {
    char dir[256];
    char where[300];
    char queue[128];
    char dead_queue[140];
    char quorum_queue[140];
    gw__bus *source;
} move;

static int setup(void **state)
{
    move *it = calloc(1, sizeof(*it));
    assert_non_null(it);
    *state = it;
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    snprintf(it->queue, sizeof(it->queue), "contract.move.%s", id);
    snprintf(it->dead_queue, sizeof(it->dead_queue), "%s.dead", it->queue);
    snprintf(it->quorum_queue, sizeof(it->quorum_queue), "%s.quorum", it->queue);
    make_test_dir(it->dir, sizeof(it->dir));
    snprintf(it->where, sizeof(it->where), "%s/bus", it->dir);
    gw__bus_place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    snprintf(place->dir, sizeof(place->dir), "%s", it->where);
    assert_int_equal(gw__bus_open(place, "test", &it->source, NULL), GW_OK);
    free(place);
    return 0;
}

static int teardown(void **state)
{
    move *it = *state;
    const char *const queues[] = {it->queue, it->dead_queue, it->quorum_queue};
    transport->remove(queues, 3, NULL, 0);
    gw__bus_close(it->source);
    remove_test_dir(it->dir);
    free(it);
    return 0;
}

typedef struct wish {
    const char *queue;
    unsigned delay_ms;
    const char *id;
    uint8_t priority;
    const char *user;
    gw_queue_type type;
} wish;

static void publish(move *it, wish what)
{
    gw__target target = {
        .exchange = "", .queue = what.queue, .queue_type = what.type, .delay_ms = what.delay_ms};
    gw_message *msg = gw_message_new(what.id, strlen(what.id));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, what.id), GW_OK);
    assert_int_equal(gw_message_set_user_id(msg, what.user), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", 3), GW_OK);
    gw_message_set_priority(msg, what.priority);
    gw__outgoing item = {
        .msg = msg, .target = &target, .routing_key = what.queue, .mandatory = true};
    gw__bus_url limits = {.max_messages = 0};
    size_t n_done;
    gw_error err = GW_ERROR_INIT;
    if (gw__bus_publish(it->source, &item, 1, &limits, false, &n_done, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    gw_message_free(msg);
}

typedef struct reading {
    char ids[512];
    bool good;
    const char *user; /* of those that have one */
} reading;

static gw_browse_verdict read_one(void *ctx, const gw_message *msg, gw_browse_move *to)
{
    (void)to;
    reading *it = ctx;
    strcat(it->ids, it->ids[0] != '\0' ? " " : "");
    strcat(it->ids, gw_message_id(msg));
    it->good = it->good && gw_message_header_int(msg, "x-godwit-attempt", 0) == 3;
    it->user = gw_message_user_id(msg) != NULL ? transport->user : it->user;
    if (gw_message_user_id(msg) != NULL) {
        assert_string_equal(gw_message_user_id(msg), transport->user);
    }
    return GW_BROWSE_REMOVE;
}

/* What the broker has in a queue, in order. */
static reading check_broker(const char *queue, const char *want)
{
    gw_client *client;
    reading got = {.good = true};
    gw_browse_result result;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_connect(transport->url, NULL, &client, &err), GW_OK);
    assert_int_equal(gw_wait_up(client, WAIT_MS, &err), GW_OK);
    gw_browse_options how = {.max_messages = 0, .timeout_ms = WAIT_MS};
    if (gw_browse(client, queue, &how, read_one, &got, &result, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
    assert_string_equal(got.ids, want);
    assert_true(got.good);
    return got;
}

static gw_status move_all(move *it, uint64_t want, gw_error *err)
{
    gw_bus *admin;
    uint64_t n_moved = 0;
    gw_bus_move_options how = {.timeout_ms = WAIT_MS};
    assert_int_equal(gw_bus_open(it->where, GW_BUS_CHANGE, &admin, err), GW_OK);
    gw_status st = gw_bus_move(admin, transport->url, &how, &n_moved, err);
    if (n_moved != want) {
        fail_msg("moved %llu: %s", (unsigned long long)n_moved, err->text);
    }
    gw_bus_summary sum;
    assert_int_equal(gw_bus_summarize(admin, &sum, err), GW_OK);
    gw_bus_close(admin);
    return st;
}

/* By priority first, each in its order; those that are delayed at once, and last. */
static void test_all_of_a_queue(void **state)
{
    move *it = *state;
    publish(it, (wish){it->queue, 0, "a", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->queue, 3600000, "late", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->queue, 7200000, "later", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->queue, 0, "b", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->queue, 0, "first", 7, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->dead_queue, 0, "dead", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->quorum_queue, 0, "q", 0, NULL, GW_QUEUE_QUORUM});
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(move_all(it, 7, &err), GW_OK);
    check_broker(it->queue, "first a b late later");
    check_broker(it->dead_queue, "dead");
    check_broker(it->quorum_queue, "q");
    assert_int_equal(move_all(it, 0, &err), GW_OK);
}

/* RabbitMQ would close the channel. */
static void test_user_ids(void **state)
{
    move *it = *state;
    publish(it, (wish){it->queue, 0, "other", 0, "somebody", GW_QUEUE_CLASSIC});
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(move_all(it, 1, &err), GW_OK);
    assert_null(check_broker(it->queue, "other").user);
    publish(it, (wish){it->queue, 0, "own", 0, transport->user, GW_QUEUE_CLASSIC});
    assert_int_equal(move_all(it, 1, &err), GW_OK);
    assert_string_equal(check_broker(it->queue, "own").user, transport->user);
}

/* What a consumer has is not moved, and said. */
static void test_some_are_at_a_consumer(void **state)
{
    move *it = *state;
    publish(it, (wish){it->queue, 0, "a", 0, NULL, GW_QUEUE_CLASSIC});
    publish(it, (wish){it->queue, 0, "b", 0, NULL, GW_QUEUE_CLASSIC});
    const gw__topology *topology;
    gw__log *log;
    gw__log_record record;
    assert_int_equal(gw__topology_get(gw__bus_definitions(it->source), &topology, NULL), GW_OK);
    const gw__queue_row *row = gw__topology_queue(topology, it->queue);
    assert_int_equal(gw__bus_log(it->source, row, &row->logs[0], &log, NULL), GW_OK);
    gw__topology_put(topology);
    uint32_t other = gw__bus_member(it->source) + 1;
    assert_int_equal(gw__log_take(log, other, 0, 0, &record, 1), 1);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(move_all(it, 1, &err), GW_E_BUSY);
    assert_non_null(strstr(err.text, "at consumers"));
    gw__log_settle(log, other, &record.position, 1, GW__LOG_RETURN);
    assert_int_equal(move_all(it, 1, &err), GW_OK);
    check_broker(it->queue, "b a");
}

/* More than are on their way at once. */
static void test_many(void **state)
{
    move *it = *state;
    enum { N = 2000 };
    for (unsigned i = 0; i < N; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", i);
        publish(it, (wish){it->queue, 0, id, 0, NULL, GW_QUEUE_CLASSIC});
    }
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(move_all(it, N, &err), GW_OK);
    gw_client *client;
    assert_int_equal(gw_connect(transport->url, NULL, &client, &err), GW_OK);
    gw_browse_options how = {.max_messages = 1, .timeout_ms = WAIT_MS};
    reading got = {.good = true};
    gw_browse_result result;
    assert_int_equal(gw_wait_up(client, WAIT_MS, &err), GW_OK);
    assert_int_equal(gw_browse(client, it->queue, &how, read_one, &got, &result, &err), GW_OK);
    assert_int_equal(result.n_waiting, N);
    assert_string_equal(got.ids, "0");
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    transport = contract_open();
    if (transport == NULL) {
        return 1;
    }
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        TEST(test_all_of_a_queue),
        TEST(test_user_ids),
        TEST(test_some_are_at_a_consumer),
        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
