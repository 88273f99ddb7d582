/* SPDX-License-Identifier: MIT */
/* The journal as the relay uses it: what was accepted is there, once and in order, wherever it has
 * come to lie, until it is settled. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>
#include <godwit/outbox.h>

#include "bus/ring.h"
#include "bus/store.h"
#include "messaging/journal.h"
#include "support/child.h"

#define WAIT_MS  20000
#define LOAD_MAX 256
#define LARGE    (GW__RING_SIZE / 4 + 1000)

static const gw__target to_a = {.exchange = "", .queue = "a"};
static const gw__target to_b = {.exchange = "b", .type = GW_EXCHANGE_TOPIC};

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int remove_dir(void **state)
{
    (void)state;
    limit_files(RLIM_INFINITY);
    remove_test_dir(dir);
    return 0;
}

typedef struct fixture {
    gw__journal *journal;
    bool durable;
    gw__journal_options options;
    uint32_t a;
    uint32_t b;
} fixture;

static void open_journal(fixture *fix)
{
    gw_error err = GW_ERROR_INIT;
    fix->options.dir = dir;
    fix->options.durable = fix->durable;
    fix->options.max_bytes = (size_t)1 << 30;
    if (gw__journal_open(&fix->options, &fix->journal, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(gw__journal_queue(fix->journal, &to_a, &fix->a, NULL), GW_OK);
    assert_int_equal(gw__journal_queue(fix->journal, &to_b, &fix->b, NULL), GW_OK);
}

static void reopen(fixture *fix)
{
    gw__journal_close(fix->journal);
    open_journal(fix);
}

/* The id says which one it is; the body is as long as wanted. */
static gw_message *new_message(unsigned number, size_t len)
{
    char id[16];
    char *body = calloc(1, len + 1);
    assert_non_null(body);
    gw_message *msg = gw_message_new(body, len);
    free(body);
    snprintf(id, sizeof(id), "%u", number);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return msg;
}

static gw_status try_append(fixture *fix, uint32_t queue, unsigned number, size_t len,
                            uint64_t *ret_seq, gw_error *err)
{
    gw_message *msg = new_message(number, len);
    gw_status st;
    do {
        st = gw__journal_append(fix->journal, queue, msg, ret_seq, err);
    } while (st == GW_E_BUSY && (st = gw__journal_wait_room(fix->journal, err)) == GW_OK);
    gw_message_free(msg);
    return st;
}

static uint64_t append(fixture *fix, uint32_t queue, unsigned number, size_t len)
{
    uint64_t seq = 0;
    gw_error err = GW_ERROR_INIT;
    if (try_append(fix, queue, number, len, &seq, &err) != GW_OK) {
        fail_msg("message %u: %s", number, err.text);
    }
    return seq;
}

/* Load `n` of a queue after `*after`, whose ids are first, first + step, ...; settles them if
 * wanted. */
static void load(fixture *fix, uint32_t queue, uint64_t *after, unsigned first, unsigned step,
                 size_t n, bool settle)
{
    for (size_t done = 0; done < n;) {
        gw__journal_item items[LOAD_MAX];
        size_t n_wanted = n - done < LOAD_MAX ? n - done : LOAD_MAX;
        size_t n_loaded = 0;
        size_t n_gone = 0;
        gw_error err = GW_ERROR_INIT;
        uint64_t at = *after;
        if (gw__journal_load(fix->journal, queue, &at, items, n_wanted, &n_loaded, &n_gone, &err) !=
            GW_OK) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(n_gone, 0);
        assert_in_range(n_loaded, 1, n_wanted);
        assert_true(at == items[n_loaded - 1].seq);
        for (size_t i = 0; i < n_loaded; i++) {
            assert_int_equal(strtoul(gw_message_id(items[i].msg), NULL, 10), first + step * done++);
            assert_true(items[i].seq > *after);
            assert_int_equal(items[i].size, gw__journal_size(items[i].msg));
            *after = items[i].seq;
            gw_message_free(items[i].msg);
            if (settle) {
                gw__journal_ref ref = {.seq = items[i].seq, .queue = queue};
                gw__journal_settle(fix->journal, &ref, 1);
            }
        }
    }
}

