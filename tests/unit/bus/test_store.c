/* SPDX-License-Identifier: MIT */
/*
 * Messages at rest: order, replacement, limits, and files that something else has written to. Of
 * those LMDB itself checks little: a page with a wrong number in it can make it read anywhere. So
 * what is tested is what the store adds: checksums of records, a file that was cut, and one that is
 * none.
 */
#include <fcntl.h>
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
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "bus/store.h"
#include "support/child.h"

#define MAX_BYTES ((size_t)1 << 20)

static const gw__store_target queue_a = {.is_queue = true, .name = "a"};
static const gw__store_target topic_a = {.type = GW_EXCHANGE_TOPIC, .name = "a"};
static const gw__store_target fanout_a = {.type = GW_EXCHANGE_FANOUT, .name = "a"};

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static gw__store *open_store(void)
{
    gw__store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__store_open(dir, MAX_BYTES, false, &store, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return store;
}

static gw__store_txn *begin(gw__store *store)
{
    gw__store_txn *txn = NULL;
    assert_int_equal(gw__store_begin(store, &txn, NULL), GW_OK);
    return txn;
}

static void commit(gw__store_txn *txn)
{
    assert_int_equal(gw__store_commit(txn, true, NULL), GW_OK);
}

static gw__store_record record_of(uint32_t queue, uint64_t seq, const char *text)
{
    return (gw__store_record){.queue = queue,
                              .seq = seq,
                              .accepted_ms = seq * 10,
                              .bytes = (const uint8_t *)text,
                              .len = strlen(text)};
}

static void put(gw__store_txn *txn, uint32_t queue, uint64_t seq, const char *text)
{
    gw__store_record record = record_of(queue, seq, text);
    assert_int_equal(gw__store_put(txn, &record, NULL), GW_OK);
}

typedef struct seen {
    char text[256];
    size_t n_damaged;
    size_t limit;
} seen;

static bool see(void *ctx, const gw__store_record *record)
{
    seen *it = ctx;
    assert_true(record->accepted_ms == record->seq * 10);
    size_t len = strlen(it->text);
    snprintf(it->text + len, sizeof(it->text) - len, "%llu:%.*s ", (unsigned long long)record->seq,
             (int)record->len, (const char *)record->bytes);
    return --it->limit > 0;
}

static void see_damaged(void *ctx, uint32_t queue, uint64_t seq)
{
    (void)queue;
    (void)seq;
    ((seen *)ctx)->n_damaged++;
}

static seen read_all(gw__store *store, uint32_t queue, uint64_t after, size_t limit)
{
    seen it = {.limit = limit};
    const gw__store_visitor visitor = {.record = see, .damaged = see_damaged, .ctx = &it};
    assert_int_equal(gw__store_read(store, queue, after, &visitor, NULL), GW_OK);
    return it;
}

/* ---- queues and records ---------------------------------------------------------------- */

static void test_queues(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_target long_name = {.is_queue = true};
    memset(long_name.name, 'n', sizeof(long_name.name) - 1);
    const gw__store_target *targets[] = {&queue_a, &topic_a, &fanout_a, &long_name};
    uint32_t numbers[4];
    for (int round = 0; round < 2; round++) { /* the second one in another process's place */
        gw__store_txn *txn = begin(store);
        for (size_t i = 0; i < 4; i++) {
            uint32_t number;
            assert_int_equal(gw__store_queue(txn, targets[i], &number, NULL), GW_OK);
            assert_true(number > 0);
            assert_true(round == 0 || number == numbers[i]);
            for (size_t k = 0; round == 0 && k < i; k++) {
                assert_int_not_equal(number, numbers[k]);
            }
            numbers[i] = number;
        }
        commit(txn);
        gw__store_close(store);
        store = open_store();
    }
    gw__store_close(store);
    gw__store_close(NULL);
}

static void test_order(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    put(txn, 2, 5, "five");
    put(txn, 1, 300, "x"); /* numbers above a byte, queues on both sides */
    put(txn, 3, 1, "y");
    put(txn, 2, 70000, "late");
    put(txn, 2, 4, "four");
    put(txn, 2, 256, "");
    commit(txn);
    assert_string_equal(read_all(store, 2, 0, 9).text, "4:four 5:five 256: 70000:late ");
    assert_string_equal(read_all(store, 2, 4, 2).text, "5:five 256: ");
    assert_string_equal(read_all(store, 2, 70000, 9).text, "");
    assert_string_equal(read_all(store, 2, UINT64_MAX, 9).text, "");
    assert_string_equal(read_all(store, 7, 0, 9).text, "");
    size_t n_records;
    size_t n_bytes;
    assert_int_equal(gw__store_measure(store, 2, &n_records, &n_bytes, NULL), GW_OK);
    assert_int_equal(n_records, 4);
    assert_int_equal(n_bytes, 12);
    gw__store_counts counts;
    assert_int_equal(gw__store_count(store, &counts, NULL), GW_OK);
    assert_int_equal(counts.n_records, 6);
    assert_int_equal(counts.last_seq, 70000);
    gw__store_close(store);
}

static void test_replace_and_remove(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    put(txn, 1, 1, "one");
    put(txn, 1, 2, "two");
    put(txn, 1, 2, "another two, longer");
    put(txn, 1, 1, "1");
    commit(txn);
    assert_string_equal(read_all(store, 1, 0, 9).text, "1:1 2:another two, longer ");
    txn = begin(store);
    assert_int_equal(gw__store_remove(txn, 1, 1, NULL), GW_OK);
    assert_int_equal(gw__store_remove(txn, 1, 1, NULL), GW_OK); /* gone is gone */
    assert_int_equal(gw__store_remove(txn, 9, 9, NULL), GW_OK);
    put(txn, 1, 3, "three");
    gw__store_abort(txn); /* none of it */
    gw__store_abort(NULL);
    assert_string_equal(read_all(store, 1, 1, 9).text, "2:another two, longer ");
    txn = begin(store);
    assert_int_equal(gw__store_remove(txn, 1, 1, NULL), GW_OK);
    put(txn, 1, 3, "three"); /* an append after a removal in one transaction */
    assert_int_equal(gw__store_remove(txn, 1, 3, NULL), GW_OK);
    put(txn, 1, 4, "four");
    commit(txn);
    assert_string_equal(read_all(store, 1, 0, 9).text, "2:another two, longer 4:four ");
    gw__store_close(store);
}

/* ---- the dead and the damaged ------------------------------------------------------------ */

static bool see_dead(void *ctx, const gw__store_dead *dead)
{
    seen *it = ctx;
    size_t len = strlen(it->text);
    snprintf(it->text + len, sizeof(it->text) - len, "%llu/%u/%d/%llu:%.10s:%.*s ",
             (unsigned long long)dead->record.seq, dead->record.queue, dead->status,
             (unsigned long long)dead->died_ms, dead->reason, (int)dead->record.len,
             (const char *)dead->record.bytes);
    return --it->limit > 0;
}

static void test_dead(void **state)
{
    (void)state;
    gw__store *store = open_store();
    char reason[2 * GW_ERROR_TEXT_MAX];
    memset(reason, 'r', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    const gw__store_dead dead[] = {
        {.record = record_of(3, 9, "nine"), .died_ms = 7, .status = GW_E_INVALID, .reason = ""},
        {.record = record_of(4, 2, "two"), .died_ms = 8, .status = GW_E_LIMIT, .reason = reason},
    };
    gw__store_txn *txn = begin(store);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(gw__store_put_dead(txn, &dead[i], NULL), GW_OK);
    }
    commit(txn);
    char expected[128];
    seen it = {.limit = 9};
    snprintf(expected, sizeof(expected), "2/4/%d/8:rrrrrrrrrr:two 9/3/%d/7::nine ", GW_E_LIMIT,
             GW_E_INVALID);
    assert_int_equal(gw__store_read_dead(store, 0, see_dead, &it, NULL), GW_OK);
    assert_string_equal(it.text, expected);
    gw__store_counts counts;
    assert_int_equal(gw__store_count(store, &counts, NULL), GW_OK);
    assert_int_equal(counts.n_dead, 2);
    assert_int_equal(counts.last_seq, 9); /* their numbers are taken */
    txn = begin(store);
    assert_int_equal(gw__store_remove_dead(txn, 9, NULL), GW_OK);
    assert_int_equal(gw__store_remove_dead(txn, 9, NULL), GW_OK);
    commit(txn);
    assert_int_equal(gw__store_count(store, &counts, NULL), GW_OK);
    assert_int_equal(counts.n_dead, 1);
    gw__store_close(store);
}

/* Change the bytes of a text in the store's file. */
static void damage(const char *text)
{
    char path[300];
    struct stat info;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    char *all = malloc((size_t)info.st_size);
    assert_int_equal(pread(fd, all, (size_t)info.st_size, 0), info.st_size);
    size_t n_found = 0;
    for (char *at = all;
         (at = memmem(at, (size_t)(all + info.st_size - at), text, strlen(text))) != NULL; at++) {
        char wrong = (char)(*at ^ 1);
        assert_int_equal(pwrite(fd, &wrong, 1, at - all), 1);
        n_found++;
    }
    assert_true(n_found > 0);
    free(all);
    close(fd);
}

static void test_damaged(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    put(txn, 1, 1, "before");
    put(txn, 1, 2, "zebra-crossing");
    put(txn, 1, 3, "after");
    const gw__store_dead dead = {.record = record_of(1, 4, "dead-zebra"), .reason = "why"};
    assert_int_equal(gw__store_put_dead(txn, &dead, NULL), GW_OK);
    commit(txn);
    gw__store_close(store);
    damage("zebra-crossing");
    damage("dead-zebra");
    store = open_store();
    seen it = read_all(store, 1, 0, 9);
    assert_string_equal(it.text, "1:before 3:after ");
    assert_int_equal(it.n_damaged, 1);
    seen none = {.limit = 9};
    assert_int_equal(gw__store_read_dead(store, 0, see_dead, &none, NULL), GW_OK);
    assert_string_equal(none.text, "");
    txn = begin(store);
    assert_int_equal(gw__store_set_aside(txn, 1, 2, NULL), GW_OK);
    assert_int_equal(gw__store_set_aside(txn, 1, 2, NULL), GW_OK);
    assert_int_equal(gw__store_put_damaged(txn, 77, "", 0, NULL), GW_OK);
    commit(txn);
    gw__store_counts counts;
    assert_int_equal(gw__store_count(store, &counts, NULL), GW_OK);
    assert_int_equal(counts.n_records, 2);
    assert_int_equal(counts.n_damaged, 2);
    assert_int_equal(counts.last_seq, 77); /* what is kept is not written over */
    gw__store_close(store);
}

/* ---- requests ------------------------------------------------------------------------------ */

static bool see_asked(void *ctx, uint32_t queue, uint64_t seq, gw__store_ask what)
{
    seen *it = ctx;
    size_t len = strlen(it->text);
    snprintf(it->text + len, sizeof(it->text) - len, "%llu/%u/%d ", (unsigned long long)seq, queue,
             (int)what);
    return --it->limit > 0;
}

static void test_asked(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    assert_int_equal(gw__store_ask_for(txn, 1, 500, GW__STORE_DROP, NULL), GW_OK);
    assert_int_equal(gw__store_ask_for(txn, 0, 3, GW__STORE_RESEND, NULL), GW_OK);
    assert_int_equal(gw__store_ask_for(txn, 0, 3, GW__STORE_DROP_DEAD, NULL), GW_OK);
    commit(txn);
    gw__store_close(store);
    store = open_store();
    seen it = {.limit = 9};
    assert_int_equal(gw__store_read_asked(store, see_asked, &it, NULL), GW_OK);
    assert_string_equal(it.text, "3/0/3 500/1/1 "); /* the last word counts */
    txn = begin(store);
    assert_int_equal(gw__store_forget_asked(txn, 3, NULL), GW_OK);
    assert_int_equal(gw__store_forget_asked(txn, 4, NULL), GW_OK);
    commit(txn);
    it = (seen){.limit = 9};
    assert_int_equal(gw__store_read_asked(store, see_asked, &it, NULL), GW_OK);
    assert_string_equal(it.text, "500/1/1 ");
    gw__store_close(store);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static gw_status try_open(bool read_only, gw_error *err)
{
    gw__store *store = NULL;
    gw_status st = gw__store_open(dir, MAX_BYTES, read_only, &store, err);
    assert_true((st == GW_OK) == (store != NULL));
    gw__store_close(store);
    return st;
}

static void test_nothing_to_look_at(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(try_open(true, &err), GW_E_NOT_FOUND);
}

static void test_newer_version(void **state)
{
    (void)state;
    gw__store_close(open_store());
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    uint32_t version = 2;
    MDB_val key = {.mv_size = 7, .mv_data = (void *)(uintptr_t) "version"};
    MDB_val value = {.mv_size = sizeof(version), .mv_data = &version};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    for (int read_only = 0; read_only < 2; read_only++) {
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(try_open(read_only != 0, &err), GW_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "version 2"));
        assert_non_null(strstr(err.text, dir));
    }
}

static void test_not_a_store(void **state)
{
    (void)state;
    char path[300];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    static const struct {
        size_t len;
        int byte;
    } cases[] = {{1, 'x'}, {100, 'x'}, {4096, 'x'}, {8192, 0xff}, {100000, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = malloc(cases[i].len);
        memset(bytes, cases[i].byte, cases[i].len);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, bytes, cases[i].len), cases[i].len);
        close(fd);
        free(bytes);
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(try_open(false, &err), GW_E_IO);
        assert_non_null(strstr(err.text, dir));
        assert_non_null(strstr(err.text, "move the directory away"));
    }
}

