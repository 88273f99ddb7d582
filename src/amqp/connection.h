/* SPDX-License-Identifier: MIT */
/*
 * One connection that is kept alive for ever, and the I/O thread that does it: look up, connect,
 * talk, and when it ends, wait and begin anew.
 *
 * What the connection is for (publishing or consuming) is its role, which is told when a session is
 * open and when it is gone, and does its work in turns between reading and writing. So everything
 * that a turn appends goes out in one write.
 */
#ifndef GW_AMQP_CONNECTION_H
#define GW_AMQP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/messaging.h>

#include "amqp/endpoint.h"
#include "amqp/session.h"

typedef struct gw__connection gw__connection;

/* What a role wants after its turn. */
typedef struct gw__turn {
    uint64_t timer_ms; /* the next turn at the latest then; UINT64_MAX for none */
    uint64_t doze_ns;  /* not 0: more is about to come, so rather wait this long than be woken */
    bool deaf;         /* in that time, let input gather in the socket as well */
} gw__turn;

/* All calls come on the I/O thread, no lock held, and must not block. */
typedef struct gw__connection_role {
    const char *purpose; /* "publish" or "consume"; static */
    /* A session is open. It is good until down(). */
    void (*up)(void *ctx, gw__session *session);
    /* It is gone, and all its channels. */
    void (*down)(void *ctx);
    /* Also called when there is no session. */
    gw__turn (*work)(void *ctx, uint64_t now_ns);
    /* CONNECTING, UP or BLOCKED; `why` is NULL when up, and at the first try. */
    void (*state)(void *ctx, gw_client_state state, const gw_error *why);
    /* Whether a connection may be tried now; looked at again after gw__connection_call(). NULL for
     * always. */
    bool (*may_connect)(void *ctx);
    void *ctx;
} gw__connection_role;

/* Start the thread. `endpoint` is borrowed, `name` (the client's, for the operator) copied. */
gw_status gw__connection_start(const gw__endpoint *endpoint, const char *name,
                               const gw__connection_role *role, gw__connection **ret_connection,
                               gw_error *err);

/* Have work() called. Not urgent: in a moment will do, if the role is about to look anyway. Any
 * thread. */
void gw__connection_call(gw__connection *connection, bool urgent);

/* Say goodbye, end the thread, free. The role is not called after it returns. Accepts NULL. */
void gw__connection_stop(gw__connection *connection, unsigned timeout_ms);

#endif