typedef struct left {
    uint32_t queue;
    size_t n_messages;
    size_t n_bytes;
} left;

static gw_status note_left(void *ctx, const gw__target *target, uint32_t queue, size_t n_messages,
                           size_t n_bytes, gw_error *err)
{
    (void)err;
    left *it = ctx;
    if (queue == it->queue) {
        assert_true(n_messages > 0);
        assert_int_equal(target->queue == NULL, strcmp(target->exchange, "b") == 0);
        assert_int_equal(target->type, target->queue == NULL ? GW_EXCHANGE_TOPIC : 0);
        *it = (left){.queue = queue, .n_messages = n_messages, .n_bytes = n_bytes};
    }
    return GW_OK;
}

static left left_of(fixture *fix, uint32_t queue)
{
    left it = {.queue = queue};
    assert_int_equal(gw__journal_left(fix->journal, note_left, &it, NULL), GW_OK);
    return it;
}

/* ---- what is kept ------------------------------------------------------------------ */

static void test_reopen(void **state)
{
    (void)state;
    fixture fix = {.durable = false};
    open_journal(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 0);
    size_t n_bytes = 0;
    for (unsigned i = 0; i < 10; i++) {
        gw_message *msg = new_message(i, 100 * i);
        n_bytes += i % 2 == 0 ? gw__journal_size(msg) : 0;
        gw_message_free(msg);
        append(&fix, i % 2 == 0 ? fix.a : fix.b, i, 100 * i);
    }
    uint32_t a = fix.a;
    for (int round = 0; round < 3; round++) {
        reopen(&fix);
        assert_int_equal(fix.a, a);
        left it = left_of(&fix, fix.a);
        assert_int_equal(it.n_messages, 5);
        assert_int_equal(it.n_bytes, n_bytes);
        assert_int_equal(left_of(&fix, fix.b).n_messages, 5);
        uint64_t after_a = 0;
        uint64_t after_b = 0;
        load(&fix, fix.a, &after_a, 0, 2, 5, false);
        load(&fix, fix.b, &after_b, 1, 2, 5, false);
    }
    gw__journal_close(fix.journal);
    gw__journal_close(NULL);
}

/* Wherever it was: settled is gone, and nothing else. */
static void test_settle(void **state)
{
    (void)state;
    fixture fix = {.durable = true};
    open_journal(&fix);
    gw__journal_ref refs[6];
    for (unsigned i = 0; i < 6; i++) {
        refs[i] =
            (gw__journal_ref){.seq = append(&fix, fix.a, i, i == 2 ? LARGE : 10), .queue = fix.a};
    }
    gw__journal_settle(fix.journal, &refs[2], 1); /* stands in the ring, lies in the store */
    gw__journal_settle(fix.journal, &refs[4], 1);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 4);
    gw__journal_settle(fix.journal, refs, 2);     /* now in the store */
    gw__journal_settle(fix.journal, &refs[0], 1); /* no harm */
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 2);
    uint64_t after = 0;
    load(&fix, fix.a, &after, 3, 2, 2, true);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 0);
    assert_int_equal(left_of(&fix, fix.a).n_bytes, 0);
    assert_true(append(&fix, fix.a, 7, 10) > refs[5].seq); /* numbers are not used again */
    gw__journal_close(fix.journal);
}

