/* SPDX-License-Identifier: MIT */
/*
 * A message from its record. Every length is checked against what is left before it is used, and
 * headers are counted as gw_message_set_header() counts them before memory is taken, so that what
 * is read takes no more than its size and the headers' structs. What is built goes into the
 * message's own memory. Recursion is at most GW_VALUE_DEPTH_MAX deep. The layout is at the top of
 * record.c.
 */
#include "bus/record.h"

#include <stddef.h>
#include <string.h>

#include "bus/record_format.h"
#include "messaging/message.h"

/* What a header takes at least: a name of one byte and a null, and for the headers' limit. */
#define HEADER_LEN_MIN 3
#define HEADERS_MAX    (GW_MESSAGE_HEADERS_MAX / (GW__VALUE_SIZE + 2))

typedef struct reader {
    const uint8_t *bytes;
    size_t at;
    size_t end;     /* of the texts and headers: the body begins */
    size_t counted; /* what the headers take, for GW_MESSAGE_HEADERS_MAX */
    gw_message *msg;
    gw_error *err;
} reader;

static gw_status wrong(const reader *in, size_t at, const char *what)
{
    return gw_error_set(in->err, GW_E_PROTOCOL, 0, "stored message: offset %zu: %s", at, what);
}

static gw_status no_memory(const reader *in)
{
    return gw_error_set(in->err, GW_E_NOMEM, 0, "stored message: out of memory");
}

static gw_status need(const reader *in, size_t len, const char *what)
{
    if (len <= in->end - in->at) {
        return GW_OK;
    }
    return gw_error_set(in->err, GW_E_PROTOCOL, 0,
                        "stored message: offset %zu: %s takes %zu bytes, of which %zu are there",
                        in->at, what, len, in->end - in->at);
}

/* These three only after need(). */
static uint8_t take_u8(reader *in)
{
    return in->bytes[in->at++];
}

static uint32_t take_u32(reader *in)
{
    const uint8_t *at = in->bytes + in->at;
    in->at += 4;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t take_u64(reader *in)
{
    uint64_t low = take_u32(in);
    return low | (uint64_t)take_u32(in) << 32;
}

/* Count towards the limit of all headers, before memory is taken. */
static gw_status count(reader *in, size_t size)
{
    if (size > GW_MESSAGE_HEADERS_MAX - in->counted) {
        return wrong(in, in->at, "the headers are larger than a message may have");
    }
    in->counted += size;
    return GW_OK;
}

/* A copy with a NUL behind it, in the message's memory; only after need(). */
static gw_status take_bytes(reader *in, size_t len, const char **ret_bytes)
{
    char *copy = gw__message_take(in->msg, len + 1, 1);
    if (copy == NULL) {
        return no_memory(in);
    }
    memcpy(copy, in->bytes + in->at, len);
    copy[len] = '\0';
    in->at += len;
    *ret_bytes = copy;
    return GW_OK;
}

static gw_status read_value(reader *in, unsigned depth, gw_value *ret_value);

static gw_status read_name(reader *in, const char **ret_name)
{
    gw_status st = need(in, 1, "the length of a name");
    if (st != GW_OK) {
        return st;
    }
    size_t len = take_u8(in);
    st = need(in, len, "a name");
    if (st == GW_OK) {
        st = count(in, len + 1);
    }
    if (st == GW_OK && memchr(in->bytes + in->at, '\0', len) != NULL) {
        st = wrong(in, in->at, "a name has a NUL in it");
    }
    return st != GW_OK ? st : take_bytes(in, len, ret_name);
}

static gw_status read_item(reader *in, unsigned depth, gw_header *ret_item)
{
    gw_status st = read_name(in, &ret_item->name);
    return st != GW_OK ? st : read_value(in, depth, &ret_item->value);
}

static gw_status read_text(reader *in, gw_value *ret_value)
{
    gw_status st = need(in, 4, "a length");
    if (st != GW_OK) {
        return st;
    }
    size_t len = take_u32(in);
    st = need(in, len, "a value");
    if (st == GW_OK) {
        st = count(in, len);
    }
    ret_value->as.bytes.len = len;
    return st != GW_OK ? st : take_bytes(in, len, &ret_value->as.bytes.data);
}

/* Memory for as many items as the record says, of which each takes `item_len` bytes of it and
 * `counted` of the headers' limit at least. */
static gw_status read_count(reader *in, size_t item_len, size_t counted, size_t item_size,
                            size_t *ret_n_items, void **ret_items)
{
    gw_status st = need(in, 4, "a number of items");
    if (st != GW_OK) {
        return st;
    }
    size_t n = take_u32(in);
    if (n > (in->end - in->at) / item_len) {
        return wrong(in, in->at - 4, "more items than there are bytes for");
    }
    if (n > (GW_MESSAGE_HEADERS_MAX - in->counted) / counted) {
        return wrong(in, in->at - 4, "more items than a message may have");
    }
    *ret_n_items = n;
    *ret_items = gw__message_take(in->msg, (n + 1) * item_size, _Alignof(max_align_t));
    return *ret_items == NULL ? no_memory(in) : GW_OK;
}

static gw_status read_array(reader *in, unsigned depth, gw_value *ret_value)
{
    void *memory = NULL;
    size_t n = 0;
    gw_status st = read_count(in, 1, GW__VALUE_SIZE, sizeof(gw_value), &n, &memory);
    gw_value *items = memory;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = read_value(in, depth + 1, &items[i]);
    }
    ret_value->as.array.items = items;
    ret_value->as.array.n_items = n;
    return st;
}

