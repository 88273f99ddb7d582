/* SPDX-License-Identifier: MIT */
/*
 * A message that ends each process that handles it, on a real broker. The victims are this program
 * itself, started anew: `crash victim URL QUEUE DIR TYPE MAX` handles the queue with its notes in
 * DIR (none for ""), and dies by SIGKILL in the handler of "deadly".
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/id.h>
#include <godwit/log.h>

#include "base/cond.h"
#include "contract/contract.h"
#include "support/child.h"

#define RETRY_MS 50
/* A victim that is killed between the confirm of a retry and the acknowledgement of the original
 * leaves both, so there can be more deaths than are counted for each. */
#define DEATHS_MAX 20

/* ---- the victim ------------------------------------------------------------------ */

static gw_verdict handle_or_die(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)why;
    const char *body = gw_message_body(msg, NULL);
    if (strcmp(body, "deadly") == 0) {
        raise(SIGKILL);
    }
    printf("handled %s\n", body);
    fflush(stdout);
    return GW_DONE;
}

static int be_victim(char **args)
{
    gw_log_set_level(GW_LOG_OFF);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = "victim";
    options.outbox_level = args[2][0] != '\0' ? GW_OUTBOX_PROCESS : GW_OUTBOX_MEMORY;
    options.outbox_dir = args[2];
    options.queue_type = strcmp(args[3], "quorum") == 0 ? GW_QUEUE_QUORUM : GW_QUEUE_CLASSIC;
    gw_subscribe_options subscribing = GW_SUBSCRIBE_OPTIONS_INIT;
    subscribing.max_crashes = (unsigned)strtoul(args[4], NULL, 10);
    subscribing.max_attempts = UINT_MAX;
    subscribing.retry_delay_ms = RETRY_MS;
    subscribing.retry_delay_max_ms = RETRY_MS;
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(args[0], &options, &client, &err) != GW_OK ||
        gw_subscribe_to_queue(client, args[1], &subscribing, handle_or_die, NULL, NULL, &err) !=
            GW_OK) {
        fprintf(stderr, "victim: %s\n", err.text);
        return 1;
    }
    for (;;) {
        pause(); /* until the test ends it */
    }
}

/* ---- the test -------------------------------------------------------------------- */

static const contract_transport *transport;

typedef struct crash {
    char queue[128];
    char dead_queue[160];
    char retry_queue[160];
    char dirs[2][200];
    const char *type;
    bool neighbour; /* was handled */
    gw_client *client;
    child victim;
} crash;

/* Without a directory for NULL. */
static void start_victim(crash *it, const char *dir, const char *max_crashes)
{
    char self[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    const char *argv[] = {
        self,        "victim", transport->url, it->queue, dir != NULL ? dir : "", it->type,
        max_crashes, NULL};
    const char *env[] = {NULL};
    child_start(&it->victim, argv, env);
}

static void expect_death(crash *it)
{
    int rc = child_wait_exit(&it->victim);
    if (rc != -SIGKILL) {
        fail_msg("the victim ended with %d: %s", rc, child_err(&it->victim));
    }
    it->neighbour = it->neighbour || strstr(child_out(&it->victim), "handled neighbour") != NULL;
}

static void send_text_to(crash *it, const char *text)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    gw_error err = GW_ERROR_INIT;
    if (gw_publish_on_queue(it->client, it->queue, msg, &err) != GW_OK) {
        fail_msg("gw_publish_on_queue: %s", err.text);
    }
    gw_message_free(msg);
}

typedef struct grave {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gw_message *letter; /* the first one */
} grave;

static gw_verdict take_letter(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)why;
    grave *it = ctx;
    pthread_mutex_lock(&it->lock);
    if (it->letter == NULL) {
        it->letter = gw_message_dup(msg);
    }
    pthread_cond_broadcast(&it->changed);
    pthread_mutex_unlock(&it->lock);
    return GW_DONE;
}

