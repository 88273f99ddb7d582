/* SPDX-License-Identifier: MIT */
/*
 * The ring in its file: what was put in comes out, at every place and size, after any end of its
 * process; test_ring_damage.c has files that were tampered with. Each record's bytes follow from
 * its number, so that a wrong one is noticed wherever it turns up.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "bus/ring.h"
#include "ring_file.h"
#include "support/child.h"

#define N_OF(a)   (sizeof(a) / sizeof((a)[0]))
#define HEAD_LEN  40
#define LARGEST   (GW__RING_SIZE / 4 - 48)
#define MODEL_MAX 4096

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

static uint64_t put(gw__ring *ring, size_t len)
{
    uint64_t seq = ring_put(ring, len, false);
    assert_true(seq > 0);
    return seq;
}

/* Close, open, and compare what is left with first, first + 1, ...; those with a bit in `settled`
 * are not. */
static gw__ring *reopen(gw__ring *ring, uint64_t first, size_t n, uint64_t settled)
{
    gw__ring_close(ring);
    ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if ((settled >> i & 1) == 0) {
            assert_true(at < seen.n);
            assert_int_equal(seen.seqs[at++], first + i);
        }
    }
    assert_int_equal(seen.n, at);
    assert_int_equal(seen.n_damaged, 0);
    assert_int_equal(seen.n_lost, 0);
    return ring;
}

/* ---- one after the other ---------------------------------------------------------- */

static void test_reopen(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 7, 8, 9, 23, 24, 25, 4095, 4096, 4097, 65536, LARGEST};
    gw__ring *ring = ring_open(path);
    assert_int_equal(ring_recover(ring).n, 0);
    assert_int_equal(gw__ring_used(ring), 0);
    uint64_t first = gw__ring_next(ring);
    assert_true(first > 0); /* numbers begin at 1: "after 0" is all of them */
    for (size_t i = 0; i < N_OF(lens); i++) {
        assert_int_equal(put(ring, lens[i]), first + i);
    }
    for (int i = 0; i < 3; i++) { /* until restart() it can be done again */
        ring = reopen(ring, first, N_OF(lens), 0);
    }
    gw__ring_restart(ring, 5);
    assert_int_equal(gw__ring_first(ring), gw__ring_next(ring));
    assert_true(gw__ring_next(ring) == first + N_OF(lens));
    assert_int_equal(gw__ring_used(ring), 0);
    ring = reopen(ring, 0, 0, 0);
    gw__ring_restart(ring, 1000);
    assert_int_equal(put(ring, 5), 1000);
    ring = reopen(ring, 1000, 1, 0);
    gw__ring_close(ring);
}

static void test_settle_in_any_order(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    bool external = true;
    assert_false(gw__ring_settle(ring, first, &external));
    for (int i = 0; i < 8; i++) {
        put(ring, 100);
    }
    assert_true(gw__ring_settle(ring, first + 3, &external));
    assert_false(external);
    assert_true(gw__ring_settle(ring, first + 3, &external)); /* no harm */
    assert_true(gw__ring_get(ring, first + 3).settled);
    assert_int_equal(gw__ring_first(ring), first);
    ring = reopen(ring, first, 8, 1 << 3);
    gw__ring_close(ring);
}

/* What is given up from the front makes room, from the middle does not. */
static void test_front_moves(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    bool external;
    for (int i = 0; i < 6; i++) {
        put(ring, 1000);
    }
    size_t used = gw__ring_used(ring);
    gw__ring_settle(ring, first + 1, &external);
    gw__ring_settle(ring, first + 2, &external);
    assert_int_equal(gw__ring_used(ring), used);
    gw__ring_settle(ring, first, &external);
    assert_int_equal(gw__ring_first(ring), first + 3);
    assert_int_equal(gw__ring_used(ring), used / 2);
    assert_false(gw__ring_settle(ring, first + 1, &external));
    gw__ring_settle(ring, first + 5, &external);
    gw__ring_settle(ring, first + 4, &external);
    gw__ring_settle(ring, first + 3, &external);
    assert_int_equal(gw__ring_used(ring), 0);
    assert_int_equal(gw__ring_first(ring), gw__ring_next(ring));
    gw__ring_close(ring);
}

