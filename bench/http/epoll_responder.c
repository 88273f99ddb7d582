/* SPDX-License-Identifier: MIT */
/* The limit for an HTTP server on one core: answers the bytes of a file to whatever ends in an
 * empty line. One thread, one epoll_wait, one recv and one send a request; it looks at nothing
 * else.
 *
 *   epoll_responder PORT FILE      listens on 127.0.0.1, until it is killed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FD_MAX     4096
#define EVENTS_MAX 256
#define ANSWER_MAX 4096
#define BATCH_MAX  16 /* pipelined requests that are answered with one send */

static char answers[BATCH_MAX * ANSWER_MAX]; /* the answer, many times over */
static size_t answer_len;
static uint8_t matched[FD_MAX]; /* bytes of "\r\n\r\n" seen at the end of what came so far */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_answer(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail(path);
    }
    answer_len = fread(answers, 1, ANSWER_MAX, file);
    fclose(file);
    if (answer_len == 0) {
        fail(path);
    }
    for (size_t i = 1; i < BATCH_MAX; i++) {
        memcpy(answers + i * answer_len, answers, answer_len);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1024) != 0) {
        fail("listen");
    }
    return fd;
}

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static void take_connections(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FD_MAX) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        matched[fd] = 0;
        watch(epoll, fd, EPOLLIN | EPOLLET);
    }
}

/* Count the empty lines in what came. */
static size_t count_requests(int fd, const char *bytes, size_t len)
{
    static const char end[4] = "\r\n\r\n";
    size_t n = 0;
    uint8_t m = matched[fd];
    if (m == 0 && len >= 4 && memcmp(bytes + len - 4, end, 4) == 0 &&
        memmem(bytes, len, end, 4) == bytes + len - 4) {
        return 1;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == end[m]) {
            m++;
        } else {
            m = bytes[i] == '\r';
        }
        if (m == 4) {
            n++;
            m = 0;
        }
    }
    matched[fd] = m;
    return n;
}

/* False when the connection is over. */
static int serve(int fd)
{
    static char bytes[16384];
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
    if (len <= 0) {
        return len < 0 && errno == EAGAIN;
    }
    size_t n = count_requests(fd, bytes, (size_t)len);
    while (n > 0) {
        size_t batch = n < BATCH_MAX ? n : BATCH_MAX;
        ssize_t sent = send(fd, answers, batch * answer_len, MSG_NOSIGNAL);
        if (sent != (ssize_t)(batch * answer_len)) {
            return 0; /* a client that does not read is none for a benchmark */
        }
        n -= batch;
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: epoll_responder PORT FILE\n");
        return 1;
    }
    read_answer(argv[2]);
    int listener = listen_on((uint16_t)atoi(argv[1]));
    int epoll = epoll_create1(0);
    watch(epoll, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                take_connections(epoll, listener);
            } else if (!serve(fd)) {
                close(fd);
            }
        }
    }
}