/* In a process of its own, since it must not crash: open and read all that there is. */
static int read_in_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        gw__store *store = NULL;
        if (gw__store_open(dir, MAX_BYTES, false, &store, NULL) == GW_OK) {
            seen it = {.limit = 100000};
            const gw__store_visitor visitor = {.record = see, .damaged = see_damaged, .ctx = &it};
            gw__store_counts counts;
            bool whole = gw__store_read(store, 1, 0, &visitor, NULL) == GW_OK &&
                         gw__store_count(store, &counts, NULL) == GW_OK && counts.n_records == 500;
            gw__store_close(store);
            _exit(whole ? 0 : 1);
        }
        _exit(2);
    }
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    return WIFSIGNALED(code) ? -WTERMSIG(code) : WEXITSTATUS(code);
}

/* A file that was cut is read as far as it goes, or refused. */
static void test_cut(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    char text[600];
    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (uint64_t seq = 1; seq <= 500; seq++) {
        put(txn, 1, seq, text);
    }
    commit(txn);
    gw__store_close(store);
    char path[300];
    struct stat info;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(read_in_child(), 0);
    for (off_t len = info.st_size - 4096; len > 0; len -= len > 20000 ? 32768 : 4096) {
        assert_int_equal(truncate(path, len > 100 ? len : 100), 0);
        int code = read_in_child();
        if (code < 0) {
            fail_msg("cut to %lld bytes: signal %d", (long long)len, -code);
        }
    }
}

