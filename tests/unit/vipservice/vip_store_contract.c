/* SPDX-License-Identifier: MIT */
/* What every VIP store does, whatever it is kept in: run with each kind of place. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/place.h"
#include "vip_counting.h"

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

/* ---- counting ---------------------------------------------------------------------- */

static void test_count(void **state)
{
    (void)state;
    vip_store *store = vips_open(where, 1000000, 86400);
    vip_reads reads;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(vip_store_get(store, "10000", &reads, &err), GW_E_NOT_FOUND);
    assert_string_equal(err.text, "");
    assert_true(vips_count(store, "10000", "m1"));
    assert_true(vips_count(store, "10000", "m2"));
    assert_true(vips_count(store, "10001", "m3"));
    assert_false(vips_count(store, "10000", "m1"));
    assert_false(vips_count(store, "10000", "m1"));
    assert_false(vips_count(store, "10001", "m2")); /* the id is what counts */
    assert_int_equal(vip_store_get(store, "10000", &reads, NULL), GW_OK);
    assert_string_equal(reads.account_id, "10000");
    assert_int_equal(reads.n_reads, 2);
    assert_string_equal(reads.last_read_at, AT);
    assert_string_equal(reads.last_message_id, "m2"); /* not that of the duplicate */
    assert_int_equal(vips_reads_of(store, "10001"), 1);
    vip_store_close(store);

    store = vips_open(where, 1000000, 86400); /* it is all still there */
    assert_int_equal(vips_reads_of(store, "10000"), 2);
    assert_false(vips_count(store, "10000", "m2"));
    vip_store_close(store);
    vip_store_close(NULL);
}

/* A message that arrives late is counted, and is not the last read. */
static void test_last_read(void **state)
{
    (void)state;
    static const struct {
        const char *read_at;
        const char *last;
    } cases[] = {
        {"2026-11-22T10:42:13Z", "2026-11-22T10:42:13Z"},
        {"2020-01-01T00:00:00Z", "2026-11-22T10:42:13Z"},
        {"2026-11-22T10:42:13.5Z", "2026-11-22T10:42:13.5Z"},
        {"2026-11-22T10:42:13.49Z", "2026-11-22T10:42:13.5Z"},
        {"2026-11-22T10:42:13.50Z",
         "2026-11-22T10:42:13.50Z"}, /* the same time: the newer message */
        {"2026-11-22T10:42:13Z", "2026-11-22T10:42:13.50Z"},
        {"2026-11-22T10:42:14Z", "2026-11-22T10:42:14Z"},
        {"2017-02-15 20:06:27 +0000 UTC", "2017-02-15 20:06:27 +0000 UTC"}, /* not comparable */
        {"2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"},
    };
    vip_store *store = vips_open(where, 1000000, 86400);
    for (size_t i = 0; i < N_OF(cases); i++) {
        char id[16];
        bool is_new;
        vip_reads reads;
        snprintf(id, sizeof(id), "m%zu", i);
        assert_int_equal(vips_count_at(store, "10000", cases[i].read_at, id, &is_new, NULL), GW_OK);
        assert_int_equal(vip_store_get(store, "10000", &reads, NULL), GW_OK);
        assert_string_equal(reads.last_read_at, cases[i].last);
        assert_int_equal(reads.n_reads, i + 1);
    }
    vip_store_close(store);
}

