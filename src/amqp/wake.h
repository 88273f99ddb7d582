/* SPDX-License-Identifier: MIT */
/*
 * How other threads get the attention of an I/O thread: an eventfd that is written only when the
 * thread sleeps.
 *
 * There are two ways of sleeping. In a *sleep* any call wakes it. In a *doze*, a short one that it
 * takes when more work of a kind that can wait is about to come, only an urgent call does.
 */
#ifndef GW_AMQP_WAKE_H
#define GW_AMQP_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <godwit/error.h>

typedef struct gw__wake {
    int fd;
    atomic_uint state;
} gw__wake;

gw_status gw__wake_init(gw__wake *wake, gw_error *err);
void gw__wake_dispose(gw__wake *wake);

/* What was published to the I/O thread before this call is seen by it after its next wait. Any
 * thread. */
void gw__wake_call(gw__wake *wake, bool urgent);

/*
 * Wait until `fd` (-1 for none) is ready for `events` (poll's), for a call, or until the time is
 * up. Returns at once if a call came since the last wait. Returns poll's revents of `fd`.
 *
 * @thread the I/O thread.
 */
short gw__wake_wait(gw__wake *wake, int fd, short events, uint64_t timeout_ns, bool doze);

#endif
