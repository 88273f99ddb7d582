/* SPDX-License-Identifier: MIT */
#include "amqp/channel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>
#include <godwit/message.h>

#include "amqp/frame.h"
#include "amqp/properties.h"
#include "amqp/reasons.h"
#include "amqp/session.h"

gw__channel *gw__channel_new(gw__session *session, uint16_t id, const gw__channel_events *events,
                             void *ctx)
{
    gw__channel *channel = calloc(1, sizeof(*channel));
    if (channel != NULL) {
        channel->session = session;
        channel->id = id;
        channel->events = events;
        channel->ctx = ctx;
        channel->state = GW__CHANNEL_OPENING;
        amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
        gw__channel_call(channel, AMQP_CHANNEL_OPEN_METHOD, &open, AMQP_CHANNEL_OPEN_OK_METHOD);
    }
    return channel;
}

void gw__channel_send(gw__channel *channel, amqp_method_number_t id, void *method)
{
    gw__session_send(channel->session, channel->id, id, method);
}

void gw__channel_call(gw__channel *channel, amqp_method_number_t id, void *method,
                      amqp_method_number_t reply)
{
    assert(channel->awaited == 0);
    channel->awaited = reply;
    channel->deadline_ms = channel->session->now_ms + GW__CALL_TIMEOUT_MS;
    gw__session_set_timer(channel->session, channel->deadline_ms);
    gw__channel_send(channel, id, method);
}

void gw__channel_finish(gw__channel *channel)
{
    channel->state = GW__CHANNEL_CLOSING;
    channel->expects = GW__CONTENT_NONE;
    channel->awaited = 0;
    amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS,
                                  .reply_text = amqp_cstring_bytes("done")};
    gw__channel_call(channel, AMQP_CHANNEL_CLOSE_METHOD, &close, AMQP_CHANNEL_CLOSE_OK_METHOD);
}

void gw__channel_close(gw__channel *channel)
{
    channel->events = NULL;
    if (channel->state != GW__CHANNEL_CLOSING) {
        gw__channel_finish(channel);
    }
}

static void remove_and_free(gw__channel *channel)
{
    gw__session_forget(channel->session, channel);
    free(channel);
}

void gw__channel_end(gw__channel *channel, const gw_error *why)
{
    if (channel->events != NULL) {
        channel->events->closed(channel, why);
    }
    remove_and_free(channel);
}

void gw__channel_timeout(gw__channel *channel)
{
    gw_error why;
    gw_error_set(&why, GW_E_TIMEOUT, 0, "the broker did not answer %s within %d s",
                 amqp_method_name(channel->awaited), GW__CALL_TIMEOUT_MS / 1000);
    if (channel->state == GW__CHANNEL_CLOSING) {
        gw__session_fail(channel->session, why.status, 0, "%s", why.text);
        channel->deadline_ms = 0;
        return;
    }
    const gw__channel_events *events = channel->events;
    events->closed(channel, &why);
    gw__channel_close(channel);
}

/* ---- methods ------------------------------------------------------------- */

/* The broker closed the channel. */
static void on_close(gw__channel *channel, const amqp_channel_close_t *close)
{
    amqp_channel_close_ok_t ok = {0};
    gw__channel_send(channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (channel->state == GW__CHANNEL_CLOSING) {
        return; /* they crossed: its answer to ours follows */
    }
    gw_error why;
    gw_status st = close->reply_code == AMQP_ACCESS_REFUSED ? GW_E_DENIED : GW_E_UNAVAILABLE;
    st = close->reply_code == AMQP_NOT_FOUND ? GW_E_NOT_FOUND : st;
    st = close->reply_code == AMQP_RESOURCE_LOCKED ? GW_E_BUSY : st;
    st = close->reply_code == AMQP_PRECONDITION_FAILED ? GW_E_EXISTS : st;
    gw__reason_set(&why, st, close->reply_code, close->reply_text);
    gw__channel_end(channel, &why);
}

static bool is_reply(amqp_method_number_t id)
{
    switch (id) {
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_BIND_OK_METHOD:
    case AMQP_QUEUE_DELETE_OK_METHOD:
    case AMQP_BASIC_QOS_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_BASIC_CANCEL_OK_METHOD:
    case AMQP_CONFIRM_SELECT_OK_METHOD:
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_CHANNEL_CLOSE_OK_METHOD: return true;
    default: return false;
    }
}

static void unexpected(gw__channel *channel, const char *what)
{
    gw__session_fail(channel->session, GW_E_PROTOCOL, 0, "%s on channel %u, which was not to come",
                     what, channel->id);
}

static void on_reply(gw__channel *channel, const amqp_method_t *method)
{
    if (method->id != channel->awaited) {
        if (channel->state != GW__CHANNEL_CLOSING) {
            unexpected(channel, amqp_method_name(method->id));
        }
        return;
    }
    channel->awaited = 0;
    channel->deadline_ms = 0;
    if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
        gw__channel_end(channel, NULL);
    } else if (method->id == AMQP_CHANNEL_OPEN_OK_METHOD) {
        channel->state = GW__CHANNEL_OPEN;
        channel->events->open(channel);
    } else {
        channel->events->reply(channel, method);
    }
}

