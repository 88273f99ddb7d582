/* SPDX-License-Identifier: MIT */
/* An HTTP server that answers what a test tells it to, right or wrong, on a free port of loopback.
 * Connections are served beside each other, what they share is under a lock. */
#ifndef TESTS_CONFIG_SCRIPTED_SERVER_H
#define TESTS_CONFIG_SCRIPTED_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct scripted_server scripted_server;

scripted_server *server_start(void);
void server_stop(scripted_server *server);

/* "http://127.0.0.1:PORT". */
const char *server_url(const scripted_server *server);

/* From now on answer this; a status of 0 closes the connection without a word, -1 sends `body` as
 * it is. */
void server_answer(scripted_server *server, int status, const char *body);

/* The same with an ETag, such as "\"1\"": who has it (If-None-Match) gets a 304, and with "?wait="
 * in the request not before this changes. */
void server_answer_tagged(scripted_server *server, int status, const char *body, const char *etag);

/* More header lines, "A: b\r\n", for all answers. */
void server_set_headers(scripted_server *server, const char *lines);

/* Before that, answer this once; in the order of the calls. */
void server_answer_once(scripted_server *server, int status, const char *body);

/* Answers wait until the gate is open. */
void server_close_gate(scripted_server *server);
void server_open_gate(scripted_server *server);

/* Requests that came so far; and wait for that many, false after 10 s. */
size_t server_count(scripted_server *server);
bool server_wait(scripted_server *server, size_t n);

/* The last request's first line and header lines. Valid until the next call. */
const char *server_last_request(scripted_server *server);

/* How often a text stands in all requests so far. */
size_t server_count_of(scripted_server *server, const char *text);

/* A URL of a port at which nobody listens, as long as this process lives. */
const char *dead_url(void);

#endif
