/* SPDX-License-Identifier: MIT */
/* Each id takes effect once: in threads of its own, in processes that share the store and are
 * killed, and in stores that vipservice made before the filter was a part of the library. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include <godwit/duplicates.h>

#include "support/child.h"

#define N_OF(a)   (sizeof(a) / sizeof((a)[0]))
#define MAX_BYTES ((size_t)64 << 20)

/* A store as a service has one: a database of its own beside the filter. */
typedef struct store {
    MDB_env *env;
    MDB_dbi own;
    gw_duplicates *dup;
} store;

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

/* In a child cmocka's assertions would run the parent's rest: it ends instead. */
static void need(bool what, const char *text)
{
    if (!what) {
        fprintf(stderr, "process %d: %s\n", (int)getpid(), text);
        abort();
    }
}

static MDB_env *open_env(size_t max_bytes, unsigned max_dbs)
{
    MDB_env *env;
    need(mdb_env_create(&env) == 0, "no environment");
    need(mdb_env_set_maxdbs(env, max_dbs) == 0, "no databases");
    need(mdb_env_set_mapsize(env, max_bytes) == 0, "no map");
    need(mdb_env_open(env, dir, MDB_NOSYNC, 0600) == 0, "the environment does not open");
    return env;
}

static MDB_txn *begin(MDB_env *env)
{
    MDB_txn *txn;
    need(mdb_txn_begin(env, NULL, 0, &txn) == 0, "no transaction");
    return txn;
}

static void commit(MDB_txn *txn)
{
    need(mdb_txn_commit(txn) == 0, "no commit");
}

static store open_store(uint64_t max_ids, uint64_t max_age_s)
{
    gw_duplicates_options options = {.max_ids = max_ids, .max_age_s = max_age_s};
    store it = {.env = open_env(MAX_BYTES, 8)};
    gw_error err = GW_ERROR_INIT;
    MDB_txn *txn = begin(it.env);
    need(mdb_dbi_open(txn, "own", MDB_CREATE, &it.own) == 0, "no database");
    need(gw_duplicates_open(it.env, txn, &options, &it.dup, &err) == GW_OK, err.text);
    commit(txn);
    return it;
}

static store open_plain(void)
{
    return open_store(1000000, 86400);
}

static void close_store(store *it)
{
    gw_duplicates_free(it->dup);
    mdb_env_close(it->env);
}

static bool check_in(store *it, MDB_txn *txn, const char *id)
{
    bool is_new = false;
    gw_error err = GW_ERROR_INIT;
    need(gw_duplicates_check(it->dup, txn, id, &is_new, &err) == GW_OK, err.text);
    return is_new;
}

static bool check(store *it, const char *id)
{
    MDB_txn *txn = begin(it->env);
    bool is_new = check_in(it, txn, id);
    commit(txn);
    return is_new;
}

static uint64_t get_count(store *it, MDB_txn *txn)
{
    char name[] = "n";
    MDB_val key = {.mv_size = 1, .mv_data = name};
    MDB_val value;
    uint64_t n = 0;
    int rc = mdb_get(txn, it->own, &key, &value);
    need(rc == 0 || rc == MDB_NOTFOUND, "the count cannot be read");
    if (rc == 0) {
        memcpy(&n, value.mv_data, sizeof(n));
    }
    return n;
}

/* What a handler does: count the message, if it is new. */
static void add_one(store *it, MDB_txn *txn)
{
    char name[] = "n";
    MDB_val key = {.mv_size = 1, .mv_data = name};
    uint64_t n = get_count(it, txn) + 1;
    MDB_val value = {.mv_size = sizeof(n), .mv_data = &n};
    need(mdb_put(txn, it->own, &key, &value, 0) == 0, "the count cannot be written");
}

