/* SPDX-License-Identifier: MIT */
/*
 * A message in the outbox's store. Numbers are little-endian; there is no padding and no choice:
 * one message has one encoding, and what is not exactly one is refused.
 *
 *    at  size
 *     0     1  version: 1
 *     1     1  flags: 1 persistent, 2 mandatory
 *     2     2  which texts are there: bit i for the i-th of gw__text, up to the routing key
 *     4     4  number of headers
 *     8     4  length of the body
 *    12     1  priority
 *    13     3  0
 *    16     8  timestamp, seconds since 1970-01-01; 0 for none
 *    24     8  expiration in ms, signed; -1 for none
 *    32        the texts that are there, in order: length (1 byte), bytes without a NUL
 *              the headers, in order: length of the name (1 byte), name, value
 *              the body
 *
 * A value is its kind (1 byte, numbered as gw_value_kind) and
 *     null     nothing                     decimal      scale (1), digits (4)
 *     bool     0 or 1 (1)                  text, bytes  length (4), bytes
 *     int, uint, double, time  8 bytes     array        number of items (4), values
 *                                          table        number of items (4), names and values
 *
 * A new property or kind is a new version; a reader has to know all older ones.
 */
#include "bus/record.h"

#include <string.h>

#include "bus/record_format.h"
#include "messaging/message.h"

/* ---- size ---------------------------------------------------------------- */

/* A message holds no deeper nesting than GW_VALUE_DEPTH_MAX: it was refused when it was set. */
static size_t value_size(const gw_value *value)
{
    size_t size = 1;
    switch (value->kind) {
    case GW_VALUE_BOOL: return size + 1;
    case GW_VALUE_INT:
    case GW_VALUE_UINT:
    case GW_VALUE_DOUBLE:
    case GW_VALUE_TIME: return size + 8;
    case GW_VALUE_DECIMAL: return size + 5;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES: return size + 4 + value->as.bytes.len;
    case GW_VALUE_ARRAY:
        size += 4;
        for (size_t i = 0; i < value->as.array.n_items; i++) {
            size += value_size(&value->as.array.items[i]);
        }
        return size;
    case GW_VALUE_TABLE:
        size += 4;
        for (size_t i = 0; i < value->as.table.n_items; i++) {
            const gw_header *item = &value->as.table.items[i];
            size += 1 + strlen(item->name) + value_size(&item->value);
        }
        return size;
    default: return size;
    }
}

size_t gw__record_size(const gw_message *msg)
{
    size_t size;
    gw_message_body(msg, &size);
    size += GW__RECORD_HEAD_LEN;
    char *const *texts = gw__message_texts(msg);
    for (int i = 0; i < GW__RECORD_N_TEXTS; i++) {
        size += texts[i] == NULL ? 0 : 1 + strlen(texts[i]);
    }
    for (size_t i = 0; i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        size += 1 + strlen(header->name) + value_size(&header->value);
    }
    return size;
}

/* ---- out ----------------------------------------------------------------- */

static uint8_t *put_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    to[2] = (uint8_t)(value >> 16);
    to[3] = (uint8_t)(value >> 24);
    return to + 4;
}

static uint8_t *put_u64(uint8_t *to, uint64_t value)
{
    return put_u32(put_u32(to, (uint32_t)value), (uint32_t)(value >> 32));
}

static uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

static uint8_t *put_text(uint8_t *to, const char *text)
{
    size_t len = strlen(text);
    *to = (uint8_t)len;
    return put_bytes(to + 1, text, len);
}

static uint8_t *put_value(uint8_t *to, const gw_value *value);

static uint8_t *put_header(uint8_t *to, const gw_header *header)
{
    return put_value(put_text(to, header->name), &header->value);
}

static uint8_t *put_double(uint8_t *to, double real)
{
    uint64_t bits;
    static_assert(sizeof(bits) == sizeof(real), "a double has 64 bits");
    memcpy(&bits, &real, sizeof(bits));
    return put_u64(to, bits);
}

static uint8_t *put_value(uint8_t *to, const gw_value *value)
{
    *to++ = (uint8_t)value->kind;
    switch (value->kind) {
    case GW_VALUE_BOOL: *to++ = value->as.boolean; return to;
    case GW_VALUE_INT: return put_u64(to, (uint64_t)value->as.integer);
    case GW_VALUE_UINT:
    case GW_VALUE_TIME: return put_u64(to, value->as.uinteger);
    case GW_VALUE_DOUBLE: return put_double(to, value->as.real);
    case GW_VALUE_DECIMAL:
        *to++ = value->as.decimal.scale;
        return put_u32(to, value->as.decimal.digits);
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        to = put_u32(to, (uint32_t)value->as.bytes.len);
        return put_bytes(to, value->as.bytes.data, value->as.bytes.len);
    case GW_VALUE_ARRAY:
        to = put_u32(to, (uint32_t)value->as.array.n_items);
        for (size_t i = 0; i < value->as.array.n_items; i++) {
            to = put_value(to, &value->as.array.items[i]);
        }
        return to;
    case GW_VALUE_TABLE:
        to = put_u32(to, (uint32_t)value->as.table.n_items);
        for (size_t i = 0; i < value->as.table.n_items; i++) {
            to = put_header(to, &value->as.table.items[i]);
        }
        return to;
    default: /* null, and as on the wire what a caller made up */ to[-1] = GW_VALUE_NULL; return to;
    }
}

uint8_t *gw__record_write(const gw_message *msg, uint8_t *to)
{
    uint8_t *head = to;
    char *const *texts = gw__message_texts(msg);
    size_t n_headers = gw_message_n_headers(msg);
    size_t body_len;
    const void *body = gw_message_body(msg, &body_len);
    uint32_t present = 0;
    to += GW__RECORD_HEAD_LEN;
    for (int i = 0; i < GW__RECORD_N_TEXTS; i++) {
        if (texts[i] != NULL) {
            present |= 1U << i;
            to = put_text(to, texts[i]);
        }
    }
    uint32_t flags = (gw_message_is_persistent(msg) ? GW__RECORD_PERSISTENT : 0) |
                     (gw_message_is_mandatory(msg) ? GW__RECORD_MANDATORY : 0);
    head = put_u32(head, GW__RECORD_VERSION | flags << 8 | present << 16);
    head = put_u32(head, (uint32_t)n_headers);
    head = put_u32(head, (uint32_t)body_len);
    head = put_u32(head, gw_message_priority(msg));
    head = put_u64(head, gw_message_timestamp(msg));
    put_u64(head, (uint64_t)gw_message_expiration_ms(msg));
    for (size_t i = 0; i < n_headers; i++) {
        to = put_header(to, gw_message_header_at(msg, i));
    }
    return put_bytes(to, body, body_len);
}
