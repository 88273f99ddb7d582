/* SPDX-License-Identifier: MIT */
/* Locks whose owner, or next owner, is killed. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/robust.h"

static pthread_mutex_t *lock;

static int make_lock(void **state)
{
    (void)state;
    lock = mmap(NULL, sizeof(*lock), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lock == MAP_FAILED) {
        return -1;
    }
    gw__robust_init(lock);
    return 0;
}

static int free_lock(void **state)
{
    (void)state;
    return munmap(lock, sizeof(*lock));
}

/* Does nothing until it has the lock; its exit status is whether the last owner had died. */
static pid_t start_waiter(int policy)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sched_param param = {.sched_priority = 0};
        sched_setscheduler(0, policy, &param);
        bool died = gw__robust_lock(lock);
        if (died) {
            gw__robust_repaired(lock);
        }
        gw__robust_unlock(lock);
        _exit(died);
    }
    char path[64];
    char state = 'R';
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    while (state != 'S') { /* asleep: on the lock, since there is nothing else */
        usleep(1000);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
        fclose(file);
    }
    return pid;
}

static void expect_exit(pid_t pid, int expected)
{
    int status;
    alarm(20); /* the test fails rather than waiting for ever */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    alarm(0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void test_owner_killed(void **state)
{
    (void)state;
    pid_t owner = fork();
    assert_true(owner >= 0);
    if (owner == 0) {
        gw__robust_lock(lock);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(owner, NULL, 0), owner);
    assert_true(gw__robust_lock(lock));
    gw__robust_repaired(lock);
    gw__robust_unlock(lock);
    assert_false(gw__robust_lock(lock));
    gw__robust_unlock(lock);
}

/* One is woken to have the lock and killed before it has run; meanwhile another took and gave back
 * the lock, who saw nobody wait. */
static void kill_the_next(void)
{
    assert_false(gw__robust_lock(lock));
    pid_t woken = start_waiter(SCHED_IDLE); /* does not run as long as we do */
    pid_t next = start_waiter(SCHED_OTHER);
    gw__robust_unlock(lock);
    bool died = gw__robust_lock(lock);
    kill(woken, SIGKILL);
    assert_int_equal(waitpid(woken, NULL, 0), woken);
    if (died) {
        gw__robust_repaired(lock);
    }
    gw__robust_unlock(lock);
    expect_exit(next, 0);
}

static void test_next_owner_killed(void **state)
{
    (void)state;
    cpu_set_t before;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0); /* children have it too */
    for (int i = 0; i < 20; i++) {
        kill_the_next();
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_owner_killed, make_lock, free_lock),
        cmocka_unit_test_setup_teardown(test_next_owner_killed, make_lock, free_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