static bool handle(store *it, const char *id)
{
    MDB_txn *txn = begin(it->env);
    bool is_new = check_in(it, txn, id);
    if (is_new) {
        add_one(it, txn);
        commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    return is_new;
}

static uint64_t count_of(store *it)
{
    MDB_txn *txn = begin(it->env);
    uint64_t n = get_count(it, txn);
    mdb_txn_abort(txn);
    return n;
}

/* How many entries a database of the filter has. */
static size_t entries(store *it, const char *database)
{
    MDB_dbi dbi;
    MDB_stat stat;
    MDB_txn *txn = begin(it->env);
    assert_int_equal(mdb_dbi_open(txn, database, 0, &dbi), 0);
    assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
    mdb_txn_abort(txn);
    return stat.ms_entries;
}

/* ---- checking ------------------------------------------------------------------------ */

static void test_check(void **state)
{
    (void)state;
    store it = open_plain();
    assert_true(check(&it, "m1"));
    assert_true(check(&it, "m2"));
    assert_false(check(&it, "m1"));
    assert_false(check(&it, "m1"));
    assert_true(check(&it, "m"));
    assert_true(check(&it, "m11"));
    close_store(&it);
    it = open_plain();
    assert_false(check(&it, "m2"));
    assert_false(check(&it, "m11"));
    assert_true(check(&it, "m3"));
    close_store(&it);
    gw_duplicates_free(NULL);
}

/* The id and what the handler wrote are one. */
static void test_aborted(void **state)
{
    (void)state;
    store it = open_plain();
    MDB_txn *txn = begin(it.env);
    assert_true(check_in(&it, txn, "m1"));
    assert_false(check_in(&it, txn, "m1")); /* within the transaction it is known */
    add_one(&it, txn);
    mdb_txn_abort(txn);
    assert_int_equal(count_of(&it), 0);
    assert_true(handle(&it, "m1"));
    assert_false(handle(&it, "m1"));
    assert_int_equal(count_of(&it), 1);
    close_store(&it);
}

static void test_several_in_one_transaction(void **state)
{
    (void)state;
    store it = open_store(20, 86400);
    char id[32];
    MDB_txn *txn = begin(it.env);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "m%u", i);
        assert_true(check_in(&it, txn, id));
        assert_false(check_in(&it, txn, id));
    }
    commit(txn);
    assert_int_equal(entries(&it, "seen"), 20);
    assert_int_equal(entries(&it, "order"), 20);
    close_store(&it);
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        gw_status expected;
    } cases[] = {
        {0, GW_E_INVALID}, {1, GW_OK},          {36, GW_OK},
        {255, GW_OK},      {256, GW_E_INVALID}, {5000, GW_E_INVALID},
    };
    char id[5001];
    store it = open_plain();
    for (size_t i = 0; i < N_OF(cases); i++) {
        memset(id, 'i', cases[i].len);
        id[cases[i].len] = '\0';
        bool is_new = false;
        MDB_txn *txn = begin(it.env);
        gw_status st = gw_duplicates_check(it.dup, txn, id, &is_new, NULL);
        if (st != cases[i].expected || is_new != (st == GW_OK)) {
            fail_msg("%zu bytes: got %s, expected %s", cases[i].len, gw_status_name(st),
                     gw_status_name(cases[i].expected));
        }
        commit(txn); /* also after an id that was refused */
    }
    bool is_new;
    gw_error err = GW_ERROR_INIT;
    MDB_txn *txn = begin(it.env);
    assert_int_equal(gw_duplicates_check(it.dup, txn, NULL, &is_new, &err), GW_E_INVALID);
    assert_string_equal(err.text, "a message id has 1 to 255 bytes");
    mdb_txn_abort(txn);
    assert_true(check(&it, "\x01\xff\"\n"));
    assert_false(check(&it, "\x01\xff\"\n"));
    close_store(&it);
}

/* ---- opening ------------------------------------------------------------------------- */

