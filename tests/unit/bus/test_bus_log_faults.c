/* SPDX-License-Identifier: MIT */
/* A log when something is missing: descriptors, space, a map that others have, a lock's owner. Each
 * time nothing is lost that is there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/robust.h"
#include "bus/segment.h"
#include "log_fixture.h"

#define OTHER 8u

static gw__log_state *state;
static gw__log *orders;

static int open_log(void **unused)
{
    int rc = log_make_dir(unused);
    state = log_new_state();
    orders = log_open(state);
    return rc;
}

static int close_log(void **unused)
{
    gw__log_close(orders);
    log_free_state(state);
    return log_remove_dir(unused);
}

/* So many records that they need `n` files; returns the last number. */
static uint64_t fill_segments(size_t n)
{
    uint64_t number = 0;
    while (log_n_segments(NULL) < n) {
        assert_int_equal(log_put(orders, number + 1, 100, 60000, NULL), GW_OK);
        number += 100;
    }
    return number;
}

/* One message is being handled for long, many segments of others come and go behind it, and then a
 * process comes that has none of them mapped. */
static void test_a_late_comer_leaves_alone_what_is_before_it(void **unused)
{
    (void)unused;
    uint64_t first;
    uint64_t positions[100];
    uint64_t last = fill_segments(4);
    log_expect(orders, 1, 1, false, &first);
    for (uint64_t number = 2; number + 100 < last; number += 100) {
        log_expect(orders, number, 100, false, positions);
        log_done(orders, positions, 100);
    }
    gw__log *late = log_open(state);
    gw__log_record record;
    assert_int_equal(gw__log_take(late, OTHER, 1000, 0, &record, 1), 1);
    assert_int_equal(gw__log_settle(late, OTHER, &record.position, 1, GW__LOG_DONE), 1);
    /* The first one's handler dies: that it was there is found out by the late comer. */
    assert_int_equal(gw__log_return_all(late, LOG_MEMBER), 1);
    assert_int_equal(gw__log_take(late, OTHER, 1000, 0, &record, 1), 1);
    assert_int_equal(log_number(&record), 1);
    assert_true(record.redelivered);
    gw__log_close(late);
}

/* One is held for long while very many come and go: its holder dies, and all is as it should be. */
static void test_one_is_held_before_many(void **unused)
{
    (void)unused;
    enum { N = 200000 };
    gw__log_record records[200];
    uint64_t positions[200];
    gw__log_counts counts;
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    log_expect(orders, 1, 1, false, NULL);
    for (uint64_t number = 2; number < N; number += 200) {
        assert_int_equal(log_put(orders, number, 200, 50, NULL), GW_OK);
        assert_int_equal(gw__log_take(orders, OTHER, 1000, 0, records, 200), 200);
        for (size_t i = 0; i < 200; i++) {
            positions[i] = records[i].position;
        }
        assert_int_equal(gw__log_settle(orders, OTHER, positions, 199, GW__LOG_DONE), 199);
        assert_int_equal(gw__log_settle(orders, OTHER, positions + 199, 1, GW__LOG_RETURN), 1);
        log_expect(orders, number + 199, 1, true, positions);
        log_done(orders, positions, 1);
    }
    assert_int_equal(gw__log_return_all(orders, OTHER), 0);
    assert_int_equal(gw__log_return_all(orders, LOG_MEMBER), 1);
    log_expect(orders, 1, 1, true, positions);
    gw__log_count(orders, &counts);
    assert_int_equal(counts.n_ready, 0);
    assert_int_equal(counts.n_leased, 1);
    log_done(orders, positions, 1);
    assert_int_equal(log_n_segments(NULL), 1);
}

