/* SPDX-License-Identifier: MIT */
/* What an outbox still holds goes to a local transport, in order, and none of it is lost. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "messaging/drain.h"
#include "messaging/targets.h"
#include "support/child.h"

#define N_LEFT 1500 /* more than is read from the disk at once */

/* A local transport that notes what it is given. */
typedef struct sink_transport {
    gw__transport head;
    unsigned next; /* the number that is to come */
    unsigned room;
    unsigned never; /* a message that it refuses for good; UINT_MAX: none */
    unsigned n_failed;
} sink_transport;

static unsigned number_of(const gw_message *msg)
{
    return (unsigned)strtoul(gw_message_id(msg), NULL, 10);
}

static gw_status take(gw__transport *head, const gw__outgoing *item, gw_error *err)
{
    sink_transport *to = (sink_transport *)head;
    unsigned number = number_of(item->msg);
    assert_int_equal(number, to->next);
    assert_string_equal(item->routing_key, "left");
    if (number == to->never) {
        to->next++;
        return gw_error_set(err, GW_E_UNROUTABLE, 312, "nobody wants it");
    }
    if (to->room == 0) {
        return gw_error_set(err, GW_E_FULL, 0, "the queue is full");
    }
    to->next++;
    to->room--;
    return GW_OK;
}

static gw_status take_many(gw__transport *head, const gw__outgoing *items, size_t n_items,
                           size_t *ret_n_done, gw_error *err)
{
    gw_status st = GW_OK;
    *ret_n_done = 0;
    while (*ret_n_done < n_items && (st = take(head, &items[*ret_n_done], err)) == GW_OK) {
        ++*ret_n_done;
    }
    return st;
}

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    sink_transport *to = ctx;
    assert_int_equal(number_of(msg), to->never);
    assert_int_equal(why->status, GW_E_UNROUTABLE);
    to->n_failed++;
}

static void no_wake(void *ctx)
{
    (void)ctx;
}

static gw__relay_options options_for(const char *dir, gw__targets *targets, void *ctx)
{
    return (gw__relay_options){.level = GW_OUTBOX_PROCESS,
                               .dir = dir,
                               .max_messages = 100000,
                               .max_bytes = (size_t)64 << 20,
                               .targets = targets,
                               .on_failed = on_failed,
                               .wake = no_wake,
                               .ctx = ctx};
}

/* As a service does that ran while its broker was away. */
static void leave_messages(const char *dir)
{
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    gw__relay_options options = options_for(dir, targets, NULL);
    gw__relay *relay;
    gw__target *target;
    assert_int_equal(gw__relay_open(&options, &relay, NULL), GW_OK);
    assert_int_equal(gw__targets_exchange(targets, "left", GW_EXCHANGE_FANOUT, &target, NULL),
                     GW_OK);
    for (unsigned i = 0; i < N_LEFT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", i);
        gw_message *msg = gw_message_new(id, strlen(id));
        assert_int_equal(gw_message_set_id(msg, id), GW_OK);
        assert_int_equal(gw__relay_put(relay, target, msg, NULL, NULL, NULL, NULL), GW_OK);
    }
    gw__relay_free(relay);
    gw__targets_free(targets);
}

static gw_status drain_into(sink_transport *to, const char *dir, gw_error *err)
{
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    gw__relay_options options = options_for(dir, targets, to);
    gw_status st = gw__drain(&options, &to->head, err);
    gw__targets_free(targets);
    return st;
}

static void check_moves_all(const gw__transport_type *type)
{
    char dir[256];
    make_test_dir(dir, sizeof(dir));
    leave_messages(dir);
    sink_transport to = {.head.type = type, .room = 700, .never = 300};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(drain_into(&to, dir, &err), GW_E_FULL);
    assert_int_equal(to.next, 701);
    assert_non_null(strstr(err.text, "799 messages stay"));
    assert_non_null(strstr(err.text, dir));
    assert_int_equal(to.n_failed, 1);
    to.room = N_LEFT;
    assert_int_equal(drain_into(&to, dir, &err), GW_OK);
    assert_int_equal(to.next, N_LEFT);
    assert_int_equal(to.n_failed, 1); /* not once more: it is with the dead */
    assert_int_equal(drain_into(&to, dir, &err), GW_OK);
    assert_int_equal(to.next, N_LEFT);
    remove_test_dir(dir);
}

static void test_one_by_one(void **state)
{
    (void)state;
    static const gw__transport_type type = {.scheme = "test", .durable = true, .publish = take};
    check_moves_all(&type);
}

static void test_many_at_once(void **state)
{
    (void)state;
    static const gw__transport_type type = {
        .scheme = "test", .durable = true, .publish = take, .publish_many = take_many};
    check_moves_all(&type);
}

static void test_no_outbox_is_made(void **state)
{
    (void)state;
    static const gw__transport_type type = {.scheme = "test", .durable = true, .publish = take};
    char dir[256];
    make_test_dir(dir, sizeof(dir));
    sink_transport to = {.head.type = &type, .never = UINT_MAX};
    assert_int_equal(drain_into(&to, dir, NULL), GW_OK);
    assert_int_equal(rmdir(dir), 0); /* nothing is in it */
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_no_outbox_is_made),
    };
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
