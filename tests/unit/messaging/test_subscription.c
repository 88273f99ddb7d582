/* SPDX-License-Identifier: MIT */
#include "unit/messaging/fake_transport.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <godwit/log.h>

#include "messaging/message.h"
#include "support/child.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- acknowledging -------------------------------------------------------------------- */

static void test_all_are_acked_once(void **state)
{
    (void)state;
    enum { N = 3000 };
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    for (unsigned i = 1; i <= N; i++) {
        char body[8];
        snprintf(body, sizeof(body), "%u", i);
        deliver(&fix, body);
    }
    wait_for(&fix, fix.n_acks == N);
    for (unsigned i = 1; i <= N; i++) {
        char body[8];
        snprintf(body, sizeof(body), "%u", i);
        assert_string_equal(fix.handled[i - 1], body); /* in order */
        assert_int_equal(fix.n_acked[i], 1);
    }
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_handled, N);
    assert_int_equal(fix.max_running, 1);
    assert_int_equal(fix.n_stale + fix.n_requeued, 0);
    fixture_dispose(&fix);
}

/* Messages that wait together are acknowledged together. */
static void test_acks_are_batched(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "1";
    start(&fix, NULL);
    deliver(&fix, "1");
    wait_for(&fix, fix.n_running == 1);
    for (int i = 0; i < 128; i++) {
        deliver(&fix, "x");
    }
    open_gate(&fix);
    wait_for(&fix, fix.n_acks == 129);
    assert_in_range(fix.n_ack_calls, 2, 100); /* 129 would be one each */
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* A message whose handling took time is acknowledged before the next one is handled. */
static void test_ack_does_not_wait_for_the_next(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "2";
    fix.spin_us = 1000;
    start(&fix, NULL);
    deliver(&fix, "1");
    deliver(&fix, "2");
    wait_for(&fix, fix.n_running == 1 && fix.n_handled == 2);
    assert_int_equal(fix.n_acked[1], 1);
    assert_int_equal(fix.n_acked[2], 0);
    open_gate(&fix);
    wait_for(&fix, fix.n_acks == 2);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

static void test_several_workers(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "w";
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.n_workers = 4;
    start(&fix, &options);
    for (int i = 0; i < 6; i++) {
        deliver(&fix, "w");
    }
    wait_for(&fix, fix.n_running == 4); /* one each, not all to the first */
    open_gate(&fix);
    wait_for(&fix, fix.n_acks == 6);
    assert_int_equal(fix.max_running, 4);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* ---- committing ------------------------------------------------------------------------ */

static unsigned n_commits;
static unsigned n_to_fail;
static unsigned n_in_time; /* commits before the acknowledgement of what they commit */

static gw_verdict on_commit(void *ctx, gw_error *why)
{
    fixture *fix = ctx;
    pthread_mutex_lock(&fix->lock);
    n_commits++;
    n_in_time += fix->n_acks < fix->n_handled ? 1 : 0;
    bool fails = n_to_fail > 0;
    n_to_fail -= fails ? 1 : 0;
    pthread_mutex_unlock(&fix->lock);
    if (fails) {
        gw_error_set(why, GW_E_NO_SPACE, 0, "no room to commit");
        return GW_RETRY;
    }
    return GW_DONE;
}

static void start_committing(fixture *fix, int n, unsigned fail_first)
{
    n_commits = n_in_time = 0;
    n_to_fail = fail_first;
    fixture_init(fix);
    fix->no_retries = true;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.commit = on_commit;
    options.retry_delay_ms = 1;
    fix->gated = "gate";
    start(fix, &options);
    deliver(fix, "gate");
    wait_for(fix, fix->n_running == 1);
    for (int i = 1; i < n; i++) {
        deliver(fix, "x");
    }
    open_gate(fix);
}

/* Several messages in one commit, each before it is acknowledged. */
static void test_commit(void **state)
{
    (void)state;
    static fixture fix;
    start_committing(&fix, 101, 0);
    wait_for(&fix, fix.n_acks == 101);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_handled, 101);
    assert_in_range(n_commits, 2, 80); /* 101 would be one each */
    assert_int_equal(n_in_time, n_commits);
    fixture_dispose(&fix);
}

/* What was not committed is not acknowledged, and handled again: all of it. */
static void test_commit_that_fails(void **state)
{
    (void)state;
    static fixture fix;
    start_committing(&fix, 101, 1);
    wait_for(&fix, fix.n_acks == 101);
    stop(&fix, WAIT_MS);
    assert_in_range(fix.n_handled, 102, 101 + 64);
    for (unsigned tag = 1; tag <= 101; tag++) {
        assert_int_equal(fix.n_acked[tag], 1);
    }
    fixture_dispose(&fix);
}

/* It fails for good: dead letters say why, and none is lost. */
static void test_commit_that_always_fails(void **state)
{
    (void)state;
    static fixture fix;
    start_committing(&fix, 10, UINT_MAX);
    wait_for(&fix, fix.n_letters == 10);
    assert_int_equal(fix.n_handled, 5 * 10);
    assert_int_equal(fix.n_acks, 0);
    assert_string_equal(gw_message_header_text(fix.letters[0].msg, "x-godwit-reason"),
                        "given up after 5 attempts: no room to commit");
    for (size_t i = 0; i < 10; i++) {
        decide(&fix, i, GW_OK);
    }
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_acks, 10);
    fixture_dispose(&fix);
}

/* What is given up on a queue of one's own has nothing to commit, and is over with. */
static void test_commit_and_given_up(void **state)
{
    (void)state;
    static fixture fix;
    n_commits = n_in_time = 0;
    n_to_fail = UINT_MAX;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.commit = on_commit;
    options.retry_delay_ms = 1;
    options.max_attempts = 2;
    assert_int_equal(start_on(&fix, "temporary", &options, NULL), GW_OK);
    deliver(&fix, "R");
    wait_for(&fix, fix.n_acks == 1);
    assert_int_equal(n_commits, 0);
    deliver(&fix, "D");
    wait_for(&fix, fix.n_acks == 2);
    stop(&fix, WAIT_MS);
    assert_int_equal(n_commits, 2);
    assert_int_equal(fix.n_handled, 3);
    fixture_dispose(&fix);
}

/* ---- a lost connection ------------------------------------------------------------------ */

static void test_lost_drops_what_is_queued(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "D1";
    start(&fix, NULL);
    deliver(&fix, "D1");
    wait_for(&fix, fix.n_running == 1);
    deliver(&fix, "old");
    deliver(&fix, "old");
    lose(&fix);
    deliver(&fix, "new");
    open_gate(&fix);
    wait_for(&fix, fix.n_acks == 1);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_handled, 2);
    assert_string_equal(fix.handled[1], "new");
    assert_int_equal(fix.n_acked[1], 1);
    assert_int_equal(fix.n_stale, 1); /* D1's: it was too late, and the broker ignores it */
    fixture_dispose(&fix);
}