/* Let this process open so many files more. */
static void leave_descriptors(unsigned n)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    limit.rlim_cur = (rlim_t)fd + n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* In a process of its own, whose limits are not ours. */
static void in_child(void (*work)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        work();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void use_without_descriptors(void)
{
    gw__log_record record;
    gw__log *log = log_open(state);
    leave_descriptors(0);
    bool wrong = gw__log_take(log, OTHER, 1000, 0, &record, 1) != 0 ||
                 gw__log_return_all(log, LOG_MEMBER) != GW__LOG_NOT_ALL ||
                 gw__log_drop(log, SIZE_MAX, NULL, NULL) != 0 || gw__log_first_due_ms(log) != 0 ||
                 !gw__log_has_ready(log);
    _exit(wrong ? 1 : 0);
}

static void test_without_descriptors_nothing_is_passed_over(void **unused)
{
    (void)unused;
    uint64_t positions[2];
    fill_segments(3);
    log_expect(orders, 1, 2, false, positions);
    log_done(orders, positions, 1);
    in_child(use_without_descriptors);
    assert_int_equal(gw__log_return_all(orders, LOG_MEMBER), 1);
    log_expect(orders, 2, 1, true, NULL);
    log_expect(orders, 3, 100, false, NULL);
}

static void recover_without_descriptors(void)
{
    for (unsigned n = 0; n < 2; n++) { /* once more */
        gw_error err = GW_ERROR_INIT;
        gw__log *log = log_open(state);
        leave_descriptors(0);
        gw__log_state before = *state;
        if (gw__log_recover(log, false, &err) == GW_OK || err.text[0] == '\0' ||
            gw__log_recover(log, true, &err) == GW_OK) {
            _exit(1);
        }
        *state = before; /* for the next round's first try */
        gw__log_close(log);
    }
    _exit(0);
}

static void test_without_descriptors_recovery_fails_and_can_be_repeated(void **unused)
{
    (void)unused;
    uint64_t last = fill_segments(3);
    in_child(recover_without_descriptors);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__log_recover(orders, true, &err), GW_OK);
    for (uint64_t number = 1; number < last; number += 100) {
        log_expect(orders, number, 100, false, NULL);
    }
    log_expect_nothing(orders);
}

static void use_with_few_descriptors(void)
{
    gw__log_record record;
    gw__log *logs[20];
    leave_descriptors(4);
    for (size_t i = 0; i < 20; i++) { /* as of as many queues: what was recovered is closed */
        logs[i] = log_open(state);
        gw_error err = GW_ERROR_INIT;
        if (gw__log_recover(logs[i], i % 2 == 0, &err) != GW_OK) {
            fprintf(stderr, "%s\n", err.text);
            _exit(1);
        }
    }
    uint64_t last = state->last_seq;
    for (size_t i = 0; i < 20; i++) {
        if (log_put(logs[i], last + 1 + i, 1, 0, NULL) != GW_OK) {
            _exit(2);
        }
    }
    size_t n = 0;
    while (gw__log_take(logs[n % 20], OTHER, 1000, 0, &record, 1) == 1) { /* all are mapped */
        n += log_number(&record) == n + 1;
    }
    _exit(n == state->last_seq ? 0 : 1);
}

static void test_few_descriptors_are_enough_for_many_files(void **unused)
{
    (void)unused;
    fill_segments(6);
    in_child(use_with_few_descriptors);
}

/* One was killed while making the folder, with a umask of his own. */
static void test_what_is_left_of_a_new_folder_is_not_used(void **unused)
{
    (void)unused;
    char path[400];
    snprintf(path, sizeof(path), "%s/%016x.new", log_dir, 0x2a);
    assert_int_equal(mkdir(path, 0100), 0);
    mode_t before = umask(077);
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    umask(before);
    struct stat info;
    assert_int_equal(stat(path, &info), -1);
    snprintf(path, sizeof(path), "%s/%016x", log_dir, 0x2a);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    log_expect(orders, 1, 1, false, NULL);
}

/* What somebody left who was killed while making a file, here one that is worse than his own. */
static void test_what_is_left_of_a_new_file_is_not_used(void **unused)
{
    (void)unused;
    char path[400];
    char target[400];
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    snprintf(target, sizeof(target), "%s/kept", log_dir);
    snprintf(path, sizeof(path), "%s/%016x/new", log_dir, 0x2a);
    int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "kept", 4), 4);
    close(fd);
    assert_int_equal(symlink(target, path), 0);
    uint64_t last = fill_segments(2);
    struct stat info;
    assert_int_equal(stat(target, &info), 0);
    assert_int_equal(info.st_size, 4);
    assert_int_equal(lstat(path, &info), -1);
    assert_int_equal(state->last_seq, last + 1);
    assert_int_equal(unlink(target), 0);
}

/* ---- the disk ------------------------------------------------------------------------------ */

static int sync_errnum;

/* Instead of the system's: the disk fails once, and forgets it. */
int fdatasync(int fd)
{
    if (sync_errnum == 0) {
        return fsync(fd);
    }
    errno = sync_errnum;
    sync_errnum = 0;
    return -1;
}

/* The name of a new file can be on the disk before what is in it. */
static void test_an_empty_file_behind_the_tail_is_in_nobodys_way(void **unused)
{
    (void)unused;
    char path[400];
    snprintf(path, sizeof(path), "%s/%016x/00000002.seg", log_dir, 0x2a);
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (uint64_t number = 2; state->tail < UINT64_C(3) << 32; number += 100) {
        assert_int_equal(log_put(orders, number, 100, 60000, NULL), GW_OK);
    }
    log_expect(orders, 1, 200, false, NULL);
}

