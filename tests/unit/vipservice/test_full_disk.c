/* SPDX-License-Identifier: MIT */
/*
 * A full disk under the two services' stores, played by a limit on the size of files: the text a
 * person reads, and that no message is lost.
 */
#include <fcntl.h>
#include <limits.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/testing.h>

#include "accounts/account_store.h"
#include "store/lmdb_env.h"
#include "support/child.h"
#include "vip_counting.h"
#include "vips.h"

#define BROKER  "memory:full-disk"
#define WAIT_MS 10000

static char dir[256];

static int setup(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void lift_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int teardown(void **state)
{
    (void)state;
    lift_limit();
    remove_test_dir(dir);
    return 0;
}

/* From now on the store's file cannot grow. */
static void fill_disk(void)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(stat(path, &st), 0);
    limit_files((rlim_t)st.st_size);
}

static void check_text(const char *text, const char *what)
{
    if (strstr(text, "full") == NULL || strstr(text, dir) == NULL ||
        strncmp(text, what, strlen(what)) != 0) {
        fail_msg("'%s' does not say that the disk under %s is full, and what failed ('%s')", text,
                 dir, what);
    }
}

/* ---- accounts -------------------------------------------------------------------------- */

static gw_status open_accounts(account_store **ret_store, gw_error *err)
{
    account_store_options options = {.where = dir, .seed = true};
    return account_store_open(&options, ret_store, err);
}

static void test_accounts_cannot_open(void **state)
{
    (void)state;
    limit_files(4096);
    account_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = open_accounts(&store, &err);
    lift_limit();
    assert_true(st == GW_E_NO_SPACE || st == GW_E_IO);
    check_text(err.text, "cannot open: ");
    assert_int_equal(open_accounts(&store, &err), GW_OK); /* when there is room again */
    account_store_close(store);
}

static void test_accounts_cannot_seed(void **state)
{
    (void)state;
    lmdb_env_options options = {.dir = dir, .max_dbs = 1, .max_bytes = (size_t)1 << 30};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(lmdb_env_open(&options, &env, NULL), GW_OK);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "accounts", MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    fill_disk();
    account_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = open_accounts(&store, &err);
    lift_limit();
    assert_true(st == GW_E_NO_SPACE || st == GW_E_IO);
    assert_null(store);
    check_text(err.text, "cannot seed the accounts: ");
    assert_int_equal(open_accounts(&store, &err), GW_OK);
    account found;
    assert_int_equal(account_store_get(store, "10099", &found, NULL), GW_OK);
    account_store_close(store);
}

/* A store that is there needs no room: the service starts and reads. */
static void test_accounts_can_be_read(void **state)
{
    (void)state;
    account_store *store = NULL;
    assert_int_equal(open_accounts(&store, NULL), GW_OK);
    account_store_close(store);
    fill_disk();
    gw_error err = GW_ERROR_INIT;
    account found;
    gw_status st = open_accounts(&store, &err);
    if (st != GW_OK) {
        lift_limit();
        fail_msg("%s", err.text);
    }
    st = account_store_get(store, "10000", &found, &err);
    account_store_close(store);
    lift_limit();
    assert_int_equal(st, GW_OK);
}

/* ---- VIP reads --------------------------------------------------------------------------------
 */

static vip_store *open_vips(void)
{
    vip_store_options options = {.where = dir, .max_seen = 1000000, .max_seen_age_s = 3600};
    vip_store *store = NULL;
    assert_int_equal(vip_store_open(&options, &store, NULL), GW_OK);
    return store;
}

/* Count until it fails; the number that went well. */
static unsigned count_until_full(vip_store *store, unsigned *next, gw_status *ret_st, gw_error *err)
{
    unsigned n = 0;
    for (; n < 100000; n++) {
        char id[256];
        bool is_new;
        snprintf(id, sizeof(id), "%0200u", *next);
        *ret_st = vips_count_at(store, "10000", AT, id, &is_new, err);
        if (*ret_st != GW_OK) {
            return n;
        }
        assert_true(is_new);
        ++*next;
    }
    return n;
}

