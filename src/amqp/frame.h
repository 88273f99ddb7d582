/* SPDX-License-Identifier: MIT */
/*
 * Frames as they come in: found and checked before anything else looks at them.
 *
 * librabbitmq decodes what is inside, but believes what it reads: it takes any frame type and
 * channel, and recurses into tables as deep as the sender likes. So nothing reaches it that was not
 * measured here.
 */
#ifndef GW_AMQP_FRAME_H
#define GW_AMQP_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define GW__FRAME_HEAD      7      /* type, channel, size */
#define GW__FRAME_OVERHEAD  8      /* and the end byte */
#define GW__FRAME_MAX_LEAST 4096   /* what every peer must take; a smaller limit is an attack */
#define GW__FRAME_MAX       131072 /* what we ask for at most */

/* Nesting that is let through to librabbitmq's recursive decoder. */
#define GW__TABLE_DEPTH_MAX 100

/* Payload bytes of a content header before its properties: class, weight, body size, flags. */
#define GW__HEADER_LEAST 14

typedef struct gw__frame {
    uint8_t type; /* AMQP_FRAME_METHOD, _HEADER, _BODY or _HEARTBEAT */
    uint16_t channel;
    uint32_t len;
    const uint8_t *payload; /* borrowed from the input */
} gw__frame;

/*
 * The frame at the start of `data`. `ret_len` is set to its whole length, or to 0 when more bytes
 * are needed. GW_E_PROTOCOL for anything that is not a frame of at most `frame_max` bytes; as soon
 * as the first seven bytes tell.
 */
gw_status gw__frame_parse(const uint8_t *data, size_t len, uint32_t frame_max, gw__frame *ret_frame,
                          size_t *ret_len, gw_error *err);

/*
 * Measure the encoded table at the start of `data` without recursion: `ret_len` is set to its bytes
 * with the length in front, also for GW_E_LIMIT: nested deeper than GW__TABLE_DEPTH_MAX.
 * GW_E_PROTOCOL for what is no table.
 */
gw_status gw__table_measure(const uint8_t *data, size_t len, size_t *ret_len);

/*
 * Find the headers table among encoded basic properties (flags first). `ret_at` and `ret_len` are
 * both 0 when there is none. Statuses of gw__table_measure().
 */
gw_status gw__properties_find_headers(const uint8_t *data, size_t len, size_t *ret_at,
                                      size_t *ret_len);

uint16_t gw__read_u16(const uint8_t *data);
uint32_t gw__read_u32(const uint8_t *data);
uint64_t gw__read_u64(const uint8_t *data);

#endif
