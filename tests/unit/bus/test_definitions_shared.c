/* SPDX-License-Identifier: MIT */
/* Definitions that others use as well: processes that change them or are killed, and files that are
 * cut, newer or not what they should be. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/definitions_format.h"
#include "support/child.h"
#include "topology_sample.h"

static char dir[256];
static log_counter counter;

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    counter = (log_counter){.status = GW_OK};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static void path_of(const char *name, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/definitions/%s", dir, name);
}

/* ---- processes ------------------------------------------------------------------------- */

/* One byte each way; both ends of both pipes are open in both processes. */
typedef struct talk {
    int to_child[2];
    int to_parent[2];
} talk;

static void open_talk(talk *it)
{
    assert_int_equal(pipe(it->to_child), 0);
    assert_int_equal(pipe(it->to_parent), 0);
}

static void close_talk(talk *it)
{
    for (int i = 0; i < 2; i++) {
        close(it->to_child[i]);
        close(it->to_parent[i]);
    }
}

static void say(const int pipe_fds[2])
{
    assert_int_equal(write(pipe_fds[1], "!", 1), 1);
}

static void hear(const int pipe_fds[2])
{
    char byte;
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
}

static bool has_queue(gw__definitions *defs, const char *name)
{
    const gw__topology *topology = get_topology(defs);
    bool has = gw__topology_queue(topology, name) != NULL;
    gw__topology_put(topology);
    return has;
}

static void test_two_processes(void **state)
{
    (void)state;
    talk it;
    open_talk(&it);
    pid_t pid = fork(); /* first: LMDB does not go through a fork */
    if (pid == 0) {
        alarm(60);
        hear(it.to_child);
        gw__definitions *defs = open_definitions(dir);
        counter.n_made = 100;
        bool good = has_queue(defs, "parent's");
        declare_queue(defs, &counter, "child's");
        bind_key(defs, "amq.fanout", "child's", "");
        say(it.to_parent);
        hear(it.to_child);
        good = good && !has_queue(defs, "parent's");
        gw__definitions_close(defs);
        _exit(good ? 0 : 1);
    }
    gw__definitions *defs = open_definitions(dir);
    declare_queue(defs, &counter, "parent's");
    uint64_t generation = gw__definitions_generation(defs);
    assert_false(has_queue(defs, "child's"));
    say(it.to_child);
    hear(it.to_parent);
    assert_true(gw__definitions_generation(defs) > generation);
    assert_true(has_queue(defs, "child's"));
    assert_string_equal(route(defs, "amq.fanout", "", NULL), "child's ");
    assert_int_equal(gw__definitions_delete(defs, "parent's", NULL, NULL, NULL), GW_OK);
    say(it.to_child);
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_int_equal(code, 0);
    gw__definitions_close(defs);
    close_talk(&it);
}

/* Stops in the middle of a transaction. */
static gw_status make_and_stop(void *ctx, uint32_t *ret_log, uint64_t *ret_serial, gw_error *err)
{
    (void)err;
    *ret_log = 0;
    *ret_serial = 1;
    say(((talk *)ctx)->to_parent);
    pause();
    return GW_E_IO;
}

static void test_killed_writer(void **state)
{
    (void)state;
    talk it;
    open_talk(&it);
    gw__definitions_close(open_definitions(dir));
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        gw__definitions *defs = open_definitions(dir);
        gw__queue_row row = a_queue("half");
        const gw__log_maker maker = {.make = make_and_stop, .ctx = &it};
        hear(it.to_child);
        gw__definitions_queue(defs, &row, &maker, NULL);
        _exit(1);
    }
    gw__definitions *defs = open_definitions(dir);
    say(it.to_child);
    hear(it.to_parent);
    assert_false(has_queue(defs, "half")); /* readers do not wait */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    alarm(60); /* not for ever, if the lock is not given up */
    declare_queue(defs, &counter, "whole");
    alarm(0);
    assert_false(has_queue(defs, "half"));
    assert_true(has_queue(defs, "whole"));
    gw__definitions_close(defs);
    close_talk(&it);
}

