/* SPDX-License-Identifier: MIT */
/* The server that the tests of the server ask: a few routes, one of each kind. */
#ifndef TEST_HTTP_SERVED_H
#define TEST_HTTP_SERVED_H

#include <semaphore.h>
#include <stdint.h>

#include <godwit/http.h>

#include "peer.h"

/*
 * GET /accounts/{accountId}   {"id":"..."}
 * GET /tell/{rest...}         method, path, rest, ?q, X-A and local address, as a JSON array
 * GET, POST /echo             the body
 * GET /wait                   posts handler_entered, waits for handler_released
 * GET /as/{way}               see answer_as() in served.c
 * GET /large?n=               n letters
 * POST /move/{x}              the body
 */
extern const gw_http_route routes[];
extern const size_t n_routes;

extern sem_t handler_entered;
extern sem_t handler_released;

extern gw_http_server *server; /* NULL once a test has stopped it */
extern uint16_t port;
extern peer_answer answer; /* the last one */

int server_setup(void **state);
int server_teardown(void **state);

/* Start on 127.0.0.1 with these options, or the defaults if NULL. */
void server_start(const gw_http_options *options);

/* Ask with a connection of its own; `rest` are further header lines, each with its CRLF. */
void ask(const char *method, const char *target, const char *rest);

/* Whether `answer` is a problem of this status, with this in its detail. */
void check_problem(int status, const char *detail);

#endif