/* Far more than the ring holds: some are in the store, some in the ring, some on the way. */
static void test_spill(void **state)
{
    (void)state;
    enum { N = 4000, LEN = 6000 };
    fixture fix = {.durable = false};
    open_journal(&fix);
    uint64_t after_a = 0;
    uint64_t after_b = 0;
    for (unsigned i = 0; i < N; i++) {
        append(&fix, i % 2 == 0 ? fix.a : fix.b, i, LEN);
        if (i % 100 == 99) { /* right behind it */
            load(&fix, fix.a, &after_a, i - 99, 2, 50, i % 200 == 99);
        }
    }
    load(&fix, fix.b, &after_b, 1, 2, N / 2, false);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, N / 4);
    assert_int_equal(left_of(&fix, fix.b).n_messages, N / 2);
    after_b = 0;
    load(&fix, fix.b, &after_b, 1, 2, N / 2, true);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.b).n_messages, 0);
    gw__journal_close(fix.journal);
}

/* Those too large for the ring keep their place among the others. */
static void test_large_among_small(void **state)
{
    (void)state;
    enum { N = 24 };
    fixture fix = {.durable = false};
    open_journal(&fix);
    for (unsigned i = 0; i < N; i++) {
        append(&fix, i % 3 == 0 ? fix.b : fix.a, i, i % 4 == 1 ? LARGE : i * 1000);
    }
    for (int round = 0; round < 2; round++) {
        uint64_t after = 0;
        load(&fix, fix.b, &after, 0, 3, N / 3, false);
        after = 0;
        unsigned expected = 0;
        for (unsigned i = 0; i < N; i++) {
            if (i % 3 != 0) {
                load(&fix, fix.a, &after, i, 1, 1, false);
                expected++;
            }
        }
        assert_int_equal(expected, N - N / 3);
        reopen(&fix);
    }
    gw__journal_close(fix.journal);
}

static bool note_dead(void *ctx, const gw_outbox_entry *entry)
{
    snprintf(ctx, 64, "%s %s: %s", gw_message_id(entry->msg), entry->queue, entry->reason);
    return true;
}

static void test_bury(void **state)
{
    (void)state;
    fixture fix = {.durable = true};
    open_journal(&fix);
    const gw_error why = {GW_E_UNROUTABLE, 312, "no route"};
    uint64_t seq = append(&fix, fix.a, 1, 10);
    append(&fix, fix.a, 2, 10);
    gw_message *msg = new_message(1, 10);
    assert_true(
        gw__journal_bury(fix.journal, (gw__journal_ref){.seq = seq, .queue = fix.a}, msg, &why));
    gw_message_free(msg);
    reopen(&fix);
    uint64_t after = 0;
    assert_int_equal(left_of(&fix, fix.a).n_messages, 1);
    load(&fix, fix.a, &after, 2, 1, 1, true);
    gw__journal_close(fix.journal);
    gw_outbox *outbox = NULL;
    char text[64] = "";
    assert_int_equal(gw_outbox_open(dir, &outbox, NULL), GW_OK);
    assert_int_equal(gw_outbox_visit(outbox, GW_OUTBOX_DEAD, note_dead, text, NULL), GW_OK);
    assert_string_equal(text, "1 a: no route");
    gw_outbox_close(outbox);
}

/* ---- many threads ----------------------------------------------------------------------- */

enum { N_THREADS = 4, N_EACH = 500 };

typedef struct putter {
    fixture *fix;
    pthread_mutex_t *order; /* as the relay's: one append of a queue after the other */
    unsigned first;
    atomic_uint n_done;
} putter;

static void *put_main(void *ctx)
{
    putter *it = ctx;
    for (unsigned i = 0; i < N_EACH; i++) {
        gw_message *msg = new_message(it->first + i, i % 50 == 0 ? 200000 : 100);
        uint64_t seq = 0;
        gw_status st;
        do {
            pthread_mutex_lock(it->order);
            st = gw__journal_append(it->fix->journal, it->fix->a, msg, &seq, NULL);
            pthread_mutex_unlock(it->order);
        } while (st == GW_E_BUSY && (st = gw__journal_wait_room(it->fix->journal, NULL)) == GW_OK);
        gw_message_free(msg);
        if (st != GW_OK || gw__journal_wait_synced(it->fix->journal, seq, NULL) != GW_OK) {
            break;
        }
        atomic_fetch_add(&it->n_done, 1);
    }
    return NULL;
}