/* A reader as LMDB knows one, with this process's pid: one in another pid namespace can have it. */
static void be_reader(pid_t number, const talk *it)
{
    char path[320];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number, .l_len = 1};
    path_of("lock.mdb", path, sizeof(path));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0) {
        _exit(1);
    }
    say(it->to_parent);
    pause();
    _exit(0);
}

static void test_same_pid(void **state)
{
    (void)state;
    talk it;
    open_talk(&it);
    gw__definitions_close(open_definitions(dir));
    pid_t other = fork();
    if (other == 0) {
        alarm(60);
        be_reader(getppid(), &it);
    }
    hear(it.to_parent);
    gw__definitions *defs = open_definitions(dir);
    MDB_txn *txn;
    assert_int_not_equal(mdb_txn_begin(defs->env, NULL, MDB_RDONLY, &txn), 0);
    alarm(60); /* not for ever, if it waits for itself */
    declare_queue(defs, &counter, "q");
    assert_true(has_queue(defs, "q"));
    bind_key(defs, "amq.fanout", "q", "");
    const gw__topology *topology = get_topology(defs);
    assert_int_equal(gw__topology_generation(topology), gw__definitions_generation(defs));
    gw__topology_put(topology);
    assert_string_equal(route(defs, "amq.fanout", "", NULL), "q ");
    char to[280];
    char folder[320];
    snprintf(to, sizeof(to), "%s/copy", dir);
    snprintf(folder, sizeof(folder), "%s/definitions", to);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(gw__definitions_copy(defs, folder, NULL), GW_OK);
    gw__definitions_close(defs);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    close_talk(&it);
    defs = open_definitions(to);
    assert_true(has_queue(defs, "q"));
    gw__definitions_close(defs);
    alarm(0);
}

/* ---- threads --------------------------------------------------------------------------- */

typedef struct reading {
    gw__definitions *defs;
    _Atomic bool stop;
    _Atomic size_t n_wrong;
} reading;

/* A queue and its binding come and go together, or one after the other; never a binding alone. */
static void *read_on(void *ctx)
{
    reading *it = ctx;
    while (!atomic_load(&it->stop)) {
        const gw__topology *topology = NULL;
        const gw__queue_row *found[1];
        if (gw__topology_get(it->defs, &topology, NULL) != GW_OK) {
            atomic_fetch_add(&it->n_wrong, 1);
            continue;
        }
        const gw__exchange_row *from = gw__topology_exchange(topology, "amq.direct");
        size_t n = gw__topology_route(topology, from, "k", NULL, found, 1);
        if (n == 1 && (gw__topology_queue(topology, "q") != found[0] || found[0]->n_logs != 1)) {
            atomic_fetch_add(&it->n_wrong, 1);
        }
        gw__topology_put(topology);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { N_THREADS = 3 };
    reading it = {.defs = open_definitions(dir)};
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &it), 0);
    }
    for (int i = 0; i < 30; i++) {
        declare_queue(it.defs, &counter, "q");
        bind_key(it.defs, "amq.direct", "q", "k");
        assert_string_equal(route(it.defs, "amq.direct", "k", NULL), "q ");
        assert_int_equal(gw__definitions_delete(it.defs, "q", NULL, NULL, NULL), GW_OK);
    }
    atomic_store(&it.stop, true);
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(it.n_wrong, 0);
    gw__definitions_close(it.defs);
}

/* ---- files ----------------------------------------------------------------------------- */

static gw_status try_open(bool read_only, gw_error *err)
{
    gw__definitions *defs = NULL;
    gw_status st = gw__definitions_open(dir, 0700, 0600, read_only, &defs, err);
    assert_true((st == GW_OK) == (defs != NULL));
    gw__definitions_close(defs);
    return st;
}