static void test_open_alone(void **state)
{
    (void)state;
    store it = {.env = open_env(MAX_BYTES, GW_DUPLICATES_N_DATABASES)};
    assert_int_equal(gw_duplicates_open(it.env, NULL, NULL, &it.dup, NULL), GW_OK);
    assert_true(check(&it, "m1"));
    assert_false(check(&it, "m1"));
    close_store(&it);
}

static void test_options(void **state)
{
    (void)state;
    char long_name[GW_DUPLICATES_NAME_MAX + 2];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    const struct {
        gw_duplicates_options options;
        gw_status expected;
    } cases[] = {
        {{.max_ids = 1}, GW_OK},
        {{.max_ids = UINT64_MAX, .max_age_s = UINT64_MAX}, GW_OK},
        {{.name = "a", .max_ids = 1}, GW_OK},
        {{.name = long_name + 1, .max_ids = 1}, GW_OK},
        {{.name = long_name, .max_ids = 1}, GW_E_INVALID},
        {{.name = "", .max_ids = 1}, GW_E_INVALID},
        {{.max_ids = 0, .max_age_s = 10}, GW_E_INVALID},
    };
    MDB_env *env = open_env(MAX_BYTES, 8);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_duplicates *dup = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_duplicates_open(env, NULL, &cases[i].options, &dup, &err);
        if (st != cases[i].expected || (dup != NULL) != (st == GW_OK)) {
            fail_msg("case %zu: got %s (%s), expected %s", i, gw_status_name(st), err.text,
                     gw_status_name(cases[i].expected));
        }
        gw_duplicates_free(dup);
    }
    gw_duplicates *dup = NULL;
    assert_int_equal(gw_duplicates_open(NULL, NULL, NULL, &dup, NULL), GW_E_INVALID);
    mdb_env_close(env);
}

static void test_no_room_for_databases(void **state)
{
    (void)state;
    MDB_env *env = open_env(MAX_BYTES, 1);
    gw_duplicates *dup = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_duplicates_open(env, NULL, NULL, &dup, &err), GW_E_INVALID);
    assert_null(dup);
    assert_non_null(strstr(err.text, "mdb_env_set_maxdbs()"));
    assert_non_null(strstr(err.text, dir));
    mdb_env_close(env);
}

/* A service's own database of this name is left alone, and another name is asked for. */
static void test_names_that_are_taken(void **state)
{
    (void)state;
    store it = {.env = open_env(MAX_BYTES, 8)};
    MDB_dbi dbi;
    MDB_txn *txn = begin(it.env);
    assert_int_equal(mdb_dbi_open(txn, "order", MDB_CREATE, &dbi), 0);
    commit(txn);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_duplicates_open(it.env, NULL, NULL, &it.dup, &err), GW_E_INVALID);
    assert_non_null(strstr(err.text, "of another kind"));
    gw_duplicates_options options = GW_DUPLICATES_OPTIONS_INIT;
    options.name = "payments";
    assert_int_equal(gw_duplicates_open(it.env, NULL, &options, &it.dup, &err), GW_OK);
    assert_true(check(&it, "m1"));
    assert_int_equal(entries(&it, "payments.seen"), 1);
    assert_int_equal(entries(&it, "payments.order"), 1);
    assert_int_equal(entries(&it, "order"), 0);
    close_store(&it);
}

/* Filters of different names in one store know nothing of each other. */
static void test_two_filters(void **state)
{
    (void)state;
    store it = open_plain();
    gw_duplicates_options options = GW_DUPLICATES_OPTIONS_INIT;
    options.name = "other";
    store other = it;
    assert_int_equal(gw_duplicates_open(it.env, NULL, &options, &other.dup, NULL), GW_OK);
    assert_true(check(&it, "m1"));
    assert_true(check(&other, "m1"));
    assert_false(check(&it, "m1"));
    assert_false(check(&other, "m1"));
    gw_duplicates_free(other.dup);
    close_store(&it);
}

/* ---- forgetting ------------------------------------------------------------------------ */