/* All who wait for the disk are served, with and without others that wait. */
static void test_group_commit(void **state)
{
    (void)state;
    fixture fix = {.durable = true};
    open_journal(&fix);
    pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[N_THREADS];
    putter putters[N_THREADS];
    for (unsigned i = 0; i < N_THREADS; i++) {
        putters[i] = (putter){.fix = &fix, .order = &order, .first = i * N_EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, put_main, &putters[i]), 0);
    }
    gw__journal_item items[LOAD_MAX];
    unsigned next[N_THREADS] = {0};
    uint64_t after = 0;
    for (unsigned i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&putters[i].n_done), N_EACH);
    }
    for (size_t done = 0; done < N_THREADS * N_EACH;) {
        size_t n;
        size_t n_gone;
        assert_int_equal(gw__journal_load(fix.journal, fix.a, &after, items,
                                          done + LOAD_MAX > N_THREADS * N_EACH
                                              ? N_THREADS * N_EACH - done
                                              : LOAD_MAX,
                                          &n, &n_gone, NULL),
                         GW_OK);
        assert_true(n > 0 && n_gone == 0);
        for (size_t i = 0; i < n; i++) { /* each thread's in its order */
            unsigned number = (unsigned)strtoul(gw_message_id(items[i].msg), NULL, 10);
            assert_int_equal(number % N_EACH, next[number / N_EACH]++);
            gw_message_free(items[i].msg);
        }
        done += n;
    }
    gw__journal_close(fix.journal);
}

/* ---- disks ------------------------------------------------------------------------------- */

static void fill_disk(void)
{
    char path[300];
    struct stat info;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(stat(path, &info), 0);
    limit_files((rlim_t)info.st_size);
}

/* What cannot be moved into the store stays in the ring until there is room; what does not fit
 * there is refused, and nothing is lost. */
