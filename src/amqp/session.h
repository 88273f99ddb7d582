/* SPDX-License-Identifier: MIT */
/*
 * One AMQP connection as a conversation: bytes in, bytes out, and what time it is. It does no input
 * or output itself, so that tests and the fuzzer can hold the same conversation.
 *
 * Handshake (PLAIN), tuning, heartbeats, channels by number, and the end. A session fails once, for
 * a reason, and is of no more use then: another is begun on a new connection.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_SESSION_H
#define GW_AMQP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>

#include <godwit/buf.h>
#include <godwit/error.h>

#include "amqp/channel.h"

#define GW__HANDSHAKE_TIMEOUT_MS 10000
#define GW__CHANNEL_MAX          2047

/* Unsent bytes at which nothing more is published or acknowledged until the peer has read some. */
#define GW__OUT_HIGH_WATER ((size_t)64 << 10)

/* Borrowed by the session as long as it lives. */
typedef struct gw__login {
    const char *user;
    const char *password;
    const char *vhost;
    const char *connection_name; /* what the operator sees */
    unsigned heartbeat_s;        /* what we ask for; 0 leaves it to the broker */
    size_t host;                 /* which of those in the URL */
} gw__login;

typedef enum gw__session_state {
    GW__SESSION_GREETED, /* protocol header sent */
    GW__SESSION_LOGIN,   /* start-ok sent */
    GW__SESSION_OPENING, /* tune-ok and open sent */
    GW__SESSION_OPEN,
    GW__SESSION_CLOSING, /* close sent */
    GW__SESSION_CLOSED,  /* close-ok came */
    GW__SESSION_FAILED
} gw__session_state;

typedef struct gw__session_events {
    void (*open)(void *ctx);
    /* The broker takes no messages at present, and why; NULL: it does again. */
    void (*blocked)(void *ctx, const char *reason);
    void *ctx;
} gw__session_events;

struct gw__session {
    gw__login login;
    gw__session_events events;
    gw__session_state state;
    gw_error why; /* of the failure; `native` is the code of a connection.close, if it was one */
    gw_buf out;   /* to be sent; the owner consumes it */
    amqp_pool_t pool; /* for decoding; emptied after each frame */
    uint64_t now_ns;
    uint64_t now_ms;       /* the same */
    uint64_t deadline_ms;  /* for the handshake or close-ok; 0 for none */
    uint64_t timer_ms;     /* when to call gw__session_tick() next, at the latest */
    uint64_t last_in_ms;   /* the peer was last heard */
    uint64_t last_out_ms;  /* the peer last heard us */
    unsigned heartbeat_ms; /* agreed; 0 for none */
    uint32_t frame_max;
    uint16_t channel_max;
    bool blocked;
    gw__channel **channels; /* by number; [0] is not used */
    size_t n_slots;
};

/* Begin the conversation: puts the protocol header into `out`. */
void gw__session_begin(gw__session *session, const gw__login *login,
                       const gw__session_events *events, uint64_t now_ns);

/* Free everything. gw__session_end() comes first if there were channels. */
void gw__session_dispose(gw__session *session);

/* Take in what arrived. Returns how many bytes were used; the rest is to be given again with more.
 */
size_t gw__session_input(gw__session *session, const uint8_t *data, size_t len, uint64_t now_ns);

/* The peer closed the stream. */
void gw__session_eof(gw__session *session);

/* Deadlines and heartbeats; sets timer_ms. */
void gw__session_tick(gw__session *session, uint64_t now_ns);

/* Something of `out` was sent just now. */
void gw__session_sent(gw__session *session);

/* Say goodbye; the state becomes CLOSED when the broker has answered. */
void gw__session_close(gw__session *session, uint64_t deadline_ms);

/* It cannot go on. The first reason counts. */
void gw__session_fail(gw__session *session, gw_status st, int native, const char *format, ...)
    GW_PRINTF(4, 5);

/* Whether anything can be sent on channels. */
bool gw__session_is_open(const gw__session *session);

/* All channels are gone, because of session->why: their users are told. */
void gw__session_end(gw__session *session);

/* Open a channel; NULL when there are too many (the session's limit), or no memory. */
gw__channel *gw__session_open_channel(gw__session *session, const gw__channel_events *events,
                                      void *ctx);

/* ---- for channels -------------------------------------------------------- */

/* Encode a method into `out`; a failure to is the session's. */
void gw__session_send(gw__session *session, uint16_t channel, amqp_method_number_t id,
                      void *method);

/* Take a channel out of the table. */
void gw__session_forget(gw__session *session, gw__channel *channel);

/* Call tick at `at_ms`, if nothing earlier is due. */
void gw__session_set_timer(gw__session *session, uint64_t at_ms);

#endif