/* What waits for a retry, or is about to be given up, belongs to the broker again. */
static void test_lost_drops_what_is_retried(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.no_retries = true;
    fix.gated = "Rgate";
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 50;
    start(&fix, &options);
    deliver(&fix, "T1");
    wait_for(&fix, fix.n_handled == 1 && fix.n_running == 0);
    deliver(&fix, "Rgate");
    wait_for(&fix, fix.n_running == 1);
    lose(&fix);
    pthread_mutex_lock(&fix.lock);
    size_t n_handled = fix.n_handled; /* T1 may have had its second attempt */
    fix.gate_open = true;
    pthread_cond_broadcast(&fix.changed);
    pthread_mutex_unlock(&fix.lock);
    deliver(&fix, "T2"); /* tried again twice: longer than T1 would have waited */
    wait_for(&fix, fix.n_handled == n_handled + 3);
    stop(&fix, WAIT_MS);
    for (size_t i = n_handled; i < fix.n_handled; i++) {
        assert_string_equal(fix.handled[i], "T2");
    }
    assert_int_equal(fix.n_letters, 0);
    assert_int_equal(fix.n_acks, 0);
    fixture_dispose(&fix);
}

/* ---- retries ------------------------------------------------------------------------------ */

/* A message that is due for an attempt that is not its first. */
static void deliver_retry(fixture *fix, const char *body, const char *queue, int64_t attempt)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", queue), GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", attempt), GW_OK);
    deliver_message(fix, msg);
}

static void test_retry_is_forwarded(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 60000; /* nobody waits for it here */
    options.retry_delay_max_ms = 100000;
    start(&fix, &options);
    deliver(&fix, "T");
    wait_for(&fix, fix.n_letters == 1);
    const letter *it = &fix.letters[0];
    assert_string_equal(it->queue, "q");
    assert_int_equal(it->delay_ms, 60000);
    assert_string_equal(gw_message_body(it->msg, NULL), "T");
    assert_string_equal(gw_message_id(it->msg), "T");
    assert_int_equal(gw_message_header_int(it->msg, "x-godwit-attempt", 0), 2);
    assert_string_equal(gw_message_header_text(it->msg, "x-godwit-queue"), "q");
    assert_null(gw_message_header(it->msg, "x-godwit-crashes"));
    assert_null(gw_message_header(it->msg, "x-godwit-reason")); /* it is no dead letter */
    assert_int_equal(fix.n_acks, 0);                            /* not before it is confirmed */
    decide(&fix, 0, GW_OK);
    assert_int_equal(fix.n_acked[1], 1);

    deliver_retry(&fix, "T", "q", 2); /* the delay doubles, up to the longest */
    wait_for(&fix, fix.n_letters == 2);
    assert_int_equal(fix.letters[1].delay_ms, 100000);
    assert_int_equal(gw_message_header_int(fix.letters[1].msg, "x-godwit-attempt", 0), 3);
    decide(&fix, 1, GW_OK);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_handled, 2);
    fixture_dispose(&fix);
}