static void test_disk_full(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    fixture fix = {.durable = false};
    open_journal(&fix);
    fill_disk();
    unsigned n = 0;
    uint64_t seq;
    gw_error err = GW_ERROR_INIT;
    while (try_append(&fix, fix.a, n, 50000, &seq, &err) == GW_OK) {
        assert_true(++n < 1000);
    }
    uint64_t after = 0;
    load(&fix, fix.a, &after, 0, 1, n, false); /* all still to be had */
    limit_files(RLIM_INFINITY);
    assert_true(err.status == GW_E_NO_SPACE || err.status == GW_E_IO);
    assert_non_null(strstr(err.text, "full"));
    assert_non_null(strstr(err.text, dir));
    assert_true(n > 80); /* the ring's worth */
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    while (try_append(&fix, fix.a, n, 50000, &seq, &err) != GW_OK) {
        assert_true(gw_clock_ms() < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    load(&fix, fix.a, &after, n, 1, 1, false);
    reopen(&fix);
    after = 0;
    assert_int_equal(left_of(&fix, fix.a).n_messages, n + 1);
    load(&fix, fix.a, &after, 0, 1, n + 1, false);
    gw__journal_close(fix.journal);
}

/* An outbox that cannot be opened since the disk is full still has everything when it can. */
static void test_disk_full_at_the_start(void **state)
{
    (void)state;
    enum { N = 60 };
    signal(SIGXFSZ, SIG_IGN);
    fixture fix = {.durable = false};
    open_journal(&fix);
    for (unsigned i = 0; i < N; i++) {
        append(&fix, fix.a, i, 50000);
    }
    gw__journal_close(fix.journal);
    for (int round = 0; round < 2; round++) {
        fill_disk();
        gw__journal *journal = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__journal_open(&fix.options, &journal, &err);
        limit_files(RLIM_INFINITY);
        assert_true(st == GW_E_NO_SPACE || st == GW_E_IO);
        assert_non_null(strstr(err.text, "full"));
        assert_null(journal);
    }
    open_journal(&fix);
    uint64_t after = 0;
    assert_int_equal(left_of(&fix, fix.a).n_messages, N);
    load(&fix, fix.a, &after, 0, 1, N, false);
    gw__journal_close(fix.journal);
}

/* Flip a bit of the message whose body has this text, in the store's file. */
static void damage_stored(const char *text)
{
    char path[300];
    struct stat info;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    char *all = malloc((size_t)info.st_size);
    assert_int_equal(pread(fd, all, (size_t)info.st_size, 0), info.st_size);
    size_t n_found = 0;
    char *at = all;
    while ((at = memmem(at, (size_t)(all + info.st_size - at), text, strlen(text))) != NULL) {
        char wrong = (char)(*at ^ 4);
        assert_int_equal(pwrite(fd, &wrong, 1, at - all), 1);
        at++;
        n_found++;
    }
    assert_true(n_found > 0);
    free(all);
    close(fd);
}

/* Damaged ones count among those that are wanted, also as the last one, and are met once. */
static void test_damaged_in_store(void **state)
{
    (void)state;
    fixture fix = {.durable = false};
    open_journal(&fix);
    static const char *const bodies[] = {"one-zebra", "two-zebra", "three-yak", "four-zebra",
                                         "five-yak",  "six-yak",   "seven"};
    enum { N = sizeof(bodies) / sizeof(bodies[0]) };
    uint64_t seq;
    for (unsigned i = 0; i < N; i++) {
        gw_message *msg = gw_message_new(bodies[i], strlen(bodies[i]));
        assert_int_equal(gw__journal_append(fix.journal, fix.a, msg, &seq, NULL), GW_OK);
        gw_message_free(msg);
    }
    reopen(&fix); /* into the store */
    gw__journal_close(fix.journal);
    damage_stored("three-yak");
    damage_stored("five-yak");
    damage_stored("six-yak");
    static const struct {
        size_t n_wanted;
        const char *good;
        size_t n_gone;
    } steps[] = {{2, "ot", 0}, {1, "", 1}, {2, "f", 1}, {2, "s", 1}};
    open_journal(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, N);
    uint64_t after = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        gw__journal_item items[LOAD_MAX];
        size_t n;
        size_t n_gone;
        assert_int_equal(gw__journal_load(fix.journal, fix.a, &after, items, steps[i].n_wanted, &n,
                                          &n_gone, NULL),
                         GW_OK);
        assert_int_equal(n, strlen(steps[i].good));
        assert_int_equal(n_gone, steps[i].n_gone);
        for (size_t k = 0; k < n; k++) {
            size_t len;
            const char *body = gw_message_body(items[k].msg, &len);
            assert_int_equal(body[0], steps[i].good[k]);
            gw_message_free(items[k].msg);
        }
    }
    reopen(&fix); /* what was damaged is set aside */
    assert_int_equal(left_of(&fix, fix.a).n_messages, 4);
    gw__journal_close(fix.journal);
    gw_outbox *outbox = NULL;
    gw_outbox_summary summary;
    assert_int_equal(gw_outbox_open(dir, &outbox, NULL), GW_OK);
    assert_int_equal(gw_outbox_summarize(outbox, &summary, NULL), GW_OK);
    assert_int_equal(summary.n_damaged, 3);
    gw_outbox_close(outbox);
}

/* The store was lost, and with it the names of the queues: what the ring holds goes to none, not
 * even to one that gets the same number. */
static void test_store_lost(void **state)
{
    (void)state;
    char path[280];
    fixture fix = {.durable = false};
    open_journal(&fix);
    append(&fix, fix.a, 1, 10);
    append(&fix, fix.b, 2, 10);
    gw__journal_close(fix.journal);
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(unlink(path), 0);
    gw_log_set_level(GW_LOG_OFF); /* it says so */
    open_journal(&fix);
    gw_log_set_level(GW_LOG_INFO);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 0);
    assert_int_equal(left_of(&fix, fix.b).n_messages, 0);
    gw__journal_close(fix.journal);
    gw_outbox *outbox;
    gw_outbox_summary summary;
    assert_int_equal(gw_outbox_open(dir, &outbox, NULL), GW_OK);
    assert_int_equal(gw_outbox_summarize(outbox, &summary, NULL), GW_OK);
    assert_int_equal(summary.n_damaged, 2);
    gw_outbox_close(outbox);
}