static void test_forget_by_number(void **state)
{
    (void)state;
    char id[32];
    store it = open_store(10, 86400);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(id, sizeof(id), "m%u", i);
        assert_true(check(&it, id));
    }
    assert_int_equal(entries(&it, "seen"), 10);
    for (unsigned i = 20; i < 30; i++) {
        snprintf(id, sizeof(id), "m%u", i);
        assert_false(check(&it, id)); /* the last ten are known */
    }
    assert_true(check(&it, "m19"));
    assert_false(check(&it, "m19"));
    assert_true(check(&it, "m20")); /* it made room for m19 */
    close_store(&it);
}

/* A lower limit is reached by and by: no message pays for all. */
static void test_lowered_limit(void **state)
{
    (void)state;
    enum { N = 100, AT_ONCE = 8 };
    char id[32];
    store it = open_store(1000, 86400);
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof(id), "m%u", i);
        assert_true(check(&it, id));
    }
    close_store(&it);
    it = open_store(3, 86400);
    size_t before = N;
    while (before > 3) {
        snprintf(id, sizeof(id), "n%zu", before);
        assert_true(check(&it, id));
        size_t now = entries(&it, "seen");
        assert_int_equal(now, before + 1 - AT_ONCE > 3 ? before + 1 - AT_ONCE : 3);
        assert_int_equal(entries(&it, "order"), now);
        before = now;
    }
    close_store(&it);
}

/* Write as vipservice 0.1.0 did: this is the format, and it stays. */
static void remember_since(uint64_t number, uint64_t at_s, const char *id)
{
    MDB_env *env = open_env(MAX_BYTES, 8);
    MDB_txn *txn = begin(env);
    MDB_dbi seen, order;
    assert_int_equal(mdb_dbi_open(txn, "seen", MDB_CREATE, &seen), 0);
    assert_int_equal(mdb_dbi_open(txn, "order", MDB_CREATE | MDB_INTEGERKEY, &order), 0);
    char entry[64];
    memcpy(entry, &at_s, sizeof(at_s));
    memcpy(entry + sizeof(at_s), id, strlen(id));
    MDB_val as_id = {.mv_size = strlen(id), .mv_data = (void *)(uintptr_t)id};
    MDB_val as_number = {.mv_size = sizeof(number), .mv_data = &number};
    MDB_val as_entry = {.mv_size = sizeof(at_s) + strlen(id), .mv_data = entry};
    assert_int_equal(mdb_put(txn, seen, &as_id, &as_number, 0), 0);
    assert_int_equal(mdb_put(txn, order, &as_number, &as_entry, 0), 0);
    commit(txn);
    mdb_env_close(env);
}

static void test_older_store(void **state)
{
    (void)state;
    uint64_t now_s = (uint64_t)time(NULL);
    remember_since(7, now_s - 10, "m7");
    remember_since(8, now_s - 5, "m8");
    store it = open_store(3, 86400);
    assert_false(check(&it, "m7"));
    assert_false(check(&it, "m8"));
    assert_true(check(&it, "m9"));
    assert_true(check(&it, "m10")); /* makes room by dropping the oldest of the old ones */
    assert_int_equal(entries(&it, "seen"), 3);
    assert_false(check(&it, "m8"));
    assert_true(check(&it, "m7"));
    close_store(&it);
}

static void test_forget_by_age(void **state)
{
    (void)state;
    uint64_t now_s = (uint64_t)time(NULL);
    remember_since(1, 1000, "old1");
    remember_since(2, now_s - 200, "old2");
    remember_since(3, now_s - 50, "young");
    remember_since(4, now_s + 3600, "ahead"); /* written before the clock was put back */
    store it = open_store(1000, 100);
    assert_false(check(&it, "old1")); /* nothing is forgotten before something is new */
    assert_true(check(&it, "new"));
    assert_int_equal(entries(&it, "seen"), 3);
    assert_true(check(&it, "old1"));
    assert_true(check(&it, "old2"));
    assert_false(check(&it, "young"));
    assert_false(check(&it, "ahead"));
    assert_false(check(&it, "new"));
    close_store(&it);
}