/* Keep a string of a method until its content is complete. Short strings fit by their nature. */
static amqp_bytes_t keep(gw__channel *channel, unsigned slot, amqp_bytes_t bytes)
{
    char *to = channel->strings + slot * 256;
    size_t len = bytes.len < 255 ? bytes.len : 255;
    if (len > 0) {
        memcpy(to, bytes.bytes, len);
    }
    to[len] = '\0';
    return (amqp_bytes_t){.len = len, .bytes = to};
}

static void begin_content(gw__channel *channel, const amqp_method_t *method)
{
    gw__content *content = &channel->content;
    *content = (gw__content){.method = method->id};
    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        const amqp_basic_deliver_t *deliver = method->decoded;
        content->delivery_tag = deliver->delivery_tag;
        content->redelivered = deliver->redelivered != 0;
        content->text = keep(channel, 0, deliver->consumer_tag);
        content->exchange = keep(channel, 1, deliver->exchange);
        content->routing_key = keep(channel, 2, deliver->routing_key);
    } else {
        const amqp_basic_return_t *returned = method->decoded;
        content->reply_code = returned->reply_code;
        content->text = keep(channel, 0, returned->reply_text);
        content->exchange = keep(channel, 1, returned->exchange);
        content->routing_key = keep(channel, 2, returned->routing_key);
    }
    channel->expects = GW__CONTENT_HEADER;
}

void gw__channel_method(gw__channel *channel, const amqp_method_t *method)
{
    if (channel->expects != GW__CONTENT_NONE && method->id != AMQP_CHANNEL_CLOSE_METHOD) {
        unexpected(channel, amqp_method_name(method->id));
        return;
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        on_close(channel, method->decoded);
    } else if (is_reply(method->id)) {
        on_reply(channel, method);
    } else if (channel->state == GW__CHANNEL_CLOSING) {
        /* Contents that follow are thrown away as well. */
    } else if (method->id == AMQP_BASIC_DELIVER_METHOD || method->id == AMQP_BASIC_RETURN_METHOD) {
        if (channel->events->header == NULL) {
            unexpected(channel, amqp_method_name(method->id));
        } else {
            begin_content(channel, method);
        }
    } else if (channel->events->notice != NULL) {
        channel->events->notice(channel, method);
    } else {
        unexpected(channel, amqp_method_name(method->id));
    }
}

/* ---- contents ------------------------------------------------------------ */

static void complete(gw__channel *channel)
{
    channel->expects = GW__CONTENT_NONE;
    channel->body = NULL;
    channel->events->content(channel, &channel->content);
}

void gw__channel_header(gw__channel *channel, const uint8_t *payload, size_t len)
{
    if (channel->state == GW__CHANNEL_CLOSING) {
        return;
    }
    if (channel->expects != GW__CONTENT_HEADER) {
        unexpected(channel, "a content header");
        return;
    }
    gw__content *content = &channel->content;
    content->body_size = gw__read_u64(payload + 4);
    if (gw__read_u16(payload) != AMQP_BASIC_CLASS || content->body_size > INT64_MAX) {
        unexpected(channel, "a content header of another class");
        return;
    }
    content->pool = &channel->session->pool;
    gw_status st = gw__properties_decode(payload + 12, len - 12, content->pool,
                                         &content->properties, &content->headers_left_out);
    if (st != GW_OK) {
        gw__session_fail(channel->session, st, 0, "a content header that cannot be read: %s",
                         gw_status_text(st));
        return;
    }
    channel->body = channel->events->header(channel, content);
    if (channel->state == GW__CHANNEL_CLOSING) {
        return; /* its user wants no more */
    }
    channel->body_len = 0;
    channel->expects = GW__CONTENT_BODY;
    content->properties = NULL;
    if (content->body_size == 0) {
        complete(channel);
    }
}

void gw__channel_body(gw__channel *channel, const uint8_t *payload, size_t len)
{
    if (channel->state == GW__CHANNEL_CLOSING) {
        return;
    }
    if (channel->expects != GW__CONTENT_BODY ||
        len > channel->content.body_size - channel->body_len) {
        unexpected(channel, "a piece of a body");
        return;
    }
    if (channel->body != NULL && len > 0) {
        memcpy(channel->body + channel->body_len, payload, len);
    }
    channel->body_len += len;
    if (channel->body_len == channel->content.body_size) {
        complete(channel);
    }
}