static void test_vips_cannot_count(void **state)
{
    (void)state;
    vip_store *store = open_vips();
    unsigned next = 0;
    uint64_t expected = 0;
    for (int round = 0; round < 3; round++) {
        fill_disk();
        gw_status st;
        gw_error err = GW_ERROR_INIT;
        unsigned n = count_until_full(store, &next, &st, &err);
        vip_reads reads;
        gw_status read_st = vip_store_get(store, "10000", &reads, NULL);
        lift_limit();
        assert_true(st == GW_E_NO_SPACE || st == GW_E_IO);
        assert_true(gw_status_is_retriable(st));
        check_text(err.text, "cannot count a read: ");
        expected += n;
        assert_int_equal(read_st, expected > 0 ? GW_OK : GW_E_NOT_FOUND); /* still readable */
        bool is_new = false; /* the same message again: it was not half counted */
        char id[256];
        snprintf(id, sizeof(id), "%0200u", next++);
        assert_int_equal(vips_count_at(store, "10000", AT, id, &is_new, NULL), GW_OK);
        assert_true(is_new);
        expected++;
        assert_int_equal(vip_store_get(store, "10000", &reads, NULL), GW_OK);
        assert_true(reads.n_reads == expected);
    }
    vip_store_close(store);
    store = open_vips(); /* and it was not damaged */
    vip_reads reads;
    assert_int_equal(vip_store_get(store, "10000", &reads, NULL), GW_OK);
    assert_true(reads.n_reads == expected);
    vip_store_close(store);
}

static void wait_ready(bool ready)
{
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    while (gw_health_is_ready() != ready) {
        if (gw_clock_ms() > deadline_ms) {
            lift_limit();
            fail_msg("the service does not become %s", ready ? "ready" : "unready");
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

static void publish(gw_client *client, unsigned number)
{
    static const char body[] = "{\"accountId\":\"10000\",\"readAt\":\"" AT "\"}";
    char id[256];
    snprintf(id, sizeof(id), "%0200u", number);
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    assert_int_equal(gw_publish_on_queue(client, "vip_queue", msg, NULL), GW_OK);
    gw_message_free(msg);
}

/* What the handler prints goes nowhere until the test restores the descriptor that it returns. */
static int silence_stdout(void)
{
    fflush(stdout);
    int real = dup(STDOUT_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(real >= 0 && null >= 0);
    assert_true(dup2(null, STDOUT_FILENO) >= 0);
    close(null);
    return real;
}

static void restore_stdout(int real)
{
    fflush(stdout);
    dup2(real, STDOUT_FILENO);
    close(real);
}

/* The service says that it is not ready, and why; the messages wait, and none is a dead letter. */
static void test_messages_wait(void **state)
{
    (void)state;
    enum { N = 300 };
    vips self = {.health = gw_health_add("store", true),
                 .duplicates = gw_metrics_counter("test_duplicates", "Test.", NULL)};
    assert_int_equal(vips_init(&self, open_vips(), NULL), GW_OK);
    gw_health_up(self.health);
    gw_client *client = NULL;
    assert_int_equal(gw_connect(BROKER, NULL, &client, NULL), GW_OK);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.max_attempts = UINT_MAX;
    options.retry_delay_ms = 5;
    options.commit = vips_commit;
    int real_stdout = silence_stdout();
    fill_disk();
    assert_int_equal(
        gw_subscribe_to_queue(client, "vip_queue", &options, vips_on_message, &self, NULL, NULL),
        GW_OK);
    for (unsigned i = 0; i < N; i++) {
        publish(client, i);
    }
    wait_ready(false);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_health_write_text(&text);
    lift_limit();
    if (text.len > 0) { /* a message that fitted may have made it ready for a moment */
        check_text(text.data, "store: cannot count a read: ");
    }
    gw_buf_dispose(&text);

    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_testing_wait_handled(BROKER, "vip_queue", WAIT_MS, &err);
    restore_stdout(real_stdout);
    if (st != GW_OK) {
        fail_msg("%s", err.text);
    }
    wait_ready(true);
    vip_reads reads;
    assert_int_equal(vip_store_get(self.store, "10000", &reads, NULL), GW_OK);
    assert_int_equal(reads.n_reads, N);
    size_t n_dead;
    assert_int_equal(gw_testing_queue_len(BROKER, "vip_queue.dead", &n_dead, NULL), GW_E_NOT_FOUND);
    assert_int_equal(gw_close(client, WAIT_MS, NULL), GW_OK);
    vips_dispose(&self);
    gw_health_remove(self.health);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accounts_cannot_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accounts_cannot_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accounts_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vips_cannot_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_wait, setup, teardown),
    };
    return cmocka_run_group_tests_name("full disk", tests, NULL, NULL);
}