static gw_status read_table(reader *in, unsigned depth, gw_value *ret_value)
{
    void *memory = NULL;
    size_t n = 0;
    gw_status st = read_count(in, 2, GW__VALUE_SIZE + 1, sizeof(gw_header), &n, &memory);
    gw_header *items = memory;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = read_item(in, depth + 1, &items[i]);
    }
    ret_value->as.table.items = items;
    ret_value->as.table.n_items = n;
    return st;
}

static gw_status read_bool(reader *in, gw_value *ret_value)
{
    gw_status st = need(in, 1, "a value");
    if (st != GW_OK) {
        return st;
    }
    uint8_t byte = take_u8(in);
    if (byte > 1) {
        return wrong(in, in->at - 1, "a boolean that is neither 0 nor 1");
    }
    ret_value->as.boolean = byte != 0;
    return GW_OK;
}

static gw_status read_number(reader *in, gw_value *ret_value)
{
    gw_status st = need(in, ret_value->kind == GW_VALUE_DECIMAL ? 5 : 8, "a value");
    if (st != GW_OK) {
        return st;
    }
    if (ret_value->kind == GW_VALUE_DECIMAL) {
        ret_value->as.decimal.scale = take_u8(in);
        ret_value->as.decimal.digits = take_u32(in);
        return GW_OK;
    }
    uint64_t bits = take_u64(in);
    if (ret_value->kind == GW_VALUE_INT) {
        ret_value->as.integer = (int64_t)bits;
    } else if (ret_value->kind == GW_VALUE_DOUBLE) {
        memcpy(&ret_value->as.real, &bits, sizeof(bits));
    } else {
        ret_value->as.uinteger = bits;
    }
    return GW_OK;
}

static gw_status read_value(reader *in, unsigned depth, gw_value *ret_value)
{
    if (depth > GW_VALUE_DEPTH_MAX) {
        return wrong(in, in->at, "arrays and tables are nested too deeply");
    }
    gw_status st = need(in, 1, "the kind of a value");
    if (st == GW_OK) {
        st = count(in, GW__VALUE_SIZE);
    }
    if (st != GW_OK) {
        return st;
    }
    uint8_t kind = take_u8(in);
    *ret_value = (gw_value){.kind = (gw_value_kind)kind};
    switch (kind) {
    case GW_VALUE_NULL: return GW_OK;
    case GW_VALUE_BOOL: return read_bool(in, ret_value);
    case GW_VALUE_INT:
    case GW_VALUE_UINT:
    case GW_VALUE_DOUBLE:
    case GW_VALUE_DECIMAL:
    case GW_VALUE_TIME: return read_number(in, ret_value);
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES: return read_text(in, ret_value);
    case GW_VALUE_ARRAY: return read_array(in, depth, ret_value);
    case GW_VALUE_TABLE: return read_table(in, depth, ret_value);
    default: return wrong(in, in->at - 1, "no kind of value");
    }
}

static gw_status read_header(reader *in)
{
    size_t at = in->at;
    size_t counted = in->counted;
    gw_header header;
    gw_status st = read_item(in, 0, &header);
    if (st != GW_OK) {
        return st;
    }
    st = gw__message_adopt_header(in->msg, &header, in->counted - counted);
    switch (st) {
    case GW_OK: return st;
    case GW_E_NOMEM: return no_memory(in);
    case GW_E_EXISTS: return wrong(in, at, "a second header of the name");
    default: return wrong(in, at, "a header without a name");
    }
}

