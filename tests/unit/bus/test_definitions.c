/* SPDX-License-Identifier: MIT */
/* Declaring, binding and deleting, and what of it is left after closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bus/definitions_format.h"
#include "bus/log.h"
#include "support/child.h"
#include "topology_sample.h"

static char dir[256];
static gw__definitions *defs;
static log_counter counter;
static gw__log_maker maker;
static gw_error err;

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    counter = (log_counter){.status = GW_OK};
    maker = counting_maker(&counter);
    err = (gw_error)GW_ERROR_INIT;
    defs = open_definitions(dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw__definitions_close(defs);
    remove_test_dir(dir);
    return 0;
}

static void reopen(void)
{
    gw__definitions_close(defs);
    defs = open_definitions(dir);
}

static void check(gw_status st, gw_status expected, const char *text)
{
    assert_int_equal(st, expected);
    if (strstr(err.text, text) == NULL) {
        fail_msg("'%s' is not in '%s'", text, err.text);
    }
    assert_int_equal(err.status, expected);
}

/* A copy of the row, so that its snapshot need not be kept; without its logs. */
static gw__queue_row queue_now(const char *name)
{
    const gw__topology *topology = get_topology(defs);
    const gw__queue_row *row = gw__topology_queue(topology, name);
    assert_non_null(row);
    gw__queue_row copy = *row;
    copy.logs = NULL;
    gw__topology_put(topology);
    return copy;
}

static bool has_queue(const char *name)
{
    const gw__topology *topology = get_topology(defs);
    bool has = gw__topology_queue(topology, name) != NULL;
    gw__topology_put(topology);
    return has;
}

/* ---- exchanges ----------------------------------------------------------------------- */

static void test_exchange(void **state)
{
    (void)state;
    declare_exchange(defs, "e", GW_EXCHANGE_TOPIC);
    uint64_t generation = gw__definitions_generation(defs);
    declare_exchange(defs, "e", GW_EXCHANGE_TOPIC);
    declare_exchange(defs, "amq.match", GW_EXCHANGE_HEADERS);
    assert_int_equal(gw__definitions_generation(defs), generation); /* nothing was written */
    check(gw__definitions_exchange(defs, "e", GW_EXCHANGE_FANOUT, &err), GW_E_EXISTS,
          "exchange 'e' exists and is of type topic, not fanout");
    check(gw__definitions_exchange(defs, "amq.fanout", GW_EXCHANGE_DIRECT, &err), GW_E_EXISTS,
          "exchange 'amq.fanout' exists and is of type fanout, not direct");
    check(gw__definitions_exchange(defs, "amq.mine", GW_EXCHANGE_DIRECT, &err), GW_E_DENIED,
          "exchange 'amq.mine': names that start with 'amq.' are the broker's");
    check(gw__definitions_exchange(defs, "", GW_EXCHANGE_DIRECT, &err), GW_E_INVALID, "name");
    reopen();
    const gw__topology *topology = get_topology(defs);
    assert_int_equal(gw__topology_exchange(topology, "e")->type, GW_EXCHANGE_TOPIC);
    assert_int_equal(gw__topology_exchange(topology, "amq.direct")->type, GW_EXCHANGE_DIRECT);
    assert_int_equal(gw__topology_exchange(topology, "amq.fanout")->type, GW_EXCHANGE_FANOUT);
    assert_int_equal(gw__topology_exchange(topology, "amq.topic")->type, GW_EXCHANGE_TOPIC);
    assert_int_equal(gw__topology_exchange(topology, "amq.headers")->type, GW_EXCHANGE_HEADERS);
    assert_int_equal(gw__topology_exchange(topology, "amq.match")->type, GW_EXCHANGE_HEADERS);
    gw__topology_put(topology);
}

/* ---- queues -------------------------------------------------------------------------- */