static gw_status visit_nothing(void *ctx, const gw__target *target, uint32_t queue,
                               size_t n_messages, size_t n_bytes, gw_error *err)
{
    (void)ctx;
    (void)target;
    (void)queue;
    (void)n_messages;
    (void)n_bytes;
    (void)err;
    return GW_OK;
}

/* Records that no queue leads to, as after damage to the keys or the pages between: counted. */
static void test_missing_in_store(void **state)
{
    (void)state;
    fixture fix = {.durable = false};
    open_journal(&fix);
    append(&fix, fix.a, 1, 10);
    gw__journal_close(fix.journal);
    gw__store *store;
    gw__store_txn *txn;
    assert_int_equal(gw__store_open(dir, fix.options.max_bytes, false, &store, NULL), GW_OK);
    assert_int_equal(gw__store_begin(store, &txn, NULL), GW_OK);
    for (uint64_t seq = 100; seq < 103; seq++) {
        gw__store_record record = {
            .queue = 77, .seq = seq, .bytes = (const uint8_t *)"x", .len = 1};
        assert_int_equal(gw__store_put(txn, &record, NULL), GW_OK);
    }
    assert_int_equal(gw__store_commit(txn, false, NULL), GW_OK);
    gw__store_close(store);
    open_journal(&fix);
    gw_counter *n_damaged = gw_metrics_counter("godwit_outbox_damaged_total", NULL, NULL);
    uint64_t before = gw_counter_get(n_damaged);
    gw_log_set_level(GW_LOG_OFF); /* it says so */
    assert_int_equal(gw__journal_left(fix.journal, visit_nothing, NULL, NULL), GW_OK);
    gw_log_set_level(GW_LOG_INFO);
    assert_int_equal(gw_counter_get(n_damaged) - before, 3);
    gw__journal_close(fix.journal);
}

/* ---- requests ----------------------------------------------------------------------------- */

typedef struct asked {
    atomic_uint n_calls;
    atomic_size_t size;
    atomic_uint n_resent;
} asked;

static bool on_drop(void *ctx, uint32_t queue, uint64_t seq, size_t size)
{
    (void)queue;
    (void)seq;
    asked *it = ctx;
    atomic_store(&it->size, size);
    return atomic_fetch_add(&it->n_calls, 1) >= 2; /* not now, not now, now */
}

static bool on_resend(void *ctx, const gw__target *target, const gw_message *msg)
{
    (void)target;
    (void)msg;
    return atomic_fetch_add(&((asked *)ctx)->n_resent, 1) >= 1;
}

/* Waits for a byte, drops a message and sends one again; exits with how many were done. */
static pid_t start_operator(int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid != 0) {
        close(fds[0]);
        *ret_fd = fds[1];
        return pid;
    }
    close(fds[1]);
    uint64_t numbers[2];
    size_t n_dropped = 0;
    size_t n_resent = 0;
    gw_outbox *outbox = NULL;
    bool right = read(fds[0], numbers, sizeof(numbers)) == (ssize_t)sizeof(numbers) &&
                 gw_outbox_open(dir, &outbox, NULL) == GW_OK &&
                 gw_outbox_apply(outbox, GW_OUTBOX_WAITING, GW_OUTBOX_DROP, &numbers[0], 1, WAIT_MS,
                                 &n_dropped, NULL) == GW_OK &&
                 gw_outbox_apply(outbox, GW_OUTBOX_DEAD, GW_OUTBOX_RESEND, &numbers[1], 1, WAIT_MS,
                                 &n_resent, NULL) == GW_OK;
    gw_outbox_close(outbox);
    _exit(right ? (int)(n_dropped + n_resent) : 100);
}