/* What carries a count goes on from there, if it was counted here. */
static void test_retry_counts_on(void **state)
{
    (void)state;
    static const struct {
        const char *queue;
        int64_t attempt;
        unsigned expected;
    } cases[] = {
        {"q", 2, 2},         {"q", 5, 5},        {"q", 77, 77},
        {"other", 3, 1},     {"", 3, 1},         {"q", 0, 1},
        {"q", -1, 1},        {"q", UINT_MAX, 1}, {"q", INT64_MAX, 1},
        {"q", INT64_MIN, 1}, {"q.dead", 4, 1},   {"q", UINT_MAX - 1, UINT_MAX - 1},
    };
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        deliver_retry(&fix, "D", cases[i].queue, cases[i].attempt);
        wait_for(&fix, fix.n_acks == i + 1);
        if (fix.attempts[i] != cases[i].expected) {
            fail_msg("case %zu: got %u, expected %u", i, fix.attempts[i], cases[i].expected);
        }
    }
    deliver_retry(&fix, "T", "q", 5); /* the last attempt, whoever made the others */
    wait_for(&fix, fix.n_letters == 1);
    const gw_message *msg = fix.letters[0].msg;
    assert_string_equal(fix.letters[0].queue, "q.dead");
    assert_int_equal(gw_message_header_int(msg, "x-godwit-attempts", 0), 5);
    assert_null(gw_message_header(msg, "x-godwit-attempt")); /* put back by hand it starts anew */
    decide(&fix, 0, GW_OK);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* The broker refuses it once it is on its way: it waits here, for as long as it would have there.
 */