static void test_arguments(void **state)
{
    (void)state;
    char id[VIP_ID_MAX + 2];
    char message[VIP_MESSAGE_MAX + 2];
    char at[VIP_READ_AT_MAX + 2];
    memset(id, 'i', sizeof(id));
    memset(message, 'm', sizeof(message));
    memset(at, 'a', sizeof(at));
    vip_store *store = vips_open(where, 1000000, 86400);
    const struct {
        size_t id_len;
        size_t at_len;
        size_t message_len;
        gw_status expected;
    } cases[] = {
        {VIP_ID_MAX, VIP_READ_AT_MAX, VIP_MESSAGE_MAX, GW_OK},
        {1, 0, 1, GW_OK},
        {0, 1, 2, GW_E_INVALID},
        {VIP_ID_MAX + 1, 1, 2, GW_E_INVALID},
        {1, VIP_READ_AT_MAX + 1, 2, GW_E_INVALID},
        {1, 1, 0, GW_E_INVALID},
        {1, 1, VIP_MESSAGE_MAX + 1, GW_E_INVALID},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char an_id[sizeof(id) + 1], a_message[sizeof(message) + 1], a_time[sizeof(at) + 1];
        snprintf(an_id, sizeof(an_id), "%.*s", (int)cases[i].id_len, id);
        snprintf(a_message, sizeof(a_message), "%.*s", (int)cases[i].message_len, message);
        snprintf(a_time, sizeof(a_time), "%.*s", (int)cases[i].at_len, at);
        bool is_new;
        gw_status st = vips_count_at(store, an_id, a_time, a_message, &is_new, NULL);
        if (st != cases[i].expected) {
            fail_msg("case %zu: got %s, expected %s", i, gw_status_name(st),
                     gw_status_name(cases[i].expected));
        }
        vip_reads reads;
        if (st == GW_OK) {
            assert_int_equal(vip_store_get(store, an_id, &reads, NULL), GW_OK);
            assert_string_equal(reads.account_id, an_id);
            assert_string_equal(reads.last_read_at, a_time);
            assert_string_equal(reads.last_message_id, a_message);
        }
    }
    vip_reads reads;
    char long_id[2000];
    memset(long_id, 'i', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    assert_int_equal(vip_store_get(store, long_id, &reads, NULL), GW_E_NOT_FOUND);
    assert_int_equal(vip_store_get(store, "", &reads, NULL), GW_E_NOT_FOUND);
    vip_store_close(store);
}

/* ---- several threads and processes ----------------------------------------------------- */

#define N_IDS 200

typedef struct counter {
    vip_store *store;
    unsigned which;
    unsigned n_new_shared;
} counter;

/* Count N_IDS messages of one's own, and N_IDS that all the others count, too. */
static void *counter_main(void *ctx)
{
    counter *self = ctx;
    for (unsigned i = 0; i < N_IDS; i++) {
        char id[64];
        snprintf(id, sizeof(id), "own-%u-%u", self->which, i);
        if (!vips_count(self->store, "10000", id)) {
            abort();
        }
        snprintf(id, sizeof(id), "shared-%u", (i + self->which * 7) % N_IDS);
        self->n_new_shared += vips_count(self->store, "10001", id) ? 1 : 0;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    vip_store *store = vips_open(where, 1000000, 86400);
    counter counters[4];
    pthread_t threads[N_OF(counters)];
    for (unsigned i = 0; i < N_OF(counters); i++) {
        counters[i] = (counter){.store = store, .which = i};
        assert_int_equal(pthread_create(&threads[i], NULL, counter_main, &counters[i]), 0);
    }
    unsigned n_new_shared = 0;
    for (unsigned i = 0; i < N_OF(counters); i++) {
        pthread_join(threads[i], NULL);
        n_new_shared += counters[i].n_new_shared;
    }
    assert_int_equal(vips_reads_of(store, "10000"), N_OF(counters) * N_IDS);
    assert_int_equal(vips_reads_of(store, "10001"), N_IDS);
    assert_int_equal(n_new_shared, N_IDS);
    vip_store_close(store);
}

/* In a process of its own; its exit says whether all went well, through `fd` how many were new. */
static void count_in_process(unsigned which, int gate, int fd)
{
    char byte;
    ssize_t n = read(gate, &byte, 1);
    (void)n;
    counter self = {.store = vips_open(where, 1000000, 86400), .which = which};
    counter_main(&self);
    vip_store_close(self.store);
    if (write(fd, &self.n_new_shared, sizeof(self.n_new_shared)) < 0) {
        _exit(1);
    }
    _exit(0);
}

static void test_processes(void **state)
{
    (void)state;
    enum { N = 3 };
    int gate[2], results[2];
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(results), 0);
    pid_t pids[N];
    for (unsigned i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(gate[1]);
            count_in_process(i, gate[0], results[1]);
        }
    }
    close(gate[0]);
    close(gate[1]); /* all at once */
    unsigned n_new_shared = 0;
    for (unsigned i = 0; i < N; i++) {
        int status;
        unsigned n_new;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        assert_int_equal(read(results[0], &n_new, sizeof(n_new)), sizeof(n_new));
        n_new_shared += n_new;
    }
    close(results[0]);
    close(results[1]);
    vip_store *store = vips_open(where, 1000000, 86400);
    assert_int_equal(vips_reads_of(store, "10000"), N * N_IDS);
    assert_int_equal(vips_reads_of(store, "10001"), N_IDS);
    assert_int_equal(n_new_shared, N_IDS);
    vip_store_close(store);
}

