/* SPDX-License-Identifier: MIT */
/* Copies of a log that are of one moment, and what can be read of files of which nothing else is
 * known. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/log.h"
#include "bus/segment.h"
#include "log_fixture.h"
#include "support/child.h"

#define SERIAL 0x2a

static gw__log_state *state;
static gw__log *orders;
static char copy_dir[256];
static int copy_fd;

static int open_all(void **unused)
{
    int rc = log_make_dir(unused);
    make_test_dir(copy_dir, sizeof(copy_dir));
    copy_fd = open(copy_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    state = log_new_state();
    orders = log_open(state);
    return rc != 0 || copy_fd < 0;
}

static int close_all(void **unused)
{
    gw__log_close(orders);
    log_free_state(state);
    gw__log_remove_files(copy_fd, SERIAL);
    close(copy_fd);
    remove_test_dir(copy_dir);
    return log_remove_dir(unused);
}

static gw__log *open_copy(gw__log_state **ret_state)
{
    gw__log_place place = {
        .dir_fd = copy_fd, .name = "orders", .serial = SERIAL, .dir_mode = 0700, .file_mode = 0600};
    gw__log *log_of_copy = NULL;
    *ret_state = log_new_state();
    assert_int_equal(gw__log_open(&place, *ret_state, &log_of_copy, NULL), GW_OK);
    assert_int_equal(gw__log_recover(log_of_copy, true, NULL), GW_OK);
    return log_of_copy;
}

static uint64_t put_segments(size_t n_segments)
{
    uint64_t number = 1;
    while (log_n_segments(NULL) < n_segments) {
        assert_int_equal(log_put(orders, number, 100, 8000, NULL), GW_OK);
        number += 100;
    }
    return number - 1;
}

static void take_range(gw__log *from, uint64_t first, uint64_t last, bool redelivered)
{
    uint64_t positions[256];
    while (first <= last) {
        size_t n = last - first + 1 < 100 ? (size_t)(last - first + 1) : 100;
        log_expect(from, first, n, redelivered, positions);
        log_done(from, positions, n);
        first += n;
    }
}

/* What is settled, leased, given back and appended after the copy was noted is not in it. */
static void test_a_copy_is_of_one_moment(void **unused)
{
    (void)unused;
    uint64_t positions[100];
    gw__log_copy *copy;
    uint64_t last = put_segments(3);
    take_range(orders, 1, 300, false);
    log_expect(orders, 301, 50, false, positions);
    log_done(orders, positions + 20, 10); /* 321 to 330 */
    gw__log_hold_takes(orders);
    gw__log_hold_appends(orders);
    assert_int_equal(gw__log_note(orders, &copy, NULL), GW_OK);
    gw__log_release(orders);
    log_done(orders, positions, 20);
    log_done(orders, positions + 30, 20);
    assert_int_equal(log_put(orders, last + 1, 100, 8000, NULL), GW_OK);
    take_range(orders, 351, last + 100, false); /* and the segments are gone */
    assert_int_equal(gw__log_copy_out(copy, copy_fd, NULL), GW_OK);
    gw__log_copy_free(copy);

    gw__log_state *copied_state;
    gw__log *copied = open_copy(&copied_state);
    gw__log_counts counts;
    gw__log_count(copied, &counts);
    assert_int_equal(counts.n_ready, last - 300 - 10);
    assert_int_equal(counts.n_damaged, 0);
    take_range(copied, 301, 320, true);
    take_range(copied, 331, 350, true);
    take_range(copied, 351, last, false);
    log_expect_nothing(copied);
    assert_int_equal(log_put(copied, 1, 1, 0, NULL), GW_OK);
    take_range(copied, 1, 1, false);
    gw__log_close(copied);
    log_free_state(copied_state);
}

static bool spill_to_orders(void *ctx, const gw__log_record *record)
{
    (void)ctx;
    (void)record;
    while (pthread_mutex_trylock(&state->take_lock) == 0) { /* until a copy is being made */
        pthread_mutex_unlock(&state->take_lock);
        usleep(100);
    }
    return log_put(orders, 2, 1, 0, NULL) == GW_OK;
}