static void test_what_the_disk_did_not_take_is_safe_for_nobody(void **unused)
{
    (void)unused;
    gw__log *other = log_open(state);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(log_put(orders, 1, 2, 0, NULL), GW_OK);
    sync_errnum = EIO;
    assert_int_equal(gw__log_sync(orders, state->tail, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "orders"));
    assert_int_equal(gw__log_sync(orders, state->tail, &err), GW_E_IO);
    assert_int_equal(gw__log_sync(other, state->tail, &err), GW_E_IO); /* as another process */
    assert_int_equal(gw__log_recover(other, false, NULL), GW_OK);
    assert_int_equal(gw__log_sync(other, state->tail, &err), GW_OK);
    gw__log_close(other);
}

static void sync_without_descriptors(void)
{
    gw_error err = GW_ERROR_INIT;
    leave_descriptors(0);
    bool failed = gw__log_sync(orders, state->tail, &err) != GW_OK;
    leave_descriptors(2);
    _exit(failed && gw__log_sync(orders, state->tail, &err) == GW_OK ? 0 : 1);
}

static void test_without_descriptors_a_sync_can_be_repeated(void **unused)
{
    (void)unused;
    assert_int_equal(log_put(orders, 1, 2, 0, NULL), GW_OK);
    in_child(sync_without_descriptors);
}

static void set_file_limit(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* At every place where a file grows or is made: the call fails, all of the batch or none is there,
 * and it goes on when there is room. */
static void test_a_full_disk(void **unused)
{
    (void)unused;
    (void)signal(SIGXFSZ, SIG_IGN);
    uint64_t number = 1;
    for (rlim_t size = 0; size < (rlim_t)20 << 20; size = size == 0 ? 32 << 10 : size * 3) {
        set_file_limit(size);
        gw_status st;
        gw_error err = GW_ERROR_INIT;
        size_t n_done = 0;
        while ((st = log_put(orders, number, 50, 60000, &err)) == GW_OK && n_done < 20) {
            number += 50;
            n_done++;
        }
        set_file_limit(RLIM_INFINITY);
        if (st == GW_OK) {
            number += 50;
        } else {
            assert_int_equal(st, GW_E_NO_SPACE);
            assert_non_null(strstr(err.text, "orders"));
        }
        assert_int_equal(state->last_seq, number - 1);
        assert_int_equal(log_put(orders, number, 50, 60000, NULL), GW_OK);
        number += 50;
    }
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(gw__log_recover(orders, true, NULL),
                     GW_OK); /* nor does a file say otherwise */
    for (uint64_t i = 1; i < number; i += 50) {
        log_expect(orders, i, 50, false, NULL);
    }
    log_expect_nothing(orders);
}

/* ---- damage -------------------------------------------------------------------------------- */

/* What the state says becomes what it cannot be; the files know better. */
static void test_impossible_positions_neither_crash_nor_go_on_for_ever(void **unused)
{
    (void)unused;
    static const uint64_t values[] = {
        0,          1, UINT64_C(1) << 32, UINT64_MAX, UINT64_MAX - 7, UINT64_C(0x7fffffff00000200),
        0x1000001f4};
    uint64_t last = fill_segments(2);
    size_t n_places = 5;
    for (size_t i = 0; i < n_places * sizeof(values) / sizeof(values[0]); i++) {
        uint64_t value = values[i / n_places];
        gw__log *log = log_open(state);
        gw__log_record record;
        gw__log_copy *copy = NULL;
        switch (i % n_places) {
        case 0: state->head = value; break;
        case 1: state->next = value; break;
        case 2: state->tail = value; break;
        case 3: state->append_from = value; break;
        default: state->first_segment = value; break;
        }
        bool used = i % n_places != 3; /* that one matters only when somebody died */
        if (used && i % n_places != 2 && gw__log_take(log, OTHER, 1000, 0, &record, 1) == 1) {
            gw__log_settle(log, OTHER, &record.position, 1, GW__LOG_RETURN);
        }
        gw__log_return_all(log, LOG_MEMBER);
        (void)gw__log_first_due_ms(log);
        (void)gw__log_sync(log, state->tail, NULL);
        gw__log_hold_takes(log);
        gw__log_hold_appends(log);
        if (gw__log_note(log, &copy, NULL) == GW_OK) {
            gw__log_copy_free(copy);
        }
        gw__log_release(log);
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__log_recover(log, false, &err), GW_OK);
        for (uint64_t number = 1; i % 10 == 0 && number < last; number += 100) {
            gw__log_record records[100];
            assert_int_equal(gw__log_take(log, LOG_MEMBER, 1000, 0, records, 100), 100);
            assert_int_equal(log_number(&records[0]), number);
            assert_int_equal(log_number(&records[99]), number + 99);
        }
        gw__log_return_all(log, LOG_MEMBER);
        gw__log_close(log);
    }
}