static void test_queue(void **state)
{
    (void)state;
    gw__queue_row row = a_queue("q");
    row.max_messages = 10;
    row.max_bytes = UINT64_MAX;
    row.overflow = GW__OVERFLOW_DEAD_LETTER;
    row.type = GW_QUEUE_QUORUM;
    assert_int_equal(gw__definitions_queue(defs, &row, &maker, &err), GW_OK);
    uint64_t generation = gw__definitions_generation(defs);
    gw__queue_row again = row;
    again.max_messages = 99; /* limits are changed otherwise */
    assert_int_equal(gw__definitions_queue(defs, &again, &maker, &err), GW_OK);
    assert_int_equal(gw__definitions_generation(defs), generation);
    assert_int_equal(counter.n_made, 1);
    again.type = GW_QUEUE_CLASSIC;
    check(gw__definitions_queue(defs, &again, &maker, &err), GW_E_EXISTS,
          "queue 'q' exists and is of another type or durability");
    again = row;
    again.temporary = true;
    check(gw__definitions_queue(defs, &again, &maker, &err), GW_E_EXISTS, "durability");
    again = a_queue("amq.q");
    check(gw__definitions_queue(defs, &again, &maker, &err), GW_E_DENIED,
          "queue 'amq.q': names that start with 'amq.' are the broker's");
    again = a_queue("");
    check(gw__definitions_queue(defs, &again, &maker, &err), GW_E_INVALID, "name");
    reopen();
    const gw__topology *topology = get_topology(defs);
    const gw__queue_row *now = gw__topology_queue(topology, "q");
    assert_int_equal(now->max_messages, 10);
    assert_true(now->max_bytes == UINT64_MAX);
    assert_int_equal(now->overflow, GW__OVERFLOW_DEAD_LETTER);
    assert_int_equal(now->type, GW_QUEUE_QUORUM);
    assert_false(now->temporary);
    assert_int_equal(now->n_logs, 1);
    assert_int_equal(now->logs[0].kind, GW__LOG_MAIN);
    assert_int_equal(now->logs[0].serial, 1000);
    gw__topology_put(topology);
    assert_int_equal(counter.n_undone, 0);
}

static void test_limits(void **state)
{
    (void)state;
    declare_queue(defs, &counter, "q");
    assert_int_equal(gw__definitions_limits(defs, "q", 5, 6, GW__OVERFLOW_DROP_OLDEST, &err),
                     GW_OK);
    uint64_t generation = gw__definitions_generation(defs);
    assert_int_equal(gw__definitions_limits(defs, "q", 5, 6, GW__OVERFLOW_DROP_OLDEST, &err),
                     GW_OK);
    assert_int_equal(gw__definitions_generation(defs), generation);
    reopen();
    gw__queue_row row = queue_now("q");
    assert_int_equal(row.max_messages, 5);
    assert_int_equal(row.max_bytes, 6);
    assert_int_equal(row.overflow, GW__OVERFLOW_DROP_OLDEST);
    check(gw__definitions_limits(defs, "none", 5, 6, GW__OVERFLOW_REFUSE, &err), GW_E_NOT_FOUND,
          "queue 'none': there is none");
}

/* No queue is left behind, and no log, when one of both cannot be. */
static void test_no_log(void **state)
{
    (void)state;
    counter.status = GW_E_LIMIT;
    gw__queue_row row = a_queue("q");
    uint64_t generation = gw__definitions_generation(defs);
    check(gw__definitions_queue(defs, &row, &maker, &err), GW_E_LIMIT, "no log for you");
    assert_int_equal(gw__definitions_generation(defs), generation);
    assert_false(has_queue("q"));
    counter.status = GW_OK;
    declare_queue(defs, &counter, "q");
    counter.status = GW_E_LIMIT;
    check(gw__definitions_log(defs, "q", GW__LOG_DELAY, 100, &maker, &err), GW_E_LIMIT, "no log");
    assert_int_equal(queue_now("q").n_logs, 1);
}

static void test_logs(void **state)
{
    (void)state;
    static const struct {
        gw__log_kind kind;
        uint32_t number;
    } added[] = {{GW__LOG_DELAY, 70000}, {GW__LOG_PRIORITY, 2}, {GW__LOG_DELAY, 300},
                 {GW__LOG_PRIORITY, 9},  {GW__LOG_PRIORITY, 1}, {GW__LOG_PRIORITY, 9}},
      expected[] = {{GW__LOG_MAIN, 0},     {GW__LOG_PRIORITY, 9}, {GW__LOG_PRIORITY, 2},
                    {GW__LOG_PRIORITY, 1}, {GW__LOG_DELAY, 300},  {GW__LOG_DELAY, 70000}};
    declare_queue(defs, &counter, "q");
    declare_queue(defs, &counter, "next");
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        assert_int_equal(
            gw__definitions_log(defs, "q", added[i].kind, added[i].number, &maker, &err), GW_OK);
    }
    assert_int_equal(counter.n_made, 7); /* one was there */
    const gw__topology *topology = get_topology(defs);
    const gw__queue_row *row = gw__topology_queue(topology, "q");
    assert_int_equal(row->n_logs, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(row->logs[i].kind, expected[i].kind);
        assert_int_equal(row->logs[i].number, expected[i].number);
        assert_int_equal(row->logs[i].serial, 1000 + row->logs[i].log);
    }
    assert_int_equal(gw__topology_queue(topology, "next")->n_logs, 1);
    gw__topology_put(topology);
    check(gw__definitions_log(defs, "q", GW__LOG_PRIORITY, 10, &maker, &err), GW_E_INVALID, "'q'");
    check(gw__definitions_log(defs, "q", GW__LOG_PRIORITY, 0, &maker, &err), GW_E_INVALID, "'q'");
    check(gw__definitions_log(defs, "q", GW__LOG_DELAY, 0, &maker, &err), GW_E_INVALID, "'q'");
    check(gw__definitions_log(defs, "none", GW__LOG_DELAY, 1, &maker, &err), GW_E_NOT_FOUND,
          "queue 'none': there is none");
}

