/* SPDX-License-Identifier: MIT */
#include <godwit/buf.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define DEFAULT_LIMIT ((size_t)64 << 20)
#define LARGEST_LIMIT (SIZE_MAX / 4) /* so that no sum of lengths below wraps */
#define FIRST_CAP     256

void gw_buf_init(gw_buf *buf, size_t max_len)
{
    size_t limit = max_len == 0 ? DEFAULT_LIMIT : max_len;
    *buf = (gw_buf){.limit = limit < LARGEST_LIMIT ? limit : LARGEST_LIMIT, .status = GW_OK};
}

void gw_buf_dispose(gw_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    free(buf->data);
    gw_buf_init(buf, buf->limit);
}

void gw_buf_clear(gw_buf *buf)
{
    buf->len = 0;
    buf->status = GW_OK;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

gw_status gw_buf_reserve(gw_buf *buf, size_t n)
{
    if (buf->status != GW_OK) {
        return buf->status;
    }
    if (n > buf->limit || buf->len > buf->limit - n) {
        return buf->status = GW_E_LIMIT;
    }
    size_t need = buf->len + n + 1;
    if (need <= buf->cap) {
        return GW_OK;
    }
    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
    while (cap < need) {
        cap += cap / 2 + 1;
    }
    if (cap > buf->limit + 1) {
        cap = buf->limit + 1;
    }
    char *data = realloc(buf->data, cap);
    if (data == NULL) {
        return buf->status = GW_E_NOMEM;
    }
    buf->data = data;
    buf->cap = cap;
    return GW_OK;
}

/* As gw_buf_reserve() where nothing is to be done, which is nearly always: answers are put together
 * from small pieces. */
static inline bool has_room(const gw_buf *buf, size_t n)
{
    return buf->status == GW_OK && n < buf->cap - buf->len && buf->len <= buf->limit &&
           n <= buf->limit - buf->len;
}

void gw_buf_add(gw_buf *buf, const void *bytes, size_t len)
{
    if (!has_room(buf, len) && gw_buf_reserve(buf, len) != GW_OK) {
        return;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, bytes, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void gw_buf_add_char(gw_buf *buf, char c)
{
    if (!has_room(buf, 1) && gw_buf_reserve(buf, 1) != GW_OK) {
        return;
    }
    buf->data[buf->len++] = c;
    buf->data[buf->len] = '\0';
}

void gw_buf_add_str(gw_buf *buf, const char *str)
{
    gw_buf_add(buf, str, strlen(str));
}

void gw_buf_addf(gw_buf *buf, const char *format, ...)
{
    if (gw_buf_reserve(buf, 0) != GW_OK) {
        return;
    }
    size_t room = buf->cap - buf->len; /* at least the NUL's byte; often enough for all of it */
    va_list args;
    va_start(args, format);
    int len = vsnprintf(buf->data + buf->len, room, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len >= room && gw_buf_reserve(buf, (size_t)len) == GW_OK) {
        va_start(args, format);
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
        va_end(args);
    }
    if (len < 0) {
        buf->status = GW_E_INVALID;
    }
    if (buf->status == GW_OK) {
        buf->len += (size_t)len;
    }
    buf->data[buf->len] = '\0';
}

static void add_json_escape(gw_buf *buf, unsigned char c)
{
    switch (c) {
    case '"': gw_buf_add(buf, "\\\"", 2); return;
    case '\\': gw_buf_add(buf, "\\\\", 2); return;
    case '\n': gw_buf_add(buf, "\\n", 2); return;
    case '\r': gw_buf_add(buf, "\\r", 2); return;
    case '\t': gw_buf_add(buf, "\\t", 2); return;
    default: gw_buf_addf(buf, "\\u%04x", c); return;
    }
}

/* ASCII that stands for itself in a JSON string: nearly all there is. */
static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void gw_buf_add_json(gw_buf *buf, const char *str, size_t len)
{
    gw_buf_add_char(buf, '"');
    size_t start = 0;
    size_t i = 0;
    while (i < len) {
        unsigned char c = (unsigned char)str[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        size_t n = c < 0x80 ? 1 : gw_utf8_sequence_len(str + i, len - i);
        if (n > 1) {
            i += n;
            continue;
        }
        if (i > start) {
            gw_buf_add(buf, str + start, i - start);
        }
        if (n == 0) {
            gw_buf_add_str(buf, "\xef\xbf\xbd");
        } else {
            add_json_escape(buf, c);
        }
        i++;
        start = i;
    }
    if (len > start) {
        gw_buf_add(buf, str + start, len - start);
    }
    gw_buf_add_char(buf, '"');
}

void gw_buf_consume(gw_buf *buf, size_t n)
{
    if (n >= buf->len) {
        n = buf->len;
    }
    if (n == 0) {
        return;
    }
    buf->len -= n;
    memmove(buf->data, buf->data + n, buf->len + 1);
}

gw_status gw_buf_status(const gw_buf *buf)
{
    return buf->status;
}

char *gw_buf_detach(gw_buf *buf, size_t *ret_len)
{
    if (gw_buf_reserve(buf, 0) != GW_OK) {
        return NULL;
    }
    char *data = buf->data; /* of an empty buffer it was allocated just now */
    data[buf->len] = '\0';
    if (ret_len != NULL) {
        *ret_len = buf->len;
    }
    gw_buf_init(buf, buf->limit);
    return data;
}