/* What was counted survives kill -9, also in the middle of a transaction's life. */
static void test_killed(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (unsigned round = 1; round <= 5; round++) {
        int progress[2];
        assert_int_equal(pipe(progress), 0);
        pid_t pid = fork();
        if (pid == 0) {
            vip_store *store = vips_open(where, 1000000, 86400);
            for (unsigned i = 0;; i++) {
                char id[64];
                snprintf(id, sizeof(id), "%u-%u", round, i);
                char byte = vips_count(store, "10000", id) ? 1 : 0;
                if (write(progress[1], &byte, 1) != 1) {
                    _exit(1);
                }
            }
        }
        close(progress[1]);
        char bytes[50 * 5];
        size_t n = 0;
        while (n < 50 * round) {
            ssize_t more = read(progress[0], bytes + n, 50 * round - n);
            assert_true(more > 0);
            n += (size_t)more;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        for (ssize_t more; (more = read(progress[0], bytes, sizeof(bytes))) > 0;) {
            n += (size_t)more;
        }
        close(progress[0]);
        vip_store *store = vips_open(where, 1000000, 86400);
        uint64_t now = vips_reads_of(store, "10000");
        assert_in_range(now - before, n, n + 1); /* the last one may not have been reported */
        before = now;
        vip_store_close(store);
    }
}

/* ---- batches --------------------------------------------------------------------------- */

typedef struct one_count {
    const char *account_id;
    const char *read_at;
    const char *message_id;
    bool is_new;
} one_count;

static void add_to(vip_batch *batch, const one_count *it)
{
    gw_error err = GW_ERROR_INIT;
    if (vip_batch_count(batch, it->account_id, it->read_at, it->message_id, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

static void test_batch(void **state)
{
    (void)state;
    static const one_count batches[2][6] = {
        {{"10001", AT, "m1", true},
         {"10000", AT, "m2", true},
         {"10000", AT, "m1", false},             /* known from the same batch */
         {"10000", AT, "\xff\xfe m'\\\"", true}, /* an id is bytes */
         {"10000", AT, "m2", false},
         {"a_Z-9", "", "m4", true}},
        {{"10000", AT, "m4", false},
         {"10002", AT, "m5", true},
         {"10000", AT, "\xff\xfe m'\\\"", false},
         {"10002", AT, "M5", true},
         {"10002", AT, "m5", false},
         {"10001", AT, "m6", true}},
    };
    vip_store *store = vips_open(where, 1000000, 86400);
    vip_batch *batch = vip_batch_new(store);
    for (size_t i = 0; i < N_OF(batches); i++) {
        for (size_t j = 0; j < N_OF(batches[i]); j++) {
            add_to(batch, &batches[i][j]);
        }
        assert_int_equal(vip_batch_commit(batch, NULL), GW_OK);
        for (size_t j = 0; j < N_OF(batches[i]); j++) {
            if (vip_batch_was_new(batch, j) != batches[i][j].is_new) {
                fail_msg("batch %zu, read %zu: was %snew", i, j,
                         batches[i][j].is_new ? "not " : "");
            }
        }
        assert_false(vip_batch_was_new(batch, N_OF(batches[i])));
    }
    assert_int_equal(vips_reads_of(store, "10000"), 2);
    assert_int_equal(vips_reads_of(store, "10001"), 2);
    assert_int_equal(vips_reads_of(store, "10002"), 2);
    assert_int_equal(vips_reads_of(store, "a_Z-9"), 1);
    assert_int_equal(vips_reads_of(store, "\xff"), 0);
    vip_reads reads;
    assert_int_equal(vip_store_get(store, "10000", &reads, NULL), GW_OK);
    assert_string_equal(reads.last_message_id, "\xff\xfe m'\\\"");
    assert_int_equal(vip_batch_commit(batch, NULL), GW_OK); /* of nothing */
    vip_batch_free(batch);
    vip_batch_free(NULL);
    vip_store_close(store);
}

/* In one batch the last read comes out as if they were counted one by one. */
static void test_batch_last_read(void **state)
{
    (void)state;
    static const char *const times[] = {"2026-11-22T10:42:13Z",
                                        "2026-11-22T10:42:13.5Z",
                                        "2026-11-22T10:42:13.50Z",
                                        "2020-01-01T00:00:00Z",
                                        "yesterday",
                                        "2027-01-01T00:00:00.000000001Z",
                                        ""};
    vip_store *store = vips_open(where, 1000000, 86400);
    vip_batch *batch = vip_batch_new(store);
    unsigned seed = 1;
    for (unsigned round = 0; round < 60; round++) {
        const char *at[6];
        char id[32];
        for (unsigned i = 0; i < N_OF(at); i++) {
            bool is_new;
            seed = seed * 1103515245 + 12345;
            at[i] = times[seed / 65536 % N_OF(times)];
            snprintf(id, sizeof(id), "s%u-%u", round, i);
            assert_int_equal(vips_count_at(store, "single", at[i], id, &is_new, NULL), GW_OK);
        }
        for (unsigned i = 0; i < N_OF(at); i++) { /* others wait while it is open */
            snprintf(id, sizeof(id), "b%u-%u", round, i);
            add_to(batch, &(one_count){"batch", at[i], id, true});
        }
        assert_int_equal(vip_batch_commit(batch, NULL), GW_OK);
        vip_reads single, batched;
        assert_int_equal(vip_store_get(store, "single", &single, NULL), GW_OK);
        assert_int_equal(vip_store_get(store, "batch", &batched, NULL), GW_OK);
        assert_int_equal(single.n_reads, batched.n_reads);
        assert_string_equal(single.last_read_at, batched.last_read_at);
        assert_string_equal(single.last_message_id + 1, batched.last_message_id + 1);
    }
    vip_batch_free(batch);
    vip_store_close(store);
}

/* After a failure nothing of the batch lasts, and it can be used again. */
static void test_batch_fails(void **state)
{
    (void)state;
    vip_store *store = vips_open(where, 1000000, 86400);
    vip_batch *batch = vip_batch_new(store);
    static const one_count good = {"10000", AT, "m1", true};
    gw_error err = GW_ERROR_INIT;
    add_to(batch, &good);
    assert_int_equal(vip_batch_count(batch, "", AT, "m2", &err), GW_E_INVALID);
    assert_int_equal(vip_batch_commit(batch, NULL),
                     GW_OK); /* a wrong argument is no failure of it */
    assert_int_equal(vips_reads_of(store, "10000"), 1);
    add_to(batch, &(one_count){"10000", AT, "m3", true});
    vip_batch_free(batch); /* not committed */
    assert_int_equal(vips_reads_of(store, "10000"), 1);
    assert_true(vips_count(store, "10000", "m3"));
    vip_store_close(store);
}

/* Several that count the same accounts and messages, in batches of any order, never get into each
 * other's way for good. */
static void *batcher_main(void *ctx)
{
    counter *self = ctx;
    vip_batch *batch = vip_batch_new(self->store);
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 20; i++) {
            unsigned which = (i * (self->which * 2 + 1) + self->which) % 20;
            char id[64];
            char account[16];
            snprintf(id, sizeof(id), "shared-%u-%u", round, which);
            snprintf(account, sizeof(account), "1000%u", which % 5);
            if (vip_batch_count(batch, account, AT, id, NULL) != GW_OK) {
                abort();
            }
        }
        gw_error err = GW_ERROR_INIT;
        if (vip_batch_commit(batch, &err) != GW_OK) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
        for (unsigned i = 0; i < 20; i++) {
            self->n_new_shared += vip_batch_was_new(batch, i) ? 1 : 0;
        }
    }
    vip_batch_free(batch);
    return NULL;
}

static void test_batches_at_once(void **state)
{
    (void)state;
    counter counters[4];
    pthread_t threads[N_OF(counters)];
    vip_store *store = vips_open(where, 1000000, 86400);
    for (unsigned i = 0; i < N_OF(counters); i++) {
        counters[i] = (counter){.store = store, .which = i};
        assert_int_equal(pthread_create(&threads[i], NULL, batcher_main, &counters[i]), 0);
    }
    unsigned n_new = 0;
    for (unsigned i = 0; i < N_OF(counters); i++) {
        pthread_join(threads[i], NULL);
        n_new += counters[i].n_new_shared;
    }
    assert_int_equal(n_new, 30 * 20);
    uint64_t n_reads = 0;
    for (unsigned i = 0; i < 5; i++) {
        char account[16];
        snprintf(account, sizeof(account), "1000%u", i);
        n_reads += vips_reads_of(store, account);
    }
    assert_int_equal(n_reads, 30 * 20);
    vip_store_close(store);
}

/* ---- listing --------------------------------------------------------------------------- */

typedef struct listed {
    char ids[300][VIP_ID_MAX + 1];
    size_t n;
} listed;

static void list_one(void *ctx, const vip_reads *reads)
{
    listed *all = ctx;
    memcpy(all->ids[all->n++], reads->account_id, sizeof(reads->account_id));
}

static void test_list(void **state)
{
    (void)state;
    vip_store *store = vips_open(where, 1000000, 86400);
    static listed all;
    assert_int_equal(vip_store_list(store, NULL, 10, list_one, &all, NULL), GW_OK);
    assert_int_equal(all.n, 0);
    assert_int_equal(vip_store_list(store, "10000", 10, list_one, &all, NULL), GW_OK);
    assert_int_equal(all.n, 0);
    for (unsigned i = 0; i < 250; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%u", 10249 - i);
        vips_count(store, id, id);
    }
    /* Page after page. */
    size_t pages = 0;
    for (size_t before = SIZE_MAX; before != all.n; pages++) {
        before = all.n;
        const char *after = all.n == 0 ? NULL : all.ids[all.n - 1];
        assert_int_equal(vip_store_list(store, after, 100, list_one, &all, NULL), GW_OK);
    }
    assert_int_equal(pages, 4);
    assert_int_equal(all.n, 250);
    for (unsigned i = 0; i < 250; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%u", 10000 + i);
        assert_string_equal(all.ids[i], id);
    }
    static const struct {
        const char *after;
        size_t limit;
        size_t n;
        const char *first;
    } cases[] = {
        {NULL, 0, 0, NULL},     {NULL, 1, 1, "10000"},     {"1", 1, 1, "10000"},
        {"100", 2, 2, "10000"}, {"10100x", 1, 1, "10101"}, {"10248", 5, 1, "10249"},
        {"10249", 5, 0, NULL},  {"zzz", 5, 0, NULL},       {"-", 300, 250, "10000"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        all.n = 0;
        assert_int_equal(
            vip_store_list(store, cases[i].after, cases[i].limit, list_one, &all, NULL), GW_OK);
        assert_int_equal(all.n, cases[i].n);
        if (all.n > 0) {
            assert_string_equal(all.ids[0], cases[i].first);
        }
    }
    char too_long[VIP_ID_MAX + 2];
    memset(too_long, 'i', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(vip_store_list(store, "", 1, list_one, &all, &err), GW_E_INVALID);
    assert_int_equal(vip_store_list(store, too_long, 1, list_one, &all, &err), GW_E_INVALID);
    assert_string_equal(err.text, "'after' is not an account id");
    vip_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_last_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batches_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };
    return cmocka_run_group_tests_name("VIP stores", tests, NULL, NULL);
}
