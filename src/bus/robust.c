/* SPDX-License-Identifier: MIT */
/*
 * A lock is only ever given back by gw__robust_unlock() after gw__robust_repaired() when its owner
 * was dead, so the state "not recoverable" of such locks does not occur.
 *
 * Such a lock knows its owner by the number of the thread, and threads in different pid namespaces
 * can have the same. They exclude each other all the same: nothing here asks whether the own thread
 * is the owner. What is left is a process that is killed just while it waits for a lock whose owner
 * has the number of the waiting thread: the kernel then takes it for the owner. Containers that
 * share a bus are best run with --pid=host or a common pod namespace.
 */
#include "bus/robust.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

/* What the locks guard takes well below a microsecond as a rule; going to sleep takes more. */
#define N_SPINS 100

/* One who is killed after it was woken, and before it has the lock, takes that with it when a third
 * has the lock by then: nobody wakes the next one, although the lock is free. So nobody sleeps for
 * longer than this without a look. */
#define NAP_NS 20000000

/* The thread sanitizer knows nothing of pthread_mutex_clocklock(): it is told, if it is there. */
#define TSAN_TRY_LOCK        (1u << 4)
#define TSAN_TRY_LOCK_FAILED (1u << 5)
extern void __tsan_mutex_pre_lock(void *lock, unsigned flags) __attribute__((weak));
extern void __tsan_mutex_post_lock(void *lock, unsigned flags, int recursion) __attribute__((weak));

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void gw__robust_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);
    rc = rc != 0 ? rc : pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    rc = rc != 0 ? rc : pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    rc = rc != 0 ? rc : pthread_mutex_init(lock, &attr);
    assert(rc == 0); /* all of it is there on Linux, and nothing is allocated */
    (void)rc;
    pthread_mutexattr_destroy(&attr);
}

/* Sleep until it is free; ETIMEDOUT after a nap. */
static int nap(pthread_mutex_t *lock)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += NAP_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    if (__tsan_mutex_pre_lock != NULL) {
        __tsan_mutex_pre_lock(lock, TSAN_TRY_LOCK);
    }
    int rc = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);
    if (__tsan_mutex_post_lock != NULL) {
        __tsan_mutex_post_lock(lock, TSAN_TRY_LOCK | (rc == ETIMEDOUT ? TSAN_TRY_LOCK_FAILED : 0),
                               0);
    }
    return rc;
}

bool gw__robust_lock(pthread_mutex_t *lock)
{
    int rc = EBUSY;
    for (int i = 0; rc == EBUSY && i < N_SPINS; i++) {
        rc = pthread_mutex_trylock(lock);
        if (rc == EBUSY) {
            pause_a_little();
        }
    }
    while (rc == EBUSY || rc == ETIMEDOUT) {
        rc = nap(lock);
    }
    assert(rc == 0 || rc == EOWNERDEAD);
    return rc == EOWNERDEAD;
}

void gw__robust_repaired(pthread_mutex_t *lock)
{
    int rc = pthread_mutex_consistent(lock);
    assert(rc == 0);
    (void)rc;
}

void gw__robust_unlock(pthread_mutex_t *lock)
{
    int rc = pthread_mutex_unlock(lock);
    assert(rc == 0);
    (void)rc;
}