/* It fills up with a clear error, keeps what it had, and goes on when there is room. */
static void test_size_limit(void **state)
{
    (void)state;
    gw__store *store = NULL;
    assert_int_equal(gw__store_open(dir, 0, false, &store, NULL), GW_OK); /* the spare room only */
    size_t len = (size_t)8 << 20;
    uint8_t *bytes = calloc(1, len);
    gw_error err = GW_ERROR_INIT;
    gw_status st = GW_OK;
    uint64_t n = 0;
    while (st == GW_OK && n < 100) {
        gw__store_txn *txn = begin(store);
        gw__store_record record = {.queue = 1, .seq = n + 1, .bytes = bytes, .len = len};
        st = gw__store_put(txn, &record, &err);
        if (st == GW_OK) {
            st = gw__store_commit(txn, false, &err);
        } else {
            gw__store_abort(txn);
        }
        n += st == GW_OK;
    }
    assert_int_equal(st, GW_E_NO_SPACE);
    assert_non_null(strstr(err.text, "size limit"));
    assert_in_range(n, 25, 32);
    gw__store_counts counts;
    assert_int_equal(gw__store_count(store, &counts, NULL), GW_OK);
    assert_int_equal(counts.n_records, n);
    for (uint64_t round = 0; round < 3; round++) { /* what is removed makes room again */
        gw__store_txn *txn = begin(store);
        for (uint64_t seq = 1; seq <= 10; seq++) {
            assert_int_equal(gw__store_remove(txn, 1, seq, NULL), GW_OK);
        }
        commit(txn);
        txn = begin(store);
        gw__store_record record = {.queue = 1, .seq = 1, .bytes = bytes, .len = len};
        assert_int_equal(gw__store_put(txn, &record, NULL), GW_OK);
        commit(txn);
    }
    free(bytes);
    gw__store_close(store);
}