/* ---- bindings ------------------------------------------------------------------------ */

static void test_bind(void **state)
{
    (void)state;
    declare_queue(defs, &counter, "q");
    bind_key(defs, "amq.direct", "q", "k");
    uint64_t generation = gw__definitions_generation(defs);
    bind_key(defs, "amq.direct", "q", "k");
    assert_int_equal(gw__definitions_generation(defs), generation);
    gw__binding_row row = a_binding("none", "q", "k");
    check(gw__definitions_bind(defs, &row, &err), GW_E_NOT_FOUND, "exchange 'none': there is none");
    row = a_binding("amq.direct", "none", "k");
    check(gw__definitions_bind(defs, &row, &err), GW_E_NOT_FOUND, "queue 'none': there is none");
    row = a_binding("amq.direct", "q", "");
    memset(row.key, 'k', sizeof(row.key)); /* without an end */
    check(gw__definitions_bind(defs, &row, &err), GW_E_INVALID, "255");
    row.key[sizeof(row.key) - 1] = '\0';
    assert_int_equal(gw__definitions_bind(defs, &row, &err), GW_OK);
    reopen();
    assert_string_equal(route(defs, "amq.direct", "k", NULL), "q ");
    assert_string_equal(route(defs, "amq.direct", row.key, NULL), "q ");
    char long_name[GW__BUS_NAME_MAX + 2] = {0};
    memset(long_name, 'h', sizeof(long_name) - 1);
    const gw_header header = {long_name, {.kind = GW_VALUE_NULL}};
    row = a_binding("amq.headers", "q", "");
    row.headers = &header;
    row.n_headers = 1;
    check(gw__definitions_bind(defs, &row, &err), GW_E_LIMIT, "binding of queue 'q': header 'hhh");
}

/* ---- deleting ------------------------------------------------------------------------ */

static void test_delete(void **state)
{
    (void)state;
    declare_queue(defs, &counter, "q");
    declare_queue(defs, &counter, "r");
    bind_key(defs, "amq.fanout", "q", "1");
    bind_key(defs, "amq.fanout", "q", "2");
    bind_key(defs, "amq.fanout", "r", "1");
    assert_int_equal(gw__definitions_log(defs, "q", GW__LOG_PRIORITY, 3, &maker, &err), GW_OK);
    uint32_t id = queue_now("q").id;
    assert_int_equal(gw__definitions_delete(defs, "q", count_gone, &counter, &err), GW_OK);
    assert_int_equal(counter.n_gone, 2);
    assert_string_equal(route(defs, "amq.fanout", "", NULL), "r ");
    check(gw__definitions_delete(defs, "q", count_gone, &counter, &err), GW_E_NOT_FOUND,
          "queue 'q': there is none");
    check(gw__definitions_delete(defs, "", count_gone, &counter, &err), GW_E_NOT_FOUND, "none");
    assert_int_equal(counter.n_gone, 2);
    reopen();
    declare_queue(defs, &counter, "q"); /* a new one: nothing is left of the old one */
    assert_true(queue_now("q").id > id);
    assert_int_equal(queue_now("q").n_logs, 1);
    assert_string_equal(route(defs, "amq.fanout", "", NULL), "r ");
}

static void declare_temporary(const char *name, uint32_t member, uint64_t generation)
{
    gw__queue_row row = a_temporary_queue(name, member, generation);
    assert_int_equal(gw__definitions_queue(defs, &row, &maker, &err), GW_OK);
}