static void test_retry_is_not_taken(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 30;
    start(&fix, &options);
    deliver(&fix, "T");
    wait_for(&fix, fix.n_letters == 1);
    uint64_t refused_ms = gw_clock_ms();
    decide(&fix, 0, GW_E_REFUSED);
    wait_for(&fix, fix.n_letters == 2);
    assert_int_equal(fix.n_handled, 2);
    assert_int_equal(fix.attempts[1], 2);
    assert_in_range(fix.at_ms[1] - refused_ms, 30, WAIT_MS);
    assert_int_equal(gw_message_header_int(fix.letters[1].msg, "x-godwit-attempt", 0), 3);
    assert_int_equal(fix.n_acks, 0);
    decide(&fix, 1, GW_OK);
    assert_int_equal(fix.n_acked[1], 1);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* One with a long delay does not hold its place for all of it: it is soon sent again. */
static void test_retry_is_sent_again(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 60000;
    start(&fix, &options);
    deliver(&fix, "T");
    wait_for(&fix, fix.n_letters == 1);
    decide(&fix, 0, GW_E_UNAVAILABLE);
    wait_for(&fix, fix.n_letters == 2);
    assert_int_equal(fix.n_handled, 1);
    assert_int_equal(fix.letters[1].delay_ms, 60000); /* from then on: never too early */
    assert_int_equal(gw_message_header_int(fix.letters[1].msg, "x-godwit-attempt", 0), 2);
    decide(&fix, 1, GW_OK);
    assert_int_equal(fix.n_acked[1], 1);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* They go to the broker at once, all of them, and the handler has the next one. */
static void test_retry_of_many(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    for (size_t i = 0; i < LETTERS_MAX; i++) {
        deliver(&fix, "T");
    }
    deliver(&fix, "D");
    wait_for(&fix, fix.n_letters == LETTERS_MAX && fix.n_acks == 1);
    lose(&fix); /* all of it is delivered again; the copies are there too */
    for (size_t i = 0; i < LETTERS_MAX; i++) {
        decide(&fix, i, GW_OK);
    }
    assert_int_equal(fix.n_acks, 0);
    assert_int_equal(fix.n_stale, LETTERS_MAX);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* A message whose own headers leave no room for the count is not sent without them. */
static void test_retry_without_room(void **state)
{
    (void)state;
    static char bytes[GW_MESSAGE_HEADERS_MAX];
    gw_value large = {.kind = GW_VALUE_BYTES,
                      .as.bytes = {.data = bytes, .len = GW_MESSAGE_HEADERS_MAX - 20}};
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 1;
    start(&fix, &options);
    gw_message *msg = gw_message_new("T", 1);
    assert_int_equal(gw_message_set_header(msg, "l", &large), GW_OK);
    deliver_message(&fix, msg);
    wait_for(&fix, fix.n_letters == 1);
    assert_int_equal(fix.n_handled, 5);
    assert_string_equal(fix.letters[0].queue, "q.dead");
    decide(&fix, 0, GW_OK);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* Nothing else would be there to handle it. */
static void test_retry_on_a_queue_of_ones_own(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 1;
    options.max_attempts = 3;
    assert_int_equal(start_on(&fix, "temporary", &options, NULL), GW_OK);
    deliver(&fix, "T");
    wait_for(&fix, fix.n_acks == 1);
    assert_int_equal(fix.n_handled, 3);
    assert_int_equal(fix.attempts[2], 3);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_letters, 0);
    fixture_dispose(&fix);
}

/* The broker cannot keep them: they wait here. */
static void test_retry_in_memory(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.no_retries = true;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 30;
    options.max_attempts = 4;
    start(&fix, &options);
    deliver(&fix, "T");
    wait_for(&fix, fix.n_handled == 1);
    deliver(&fix, "D"); /* handled while the other waits */
    wait_for(&fix, fix.n_letters == 1);
    assert_int_equal(fix.n_handled, 5);
    assert_string_equal(fix.handled[1], "D");
    static const size_t attempts_at[] = {0, 2, 3, 4};
    for (size_t i = 0; i < N_OF(attempts_at); i++) {
        assert_string_equal(fix.handled[attempts_at[i]], "T");
        assert_int_equal(fix.attempts[attempts_at[i]], i + 1);
        if (i > 0) {
            assert_in_range(fix.at_ms[attempts_at[i]] - fix.at_ms[attempts_at[i - 1]],
                            30u << (i - 1), WAIT_MS);
        }
    }
    assert_int_equal(fix.n_acked[1], 0);
    const gw_message *msg = fix.letters[0].msg;
    assert_string_equal(gw_message_header_text(msg, "x-godwit-reason"),
                        "given up after 4 attempts: it is broken");
    assert_int_equal(gw_message_header_int(msg, "x-godwit-attempts", 0), 4);
    decide(&fix, 0, GW_OK);
    assert_int_equal(fix.n_acked[1], 1);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

static void test_retry_then_done(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.no_retries = true;
    fix.verdict = GW_RETRY;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 5;
    options.max_attempts = UINT_MAX;
    start(&fix, &options);
    deliver(&fix, "x");
    pthread_mutex_lock(&fix.lock);
    wait_locked(&fix, fix.n_handled == 5);
    fix.verdict = GW_DONE;
    wait_locked(&fix, fix.n_acks == 1);
    pthread_mutex_unlock(&fix.lock);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_letters, 0);
    fixture_dispose(&fix);
}

/* A retry is due while one of the workers is busy for long: another one does it. */
static void test_retry_beside_a_slow_handler(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        static fixture fix;
        fixture_init(&fix);
        fix.no_retries = true;
        fix.gated = "D";
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.n_workers = 2;
        options.retry_delay_ms = 20;
        options.max_attempts = 2;
        start(&fix, &options);
        deliver(&fix, "T");
        wait_for(&fix, fix.n_handled == 1 && fix.n_running == 0);
        deliver(&fix, "D");
        wait_for(&fix, fix.n_letters == 1);
        assert_int_equal(fix.n_running, 1);
        decide(&fix, 0, GW_OK);
        open_gate(&fix);
        wait_for(&fix, fix.n_acks == 2);
        stop(&fix, WAIT_MS);
        fixture_dispose(&fix);
    }
}

/* ---- messages that end the process -------------------------------------------------- */

/* A process that died while it handled the message with this id. */
static void die_with(const char *dir, const char *id)
{
    pid_t pid = fork();
    if (pid == 0) {
        gw__guard *guard = NULL;
        gw_message *msg = gw_message_new("x", 1);
        if (gw__guard_open(dir, &guard, NULL) == GW_OK && gw_message_set_id(msg, id) == GW_OK) {
            gw__guard_enter(gw__guard_claim(guard, "q"), msg);
            raise(SIGKILL);
        }
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void deliver_copy(fixture *fix, const char *id, int64_t crashes, bool redelivered)
{
    gw_message *msg = gw_message_new(id, strlen(id));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    gw__message_set_redelivered(msg, redelivered);
    if (crashes > 0) {
        assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", "q"), GW_OK);
        assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempt", 2), GW_OK);
        assert_int_equal(gw_message_set_header_int(msg, "x-godwit-crashes", crashes), GW_OK);
    }
    deliver_message(fix, msg);
}

static void deliver_again(fixture *fix, const char *id, int64_t crashes)
{
    deliver_copy(fix, id, crashes, true);
}

static void guarded_fixture(fixture *fix, char *dir, size_t size, const char *victim)
{
    make_test_dir(dir, size);
    die_with(dir, victim);
    fixture_init(fix);
    assert_int_equal(gw__guard_open(dir, &fix->guard, NULL), GW_OK);
}

static void end_guarded(fixture *fix, const char *dir)
{
    stop(fix, WAIT_MS);
    gw__guard_close(fix->guard);
    fixture_dispose(fix);
    remove_test_dir(dir);
}

/* It comes again later, with the death to its name; others are handled as ever. */
static void test_suspect(void **state)
{
    (void)state;
    static fixture fix;
    char dir[200];
    guarded_fixture(&fix, dir, sizeof(dir), "Dkill");
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.max_attempts = 1; /* is about what handlers answer */
    start(&fix, &options);
    deliver_copy(&fix, "Dkill", 1, false); /* its retry: the death is counted there */
    wait_for(&fix, fix.n_acks == 1);
    deliver_again(&fix, "Dother", 0);
    wait_for(&fix, fix.n_acks == 2);
    deliver_again(&fix, "Dkill", 0);
    wait_for(&fix, fix.n_letters == 1);
    assert_int_equal(fix.n_handled, 2);
    assert_int_equal(fix.n_acks, 2);
    assert_string_equal(fix.letters[0].queue, "q");
    assert_int_equal(fix.letters[0].delay_ms, 1000);
    const gw_message *msg = fix.letters[0].msg;
    assert_int_equal(gw_message_header_int(msg, "x-godwit-crashes", 0), 1);
    assert_int_equal(gw_message_header_int(msg, "x-godwit-attempt", 0), 1); /* this one again */
    decide(&fix, 0, GW_OK);
    assert_int_equal(fix.n_acks, 3);
    deliver_again(&fix, "Dkill", 1); /* its copy: no further process died */
    wait_for(&fix, fix.n_acks == 4);
    assert_int_equal(fix.n_handled, 3);
    end_guarded(&fix, dir);
}

/* Delivered for the first time, but it has that id: its publisher died too, and sent it again. */
static void test_suspect_sent_again(void **state)
{
    (void)state;
    static fixture fix;
    char dir[200];
    guarded_fixture(&fix, dir, sizeof(dir), "Dkill");
    start(&fix, NULL);
    deliver_copy(&fix, "Dkill", 0, false);
    deliver_again(&fix, "Dkill", 0);
    wait_for(&fix, fix.n_letters == 2);
    assert_int_equal(fix.n_handled, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(fix.letters[i].queue, "q");
        assert_int_equal(gw_message_header_int(fix.letters[i].msg, "x-godwit-crashes", 0), 1);
        decide(&fix, i, GW_OK);
    }
    assert_int_equal(fix.n_acks, 2);
    end_guarded(&fix, dir);
}

static void test_suspect_is_given_up(void **state)
{
    (void)state;
    static const struct {
        unsigned max_crashes;
        int64_t crashes; /* that it brings along */
        bool dead;
    } cases[] = {{1, 0, true},
                 {2, 0, false},
                 {3, 2, true},
                 {4, 2, false},
                 {5, 5000, true},
                 {UINT_MAX, 0, false},
                 {UINT_MAX, UINT_MAX - 1, false},
                 {5, UINT_MAX, false} /* not believed */};
    for (size_t i = 0; i < N_OF(cases); i++) {
        static fixture fix;
        char dir[200];
        guarded_fixture(&fix, dir, sizeof(dir), "Dkill");
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.max_crashes = cases[i].max_crashes;
        options.max_attempts = UINT_MAX;
        start(&fix, &options);
        deliver_again(&fix, "Dkill", cases[i].crashes);
        wait_for(&fix, fix.n_letters == 1);
        const letter *it = &fix.letters[0];
        if (strcmp(it->queue, cases[i].dead ? "q.dead" : "q") != 0) {
            fail_msg("case %zu: it goes to '%s'", i, it->queue);
        }
        if (cases[i].dead) {
            char expected[100];
            snprintf(expected, sizeof(expected), "the process died %u times while it handled it",
                     (unsigned)cases[i].crashes + 1);
            assert_string_equal(gw_message_header_text(it->msg, "x-godwit-reason"), expected);
            unsigned ended = cases[i].crashes > 0 ? 1 : 0; /* attempts before this one */
            assert_int_equal(gw_message_header_int(it->msg, "x-godwit-attempts", 0),
                             ended + cases[i].crashes + 1);
            assert_null(gw_message_header(it->msg, "x-godwit-crashes"));
        }
        decide(&fix, 0, GW_OK);
        gw_message *msg = gw_message_new("x", 1);
        assert_int_equal(gw_message_set_id(msg, "Dkill"), GW_OK);
        assert_int_equal(gw__guard_crashes(fix.guard, "q", msg), 0); /* it is on record there */
        gw_message_free(msg);
        assert_int_equal(fix.n_handled, 0);
        end_guarded(&fix, dir);
    }
}

/* It cannot be sent away: it is handled here, after the same delay, and remembered until then. */
static void test_suspect_is_not_taken(void **state)
{
    (void)state;
    static fixture fix;
    char dir[200];
    guarded_fixture(&fix, dir, sizeof(dir), "Dkill");
    fix.no_retries = true;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.retry_delay_ms = 30;
    start(&fix, &options);
    uint64_t start_ms = gw_clock_ms();
    deliver_again(&fix, "Dkill", 0);
    wait_for(&fix, fix.n_acks == 1);
    assert_in_range(fix.at_ms[0] - start_ms, 30, WAIT_MS);
    assert_int_equal(fix.attempts[0], 1);
    assert_int_equal(fix.n_letters, 0);
    end_guarded(&fix, dir);
}

/* ---- dead letters -----------------------------------------------------------------------------
 */

static void test_reject(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    deliver(&fix, "R");
    deliver(&fix, "D");
    wait_for(&fix, fix.n_letters == 1 && fix.n_acks == 1);
    assert_int_equal(fix.n_acked[1], 0); /* not before the dead letter is confirmed */
    assert_int_equal(fix.n_acked[2], 1);
    const letter *it = &fix.letters[0];
    assert_string_equal(it->queue, "q.dead");
    assert_string_equal(gw_message_body(it->msg, NULL), "R");
    assert_string_equal(gw_message_id(it->msg), "R");
    assert_string_equal(gw_message_header_text(it->msg, "x-godwit-reason"), "it is broken");
    assert_string_equal(gw_message_header_text(it->msg, "x-godwit-queue"), "q");
    assert_string_equal(gw_message_header_text(it->msg, "x-godwit-service"), "tester");
    assert_int_equal(gw_message_header_int(it->msg, "x-godwit-attempts", 0), 1);
    decide(&fix, 0, GW_OK);
    assert_int_equal(fix.n_acked[1], 1);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_letters, 1);
    fixture_dispose(&fix);
}

static void test_no_reason(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.silent = true;
    fix.verdict = (gw_verdict)77; /* no verdict at all */
    start(&fix, NULL);
    deliver(&fix, "R");
    deliver(&fix, "x");
    wait_for(&fix, fix.n_letters == 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(gw_message_header_text(fix.letters[i].msg, "x-godwit-reason"),
                            "the handler gave no reason");
        decide(&fix, i, GW_OK);
    }
    wait_for(&fix, fix.n_acks == 2);
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

/* A queue of one's own has no dead letters: nobody could ever look for them. */
static void test_temporary(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    assert_int_equal(start_on(&fix, "temporary", &options, NULL), GW_OK);
    deliver(&fix, "R");
    wait_for(&fix, fix.n_acks == 1);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_letters, 0);
    fixture_dispose(&fix);
}

/* The outbox is full, or the broker does not take the dead letter: the message stays unsettled and
 * is buried later, without bothering the handler again. */
static void test_burying_goes_on(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.n_full = 1;
    start(&fix, NULL);
    uint64_t start_ms = gw_clock_ms();
    deliver(&fix, "R1"); /* finds it full */
    wait_for(&fix, fix.n_full == 0);
    deliver(&fix, "R2");
    wait_for(&fix, fix.n_letters == 1);
    decide(&fix, 0, GW_E_UNROUTABLE);
    assert_int_equal(fix.n_acks, 0);
    deliver(&fix, "D");
    wait_for(&fix, fix.n_acks == 1);
    wait_for(&fix, fix.n_letters == 3);
    assert_in_range(gw_clock_ms() - start_ms, 4000, WAIT_MS);
    assert_int_equal(fix.n_handled, 3);
    decide(&fix, 1, GW_OK);
    decide(&fix, 2, GW_OK);
    assert_int_equal(fix.n_acks, 3);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_requeued, 0);
    fixture_dispose(&fix);
}

/* ---- stopping
 * ------------------------------------------------------------------------------------ */

static void *stopper_main(void *ctx)
{
    stop(ctx, WAIT_MS);
    return NULL;
}

static void test_stop_while_a_handler_runs(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "1";
    start(&fix, NULL);
    deliver(&fix, "1");
    wait_for(&fix, fix.n_running == 1);
    deliver(&fix, "2");
    deliver(&fix, "3");
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stopper_main, &fix), 0);
    pthread_mutex_lock(&fix.lock);
    wait_locked(&fix, fix.cancelled);
    nanosleep(&(struct timespec){.tv_nsec = 20000000},
              NULL); /* it waits, for as long as it takes */
    assert_false(fix.released);
    fix.gate_open = true;
    pthread_cond_broadcast(&fix.changed);
    pthread_mutex_unlock(&fix.lock);
    pthread_join(stopper, NULL);
    assert_true(fix.n_acked[1] == 1); /* finished and acknowledged, before the release */
    assert_int_equal(fix.n_acks, 1);  /* the rest is left to the broker */
    fixture_dispose(&fix);
}

