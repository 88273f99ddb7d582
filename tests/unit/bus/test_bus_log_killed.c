/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed at any moment while they append to a log or take from it, and the
 * machine that stops: what was appended is there, once and in order; what was leased comes again;
 * what was settled does not.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/segment.h"
#include "log_fixture.h"

#define N_ROUNDS    150
#define NUMBERS_MAX 4000000u

/* What children tell, in memory that they share. */
typedef struct ledger {
    _Atomic uint64_t begun; /* numbers up to this may have been appended */
    _Atomic uint64_t n_confirmed;
    _Atomic uint8_t confirmed[NUMBERS_MAX]; /* appending it returned */
    _Atomic uint8_t n_taken[NUMBERS_MAX];
} ledger;

static gw__log_state *state;
static ledger *book;

static int open_all(void **unused)
{
    int rc = log_make_dir(unused);
    state = log_new_state();
    book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return rc != 0 || book == MAP_FAILED;
}

static int close_all(void **unused)
{
    munmap(book, sizeof(*book));
    log_free_state(state);
    return log_remove_dir(unused);
}

static _Noreturn void append_for_ever(void)
{
    gw__log *orders = log_open(state);
    uint64_t number = book->begun;
    for (;;) {
        size_t n = 1 + number % 40;
        book->begun = number + n;
        if (number + n >= NUMBERS_MAX || log_put(orders, number + 1, n, 3000, NULL) != GW_OK) {
            _exit(1);
        }
        for (size_t i = 1; i <= n; i++) {
            book->confirmed[number + i] = 1;
        }
        number += n;
        book->n_confirmed += n;
    }
}

static _Noreturn void take_for_ever(uint32_t member)
{
    gw__log *orders = log_open(state);
    gw__log_record records[64];
    uint64_t positions[64];
    for (;;) {
        size_t n = gw__log_take(orders, member, 0, 0, records, 1 + (size_t)book->begun % 64);
        size_t n_done = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t number = log_number(&records[i]);
            book->n_taken[number]++;
            if (number % 3 == 0 && !records[i].redelivered) {
                gw__log_settle(orders, member, &records[i].position, 1, GW__LOG_RETURN);
            } else {
                positions[n_done++] = records[i].position;
            }
        }
        gw__log_settle(orders, member, positions, n_done, GW__LOG_DONE);
    }
}

static pid_t start(uint32_t member)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (member == 0) {
            append_for_ever();
        }
        take_for_ever(member);
    }
    return pid;
}

static void kill_one(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status)); /* it had no reason of its own to end */
}

/* All that is left comes in order, but for what is marked. */
static void take_the_rest(gw__log *orders)
{
    gw__log_record records[64];
    uint64_t last = 0;
    size_t n;
    while ((n = gw__log_take(orders, 9, 0, 0, records, 64)) > 0) {
        uint64_t positions[64];
        for (size_t i = 0; i < n; i++) {
            uint64_t number = log_number(&records[i]);
            assert_true(number <= book->begun);
            book->n_taken[number]++;
            assert_true(records[i].redelivered || number > last);
            last = records[i].redelivered ? last : number;
            positions[i] = records[i].position;
        }
        assert_int_equal(gw__log_settle(orders, 9, positions, n, GW__LOG_DONE), n);
    }
}

static void check_numbers(gw__log *orders, uint64_t first_checked)
{
    for (uint64_t i = first_checked; i <= book->begun; i++) {
        if (book->confirmed[i] && book->n_taken[i] == 0) {
            fail_msg("%llu of %llu is lost", (unsigned long long)i,
                     (unsigned long long)book->begun);
        }
    }
    gw__log_counts counts;
    gw__log_count(orders, &counts);
    assert_int_equal(counts.n_ready, 0);
    assert_int_equal(counts.n_leased, 0);
    assert_int_equal(counts.n_damaged, 0);
}

/* Each round kills an appender and two takers, at any moment. */
static void test_killed_at_any_moment(void **unused)
{
    (void)unused;
    gw__log *orders = log_open(state);
    unsigned seed = 4711;
    for (unsigned i = 0; i < N_ROUNDS && book->begun < NUMBERS_MAX / 2; i++) {
        uint64_t before = book->n_confirmed;
        pid_t pids[] = {start(0), start(1), start(2)};
        while (book->n_confirmed == before) { /* so that every round appends something */
            usleep(50);
        }
        usleep((useconds_t)(rand_r(&seed) % 2000));
        kill_one(pids[i % 3]);
        gw__log_return_all(orders, i % 3);
        usleep((useconds_t)(rand_r(&seed) % 500));
        kill_one(pids[(i + 1) % 3]);
        kill_one(pids[(i + 2) % 3]);
        gw__log_return_all(orders, 1);
        gw__log_return_all(orders, 2);
    }
    take_the_rest(orders);
    check_numbers(orders, 1);
    gw__log_close(orders);
}

/* The same, and then all that is known is in the files. */
static void test_the_machine_stops(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t first_checked = book->begun + 1;
        uint64_t before = book->n_confirmed;
        pid_t pids[] = {start(0), start(1)};
        while (book->n_confirmed < before + 20000) {
            usleep(50);
        }
        kill_one(pids[0]);
        kill_one(pids[1]);
        log_free_state(state);
        state = log_new_state(); /* of which nothing is true */
        gw__log *orders = log_open(state);
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__log_recover(orders, true, &err), GW_OK);
        take_the_rest(orders);
        check_numbers(orders, first_checked);
        gw__log_close(orders);
    }
}

