/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "accounts/account_store.h"
#include "store/lmdb_env.h"
#include "support/child.h"

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

static gw_status open_at(const char *path, account_store **ret_store, gw_error *err)
{
    account_store_options options = {.where = path, .seed = true};
    return account_store_open(&options, ret_store, err);
}

static account_store *open_store(const char *path)
{
    account_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    if (open_at(path, &store, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return store;
}

/* Change the store behind the service's back. */
static void put(const char *id, const void *name, size_t len, bool remove_others)
{
    lmdb_env_options options = {.dir = dir, .max_dbs = 1, .max_bytes = (size_t)1 << 30};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi accounts;
    assert_int_equal(lmdb_env_open(&options, &env, NULL), GW_OK);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "accounts", MDB_CREATE, &accounts), 0);
    if (remove_others) {
        assert_int_equal(mdb_drop(txn, accounts, 0), 0);
    }
    MDB_val key = {.mv_size = strlen(id), .mv_data = (void *)(uintptr_t)id};
    MDB_val value = {.mv_size = len, .mv_data = (void *)(uintptr_t)name};
    assert_int_equal(mdb_put(txn, accounts, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* Only an empty store is seeded: what an operator removed stays removed. */
static void test_seeded_once(void **state)
{
    (void)state;
    account_store_close(open_store(dir));
    put("10000", "Somebody", 8, true);
    account_store *store = open_store(dir);
    account found;
    assert_int_equal(account_store_get(store, "10000", &found, NULL), GW_OK);
    assert_string_equal(found.name, "Somebody");
    assert_int_equal(account_store_get(store, "10001", &found, NULL), GW_E_NOT_FOUND);
    account_store_close(store);
}

static void test_names(void **state)
{
    (void)state;
    char name[ACCOUNT_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    static const struct {
        size_t len;
        gw_status expected;
    } cases[] = {
        {0, GW_OK}, {1, GW_OK}, {ACCOUNT_NAME_MAX, GW_OK}, {ACCOUNT_NAME_MAX + 1, GW_E_IO}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        put("x", name, cases[i].len, false);
        account_store *store = open_store(dir);
        account found;
        gw_error err = GW_ERROR_INIT;
        gw_status st = account_store_get(store, "x", &found, &err);
        assert_int_equal(st, cases[i].expected);
        if (st == GW_OK) {
            assert_int_equal(strlen(found.name), cases[i].len);
        } else {
            assert_non_null(strstr(err.text, "is damaged"));
            assert_non_null(strstr(err.text, dir));
        }
        account_store_close(store);
    }
}

static void test_directories(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof(path), "%s/a//b/c", dir);
    account_store_close(open_store(path));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700); /* nobody else's business */

    char file[512];
    snprintf(file, sizeof(file), "%s/file", dir);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fclose(out);
    char below[600];
    snprintf(below, sizeof(below), "%s/below", file);
    char too_long[5000];
    memset(too_long, 'd', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    const struct {
        const char *path;
        const char *text;
    } cases[] = {
        {"", "store_dir is empty or longer than 4000 bytes"},
        {too_long, "store_dir is empty or longer than 4000 bytes"},
        {file, file},
        {below, "cannot make the directory"},
        {"/proc/nothing/here", "cannot make the directory /proc/nothing"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        account_store *store = NULL;
        gw_error err = GW_ERROR_INIT;
        assert_true(open_at(cases[i].path, &store, &err) != GW_OK);
        assert_null(store);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%.80s': got '%s', expected '%s'", cases[i].path, err.text, cases[i].text);
        }
    }
}

static void test_another_kind_of_file(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (int i = 0; i < 20000; i++) {
        fputc('x', out);
    }
    fclose(out);
    account_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(open_at(dir, &store, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "is damaged or of another kind"));
    assert_non_null(strstr(err.text, dir));
}

static void test_ids(void **state)
{
    (void)state;
    char longest[ACCOUNT_ID_MAX + 1];
    memset(longest, '7', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char too_long[10001];
    memset(too_long, '7', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    const struct {
        const char *id;
        bool valid;
    } cases[] = {
        {"10000", true}, {"a", true},
        {"A-b_9", true}, {longest, true},
        {"", false},     {too_long, false},
        {"..", false},   {"../etc", false},
        {"a b", false},  {"a\nb", false},
        {"\"", false},   {"'", false},
        {"a.b", false},  {"\xec\x96\xb4", false},
        {"\x80", false}, {"a/", false},
        {"%00", false},  {"\x7f", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (account_id_is_valid(cases[i].id) != cases[i].valid) {
            fail_msg("'%.80s' is %svalid", cases[i].id, cases[i].valid ? "not " : "");
        }
    }
    char one_more[ACCOUNT_ID_MAX + 2];
    memset(one_more, '7', sizeof(one_more) - 1);
    one_more[sizeof(one_more) - 1] = '\0';
    assert_false(account_id_is_valid(one_more));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seeded_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_kind_of_file, setup, teardown),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests_name("account store in LMDB", tests, NULL, NULL);
}