/* The worker has taken several at once, and leaves those that it has not begun. */
static void test_stop_in_the_middle_of_a_batch(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.gated = "w";
    fix.one_by_one = true;
    start(&fix, NULL);
    deliver(&fix, "w");
    wait_for(&fix, fix.n_running == 1);
    deliver(&fix, "w");
    deliver(&fix, "x");
    deliver(&fix, "x");
    open_gate(&fix);
    wait_for(&fix, fix.n_running == 1 && fix.n_handled == 2);
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    gw__subscription_cancel(fix.sub, deadline_ms);
    open_gate(&fix);
    gw__subscription_stop(fix.sub, deadline_ms);
    assert_int_equal(fix.n_handled, 2);
    assert_int_equal(fix.n_acks, 2);
    fixture_dispose(&fix);
}

static void test_stop_leaves_retries(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    fix.no_retries = true;
    start(&fix, NULL);
    deliver(&fix, "T1");
    deliver(&fix, "T2");
    wait_for(&fix, fix.n_handled == 2 && fix.n_running == 0);
    stop(&fix, WAIT_MS);
    assert_int_equal(fix.n_acks + fix.n_requeued + fix.n_letters, 0);
    fixture_dispose(&fix);
}

/* Stopping waits for the dead letters that are on their way. */
static void test_stop_waits_for_dead_letters(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    deliver(&fix, "R1");
    deliver(&fix, "R2");
    wait_for(&fix, fix.n_letters == 2);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stopper_main, &fix), 0);
    wait_for(&fix, fix.cancelled);
    decide(&fix, 0, GW_OK);
    assert_false(fix.released);
    decide(&fix, 1, GW_E_CLOSED); /* not tried again now */
    pthread_join(stopper, NULL);
    assert_int_equal(fix.n_acks, 1);
    assert_int_equal(fix.n_acked[1], 1);
    fixture_dispose(&fix);
}

