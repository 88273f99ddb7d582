/* SPDX-License-Identifier: MIT */
/* A log as its users see it: order, leases, what is given back, limits, segments that come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log_fixture.h"

#define OTHER 8u

static gw__log_state *state;
static gw__log *orders;

static int open_log(void **unused)
{
    int rc = log_make_dir(unused);
    state = log_new_state();
    orders = log_open(state);
    return rc;
}

static int close_log(void **unused)
{
    gw__log_close(orders);
    log_free_state(state);
    return log_remove_dir(unused);
}

static void put(uint64_t first, size_t n)
{
    assert_int_equal(log_put(orders, first, n, 100, NULL), GW_OK);
}

static gw__log_counts count(void)
{
    gw__log_counts counts;
    gw__log_count(orders, &counts);
    return counts;
}

static void test_first_in_first_out(void **unused)
{
    (void)unused;
    uint64_t positions[100];
    log_expect_nothing(orders);
    put(1, 100);
    assert_true(gw__log_has_ready(orders));
    log_expect(orders, 1, 60, false, positions);
    assert_int_equal(count().n_ready, 40);
    assert_int_equal(count().n_leased, 60);
    log_done(orders, positions, 60);
    log_expect(orders, 61, 40, false, positions);
    log_done(orders, positions, 40);
    log_expect_nothing(orders);
    assert_int_equal(count().n_ready, 0);
    assert_int_equal(count().n_leased, 0);
    assert_int_equal(count().n_bytes, 0);
    assert_int_equal(count().n_settled, 100);
}

static void test_what_is_given_back_comes_first_and_is_marked(void **unused)
{
    (void)unused;
    uint64_t positions[10];
    put(1, 10);
    log_expect(orders, 1, 5, false, positions);
    log_return(orders, positions + 1, 3); /* 2 3 4 */
    assert_int_equal(count().n_ready, 8);
    log_expect(orders, 2, 3, true, positions + 1);
    log_expect(orders, 6, 5, false, positions + 5);
    log_done(orders, positions, 10);
    assert_int_equal(count().n_redelivered, 3);
    log_expect_nothing(orders);
}

static void test_settling_what_is_not_ones_own_does_nothing(void **unused)
{
    (void)unused;
    uint64_t positions[2];
    put(1, 2);
    log_expect(orders, 1, 2, false, positions);
    assert_int_equal(gw__log_settle(orders, OTHER, positions, 2, GW__LOG_DONE), 0);
    log_done(orders, positions, 1);
    assert_int_equal(gw__log_settle(orders, LOG_MEMBER, positions, 1, GW__LOG_DONE), 0); /* twice */
    uint64_t wild[] = {0, 1, UINT64_MAX, positions[1] + 8, positions[1] + (UINT64_C(9) << 32)};
    assert_int_equal(gw__log_settle(orders, LOG_MEMBER, wild, 5, GW__LOG_DONE), 0);
    log_done(orders, positions + 1, 1);
}

static void test_a_members_leases_are_given_back_alone(void **unused)
{
    (void)unused;
    gw__log_record records[4];
    uint64_t positions[4];
    put(1, 8);
    log_expect(orders, 1, 4, false, positions);
    assert_int_equal(gw__log_take(orders, OTHER, 0, 0, records, 4), 4);
    assert_int_equal(gw__log_return_all(orders, OTHER), 4);
    assert_int_equal(gw__log_return_all(orders, OTHER), 0);
    log_done(orders, positions, 4);
    log_expect(orders, 5, 4, true, positions);
    log_done(orders, positions, 4);
}

static void test_settled_out_of_order(void **unused)
{
    (void)unused;
    uint64_t positions[100];
    put(1, 100);
    log_expect(orders, 1, 100, false, positions);
    for (size_t i = 100; i > 0; i--) {
        log_done(orders, &positions[i - 1], 1);
    }
    assert_int_equal(count().n_leased, 0);
    assert_int_equal(state->head, state->tail);
}

static void test_expired_records_are_dropped_and_counted(void **unused)
{
    (void)unused;
    uint64_t positions[2];
    assert_int_equal(log_put_until(orders, 1, 1000), GW_OK); /* the fixture's now is 1000 */
    assert_int_equal(log_put_until(orders, 2, 1001), GW_OK);
    assert_int_equal(log_put_until(orders, 3, 999), GW_OK);
    assert_int_equal(log_put_until(orders, 4, 0), GW_OK);
    log_expect(orders, 2, 1, false, positions);
    log_expect(orders, 4, 1, false, positions + 1);
    assert_int_equal(count().n_expired, 2);
    log_done(orders, positions, 2);
    assert_int_equal(count().n_settled, 2);
}

