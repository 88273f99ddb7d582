/* SPDX-License-Identifier: MIT */
/*
 * A process that publishes and is killed with SIGKILL at random points: whatever it was told is
 * accepted is in the outbox afterwards, in order, each once. Once without a broker, once with one
 * that has confirmed some of it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>
#include <godwit/messaging.h>
#include <godwit/outbox.h>

#include "support/child.h"
#include "support/fake_broker.h"

#define N_ROUNDS  10
#define N_MAX     200000
#define BODY_MAX  2200000
#define PIPE_LEN  4096 /* so far it can be ahead of the test */
#define NO_BROKER "amqp://127.0.0.1:1/"
#define QUEUE     "kill-queue"

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

/* Mostly small, now and then one that is too large for the outbox's ring. */
static size_t body_len(unsigned number)
{
    return number % 1499 == 998 ? BODY_MAX : number % 200 == 99 ? 100000 : number % 7 * 100;
}

/* Publish number after number, and say each that is accepted, until killed. */
static void publish_until_killed(const char *url, gw_outbox_level level, unsigned first, int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.outbox_level = level;
    options.outbox_dir = dir;
    gw_client *client;
    char *body = calloc(1, BODY_MAX);
    if (body == NULL || gw_connect(url, &options, &client, NULL) != GW_OK) {
        _exit(1);
    }
    for (unsigned number = first;; number++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", number);
        gw_message *msg = gw_message_new(body, body_len(number));
        if (msg == NULL || gw_message_set_id(msg, id) != GW_OK ||
            gw_publish_on_queue(client, QUEUE, msg, NULL) != GW_OK ||
            write(fd, &number, sizeof(number)) != (ssize_t)sizeof(number)) {
            _exit(1);
        }
        gw_message_free(msg);
    }
}

static pid_t start_publisher(const char *url, gw_outbox_level level, unsigned first, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        publish_until_killed(url, level, first, fds[1]);
    }
    assert_true(fcntl(fds[0], F_SETPIPE_SZ, PIPE_LEN) >= 0);
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static void kill_publisher(pid_t pid)
{
    int code;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_true(WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL);
}

/* What it says until there is no more; killed after `n_until_killed`. The last number it said. */
static unsigned read_until_killed(pid_t pid, int fd, unsigned n_until_killed, unsigned last)
{
    unsigned number;
    for (unsigned n = 0; read(fd, &number, sizeof(number)) == (ssize_t)sizeof(number); n++) {
        assert_int_equal(number, last + 1);
        last = number;
        if (n == n_until_killed) {
            kill_publisher(pid);
        }
    }
    close(fd);
    return last;
}

/* ---- what is left ----------------------------------------------------------------------- */

typedef struct left {
    bool has[N_MAX];
    unsigned n;
    unsigned last;
    unsigned n_wrong;
} left;

static bool note(void *ctx, const gw_outbox_entry *entry)
{
    left *it = ctx;
    unsigned number = (unsigned)strtoul(gw_message_id(entry->msg), NULL, 10);
    size_t len;
    gw_message_body(entry->msg, &len);
    bool right = number > it->last && number < N_MAX && len == body_len(number) &&
                 entry->queue != NULL && strcmp(entry->queue, QUEUE) == 0;
    it->n_wrong += !right;
    if (right) {
        it->has[number] = true;
        it->last = number;
        it->n++;
    }
    return true;
}

/* In order and each once, or it is counted as wrong. */
static const left *look(void)
{
    static left it;
    memset(&it, 0, sizeof(it));
    gw_outbox *outbox = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_outbox_open(dir, &outbox, &err) != GW_OK ||
        gw_outbox_visit(outbox, GW_OUTBOX_WAITING, note, &it, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    gw_outbox_summary summary;
    assert_int_equal(gw_outbox_summarize(outbox, &summary, NULL), GW_OK);
    assert_int_equal(summary.n_damaged, 0);
    assert_int_equal(summary.n_dead, 0);
    gw_outbox_close(outbox);
    assert_int_equal(it.n_wrong, 0);
    return &it;
}

/* Each of the accepted, but for those before `confirmed`, that may have been. */
static void expect_all(const left *it, unsigned confirmed, unsigned last)
{
    for (unsigned number = confirmed + 1; number <= last; number++) {
        if (!it->has[number]) {
            fail_msg("%u was accepted and is lost", number);
        }
    }
    assert_in_range(it->last, last, last + 1); /* one may not have been said any more */
}

static unsigned new_seed(void)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    return seed;
}

/* ---- without a broker ---------------------------------------------------------------------- */

/* One process after the other on the same outbox, each killed. */
static void kill_without_broker(gw_outbox_level level, unsigned n_most)
{
    unsigned seed = new_seed();
    unsigned last = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        int fd;
        pid_t pid = start_publisher(NO_BROKER, level, last + 1, &fd);
        last = read_until_killed(pid, fd, (unsigned)rand_r(&seed) % n_most, last);
        const left *it = look();
        expect_all(it, 0, last);
        last = it->last; /* the next one goes on from there */
    }
}

static void test_level_process(void **state)
{
    (void)state;
    kill_without_broker(GW_OUTBOX_PROCESS, 2000);
}

static void test_level_disk(void **state)
{
    (void)state;
    kill_without_broker(GW_OUTBOX_DISK, 300);
}

/* ---- with a broker ------------------------------------------------------------------------- */

/* The broker confirms some, and the process is killed meanwhile: what was not confirmed is there.
 */
static void test_with_broker(void **state)
{
    (void)state;
    unsigned seed = new_seed();
    fake_broker *broker = fake_broker_new();
    unsigned last = 0;
    unsigned confirmed = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        int fd;
        unsigned first = last + 1;
        unsigned n_confirm = (unsigned)rand_r(&seed) % 60;
        pid_t pid = start_publisher(fake_broker_url(broker), GW_OUTBOX_PROCESS, first, &fd);
        fake_conn *conn = fake_accept_open(broker);
        uint16_t channel = fake_serve_confirm_channel(conn);
        fake_serve_declarations(conn, NULL);
        for (unsigned tag = 1; tag <= n_confirm; tag++) { /* what was left comes first */
            fake_published msg = fake_expect_publish(conn);
            unsigned number = (unsigned)strtoul(msg.message_id, NULL, 10);
            confirmed = number > confirmed ? number : confirmed; /* or it is sent once more */
            fake_ack(conn, channel, tag, false);
        }
        unsigned n_more = (unsigned)rand_r(&seed) % 500;
        last = read_until_killed(pid, fd, n_confirm + n_more, last);
        fake_hang_up(conn);
        const left *it = look();
        expect_all(it, confirmed, last);
        last = it->last;
    }
    fake_broker_free(broker);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_level_process, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_level_disk, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_with_broker, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("outbox of a killed process", tests, NULL, NULL);
}
