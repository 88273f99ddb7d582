/* SPDX-License-Identifier: MIT */
/*
 * Clients that have an answer already: whether they need another (ETag), and waiting until they do
 * (?wait=30s). A service without a broker learns of a change that way, at once.
 */
#ifndef CS_POLL_H
#define CS_POLL_H

#include <stdbool.h>

#include <godwit/error.h>
#include <godwit/http.h>

#include "answer/answer.h"

typedef struct cs_poll {
    unsigned wait_ms;  /* 0: answer at once */
    bool is_waiting;   /* ?wait was given */
    const char *etags; /* what the client has; NULL: nothing. Borrowed from the request */
} cs_poll;

/* ?wait=, ?etag= and If-None-Match. GW_E_INVALID for a wait that is no duration. */
gw_status cs_poll_read(const gw_http_request *req, cs_poll *ret_poll, gw_error *err);

/* Whether the client has this answer. One that waits has it too if only the commit differs. */
bool cs_poll_has(const cs_poll *poll, const cs_answer *answer);

/* How long to wait for another answer; 0: send this one. */
unsigned cs_poll_wait_ms(const cs_poll *poll, const cs_answer *answer);

#endif