/* More than are dropped in one go. */
static void test_very_many_expired_ones_are_in_nobodys_way(void **unused)
{
    (void)unused;
    enum { N = 40000 };
    for (uint64_t i = 1; i <= N; i++) {
        assert_int_equal(log_put_until(orders, i, 500), GW_OK);
    }
    put(N + 1, 1);
    log_expect(orders, N + 1, 1, false, NULL);
    assert_int_equal(count().n_expired, N);
    assert_int_equal(count().n_leased, 1);
    for (uint64_t i = N + 2; i <= 2 * N; i++) {
        assert_int_equal(log_put_until(orders, i, 500), GW_OK);
    }
    log_expect_nothing(orders);
    assert_int_equal(gw__log_return_all(orders, LOG_MEMBER), 1);
    uint64_t position;
    log_expect(orders, N + 1, 1, true, &position);
    log_done(orders, &position, 1);
    log_expect_nothing(orders);
    assert_int_equal(state->head, state->tail);
}

static void test_delayed_records_wait_until_they_are_due(void **unused)
{
    (void)unused;
    gw__log_record records[4];
    assert_int_equal(gw__log_first_due_ms(orders), UINT64_MAX);
    assert_int_equal(log_put_until(orders, 1, 1000), GW_OK);
    assert_int_equal(log_put_until(orders, 2, 2000), GW_OK);
    assert_int_equal(gw__log_first_due_ms(orders), 1000);
    assert_int_equal(gw__log_take(orders, LOG_MEMBER, 0, 999, records, 4), 0);
    assert_int_equal(gw__log_take(orders, LOG_MEMBER, 0, 1000, records, 4), 1);
    assert_int_equal(log_number(&records[0]), 1);
    assert_int_equal(gw__log_first_due_ms(orders), 2000);
    log_return(orders, &records[0].position, 1);
    assert_int_equal(gw__log_first_due_ms(orders), 1000);
    assert_int_equal(gw__log_take(orders, LOG_MEMBER, 0, 5000, records, 4), 2);
    assert_true(records[0].redelivered && !records[1].redelivered);
    assert_int_equal(gw__log_first_due_ms(orders), UINT64_MAX);
}

static void test_limits_refuse_whole_batches(void **unused)
{
    (void)unused;
    gw_error err = GW_ERROR_INIT;
    gw__log_limits few = {.max_messages = 3};
    gw__log_limits small = {.max_bytes = 100};
    put(1, 2);
    assert_int_equal(log_put(orders, 3, 1, 0, NULL), GW_OK);
    gw__log_write write = {.len = 0};
    assert_int_equal(gw__log_append(orders, &write, 1, &few, NULL, &err), GW_E_FULL);
    assert_non_null(strstr(err.text, "queue 'orders' is full"));
    assert_int_equal(gw__log_append(orders, &write, 1, &small, NULL, &err), GW_E_FULL);
    write.len = 200;
    assert_int_equal(gw__log_append(orders, &write, 1, &small, NULL, &err), GW_E_LIMIT);
    assert_int_equal(count().n_ready, 3);
}

static void test_drop_takes_the_oldest_that_are_ready(void **unused)
{
    (void)unused;
    uint64_t positions[10];
    put(1, 10);
    log_expect(orders, 1, 4, false, positions);
    log_return(orders, positions + 2, 1);                     /* 3 */
    assert_int_equal(gw__log_drop(orders, 3, NULL, NULL), 3); /* 3 5 6 */
    assert_int_equal(count().n_dropped, 3);
    assert_int_equal(count().n_ready, 4);
    log_done(orders, positions, 2);
    log_done(orders, positions + 3, 1);
    log_expect(orders, 7, 4, false, positions);
    log_done(orders, positions, 4);
    assert_int_equal(state->head, state->tail);
}

static bool spill_one(void *ctx, const gw__log_record *record)
{
    uint64_t *last = ctx;
    if (*last != 0) {
        return false;
    }
    *last = log_number(record);
    return true;
}

static void test_drop_stops_at_what_cannot_be_spilled(void **unused)
{
    (void)unused;
    uint64_t last = 0;
    put(1, 3);
    assert_int_equal(gw__log_drop(orders, 3, spill_one, &last), 1);
    assert_int_equal(last, 1);
    log_expect(orders, 2, 2, false, NULL);
}

static void test_segments_come_and_go(void **unused)
{
    (void)unused;
    uint64_t positions[256];
    size_t disk_bytes;
    uint64_t number = 1;
    while (log_n_segments(NULL) < 4) {
        assert_int_equal(log_put(orders, number, 256, 8000, NULL), GW_OK);
        number += 256;
    }
    for (uint64_t first = 1; first < number; first += 256) {
        log_expect(orders, first, 256, false, positions);
        log_done(orders, positions, 256);
    }
    assert_int_equal(log_n_segments(&disk_bytes), 1);
    assert_true(disk_bytes < (size_t)4 << 20);
    assert_int_equal(count().n_bytes, 0);
}