/* But not for ever; what is said later is taken note of without the subscription. */
static void test_stop_gives_up_on_dead_letters(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    deliver(&fix, "R1");
    deliver(&fix, "R2");
    wait_for(&fix, fix.n_letters == 2);
    stop(&fix, 30);
    decide(&fix, 0, GW_OK);
    decide(&fix, 1, GW_E_CLOSED);
    assert_int_equal(fix.n_acks, 0);
    fixture_dispose(&fix);
}

/* Nor at all when the broker has the originals again, as when it went away: it takes no copy then,
 * and there is nothing to acknowledge. */
static void test_stop_waits_for_no_lost_ones(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    deliver(&fix, "R1");
    deliver(&fix, "T1");
    wait_for(&fix, fix.n_letters == 2);
    lose(&fix);
    deliver(&fix, "R2");
    wait_for(&fix, fix.n_letters == 3);
    decide(&fix, 2, GW_OK);
    uint64_t start_ms = gw_clock_ms();
    stop(&fix, WAIT_MS);
    assert_true(gw_clock_ms() - start_ms < WAIT_MS);
    decide(&fix, 0, GW_OK);
    decide(&fix, 1, GW_E_CLOSED);
    assert_int_equal(fix.n_acks, 1);
    assert_int_equal(fix.n_stale, 0);
    fixture_dispose(&fix);
}

