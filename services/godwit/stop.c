/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static void stop_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
}

int stop_begin(void)
{
    sigset_t set;
    stop_signals(&set);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
}

/* One that has come was meant for what has ended: it is taken away first. */
void stop_end(int stop_fd)
{
    sigset_t set;
    const struct timespec at_once = {.tv_sec = 0};
    if (stop_fd < 0) {
        return;
    }
    close(stop_fd);
    stop_signals(&set);
    while (sigtimedwait(&set, NULL, &at_once) > 0) {}
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool stop_wait(int stop_fd, unsigned timeout_ms)
{
    struct pollfd fd = {.fd = stop_fd, .events = POLLIN};
    return poll(&fd, 1, (int)timeout_ms) > 0;
}