/* What counts is what is in the file, however the rest of it looks. */
static int open_segment(uint32_t index)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/%016x/%08x.seg", log_dir, 0x2a, index);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void damage(uint32_t index, off_t offset, size_t len)
{
    uint8_t bytes[256];
    assert_true(len <= sizeof(bytes));
    memset(bytes, 0xa5, len);
    int fd = open_segment(index);
    assert_int_equal(pwrite(fd, bytes, len, offset), len);
    close(fd);
}

/* Ten records of 16 bytes, each of 56 in the file. */
static off_t place_of(unsigned number)
{
    return GW__SEGMENT_HEAD + (off_t)(number - 1) * 56;
}

static uint64_t take_all(gw__log *orders, uint64_t *ret_sum)
{
    gw__log_record records[64];
    size_t n = gw__log_take(orders, 9, 0, 0, records, 64);
    *ret_sum = 0;
    for (size_t i = 0; i < n; i++) {
        *ret_sum += log_number(&records[i]);
    }
    return n;
}

static void expect_damage(bool rebooted, off_t offset, size_t len, unsigned n_left, uint64_t sum,
                          unsigned n_damaged)
{
    log_free_state(state);
    state = log_new_state();
    gw__log *orders = log_open(state);
    gw__log_counts counts;
    uint64_t got;
    assert_int_equal(log_put(orders, 1, 10, 0, NULL), GW_OK);
    damage(1, offset, len);
    if (rebooted) {
        gw__log_close(orders);
        log_free_state(state);
        state = log_new_state();
        orders = log_open(state);
        assert_int_equal(gw__log_recover(orders, true, NULL), GW_OK);
    }
    assert_int_equal(take_all(orders, &got), n_left);
    assert_int_equal(got, sum);
    gw__log_count(orders, &counts);
    assert_int_equal(counts.n_damaged, n_damaged);
    assert_int_equal(gw__log_return_all(orders, 9), n_left);
    assert_int_equal(log_put(orders, 11, 1, 0, NULL), GW_OK); /* it goes on */
    assert_int_equal(take_all(orders, &got), n_left + 1);
    assert_int_equal(got, sum + 11);
    gw__log_delete(orders);
    gw__log_close(orders);
}

static void test_damage_is_counted_and_the_rest_goes_on(void **unused)
{
    (void)unused;
    for (int rebooted = 0; rebooted < 2; rebooted++) {
        expect_damage(rebooted, place_of(4) + 44, 4, 9, 55 - 4, 1);  /* bytes */
        expect_damage(rebooted, place_of(4) + 8, 4, 9, 55 - 4, 1);   /* its number */
        expect_damage(rebooted, place_of(4) + 24, 4, 9, 55 - 4, 1);  /* its length */
        expect_damage(rebooted, place_of(1) + 20, 60, 8, 55 - 3, 2); /* two at the head */
        expect_damage(rebooted, place_of(3) + 50, 120, 7, 55 - 3 - 4 - 5, 3);
        expect_damage(rebooted, place_of(4), 1, 10, 55, 0); /* a state that is none is ready */
    }
    expect_damage(false, place_of(10) + 8, 4, 9, 55 - 10, 1);
}

static void test_files_of_something_else(void **unused)
{
    (void)unused;
    gw__log *orders = log_open(state);
    gw_error err = GW_ERROR_INIT;
    uint64_t sum;
    assert_int_equal(log_put(orders, 1, 10, 0, NULL), GW_OK);
    gw__log_close(orders);
    damage(1, 0, 16);
    orders = log_open(state);
    assert_int_equal(log_put(orders, 11, 1, 0, &err), GW_E_PROTOCOL);
    assert_non_null(strstr(err.text, "orders"));
    assert_int_equal(take_all(orders, &sum), 0);
    gw__log_close(orders);
}

static void test_a_newer_version_is_refused_by_name(void **unused)
{
    (void)unused;
    gw__log *orders = log_open(state);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    gw__log_close(orders);
    uint32_t version = GW__SEGMENT_VERSION + 1;
    int fd = open_segment(1);
    assert_int_equal(pwrite(fd, &version, sizeof(version), 8), sizeof(version));
    close(fd);
    orders = log_open(state);
    assert_int_equal(log_put(orders, 2, 1, 0, &err), GW_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "version 2"));
    gw__log_close(orders);
}

static void test_a_file_that_was_cut(void **unused)
{
    (void)unused;
    gw__log *orders = log_open(state);
    uint64_t sum;
    assert_int_equal(log_put(orders, 1, 10, 0, NULL), GW_OK);
    gw__log_close(orders);
    int fd = open_segment(1);
    assert_int_equal(ftruncate(fd, place_of(6) + 20), 0);
    close(fd);
    log_free_state(state);
    state = log_new_state();
    orders = log_open(state);
    assert_int_equal(gw__log_recover(orders, true, NULL), GW_OK);
    assert_int_equal(take_all(orders, &sum), 5);
    assert_int_equal(log_put(orders, 6, 1, 0, NULL), GW_OK);
    assert_int_equal(take_all(orders, &sum), 1);
    gw__log_close(orders);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed_at_any_moment),
        TEST(test_the_machine_stops),
        TEST(test_damage_is_counted_and_the_rest_goes_on),
        TEST(test_files_of_something_else),
        TEST(test_a_newer_version_is_refused_by_name),
        TEST(test_a_file_that_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