/* What cannot be done now is asked again, until it is done; then it is gone. */
static void test_requests(void **state)
{
    (void)state;
    int fd;
    pid_t pid = start_operator(&fd);
    asked it = {.n_calls = 0};
    fixture fix = {.options = {.on_drop = on_drop, .on_resend = on_resend, .ctx = &it}};
    open_journal(&fix);
    const gw_error why = {GW_E_UNROUTABLE, 312, "no route"};
    uint64_t numbers[2] = {append(&fix, fix.a, 1, LARGE), append(&fix, fix.b, 2, 10)};
    append(&fix, fix.a, 3, 10);
    gw_message *msg = new_message(2, 10);
    assert_true(gw__journal_bury(fix.journal, (gw__journal_ref){.seq = numbers[1], .queue = fix.b},
                                 msg, &why));
    gw_message_free(msg);
    reopen(&fix); /* so that it is among the dead */
    numbers[0] = append(&fix, fix.a, 4, LARGE);
    assert_int_equal(write(fd, numbers, sizeof(numbers)), sizeof(numbers));
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_int_equal(WEXITSTATUS(code), 2);
    close(fd);
    assert_int_equal(atomic_load(&it.n_calls), 3);
    assert_true(atomic_load(&it.size) > LARGE); /* though only a sign of it is in the ring */
    assert_int_equal(atomic_load(&it.n_resent), 2);
    reopen(&fix);
    assert_int_equal(left_of(&fix, fix.a).n_messages, 2);
    gw__journal_close(fix.journal);
}

/* ---- requests that cannot be written down ------------------------------------------------- */

static bool refuse_drop(void *ctx, uint32_t queue, uint64_t seq, size_t size)
{
    (void)queue;
    (void)seq;
    (void)size;
    atomic_fetch_add(&((asked *)ctx)->n_calls, 1);
    return false;
}

/* From now on nothing can be written to the store. */
static bool resend_and_fill_disk(void *ctx, const gw__target *target, const gw_message *msg)
{
    (void)target;
    (void)msg;
    limit_files(0);
    atomic_fetch_add(&((asked *)ctx)->n_resent, 1);
    return true;
}