static void test_ages_at_the_edge(void **state)
{
    (void)state;
    remember_since(1, 0, "first");
    remember_since(2, UINT64_MAX, "last");
    store it = open_store(1000, UINT64_MAX); /* never by age, and no sum that runs over */
    assert_true(check(&it, "new"));
    assert_false(check(&it, "first"));
    assert_false(check(&it, "last"));
    close_store(&it);
    it = open_store(1000, 100);
    assert_true(check(&it, "newer"));
    assert_true(check(&it, "first"));
    assert_false(check(&it, "last"));
    close_store(&it);
}

/* ---- processes ------------------------------------------------------------------------- */

static pid_t fork_child(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return 0;
    }
    assert_true(pid > 0);
    return pid;
}

static void wait_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void wait_killed(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* Two processes are given the same messages, each in an order of its own. */
static void test_two_processes(void **state)
{
    (void)state;
    enum { N = 500 };
    int gate[2];
    pid_t pids[2];
    assert_int_equal(pipe(gate), 0);
    for (unsigned which = 0; which < N_OF(pids); which++) {
        pids[which] = fork_child();
        if (pids[which] == 0) {
            char byte;
            close(gate[1]);
            need(read(gate[0], &byte, 1) == 0, "the gate");
            store it = open_plain();
            for (unsigned i = 0; i < N; i++) {
                char id[32];
                snprintf(id, sizeof(id), "m%u", which == 0 ? i : N - 1 - i);
                handle(&it, id);
            }
            close_store(&it);
            _exit(0);
        }
    }
    close(gate[0]);
    close(gate[1]); /* both at once */
    for (size_t i = 0; i < N_OF(pids); i++) {
        wait_well(pids[i]);
    }
    store it = open_plain();
    assert_int_equal(count_of(&it), N);
    assert_int_equal(entries(&it, "seen"), N);
    close_store(&it);
}

/* One dies while it holds the transaction; the other waits for it, and gets it. */
static void test_killed_within_a_transaction(void **state)
{
    (void)state;
    int held[2];
    assert_int_equal(pipe(held), 0);
    pid_t holder = fork_child();
    if (holder == 0) {
        store it = open_plain();
        need(handle(&it, "before"), "a new id is not new");
        MDB_txn *txn = begin(it.env);
        need(check_in(&it, txn, "the-one"), "a new id is not new");
        add_one(&it, txn);
        need(write(held[1], "x", 1) == 1, "the pipe");
        for (;;) {
            pause();
        }
    }
    char byte;
    assert_int_equal(read(held[0], &byte, 1), 1);
    pid_t waiter = fork_child();
    if (waiter == 0) {
        store it = {.env = open_env(MAX_BYTES, 8)};
        need(write(held[1], "x", 1) == 1, "the pipe");
        MDB_txn *txn = begin(it.env); /* waits for the holder, or finds its lock left behind */
        need(mdb_dbi_open(txn, "own", 0, &it.own) == 0, "no database");
        need(gw_duplicates_open(it.env, txn, NULL, &it.dup, NULL) == GW_OK, "no filter");
        need(!check_in(&it, txn, "before"), "what was committed is lost");
        need(check_in(&it, txn, "the-one"), "what was not committed is there");
        add_one(&it, txn);
        commit(txn);
        close_store(&it);
        _exit(0);
    }
    assert_int_equal(read(held[0], &byte, 1), 1);
    wait_killed(holder);
    wait_well(waiter);
    close(held[0]);
    close(held[1]);
    store it = open_plain();
    assert_int_equal(count_of(&it), 2);
    assert_false(handle(&it, "the-one"));
    close_store(&it);
}

/* Each round's process goes through all messages that are not settled, as a broker would deliver
 * them again, and is killed somewhere. A second one, which lives, takes every third. */
static void test_killed_anywhere(void **state)
{
    (void)state;
    enum { N_ROUNDS = 8, STEP = 40 };
    for (unsigned round = 1; round <= N_ROUNDS; round++) {
        int progress[2];
        assert_int_equal(pipe(progress), 0);
        pid_t pid = fork_child();
        if (pid == 0) {
            store it = open_plain();
            for (unsigned i = 0; i < N_ROUNDS * STEP; i++) {
                char id[32];
                snprintf(id, sizeof(id), "m%u", i);
                handle(&it, id);
                need(write(progress[1], "x", 1) == 1, "the pipe");
            }
            for (;;) {
                pause();
            }
        }
        close(progress[1]);
        store it = open_plain();
        char byte;
        for (unsigned i = 0; i < round * STEP; i++) {
            char id[32];
            assert_int_equal(read(progress[0], &byte, 1), 1);
            snprintf(id, sizeof(id), "m%u", i + 1);
            if (i % 3 == 0 && i + 1 < N_ROUNDS * STEP) {
                handle(&it, id);
            }
        }
        wait_killed(pid); /* it goes on meanwhile, and so dies anywhere */
        close(progress[0]);
        assert_int_equal(count_of(&it), entries(&it, "seen"));
        assert_int_equal(count_of(&it), entries(&it, "order"));
        close_store(&it);
    }
    store it = open_plain();
    for (unsigned i = 0; i < N_ROUNDS * STEP; i++) {
        char id[32];
        snprintf(id, sizeof(id), "m%u", i);
        handle(&it, id);
    }
    assert_int_equal(count_of(&it), N_ROUNDS * STEP);
    close_store(&it);
}

/* ---- failure --------------------------------------------------------------------------- */

/* A store at its limit refuses, loses nothing, and goes on when there is room. */
static void test_full(void **state)
{
    (void)state;
    store it = {.env = open_env((size_t)256 << 10, 8)};
    assert_int_equal(gw_duplicates_open(it.env, NULL, NULL, &it.dup, NULL), GW_OK);
    char id[256];
    gw_status st = GW_OK;
    gw_error err = GW_ERROR_INIT;
    unsigned n = 0;
    for (; st == GW_OK && n < 100000; n++) {
        bool is_new = false;
        snprintf(id, sizeof(id), "%0250u", n);
        MDB_txn *txn = begin(it.env);
        st = gw_duplicates_check(it.dup, txn, id, &is_new, &err);
        if (st == GW_OK) {
            assert_true(is_new);
            int rc = mdb_txn_commit(txn);
            assert_true(rc == 0 || rc == MDB_MAP_FULL);
            st = rc == 0 ? GW_OK : GW_E_NO_SPACE;
        } else {
            assert_non_null(strstr(err.text, dir));
            assert_non_null(strstr(err.text, "size limit"));
            mdb_txn_abort(txn);
        }
    }
    assert_int_equal(st, GW_E_NO_SPACE);
    assert_true(gw_status_is_retriable(st));
    assert_int_equal(mdb_env_set_mapsize(it.env, MAX_BYTES), 0);
    assert_true(check(&it, id));
    assert_false(check(&it, id));
    assert_int_equal(entries(&it, "seen"), n);
    close_store(&it);
}

static void test_damaged(void **state)
{
    (void)state;
    remember_since(UINT64_MAX, (uint64_t)time(NULL), "last");
    store it = open_plain();
    bool is_new;
    gw_error err = GW_ERROR_INIT;
    MDB_txn *txn = begin(it.env);
    assert_int_equal(gw_duplicates_check(it.dup, txn, "new", &is_new, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "damaged"));
    assert_non_null(strstr(err.text, dir));
    mdb_txn_abort(txn);
    assert_false(check(&it, "last"));
    close_store(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_check, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aborted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_in_one_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room_for_databases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lowered_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ages_at_the_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_within_a_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };
    return cmocka_run_group_tests_name("duplicates", tests, NULL, NULL);
}
