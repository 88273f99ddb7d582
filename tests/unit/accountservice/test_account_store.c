/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void test_seed(void **state)
{
    (void)state;
    account_store *store = open_store(dir);
    for (int i = 0; i < 100; i++) {
        char id[16];
        char name[32];
        snprintf(id, sizeof(id), "%d", 10000 + i);
        snprintf(name, sizeof(name), "Person_%d", i);
        account found;
        assert_int_equal(account_store_get(store, id, &found, NULL), GW_OK);
        assert_string_equal(found.id, id);
        assert_string_equal(found.name, name);
    }
    account found;
    gw_error err = GW_ERROR_INIT;
    static const char *const none[] = {"9999", "10100", "1000", "100000", "010000", "x"};
    for (size_t i = 0; i < N_OF(none); i++) {
        assert_int_equal(account_store_get(store, none[i], &found, &err), GW_E_NOT_FOUND);
    }
    assert_string_equal(err.text, "");
    account_store_close(store);
    account_store_close(NULL);
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

static account make(const char *id, const char *name)
{
    account one;
    snprintf(one.id, sizeof(one.id), "%s", id);
    snprintf(one.name, sizeof(one.name), "%s", name);
    return one;
}

static void assert_name(account_store *store, const char *id, const char *name)
{
    account found;
    assert_int_equal(account_store_get(store, id, &found, NULL), GW_OK);
    assert_string_equal(found.id, id);
    assert_string_equal(found.name, name);
}

static void assert_count(account_store *store, uint64_t expected)
{
    uint64_t n = UINT64_MAX;
    assert_int_equal(account_store_count(store, &n, NULL), GW_OK);
    assert_int_equal(n, expected);
}

static void test_put(void **state)
{
    (void)state;
    account_store *store = open_store(dir);
    assert_count(store, 100);
    account some[] = {make("10000", "Other"), make("new", ""), make("10001", "\xea\xb9\x80"),
                      make("new", "Twice")};
    size_t n_new = 0;
    assert_int_equal(account_store_put(store, some, 4, ACCOUNT_PUT_NEW, &n_new, NULL), GW_OK);
    assert_int_equal(n_new, 1);
    assert_name(store, "10000", "Person_0");
    assert_name(store, "new", "");
    assert_count(store, 101);
    assert_int_equal(account_store_put(store, some, 4, ACCOUNT_PUT_REPLACE, &n_new, NULL), GW_OK);
    assert_int_equal(n_new, 0);
    assert_name(store, "10000", "Other");
    assert_name(store, "10001", "\xea\xb9\x80");
    assert_name(store, "new", "Twice");
    assert_count(store, 101);
    assert_int_equal(account_store_put(store, NULL, 0, ACCOUNT_PUT_NEW, &n_new, NULL), GW_OK);
    assert_int_equal(n_new, 0);
    account_store_close(store);
    store = open_store(dir);
    assert_name(store, "new", "Twice");
    account_store_close(store);
}

/* One that is not valid is named, and none of the others is put. */
static void test_put_invalid(void **state)
{
    (void)state;
    account_store *store = open_store(dir);
    static const struct {
        const char *id;
        const char *name;
        const char *text;
    } cases[] = {
        {"a b", "x", "'a b' is no account id"},
        {"", "x", "'' is no account id"},
        {"bad", "\xff", "the name of account 'bad' is not UTF-8"},
        {"bad", "\xc0\xaf", "the name of account 'bad' is not UTF-8"},
        {"bad", "\xed\xa0\x80", "the name of account 'bad' is not UTF-8"},
        {"bad", "cut \xf0\x9f\x98", "the name of account 'bad' is not UTF-8"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        account some[] = {make("good", "x"), make(cases[i].id, cases[i].name)};
        gw_error err = GW_ERROR_INIT;
        size_t n_new = 77;
        assert_int_equal(account_store_put(store, some, 2, ACCOUNT_PUT_NEW, &n_new, &err),
                         GW_E_INVALID);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_int_equal(n_new, 77);
    }
    assert_count(store, 100);
    account_store_close(store);
}

typedef struct walk {
    char ids[2048];
    size_t n;
    size_t stop_after;
} walk;

static gw_status note(void *ctx, const account *found, gw_error *err)
{
    walk *w = ctx;
    size_t len = strlen(w->ids);
    snprintf(w->ids + len, sizeof(w->ids) - len, "%s=%s ", found->id, found->name);
    return ++w->n == w->stop_after ? gw_error_set(err, GW_E_CLOSED, 0, "enough") : GW_OK;
}

static void test_each(void **state)
{
    (void)state;
    account_store_options options = {.where = dir};
    account_store *store = NULL;
    assert_int_equal(account_store_open(&options, &store, NULL), GW_OK);
    assert_count(store, 0); /* not seeded */
    walk w = {.n = 0};
    assert_int_equal(account_store_each(store, NULL, note, &w, NULL), GW_OK);
    assert_int_equal(w.n, 0);
    account some[] = {make("b", "1"),  make("a", "2"), make("B", "3"), make("a-b", "4"),
                      make("10", "5"), make("9", "6"), make("_", "7"), make("ab", "8")};
    assert_int_equal(account_store_put(store, some, N_OF(some), ACCOUNT_PUT_NEW, NULL, NULL),
                     GW_OK);
    static const struct {
        const char *after;
        size_t stop_after;
        gw_status st;
        const char *expected;
    } cases[] = {
        {NULL, 0, GW_OK, "10=5 9=6 B=3 _=7 a=2 a-b=4 ab=8 b=1 "},
        {"a", 0, GW_OK, "a-b=4 ab=8 b=1 "},
        {"C", 0, GW_OK, "_=7 a=2 a-b=4 ab=8 b=1 "},
        {"b", 0, GW_OK, ""},
        {"z", 0, GW_OK, ""},
        {"9", 2, GW_E_CLOSED, "B=3 _=7 "},
        {"not an id", 0, GW_E_INVALID, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_error err = GW_ERROR_INIT;
        w = (walk){.stop_after = cases[i].stop_after};
        assert_int_equal(account_store_each(store, cases[i].after, note, &w, &err), cases[i].st);
        assert_string_equal(w.ids, cases[i].expected);
        if (cases[i].st == GW_E_CLOSED) {
            assert_string_equal(err.text, "enough");
        }
    }
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

/* Two services that start at the same moment on an empty directory. */
static void test_two_processes(void **state)
{
    (void)state;
    enum { N = 4 };
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char byte;
            close(gate[1]);
            ssize_t n = read(gate[0], &byte, 1);
            account_store *store = NULL;
            account found;
            int status = n == 0 && open_at(dir, &store, NULL) == GW_OK &&
                                 account_store_get(store, "10099", &found, NULL) == GW_OK &&
                                 strcmp(found.name, "Person_99") == 0
                             ? 0
                             : 1;
            account_store_close(store);
            _exit(status);
        }
    }
    close(gate[0]);
    close(gate[1]); /* all at once */
    for (int i = 0; i < N; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
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
        cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seeded_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_invalid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_kind_of_file, setup, teardown),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests_name("account store", tests, NULL, NULL);
}