/* A member that joined when the head was in a segment which it has never read. */
static void test_a_view_that_begins_behind_the_head(void **unused)
{
    (void)unused;
    uint64_t number = 1;
    while (log_n_segments(NULL) < 3) {
        assert_int_equal(log_put(orders, number, 256, 8000, NULL), GW_OK);
        log_expect(orders, number, 256, false, NULL);
        number += 256;
    }
    assert_int_equal(log_put(orders, number, 1, 0, NULL), GW_OK);
    gw__log *other = log_open(state);
    gw__log_record record;
    assert_int_equal(gw__log_take(other, LOG_MEMBER + 1, 0, 0, &record, 1), 1);
    assert_int_equal(log_number(&record), number);
    assert_int_equal(gw__log_return_all(other, LOG_MEMBER), number - 1);
    assert_int_equal(gw__log_settle(other, LOG_MEMBER + 1, &record.position, 1, GW__LOG_DONE), 1);
    assert_int_equal(log_n_segments(NULL), 3);
    for (uint64_t first = 1; first < number; first += 256) {
        log_expect(other, first, 256, true, NULL);
    }
    log_expect_nothing(other);
    gw__log_close(other);
}

static void test_a_record_larger_than_a_segment(void **unused)
{
    (void)unused;
    uint64_t positions[3];
    size_t large = (size_t)40 << 20;
    put(1, 1);
    uint64_t number = 2;
    while (log_record_len(number, large) < (size_t)20 << 20) {
        number++;
    }
    assert_int_equal(log_put(orders, number, 1, large, NULL), GW_OK);
    put(number + 1, 1);
    log_expect(orders, 1, 1, false, positions);
    log_expect(orders, number, 1, false, positions + 1);
    log_expect(orders, number + 1, 1, false, positions + 2);
    log_done(orders, positions, 3);
    gw__log_write write = {.len = GW__LOG_RECORD_MAX + 1};
    assert_int_equal(gw__log_append(orders, &write, 1, NULL, NULL, NULL), GW_E_LIMIT);
}

static void test_two_views_of_one_log(void **unused)
{
    (void)unused;
    uint64_t positions[256];
    gw__log *other = log_open(state);
    uint64_t number = 1;
    while (log_n_segments(NULL) < 3) {
        assert_int_equal(log_put(orders, number, 100, 8000, NULL), GW_OK);
        assert_int_equal(log_put(other, number + 100, 100, 8000, NULL), GW_OK);
        number += 200;
    }
    for (uint64_t first = 1; first < number; first += 200) {
        log_expect(other, first, 200, false, positions);
        log_done(orders, positions, 200);
    }
    log_expect_nothing(orders);
    gw__log_close(other);
}

static void test_a_deleted_log_is_gone_for_everybody(void **unused)
{
    (void)unused;
    gw_error err = GW_ERROR_INIT;
    gw__log *other = log_open(state);
    put(1, 1);
    gw__log_delete(other);
    assert_false(gw__log_is_there(orders));
    log_expect_nothing(orders);
    assert_int_equal(log_put(orders, 2, 1, 0, &err), GW_E_NOT_FOUND);
    assert_int_equal(log_n_segments(NULL), 0);
    gw__log_close(other);
}

typedef struct seen {
    uint64_t numbers[16];
    uint32_t owners[16];
    size_t n;
} seen;

static bool see(void *ctx, const gw__log_record *record, uint32_t leased_to)
{
    seen *it = ctx;
    it->numbers[it->n] = log_number(record);
    it->owners[it->n++] = leased_to;
    return it->n < 16;
}

static void test_looking_changes_nothing(void **unused)
{
    (void)unused;
    uint64_t positions[4];
    seen it = {.n = 0};
    put(1, 6);
    log_expect(orders, 1, 4, false, positions);
    log_done(orders, positions + 1, 1);
    assert_int_equal(gw__log_visit(orders, see, &it, NULL), GW_OK);
    assert_int_equal(it.n, 5);
    assert_int_equal(it.numbers[0], 1);
    assert_int_equal(it.owners[0], LOG_MEMBER);
    assert_int_equal(it.numbers[1], 3);
    assert_int_equal(it.numbers[3], 5);
    assert_int_equal(it.owners[3], GW__LOG_NOBODY);
    log_expect(orders, 5, 2, false, NULL);
}

static void test_sync_covers_what_was_appended(void **unused)
{
    (void)unused;
    put(1, 10);
    uint64_t end = state->tail;
    assert_true(state->synced < end);
    assert_int_equal(gw__log_sync(orders, end, NULL), GW_OK);
    assert_true(state->synced >= end);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_in_first_out),
        TEST(test_what_is_given_back_comes_first_and_is_marked),
        TEST(test_settling_what_is_not_ones_own_does_nothing),
        TEST(test_a_members_leases_are_given_back_alone),
        TEST(test_settled_out_of_order),
        TEST(test_expired_records_are_dropped_and_counted),
        TEST(test_very_many_expired_ones_are_in_nobodys_way),
        TEST(test_delayed_records_wait_until_they_are_due),
        TEST(test_limits_refuse_whole_batches),
        TEST(test_drop_takes_the_oldest_that_are_ready),
        TEST(test_drop_stops_at_what_cannot_be_spilled),
        TEST(test_segments_come_and_go),
        TEST(test_a_view_that_begins_behind_the_head),
        TEST(test_a_record_larger_than_a_segment),
        TEST(test_two_views_of_one_log),
        TEST(test_a_deleted_log_is_gone_for_everybody),
        TEST(test_looking_changes_nothing),
        TEST(test_sync_covers_what_was_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