static bool is_dead(const crash *it)
{
    siginfo_t info = {.si_pid = 0};
    assert_int_equal(waitid(P_PID, (id_t)it->victim.pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0;
}

/* Whether a dead letter came; false when the victim died first. */
static bool outlives_letter(crash *it, grave *waiting)
{
    uint64_t deadline_ms = gw_clock_ms() + WAIT_MS;
    bool dead = false;
    pthread_mutex_lock(&waiting->lock);
    while (waiting->letter == NULL && !dead && gw_clock_ms() < deadline_ms) {
        gw__cond_wait_until(&waiting->changed, &waiting->lock, gw_clock_ms() + 5);
        dead = is_dead(it);
    }
    bool came = waiting->letter != NULL;
    pthread_mutex_unlock(&waiting->lock);
    assert_true(came || dead);
    return came;
}

/* Start one victim after the other, without a directory or in each by turns, until the dead letter
 * is there; the caller frees it. One is left running, or was when the letter came. */
static gw_message *run_until_parked(crash *it, size_t n_dirs, const char *max_crashes,
                                    unsigned *ret_deaths)
{
    grave waiting = {.letter = NULL};
    pthread_mutex_init(&waiting.lock, NULL);
    gw__cond_init(&waiting.changed);
    gw_subscription *sub = NULL;
    assert_int_equal(
        gw_subscribe_to_queue(it->client, it->dead_queue, NULL, take_letter, &waiting, &sub, NULL),
        GW_OK);
    unsigned n_deaths = 0;
    start_victim(it, n_dirs == 0 ? NULL : it->dirs[0], max_crashes);
    while (!outlives_letter(it, &waiting)) {
        expect_death(it);
        assert_in_range(++n_deaths, 1, DEATHS_MAX + 2);
        start_victim(it, n_dirs == 0 ? NULL : it->dirs[n_deaths % n_dirs], max_crashes);
    }
    gw_unsubscribe(sub);
    pthread_cond_destroy(&waiting.changed);
    pthread_mutex_destroy(&waiting.lock);
    *ret_deaths = n_deaths;
    return waiting.letter;
}

/* `*state` says the type of the queue. */
static int setup(void **state)
{
    crash *it = calloc(1, sizeof(*it));
    assert_non_null(it);
    it->type = *state;
    *state = it;
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    snprintf(it->queue, sizeof(it->queue), "contract.crash.%s", id);
    snprintf(it->dead_queue, sizeof(it->dead_queue), "%s.dead", it->queue);
    snprintf(it->retry_queue, sizeof(it->retry_queue), "%s.retry.%d", it->queue, RETRY_MS);
    transport->make_retry_queue(it->retry_queue, it->queue, RETRY_MS);
    make_test_dir(it->dirs[0], sizeof(it->dirs[0]));
    make_test_dir(it->dirs[1], sizeof(it->dirs[1]));
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.queue_type = strcmp(it->type, "quorum") == 0 ? GW_QUEUE_QUORUM : GW_QUEUE_CLASSIC;
    assert_int_equal(gw_connect(transport->url, &options, &it->client, NULL), GW_OK);
    assert_int_equal(gw_wait_up(it->client, WAIT_MS, NULL), GW_OK);
    return 0;
}

static int teardown(void **state)
{
    crash *it = *state;
    if (it->victim.pid != 0) {
        child_signal(&it->victim, SIGKILL);
        (void)child_wait_exit(&it->victim);
    }
    gw_status st = gw_close(it->client, WAIT_MS, NULL);
    const char *const queues[] = {it->queue, it->dead_queue, it->retry_queue};
    transport->remove(queues, N_OF(queues), NULL, 0);
    remove_test_dir(it->dirs[0]);
    remove_test_dir(it->dirs[1]);
    free(it);
    return st == GW_OK ? 0 : -1;
}

/* Parked for so many deaths, or more. */
static void expect_letter(crash *it, const gw_message *letter, unsigned at_least)
{
    assert_string_equal(gw_message_body(letter, NULL), "deadly");
    const char *reason = gw_message_header_text(letter, "x-godwit-reason");
    unsigned counted = 0;
    if (reason == NULL || sscanf(reason, "the process died %u times", &counted) != 1 ||
        counted < at_least || counted > DEATHS_MAX) {
        fail_msg("the reason is '%s'", reason != NULL ? reason : "(none)");
    }
    assert_string_equal(gw_message_header_text(letter, "x-godwit-queue"), it->queue);
    assert_string_equal(gw_message_header_text(letter, "x-godwit-service"), "victim");
    assert_int_equal(gw_message_header_int(letter, "x-godwit-attempts", 0), counted);
    assert_null(gw_message_header(letter, "x-godwit-crashes"));
}

/* It is parked after as many deaths as it may cost, and its neighbour is handled. */
static void test_parked(void **state)
{
    crash *it = *state;
    send_text_to(it, "deadly");
    send_text_to(it, "neighbour");
    unsigned n_deaths;
    gw_message *letter = run_until_parked(it, 1, "3", &n_deaths);
    expect_letter(it, letter, 3);
    gw_message_free(letter);
    assert_true(n_deaths >= 3);
    if (!it->neighbour) {
        child_wait_out(&it->victim, "handled neighbour\n");
    }
}

/* Another copy with the same id, which the broker has never delivered before: its publisher died as
 * well, before it knew that the first one was confirmed. */
static void test_sent_again(void **state)
{
    crash *it = *state;
    grave first = {.letter = NULL};
    pthread_mutex_init(&first.lock, NULL);
    gw__cond_init(&first.changed);
    send_text_to(it, "deadly");
    start_victim(it, it->dirs[0], "1");
    expect_death(it);
    gw_subscription *sub = NULL;
    assert_int_equal(
        gw_subscribe_to_queue(it->client, it->queue, NULL, take_letter, &first, &sub, NULL), GW_OK);
    pthread_mutex_lock(&first.lock);
    while (first.letter == NULL) {
        assert_true(gw__cond_wait_until(&first.changed, &first.lock, gw_clock_ms() + WAIT_MS));
    }
    pthread_mutex_unlock(&first.lock);
    gw_unsubscribe(sub); /* it is acknowledged */
    assert_int_equal(gw_publish_on_queue(it->client, it->queue, first.letter, NULL), GW_OK);
    gw_message_free(first.letter);
    pthread_cond_destroy(&first.changed);
    pthread_mutex_destroy(&first.lock);

    unsigned n_deaths;
    gw_message *letter = run_until_parked(it, 1, "1", &n_deaths);
    expect_letter(it, letter, 1);
    gw_message_free(letter);
    assert_int_equal(n_deaths, 0);
}

/* Instances that share nothing but the queue: the count goes with the message. */
static void test_several_instances(void **state)
{
    crash *it = *state;
    send_text_to(it, "deadly");
    unsigned n_deaths;
    gw_message *letter = run_until_parked(it, 2, "3", &n_deaths);
    expect_letter(it, letter, 3);
    gw_message_free(letter);
    assert_true(n_deaths >= 3);
}

/* Without notes nobody counts on a classic queue; a quorum queue counts itself. */
static void test_given_up_by_the_broker(void **state)
{
    crash *it = *state;
    send_text_to(it, "deadly");
    unsigned n_deaths;
    gw_message *letter = run_until_parked(it, 0, "1", &n_deaths);
    assert_in_range(n_deaths, 20, 21); /* the last one may not have been noticed yet */
    assert_string_equal(gw_message_body(letter, NULL), "deadly");
    assert_string_equal(gw_message_header_text(letter, "x-first-death-reason"), "delivery_limit");
    assert_string_equal(gw_message_header_text(letter, "x-first-death-queue"), it->queue);

    /* Put back with all of that, it is a message like any other, and has retries like any other. */
    assert_int_equal(gw_publish_on_queue(it->client, it->queue, letter, NULL), GW_OK);
    gw_message_free(letter);
    expect_death(it); /* then, or now */
    letter = run_until_parked(it, 1, "2", &n_deaths);
    expect_letter(it, letter, 2);
    gw_message_free(letter);
}

#define TEST(function, type)                                                                       \
    {                                                                                              \
#function " " type, function, setup, teardown, (void *)(uintptr_t)type                     \
    }

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "victim") == 0) {
        return be_victim(argv + 2);
    }
    transport = contract_open();
    if (transport == NULL) {
        return 1;
    }
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        TEST(test_parked, "classic"),           TEST(test_parked, "quorum"),
        TEST(test_sent_again, "classic"),       TEST(test_several_instances, "classic"),
        TEST(test_several_instances, "quorum"), TEST(test_given_up_by_the_broker, "quorum"),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