static gw_status read_texts(reader *in, uint32_t present)
{
    for (unsigned i = 0; i < GW__RECORD_N_TEXTS; i++) {
        if ((present & 1U << i) == 0) {
            continue;
        }
        gw_status st = need(in, 1, "the length of a text");
        if (st != GW_OK) {
            return st;
        }
        size_t len = take_u8(in);
        st = need(in, len, "a text");
        if (st != GW_OK) {
            return st;
        }
        st = gw__message_set_text(in->msg, (gw__text)i, (const char *)in->bytes + in->at, len);
        if (st != GW_OK) {
            return st == GW_E_NOMEM ? no_memory(in) : wrong(in, in->at, "a text has a NUL in it");
        }
        in->at += len;
    }
    return GW_OK;
}

static gw_status read_numbers(reader *in, uint8_t flags)
{
    uint32_t priority = take_u32(in);
    uint64_t timestamp = take_u64(in);
    int64_t expiration_ms = (int64_t)take_u64(in);
    if (priority > UINT8_MAX) {
        return wrong(in, 13, "not 0");
    }
    if (expiration_ms < -1) {
        return wrong(in, 24, "an expiration below -1");
    }
    gw_message_set_persistent(in->msg, (flags & GW__RECORD_PERSISTENT) != 0);
    gw_message_set_mandatory(in->msg, (flags & GW__RECORD_MANDATORY) != 0);
    gw_message_set_priority(in->msg, (uint8_t)priority);
    gw_message_set_timestamp(in->msg, timestamp);
    gw_message_set_expiration_ms(in->msg, expiration_ms);
    return GW_OK;
}

static gw_status check_version(const reader *in)
{
    gw_status st = need(in, 1, "the version");
    if (st == GW_OK && in->bytes[0] > GW__RECORD_VERSION) {
        st = gw_error_set(in->err, GW_E_UNSUPPORTED, 0,
                          "stored message: it has version %u, and this program knows none above "
                          "%u: run the newer program that stored it",
                          in->bytes[0], GW__RECORD_VERSION);
    } else if (st == GW_OK && in->bytes[0] != GW__RECORD_VERSION) {
        st = wrong(in, 0, "no version of a stored message");
    }
    return st != GW_OK ? st : need(in, GW__RECORD_HEAD_LEN, "the head");
}

/* A message with room for all that follows, of one allocation unless values nest. */
static gw_status make_message(reader *in, size_t n_headers, size_t body_len)
{
    size_t rest = in->end - GW__RECORD_HEAD_LEN;
    if (body_len > rest || body_len > GW_MESSAGE_BODY_MAX) {
        return wrong(in, 8, "a body longer than what is there, or than a body may be");
    }
    rest -= body_len;
    if (n_headers > rest / HEADER_LEN_MIN || n_headers > HEADERS_MAX) {
        return wrong(in, 4, "more headers than there are bytes for, or than a message may have");
    }
    size_t spare = rest + n_headers * sizeof(gw_header) + _Alignof(gw_header);
    in->msg = gw__message_new_sized(body_len, spare);
    if (in->msg == NULL) {
        return no_memory(in);
    }
    in->end -= body_len;
    memcpy(gw__message_body_buffer(in->msg), in->bytes + in->end, body_len);
    return GW_OK;
}

static gw_status read_headers(reader *in, size_t n_headers)
{
    if (gw__message_reserve_headers(in->msg, n_headers) != GW_OK) {
        return no_memory(in);
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_headers; i++) {
        st = read_header(in);
    }
    return st == GW_OK && in->at != in->end ? wrong(in, in->at, "more bytes than it takes") : st;
}

static gw_status read_message(reader *in)
{
    uint32_t first = take_u32(in);
    size_t n_headers = take_u32(in);
    size_t body_len = take_u32(in);
    uint8_t flags = (uint8_t)(first >> 8);
    uint32_t present = first >> 16;
    if ((flags & ~(GW__RECORD_PERSISTENT | GW__RECORD_MANDATORY)) != 0) {
        return wrong(in, 1, "flags of no meaning");
    }
    if (present >> GW__RECORD_N_TEXTS != 0) {
        return wrong(in, 2, "texts of no meaning");
    }
    gw_status st = make_message(in, n_headers, body_len);
    if (st == GW_OK) {
        st = read_numbers(in, flags);
    }
    if (st == GW_OK) {
        st = read_texts(in, present);
    }
    return st == GW_OK ? read_headers(in, n_headers) : st;
}

gw_status gw__record_read(const uint8_t *bytes, size_t len, gw_message **ret_msg, gw_error *err)
{
    reader in = {.bytes = bytes, .end = len, .err = err};
    gw_status st = check_version(&in);
    if (st == GW_OK) {
        st = read_message(&in);
    }
    if (st != GW_OK) {
        gw_message_free(in.msg);
        return st;
    }
    *ret_msg = in.msg;
    return GW_OK;
}
