/* SPDX-License-Identifier: MIT */
/*
 * Several processes on one bus: they share queues, wake each other, and what one had that was
 * killed comes to the others. Children are forked before this process opens the bus.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "bus_fixture.h"

/* ---- children ------------------------------------------------------------------------- */

typedef struct child_of_test {
    pid_t pid;
    int to;   /* it waits for a byte from here, ... */
    int from; /* ... and says here that it is ready */
} child_of_test;

static int child_to;
static int child_from;

static void tell(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
}

static child_of_test start(void (*body)(void))
{
    int to[2];
    int from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        child_to = to[0];
        child_from = from[1];
        body();
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    return (child_of_test){.pid = pid, .to = to[1], .from = from[0]};
}

static void end(child_of_test *child, int signal)
{
    if (signal != 0) {
        kill(child->pid, signal);
    }
    int status;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(signal != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    close(child->to);
    close(child->from);
}

/* In a child: what fails ends it. */
static gw_client *open_in_child(void)
{
    char url[300];
    snprintf(url, sizeof(url), "bus:%s", bus_dir);
    gw_client *client;
    if (gw_connect(url, NULL, &client, NULL) != GW_OK ||
        gw_wait_up(client, BUS_WAIT_MS, NULL) != GW_OK) {
        _exit(1);
    }
    return client;
}

static void subscribe_in_child(gw_client *client, const char *queue, uint16_t prefetch,
                               gw_handler handler)
{
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = prefetch;
    if (gw_subscribe_to_queue(client, queue, &options, handler, client, NULL, NULL) != GW_OK ||
        gw_wait_up(client, BUS_WAIT_MS, NULL) != GW_OK) {
        _exit(1);
    }
}

/* ---- waking ---------------------------------------------------------------------------- */

static gw_verdict send_back(void *ctx, const gw_message *msg, gw_error *why)
{
    gw_message *copy = gw_message_dup(msg);
    gw_status st = gw_publish_on_queue(ctx, "pong", copy, why);
    gw_message_free(copy);
    return st == GW_OK ? GW_DONE : GW_REJECT;
}

static void echo(void)
{
    gw_client *client = open_in_child();
    subscribe_in_child(client, "ping", 10, send_back);
    tell(child_from);
    hear(child_to);
    _exit(gw_close(client, BUS_WAIT_MS, NULL) == GW_OK ? 0 : 1);
}

/* Each is sent when the last one is back: if one wake-up were lost, both would wait for ever. */
static void test_ping_pong(void **state)
{
    (void)state;
    enum { N = 3000 };
    child_of_test child = start(echo);
    hear(child.from);
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "pong", 10, box);
    for (size_t i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%zu", i);
        assert_int_equal(bus_send(client, "ping", text, NULL), GW_OK);
        bus_wait(box, i + 1);
        assert_string_equal(box->texts[i], text);
    }
    tell(child.to);
    end(&child, 0);
    bus_close_client(client);
    bus_free_box(box);
}

/* ---- sharing ----------------------------------------------------------------------------- */

static gw_verdict say_done(void *ctx, const gw_message *msg, gw_error *why)
{
    gw_client *client = ctx;
    size_t len;
    const void *body = gw_message_body(msg, &len);
    gw_message *copy = gw_message_new(body, len);
    gw_status st = gw_publish_on_queue(client, "done", copy, why);
    gw_message_free(copy);
    return st == GW_OK ? GW_DONE : GW_REJECT;
}

static void work(void)
{
    gw_client *client = open_in_child();
    subscribe_in_child(client, "work", 10, say_done);
    tell(child_from);
    hear(child_to);
    _exit(gw_close(client, BUS_WAIT_MS, NULL) == GW_OK ? 0 : 1);
}

/* Three processes share a queue: each message is handled once. */
static void test_competing(void **state)
{
    (void)state;
    enum { N = 2000, CHILDREN = 3 };
    child_of_test children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = start(work);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        hear(children[i].from);
    }
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "done", 100, box);
    for (int i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(bus_send(client, "work", text, NULL), GW_OK);
    }
    bus_wait(box, N);
    unsigned counts[N] = {0};
    for (size_t i = 0; i < N; i++) {
        counts[atoi(box->texts[i])]++;
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(counts[i], 1);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        tell(children[i].to);
        end(&children[i], 0);
    }
    bus_close_client(client);
    bus_free_box(box);
}

/* Two processes hand the rest of a batch to each other, one message after the other: if one went to
 * sleep on what it was just handed, nobody would go on. */
