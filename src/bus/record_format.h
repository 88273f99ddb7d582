/* SPDX-License-Identifier: MIT */
/* What writing and reading a record share. The layout is at the top of record.c. */
#ifndef GW_BUS_RECORD_FORMAT_H
#define GW_BUS_RECORD_FORMAT_H

#include <assert.h>
#include <stdint.h>

#include "messaging/message.h"

#define GW__RECORD_VERSION    1
#define GW__RECORD_HEAD_LEN   32
#define GW__RECORD_PERSISTENT 1U
#define GW__RECORD_MANDATORY  2U
#define GW__RECORD_N_TEXTS    (GW__TEXT_ROUTING_KEY + 1)

/* The store outlives the program: what is numbered here must never be numbered anew. */
static_assert(GW__TEXT_CONTENT_TYPE == 0 && GW__TEXT_CONTENT_ENCODING == 1 && GW__TEXT_ID == 2 &&
                  GW__TEXT_CORRELATION_ID == 3 && GW__TEXT_REPLY_TO == 4 && GW__TEXT_TYPE == 5 &&
                  GW__TEXT_APP_ID == 6 && GW__TEXT_USER_ID == 7 && GW__TEXT_ROUTING_KEY == 8,
              "the order of the texts is stored");
static_assert(GW_VALUE_NULL == 0 && GW_VALUE_BOOL == 1 && GW_VALUE_INT == 2 && GW_VALUE_UINT == 3 &&
                  GW_VALUE_DOUBLE == 4 && GW_VALUE_DECIMAL == 5 && GW_VALUE_TEXT == 6 &&
                  GW_VALUE_BYTES == 7 && GW_VALUE_TIME == 8 && GW_VALUE_ARRAY == 9 &&
                  GW_VALUE_TABLE == 10,
              "the kinds of values are stored");
static_assert(GW_MESSAGE_TEXT_MAX <= UINT8_MAX && GW_MESSAGE_BODY_MAX <= UINT32_MAX, "lengths fit");

#endif
