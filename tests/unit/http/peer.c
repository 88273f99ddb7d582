/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_S 10

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

int peer_connect(uint16_t port)
{
    struct sockaddr_in addr = loopback(port);
    struct timeval limit = {.tv_sec = WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        fail_msg("cannot connect to port %u: %s", port, strerror(errno));
    }
    return fd;
}

void peer_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            fail_msg("cannot send: %s", strerror(errno));
        }
        bytes += n;
        len -= (size_t)n;
    }
}

void peer_send_text(int fd, const char *text)
{
    peer_send(fd, text, strlen(text));
}

/* One byte at a time, so that nothing of the next answer is taken. False at the end. */
static bool read_head(int fd, peer_answer *answer)
{
    size_t len = 0;
    answer->head[0] = '\0';
    while (len < 4 || memcmp(answer->head + len - 4, "\r\n\r\n", 4) != 0) {
        if (len == sizeof(answer->head) - 1) {
            fail_msg("the head of an answer is too long");
        }
        ssize_t n = recv(fd, answer->head + len, 1, 0);
        if (n <= 0 && len == 0 && errno != EAGAIN) {
            return false;
        }
        if (n <= 0) {
            fail_msg("an answer broke off after: %s", answer->head);
        }
        answer->head[++len] = '\0';
    }
    return true;
}

bool peer_read(int fd, peer_answer *ret_answer, bool is_head)
{
    errno = 0;
    if (!read_head(fd, ret_answer)) {
        return false;
    }
    ret_answer->status = atoi(ret_answer->head + strlen("HTTP/1.1 "));
    const char *length = peer_header(ret_answer, "Content-Length");
    size_t left = length == NULL || is_head ? 0 : strtoull(length, NULL, 10);
    if (left >= sizeof(ret_answer->body)) {
        fail_msg("a body of %zu bytes", left);
    }
    ret_answer->body_len = 0;
    while (left > 0) {
        ssize_t n = recv(fd, ret_answer->body + ret_answer->body_len, left, 0);
        if (n <= 0) {
            fail_msg("a body broke off, %zu bytes before its end: %s", left,
                     n == 0 ? "closed" : strerror(errno));
        }
        ret_answer->body_len += (size_t)n;
        left -= (size_t)n;
    }
    ret_answer->body[ret_answer->body_len] = '\0';
    return true;
}

const char *peer_header(const peer_answer *answer, const char *name)
{
    static _Thread_local char value[4096];
    size_t len = strlen(name);
    for (const char *line = strstr(answer->head, "\r\n"); line != NULL && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *start = line + 2 + len + 1;
            start += strspn(start, " ");
            size_t value_len = strcspn(start, "\r");
            assert_true(value_len < sizeof(value));
            memcpy(value, start, value_len);
            value[value_len] = '\0';
            return value;
        }
    }
    return NULL;
}

void peer_ask(uint16_t port, const char *request, peer_answer *ret_answer)
{
    int fd = peer_connect(port);
    peer_send_text(fd, request);
    if (!peer_read(fd, ret_answer, strncmp(request, "HEAD ", 5) == 0)) {
        fail_msg("no answer to %.60s", request);
    }
    close(fd);
}

bool peer_is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* Wait until `fd` can be read or written; false when the server is to stop. */
static bool wait_for(const peer_server *server, int fd, short what, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = server->stop[0], .events = POLLIN}, {.fd = fd, .events = what}};
    poll(fds, 2, timeout_ms);
    return fds[0].revents == 0;
}

static void take_request(peer_server *server, int fd)
{
    size_t len = 0;
    server->request[0] = '\0';
    while (strstr(server->request, "\r\n\r\n") == NULL && len < sizeof(server->request) - 1) {
        if (!wait_for(server, fd, POLLIN, -1)) {
            return;
        }
        ssize_t n = recv(fd, server->request + len, sizeof(server->request) - 1 - len, 0);
        if (n <= 0 || server->request[0] == 0x16) { /* the start of TLS */
            return;
        }
        len += (size_t)n;
        server->request[len] = '\0';
    }
}

static void serve(peer_server *server, int fd)
{
    take_request(server, fd);
    do {
        for (size_t sent = 0; sent < server->len;) {
            size_t want = server->drip_ms > 0 ? 1 : server->len - sent;
            ssize_t n = send(fd, server->bytes + sent, want, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN) {
                return;
            }
            sent += n > 0 ? (size_t)n : 0;
            if (!(n < 0 ? wait_for(server, fd, POLLOUT, -1)
                        : wait_for(server, -1, 0, (int)server->drip_ms))) {
                return;
            }
        }
    } while (server->endless);
    if (server->hold) {
        wait_for(server, -1, 0, -1);
    }
}

static void *run(void *ctx)
{
    peer_server *server = ctx;
    while (wait_for(server, server->listener, POLLIN, -1)) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(server, fd);
            close(fd);
        }
    }
    return NULL;
}

void peer_server_start(peer_server *server)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t len = sizeof(addr);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&addr, &len), 0);
    server->port = ntohs(addr.sin_port);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

void peer_server_stop(peer_server *server)
{
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->listener);
}