static void test_pin_and_give_up(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    bool external;
    for (int i = 0; i < 6; i++) {
        put(ring, 50);
    }
    gw__ring_pin(ring, true);
    gw__ring_settle(ring, first, &external);
    gw__ring_settle(ring, first + 1, &external);
    gw__ring_settle(ring, first + 3, &external);
    assert_int_equal(gw__ring_first(ring), first); /* their bytes may be looked at */
    put(ring, 50);
    gw__ring_give_up(ring, first + 3);
    assert_int_equal(gw__ring_first(ring), first + 4); /* the next one was settled */
    gw__ring_pin(ring, false);
    ring = reopen(ring, first + 4, 3, 0);
    gw__ring_restart(ring, 0);
    first = put(ring, 50);
    gw__ring_pin(ring, true);
    gw__ring_settle(ring, first, &external);
    gw__ring_pin(ring, false); /* now */
    assert_int_equal(gw__ring_first(ring), first + 1);
    gw__ring_close(ring);
}

static void test_external(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t seq = ring_put(ring, 0, true);
    assert_true(gw__ring_get(ring, seq).external);
    gw__ring_close(ring);
    ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.n_external, 1);
    gw__ring_restart(ring, 0);
    seq = ring_put(ring, 0, true);
    bool external = false;
    assert_true(gw__ring_settle(ring, seq, &external));
    assert_true(external);
    gw__ring_close(ring);
    gw__ring_close(NULL);
}

/* ---- room ------------------------------------------------------------------------- */

/* Filled to the last byte it is not taken for empty. */
static void test_full_is_not_empty(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    size_t quarter = GW__RING_SIZE / 4 - HEAD_LEN; /* with its head a quarter; by hand: it is more
                                                      than a record may be */
    bool external;
    for (int i = 0; i < 4; i++) {
        put(ring, quarter);
    }
    assert_int_equal(gw__ring_used(ring), GW__RING_SIZE);
    assert_null(gw__ring_reserve(ring, 0));
    gw__ring_settle(ring, first, &external);
    assert_null(gw__ring_reserve(ring, quarter)); /* its end would be the oldest one's beginning */
    put(ring, quarter - 8);
    assert_null(gw__ring_reserve(ring, 0));
    assert_int_equal(gw__ring_used(ring), GW__RING_SIZE - 8);
    ring = reopen(ring, first + 1, 4, 0);
    gw__ring_close(ring);
}

/* Takes the place of a record with its head, whatever its bytes. */
static uint64_t take_place(gw__ring *ring, size_t whole)
{
    assert_non_null(gw__ring_reserve(ring, whole - HEAD_LEN));
    return gw__ring_commit(ring, whole - HEAD_LEN, 1, 1, false);
}

/* The end of the file is met with every number of bytes left, by records that just fit or not. */
static void test_every_edge(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 8, 9, 15, 16, 17, 24, 32, 47, 48, 49, 56, 57};
    gw__ring *ring = ring_open(path);
    for (size_t left = 0; left <= 112; left += 8) {
        for (size_t i = 0; i < N_OF(lens); i++) {
            gw__ring_restart(ring, 0);
            uint64_t first = gw__ring_next(ring);
            bool external;
            for (int n = 0; n < 3; n++) {
                take_place(ring, GW__RING_SIZE / 4);
            }
            take_place(ring, GW__RING_SIZE / 4 - left);
            gw__ring_settle(ring, first, &external);
            put(ring, lens[i]);
            put(ring, 3);
            size_t whole = (HEAD_LEN + lens[i] + 7) & ~(size_t)7;
            size_t small = HEAD_LEN + 8;
            size_t used = GW__RING_SIZE / 4 * 3; /* up to the end; then those from the beginning */
            if (whole > left) {
                used += whole + small;
            } else if (whole + small > left) {
                used += small;
            } else {
                used -= left - whole - small;
            }
            assert_int_equal(gw__ring_used(ring), used);
            for (uint64_t seq = first; seq < first + 4; seq++) {
                gw__ring_settle(ring, seq, &external);
            }
            ring = reopen(ring, first + 4, 2, 0);
        }
    }
    gw__ring_close(ring);
}

/* While it is not half full the largest record has a place, wherever the others are: who waits for
 * that must not wait in vain. */
static void test_room_while_not_half_full(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    bool external;
    assert_true(gw__ring_takes(ring, LARGEST));
    assert_false(gw__ring_takes(ring, LARGEST + 1));
    for (size_t shift = 0; shift <= 4096; shift += 8) {
        gw__ring_restart(ring, 0);
        /* ahead of the middle half by `shift`, and half full but for 8 bytes */
        uint64_t ahead = take_place(ring, GW__RING_SIZE / 4 - 2048 + shift);
        uint64_t middle = take_place(ring, GW__RING_SIZE / 2 - 8);
        gw__ring_settle(ring, ahead, &external);
        assert_true(gw__ring_used(ring) < GW__RING_SIZE / 2);
        assert_non_null(gw__ring_reserve(ring, LARGEST));
        gw__ring_settle(ring, middle, &external);
    }
    gw__ring_close(ring);
}

