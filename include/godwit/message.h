/* SPDX-License-Identifier: MIT */
/**
 * @file message.h
 * A message: bytes and what is said about them. The terms are those of AMQP 0-9-1's basic class.
 *
 * A message is used by one thread at a time. Setters copy. Text properties hold at most 255 bytes
 * and no NUL (AMQP's short strings); NULL removes one. A received message has every property that
 * its sender set.
 */
#ifndef GODWIT_MESSAGE_H
#define GODWIT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/status.h>

GW_BEGIN_DECLS

typedef struct gw_message gw_message;

#define GW_MESSAGE_BODY_MAX    ((size_t)128 << 20) /**< what RabbitMQ takes by default */
#define GW_MESSAGE_TEXT_MAX    255                 /**< bytes of a text property */
#define GW_MESSAGE_HEADERS_MAX ((size_t)64 << 10)  /**< bytes of all headers together, about */
#define GW_VALUE_DEPTH_MAX     32                  /**< nesting of arrays and tables in a header */

/** @name Header values @{ */

typedef enum gw_value_kind {
    GW_VALUE_NULL,
    GW_VALUE_BOOL,
    GW_VALUE_INT,
    GW_VALUE_UINT, /**< only above INT64_MAX */
    GW_VALUE_DOUBLE,
    GW_VALUE_DECIMAL,
    GW_VALUE_TEXT,
    GW_VALUE_BYTES,
    GW_VALUE_TIME, /**< seconds since 1970-01-01 */
    GW_VALUE_ARRAY,
    GW_VALUE_TABLE
} gw_value_kind;

typedef struct gw_value gw_value;
typedef struct gw_header gw_header;

struct gw_value {
    gw_value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t uinteger; /**< UINT and TIME */
        double real;
        struct {
            uint8_t scale; /**< digits behind the point */
            uint32_t digits;
        } decimal;
        struct {
            const char *data; /**< TEXT is NUL-terminated as well */
            size_t len;
        } bytes; /**< TEXT and BYTES */
        struct {
            const gw_value *items;
            size_t n_items;
        } array;
        struct {
            const gw_header *items;
            size_t n_items;
        } table;
    } as;
};

struct gw_header {
    const char *name; /**< at most 255 bytes */
    gw_value value;
};

/** @} */

/**
 * A message with a copy of the body. It is persistent, has no content type and gets its message id
 * when it is published.
 * @return NULL when out of memory or `len` is above GW_MESSAGE_BODY_MAX.
 */
GW_API gw_message *gw_message_new(const void *body, size_t len);

/** An independent copy, without the delivery's exchange, queue and count; NULL when out of memory.
 */
GW_API gw_message *gw_message_dup(const gw_message *msg);

/** Accepts NULL. */
GW_API void gw_message_free(gw_message *msg);

/** @name Properties of every message. Getters return NULL (or 0) when absent; strings are borrowed.
 * @{ */

GW_API const void *gw_message_body(const gw_message *msg, size_t *ret_len);
GW_API const char *gw_message_content_type(const gw_message *msg);
GW_API const char *gw_message_content_encoding(const gw_message *msg);
GW_API const char *gw_message_id(const gw_message *msg);
GW_API const char *gw_message_correlation_id(const gw_message *msg);
GW_API const char *gw_message_reply_to(const gw_message *msg);
GW_API const char *gw_message_type(const gw_message *msg);
GW_API const char *gw_message_app_id(const gw_message *msg);
GW_API const char *gw_message_user_id(const gw_message *msg);
GW_API const char *gw_message_routing_key(const gw_message *msg);
GW_API bool gw_message_is_persistent(const gw_message *msg);
GW_API bool gw_message_is_mandatory(const gw_message *msg);
/** 0 to 255; 0 when absent. */
GW_API uint8_t gw_message_priority(const gw_message *msg);
/** Seconds since 1970-01-01; 0 when absent. */
GW_API uint64_t gw_message_timestamp(const gw_message *msg);
/** Milliseconds it may wait in a queue; -1 when it does not expire. */
GW_API int64_t gw_message_expiration_ms(const gw_message *msg);

/** All setters: GW_OK, GW_E_LIMIT when too long, GW_E_NOMEM; the message is unchanged on failure.
 */
GW_API GW_MUST_CHECK gw_status gw_message_set_content_type(gw_message *msg, const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_content_encoding(gw_message *msg, const char *text);
/** Without one, publishing gives it a UUID version 7 (godwit/id.h). */
GW_API GW_MUST_CHECK gw_status gw_message_set_id(gw_message *msg, const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_correlation_id(gw_message *msg, const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_reply_to(gw_message *msg, const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_type(gw_message *msg, const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_app_id(gw_message *msg, const char *text);
/** RabbitMQ refuses a message whose user id is not the connection's user. */
GW_API GW_MUST_CHECK gw_status gw_message_set_user_id(gw_message *msg, const char *text);
/** For gw_publish(); without one the exchange's name is the key. gw_publish_on_queue() ignores it.
 */
GW_API GW_MUST_CHECK gw_status gw_message_set_routing_key(gw_message *msg, const char *text);
GW_API void gw_message_set_persistent(gw_message *msg, bool on);
/** Report the message as unroutable (gw_client_options.on_failed) when no queue takes it. */
GW_API void gw_message_set_mandatory(gw_message *msg, bool on);
GW_API void gw_message_set_priority(gw_message *msg, uint8_t priority);
GW_API void gw_message_set_timestamp(gw_message *msg, uint64_t unix_s);
/** Negative: does not expire. */
GW_API void gw_message_set_expiration_ms(gw_message *msg, int64_t ms);

/** @} @name Headers: names are unique, order is kept. @{ */

GW_API size_t gw_message_n_headers(const gw_message *msg);
/** The i-th header, borrowed until a header is set; NULL past the end. */
GW_API const gw_header *gw_message_header_at(const gw_message *msg, size_t i);
/** NULL if there is none of the name. */
GW_API const gw_value *gw_message_header(const gw_message *msg, const char *name);
/** The text of a TEXT header, NULL otherwise. */
GW_API const char *gw_message_header_text(const gw_message *msg, const char *name);
/** The value of an INT header, `otherwise` if it is none. */
GW_API int64_t gw_message_header_int(const gw_message *msg, const char *name, int64_t otherwise);

/**
 * Set or replace a header; a deep copy is kept.
 * @return GW_OK; GW_E_INVALID for an empty name or NULL; GW_E_LIMIT for a name above 255 bytes,
 * GW_MESSAGE_HEADERS_MAX (replaced headers count as well) or GW_VALUE_DEPTH_MAX; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_message_set_header(gw_message *msg, const char *name,
                                                     const gw_value *value);
GW_API GW_MUST_CHECK gw_status gw_message_set_header_text(gw_message *msg, const char *name,
                                                          const char *text);
GW_API GW_MUST_CHECK gw_status gw_message_set_header_int(gw_message *msg, const char *name,
                                                         int64_t value);

/** @} @name What only a received message has. @{ */

/** The exchange it was published to; "" for the default exchange. */
GW_API const char *gw_message_exchange(const gw_message *msg);
/** The queue it came from. */
GW_API const char *gw_message_queue(const gw_message *msg);
/** Whether the broker delivered it before, to this or another consumer. */
GW_API bool gw_message_is_redelivered(const gw_message *msg);
/** How often a handler has been given it, in any instance, this time included: 1, 2, ... An attempt
 * that was cut off, by a crash or a lost connection, does not count. */
GW_API unsigned gw_message_attempt(const gw_message *msg);

/** @} */

GW_END_DECLS

#endif