static void test_batches_are_shared(void **state)
{
    (void)state;
    enum { ROUNDS = 200, BATCH = 10 };
    child_of_test children[2] = {start(work), start(work)};
    hear(children[0].from);
    hear(children[1].from);
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "done", 100, box);
    gw_message *batch[BATCH];
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t k = 0; k < BATCH; k++) {
            batch[k] = gw_message_new("x", 1);
        }
        assert_int_equal(gw_publish_batch_on_queue(client, "work", batch, BATCH, NULL, NULL),
                         GW_OK);
        bus_wait(box, (i + 1) * BATCH);
        for (size_t k = 0; k < BATCH; k++) {
            gw_message_free(batch[k]);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        tell(children[i].to);
        end(&children[i], 0);
    }
    bus_close_client(client);
    bus_free_box(box);
}

/* ---- dying ---------------------------------------------------------------------------------- */

static gw_verdict hang(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)msg;
    (void)why;
    tell(child_from);
    pause();
    return GW_DONE;
}

static void take_and_hang(void)
{
    gw_client *client = open_in_child();
    if (gw_subscribe(client, "news", GW_EXCHANGE_FANOUT, NULL, hang, client, NULL, NULL) != GW_OK) {
        _exit(1);
    }
    subscribe_in_child(client, "jobs", 2, hang);
    tell(child_from);
    pause();
}

static size_t n_queues(gw__bus *bus)
{
    const gw__topology *topology;
    size_t n;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    (void)gw__topology_queues(topology, &n);
    gw__topology_put(topology);
    return n;
}

static uint32_t n_consumers(gw__bus *bus, const char *queue)
{
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *row = gw__topology_queue(topology, queue);
    assert_non_null(row);
    uint32_t n = gw__bus_control(bus)->logs[row->logs[0].log].n_consumers;
    gw__topology_put(topology);
    return n;
}

/* The state of a queue's own log. */
static gw__log_state *state_of(gw__bus *bus, const char *queue)
{
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *row = gw__topology_queue(topology, queue);
    assert_non_null(row);
    gw__log_state *log = &gw__bus_control(bus)->logs[row->logs[0].log];
    gw__topology_put(topology);
    return log;
}

/* Killed while it has messages: another gets them again, marked, before those behind them; its
 * temporary queue is gone, and it is no consumer any more. */
static void test_killed_consumer(void **state)
{
    (void)state;
    child_of_test child = start(take_and_hang);
    hear(child.from);
    gw_client *client = bus_client("");
    gw__bus *bus = bus_open();
    assert_int_equal(n_queues(bus), 2);
    for (int i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(bus_send(client, "jobs", text, NULL), GW_OK);
    }
    hear(child.from); /* it is at the first one */
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (state_of(bus, "jobs")->n_leased < 2) { /* and has the second one, too */
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    bus_box *box = bus_new_box();
    bus_collect(client, "jobs", 10, box);
    bus_wait(box, 2);
    assert_int_equal(n_consumers(bus, "jobs"), 2);
    end(&child, SIGKILL);
    bus_assert_texts(box, "2 3 0 1");
    static const bool redelivered[] = {false, false, true, true};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(box->redelivered[i], redelivered[i]);
    }
    /* What it had is given back before its temporary queue goes. */
    until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (n_queues(bus) != 1 || n_consumers(bus, "jobs") != 1) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* The last one is killed: who opens the bus next finds the messages, and no temporary queue. */
static void test_all_are_killed(void **state)
{
    (void)state;
    child_of_test child = start(take_and_hang);
    hear(child.from);
    gw_client *client = bus_client("");
    assert_int_equal(bus_send(client, "jobs", "left", NULL), GW_OK);
    hear(child.from);
    bus_close_client(client);
    end(&child, SIGKILL);
    gw__bus *bus = bus_open();
    assert_int_equal(n_queues(bus), 1);
    client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "jobs", 10, box);
    bus_assert_texts(box, "left");
    assert_true(box->redelivered[0]);
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* Without definitions, messages are not those of deleted queues. */
static void test_lost_definitions(void **state)
{
    (void)state;
    char path[300];
    gw_client *client = bus_client("");
    assert_int_equal(bus_send(client, "jobs", "kept", NULL), GW_OK);
    bus_close_client(client);
    gw__bus_place place = {.dir = ""};
    snprintf(place.dir, sizeof(place.dir), "%s", bus_dir);
    snprintf(path, sizeof(path), "%s/definitions/data.mdb", bus_dir);
    char aside[300];
    snprintf(aside, sizeof(aside), "%s/data.mdb", bus_dir);
    assert_int_equal(rename(path, aside), 0);
    for (int i = 0; i < 2; i++) { /* and it is not made by the attempt */
        gw__bus *bus;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw__bus_open(&place, "test", &bus, &err), GW_E_PROTOCOL);
        assert_non_null(strstr(err.text, "godwit bus recover"));
    }
    assert_int_equal(rename(aside, path), 0);
    client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "jobs", 10, box);
    bus_assert_texts(box, "kept");
    bus_close_client(client);
    bus_free_box(box);
}