static void test_temporary(void **state)
{
    (void)state;
    declare_queue(defs, &counter, "m");
    declare_temporary("a", 0, 1); /* the first slot is a member as well */
    declare_temporary("b", 7, 3);
    declare_temporary("n", 7, 5);
    declare_temporary("z", 7, 3);
    declare_temporary("z", 7, 3);
    assert_int_equal(counter.n_made, 5);
    gw__queue_row row = a_temporary_queue("z", 7, 5);
    check(gw__definitions_queue(defs, &row, &maker, &err), GW_E_EXISTS,
          "queue 'z' exists and is the temporary one of another process");
    uint64_t generation = gw__definitions_generation(defs);
    assert_int_equal(gw__definitions_delete_temporary(defs, 8, 3, count_gone, &counter, &err),
                     GW_OK);
    assert_int_equal(gw__definitions_generation(defs), generation);
    assert_int_equal(gw__definitions_delete_temporary(defs, 7, 3, count_gone, &counter, &err),
                     GW_OK);
    assert_int_equal(counter.n_gone, 2);
    assert_true(has_queue("a") && has_queue("m") && has_queue("n"));
    assert_false(has_queue("b") || has_queue("z"));
    assert_int_equal(queue_now("n").member, 7);
    assert_int_equal(queue_now("n").member_generation, 5);
    assert_int_equal(
        gw__definitions_delete_temporary(defs, GW__LOG_NOBODY, 0, count_gone, &counter, &err),
        GW_OK);
    assert_int_equal(counter.n_gone, 4);
    assert_false(has_queue("a") || has_queue("n"));
    assert_true(has_queue("m"));
}

/* ---- many ------------------------------------------------------------------------------ */

enum { N_QUEUES = 100, N_KEYS = GW__DEFINITIONS_OBJECTS_MAX / N_QUEUES };

/* All in one transaction: each on the disk by itself would take long on a slow one. */
static void bind_many(void)
{
    MDB_txn *txn;
    assert_int_equal(gw__definitions_begin(defs, true, &txn, &err), GW_OK);
    for (uint32_t i = 0; i < N_QUEUES * N_KEYS; i++) {
        gw__binding_row row = a_binding("amq.direct", "", "");
        uint8_t *bytes;
        size_t len;
        uint8_t key_bytes[GW__BINDING_KEY_LEN];
        snprintf(row.key, sizeof(row.key), "%u.%u", i / N_KEYS, i % N_KEYS);
        assert_int_equal(gw__definitions_write_binding(&row, &bytes, &len, &err), GW_OK);
        MDB_val value = gw__lmdb_val(bytes, len);
        gw__definitions_write_binding_key(1 + i / N_KEYS, &value, 0, key_bytes);
        MDB_val key = gw__lmdb_val(key_bytes, sizeof(key_bytes));
        assert_int_equal(mdb_put(txn, defs->bindings, &key, &value, 0), 0);
        free(bytes);
    }
    assert_int_equal(gw__definitions_end(defs, txn, GW_OK, &err), GW_OK);
}

/* As many bindings as there may be, of which each still finds its queue. */
static void test_full(void **state)
{
    (void)state;
    char queue[32];
    char key[32];
    for (int i = 0; i < N_QUEUES; i++) {
        snprintf(queue, sizeof(queue), "q%d", i);
        declare_queue(defs, &counter, queue);
    }
    bind_many();
    gw__binding_row one_more = a_binding("amq.topic", "q0", "x");
    check(gw__definitions_bind(defs, &one_more, &err), GW_E_LIMIT, "holds 10000 bindings already");
    bind_key(defs, "amq.direct", "q0", "0.0"); /* is there */
    const gw__topology *topology = get_topology(defs);
    const gw__exchange_row *from = gw__topology_exchange(topology, "amq.direct");
    for (int i = 0; i < N_QUEUES; i++) {
        snprintf(queue, sizeof(queue), "q%d", i);
        for (int k = 0; k < N_KEYS; k++) {
            const gw__queue_row *found[2];
            snprintf(key, sizeof(key), "%d.%d", i, k);
            assert_int_equal(gw__topology_route(topology, from, key, NULL, found, 2), 1);
            assert_string_equal(found[0]->name, queue);
        }
        assert_int_equal(gw__topology_queue(topology, queue)->n_logs, 1);
    }
    gw__topology_put(topology);
    assert_int_equal(gw__definitions_delete(defs, "q5", NULL, NULL, &err), GW_OK);
    assert_int_equal(gw__definitions_bind(defs, &one_more, &err), GW_OK); /* there is room again */
}

/* ---- copies ------------------------------------------------------------------------------ */

static void test_copy(void **state)
{
    (void)state;
    declare_queue(defs, &counter, "q");
    char to[300];
    char folder[320];
    snprintf(to, sizeof(to), "%s/copy", dir);
    snprintf(folder, sizeof(folder), "%s/definitions", to);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(gw__definitions_copy(defs, folder, &err), GW_OK);
    declare_queue(defs, &counter, "later");
    gw__definitions_close(defs);
    defs = open_definitions(to);
    assert_true(has_queue("q"));
    assert_false(has_queue("later"));
    snprintf(to, sizeof(to), "%s/nowhere", dir);
    check(gw__definitions_copy(defs, to, &err), GW_E_NOT_FOUND, "cannot copy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_logs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_temporary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("definitions", tests, NULL, NULL);
}
