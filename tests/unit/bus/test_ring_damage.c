/* SPDX-License-Identifier: MIT */
/* Files of a ring that something else has written to: what is lost is counted, what is left is what
 * was put there, and no file makes it crash. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "bus/crc32c.h"
#include "bus/ring.h"
#include "ring_file.h"
#include "support/child.h"

#define N_OF(a)   (sizeof(a) / sizeof((a)[0]))
#define FILE_HEAD 4096
#define HEAD_LEN  40
#define HEAD_USED 40 /* bytes of the file's head that mean something */
#define FIRST_AT  32 /* in it: the first number */
#define STATE_AT  36 /* in a record's head */
#define N_RECORDS 4
#define PREFIX    (FILE_HEAD + 1024)
#define FILE_LEN  (FILE_HEAD + GW__RING_SIZE)

static const size_t lens[N_RECORDS] = {5, 64, 33, 16};

static char dir[256];
static char path[300];

static int make_dir(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/ring", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static void write_file(const char *to, size_t at, const void *bytes, size_t len)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

static void read_file(size_t at, void *bytes, size_t len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, len, (off_t)at), len);
    close(fd);
}

/* Four records, the second one settled. Returns the first one's number. */
static uint64_t make_file(uint8_t ret_prefix[PREFIX])
{
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    for (size_t i = 0; i < N_RECORDS; i++) {
        assert_int_equal(ring_put(ring, lens[i], false), first + i);
    }
    bool external;
    assert_true(gw__ring_settle(ring, first + 1, &external));
    gw__ring_close(ring);
    read_file(0, ret_prefix, PREFIX);
    return first;
}

/* What the file's head, or the record there, is; by its number among them, -1 for the file's. */
static int part_at(size_t at)
{
    size_t end = FILE_HEAD;
    int part = -1;
    while (at >= end && part < N_RECORDS - 1) {
        part++;
        end += (HEAD_LEN + lens[part] + 7) & ~(size_t)7;
    }
    return at < end ? part : N_RECORDS;
}

/* How many files were moved aside; they are removed. */
static unsigned take_set_aside(void)
{
    char command[400];
    unsigned n = 0;
    snprintf(command, sizeof(command), "ls %s/ring.damaged-* 2>/dev/null", dir);
    FILE *names = popen(command, "re");
    assert_non_null(names);
    char name[300];
    while (fgets(name, sizeof(name), names) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        assert_int_equal(unlink(name), 0);
        n++;
    }
    pclose(names);
    return n;
}

/* One bit is wrong. Every record is there, or is counted as damaged or lost; ring_recover() has
 * checked that those that are there are right. */
static void flip(const uint8_t *prefix, uint64_t first, size_t at, unsigned bit)
{
    uint8_t wrong = (uint8_t)(prefix[at] ^ (1u << bit));
    write_file(path, at, &wrong, 1);
    gw__ring *ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    gw__ring_close(ring);
    unsigned n_aside = take_set_aside();
    int part = part_at(at);
    bool all = seen.n >= N_RECORDS - 1;
    bool right = true;
    if (part == -1 && n_aside == 1) {
        right = at < FIRST_AT && seen.n == 0; /* kept for a person */
    } else if (part == -1) {
        right = all && at >= FIRST_AT; /* rather too much than nothing */
    } else {
        /* The last one's head: nothing says that there was one. */
        bool is_last = part == N_RECORDS - 1;
        right = n_aside == 0 && (all || seen.n + seen.n_damaged + seen.n_lost >= N_RECORDS - 1 ||
                                 (is_last && seen.n == N_RECORDS - 2));
        for (size_t i = 0; right && i < seen.n; i++) {
            right = seen.seqs[i] >= first && seen.seqs[i] < first + N_RECORDS;
        }
        right = right && seen.n >= N_RECORDS - 2; /* the others are there */
    }
    if (!right) {
        fail_msg("bit %u of byte %zu: %zu are there, %zu damaged, %llu lost, %u aside", bit, at,
                 seen.n, seen.n_damaged, (unsigned long long)seen.n_lost, n_aside);
    }
    write_file(path, 0, prefix, PREFIX);
}

static void test_each_byte(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    uint64_t first = make_file(prefix);
    for (size_t at = 0; at < HEAD_USED; at += at < FIRST_AT ? 3 : 1) { /* a new file each */
        flip(prefix, first, at, (unsigned)at % 8);
    }
    for (size_t at = FILE_HEAD; part_at(at) < N_RECORDS; at++) {
        flip(prefix, first, at, (unsigned)(at * 5) % 8);
    }
    write_file(path, 0, prefix, PREFIX);
}

/* No single bit makes a message count as delivered. */
static void test_each_bit_of_the_state(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    uint64_t first = make_file(prefix);
    for (unsigned bit = 0; bit < 32; bit++) {
        size_t at = FILE_HEAD + STATE_AT + bit / 8;
        uint8_t wrong = (uint8_t)(prefix[at] ^ (1u << bit % 8));
        write_file(path, at, &wrong, 1);
        gw__ring *ring = ring_open(path);
        ring_seen seen = ring_recover(ring);
        assert_int_equal(seen.n, N_RECORDS - 1);
        assert_int_equal(seen.seqs[0], first);
        gw__ring_close(ring);
        write_file(path, at, &prefix[at], 1);
    }
}

