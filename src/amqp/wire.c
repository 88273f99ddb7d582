/* SPDX-License-Identifier: MIT */
#include "amqp/wire.h"

#include <string.h>

#include "amqp/frame.h"

static uint8_t *put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}

static uint8_t *put_u32(uint8_t *to, uint32_t value)
{
    return put_u16(put_u16(to, (uint16_t)(value >> 16)), (uint16_t)value);
}

static uint8_t *put_u64(uint8_t *to, uint64_t value)
{
    return put_u32(put_u32(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

/* Where the next frame's payload goes, with room for `len` bytes of it; NULL when there is none. */
static uint8_t *payload_room(gw_buf *out, size_t len)
{
    if (gw_buf_reserve(out, len + GW__FRAME_OVERHEAD) != GW_OK) {
        return NULL;
    }
    return (uint8_t *)out->data + out->len + GW__FRAME_HEAD;
}

/* Put head and end around the `len` bytes of payload that were written at payload_room(). */
static void finish_frame(gw_buf *out, uint8_t type, uint16_t channel, size_t len)
{
    uint8_t *at = (uint8_t *)out->data + out->len;
    *at++ = type;
    at = put_u16(at, channel);
    at = put_u32(at, (uint32_t)len);
    at[len] = AMQP_FRAME_END;
    out->len += len + GW__FRAME_OVERHEAD;
}

gw_status gw__wire_method(gw_buf *out, uint16_t channel, amqp_method_number_t id, void *method)
{
    uint8_t *at = payload_room(out, GW__FRAME_MAX_LEAST);
    if (at == NULL) {
        return gw_buf_status(out);
    }
    put_u32(at, id);
    amqp_bytes_t room = {.len = GW__FRAME_MAX_LEAST - GW__FRAME_OVERHEAD - 4, .bytes = at + 4};
    int len = amqp_encode_method(id, method, room);
    if (len < 0) {
        return GW_E_LIMIT;
    }
    finish_frame(out, AMQP_FRAME_METHOD, channel, 4 + (size_t)len);
    return GW_OK;
}

gw_status gw__wire_header(gw_buf *out, uint16_t channel, amqp_basic_properties_t *properties,
                          uint64_t body_size, uint32_t frame_max)
{
    /* Without a headers table, nine short strings and a few numbers are all there can be. */
    bool small = (properties->_flags & AMQP_BASIC_HEADERS_FLAG) == 0;
    size_t room_len = (small ? GW__FRAME_MAX_LEAST : frame_max) - GW__FRAME_OVERHEAD;
    uint8_t *at = payload_room(out, room_len);
    if (at == NULL) {
        return gw_buf_status(out);
    }
    put_u64(put_u16(put_u16(at, AMQP_BASIC_CLASS), 0), body_size);
    amqp_bytes_t room = {.len = room_len - 12, .bytes = at + 12};
    int len = amqp_encode_properties(AMQP_BASIC_CLASS, properties, room);
    if (len < 0) {
        return GW_E_LIMIT;
    }
    finish_frame(out, AMQP_FRAME_HEADER, channel, 12 + (size_t)len);
    return GW_OK;
}

gw_status gw__wire_body(gw_buf *out, uint16_t channel, const void *body, size_t len)
{
    uint8_t *at = payload_room(out, len);
    if (at == NULL) {
        return gw_buf_status(out);
    }
    memcpy(at, body, len);
    finish_frame(out, AMQP_FRAME_BODY, channel, len);
    return GW_OK;
}

gw_status gw__wire_heartbeat(gw_buf *out)
{
    if (payload_room(out, 0) == NULL) {
        return gw_buf_status(out);
    }
    finish_frame(out, AMQP_FRAME_HEARTBEAT, 0, 0);
    return GW_OK;
}
