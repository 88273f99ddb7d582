/* SPDX-License-Identifier: MIT */
/* Which queues take a message, for each type of exchange, and snapshots that stay as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/child.h"
#include "topology_sample.h"

static char dir[256];
static gw__definitions *defs;
static log_counter counter;

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    counter = (log_counter){.status = GW_OK};
    defs = open_definitions(dir);
    declare_queue(defs, &counter, "c");
    declare_queue(defs, &counter, "a");
    declare_queue(defs, &counter, "b");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw__definitions_close(defs);
    remove_test_dir(dir);
    return 0;
}

/* ---- types of exchanges -------------------------------------------------------------- */

static void test_direct(void **state)
{
    (void)state;
    declare_exchange(defs, "other", GW_EXCHANGE_DIRECT);
    bind_key(defs, "amq.direct", "b", "k");
    bind_key(defs, "amq.direct", "a", "k");
    bind_key(defs, "amq.direct", "a", "k"); /* again: nothing */
    bind_key(defs, "amq.direct", "a", "");
    bind_key(defs, "other", "c", "k");
    assert_string_equal(route(defs, "amq.direct", "k", NULL), "a b ");
    assert_string_equal(route(defs, "amq.direct", "", NULL), "a ");
    assert_string_equal(route(defs, "amq.direct", "K", NULL), "");
    assert_string_equal(route(defs, "amq.direct", "k.", NULL), "");
    assert_string_equal(route(defs, "other", "k", NULL), "c ");
}

static void test_fanout(void **state)
{
    (void)state;
    bind_key(defs, "amq.fanout", "c", "x");
    bind_key(defs, "amq.fanout", "a", "x");
    bind_key(defs, "amq.fanout", "a", "y"); /* two bindings, one copy */
    assert_string_equal(route(defs, "amq.fanout", "z", NULL), "a c ");
}

static void test_topic(void **state)
{
    (void)state;
    bind_key(defs, "amq.topic", "a", "order.*");
    bind_key(defs, "amq.topic", "a", "#.new");
    bind_key(defs, "amq.topic", "b", "order.#");
    bind_key(defs, "amq.topic", "c", "order.new");
    assert_string_equal(route(defs, "amq.topic", "order.new", NULL), "a b c ");
    assert_string_equal(route(defs, "amq.topic", "order", NULL), "b ");
    assert_string_equal(route(defs, "amq.topic", "order.old", NULL), "a b ");
    assert_string_equal(route(defs, "amq.topic", "bill.new", NULL), "a ");
    assert_string_equal(route(defs, "amq.topic", "bill", NULL), "");
}

/* ---- headers --------------------------------------------------------------------------- */

static gw_value text_value(const char *text)
{
    return (gw_value){.kind = GW_VALUE_TEXT, .as.bytes = {.data = text, .len = strlen(text)}};
}

static gw_value int_value(int64_t number)
{
    return (gw_value){.kind = GW_VALUE_INT, .as.integer = number};
}