static void test_read_only(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(try_open(true, &err), GW_E_NOT_FOUND);
    assert_int_equal(err.status, GW_E_NOT_FOUND);
    gw__definitions *defs = open_definitions(dir);
    declare_queue(defs, &counter, "q");
    gw__definitions_close(defs);
    assert_int_equal(gw__definitions_open(dir, 0700, 0600, true, &defs, &err), GW_OK);
    assert_true(has_queue(defs, "q"));
    declare_queue(defs, &counter, "q"); /* is there */
    assert_int_equal(gw__definitions_delete(defs, "q", NULL, NULL, &err), GW_E_DENIED);
    assert_non_null(strstr(err.text, dir));
    assert_int_equal(gw__definitions_exchange(defs, "e", GW_EXCHANGE_TOPIC, &err), GW_E_DENIED);
    gw__definitions_close(defs);
}

static void test_modes(void **state)
{
    (void)state;
    char path[300];
    struct stat info;
    gw__definitions *defs;
    mode_t mask = umask(077);
    assert_int_equal(gw__definitions_open(dir, 02770, 0660, false, &defs, NULL), GW_OK);
    umask(mask);
    static const char *const names[] = {"", "data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 3; i++) {
        path_of(names[i], path, sizeof(path));
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, i == 0 ? 02770 : 0660);
    }
    gw__definitions_close(defs);
}

/* Write a row as no program of ours does; a key of text. */
static void put_row(gw__definitions *defs, MDB_dbi dbi, const void *key_bytes, size_t key_len,
                    const void *bytes, size_t len)
{
    MDB_txn *txn;
    MDB_val key = gw__lmdb_val(key_bytes, key_len);
    MDB_val value = gw__lmdb_val(bytes, len);
    assert_int_equal(gw__definitions_begin(defs, true, &txn, NULL), GW_OK);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(gw__definitions_end(defs, txn, GW_OK, NULL), GW_OK);
}

static void test_other_version(void **state)
{
    (void)state;
    gw__definitions *defs = open_definitions(dir);
    uint32_t version = 2;
    put_row(defs, defs->meta, "version", 7, &version, sizeof(version));
    gw__definitions_close(defs);
    for (int read_only = 0; read_only < 2; read_only++) {
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(try_open(read_only != 0, &err), GW_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "version 2"));
        assert_non_null(strstr(err.text, dir));
    }
}

static void test_no_version(void **state)
{
    (void)state;
    gw__definitions *defs = open_definitions(dir);
    put_row(defs, defs->meta, "version", 7, "no", 2);
    gw__definitions_close(defs);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(try_open(false, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "godwit bus recover"));
}

/* The value of the row, changed in one byte or cut, and what is said then. */
typedef struct damage {
    const char *where; /* a database */
    int at;            /* the byte that is set, ... */
    int byte;          /* ... to this */
    int len;           /* cut to this; -1 not to */
    const char *named;
} damage;

static void damage_row(gw__definitions *defs, const damage *how)
{
    const struct {
        const char *name;
        MDB_dbi dbi;
    } databases[] = {{"exchanges", defs->exchanges},
                     {"queues", defs->queues},
                     {"logs", defs->logs},
                     {"bindings", defs->bindings}};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(databases[i].name, how->where) != 0) {
            continue;
        }
        uint8_t bytes[600];
        uint8_t key_bytes[300];
        MDB_txn *txn;
        MDB_cursor *cursor;
        MDB_val key;
        MDB_val value;
        assert_int_equal(gw__definitions_begin(defs, false, &txn, NULL), GW_OK);
        assert_int_equal(mdb_cursor_open(txn, databases[i].dbi, &cursor), 0);
        assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_LAST), 0);
        size_t key_len = key.mv_size;
        size_t len = how->len < 0 ? value.mv_size : (size_t)how->len;
        memcpy(key_bytes, key.mv_data, key_len);
        memcpy(bytes, value.mv_data, value.mv_size);
        mdb_cursor_close(cursor);
        mdb_txn_abort(txn);
        bytes[how->at] = (uint8_t)how->byte;
        put_row(defs, databases[i].dbi, key_bytes, key_len, bytes, len);
    }
}