/* More records than its index has places are refused, not mixed up. */
static void test_many_empty_records(void **state)
{
    (void)state;
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    uint64_t n = 0;
    while (gw__ring_reserve(ring, 0) != NULL) {
        gw__ring_commit(ring, 0, 1, 1, false);
        n++;
    }
    assert_int_equal(n, GW__RING_SIZE / HEAD_LEN);
    for (uint64_t seq = first; seq < first + n; seq++) {
        assert_int_equal(gw__ring_get(ring, seq).seq, seq);
    }
    gw__ring_close(ring);
}

/* ---- against a model ---------------------------------------------------------------- */

typedef struct model {
    uint64_t first;
    size_t n;
    bool settled[MODEL_MAX];
} model;

static size_t random_len(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 100;
    size_t max = kind < 60 ? 200 : kind < 90 ? 20000 : kind < 98 ? 400000 : LARGEST + 1;
    return (size_t)rand_r(seed) % max;
}

static void drop_front(model *it, const gw__ring *ring)
{
    size_t n = 0;
    while (n < it->n && it->settled[n]) {
        n++;
    }
    it->n -= n;
    it->first += n;
    memmove(it->settled, it->settled + n, it->n * sizeof(it->settled[0]));
    assert_int_equal(gw__ring_first(ring), it->first);
    assert_int_equal(gw__ring_used(ring) == 0, it->n == 0);
}

static void compare(const model *it, const gw__ring *ring)
{
    for (size_t i = 0; i < it->n; i++) {
        gw__ring_entry entry = gw__ring_get(ring, it->first + i);
        ring_check(&entry);
        assert_int_equal(entry.seq, it->first + i);
        assert_int_equal(entry.settled, it->settled[i]);
    }
}

static void test_random_use(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    static model it;
    gw__ring *ring = ring_open(path);
    it.first = gw__ring_next(ring);
    for (int step = 0; step < 20000; step++) {
        size_t len = random_len(&seed);
        bool may_fail = gw__ring_used(ring) >= GW__RING_SIZE / 2 || it.n >= MODEL_MAX;
        uint64_t seq = it.n < MODEL_MAX ? ring_put(ring, len, false) : 0;
        assert_true(seq != 0 || may_fail);
        if (seq != 0) {
            assert_int_equal(seq, it.first + it.n);
            it.settled[it.n++] = false;
        }
        bool external;
        for (unsigned i = seq == 0 ? 3 : (unsigned)rand_r(&seed) % 2; i > 0 && it.n > 0; i--) {
            size_t which = (size_t)rand_r(&seed) % (it.n < 20 ? it.n : 20);
            it.settled[which] = true;
            assert_true(gw__ring_settle(ring, it.first + which, &external));
            drop_front(&it, ring);
        }
        if (seq == 0 && rand_r(&seed) % 4 == 0) { /* moved elsewhere */
            size_t n = it.n * 3 / 4;
            memset(it.settled, true, n * sizeof(it.settled[0]));
            gw__ring_give_up(ring, it.first + n);
            drop_front(&it, ring);
        }
        if (step % 500 == 0) {
            compare(&it, ring);
        }
    }
    compare(&it, ring);
    gw__ring_close(ring);
    ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    size_t n_left = 0;
    for (size_t i = 0; i < it.n; i++) {
        if (!it.settled[i]) {
            assert_int_equal(seen.seqs[n_left++], it.first + i);
        }
    }
    assert_int_equal(seen.n, n_left);
    assert_int_equal(seen.n_damaged + seen.n_lost, 0);
    gw__ring_close(ring);
}

/* ---- other processes -------------------------------------------------------------------- */

typedef struct report {
    uint64_t accepted; /* 0: none */
    uint64_t settling; /* from here on it may be gone; 0: none */
} report;

