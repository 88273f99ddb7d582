/* SPDX-License-Identifier: MIT */
#include "service/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/log.h>

#define VARIABLE "NOTIFY_SOCKET"

void gw__notify_init(gw__notify *notify)
{
    memset(notify, 0, sizeof(*notify));
    const char *path = getenv(VARIABLE);
    if (path == NULL || path[0] == '\0') {
        return;
    }
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(notify->address.sun_path)) {
        gw_log_warn("service",
                    VARIABLE " is neither an absolute path nor an abstract name of at most %zu "
                             "bytes: the service manager is told nothing",
                    sizeof(notify->address.sun_path) - 1);
    } else {
        notify->address.sun_family = AF_UNIX;
        memcpy(notify->address.sun_path, path, len);
        notify->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        if (path[0] == '@') { /* of Linux' abstract namespace, which begins with a zero byte */
            notify->address.sun_path[0] = '\0';
        } else {
            notify->len++; /* the final zero */
        }
    }
    unsetenv(VARIABLE);
}

static void tell(const gw__notify *notify, const char *state)
{
    if (notify->len == 0) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent = -1;
    if (fd >= 0) {
        sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                      (const struct sockaddr *)&notify->address, notify->len);
    }
    if (sent < 0) {
        gw_log_warn("service", "cannot tell the service manager: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

void gw__notify_ready(const gw__notify *notify)
{
    tell(notify, "READY=1");
}

void gw__notify_stopping(const gw__notify *notify, unsigned within_ms)
{
    char state[64];
    snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
             (unsigned long long)within_ms * 1000);
    tell(notify, state);
}
