/* SPDX-License-Identifier: MIT */
/*
 * Locks in shared memory that outlive their owner: when a process is killed while it holds one, the
 * kernel hands it to the next, who is told (pthread_mutexattr_setrobust(3)).
 */
#ifndef GW_BUS_ROBUST_H
#define GW_BUS_ROBUST_H

#include <pthread.h>
#include <stdbool.h>

void gw__robust_init(pthread_mutex_t *lock);

/* Returns true when the last owner died with it: what the lock guards is to be repaired, then
 * gw__robust_repaired() called, before it is unlocked. Spins a little before it sleeps. */
bool gw__robust_lock(pthread_mutex_t *lock);
void gw__robust_repaired(pthread_mutex_t *lock);
void gw__robust_unlock(pthread_mutex_t *lock);

#endif
