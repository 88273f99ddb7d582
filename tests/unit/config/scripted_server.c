/* SPDX-License-Identifier: MIT */
#include "unit/config/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <godwit/clock.h>

#define QUEUE_MAX   64
#define REQUEST_MAX 8192

typedef struct answer {
    int status;
    char *body;
} answer;

struct scripted_server {
    int fd;
    int wake[2]; /* closing it ends the thread */
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_serving; /* threads, each with a connection */
    answer usual;
    char headers[512]; /* more lines for every answer */
    char etag[64];     /* of the usual answer, with its quotes; "" for none */
    char *all;         /* every request so far */
    answer queue[QUEUE_MAX];
    size_t n_queue;
    size_t n_requests;
    bool gate_closed;
    bool stopping;
    char last[REQUEST_MAX];
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

static int listen_somewhere(bool listening, unsigned *ret_port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(bind(fd, (struct sockaddr *)&addr, len) == 0, "bind");
    must(!listening || listen(fd, 64) == 0, "listen");
    must(getsockname(fd, (struct sockaddr *)&addr, &len) == 0, "getsockname");
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the client went away */
        }
        data += n;
        len -= (size_t)n;
    }
}

/* Read until the empty line. */
static bool read_request(int fd, char *text)
{
    size_t len = 0;
    while (len < REQUEST_MAX - 1) {
        ssize_t n = recv(fd, text + len, REQUEST_MAX - 1 - len, 0);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

static void remember_locked(scripted_server *server, const char *request)
{
    size_t len = server->all != NULL ? strlen(server->all) : 0;
    char *longer = realloc(server->all, len + strlen(request) + 1);
    must(longer != NULL, "realloc");
    strcpy(longer + len, request);
    server->all = longer;
    memcpy(server->last, request, REQUEST_MAX);
    server->n_requests++;
}

/* Whether the client has what there is, and says so. */
static bool has_it_locked(const scripted_server *server, const char *request)
{
    char line[96];
    snprintf(line, sizeof(line), "\r\nIf-None-Match: %s\r\n", server->etag);
    return server->etag[0] != '\0' && server->n_queue == 0 && strstr(request, line) != NULL;
}

/* The answer to give now; the caller frees the body. */
static answer next_answer(scripted_server *server, const char *request)
{
    bool waits = strstr(request, "?wait=") != NULL;
    pthread_mutex_lock(&server->lock);
    remember_locked(server, request);
    pthread_cond_broadcast(&server->changed);
    while (!server->stopping &&
           (server->gate_closed || (waits && has_it_locked(server, request)))) {
        pthread_cond_wait(&server->changed, &server->lock);
    }
    answer now = {server->usual.status, NULL};
    if (has_it_locked(server, request)) {
        now = (answer){304, strdup("")};
        pthread_mutex_unlock(&server->lock);
        return now;
    }
    if (server->n_queue > 0) {
        now = server->queue[0];
        memmove(server->queue, server->queue + 1, --server->n_queue * sizeof(answer));
    } else {
        now.body = strdup(server->usual.body != NULL ? server->usual.body : "");
    }
    pthread_mutex_unlock(&server->lock);
    return now;
}

static void serve(scripted_server *server, int fd)
{
    char request[REQUEST_MAX] = "";
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (!read_request(fd, request)) {
        return;
    }
    answer now = next_answer(server, request);
    size_t len = strlen(now.body);
    if (now.status > 0) {
        char head[1024];
        pthread_mutex_lock(&server->lock);
        int head_len =
            snprintf(head, sizeof(head),
                     "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n%s%s%s%s\r\n",
                     now.status, len, server->headers, server->etag[0] != '\0' ? "ETag: " : "",
                     server->etag, server->etag[0] != '\0' ? "\r\n" : "");
        pthread_mutex_unlock(&server->lock);
        send_all(fd, head, (size_t)head_len);
    }
    if (now.status != 0) {
        send_all(fd, now.body, len);
    }
    shutdown(fd, SHUT_WR);
    free(now.body);
}

typedef struct connection {
    scripted_server *server;
    int fd;
} connection;

static void *serve_one(void *arg)
{
    connection *it = arg;
    scripted_server *server = it->server;
    serve(server, it->fd);
    close(it->fd);
    free(it);
    pthread_mutex_lock(&server->lock);
    server->n_serving--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* Each connection has its thread, so that one that waits holds up no other. */
static void start_serving(scripted_server *server, int fd)
{
    connection *it = malloc(sizeof(*it));
    must(it != NULL, "malloc");
    *it = (connection){server, fd};
    pthread_mutex_lock(&server->lock);
    server->n_serving++;
    pthread_mutex_unlock(&server->lock);
    pthread_t thread;
    must(pthread_create(&thread, NULL, serve_one, it) == 0, "pthread_create");
    pthread_detach(thread);
}

static void *run(void *arg)
{
    scripted_server *server = arg;
    for (;;) {
        struct pollfd fds[] = {{.fd = server->fd, .events = POLLIN},
                               {.fd = server->wake[0], .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) {
            return NULL;
        }
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            start_serving(server, fd);
        }
    }
}

scripted_server *server_start(void)
{
    scripted_server *server = calloc(1, sizeof(*server));
    must(server != NULL, "calloc");
    unsigned port;
    server->fd = listen_somewhere(true, &port);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", port);
    server->usual.status = 404;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attr);
    pthread_condattr_destroy(&attr);
    must(pipe(server->wake) == 0, "pipe");
    must(pthread_create(&server->thread, NULL, run, server) == 0, "pthread_create");
    return server;
}

void server_stop(scripted_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    close(server->wake[1]);
    pthread_join(server->thread, NULL);
    pthread_mutex_lock(&server->lock);
    while (server->n_serving > 0) {
        pthread_cond_wait(&server->changed, &server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    close(server->wake[0]);
    close(server->fd);
    for (size_t i = 0; i < server->n_queue; i++) {
        free(server->queue[i].body);
    }
    free(server->usual.body);
    free(server->all);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *server_url(const scripted_server *server)
{
    return server->url;
}

void server_answer(scripted_server *server, int status, const char *body)
{
    server_answer_tagged(server, status, body, "");
}

void server_answer_tagged(scripted_server *server, int status, const char *body, const char *etag)
{
    pthread_mutex_lock(&server->lock);
    free(server->usual.body);
    server->usual = (answer){status, strdup(body)};
    snprintf(server->etag, sizeof(server->etag), "%s", etag);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void server_set_headers(scripted_server *server, const char *lines)
{
    pthread_mutex_lock(&server->lock);
    snprintf(server->headers, sizeof(server->headers), "%s", lines);
    pthread_mutex_unlock(&server->lock);
}

void server_answer_once(scripted_server *server, int status, const char *body)
{
    pthread_mutex_lock(&server->lock);
    must(server->n_queue < QUEUE_MAX, "script");
    server->queue[server->n_queue++] = (answer){status, strdup(body)};
    pthread_mutex_unlock(&server->lock);
}

static void set_gate(scripted_server *server, bool closed)
{
    pthread_mutex_lock(&server->lock);
    server->gate_closed = closed;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void server_close_gate(scripted_server *server)
{
    set_gate(server, true);
}

void server_open_gate(scripted_server *server)
{
    set_gate(server, false);
}

size_t server_count(scripted_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t n = server->n_requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

bool server_wait(scripted_server *server, size_t n)
{
    uint64_t ns = gw_clock_ns() + (uint64_t)10 * GW_NS_PER_S;
    struct timespec until = {.tv_sec = (time_t)(ns / GW_NS_PER_S),
                             .tv_nsec = (long)(ns % GW_NS_PER_S)};
    int rc = 0;
    pthread_mutex_lock(&server->lock);
    while (server->n_requests < n && rc == 0) {
        rc = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    }
    bool came = server->n_requests >= n;
    pthread_mutex_unlock(&server->lock);
    return came;
}

const char *server_last_request(scripted_server *server)
{
    static char copy[REQUEST_MAX];
    pthread_mutex_lock(&server->lock);
    memcpy(copy, server->last, sizeof(copy));
    pthread_mutex_unlock(&server->lock);
    return copy;
}

size_t server_count_of(scripted_server *server, const char *text)
{
    size_t n = 0;
    pthread_mutex_lock(&server->lock);
    for (const char *at = server->all; at != NULL && (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    pthread_mutex_unlock(&server->lock);
    return n;
}

const char *dead_url(void)
{
    static char url[64];
    if (url[0] == '\0') {
        unsigned port;
        (void)listen_somewhere(false, &port); /* bound and kept: nobody else gets it */
        snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    }
    return url;
}
