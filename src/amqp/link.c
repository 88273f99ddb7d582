/* SPDX-License-Identifier: MIT */
#include "amqp/link.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define READ_LEN  ((size_t)64 << 10)
#define IN_LIMIT  ((size_t)1 << 20)
#define KEEP_IDLE 10 /* seconds of silence before the first probe */

void gw__link_init(gw__link *link)
{
    *link = (gw__link){.fd = -1};
    gw_buf_init(&link->in, IN_LIMIT);
}

void gw__link_close(gw__link *link)
{
    if (link->fd >= 0) {
        close(link->fd);
    }
    gw_buf_dispose(&link->in);
    gw__link_init(link);
}

const char *gw__link_reason(int errnum, char *text, size_t size)
{
    char reason[128];
    const char *found = strerror_r(errnum, reason, sizeof(reason));
    size_t len = strnlen(found, size - 1);
    memcpy(text, found, len);
    text[len] = '\0';
    if (len > 1 && islower((unsigned char)text[1])) {
        text[0] = (char)tolower((unsigned char)text[0]);
    }
    return text;
}

static gw_status fail(gw_error *err, int errnum)
{
    char reason[128];
    return gw_error_set(err, GW_E_UNAVAILABLE, errnum, "%s",
                        gw__link_reason(errnum, reason, sizeof(reason)));
}

static void set_option(int fd, int level, int option, int value)
{
    /* Each is an improvement, none a condition. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

gw_status gw__link_start(gw__link *link, const struct sockaddr *address, socklen_t len,
                         gw_error *err)
{
    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return fail(err, errno);
    }
    set_option(link->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(link->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(link->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE);
    set_option(link->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_IDLE / 2);
    set_option(link->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    if (connect(link->fd, address, len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        return fail(err, errno);
    }
    return GW_OK;
}

/* A port of this machine that nobody listens on can be connected to itself, by chance. */
static bool is_to_itself(int fd)
{
    struct sockaddr_storage ours = {0};
    struct sockaddr_storage theirs = {0};
    socklen_t ours_len = sizeof(ours);
    socklen_t theirs_len = sizeof(theirs);
    return getsockname(fd, (struct sockaddr *)&ours, &ours_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&theirs, &theirs_len) == 0 &&
           ours_len == theirs_len && memcmp(&ours, &theirs, ours_len) == 0;
}

gw_status gw__link_finish(gw__link *link, gw_error *err)
{
    int errnum = 0;
    socklen_t len = sizeof(errnum);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0) {
        errnum = errno;
    }
    if (errnum == 0 && is_to_itself(link->fd)) {
        errnum = ECONNREFUSED;
    }
    return errnum == 0 ? GW_OK : fail(err, errnum);
}

void gw__link_set_patience(gw__link *link, unsigned timeout_ms)
{
    set_option(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout_ms);
}

gw_status gw__link_read(gw__link *link, size_t *ret_n, bool *ret_eof, gw_error *err)
{
    *ret_n = 0;
    *ret_eof = false;
    gw_status st = gw_buf_reserve(&link->in, READ_LEN);
    if (st != GW_OK) {
        return gw_error_set(err, st, 0, "no memory for reading");
    }
    ssize_t n = recv(link->fd, link->in.data + link->in.len, READ_LEN, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return GW_OK;
    }
    if (n < 0) {
        return fail(err, errno);
    }
    *ret_eof = n == 0;
    *ret_n = (size_t)n;
    link->in.len += (size_t)n;
    return GW_OK;
}

gw_status gw__link_write(gw__link *link, gw_buf *out, size_t *ret_n, gw_error *err)
{
    *ret_n = 0;
    while (link->sent < out->len) {
        ssize_t n = send(link->fd, out->data + link->sent, out->len - link->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            return fail(err, errno);
        }
        link->sent += (size_t)n;
        *ret_n += (size_t)n;
    }
    if (link->sent == out->len) {
        gw_buf_clear(out);
        link->sent = 0;
    } else if (link->sent > out->len / 2) {
        gw_buf_consume(out, link->sent);
        link->sent = 0;
    }
    return GW_OK;
}

size_t gw__link_unsent(const gw__link *link, const gw_buf *out)
{
    return out->len - link->sent;
}