static void bind_headers(const char *queue, const gw_header *headers, size_t n, bool any)
{
    gw__binding_row row = a_binding("amq.headers", queue, "");
    row.headers = headers;
    row.n_headers = n;
    row.match_any = any;
    gw_error err = GW_ERROR_INIT;
    if (gw__definitions_bind(defs, &row, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

static gw_message *message_with(const char *color, int64_t size)
{
    gw_message *msg = gw_message_new("", 0);
    if (color != NULL) {
        assert_int_equal(gw_message_set_header_text(msg, "color", color), GW_OK);
    }
    if (size != 0) {
        assert_int_equal(gw_message_set_header_int(msg, "size", size), GW_OK);
    }
    return msg;
}

static void check_route(gw_message *msg, const char *expected)
{
    assert_string_equal(route(defs, "amq.headers", "any key", msg), expected);
    gw_message_free(msg);
}

static void test_headers(void **state)
{
    (void)state;
    const gw_header both[] = {
        {"color", text_value("red")}, {"size", int_value(5)}, {"x-match", text_value("who cares")}};
    bind_headers("a", both, 3, false);
    bind_headers("b", both, 3, true);
    check_route(message_with("red", 5), "a b ");
    check_route(message_with("red", 6), "b ");
    check_route(message_with(NULL, 5), "b ");
    check_route(message_with("blue", 6), "");
    check_route(message_with(NULL, 0), "");
    bind_headers("c", NULL, 0, false); /* all of nothing: every message has it */
    check_route(message_with(NULL, 0), "c ");
    bind_headers("a", NULL, 0, true); /* any of nothing: the same */
    check_route(message_with(NULL, 0), "a c ");
    check_route(message_with("red", 5), "a b c ");
}

static void test_header_without_a_value(void **state)
{
    (void)state;
    const gw_header color = {"color", {.kind = GW_VALUE_NULL}};
    bind_headers("a", &color, 1, false);
    check_route(message_with("green", 0), "a ");
    check_route(message_with(NULL, 5), "");
}

/* A binding with one value, and a message with another one or the same. */
static bool values_match(const gw_value *bound, const gw_value *sent)
{
    static unsigned n;
    char name[16];
    snprintf(name, sizeof(name), "value%u", n++);
    const gw_header header = {name, *bound};
    bind_headers("a", &header, 1, false);
    gw_message *msg = gw_message_new("", 0);
    assert_int_equal(gw_message_set_header(msg, name, sent), GW_OK);
    bool matches = route(defs, "amq.headers", "", msg)[0] != '\0';
    gw_message_free(msg);
    return matches;
}

static void test_values(void **state)
{
    (void)state;
    const gw_value one = int_value(1);
    const gw_value two = int_value(2);
    const gw_header in_a = {"k", int_value(1)};
    const gw_header in_b = {"k", int_value(2)};
    const gw_header in_c = {"l", int_value(1)};
    const gw_value ones[] = {one, two};
    const gw_value values[] = {
        int_value(7),
        int_value(-7),
        {.kind = GW_VALUE_UINT, .as.uinteger = UINT64_MAX - 6}, /* the bits of -7 */
        {.kind = GW_VALUE_TIME, .as.uinteger = 7},
        {.kind = GW_VALUE_TIME, .as.uinteger = 8},
        {.kind = GW_VALUE_DOUBLE, .as.real = 7},
        {.kind = GW_VALUE_DOUBLE, .as.real = 7.5},
        {.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = 1, .digits = 70}},
        {.kind = GW_VALUE_DECIMAL, .as.decimal = {.scale = 0, .digits = 7}},
        {.kind = GW_VALUE_BOOL, .as.boolean = true},
        {.kind = GW_VALUE_BOOL, .as.boolean = false},
        text_value("7"),
        text_value("77"),
        {.kind = GW_VALUE_BYTES, .as.bytes = {.data = "7", .len = 1}},
        {.kind = GW_VALUE_ARRAY, .as.array = {.items = ones, .n_items = 2}},
        {.kind = GW_VALUE_ARRAY, .as.array = {.items = ones, .n_items = 1}},
        {.kind = GW_VALUE_ARRAY, .as.array = {.items = ones + 1, .n_items = 1}},
        {.kind = GW_VALUE_TABLE, .as.table = {.items = &in_a, .n_items = 1}},
        {.kind = GW_VALUE_TABLE, .as.table = {.items = &in_b, .n_items = 1}},
        {.kind = GW_VALUE_TABLE, .as.table = {.items = &in_c, .n_items = 1}},
        {.kind = GW_VALUE_TABLE, .as.table = {.items = NULL, .n_items = 0}},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
            if (values_match(&values[i], &values[k]) != (i == k)) {
                fail_msg("values %zu and %zu", i, k);
            }
        }
    }
    const gw_value small_unsigned = {.kind = GW_VALUE_UINT, .as.uinteger = 7};
    assert_true(values_match(&values[0], &small_unsigned)); /* a number is a number */
}

/* Headers mean nothing elsewhere, and make no second binding there. */
static void test_headers_of_another_exchange(void **state)
{
    (void)state;
    const gw_header color = {"color", text_value("red")};
    gw__binding_row row = a_binding("amq.direct", "a", "k");
    row.headers = &color;
    row.n_headers = 1;
    assert_int_equal(gw__definitions_bind(defs, &row, NULL), GW_OK);
    bind_key(defs, "amq.direct", "a", "k");
    assert_string_equal(route(defs, "amq.direct", "k", NULL), "a ");
    const gw__topology *topology = get_topology(defs);
    size_t n;
    gw__topology_bindings(topology, &n);
    assert_int_equal(n, 1);
    gw__topology_put(topology);
}

/* ---- snapshots ------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    bind_key(defs, "amq.topic", "b", "z");
    bind_key(defs, "amq.topic", "b", "y");
    bind_key(defs, "amq.topic", "a", "z");
    bind_key(defs, "amq.direct", "c", "z");
    const gw__topology *topology = get_topology(defs);
    size_t n;
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n);
    assert_int_equal(n, 3);
    assert_string_equal(queues[0]->name, "a");
    assert_string_equal(queues[2]->name, "c");
    const gw__exchange_row *const *exchanges = gw__topology_exchanges(topology, &n);
    assert_int_equal(n, 5);
    assert_string_equal(exchanges[0]->name, "amq.direct");
    assert_string_equal(exchanges[4]->name, "amq.topic");
    static const char *const expected[] = {"amq.direct c z", "amq.topic a z", "amq.topic b y",
                                           "amq.topic b z"};
    const gw__binding_row *const *bindings = gw__topology_bindings(topology, &n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        char text[800];
        snprintf(text, sizeof(text), "%s %s %s", bindings[i]->exchange, bindings[i]->queue,
                 bindings[i]->key);
        assert_string_equal(text, expected[i]);
    }
    gw__topology_put(topology);
}

static void test_immutable(void **state)
{
    (void)state;
    const gw__topology *before = get_topology(defs);
    const gw__topology *same = get_topology(defs);
    assert_ptr_equal(before, same);
    gw__topology_put(same);
    assert_int_equal(gw__definitions_delete(defs, "a", NULL, NULL, NULL), GW_OK);
    const gw__topology *after = get_topology(defs);
    assert_true(gw__topology_generation(after) > gw__topology_generation(before));
    assert_non_null(gw__topology_queue(before, "a"));
    assert_null(gw__topology_queue(after, "a"));
    assert_null(gw__topology_queue(after, ""));
    assert_null(gw__topology_exchange(after, ""));
    gw__definitions_close(defs);
    assert_string_equal(gw__topology_queue(before, "a")->name, "a"); /* outlives what it is of */
    gw__topology_put(before);
    gw__topology_put(after);
    gw__topology_put(NULL);
    defs = open_definitions(dir);
}

/* More queues take it than there is room for the answer. */
static void test_room(void **state)
{
    (void)state;
    bind_key(defs, "amq.fanout", "a", "");
    bind_key(defs, "amq.fanout", "b", "");
    bind_key(defs, "amq.direct", "a", "");
    bind_key(defs, "amq.direct", "c", "");
    const gw__topology *topology = get_topology(defs);
    const gw__queue_row *queues[2] = {NULL, NULL};
    static const char *const names[] = {"amq.fanout", "amq.direct"};
    for (size_t i = 0; i < 2; i++) {
        const gw__exchange_row *from = gw__topology_exchange(topology, names[i]);
        assert_int_equal(gw__topology_route(topology, from, "", NULL, queues, 1), 2);
        assert_string_equal(queues[0]->name, "a");
        assert_null(queues[1]);
        assert_int_equal(gw__topology_route(topology, from, "", NULL, NULL, 0), 2);
    }
    gw__topology_put(topology);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_direct, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fanout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_header_without_a_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers_of_another_exchange, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_immutable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
