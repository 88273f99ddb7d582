/* SPDX-License-Identifier: MIT */
/* What every account store does, whatever it is kept in: run with each kind of place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "accounts/account_store.h"
#include "support/place.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

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

static account_store *open_with(bool seed)
{
    account_store_options options = {.where = where, .seed = seed};
    account_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    if (account_store_open(&options, &store, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return store;
}

static account_store *open_store(void)
{
    return open_with(true);
}

static void test_seed(void **state)
{
    (void)state;
    account_store *store = open_store();
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

/* Only an empty store is seeded: one that has accounts keeps those. */
static void test_seeded_once(void **state)
{
    (void)state;
    account_store *store = open_with(false);
    account found;
    account one = {.id = "10000", .name = "Somebody"};
    assert_int_equal(account_store_get(store, "10000", &found, NULL), GW_E_NOT_FOUND);
    assert_int_equal(account_store_put(store, &one, 1, ACCOUNT_PUT_NEW, NULL, NULL), GW_OK);
    account_store_close(store);
    store = open_store();
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
    account_store *store = open_store();
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
    store = open_store();
    assert_name(store, "new", "Twice");
    account_store_close(store);
}

/* Names of any length and any characters come back as they went in. */
static void test_name_bytes(void **state)
{
    (void)state;
    char longest[ACCOUNT_NAME_MAX + 1];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const char *const names[] = {"",
                                 " ",
                                 longest,
                                 "\xea\xb9\x80\xec\xb2\xa0\xec\x88\x98",
                                 "{\"a\",\\b}",
                                 "NULL",
                                 "\\",
                                 "'; DROP TABLE x; --",
                                 "a\tb\nc\x01",
                                 "\xf0\x9f\x90\xa6",
                                 "{}",
                                 ",",
                                 "\\x41"};
    account_store *store = open_with(false);
    account some[N_OF(names)];
    for (size_t i = 0; i < N_OF(names); i++) {
        char id[16];
        snprintf(id, sizeof(id), "id-%zu", i);
        some[i] = make(id, names[i]);
    }
    assert_int_equal(account_store_put(store, some, N_OF(some), ACCOUNT_PUT_REPLACE, NULL, NULL),
                     GW_OK);
    for (size_t i = 0; i < N_OF(names); i++) {
        assert_name(store, some[i].id, names[i]);
    }
    account_store_close(store);
}

/* One that is not valid is named, and none of the others is put. */
static void test_put_invalid(void **state)
{
    (void)state;
    account_store *store = open_store();
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
    account_store *store = open_with(false);
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

typedef struct big_walk {
    account_store *store;
    size_t n;
    size_t n_after; /* put while it walked */
    char last[ACCOUNT_ID_MAX + 1];
} big_walk;

static gw_status note_order(void *ctx, const account *found, gw_error *err)
{
    big_walk *w = ctx;
    (void)err;
    assert_true(strcmp(w->last, found->id) < 0);
    memcpy(w->last, found->id, sizeof(w->last));
    if (w->n++ == 0) { /* in the way of a walk, and not to be seen by it */
        account late[] = {make("id-000000x", "late"), make("zzz", "late")};
        assert_int_equal(account_store_put(w->store, late, 2, ACCOUNT_PUT_NEW, &w->n_after, NULL),
                         GW_OK);
    }
    return GW_OK;
}

/* Thousands, put in one call, and walked as they were at one moment. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 5000 };
    static account some[N];
    for (int i = 0; i < N; i++) {
        char id[16];
        snprintf(id, sizeof(id), "id-%06d", (i * 7919) % N);
        some[i] = make(id, "somebody");
    }
    account_store *store = open_with(false);
    size_t n_new = 0;
    assert_int_equal(account_store_put(store, some, N, ACCOUNT_PUT_NEW, &n_new, NULL), GW_OK);
    assert_int_equal(n_new, N);
    big_walk w = {.store = open_with(false)};
    assert_int_equal(account_store_each(store, NULL, note_order, &w, NULL), GW_OK);
    assert_int_equal(w.n, N);
    assert_int_equal(w.n_after, 2);
    assert_count(store, N + 2);
    account_store_close(w.store);
    account_store_close(store);
}

/* Two services that start at the same moment on an empty store. */
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
            account_store_options options = {.where = where, .seed = true};
            account_store *store = NULL;
            account found;
            int status = n == 0 && account_store_open(&options, &store, NULL) == GW_OK &&
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seeded_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_invalid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
    };
    return cmocka_run_group_tests_name("account stores", tests, NULL, NULL);
}
