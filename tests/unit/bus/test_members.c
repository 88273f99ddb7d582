/* SPDX-License-Identifier: MIT */
/* Processes that join a bus, are killed, and are noticed by the others. The test itself joins
 * nothing: it hears from its children through a pipe. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/control.h"
#include "bus/members.h"
#include "bus/members_socket.h"
#include "bus/robust.h"
#include "support/child.h"

#define N_MANY 20

enum what { OPENED = 1, JOINED, FAILED, DIED, LOOKED };
enum how { PLAIN, HOLD_LOCK, HANG_IN_DIED, NOT_AT_ONCE, FORK, LEAVE };

typedef struct event {
    enum what what;
    uint32_t own; /* of who joined */
    uint32_t who; /* died */
    uint64_t generation;
    pid_t pid;
} event;

static char dir[256];
static int events[2];
static pid_t children[64];
static size_t n_children;
static uint32_t n_died[GW__BUS_MEMBERS_MAX]; /* cleaned up after, by generation 1 of the slot */

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    assert_int_equal(pipe(events), 0);
    n_children = 0;
    memset(n_died, 0, sizeof(n_died));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_children; i++) {
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
        }
    }
    close(events[0]);
    close(events[1]);
    remove_test_dir(dir);
    return 0;
}

static gw__control_file open_bus(void)
{
    gw__bus_place place = {0};
    snprintf(place.dir, sizeof(place.dir), "%s/bus", dir);
    gw__control_file file;
    gw_error err = GW_ERROR_INIT;
    if (gw__control_open(&place, &file, &err) != GW_OK || gw__control_ready(&file, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return file;
}

/* ---- the children ---------------------------------------------------------------- */

static enum how child_how;

static void tell(enum what what, uint32_t who, uint64_t generation)
{
    event it = {.what = what, .own = who, .who = who, .generation = generation, .pid = getpid()};
    if (write(events[1], &it, sizeof(it)) != (ssize_t)sizeof(it)) {
        _exit(3);
    }
}

static bool died(void *ctx, uint32_t member, uint64_t generation)
{
    (void)ctx;
    tell(DIED, member, generation);
    while (child_how == HANG_IN_DIED) {
        pause();
    }
    static unsigned n_calls;
    return child_how != NOT_AT_ONCE || ++n_calls > 2;
}

static void look_again(void *ctx)
{
    (void)ctx;
    tell(LOOKED, 0, 0);
}

static void child_main(enum how how, int go_fd)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    child_how = how;
    gw__control_file file = open_bus();
    gw__members_options options = {
        .file = &file, .name = "test", .died = died, .look_again = look_again};
    gw__members *members;
    tell(OPENED, 0, 0);
    if (go_fd >= 0 && read(go_fd, &byte, 1) < 0) { /* all at once, when the writer closes */
        _exit(4);
    }
    if (gw__members_join(&options, &members, NULL) != GW_OK) {
        tell(FAILED, 0, 0);
        _exit(1);
    }
    uint32_t own = gw__members_own(members);
    if (how == HOLD_LOCK) {
        gw__robust_lock(&file.control->members_lock);
    }
    if (how == FORK && fork() == 0) {
        for (;;) { /* ends with the pipe, not with its parent */
            prctl(PR_SET_PDEATHSIG, 0);
            struct pollfd closed = {.fd = events[1], .events = 0};
            poll(&closed, 1, -1);
            _exit(0);
        }
    }
    tell(JOINED, own, file.control->members[own].generation);
    if (how == LEAVE) {
        gw__members_leave(members);
        gw__control_close(&file);
        _exit(0);
    }
    for (;;) {
        pause();
    }
}

static pid_t start(enum how how, int go_fd, int not_fd)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(events[0]);
        if (not_fd >= 0) {
            close(not_fd);
        }
        child_main(how, go_fd);
    }
    children[n_children++] = pid;
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (size_t i = 0; i < n_children; i++) {
        children[i] = children[i] == pid ? 0 : children[i];
    }
}

static event next_event(void)
{
    struct pollfd ready = {.fd = events[0], .events = POLLIN};
    event it;
    assert_int_equal(poll(&ready, 1, 20000), 1);
    assert_int_equal(read(events[0], &it, sizeof(it)), sizeof(it));
    if (it.what == DIED) {
        n_died[it.who]++;
    }
    return it;
}

static event wait_for_any_of(enum what what, enum what other)
{
    for (;;) {
        event it = next_event();
        assert_int_not_equal(it.what, FAILED);
        if (it.what == what || it.what == other) {
            return it;
        }
    }
}

static event wait_for(enum what what)
{
    return wait_for_any_of(what, what);
}

static event start_joined(enum how how)
{
    start(how, -1, -1);
    return wait_for(JOINED);
}

/* ---- tests --------------------------------------------------------------------------- */