/* Append and settle until killed, saying each. */
static void use_until_killed(int fd, unsigned seed)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gw__ring *ring = NULL;
    if (gw__ring_open(path, &ring, NULL) != GW_OK) {
        _exit(1);
    }
    for (;;) {
        size_t len =
            rand_r(&seed) % 10 == 0 ? (size_t)rand_r(&seed) % 300000 : (size_t)rand_r(&seed) % 400;
        report said = {.accepted = ring_put(ring, len, false)};
        bool external;
        uint64_t first = gw__ring_first(ring);
        if (said.accepted == 0 || gw__ring_next(ring) - first > 200) {
            said.settling = first + (uint64_t)rand_r(&seed) % (gw__ring_next(ring) - first);
            said.settling = rand_r(&seed) % 2 == 0 ? first : said.settling;
        }
        if (write(fd, &said, sizeof(said)) != (ssize_t)sizeof(said)) {
            _exit(1);
        }
        if (said.settling != 0) {
            gw__ring_settle(ring, said.settling, &external);
        }
    }
}

static pid_t start_user(unsigned seed, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        use_until_killed(fds[1], seed);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static void kill_user(pid_t pid)
{
    int code;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_true(WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL);
}

static bool contains(const ring_seen *seen, uint64_t seq)
{
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->seqs[i] == seq) {
            return true;
        }
    }
    return false;
}

static void kill_at_random(unsigned seed)
{
    enum { MAX = 100000 };
    static bool settled[MAX];
    memset(settled, 0, sizeof(settled));
    gw__ring *ring = ring_open(path);
    uint64_t first = gw__ring_next(ring);
    gw__ring_close(ring);
    int fd;
    pid_t pid = start_user(seed, &fd);
    report said;
    uint64_t last = first - 1;
    unsigned n_until_killed = 1 + (unsigned)rand_r(&seed) % 3000;
    for (unsigned n = 0; read(fd, &said, sizeof(said)) == (ssize_t)sizeof(said); n++) {
        if (n == n_until_killed) {
            kill_user(pid);
        }
        last = said.accepted != 0 ? said.accepted : last;
        assert_true(last - first < MAX);
        if (said.settling != 0) {
            settled[said.settling - first] = true;
        }
    }
    close(fd);
    ring = ring_open(path);
    ring_seen seen = ring_recover(ring);
    assert_int_equal(seen.n_damaged, 0);
    assert_int_equal(seen.n_lost, 0);
    for (uint64_t seq = first; seq <= last; seq++) {
        if (!settled[seq - first] && !contains(&seen, seq)) {
            fail_msg("record %llu was accepted and is lost", (unsigned long long)seq);
        }
    }
    /* One may have been accepted without a chance to say so. */
    assert_true(seen.n == 0 || seen.seqs[seen.n - 1] <= last + 1);
    gw__ring_restart(ring, 0);
    gw__ring_close(ring);
}

static void test_killed(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    for (int round = 0; round < 15; round++) {
        kill_at_random(seed + (unsigned)round);
    }
}

static gw_status check_peeked(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    (void)err;
    uint64_t *last = ctx;
    assert_true(entry->seq > *last);
    *last = entry->seq;
    assert_false(entry->damaged);
    ring_check(entry);
    return GW_OK;
}

/* Looking while another process writes: whole records in order, never anything else. */
static void test_peek_while_written(void **state)
{
    (void)state;
    gw__ring_close(ring_open(path));
    int fd;
    pid_t pid = start_user(7, &fd);
    report said[512];
    size_t n_seen = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t last = 0;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__ring_peek(path, check_peeked, &last, &err);
        if (st != GW_OK) {
            fail_msg("%s", err.text);
        }
        n_seen += last > 0;
        assert_true(read(fd, said, sizeof(said)) > 0); /* so that it goes on */
    }
    kill_user(pid);
    close(fd);
    assert_true(n_seen > 50);
    assert_int_equal(gw__ring_peek("/nonexistent/ring", check_peeked, NULL, NULL), GW_E_NOT_FOUND);
}

/* ---- a full disk --------------------------------------------------------------------------- */

static void test_no_space(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    gw__ring *ring = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw__ring_open(path, &ring, &err);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(st, GW_E_NO_SPACE);
    assert_non_null(strstr(err.text, path));
    assert_null(ring);
    char leftover[320];
    snprintf(leftover, sizeof(leftover), "%s.new", path);
    assert_int_not_equal(access(leftover, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    ring = ring_open(path); /* there is room again */
    put(ring, 10);
    assert_int_equal(gw__ring_sync(ring, NULL), GW_OK);
    gw__ring_close(ring);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopen, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_settle_in_any_order, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_front_moves, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_pin_and_give_up, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_external, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_full_is_not_empty, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_every_edge, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_room_while_not_half_full, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_many_empty_records, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_random_use, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_killed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_peek_while_written, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_no_space, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
