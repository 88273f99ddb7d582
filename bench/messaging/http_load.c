/* SPDX-License-Identifier: MIT */
/*
 * GET requests at a fixed rate, over connections that are kept: what wrk cannot do.
 *
 *   http_load -port P -path /accounts/10000 -rate R -seconds S [-connections C]
 *
 * A request is due at its time whether or not earlier ones were answered, and its latency counts
 * from then on. With -rate 0 each connection asks again as soon as it is answered. Every request is
 * waited for at the end, so that the answers counted are all there were. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define CONNECTIONS_MAX 1024
#define ANSWER_MAX      8192
#define EVENTS_MAX      256
#define TAIL_NS         ((uint64_t)10000000000) /* the last answers have so long */

typedef struct connection {
    int fd;
    uint64_t due_ns; /* of the request on its way; 0: none */
    size_t len;
    char answer[ANSWER_MAX];
} connection;

typedef struct load {
    uint16_t port;
    uint64_t rate;
    uint64_t seconds;
    unsigned n_connections;
    char request[512];
    size_t request_len;
    int epoll;
    connection *connections;
    unsigned idle[CONNECTIONS_MAX];
    unsigned n_idle;
    uint64_t n_sent;
    uint64_t n_200;
    uint64_t n_503;
    uint64_t n_other;
    uint64_t n_broken; /* connections that ended with a request on its way */
    load_samples latency;
} load;

static void open_connection(load *self, unsigned number)
{
    connection *conn = &self->connections[number];
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(self->port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(conn->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        load_fail("port %u: %s", self->port, strerror(errno));
    }
    int on = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        load_fail("epoll_ctl: %s", strerror(errno));
    }
    conn->due_ns = 0;
    conn->len = 0;
    self->idle[self->n_idle++] = number;
}

static void reopen_connection(load *self, unsigned number)
{
    connection *conn = &self->connections[number];
    if (conn->due_ns != 0) {
        self->n_broken++;
    } else { /* it is among the idle ones */
        for (unsigned i = 0; i < self->n_idle; i++) {
            if (self->idle[i] == number) {
                self->idle[i] = self->idle[--self->n_idle];
            }
        }
    }
    close(conn->fd);
    open_connection(self, number);
}

/* Send one request on an idle connection. */
static void ask(load *self, uint64_t due_ns)
{
    unsigned number = self->idle[--self->n_idle];
    connection *conn = &self->connections[number];
    conn->due_ns = due_ns;
    self->n_sent++;
    ssize_t n = send(conn->fd, self->request, self->request_len, MSG_NOSIGNAL);
    if (n != (ssize_t)self->request_len) {
        reopen_connection(self, number);
    }
}

/* Length of the whole answer in `text`; 0 while its head is not complete. */
static size_t answer_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    const char *length = strcasestr(text, "\r\ncontent-length:");
    if (length == NULL || length > end) {
        load_fail("an answer has no Content-Length");
    }
    return (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
}

static void count_answer(load *self, connection *conn)
{
    int status = strncmp(conn->answer, "HTTP/1.1 ", 9) == 0 ? atoi(conn->answer + 9) : 0;
    if (status == 200) {
        self->n_200++;
        load_samples_add(&self->latency, load_now_ns() - conn->due_ns);
    } else if (status == 503) {
        self->n_503++;
    } else {
        self->n_other++;
    }
}

static void read_answer(load *self, unsigned number)
{
    connection *conn = &self->connections[number];
    ssize_t n = recv(conn->fd, conn->answer + conn->len, ANSWER_MAX - 1 - conn->len, 0);
    if (n <= 0 || conn->due_ns == 0) { /* ended, or an answer to nothing */
        reopen_connection(self, number);
        return;
    }
    conn->len += (size_t)n;
    conn->answer[conn->len] = '\0';
    size_t whole = answer_len(conn->answer);
    if (whole == 0 || conn->len < whole) {
        if (conn->len == ANSWER_MAX - 1) {
            load_fail("an answer is larger than %d bytes", ANSWER_MAX);
        }
        return;
    }
    count_answer(self, conn);
    conn->due_ns = 0;
    conn->len = 0;
    self->idle[self->n_idle++] = number;
}