static void test_damaged_rows(void **state)
{
    (void)state;
    static const damage damages[] = {
        {"exchanges", 0, 9, -1, "exchange 'zoo'"},
        {"exchanges", 0, 0, 0, "exchange 'zoo'"},
        {"queues", 4, 2, -1, "queue 'zebra'"},
        {"queues", 5, 2, -1, "queue 'zebra'"},
        {"queues", 6, 3, -1, "queue 'zebra'"},
        {"queues", 7, 1, -1, "queue 'zebra'"},
        {"queues", 11, 1, -1, "queue 'zebra'"}, /* a member, but it is not temporary */
        {"queues", 3, 0, -1, "queue 'zebra'"},  /* number 0 */
        {"queues", 3, 1, -1, "queue 'zebra'"},  /* the number of another one */
        {"queues", 3, 77, -1, "a log of queue 'number 2'"},
        {"queues", 0, 0, 35, "queue 'zebra'"},
        {"logs", 2, 0xff, -1, "a log of queue 'zebra'"}, /* a place that is none */
        {"logs", 3, 0, -1, "a log of queue 'zebra'"},    /* the place of another one */
        {"logs", 0, 0, 11, "a log of queue 'zebra'"},
        {"bindings", 0, 2, -1, "a binding of queue 'zebra'"},
        {"bindings", 1, 200, -1, "a binding of queue 'zebra'"},
        {"bindings", 3, 'Z', -1, "a binding of queue 'zebra'"},
        {"bindings", 0, 0, 2, "a binding of queue 'zebra'"},
        {"bindings", 0, 0, 0, "a binding of queue 'zebra'"},
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char first[256];
        memcpy(first, dir, sizeof(first));
        make_test_dir(dir, sizeof(dir));
        counter = (log_counter){.status = GW_OK};
        gw__definitions *defs = open_definitions(dir);
        declare_queue(defs, &counter, "ant");
        declare_queue(defs, &counter, "zebra");
        declare_exchange(defs, "zoo", GW_EXCHANGE_TOPIC);
        bind_key(defs, "zoo", "zebra", "key");
        damage_row(defs, &damages[i]);
        const gw__topology *topology;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__topology_get(defs, &topology, &err), GW_E_IO);
        if (strstr(err.text, damages[i].named) == NULL || strstr(err.text, "damaged") == NULL) {
            fail_msg("case %zu: %s", i, err.text);
        }
        gw__definitions_close(defs);
        remove_test_dir(dir);
        memcpy(dir, first, sizeof(dir));
    }
}

/* A file that ends before what is in it is refused: LMDB would crash on it. */
static void test_cut(void **state)
{
    (void)state;
    gw__definitions *defs = open_definitions(dir);
    for (int i = 0; i < 60; i++) {
        char name[200];
        snprintf(name, sizeof(name), "%0190d", i);
        declare_queue(defs, &counter, name);
        bind_key(defs, "amq.topic", name, name);
    }
    MDB_envinfo info;
    MDB_stat stats;
    assert_int_equal(mdb_env_info(defs->env, &info), 0);
    assert_int_equal(mdb_env_stat(defs->env, &stats), 0);
    gw__definitions_close(defs);
    char path[300];
    path_of("data.mdb", path, sizeof(path));
    off_t used = (off_t)((info.me_last_pgno + 1) * stats.ms_psize);
    assert_int_equal(truncate(path, used), 0); /* nothing is lost yet */
    assert_int_equal(try_open(true, NULL), GW_OK);
    for (off_t len = used - 1; len > 0; len -= len < 4096 ? 1000 : 4096) {
        assert_int_equal(truncate(path, len), 0);
        for (int read_only = 0; read_only < 2; read_only++) {
            gw_error err = GW_ERROR_INIT;
            assert_int_equal(try_open(read_only != 0, &err), GW_E_IO);
            assert_non_null(strstr(err.text, "godwit bus recover"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_pid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("definitions, shared", tests, NULL, NULL);
}
