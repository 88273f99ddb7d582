/* SPDX-License-Identifier: MIT */
/*
 * A lock is only ever given back by gw__robust_unlock() after gw__robust_repaired() when its owner
 * was dead, so the state "not recoverable" of such locks does not occur.
 *
 * Such a lock knows its owner by the number of the thread, and threads in different pid namespaces
 * can have the same. They exclude each other all the same: nothing here asks whether the own thread
 * is the owner. But when a process is killed, the kernel looks at the lock that it was just about
 * to take or to give back, and takes the process for the owner if the number is its own. So nobody
 * sleeps in pthread_mutex_lock() or wakes others in pthread_mutex_unlock(), where that is so for
 * long: both are done outside of them, with the word of the lock that <pthread.h> shows. What is
 * left are a few instructions.
 */
#include "bus/robust.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

/* What the locks guard takes well below a microsecond as a rule; going to sleep takes more. */
#define N_SPINS 100

/* One who is killed after it was woken, and before it has the lock, takes that with it when a third
 * has the lock by then: nobody wakes the next one, although the lock is free. So nobody sleeps for
 * longer than this without a look. */
#define NAP_NS 20000000

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

static _Atomic unsigned *word_of(pthread_mutex_t *lock)
{
    return (_Atomic unsigned *)&lock->__data.__lock;
}

static bool is_owned(unsigned word)
{
    return (word & FUTEX_TID_MASK) != 0;
}

static int try_lock(pthread_mutex_t *lock)
{
    return is_owned(atomic_load_explicit(word_of(lock), memory_order_relaxed))
               ? EBUSY
               : pthread_mutex_trylock(lock);
}

/* Sleep until it is given back, or for a nap. */
static void nap(pthread_mutex_t *lock)
{
    const struct timespec most = {.tv_nsec = NAP_NS};
    unsigned word = atomic_load(word_of(lock));
    if (!is_owned(word) ||
        ((word & FUTEX_WAITERS) == 0 &&
         !atomic_compare_exchange_strong(word_of(lock), &word, word | FUTEX_WAITERS))) {
        return;
    }
    int errnum = errno; /* is not changed by a lock */
    syscall(SYS_futex, word_of(lock), FUTEX_WAIT, word | FUTEX_WAITERS, &most, NULL, 0);
    errno = errnum;
}

bool gw__robust_lock(pthread_mutex_t *lock)
{
    int rc = EBUSY;
    for (int i = 0; rc == EBUSY && i < N_SPINS; i++) {
        rc = try_lock(lock);
        if (rc == EBUSY) {
            pause_a_little();
        }
    }
    bool slept = rc == EBUSY;
    while (rc == EBUSY) {
        nap(lock);
        rc = try_lock(lock);
    }
    assert(rc == 0 || rc == EOWNERDEAD);
    if (slept) { /* others may sleep as well, and who takes a free lock forgets them */
        atomic_fetch_or(word_of(lock), FUTEX_WAITERS);
    }
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
    bool is_awaited = (atomic_fetch_and(word_of(lock), ~FUTEX_WAITERS) & FUTEX_WAITERS) != 0;
    int rc = pthread_mutex_unlock(lock);
    assert(rc == 0);
    (void)rc;
    if (is_awaited) {
        int errnum = errno;
        syscall(SYS_futex, word_of(lock), FUTEX_WAKE, 1, NULL, NULL, 0);
        errno = errnum;
    }
}