/* As often as on_drop() is called, requests were looked at. */
static void wait_for_calls(asked *it, unsigned n)
{
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    while (atomic_load(&it->n_calls) < n) {
        assert_true(gw_clock_ms() < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* Asks for it, and does not wait. */
static void ask_in_a_child(gw_outbox_part part, gw_outbox_change change, uint64_t number)
{
    pid_t pid = fork();
    if (pid == 0) {
        gw_outbox *outbox = NULL;
        size_t n_done;
        bool right =
            gw_outbox_open(dir, &outbox, NULL) == GW_OK &&
            gw_outbox_apply(outbox, part, change, &number, 1, 0, &n_done, NULL) == GW_E_TIMEOUT;
        gw_outbox_close(outbox);
        _exit(right ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_int_equal(code, 0);
}

/* A dead message that is sent once more is not sent again with each look at the requests while the
 * disk is full. */
static void test_resent_on_a_full_disk(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    asked it = {.n_calls = 0};
    fixture fix = {
        .options = {.on_drop = refuse_drop, .on_resend = resend_and_fill_disk, .ctx = &it}};
    open_journal(&fix);
    const gw_error why = {GW_E_UNROUTABLE, 312, "no route"};
    uint64_t waiting = append(&fix, fix.a, 1, 10);
    uint64_t dead = append(&fix, fix.b, 2, 10);
    gw_message *msg = new_message(2, 10);
    assert_true(
        gw__journal_bury(fix.journal, (gw__journal_ref){.seq = dead, .queue = fix.b}, msg, &why));
    gw_message_free(msg);
    reopen(&fix); /* so that it is among the dead */
    ask_in_a_child(GW_OUTBOX_WAITING, GW_OUTBOX_DROP, waiting);
    ask_in_a_child(GW_OUTBOX_DEAD, GW_OUTBOX_RESEND, dead);
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    while (atomic_load(&it.n_resent) == 0) {
        assert_true(gw_clock_ms() < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    wait_for_calls(&it, atomic_load(&it.n_calls) + 2);
    limit_files(RLIM_INFINITY);
    wait_for_calls(&it, atomic_load(&it.n_calls) + 2); /* it is written down now */
    assert_int_equal(atomic_load(&it.n_resent), 1);
    gw__journal_close(fix.journal);
    open_journal(&fix); /* what was still asked for would be done here */
    assert_int_equal(left_of(&fix, fix.b).n_messages, 0);
    gw__journal_close(fix.journal);
}

/* Dead messages fill the store up to its limit: one that is to be sent again does not keep it from
 * being opened. */
static void test_resend_in_a_full_store(void **state)
{
    (void)state;
    gw__store *store = NULL;
    gw__store_txn *txn = NULL;
    assert_int_equal(gw__store_open(dir, 0, false, &store, NULL), GW_OK); /* the spare room only */
    size_t len = (size_t)8 << 20;
    uint8_t *bytes = calloc(1, len);
    gw__store_dead dead = {.record = {.queue = 1, .bytes = bytes, .len = len},
                           .reason = "no route"};
    gw_status st = GW_OK;
    while (st == GW_OK) {
        assert_true(++dead.record.seq < 100);
        assert_int_equal(gw__store_begin(store, &txn, NULL), GW_OK);
        st = gw__store_put_dead(txn, &dead, NULL);
        if (st == GW_OK) {
            st = gw__store_commit(txn, false, NULL);
        } else {
            gw__store_abort(txn);
        }
    }
    free(bytes);
    assert_int_equal(st, GW_E_NO_SPACE);
    assert_int_equal(gw__store_begin(store, &txn, NULL), GW_OK);
    assert_int_equal(gw__store_ask_for(txn, 0, 1, GW__STORE_RESEND, NULL), GW_OK);
    assert_int_equal(gw__store_commit(txn, false, NULL), GW_OK);
    gw__store_close(store);
    gw__journal *journal = NULL;
    gw__journal_options options = {.dir = dir};
    gw_error err = GW_ERROR_INIT;
    if (gw__journal_open(&options, &journal, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    gw__journal_close(journal);
}

/* What is hidden is not loaded in place of another one. */
static void test_hidden(void **state)
{
    (void)state;
    fixture fix = {.durable = false};
    open_journal(&fix);
    append(&fix, fix.a, 0, 10);
    gw__journal_ref stored = {.seq = append(&fix, fix.a, 1, 10), .queue = fix.a};
    append(&fix, fix.a, 2, 10);
    reopen(&fix);
    append(&fix, fix.a, 4, 10);
    gw__journal_ref fresh = {.seq = append(&fix, fix.a, 5, 10), .queue = fix.a};
    append(&fix, fix.a, 6, 10);
    assert_true(gw__journal_hide(fix.journal, stored));
    assert_true(gw__journal_hide(fix.journal, fresh));
    uint64_t after = 0;
    load(&fix, fix.a, &after, 0, 2, 4, false);
    gw__journal_close(fix.journal);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopen, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_settle, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_spill, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_large_among_small, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_bury, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_group_commit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_disk_full, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_disk_full_at_the_start, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_damaged_in_store, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_lost, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_missing_in_store, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_requests, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_resent_on_a_full_disk, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_resend_in_a_full_store, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_hidden, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