/* Another process looks while the owner writes, and is killed while it reads. */
static void test_beside_the_owner(void **state)
{
    (void)state;
    gw__store *store = open_store();
    gw__store_txn *txn = begin(store);
    put(txn, 1, 1, "one");
    commit(txn);
    gw__store_close(store); /* LMDB does not go through a fork */
    int go[2];
    int said[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        gw__store *other = NULL;
        if (read(go[0], &byte, 1) != 1 ||
            gw__store_open(dir, MAX_BYTES, true, &other, NULL) != GW_OK) {
            _exit(1);
        }
        for (;;) {
            seen it = read_all(other, 1, 0, 9);
            if (write(said[1], it.text, sizeof(it.text)) < 0 || read(go[0], &byte, 1) != 1) {
                _exit(1);
            }
        }
    }
    store = open_store();
    static const char *const expected[] = {"1:one ", "1:one 2:x ", "1:one 2:x 3:x "};
    for (uint64_t i = 0; i < 3; i++) {
        char text[sizeof(((seen *)0)->text)];
        assert_int_equal(write(go[1], "!", 1), 1);
        assert_int_equal(read(said[0], text, sizeof(text)), sizeof(text));
        assert_string_equal(text, expected[i]);
        txn = begin(store);
        put(txn, 1, i + 2, "x");
        commit(txn);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    txn = begin(store);
    put(txn, 1, 5, "x");
    commit(txn);
    assert_string_equal(read_all(store, 1, 3, 9).text, "4:x 5:x ");
    gw__store_close(store);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(said[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_queues, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_order, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_replace_and_remove, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_dead, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_damaged, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_asked, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_nothing_to_look_at, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_newer_version, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_not_a_store, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_cut, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_size_limit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_beside_the_owner, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
