/* SPDX-License-Identifier: MIT */
#include "amqp/properties.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "amqp/frame.h"
#include "amqp/table.h"
#include "messaging/message.h"

#define PERSISTENT 2

/* ---- out ----------------------------------------------------------------- */

static void set(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *slot,
                const char *text)
{
    if (text != NULL) {
        properties->_flags |= flag;
        *slot = amqp_cstring_bytes(text);
    }
}

static void set_texts(amqp_basic_properties_t *p, const gw_message *msg)
{
    set(p, AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type, gw_message_content_type(msg));
    set(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, &p->content_encoding,
        gw_message_content_encoding(msg));
    set(p, AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id, gw_message_correlation_id(msg));
    set(p, AMQP_BASIC_REPLY_TO_FLAG, &p->reply_to, gw_message_reply_to(msg));
    set(p, AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id, gw_message_id(msg));
    set(p, AMQP_BASIC_TYPE_FLAG, &p->type, gw_message_type(msg));
    set(p, AMQP_BASIC_USER_ID_FLAG, &p->user_id, gw_message_user_id(msg));
    set(p, AMQP_BASIC_APP_ID_FLAG, &p->app_id, gw_message_app_id(msg));
}

gw_status gw__properties_from_message(const gw_message *msg, amqp_pool_t *pool,
                                      char expiration[GW__EXPIRATION_MAX],
                                      amqp_basic_properties_t *ret_properties)
{
    amqp_basic_properties_t *p = ret_properties;
    *p = (amqp_basic_properties_t){._flags = AMQP_BASIC_DELIVERY_MODE_FLAG};
    p->delivery_mode = gw_message_is_persistent(msg) ? PERSISTENT : 1;
    set_texts(p, msg);
    if (gw_message_priority(msg) != 0) {
        p->_flags |= AMQP_BASIC_PRIORITY_FLAG;
        p->priority = gw_message_priority(msg);
    }
    if (gw_message_timestamp(msg) != 0) {
        p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p->timestamp = gw_message_timestamp(msg);
    }
    if (gw_message_expiration_ms(msg) >= 0) {
        snprintf(expiration, GW__EXPIRATION_MAX, "%" PRId64, gw_message_expiration_ms(msg));
        set(p, AMQP_BASIC_EXPIRATION_FLAG, &p->expiration, expiration);
    }
    if (gw_message_n_headers(msg) == 0) {
        return GW_OK;
    }
    p->_flags |= AMQP_BASIC_HEADERS_FLAG;
    return gw__table_from_headers(msg, pool, &p->headers);
}

/* ---- in ------------------------------------------------------------------ */

/* The properties without the table at `at`, in the pool; NULL when out of memory. */
static uint8_t *without_headers(const uint8_t *data, size_t len, size_t at, size_t table_len,
                                amqp_pool_t *pool)
{
    uint8_t *copy = amqp_pool_alloc(pool, len - table_len);
    if (copy != NULL) {
        memcpy(copy, data, at);
        memcpy(copy + at, data + at + table_len, len - at - table_len);
        copy[0] = (uint8_t)(copy[0] & ~(AMQP_BASIC_HEADERS_FLAG >> 8));
    }
    return copy;
}

gw_status gw__properties_decode(const uint8_t *data, size_t len, amqp_pool_t *pool,
                                const amqp_basic_properties_t **ret_properties,
                                size_t *ret_left_out)
{
    size_t at = 0;
    size_t table_len = 0;
    gw_status st = gw__properties_find_headers(data, len, &at, &table_len);
    *ret_left_out = 0;
    if (st == GW_E_LIMIT) {
        /* Whoever published it must not be able to end our connection again and again. */
        data = without_headers(data, len, at, table_len, pool);
        len -= table_len;
        st = data == NULL ? GW_E_NOMEM : GW_OK;
        *ret_left_out = 1;
    }
    if (st != GW_OK) {
        return st;
    }
    amqp_bytes_t encoded = {.len = len, .bytes = (void *)(uintptr_t)data};
    void *decoded = NULL;
    int rc = amqp_decode_properties(AMQP_BASIC_CLASS, pool, encoded, &decoded);
    if (rc < 0) {
        return rc == AMQP_STATUS_NO_MEMORY ? GW_E_NOMEM : GW_E_PROTOCOL;
    }
    *ret_properties = decoded;
    return GW_OK;
}