/* The last outcome comes while stop() frees. */
static void *decider_main(void *ctx)
{
    fixture *fix = ctx;
    wait_for(fix, fix->cancelled);
    decide(fix, 0, GW_OK);
    return NULL;
}

static void test_stop_and_last_outcome_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        static fixture fix;
        fixture_init(&fix);
        start(&fix, NULL);
        deliver(&fix, "R");
        wait_for(&fix, fix.n_letters == 1);
        pthread_t decider;
        assert_int_equal(pthread_create(&decider, NULL, decider_main, &fix), 0);
        stop(&fix, round % 2 == 0 ? WAIT_MS : 0);
        pthread_join(decider, NULL);
        fixture_dispose(&fix);
    }
}

/* ---- states and arguments -------------------------------------------------------------------- */

static void test_state(void **state)
{
    (void)state;
    static fixture fix;
    fixture_init(&fix);
    start(&fix, NULL);
    char why[64] = "x";
    assert_false(gw__subscription_is_consuming(fix.sub, why, sizeof(why)));
    assert_string_equal(why, "");
    fix.sink.state(fix.sink.ctx, true, NULL);
    assert_int_equal(fix.n_updates, 1);
    assert_true(gw__subscription_is_consuming(fix.sub, why, sizeof(why)));
    gw_error err = GW_ERROR_INIT;
    gw_error_set(&err, GW_E_EXISTS, 406, "queue 'q' is of another kind");
    fix.sink.state(fix.sink.ctx, false, &err);
    assert_false(gw__subscription_is_consuming(fix.sub, why, sizeof(why)));
    assert_string_equal(why, "queue 'q' is of another kind");
    assert_false(gw__subscription_is_consuming(fix.sub, why, 6));
    assert_string_equal(why, "queue");
    stop(&fix, WAIT_MS);
    fixture_dispose(&fix);
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        unsigned n_workers;
        uint16_t prefetch;
        unsigned max_attempts;
        const char *queue;
        gw_status expected;
        const char *text;
    } cases[] = {
        {0, 1, 1, "q", GW_E_INVALID, "subscription to 'q': n_workers must be 1 to 256"},
        {257, 1, 1, "q", GW_E_INVALID, "n_workers must be 1 to 256"},
        {UINT_MAX, 1, 1, "q", GW_E_INVALID, "n_workers must be 1 to 256"},
        {1, 1, 0, "q", GW_E_INVALID, "max_attempts, max_crashes and retry_delay_max_ms 1 or more"},
        {1, 0, 1, "q", GW_OK, ""},
        {1, 1, 1, "forbidden", GW_E_NOMEM, "no consumer"},
        {256, 1, 1, "q", GW_OK, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        static fixture fix;
        fixture_init(&fix);
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.n_workers = cases[i].n_workers;
        options.prefetch = cases[i].prefetch;
        options.max_attempts = cases[i].max_attempts;
        gw_error err = GW_ERROR_INIT;
        gw_status st = start_on(&fix, cases[i].queue, &options, &err);
        if (st != cases[i].expected || strstr(err.text, cases[i].text) == NULL) {
            fail_msg("case %zu: got %s '%s', expected %s '%s'", i, gw_status_name(st), err.text,
                     gw_status_name(cases[i].expected), cases[i].text);
        }
        if (st == GW_OK) {
            stop(&fix, WAIT_MS);
        }
        fixture_dispose(&fix);
    }
}

