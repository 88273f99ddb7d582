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

/* What the locks guard takes well below a microsecond as a rule; going to sleep takes more. */
#define N_SPINS 100

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

bool gw__robust_lock(pthread_mutex_t *lock)
{
    int rc = EBUSY;
    for (int i = 0; rc == EBUSY && i < N_SPINS; i++) {
        rc = pthread_mutex_trylock(lock);
        if (rc == EBUSY) {
            pause_a_little();
        }
    }
    if (rc == EBUSY) {
        rc = pthread_mutex_lock(lock);
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
