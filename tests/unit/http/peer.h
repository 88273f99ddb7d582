/* SPDX-License-Identifier: MIT */
/* Bare sockets for tests: an HTTP client that sends what it is told, byte for byte, and a server
 * that answers whatever a script says. Fails the running test itself; waits at most 10 s. */
#ifndef TEST_HTTP_PEER_H
#define TEST_HTTP_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connect to 127.0.0.1. */
int peer_connect(uint16_t port);

void peer_send(int fd, const char *bytes, size_t len);
void peer_send_text(int fd, const char *text);

/* One answer, as far as tests look at it. */
typedef struct peer_answer {
    int status;
    char head[8192];   /* status line and headers, with their CRLFs */
    char body[131072]; /* NUL-terminated */
    size_t body_len;
} peer_answer;

/*
 * Read one answer with a Content-Length (or a status without a body). `is_head`: it answers HEAD.
 * Returns false when the connection ended before the first byte.
 */
bool peer_read(int fd, peer_answer *ret_answer, bool is_head);

/* The value of a header in a buffer of this thread; NULL when it is not there. */
const char *peer_header(const peer_answer *answer, const char *name);

/* Connect, send, read one answer, close. */
void peer_ask(uint16_t port, const char *request, peer_answer *ret_answer);

/* Whether the other side closes (or has closed) the connection; waits for it. */
bool peer_is_closed(int fd);

/* A server for one connection after the other: reads to the end of the headers, sends `bytes`, and
 * then closes, or holds the connection open until it is stopped. */
typedef struct peer_server {
    int listener;
    uint16_t port;
    int stop[2]; /* a pipe: its end wakes the thread */
    pthread_t thread;
    const char *bytes;
    size_t len;
    bool hold;
    bool endless;       /* send the bytes again and again */
    unsigned drip_ms;   /* one byte at a time, this far apart */
    char request[8192]; /* the last one, for after peer_server_stop() */
} peer_server;

void peer_server_start(peer_server *server);
void peer_server_stop(peer_server *server);

#endif
