/* SPDX-License-Identifier: MIT */
#include "amqp/wake.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <godwit/clock.h>

enum { AWAKE, CALLED, ASLEEP, DOZING };

gw_status gw__wake_init(gw__wake *wake, gw_error *err)
{
    atomic_init(&wake->state, AWAKE);
    wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake->fd < 0 ? gw_error_set_errno(err, errno, "no eventfd") : GW_OK;
}

void gw__wake_dispose(gw__wake *wake)
{
    if (wake->fd >= 0) {
        close(wake->fd);
        wake->fd = -1;
    }
}

void gw__wake_call(gw__wake *wake, bool urgent)
{
    unsigned seen = atomic_load(&wake->state);
    for (;;) {
        if (seen == DOZING && !urgent) {
            return; /* it looks by itself in a moment */
        }
        /* Also CALLED is written again: the thread that takes it sees what we did before. */
        if (atomic_compare_exchange_weak(&wake->state, &seen, CALLED)) {
            break;
        }
    }
    if (seen == ASLEEP || seen == DOZING) {
        /* The counter cannot overflow; an interrupted write is tried again. */
        while (eventfd_write(wake->fd, 1) < 0 && errno == EINTR) {}
    }
}

short gw__wake_wait(gw__wake *wake, int fd, short events, uint64_t timeout_ns, bool doze)
{
    unsigned expected = AWAKE;
    if (!atomic_compare_exchange_strong(&wake->state, &expected, doze ? DOZING : ASLEEP)) {
        timeout_ns = 0;
    }
    struct pollfd fds[2] = {{.fd = wake->fd, .events = POLLIN}, {.fd = fd, .events = events}};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / GW_NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % GW_NS_PER_S)};
    int n = ppoll(fds, 2, &timeout, NULL);
    atomic_exchange(&wake->state, AWAKE);
    if (n <= 0) {
        return 0;
    }
    if ((fds[0].revents & POLLIN) != 0) {
        eventfd_t ignored;
        eventfd_read(wake->fd, &ignored);
    }
    return fds[1].revents;
}