/* Whatever stands for the first number: what is put afterwards is found by the next one. */
static void test_each_bit_of_the_first_number(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    uint64_t first = make_file(prefix);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t wrong = (uint8_t)(prefix[FIRST_AT + bit / 8] ^ (1u << bit % 8));
        write_file(path, FIRST_AT + bit / 8, &wrong, 1);
        gw__ring *ring = ring_open(path);
        assert_true(ring_recover(ring).n >= N_RECORDS - 1);
        gw__ring_restart(ring, 0);
        uint64_t seq = ring_put(ring, 10, false);
        assert_int_equal(seq, first + N_RECORDS);
        gw__ring_close(ring);
        ring = ring_open(path);
        ring_seen seen = ring_recover(ring);
        gw__ring_close(ring);
        if (seen.n != 1 || seen.seqs[0] != seq || seen.n_lost != 0) {
            fail_msg("bit %u: %zu are there, %llu lost", bit, seen.n,
                     (unsigned long long)seen.n_lost);
        }
        write_file(path, 0, prefix, PREFIX);
    }
}

/* A message that holds a copy of a record, found since the head around it is damaged, is none. */
static void test_body_like_a_record(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    uint64_t first = make_file(prefix);
    gw__ring *ring = ring_open(path);
    ring_recover(ring);
    gw__ring_restart(ring, 0);
    uint64_t outer = gw__ring_next(ring);
    uint8_t *place = gw__ring_reserve(ring, 4 * HEAD_LEN);
    for (int i = 0; i < 4; i++) {
        memcpy(place + i * HEAD_LEN, prefix + FILE_HEAD, HEAD_LEN);
        memcpy(place + i * HEAD_LEN + 8, &(uint64_t){outer + 1}, 8); /* as a later number, too */
    }
    memcpy(place, prefix + FILE_HEAD, HEAD_LEN);
    gw__ring_commit(ring, 4 * HEAD_LEN, 1, 1, false);
    ring_put(ring, 10, false);
    gw__ring_close(ring);
    uint8_t wrong;
    read_file(FILE_HEAD, &wrong, 1);
    wrong ^= 1;
    write_file(path, FILE_HEAD, &wrong, 1);
    ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.seqs[0], outer + 1);
    assert_int_equal(seen.n_lost, 1);
    assert_true(first < outer);
    gw__ring_close(ring);
}

static void test_not_a_ring(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    make_file(prefix);
    uint8_t zeros[PREFIX] = {0};
    uint8_t text[PREFIX];
    memset(text, 'x', sizeof(text));
    const struct {
        const char *name;
        const uint8_t *bytes;
        size_t len;
        size_t file_len;
    } cases[] = {
        {"empty", prefix, 0, 0},
        {"a byte", prefix, 1, 1},
        {"half a head", prefix, 20, 20},
        {"no records", prefix, FILE_HEAD, FILE_HEAD},
        {"cut", prefix, PREFIX, PREFIX},
        {"a byte too short", prefix, PREFIX, FILE_LEN - 1},
        {"zeros", zeros, PREFIX, FILE_LEN},
        {"text", text, PREFIX, FILE_LEN},
        {"short text", text, 10, 10},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(unlink(path), 0);
        write_file(path, 0, cases[i].bytes, cases[i].len);
        assert_int_equal(truncate(path, (off_t)cases[i].file_len), 0);
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__ring_peek(path, NULL, NULL, &err), GW_E_PROTOCOL);
        assert_non_null(strstr(err.text, path));
        gw__ring *ring = ring_open(path);
        assert_int_equal(ring_recover(ring).n, 0);
        assert_true(ring_put(ring, 10, false) > 0);
        gw__ring_close(ring);
        if (take_set_aside() != 1) {
            fail_msg("%s was not kept", cases[i].name);
        }
    }
}

/* A longer file, and one with holes in place of its zeros, are as good as any. */
static void test_copies(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    make_file(prefix);
    assert_int_equal(unlink(path), 0);
    write_file(path, 0, prefix, PREFIX);
    assert_int_equal(truncate(path, FILE_LEN + 5000), 0);
    gw__ring *ring = ring_open(path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true((size_t)info.st_blocks * 512 >=
                FILE_LEN); /* a full disk is noticed now, or never */
    assert_int_equal(ring_recover(ring).n, N_RECORDS - 1);
    gw__ring_close(ring);
    assert_int_equal(take_set_aside(), 0);
}

static void test_newer_version(void **state)
{
    (void)state;
    uint8_t prefix[PREFIX];
    make_file(prefix);
    prefix[8] = 2;
    uint32_t check = gw__crc32c(0, prefix, 28);
    memcpy(prefix + 28, &check, sizeof(check));
    write_file(path, 0, prefix, PREFIX);
    gw__ring *ring = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__ring_open(path, &ring, &err), GW_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "version 2"));
    assert_null(ring);
    assert_int_equal(gw__ring_peek(path, NULL, NULL, NULL), GW_E_UNSUPPORTED);
    assert_int_equal(take_set_aside(), 0);
    prefix[8] = 1;
    check = gw__crc32c(0, prefix, 28);
    memcpy(prefix + 28, &check, sizeof(check));
    write_file(path, 0, prefix, PREFIX);
    ring = ring_open(path); /* it was not touched */
    assert_int_equal(ring_recover(ring).n, N_RECORDS - 1);
    gw__ring_close(ring);
}

static void test_no_file_at_all(void **state)
{
    (void)state;
    gw__ring *ring = NULL;
    gw_error err = GW_ERROR_INIT;
    char nowhere[320];
    snprintf(nowhere, sizeof(nowhere), "%s/none/ring", dir);
    assert_int_not_equal(gw__ring_open(nowhere, &ring, &err), GW_OK);
    assert_non_null(strstr(err.text, nowhere));
    assert_int_not_equal(gw__ring_open(dir, &ring, &err), GW_OK); /* a directory */
    assert_null(ring);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_byte, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_each_bit_of_the_state, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_each_bit_of_the_first_number, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_body_like_a_record, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_not_a_ring, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_copies, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_newer_version, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_no_file_at_all, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("damaged rings", tests, NULL, NULL);
}
