/* SPDX-License-Identifier: MIT */
/* A lock whose owner has the number of one who waits for it, in another pid namespace. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/robust.h"

typedef struct shared {
    pthread_mutex_t lock;
    _Atomic int held;
    _Atomic int given_back;
    _Atomic int waits;
} shared;

static shared *it;

static void hold(void)
{
    gw__robust_lock(&it->lock);
    it->held = 1;
    usleep(500000);
    it->given_back = 1;
    gw__robust_unlock(&it->lock);
}

static void wait_for_it(void)
{
    it->waits = 1;
    gw__robust_lock(&it->lock);
    gw__robust_unlock(&it->lock);
}

/* As process 1 of a namespace, which ends with the process that is returned; 0: not allowed. */
static pid_t start(void (*body)(void))
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
        _exit(1);
    }
    pid_t first = fork();
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    _exit(first > 0 && waitpid(first, NULL, 0) == first ? 0 : 1);
}

static void test_namesake(void **state)
{
    (void)state;
    it = mmap(NULL, sizeof(*it), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(it, MAP_FAILED);
    gw__robust_init(&it->lock);
    pid_t holder = start(hold);
    while (!it->held) {
        if (waitpid(holder, NULL, WNOHANG) == holder) {
            skip(); /* no namespaces here */
        }
        usleep(100);
    }
    pid_t waiter = start(wait_for_it);
    while (!it->waits) {
        usleep(100);
    }
    usleep(100000);
    assert_false(it->given_back);
    kill(waiter, SIGKILL); /* and with it the one that waits */
    waitpid(waiter, NULL, 0);
    usleep(50000);
    assert_false(gw__robust_lock(&it->lock));
    assert_true(it->given_back);
    gw__robust_unlock(&it->lock);
    waitpid(holder, NULL, 0);
    munmap(it, sizeof(*it));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_namesake)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
