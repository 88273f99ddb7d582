/* SPDX-License-Identifier: MIT */
/* What a VIP store in PostgreSQL alone does: how it forgets, and what it makes of rows of others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "support/place.h"
#include "vip_store.h"

#define AT "2026-11-22T10:42:13.667108584Z"

static const char *where;

static int setup(void **state)
{
    (void)state;
    where = place_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove();
    return 0;
}

static void ignore_state(void *ctx, const char *fault)
{
    (void)ctx;
    (void)fault;
}

static vip_store *open_store(uint64_t max_seen)
{
    vip_store_options options = {
        .where = where, .max_seen = max_seen, .max_seen_age_s = 3600, .on_state = ignore_state};
    vip_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    if (vip_store_open(&options, &store, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return store;
}

static bool count(vip_store *store, const char *message_id)
{
    gw_error err = GW_ERROR_INIT;
    vip_batch *batch = vip_batch_new(store);
    if (vip_batch_count(batch, "10000", AT, message_id, &err) != GW_OK ||
        vip_batch_commit(batch, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    bool is_new = vip_batch_was_new(batch, 0);
    vip_batch_free(batch);
    return is_new;
}

static void wait_known(const char *expected)
{
    uint64_t until_ms = gw_clock_ms() + 20000;
    while (strcmp(place_sql("SELECT count(*) FROM godwit_vip_messages"), expected) != 0) {
        if (gw_clock_ms() > until_ms) {
            fail_msg("%s ids are known, expected %s",
                     place_sql("SELECT count(*) FROM godwit_vip_messages"), expected);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void test_forget_by_number(void **state)
{
    (void)state;
    vip_store *store = open_store(10);
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%u", i);
        assert_true(count(store, id));
    }
    wait_known("10");
    for (unsigned i = 20; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%u", i);
        assert_false(count(store, id)); /* the last ten are known */
    }
    assert_true(count(store, "m19"));
    wait_known("10");
    assert_true(count(store, "m20")); /* it made room for m19 */
    vip_store_close(store);
}

static void test_forget_by_age(void **state)
{
    (void)state;
    vip_store *store = open_store(32);
    assert_true(count(store, "old1"));
    assert_true(count(store, "old2"));
    place_sql("UPDATE godwit_vip_messages SET seen_at = now() - interval '3601 seconds'");
    assert_true(count(store, "old1")); /* whether it was forgotten or not */
    assert_false(count(store, "old1"));
    assert_true(count(store, "new"));
    wait_known("2"); /* old2 goes, unasked */
    vip_store_close(store);
}

/* A limit that was lowered is reached, however far it is. */
static void test_forget_many(void **state)
{
    (void)state;
    vip_store_close(open_store(10));
    place_sql("INSERT INTO godwit_vip_messages SELECT ('m' || i)::bytea, "
              "now() - interval '1 minute' + i * interval '1 millisecond' "
              "FROM generate_series(1, 12000) AS i");
    vip_store *store = open_store(10);
    assert_true(count(store, "new"));
    wait_known("10");
    assert_false(count(store, "m12000"));
    vip_store_close(store);
}

static void ignore(void *ctx, const vip_reads *reads)
{
    (void)ctx;
    (void)reads;
}

static void test_rows_of_others(void **state)
{
    (void)state;
    vip_store *store = open_store(10);
    place_sql("INSERT INTO godwit_vip_reads VALUES ('bad', 1, repeat('t', 65), '', 'm')");
    vip_reads reads;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(vip_store_get(store, "bad", &reads, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "the row of account 'bad' is not one of ours"));
    assert_int_equal(vip_store_list(store, NULL, 10, ignore, NULL, &err), GW_E_IO);
    assert_true(count(store, "m1")); /* the others are not concerned */
    place_sql("DROP TABLE godwit_vip_reads");
    assert_int_equal(vip_store_get(store, "10000", &reads, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "godwit_vip_reads"));
    vip_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forget_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_others, setup, teardown),
    };
    return cmocka_run_group_tests_name("VIP store in PostgreSQL", tests, NULL, NULL);
}