static void *drop_one(void *arg)
{
    return (void *)gw__log_drop(arg, 1, spill_to_orders, NULL);
}

/* Who moves from a later log to an earlier one waits for the one with the other's lock. */
static void test_a_copy_while_another_spills(void **unused)
{
    (void)unused;
    gw__log_state *later_state = log_new_state();
    gw__log *later = log_open(later_state); /* the same files: only the locks matter here */
    pthread_t thread;
    void *n_dropped;
    assert_int_equal(log_put(later, 1, 1, 0, NULL), GW_OK);
    alarm(60);
    assert_int_equal(pthread_create(&thread, NULL, drop_one, later), 0);
    while (pthread_mutex_trylock(&later_state->take_lock) == 0) {
        pthread_mutex_unlock(&later_state->take_lock);
        usleep(100);
    }
    gw__log_hold_takes(orders);
    gw__log_hold_takes(later);
    gw__log_hold_appends(orders);
    gw__log_hold_appends(later);
    gw__log_release(later);
    gw__log_release(orders);
    pthread_join(thread, &n_dropped);
    alarm(0);
    assert_int_equal((size_t)n_dropped, 1);
    gw__log_close(later);
    log_free_state(later_state);
}

static void test_a_copy_of_nothing(void **unused)
{
    (void)unused;
    gw__log_copy *copy;
    gw__log_hold_takes(orders);
    gw__log_hold_appends(orders);
    assert_int_equal(gw__log_note(orders, &copy, NULL), GW_OK);
    gw__log_release(orders);
    assert_int_equal(gw__log_copy_out(copy, copy_fd, NULL), GW_OK);
    gw__log_copy_free(copy);
    gw__log_state *copied_state;
    gw__log *copied = open_copy(&copied_state);
    log_expect_nothing(copied);
    assert_int_equal(log_put(copied, 1, 1, 0, NULL), GW_OK);
    gw__log_close(copied);
    log_free_state(copied_state);
}

/* ---- salvage ---------------------------------------------------------------------------- */

typedef struct salvaged {
    uint64_t sum;
    size_t n;
    size_t n_damaged;
    char name[256];
} salvaged;

static bool found(void *ctx, const char *name, const gw__log_record *record)
{
    salvaged *it = ctx;
    it->sum += log_number(record);
    it->n++;
    snprintf(it->name, sizeof(it->name), "%s", name);
    return true;
}

static void found_damage(void *ctx, const char *name, uint64_t offset, size_t len)
{
    (void)name;
    (void)offset;
    (void)len;
    ((salvaged *)ctx)->n_damaged++;
}

static void test_salvage_reads_what_can_be_read(void **unused)
{
    (void)unused;
    uint64_t positions[2];
    salvaged it = {.n = 0};
    gw__log_salvage salvage = {.found = found, .damaged = found_damage, .ctx = &it};
    assert_int_equal(log_put(orders, 1, 10, 0, NULL), GW_OK);
    log_expect(orders, 1, 2, false, positions);
    log_done(orders, positions + 1, 1); /* 2: settled, and not wanted again */
    char path[400];
    snprintf(path, sizeof(path), "%s/%016x/00000001.seg", log_dir, SERIAL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    /* Records are 56 bytes apart: the head of 4, the bytes of 7. */
    assert_int_equal(pwrite(fd, "!!!!!!!!", 8, GW__SEGMENT_HEAD + 3 * 56 + 16), 8);
    assert_int_equal(pwrite(fd, "!!!!", 4, GW__SEGMENT_HEAD + 6 * 56 + 44), 4);
    close(fd);
    int logs_fd = open(log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(gw__log_salvage_files(logs_fd, SERIAL, &salvage, NULL), GW_OK);
    close(logs_fd);
    assert_int_equal(it.n, 7);
    assert_int_equal(it.sum, 55 - 2 - 4 - 7);
    assert_int_equal(it.n_damaged, 2);
    assert_string_equal(it.name, "orders");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_copy_is_of_one_moment),
        TEST(test_a_copy_while_another_spills),
        TEST(test_a_copy_of_nothing),
        TEST(test_salvage_reads_what_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
