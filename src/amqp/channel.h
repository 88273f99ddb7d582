/* SPDX-License-Identifier: MIT */
/*
 * One channel of a session: opened, used for one call at a time, its contents put together, closed.
 *
 * A channel belongs to its session, which frees it. Its user hears of everything through the events
 * and holds a pointer that is good until closed() was called or the user closed it.
 *
 * @thread All of it runs on the I/O thread of the connection.
 */
#ifndef GW_AMQP_CHANNEL_H
#define GW_AMQP_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <amqp.h>
#include <amqp_framing.h>

#include <godwit/error.h>

typedef struct gw__session gw__session;
typedef struct gw__channel gw__channel;

/* Longest that the broker may take to answer a call. */
#define GW__CALL_TIMEOUT_MS 30000

/* A content (deliver or return) as far as it has arrived. Strings are good until its end. */
typedef struct gw__content {
    amqp_method_number_t method; /* AMQP_BASIC_DELIVER_METHOD or AMQP_BASIC_RETURN_METHOD */
    uint64_t delivery_tag;       /* of a delivery */
    bool redelivered;            /* of a delivery */
    uint16_t reply_code;         /* of a return */
    amqp_bytes_t text;           /* consumer tag of a delivery, reply text of a return */
    amqp_bytes_t exchange;
    amqp_bytes_t routing_key;
    uint64_t body_size;
    /* Borrowed until the header event returns. */
    const amqp_basic_properties_t *properties;
    size_t headers_left_out;
    amqp_pool_t *pool;
} gw__content;

/* All but `closed` may be NULL if the user's methods cannot bring them about. */
typedef struct gw__channel_events {
    /* channel.open-ok came. */
    void (*open)(gw__channel *channel);
    /* The reply to the call under way. The next call may be made from here. */
    void (*reply)(gw__channel *channel, const amqp_method_t *reply);
    /* A method nobody asked for: ack, nack, cancel, flow. */
    void (*notice)(gw__channel *channel, const amqp_method_t *method);
    /* The header of a content came. Returns where its body goes (content->body_size bytes), or NULL
     * to throw the body away. */
    char *(*header)(gw__channel *channel, const gw__content *content);
    /* The body is there. */
    void (*content)(gw__channel *channel, const gw__content *content);
    /* The channel is gone: closed by the broker (`why->native` is the AMQP code), timed out, or
     * lost with the connection (GW_E_UNAVAILABLE); after gw__channel_finish() `why` is NULL if the
     * broker agreed. */
    void (*closed)(gw__channel *channel, const gw_error *why);
} gw__channel_events;

typedef enum gw__channel_state {
    GW__CHANNEL_OPENING,
    GW__CHANNEL_OPEN,
    GW__CHANNEL_CLOSING /* close sent; frames are thrown away until close-ok */
} gw__channel_state;

struct gw__channel {
    gw__session *session;
    const gw__channel_events *events; /* NULL once the user has let go */
    void *ctx;                        /* the user */
    uint16_t id;
    gw__channel_state state;
    amqp_method_number_t awaited; /* reply of the call under way, 0 for none */
    uint64_t deadline_ms;         /* for it; 0 for none */
    /* The content that is arriving. */
    enum { GW__CONTENT_NONE, GW__CONTENT_HEADER, GW__CONTENT_BODY } expects;
    gw__content content;
    char *body; /* NULL: thrown away */
    uint64_t body_len;
    char strings[3 * 256];
};

/* Send a method that has no reply. */
void gw__channel_send(gw__channel *channel, amqp_method_number_t id, void *method);

/* Send a method and wait, by event, for its reply. One at a time. */
void gw__channel_call(gw__channel *channel, amqp_method_number_t id, void *method,
                      amqp_method_number_t reply);

/* Let go of it and close it in the background. No event follows. */
void gw__channel_close(gw__channel *channel);

/* Close it and hear, by closed(), when the broker has done everything that was sent before. */
void gw__channel_finish(gw__channel *channel);

/* ---- for the session ----------------------------------------------------- */

gw__channel *gw__channel_new(gw__session *session, uint16_t id, const gw__channel_events *events,
                             void *ctx);

/* A decoded method arrived. Can free the channel. */
void gw__channel_method(gw__channel *channel, const amqp_method_t *method);

/* A content header or a piece of a body arrived. Can free the channel. */
void gw__channel_header(gw__channel *channel, const uint8_t *payload, size_t len);
void gw__channel_body(gw__channel *channel, const uint8_t *payload, size_t len);

/* The broker does not answer in time. Can free the channel. */
void gw__channel_timeout(gw__channel *channel);

/* Tell the user that it is gone, and free it. */
void gw__channel_end(gw__channel *channel, const gw_error *why);

#endif
