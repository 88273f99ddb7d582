/* SPDX-License-Identifier: MIT */
/**
 * @file buf.h
 * The one growing byte buffer of the library, with a limit.
 *
 * Errors stick: once an append failed (out of memory, or past the limit), later appends do nothing,
 * and gw_buf_status() tells. So a writer appends freely and checks once. One thread at a time.
 */
#ifndef GODWIT_BUF_H
#define GODWIT_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/status.h>

GW_BEGIN_DECLS

typedef struct gw_buf {
    char *data;       /**< the bytes; NUL-terminated once anything was appended; NULL when empty */
    size_t len;       /**< bytes in use, without the NUL */
    size_t cap;       /**< private */
    size_t limit;     /**< most bytes it may hold */
    gw_status status; /**< GW_OK, GW_E_NOMEM, GW_E_LIMIT; GW_E_INVALID for text that cannot be
                         formatted */
} gw_buf;

/** An empty buffer on the stack or in a struct. `max_len`: most bytes it may hold, 0 for 64 MiB. */
GW_API void gw_buf_init(gw_buf *buf, size_t max_len);

/** Free the bytes. The buffer is empty afterwards and may be used again. Accepts NULL. */
GW_API void gw_buf_dispose(gw_buf *buf);

/** Forget the bytes and the error; keeps the memory. */
GW_API void gw_buf_clear(gw_buf *buf);

/** Make room for `n` more bytes. */
GW_API gw_status gw_buf_reserve(gw_buf *buf, size_t n);

/** Append bytes, all or none: here and below, what does not fit is not added in part. They are not
 * the buffer's own. */
GW_API void gw_buf_add(gw_buf *buf, const void *bytes, size_t len);
GW_API void gw_buf_add_char(gw_buf *buf, char c);
GW_API void gw_buf_add_str(gw_buf *buf, const char *str);
GW_API void gw_buf_addf(gw_buf *buf, const char *format, ...) GW_PRINTF(2, 3);

/**
 * Append a JSON string with its quotes (RFC 8259 section 7): quotes, backslashes and control
 * characters are escaped, and bytes that are not valid UTF-8 become U+FFFD, so the result is always
 * valid JSON.
 */
GW_API void gw_buf_add_json(gw_buf *buf, const char *str, size_t len);

/** Drop the first `n` bytes (all, if there are fewer). Moves the rest. */
GW_API void gw_buf_consume(gw_buf *buf, size_t n);

/** GW_OK, or why an append since the last gw_buf_clear() did not happen. */
GW_API gw_status gw_buf_status(const gw_buf *buf);

/**
 * Take the bytes away from the buffer, NUL-terminated; the caller frees them with free(). The
 * buffer is empty afterwards. NULL when out of memory or when gw_buf_status() is not GW_OK.
 */
GW_API char *gw_buf_detach(gw_buf *buf, size_t *ret_len);

GW_END_DECLS

#endif
