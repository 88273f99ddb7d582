/* SPDX-License-Identifier: MIT */
/*
 * One TCP connection to a broker: started without waiting, read and written without waiting. It
 * knows no AMQP.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_LINK_H
#define GW_AMQP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <godwit/buf.h>
#include <godwit/error.h>

typedef struct gw__link {
    int fd;      /* -1: none */
    gw_buf in;   /* what was read and is not used yet */
    size_t sent; /* bytes of the outgoing buffer that are gone already */
} gw__link;

void gw__link_init(gw__link *link);

/* Close the socket and free the buffers. Can be used again. */
void gw__link_close(gw__link *link);

/* Start to connect; poll for writing, then ask gw__link_finish(). */
gw_status gw__link_start(gw__link *link, const struct sockaddr *address, socklen_t len,
                         gw_error *err);

/* Whether the connection came about. */
gw_status gw__link_finish(gw__link *link, gw_error *err);

/* Give up unacknowledged data after so long; 0 for the system's own limits. */
void gw__link_set_patience(gw__link *link, unsigned timeout_ms);

/* Read what is there, up to a buffer full, into `in`. `ret_n` is set to 0 when there is nothing;
 * `ret_eof` when the peer has closed. */
gw_status gw__link_read(gw__link *link, size_t *ret_n, bool *ret_eof, gw_error *err);

/* Write what the socket takes of `out`, which is emptied when all of it went. `ret_n` is set to the
 * bytes that went. */
gw_status gw__link_write(gw__link *link, gw_buf *out, size_t *ret_n, gw_error *err);

/* Bytes of `out` that wait for the socket. */
size_t gw__link_unsent(const gw__link *link, const gw_buf *out);

/* An errno in words, as part of a line: "connection refused". */
const char *gw__link_reason(int errnum, char *text, size_t size);

#endif