static void test_one_dies(void **state)
{
    (void)state;
    event a = start_joined(PLAIN);
    event b = start_joined(PLAIN);
    assert_int_not_equal(a.own, b.own);
    for (int i = 0; i < 2; i++) { /* the later one, and then another in its slot */
        end(b.pid);
        event it = wait_for(DIED);
        assert_int_equal(it.pid, a.pid);
        assert_int_equal(it.who, b.own);
        assert_int_equal(it.generation, b.generation);
        wait_for(LOOKED);
        event c = start_joined(PLAIN);
        assert_int_equal(c.own, b.own);
        assert_int_equal(c.generation, b.generation + 2);
        b = c;
    }
    end(a.pid); /* the earlier one */
    event it = wait_for(DIED);
    assert_int_equal(it.pid, b.pid);
    assert_int_equal(it.who, a.own);
}

static void test_one_leaves(void **state)
{
    (void)state;
    event a = start_joined(PLAIN);
    start_joined(LEAVE);
    event it = wait_for_any_of(LOOKED, DIED); /* nobody died */
    assert_int_equal(it.what, LOOKED);
    assert_int_equal(it.pid, a.pid);
}

static void test_killed_with_the_lock(void **state)
{
    (void)state;
    start_joined(PLAIN);
    event b = start_joined(HOLD_LOCK);
    end(b.pid);
    event it = wait_for(DIED);
    assert_int_equal(it.who, b.own);
    start_joined(PLAIN); /* the lock is free */
}

static void test_killed_while_cleaning_up(void **state)
{
    (void)state;
    event a = start_joined(HANG_IN_DIED);
    event b = start_joined(PLAIN);
    end(b.pid);
    assert_int_equal(wait_for(DIED).pid, a.pid);
    pid_t late = start(PLAIN, -1, -1); /* waits for the lock */
    wait_for(OPENED);
    end(a.pid);
    bool saw_a = false;
    bool saw_b = false;
    bool joined = false;
    while (!saw_a || !saw_b || !joined) {
        event it = wait_for_any_of(DIED, JOINED);
        assert_int_equal(it.pid, late);
        joined = joined || it.what == JOINED; /* before it saw a's end, when that takes a while */
        saw_a = saw_a || (it.what == DIED && it.who == a.own);
        saw_b = saw_b || (it.what == DIED && it.who == b.own);
    }
}

static void test_another_goes_on_cleaning_up(void **state)
{
    (void)state;
    event a = start_joined(HANG_IN_DIED);
    event b = start_joined(PLAIN);
    event c = start_joined(HANG_IN_DIED);
    end(b.pid);
    event first = wait_for(DIED);
    pid_t other = first.pid == a.pid ? c.pid : a.pid;
    end(first.pid);
    event second = wait_for(DIED); /* one of the two: it hangs in that one */
    assert_int_equal(second.pid, other);
}

static void test_what_cannot_be_given_back_is_tried_again(void **state)
{
    (void)state;
    event a = start_joined(NOT_AT_ONCE);
    event b = start_joined(PLAIN);
    end(b.pid);
    for (int i = 0; i < 2; i++) {
        event it = wait_for(DIED);
        assert_int_equal(it.pid, a.pid);
        assert_int_equal(it.who, b.own);
        assert_int_equal(it.generation, b.generation);
    }
    wait_for(DIED); /* at last; then its slot is free */
    wait_for(LOOKED);
    assert_int_equal(start_joined(PLAIN).own, b.own);
}

static int connect_to(uint32_t slot)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus/members/%u", dir, slot);
    assert_true(len > 0 && (size_t)len < sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Whoever may connect says something wrong, or says that he is another. Nobody is taken for dead.
 */
static void test_nonsense_on_a_socket(void **state)
{
    (void)state;
    event a = start_joined(PLAIN);
    event b = start_joined(PLAIN);
    gw__member_hello good = {
        .magic = GW__MEMBER_HELLO_MAGIC, .slot = b.own, .generation = b.generation};
    struct {
        gw__member_hello hello;
        uint8_t more[8];
        size_t len;
    } said[] = {{.hello = good, .len = sizeof(good)},
                {.hello = good, .len = sizeof(good) + 8},
                {.hello = good, .len = 1},
                {.hello = good, .len = sizeof(good)},
                {.hello = good, .len = sizeof(good)},
                {.hello = good, .len = sizeof(good)},
                {.hello = good, .len = sizeof(good)}};
    said[3].hello.magic++;
    said[4].hello.slot = UINT32_MAX;
    said[5].hello.slot = a.own;
    said[5].hello.generation = a.generation;
    said[6].hello.generation = UINT64_MAX;
    for (int round = 0; round < 200; round++) { /* so that connections do not pile up either */
        for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
            int fd = connect_to(a.own);
            (void)send(fd, &said[i].hello, said[i].len, MSG_NOSIGNAL);
            close(fd);
        }
        event it = wait_for_any_of(LOOKED, DIED);
        assert_int_equal(it.what, LOOKED);
    }
    end(b.pid);
    event it = wait_for(DIED);
    assert_int_equal(it.pid, a.pid);
    assert_int_equal(it.who, b.own);
}

