/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager that started the process (systemd, Type=notify) how far it is: a
 * datagram to the socket that NOTIFY_SOCKET names, see sd_notify(3). Without that variable nothing
 * is done.
 */
#ifndef GW_SERVICE_NOTIFY_H
#define GW_SERVICE_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

typedef struct gw__notify {
    struct sockaddr_un address;
    socklen_t len; /* 0: nobody wants to know */
} gw__notify;

/* Find out who is to be told, and take the variable out of the environment, so that no process that
 * we start speaks for us. Before there are other threads. */
void gw__notify_init(gw__notify *notify);

/* It serves. */
void gw__notify_ready(const gw__notify *notify);

/* It stops, which may take so long: the manager is to wait, whatever its own limit is. */
void gw__notify_stopping(const gw__notify *notify, unsigned within_ms);

#endif