/* ---- a queue that is deleted by another ------------------------------------------------------ */

static void delete_queue(void)
{
    gw__bus *bus = bus_open();
    tell(child_from);
    hear(child_to);
    if (gw__bus_delete_queue(bus, "gone", NULL) != GW_OK) {
        _exit(1);
    }
    gw__bus_close(bus);
}

/* Its consumer declares it again. */
static void test_deleted_queue(void **state)
{
    (void)state;
    child_of_test child = start(delete_queue);
    hear(child.from);
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "gone", 10, box);
    assert_int_equal(bus_send(client, "gone", "before", NULL), GW_OK);
    bus_wait(box, 1);
    tell(child.to);
    end(&child, 0);
    assert_int_equal(bus_send(client, "gone", "after", NULL), GW_OK);
    bus_assert_texts(box, "before after");
    assert_int_equal(gw_wait_up(client, BUS_WAIT_MS, NULL), GW_OK);
    bus_close_client(client);
    bus_free_box(box);
}

/* ---- idling ------------------------------------------------------------------------------------
 */

static gw_verdict done(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)msg;
    (void)why;
    return GW_DONE;
}

static void idle(void)
{
    gw_client *client = open_in_child();
    subscribe_in_child(client, "idle", 10, done);
    tell(child_from);
    hear(child_to);
    _exit(gw_close(client, BUS_WAIT_MS, NULL) == GW_OK ? 0 : 1);
}

/* How often threads of a process were scheduled. */
static long n_switches(pid_t pid)
{
    char path[64];
    char line[256];
    long sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    struct dirent *item;
    while ((item = readdir(dir)) != NULL) {
        char name[400];
        snprintf(name, sizeof(name), "%s/%s/status", path, item->d_name);
        FILE *file = item->d_name[0] != '.' ? fopen(name, "r") : NULL;
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            sum += strncmp(line, "voluntary_ctxt_switches:", 24) == 0 ? atol(line + 24) : 0;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    closedir(dir);
    return sum;
}

/* A consumer without messages sleeps in the kernel, and is not woken by what others do with other
 * queues. */
static void test_idle(void **state)
{
    (void)state;
    child_of_test child = start(idle);
    hear(child.from);
    gw__bus *bus = bus_open();
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "busy", 10, box);
    gw__control *control = gw__bus_control(bus);
    uint32_t member = 0;
    while (control->members[member].generation % 2 == 0 || member == gw__bus_member(bus)) {
        member++;
    }
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (control->members[member].asleep == 0) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    uint32_t bell = control->members[member].bell;
    long before = n_switches(child.pid);
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(bus_send(client, "busy", "x", NULL), GW_OK);
        bus_wait(box, i + 1);
    }
    assert_int_equal(control->members[member].bell, bell);
    assert_int_equal(control->members[member].asleep, 1);
    assert_in_range(n_switches(child.pid), before, before + 5);
    tell(child.to);
    end(&child, 0);
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* ---- who waits and is gone ------------------------------------------------------------------- */

static void wait_idly(void)
{
    gw_client *client = open_in_child();
    subscribe_in_child(client, "idle", 10, done);
    tell(child_from);
    pause();
}

static bool waits(gw__log_state *log, uint32_t member)
{
    return (log->waiters[member / 64] >> member % 64 & 1) != 0;
}

static void wait_until_waits(gw__log_state *log, uint32_t member)
{
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (!waits(log, member)) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
}

/* One that was killed while it waited is not rung in place of one who still waits. */
static void test_killed_waiter(void **state)
{
    (void)state;
    child_of_test child = start(wait_idly);
    hear(child.from);
    gw__bus *bus = bus_open();
    gw__control *control = gw__bus_control(bus);
    uint32_t member = 0;
    while (control->members[member].generation % 2 == 0 || member == gw__bus_member(bus)) {
        member++;
    }
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "idle", 10, box);
    gw__log_state *log = state_of(bus, "idle");
    wait_until_waits(log, member);
    end(&child, SIGKILL);
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (control->members[member].generation % 2 == 1) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    wait_until_waits(log, gw__bus_member(bus));
    while (control->members[gw__bus_member(bus)].asleep == 0) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    log->turn = member; /* it would be the dead one's */
    assert_int_equal(bus_send(client, "idle", "alive", NULL), GW_OK);
    bus_assert_texts(box, "alive");
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

