/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/lmdb_env.h"
#include "support/child.h"
#include "vip_counting.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static char dir[256];

static int setup(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static off_t file_size(void)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void count_some(vip_store *store, unsigned *next)
{
    for (unsigned i = 0; i < 1000; i++) {
        char id[64];
        snprintf(id, sizeof(id), "%u", (*next)++);
        assert_true(vips_count(store, "10000", id));
    }
}

/* A process that was killed while it read keeps its place in the lock file. The store must not grow
 * for it, though nobody opens it again. */
static void test_killed_while_reading(void **state)
{
    (void)state;
    vip_store *store = vips_open(dir, 10, 86400);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        lmdb_env_options options = {.dir = dir, .max_dbs = 3, .max_bytes = (size_t)1 << 30};
        MDB_env *env;
        MDB_txn *txn;
        bool is_held = lmdb_env_open(&options, &env, NULL) == GW_OK &&
                       mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0;
        if (!is_held || write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unsigned next = 0;
    count_some(store, &next);
    off_t before = file_size();
    for (int i = 0; i < 5; i++) {
        count_some(store, &next);
    }
    assert_int_equal(file_size(), before);
    vip_store_close(store);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static void test_forget_by_number(void **state)
{
    (void)state;
    vip_store *store = vips_open(dir, 10, 86400);
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%u", i);
        assert_true(vips_count(store, "10000", id));
    }
    for (unsigned i = 20; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%u", i);
        assert_false(vips_count(store, "10000", id)); /* the last ten are known */
    }
    assert_true(vips_count(store, "10000", "m19"));
    assert_false(vips_count(store, "10000", "m19"));
    assert_true(vips_count(store, "10000", "m20")); /* it made room for m19 */
    vip_store_close(store);

    store = vips_open(dir, 3, 86400); /* the limit was lowered: it catches up */
    assert_true(vips_count(store, "10000", "n1"));
    assert_true(vips_count(store, "10000", "n2"));
    assert_true(vips_count(store, "10000", "m27"));
    assert_false(vips_count(store, "10000", "n1"));
    vip_store_close(store);
}

/* Put bytes into one of the store's databases behind its back. */
static void put(const char *database, const void *key_bytes, size_t key_len, const void *bytes,
                size_t len)
{
    lmdb_env_options options = {.dir = dir, .max_dbs = 3, .max_bytes = (size_t)1 << 30};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned flags = strcmp(database, "order") == 0 ? MDB_INTEGERKEY : 0;
    assert_int_equal(lmdb_env_open(&options, &env, NULL), GW_OK);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, MDB_CREATE | flags, &dbi), 0);
    MDB_val key = {.mv_size = key_len, .mv_data = (void *)(uintptr_t)key_bytes};
    MDB_val value = {.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* Write as the first version did, which had the filter in the store itself: such stores go on. */
static void remember_since(uint64_t number, uint64_t at_s, const char *id)
{
    char entry[64];
    size_t len = strlen(id);
    memcpy(entry, &at_s, sizeof(at_s));
    memcpy(entry + sizeof(at_s), id, len);
    put("order", &number, sizeof(number), entry, sizeof(at_s) + len);
    put("seen", id, len, &number, sizeof(number));
}

static void test_forget_by_age(void **state)
{
    (void)state;
    remember_since(1, 1000, "old1");
    remember_since(2, 1000, "old2");
    remember_since(3, (uint64_t)time(NULL) - 50, "young");
    remember_since(4, UINT64_MAX, "from the future");
    vip_store *store = vips_open(dir, 1000, 100);
    assert_false(
        vips_count(store, "10000", "old1")); /* nothing is forgotten before something is new */
    assert_true(vips_count(store, "10000", "new"));
    assert_true(vips_count(store, "10000", "old1"));
    assert_true(vips_count(store, "10000", "old2"));
    assert_false(vips_count(store, "10000", "young"));
    assert_false(vips_count(store, "10000", "new"));
    vip_store_close(store);
}

/* ---- damage
 * ----------------------------------------------------------------------------------------- */

static void ignore(void *ctx, const vip_reads *reads)
{
    (void)reads;
    ++*(unsigned *)ctx;
}

static void test_damaged_records(void **state)
{
    (void)state;
    static char long_time[8 + VIP_READ_AT_MAX + 1 + 1 + 2];
    static char long_record[1000];
    memset(long_time + 8, 't', VIP_READ_AT_MAX + 1);
    static const struct {
        const char *name;
        const void *bytes;
        size_t len;
    } cases[] = {
        {"empty", "", 0},
        {"short", "\1\0\0\0", 4},
        {"only a number", "\1\0\0\0\0\0\0\0", 8},
        {"one text", "\1\0\0\0\0\0\0\0at\0", 11},
        {"no end", "\1\0\0\0\0\0\0\0at\0id", 13},
        {"too much", "\1\0\0\0\0\0\0\0at\0id\0more\0", 19},
        {"long time", long_time, sizeof(long_time)},
        {"long", long_record, sizeof(long_record)},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        put("reads", "bad", 3, cases[i].bytes, cases[i].len);
        vip_store *store = vips_open(dir, 1000000, 86400);
        vip_reads reads;
        unsigned n = 0;
        bool is_new;
        gw_error err = GW_ERROR_INIT;
        char id[32];
        snprintf(id, sizeof(id), "m%zu", i);
        if (vip_store_get(store, "bad", &reads, &err) != GW_E_IO) {
            fail_msg("%s: taken for a record", cases[i].name);
        }
        assert_non_null(strstr(err.text, "is damaged"));
        assert_non_null(strstr(err.text, dir));
        assert_int_equal(vip_store_list(store, NULL, 10, ignore, &n, &err), GW_E_IO);
        assert_int_equal(vips_count_at(store, "bad", AT, id, &is_new, &err), GW_E_IO);
        /* Nothing was noted of it, and the others are not concerned. */
        assert_true(vips_count(store, "10000", id));
        assert_int_equal(vips_reads_of(store, "10000"), i + 1);
        vip_store_close(store);
    }
}

static void test_damaged_order(void **state)
{
    (void)state;
    uint64_t number = 5;
    static const char zeros[600];
    put("order", &number, sizeof(number), "short", 5);
    number++;
    put("order", &number, sizeof(number), zeros, sizeof(zeros));
    vip_store *store =
        vips_open(dir, 1000000, 86400); /* entries that say nothing are dropped as the oldest */
    assert_true(vips_count(store, "10000", "m1"));
    assert_true(vips_count(store, "10000", "m2"));
    assert_false(vips_count(store, "10000", "m1"));
    assert_int_equal(vips_reads_of(store, "10000"), 2);
    vip_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_while_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_order, setup, teardown),
    };
    return cmocka_run_group_tests_name("VIP store in LMDB", tests, NULL, NULL);
}
