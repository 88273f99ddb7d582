/* SPDX-License-Identifier: MIT */
#include "amqp/frame.h"

#include <stdbool.h>
#include <string.h>

#include <amqp.h>
#include <amqp_framing.h>

uint16_t gw__read_u16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

uint32_t gw__read_u32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

uint64_t gw__read_u64(const uint8_t *data)
{
    return (uint64_t)gw__read_u32(data) << 32 | gw__read_u32(data + 4);
}

/* ---- frames -------------------------------------------------------------- */

/* Least payload of a type; UINT32_MAX for a type that does not exist. */
static uint32_t least_payload(uint8_t type)
{
    switch (type) {
    case AMQP_FRAME_METHOD: return 4;
    case AMQP_FRAME_HEADER: return GW__HEADER_LEAST;
    case AMQP_FRAME_BODY:
    case AMQP_FRAME_HEARTBEAT: return 0;
    default: return UINT32_MAX;
    }
}

static gw_status check_head(const uint8_t *data, uint32_t size, uint32_t frame_max, gw_error *err)
{
    uint32_t least = least_payload(data[0]);
    if (least == UINT32_MAX) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "frame of unknown type %u", data[0]);
    }
    if (size > frame_max - GW__FRAME_OVERHEAD) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "frame of %u bytes, more than the agreed %u",
                            size, frame_max - GW__FRAME_OVERHEAD);
    }
    if (size < least) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "frame of type %u with only %u bytes", data[0],
                            size);
    }
    if (data[0] == AMQP_FRAME_HEARTBEAT && gw__read_u16(data + 1) != 0) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "heartbeat on channel %u",
                            gw__read_u16(data + 1));
    }
    return GW_OK;
}

gw_status gw__frame_parse(const uint8_t *data, size_t len, uint32_t frame_max, gw__frame *ret_frame,
                          size_t *ret_len, gw_error *err)
{
    *ret_len = 0;
    if (len < GW__FRAME_HEAD) {
        return GW_OK;
    }
    uint32_t size = gw__read_u32(data + 3);
    gw_status st = check_head(data, size, frame_max, err);
    if (st != GW_OK || len < (size_t)size + GW__FRAME_OVERHEAD) {
        return st;
    }
    if (data[GW__FRAME_HEAD + size] != AMQP_FRAME_END) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "frame with the wrong end byte");
    }
    *ret_frame = (gw__frame){.type = data[0],
                             .channel = gw__read_u16(data + 1),
                             .len = size,
                             .payload = data + GW__FRAME_HEAD};
    *ret_len = (size_t)size + GW__FRAME_OVERHEAD;
    return GW_OK;
}

/* ---- tables -------------------------------------------------------------- */

/* Bytes of a field's value without those that its own length adds; -1 for an unknown kind. */
static int fixed_len(uint8_t kind)
{
    switch (kind) {
    case AMQP_FIELD_KIND_VOID: return 0;
    case AMQP_FIELD_KIND_BOOLEAN:
    case AMQP_FIELD_KIND_I8:
    case AMQP_FIELD_KIND_U8: return 1;
    case AMQP_FIELD_KIND_I16:
    case AMQP_FIELD_KIND_U16: return 2;
    case AMQP_FIELD_KIND_I32:
    case AMQP_FIELD_KIND_U32:
    case AMQP_FIELD_KIND_F32: return 4;
    case AMQP_FIELD_KIND_DECIMAL: return 5;
    case AMQP_FIELD_KIND_I64:
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_F64:
    case AMQP_FIELD_KIND_TIMESTAMP: return 8;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
    case AMQP_FIELD_KIND_ARRAY:
    case AMQP_FIELD_KIND_TABLE: return 4;
    default: return -1;
    }
}

static bool has_length(uint8_t kind)
{
    return kind == AMQP_FIELD_KIND_UTF8 || kind == AMQP_FIELD_KIND_BYTES ||
           kind == AMQP_FIELD_KIND_ARRAY || kind == AMQP_FIELD_KIND_TABLE;
}

/* A walk through a table: where each table or array that we are inside of ends. */
typedef struct walk {
    const uint8_t *data;
    size_t at;
    unsigned depth; /* the innermost is ends[depth - 1] */
    struct {
        size_t end;
        bool is_table; /* its items have names */
    } open[GW__TABLE_DEPTH_MAX];
} walk;

static gw_status enter(walk *w, size_t len, bool is_table)
{
    if (w->depth == GW__TABLE_DEPTH_MAX) {
        return GW_E_LIMIT;
    }
    w->open[w->depth].end = w->at + len;
    w->open[w->depth].is_table = is_table;
    w->depth++;
    return GW_OK;
}

/* Step over one item of the innermost table or array, into it if it is one itself. */
static gw_status step(walk *w)
{
    size_t end = w->open[w->depth - 1].end;
    if (w->open[w->depth - 1].is_table) {
        size_t name_len = w->data[w->at];
        if (end - w->at < 1 + name_len) {
            return GW_E_PROTOCOL;
        }
        w->at += 1 + name_len;
    }
    if (w->at == end) {
        return GW_E_PROTOCOL;
    }
    uint8_t kind = w->data[w->at++];
    int fixed = fixed_len(kind);
    if (fixed < 0 || end - w->at < (size_t)fixed) {
        return GW_E_PROTOCOL;
    }
    size_t len = has_length(kind) ? gw__read_u32(w->data + w->at) : 0;
    w->at += (size_t)fixed;
    if (end - w->at < len) {
        return GW_E_PROTOCOL;
    }
    if (kind == AMQP_FIELD_KIND_TABLE || kind == AMQP_FIELD_KIND_ARRAY) {
        return enter(w, len, kind == AMQP_FIELD_KIND_TABLE);
    }
    w->at += len;
    return GW_OK;
}

gw_status gw__table_measure(const uint8_t *data, size_t len, size_t *ret_len)
{
    if (len < 4 || gw__read_u32(data) > len - 4) {
        return GW_E_PROTOCOL;
    }
    walk w = {.data = data, .at = 4};
    gw_status st = enter(&w, gw__read_u32(data), true);
    size_t whole = 4 + (size_t)gw__read_u32(data);
    while (st == GW_OK && w.depth > 0) {
        if (w.at == w.open[w.depth - 1].end) {
            w.depth--;
        } else {
            st = step(&w);
        }
    }
    if (st != GW_E_PROTOCOL) {
        *ret_len = whole;
    }
    return st;
}

gw_status gw__properties_find_headers(const uint8_t *data, size_t len, size_t *ret_at,
                                      size_t *ret_len)
{
    *ret_at = 0;
    *ret_len = 0;
    if (len < 2) {
        return GW_E_PROTOCOL;
    }
    unsigned flags = gw__read_u16(data);
    size_t at = 2;
    /* The low bit says that more flags follow, which the basic class has no use for. */
    if ((flags & 1u) != 0) {
        return GW_E_PROTOCOL;
    }
    if ((flags & AMQP_BASIC_HEADERS_FLAG) == 0) {
        return GW_OK;
    }
    static const unsigned before[] = {AMQP_BASIC_CONTENT_TYPE_FLAG,
                                      AMQP_BASIC_CONTENT_ENCODING_FLAG};
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        if ((flags & before[i]) != 0) {
            if (at >= len || len - at < 1u + data[at]) {
                return GW_E_PROTOCOL;
            }
            at += 1u + data[at];
        }
    }
    size_t table_len = 0;
    gw_status st = gw__table_measure(data + at, len - at, &table_len);
    if (st != GW_E_PROTOCOL) {
        *ret_at = at;
        *ret_len = table_len;
    }
    return st;
}