static void take_answers(load *self, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(self->epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        read_answer(self, events[i].data.u32);
    }
}

static void ask_what_is_due(load *self, uint64_t start_ns)
{
    uint64_t now_ns = load_now_ns();
    if (self->rate == 0) {
        while (self->n_idle > 0) {
            ask(self, now_ns);
        }
        return;
    }
    while (self->n_idle > 0) {
        uint64_t due_ns = start_ns + self->n_sent * 1000000000 / self->rate;
        if (due_ns > now_ns) {
            return;
        }
        ask(self, due_ns);
    }
}

static void run(load *self, load_stopwatch *watch)
{
    load_start(watch);
    uint64_t end_ns = watch->start_ns + self->seconds * 1000000000;
    while (load_now_ns() < end_ns) {
        ask_what_is_due(self, watch->start_ns);
        take_answers(self, 1);
    }
    load_stop(watch);
    while (self->n_idle < self->n_connections && load_now_ns() < end_ns + TAIL_NS) {
        take_answers(self, 100);
    }
}

static void report(load *self, const load_stopwatch *watch)
{
    double seconds = (double)(watch->end_ns - watch->start_ns) / 1e9;
    printf("{\"mode\":\"http\",\"sent\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"n_200\":%llu,"
           "\"n_503\":%llu,\"n_other\":%llu,\"n_broken\":%llu,\"n_unanswered\":%u,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (unsigned long long)self->n_sent, seconds, (double)self->n_200 / seconds,
           (unsigned long long)self->n_200, (unsigned long long)self->n_503,
           (unsigned long long)self->n_other, (unsigned long long)self->n_broken,
           self->n_connections - self->n_idle, load_samples_percentile_us(&self->latency, 50),
           load_samples_percentile_us(&self->latency, 99));
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value > max) {
        load_fail("%s: not a number up to %llu", text, (unsigned long long)max);
    }
    return value;
}

static void parse(int argc, char **argv, load *self)
{
    const char *path = "/";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-port") == 0) {
            self->port = (uint16_t)number(argv[i + 1], 65535);
        } else if (strcmp(argv[i], "-path") == 0) {
            path = argv[i + 1];
        } else if (strcmp(argv[i], "-rate") == 0) {
            self->rate = number(argv[i + 1], 1000000);
        } else if (strcmp(argv[i], "-seconds") == 0) {
            self->seconds = number(argv[i + 1], 3600);
        } else if (strcmp(argv[i], "-connections") == 0) {
            self->n_connections = (unsigned)number(argv[i + 1], CONNECTIONS_MAX);
        } else {
            load_fail("no such option: %s", argv[i]);
        }
    }
    int len = snprintf(self->request, sizeof(self->request),
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", path, self->port);
    if (argc % 2 == 0 || self->port == 0 || self->seconds == 0 || self->n_connections == 0 ||
        len >= (int)sizeof(self->request)) {
        load_fail("usage: http_load -port P -path PATH -rate R -seconds S [-connections C]");
    }
    self->request_len = (size_t)len;
}

int main(int argc, char **argv)
{
    static load self = {.n_connections = 128};
    parse(argc, argv, &self);
    self.epoll = epoll_create1(0);
    self.connections = calloc(self.n_connections, sizeof(self.connections[0]));
    if (self.epoll < 0 || self.connections == NULL) {
        load_fail("no memory for %u connections", self.n_connections);
    }
    for (unsigned i = 0; i < self.n_connections; i++) {
        open_connection(&self, i);
    }
    load_stopwatch watch;
    run(&self, &watch);
    report(&self, &watch);
    return 0;
}
