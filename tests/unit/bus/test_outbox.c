/* SPDX-License-Identifier: MIT */
/* An outbox seen from outside: beside the process that uses it, and without one. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>
#include <godwit/outbox.h>

#include "messaging/journal.h"
#include "support/child.h"

#define WAIT_MS 10000

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    gw_log_set_level(GW_LOG_OFF);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static gw__journal *open_journal(void)
{
    gw__journal *journal = NULL;
    gw_error err = GW_ERROR_INIT;
    gw__journal_options options = {.dir = dir, .max_bytes = 1 << 20};
    if (gw__journal_open(&options, &journal, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return journal;
}

static gw_message *new_message(const char *id)
{
    gw_message *msg = gw_message_new(id, strlen(id));
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return msg;
}

static uint64_t append(gw__journal *journal, uint32_t queue, const char *id)
{
    gw_message *msg = new_message(id);
    uint64_t seq = 0;
    assert_int_equal(gw__journal_append(journal, queue, msg, &seq, NULL), GW_OK);
    gw_message_free(msg);
    return seq;
}

/* Messages a, b and c for queue "q", x for exchange "e"; b is dead. Returns b's number. */
static uint64_t fill(void)
{
    gw__journal *journal = open_journal();
    gw__target q = {.exchange = "", .queue = "q"};
    gw__target e = {.exchange = "e", .type = GW_EXCHANGE_TOPIC};
    uint32_t q_queue;
    uint32_t e_queue;
    assert_int_equal(gw__journal_queue(journal, &q, &q_queue, NULL), GW_OK);
    assert_int_equal(gw__journal_queue(journal, &e, &e_queue, NULL), GW_OK);
    append(journal, q_queue, "a");
    append(journal, e_queue, "x");
    uint64_t b = append(journal, q_queue, "b");
    append(journal, q_queue, "c");
    gw_message *msg = new_message("b");
    const gw_error why = {GW_E_UNROUTABLE, 312, "no queue takes it"};
    gw__journal_ref ref = {.seq = b, .queue = q_queue};
    assert_true(gw__journal_bury(journal, ref, msg, &why));
    gw_message_free(msg);
    gw__journal_close(journal);
    return b;
}

typedef struct listing {
    char ids[64];
    uint64_t numbers[8];
    size_t n;
    char targets[64];
    char reason[64];
} listing;

static bool list_one(void *ctx, const gw_outbox_entry *entry)
{
    listing *it = ctx;
    strcat(it->ids, gw_message_id(entry->msg));
    strcat(it->targets, entry->queue != NULL ? entry->queue : entry->exchange);
    snprintf(it->reason, sizeof(it->reason), "%s", entry->reason != NULL ? entry->reason : "");
    it->numbers[it->n++] = entry->number;
    assert_true(entry->accepted_ms > 0);
    return it->n < 8;
}

static listing list(gw_outbox *outbox, gw_outbox_part part)
{
    listing it = {.n = 0};
    gw_error err = GW_ERROR_INIT;
    if (gw_outbox_visit(outbox, part, list_one, &it, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return it;
}

static gw_outbox *open_outbox(void)
{
    gw_outbox *outbox = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_outbox_open(dir, &outbox, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return outbox;
}

static void apply(gw_outbox *outbox, gw_outbox_part part, gw_outbox_change change, uint64_t number)
{
    size_t n_done = 0;
    gw_error err = GW_ERROR_INIT;
    if (gw_outbox_apply(outbox, part, change, &number, 1, WAIT_MS, &n_done, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(n_done, 1);
}

static void test_nothing_there(void **state)
{
    (void)state;
    gw_outbox *outbox = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_outbox_open(dir, &outbox, &err), GW_E_NOT_FOUND);
    assert_non_null(strstr(err.text, dir));
    assert_int_equal(gw_outbox_open("/none/such", &outbox, &err), GW_E_NOT_FOUND);
    assert_null(outbox);
    gw_outbox_close(NULL);
}

static void test_without_the_service(void **state)
{
    (void)state;
    uint64_t b = fill();
    gw_outbox *outbox = open_outbox();
    gw_outbox_summary summary;
    assert_int_equal(gw_outbox_summarize(outbox, &summary, NULL), GW_OK);
    assert_int_equal(summary.pid, 0);
    assert_int_equal(summary.n_waiting, 3);
    assert_int_equal(summary.n_dead, 1);
    listing waiting = list(outbox, GW_OUTBOX_WAITING);
    assert_string_equal(waiting.ids, "acx");
    assert_string_equal(waiting.targets, "qqe");
    listing dead = list(outbox, GW_OUTBOX_DEAD);
    assert_string_equal(dead.ids, "b");
    assert_int_equal(dead.numbers[0], b);
    assert_string_equal(dead.reason, "no queue takes it");

    size_t n_done;
    assert_int_equal(
        gw_outbox_apply(outbox, GW_OUTBOX_WAITING, GW_OUTBOX_RESEND, &b, 1, WAIT_MS, &n_done, NULL),
        GW_E_INVALID);
    apply(outbox, GW_OUTBOX_DEAD, GW_OUTBOX_RESEND, b);
    assert_string_equal(list(outbox, GW_OUTBOX_DEAD).ids, "");
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids,
                        "acbx"); /* the youngest of its queue */
    apply(outbox, GW_OUTBOX_WAITING, GW_OUTBOX_DROP, waiting.numbers[0]);
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids, "cbx");
    apply(outbox, GW_OUTBOX_WAITING, GW_OUTBOX_DROP, 4711); /* nothing of that number */
    gw_outbox_close(outbox);

    /* Numbers go on behind the one that was sent again. */
    gw__journal *journal = open_journal();
    gw__target q = {.exchange = "", .queue = "q"};
    uint32_t queue;
    assert_int_equal(gw__journal_queue(journal, &q, &queue, NULL), GW_OK);
    append(journal, queue, "d");
    gw__journal_close(journal);
    outbox = open_outbox();
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids, "cbdx");
    gw_outbox_close(outbox);
}

/* A client with a broker that is not there, in a process of its own. */
static pid_t start_service(int *ret_ready)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid != 0) {
        close(fds[1]);
        *ret_ready = fds[0];
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.outbox_level = GW_OUTBOX_PROCESS;
    options.outbox_dir = dir;
    gw_client *client;
    if (gw_connect("amqp://127.0.0.1:1/", &options, &client, NULL) != GW_OK ||
        write(fds[1], "!", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static void test_beside_the_service(void **state)
{
    (void)state;
    uint64_t b = fill();
    int ready;
    pid_t pid = start_service(&ready);
    char byte;
    assert_int_equal(read(ready, &byte, 1), 1);
    close(ready);
    gw_outbox *outbox = open_outbox();
    gw_outbox_summary summary;
    assert_int_equal(gw_outbox_summarize(outbox, &summary, NULL), GW_OK);
    assert_int_equal(summary.pid, pid);
    listing waiting = list(outbox, GW_OUTBOX_WAITING);
    assert_string_equal(waiting.ids, "acx");
    apply(outbox, GW_OUTBOX_DEAD, GW_OUTBOX_RESEND, b);
    assert_string_equal(list(outbox, GW_OUTBOX_DEAD).ids, "");
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids, "acbx");
    apply(outbox, GW_OUTBOX_WAITING, GW_OUTBOX_DROP, waiting.numbers[1]);
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids, "abx");
    gw_outbox_close(outbox);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    outbox = open_outbox();
    assert_string_equal(list(outbox, GW_OUTBOX_WAITING).ids, "abx");
    gw_outbox_close(outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_there, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_without_the_service, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_beside_the_service, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