/* A file that is none any more, between others: what was in it is counted, and it is kept. */
static void test_a_lost_file_is_counted_and_kept(void **unused)
{
    (void)unused;
    char path[400];
    gw__log_record record;
    gw__log_counts counts;
    uint64_t last = fill_segments(4);
    snprintf(path, sizeof(path), "%s/%016x/00000002.seg", log_dir, 0x2a);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "no segment", 10, 0), 10);
    close(fd);
    gw__log *log = log_open(state);
    uint64_t n = 0;
    while (gw__log_take(log, OTHER, 1000, 0, &record, 1) == 1) {
        n++;
        assert_int_equal(gw__log_settle(log, OTHER, &record.position, 1, GW__LOG_DONE), 1);
    }
    gw__log_count(log, &counts);
    assert_true(n < last);
    assert_int_equal(n + counts.n_damaged, last);
    snprintf(path, sizeof(path), "%s/%016x/00000002.seg.damaged", log_dir, 0x2a);
    assert_int_equal(access(path, F_OK), 0);
    gw__log_close(log);
}

/* One that was put there, and would be far behind the others. */
static void test_a_stray_file_is_no_end(void **unused)
{
    (void)unused;
    char path[400];
    assert_int_equal(log_put(orders, 1, 10, 0, NULL), GW_OK);
    snprintf(path, sizeof(path), "%s/%016x/ffffffff.seg", log_dir, 0x2a);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(gw__log_recover(orders, true, NULL), GW_OK);
    log_expect(orders, 1, 10, false, NULL);
}

/* ---- a lock's owner died --------------------------------------------------------------- */

static void die_while_appending(void)
{
    gw__robust_lock(&state->append_lock);
    state->last_seq = 0; /* the tail has moved, the number has not */
}

static void die_while_taking_nothing(void)
{
    gw__robust_lock(&state->take_lock);
}

static void die_while_taking(void)
{
    gw__log_record record;
    uint64_t next = state->next;
    if (gw__log_take(orders, OTHER, 1000, 0, &record, 1) != 1) {
        _exit(1);
    }
    gw__robust_lock(&state->take_lock);
    state->next = next; /* the state has changed, nothing else has */
    state->next_seq = record.seq;
    state->n_leased = 0;
}

/* Somebody who knows only the log that was in the place before is told of the death. */
static void test_the_lock_of_a_dead_owner_comes_to_one_with_an_old_log(void **unused)
{
    (void)unused;
    gw__log_place place = {
        .dir_fd = -1, .name = "old", .serial = 1, .dir_mode = 0700, .file_mode = 0600};
    gw__log *old;
    gw__log_record record;
    assert_int_equal(gw__log_open(&place, state, &old, NULL), GW_OK);
    assert_int_equal(log_put(orders, 1, 1, 0, NULL), GW_OK);
    in_child(die_while_appending);
    assert_int_equal(log_put(old, 9, 1, 0, NULL), GW_E_NOT_FOUND);
    assert_int_equal(log_put(orders, 2, 1, 0, NULL), GW_OK);
    assert_int_equal(state->last_seq, 2);
    in_child(die_while_taking);
    assert_int_equal(gw__log_take(old, OTHER, 1000, 0, &record, 1), 0);
    log_expect(orders, 1, 1, true, NULL);
    log_expect(orders, 2, 1, false, NULL);
    in_child(die_while_taking_nothing);
    gw__log_hold_takes(old); /* a backup, before it looks whether the log is there */
    gw__log_hold_appends(old);
    gw__log_release(old);
    assert_int_equal(gw__log_return_all(orders, LOG_MEMBER), 2);
    gw__log_close(old);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_late_comer_leaves_alone_what_is_before_it),
        TEST(test_one_is_held_before_many),
        TEST(test_without_descriptors_nothing_is_passed_over),
        TEST(test_without_descriptors_recovery_fails_and_can_be_repeated),
        TEST(test_few_descriptors_are_enough_for_many_files),
        TEST(test_what_is_left_of_a_new_folder_is_not_used),
        TEST(test_what_is_left_of_a_new_file_is_not_used),
        TEST(test_an_empty_file_behind_the_tail_is_in_nobodys_way),
        TEST(test_what_the_disk_did_not_take_is_safe_for_nobody),
        TEST(test_without_descriptors_a_sync_can_be_repeated),
        TEST(test_a_full_disk),
        TEST(test_impossible_positions_neither_crash_nor_go_on_for_ever),
        TEST(test_a_lost_file_is_counted_and_kept),
        TEST(test_a_stray_file_is_no_end),
        TEST(test_the_lock_of_a_dead_owner_comes_to_one_with_an_old_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
