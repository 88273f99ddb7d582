/* SPDX-License-Identifier: MIT */
/*
 * Frames on their way out, appended to a buffer that is written in one go. A piece that cannot be
 * encoded leaves the buffer as it was.
 */
#ifndef GW_AMQP_WIRE_H
#define GW_AMQP_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <amqp.h>
#include <amqp_framing.h>

#include <godwit/buf.h>
#include <godwit/status.h>

/* GW_E_LIMIT when it does not fit a frame of GW__FRAME_MAX_LEAST bytes, which every method we send
 * does unless a name is too long; the buffer's failures. */
gw_status gw__wire_method(gw_buf *out, uint16_t channel, amqp_method_number_t id, void *method);

/* The header of a content. GW_E_LIMIT when the properties do not fit one frame of `frame_max`. */
gw_status gw__wire_header(gw_buf *out, uint16_t channel, amqp_basic_properties_t *properties,
                          uint64_t body_size, uint32_t frame_max);

/* One piece of a body; `len` is at most frame_max - 8. */
gw_status gw__wire_body(gw_buf *out, uint16_t channel, const void *body, size_t len);

gw_status gw__wire_heartbeat(gw_buf *out);

#endif