static bool keep_dead(void *ctx, uint32_t member, uint64_t generation)
{
    (void)member;
    (void)generation;
    return *(bool *)ctx;
}

static void look_nowhere(void *ctx)
{
    (void)ctx;
}

static void test_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    gw__control_file file = open_bus();
    bool cleaned_up = false;
    gw__members_options options = {.file = &file,
                                   .name = "test",
                                   .died = keep_dead,
                                   .look_again = look_nowhere,
                                   .ctx = &cleaned_up};
    gw__members *members;
    gw_error err = GW_ERROR_INIT;
    for (size_t i = 0; i < GW__BUS_MEMBERS_MAX; i++) {
        atomic_store(&file.control->members[i].generation, 7);
    }
    assert_int_equal(gw__members_join(&options, &members, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "256"));
    assert_non_null(strstr(err.text, dir));
    cleaned_up = true; /* all of them were dead */
    assert_int_equal(gw__members_join(&options, &members, &err), GW_OK);
    assert_int_equal(file.control->members[gw__members_own(members)].generation, 9);
    gw__members_leave(members);
    gw__control_close(&file);
}

static void test_a_forked_child(void **state)
{
    (void)state;
    event a = start_joined(PLAIN);
    event b = start_joined(FORK);
    end(b.pid);
    event it = wait_for(DIED);
    assert_int_equal(it.pid, a.pid);
    assert_int_equal(it.who, b.own);
}

static size_t count_members(gw__control *control)
{
    size_t n = 0;
    for (size_t i = 0; i < GW__BUS_MEMBERS_MAX; i++) {
        n += atomic_load(&control->members[i].generation) % 2;
    }
    return n;
}

static void test_many(void **state)
{
    (void)state;
    int go[2];
    bool here[GW__BUS_MEMBERS_MAX] = {false};
    uint32_t slots[N_MANY];
    pid_t pids[N_MANY];
    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < N_MANY; i++) {
        start(PLAIN, go[0], go[1]);
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < N_MANY; i++) {
        event it = wait_for(JOINED);
        assert_false(here[it.own]);
        here[it.own] = true;
        slots[i] = it.own;
        pids[i] = it.pid;
    }
    for (int i = 0; i < N_MANY - 1; i++) { /* in no order, and not waiting for it to be noticed */
        end(pids[i]);
    }
    gw__control_file file = open_bus();
    for (int i = 0; i < N_MANY - 1; i++) {
        while (n_died[slots[i]] == 0) {
            next_event();
        }
    }
    while (count_members(file.control) != 1) { /* what is told before the last slot is free */
        next_event();
    }
    gw__control_close(&file);
}

/* Two processes ring for each other, each sleeping until it is rung. */
static void test_bells(void **state)
{
    (void)state;
    gw__control_file file = open_bus();
    pid_t pid = fork();
    uint32_t own = pid == 0 ? 1 : 0;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        if (own == 0) {
            gw__member_ring(file.control, 1);
        }
        while (gw__member_bell(file.control, own) == i) {
            gw__member_sleep(file.control, own, i, UINT64_MAX);
        }
        if (own == 1) {
            gw__member_ring(file.control, 0);
        }
    }
    if (pid == 0) {
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    gw__member_sleep(file.control, 0, 10000, 1); /* a time that has passed */
    gw__control_close(&file);
}

static void test_waiters_in_turn(void **state)
{
    (void)state;
    gw__control_file file = open_bus();
    gw__log_state *log = &file.control->logs[0];
    static const uint32_t members[] = {0, 63, 64, 255};
    for (size_t round = 0; round < 8; round++) {
        for (size_t i = 0; i < 4; i++) {
            gw__log_wait_add(log, members[i]);
        }
        gw__log_wake_one(file.control, log);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(gw__member_bell(file.control, members[i]), 2);
    }
    gw__log_wait_add(log, 0);
    gw__log_wait_add(log, 255);
    gw__log_wait_remove(log, 0);
    gw__log_wake_all(file.control, log);
    gw__log_wake_all(file.control, log); /* nobody is left */
    gw__log_wake_one(file.control, log);
    assert_int_equal(gw__member_bell(file.control, 0), 2);
    assert_int_equal(gw__member_bell(file.control, 255), 3);
    gw__control_close(&file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_one_dies),
        test(test_one_leaves),
        test(test_killed_with_the_lock),
        test(test_killed_while_cleaning_up),
        test(test_another_goes_on_cleaning_up),
        test(test_what_cannot_be_given_back_is_tried_again),
        test(test_nonsense_on_a_socket),
        test(test_no_more_than_there_is_room_for),
        test(test_a_forked_child),
        test(test_many),
        test(test_bells),
        test(test_waiters_in_turn),
    };
    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