/* ---- all of it at once --------------------------------------------------------------------------
 */

static void decide_all(fixture *fix)
{
    pthread_mutex_lock(&fix->lock);
    size_t n = fix->n_letters;
    pthread_mutex_unlock(&fix->lock);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&fix->lock);
        bool open = fix->letters[i].msg != NULL;
        pthread_mutex_unlock(&fix->lock);
        if (open) {
            decide(fix, i, i % 2 == 0 ? GW_OK : GW_E_UNROUTABLE);
        }
    }
}

/* Deliver what is not acknowledged in the present epoch, lose the connection now and then, and
 * decide dead letters, until all is acknowledged in one epoch. */
static void test_stress(void **state)
{
    (void)state;
    enum { N = 300 };
    static fixture fix;
    fixture_init(&fix);
    fix.no_retries = true;
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.n_workers = 4;
    options.retry_delay_ms = 1;
    options.max_attempts = 2;
    start(&fix, &options);
    for (int round = 0; round < 10; round++) {
        for (unsigned i = 0; i < N; i++) {
            deliver(&fix, i % 10 == 3 ? "T" : "D");
        }
        pthread_mutex_lock(&fix.lock);
        wait_locked(&fix, fix.n_acks > 50);
        fix.n_handled = 0; /* the list is not needed here, and would overflow */
        pthread_mutex_unlock(&fix.lock);
        lose(&fix);
        decide_all(&fix);
    }
    for (unsigned i = 0; i < N; i++) {
        deliver(&fix, "D");
    }
    wait_for(&fix, fix.n_acks == N);
    for (unsigned tag = 1; tag <= N; tag++) {
        assert_int_equal(fix.n_acked[tag], 1);
    }
    stop(&fix, 0);
    decide_all(&fix);
    fixture_dispose(&fix);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_acked_once),
        cmocka_unit_test(test_acks_are_batched),
        cmocka_unit_test(test_ack_does_not_wait_for_the_next),
        cmocka_unit_test(test_several_workers),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_commit_that_fails),
        cmocka_unit_test(test_commit_that_always_fails),
        cmocka_unit_test(test_commit_and_given_up),
        cmocka_unit_test(test_lost_drops_what_is_queued),
        cmocka_unit_test(test_lost_drops_what_is_retried),
        cmocka_unit_test(test_retry_is_forwarded),
        cmocka_unit_test(test_retry_counts_on),
        cmocka_unit_test(test_retry_is_not_taken),
        cmocka_unit_test(test_retry_is_sent_again),
        cmocka_unit_test(test_retry_of_many),
        cmocka_unit_test(test_retry_without_room),
        cmocka_unit_test(test_retry_on_a_queue_of_ones_own),
        cmocka_unit_test(test_retry_in_memory),
        cmocka_unit_test(test_retry_then_done),
        cmocka_unit_test(test_retry_beside_a_slow_handler),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_suspect_sent_again),
        cmocka_unit_test(test_suspect_is_given_up),
        cmocka_unit_test(test_suspect_is_not_taken),
        cmocka_unit_test(test_reject),
        cmocka_unit_test(test_no_reason),
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_burying_goes_on),
        cmocka_unit_test(test_stop_while_a_handler_runs),
        cmocka_unit_test(test_stop_in_the_middle_of_a_batch),
        cmocka_unit_test(test_stop_leaves_retries),
        cmocka_unit_test(test_stop_waits_for_dead_letters),
        cmocka_unit_test(test_stop_gives_up_on_dead_letters),
        cmocka_unit_test(test_stop_waits_for_no_lost_ones),
        cmocka_unit_test(test_stop_and_last_outcome_at_once),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_stress),
    };
    return cmocka_run_group_tests_name("subscription", tests, NULL, NULL);
}