static void take_one_and_hang(void)
{
    gw_client *client = open_in_child();
    subscribe_in_child(client, "later", 1, hang);
    tell(child_from);
    pause();
}

/* One was told when something is due, and has no room when it is: others get it. */
static void test_due_without_room(void **state)
{
    (void)state;
    child_of_test child = start(take_one_and_hang);
    hear(child.from);
    gw__bus *bus = bus_open();
    uint32_t member = 0;
    while (gw__bus_control(bus)->members[member].generation % 2 == 0 ||
           member == gw__bus_member(bus)) {
        member++;
    }
    gw_client *client = bus_client("");
    bus_box *box = bus_new_box();
    bus_collect(client, "later", 10, box);
    gw__log_state *log = state_of(bus, "later");
    wait_until_waits(log, member);
    wait_until_waits(log, gw__bus_member(bus));
    log->turn = member;
    gw_message *msg = gw_message_new("due", 3);
    gw__target target = {.exchange = "", .queue = "later", .delay_ms = 300};
    gw__outgoing item = {.msg = msg, .target = &target, .routing_key = "later"};
    gw__bus_url limits = {.max_messages = 0};
    size_t n_done;
    assert_int_equal(gw__bus_publish(bus, &item, 1, &limits, false, &n_done, NULL), GW_OK);
    gw_message_free(msg);
    wait_until_waits(log, member); /* again, and for the time */
    log->turn = member;
    assert_int_equal(bus_send(client, "later", "hangs", NULL), GW_OK);
    hear(child.from); /* it has no room any more */
    bus_assert_texts(box, "due");
    end(&child, SIGKILL);
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* Killed between deleting a queue and removing its log: who cleans up after it does so, whatever
 * others do. */
static void test_killed_while_deleting(void **state)
{
    (void)state;
    child_of_test child = start(wait_idly);
    hear(child.from);
    gw_client *client = bus_client("");
    gw__bus *bus = bus_open();
    assert_int_equal(bus_send(client, "kept", "kept", NULL), GW_OK);
    assert_int_equal(bus_send(client, "deleted", "x", NULL), GW_OK);
    gw__log_state *kept = state_of(bus, "kept");
    gw__log_state *deleted = state_of(bus, "deleted");
    char path[400];
    snprintf(path, sizeof(path), "%s/logs/%016llx", bus_dir, (unsigned long long)deleted->serial);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(gw__definitions_delete(gw__bus_definitions(bus), "deleted", NULL, NULL, NULL),
                     GW_OK);
    assert_true(deleted->serial != 0);
    end(&child, SIGKILL);
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    while (deleted->serial != 0 || access(path, F_OK) == 0) {
        assert_true(gw_clock_ms() < until_ms);
        usleep(1000);
    }
    assert_true(kept->serial != 0);
    bus_box *box = bus_new_box();
    bus_collect(client, "kept", 10, box);
    bus_assert_texts(box, "kept");
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

/* Refused for what changes, and its queue was made anew before it tries again: it gets that. */
static void test_refused_consumer(void **state)
{
    (void)state;
    gw__bus *bus = bus_open();
    gw_client *client = bus_client("");
    gw__consumer_state *consumers = gw__bus_control(bus)->consumers;
    for (size_t i = 0; i < GW__BUS_CONSUMERS_MAX; i++) {
        consumers[i].log_serial = UINT64_MAX;
    }
    gw_subscription *sub;
    bus_box *box = bus_new_box();
    assert_int_equal(gw_subscribe_to_queue(client, "q", NULL, bus_keep, box, &sub, NULL), GW_OK);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_wait_up(client, 1, &err), GW_E_TIMEOUT);
    assert_int_equal(gw__bus_delete_queue(bus, "q", NULL), GW_OK);
    assert_int_equal(bus_send(client, "q", "anew", NULL), GW_OK);
    for (size_t i = 0; i < GW__BUS_CONSUMERS_MAX; i++) {
        consumers[i].log_serial = 0;
    }
    bus_assert_texts(box, "anew");
    bus_close_client(client);
    gw__bus_close(bus);
    bus_free_box(box);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    signal(SIGPIPE, SIG_IGN);
#define T(f) cmocka_unit_test_setup_teardown(f, bus_make_dir, bus_remove_dir)
    const struct CMUnitTest tests[] = {
        T(test_ping_pong),
        T(test_competing),
        T(test_batches_are_shared),
        T(test_killed_consumer),
        T(test_all_are_killed),
        T(test_lost_definitions),
        T(test_deleted_queue),
        T(test_idle),
        T(test_killed_waiter),
        T(test_due_without_room),
        T(test_killed_while_deleting),
        T(test_refused_consumer),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