/* Digits only, as RabbitMQ checks; -1 for anything else. */
static int64_t parse_expiration(amqp_bytes_t bytes)
{
    const char *text = bytes.bytes;
    int64_t ms = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (text[i] < '0' || text[i] > '9' || ms > INT64_MAX / 10 - 1) {
            return -1;
        }
        ms = ms * 10 + (text[i] - '0');
    }
    return bytes.len == 0 ? -1 : ms;
}

#define N_TEXTS 8

typedef struct text_of {
    gw__text which;
    amqp_bytes_t bytes;
} text_of;

/* The texts that are there; what has no flag was not initialised by the decoder. */
static size_t list_texts(const amqp_basic_properties_t *p, text_of texts[N_TEXTS])
{
    const struct {
        amqp_flags_t flag;
        gw__text which;
        const amqp_bytes_t *bytes;
    } all[N_TEXTS] = {
        {AMQP_BASIC_CONTENT_TYPE_FLAG, GW__TEXT_CONTENT_TYPE, &p->content_type},
        {AMQP_BASIC_CONTENT_ENCODING_FLAG, GW__TEXT_CONTENT_ENCODING, &p->content_encoding},
        {AMQP_BASIC_MESSAGE_ID_FLAG, GW__TEXT_ID, &p->message_id},
        {AMQP_BASIC_CORRELATION_ID_FLAG, GW__TEXT_CORRELATION_ID, &p->correlation_id},
        {AMQP_BASIC_REPLY_TO_FLAG, GW__TEXT_REPLY_TO, &p->reply_to},
        {AMQP_BASIC_TYPE_FLAG, GW__TEXT_TYPE, &p->type},
        {AMQP_BASIC_APP_ID_FLAG, GW__TEXT_APP_ID, &p->app_id},
        {AMQP_BASIC_USER_ID_FLAG, GW__TEXT_USER_ID, &p->user_id},
    };
    size_t n = 0;
    for (size_t i = 0; i < N_TEXTS; i++) {
        if ((p->_flags & all[i].flag) != 0) {
            texts[n++] = (text_of){all[i].which, *all[i].bytes};
        }
    }
    return n;
}

static gw_status fill(const amqp_basic_properties_t *p, amqp_pool_t *pool, size_t left_out,
                      gw_message *msg)
{
    gw_message_set_persistent(msg, (p->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 &&
                                       p->delivery_mode == PERSISTENT);
    if ((p->_flags & AMQP_BASIC_PRIORITY_FLAG) != 0) {
        gw_message_set_priority(msg, p->priority);
    }
    if ((p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0) {
        gw_message_set_timestamp(msg, p->timestamp);
    }
    if ((p->_flags & AMQP_BASIC_EXPIRATION_FLAG) != 0) {
        gw_message_set_expiration_ms(msg, parse_expiration(p->expiration));
    }
    gw_status st = GW_OK;
    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0) {
        st = gw__table_to_headers(&p->headers, pool, msg, &left_out);
    }
    if (st == GW_OK && left_out > 0) {
        st = gw_message_set_header_int(msg, GW__HEADERS_DROPPED, (int64_t)left_out);
        st = st == GW_E_NOMEM ? st : GW_OK; /* full of headers: the mark is left out as well */
    }
    return st;
}

gw_message *gw__properties_to_message(const amqp_basic_properties_t *properties, amqp_pool_t *pool,
                                      size_t left_out, size_t body_len, size_t spare)
{
    text_of texts[N_TEXTS];
    size_t n_texts = list_texts(properties, texts);
    for (size_t i = 0; i < n_texts; i++) {
        spare += texts[i].bytes.len + 1;
    }
    gw_message *msg = gw__message_new_sized(body_len, spare);
    gw_status st = msg == NULL ? GW_E_NOMEM : fill(properties, pool, left_out, msg);
    for (size_t i = 0; i < n_texts && st != GW_E_NOMEM; i++) {
        /* One with a NUL is left out. */
        st = gw__message_set_text(msg, texts[i].which, texts[i].bytes.bytes, texts[i].bytes.len);
    }
    if (st == GW_E_NOMEM) {
        gw_message_free(msg);
        return NULL;
    }
    return msg;
}
