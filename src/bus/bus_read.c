/* SPDX-License-Identifier: MIT */
/*
 * A message in a log: length of the exchange's name (1 byte), its name, length of the routing key
 * (1 byte), the key, and the message as record.h has it. What comes from a log is hostile until it
 * is checked.
 */
#include "bus/bus_inside.h"

#include <string.h>

#include "bus/record.h"
#include "bus/record_format.h"
#include "messaging/message.h"

/* Where they are in a record; see record.c. */
#define PRIORITY_AT   12
#define EXPIRATION_AT 24

size_t gw__bus_size(const gw__outgoing *item)
{
    return 2 + strlen(item->target->exchange) + strlen(item->routing_key) +
           gw__record_size(item->msg);
}

static uint8_t *write_name(const char *name, uint8_t *to)
{
    size_t len = strlen(name);
    *to++ = (uint8_t)len;
    memcpy(to, name, len);
    return to + len;
}

uint8_t *gw__bus_write(const void *ctx, uint8_t *to)
{
    const gw__outgoing *item = ctx;
    to = write_name(item->target->exchange, to);
    to = write_name(item->routing_key, to);
    return gw__record_write(item->msg, to);
}

uint64_t gw__bus_expires_ms(int64_t expiration_ms, uint64_t now_ms)
{
    if (expiration_ms < 0) {
        return 0;
    }
    uint64_t left_ms = UINT64_MAX - now_ms;
    return (uint64_t)expiration_ms < left_ms ? now_ms + (uint64_t)expiration_ms : UINT64_MAX;
}

/* ---- reading --------------------------------------------------------------------------- */

typedef struct parts {
    const char *exchange;
    size_t exchange_len;
    const char *key;
    size_t key_len;
    const uint8_t *message;
    size_t message_len;
} parts;

static bool split_name(const uint8_t **at, size_t *len, const char **ret_name, size_t *ret_len)
{
    if (*len < 1 || *len - 1 < **at) {
        return false;
    }
    *ret_len = **at;
    *ret_name = (const char *)*at + 1;
    *at += 1 + *ret_len;
    *len -= 1 + *ret_len;
    return true;
}

static bool split(const gw__log_record *record, parts *ret)
{
    ret->message = record->bytes;
    ret->message_len = record->len;
    return split_name(&ret->message, &ret->message_len, &ret->exchange, &ret->exchange_len) &&
           split_name(&ret->message, &ret->message_len, &ret->key, &ret->key_len);
}

bool gw__bus_peek(const gw__log_record *record, unsigned *ret_priority, int64_t *ret_expiration_ms)
{
    parts in;
    if (!split(record, &in) || in.message_len < GW__RECORD_HEAD_LEN) {
        return false;
    }
    uint64_t expiration = 0;
    for (int i = 7; i >= 0; i--) {
        expiration = expiration << 8 | in.message[EXPIRATION_AT + i];
    }
    *ret_priority = in.message[PRIORITY_AT];
    *ret_expiration_ms = (int64_t)expiration;
    return true;
}

static gw_status set_places(gw_message *msg, const parts *in, const char *queue)
{
    gw_status st = gw__message_set_text(msg, GW__TEXT_EXCHANGE, in->exchange, in->exchange_len);
    if (st == GW_OK) {
        st = gw__message_set_text(msg, GW__TEXT_ROUTING_KEY, in->key, in->key_len);
    }
    return st == GW_OK ? gw__message_set_text(msg, GW__TEXT_QUEUE, queue, strlen(queue)) : st;
}

gw_status gw__bus_read(const gw__log_record *record, const char *queue, gw_message **ret_msg,
                       gw_error *err)
{
    parts in;
    if (!split(record, &in)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "stored message: exchange and routing key are longer than all of it");
    }
    gw_message *msg;
    gw_status st = gw__record_read(in.message, in.message_len, &msg, err);
    if (st != GW_OK) {
        return st;
    }
    st = set_places(msg, &in, queue);
    if (st != GW_OK) {
        gw_message_free(msg);
        return st == GW_E_NOMEM
                   ? gw_error_set(err, st, 0, "stored message: out of memory")
                   : gw_error_set(err, GW_E_PROTOCOL, 0,
                                  "stored message: exchange or routing key have a NUL in them");
    }
    gw_message_set_mandatory(msg, false); /* a word to the bus, not a property */
    gw__message_set_redelivered(msg, record->redelivered);
    *ret_msg = msg;
    return GW_OK;
}
