/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdint.h>
#include <stdio.h>

/* The code point at `text` and its length; 0 when it is no valid UTF-8 (RFC 3629). */
static size_t decode(const char *text, size_t len, uint32_t *ret_point)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) {
        *ret_point = p[0];
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > len) {
        return 0;
    }
    uint32_t point = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = (point << 6) | (p[i] & 0x3fu);
    }
    bool overlong = (n == 3 && point < 0x800) || (n == 4 && point < 0x10000);
    if (overlong || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    *ret_point = point;
    return n;
}

/* Whether a terminal would do something else than show it. */
static bool acts(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) ||   /* C0, DEL, C1 */
           point == 0x061c || point == 0x200e || point == 0x200f /* direction of writing, ... */
           || (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x2028 || point == 0x2029 || point == 0xfeff; /* lines, and nothing at all */
}

bool text_is_utf8(const char *text, size_t len)
{
    uint32_t point;
    for (size_t i = 0, n; i < len; i += n) {
        n = decode(text + i, len - i, &point);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

static bool stays(uint32_t point, text_form form)
{
    return !acts(point) || (form == TEXT_BLOCK && (point == '\n' || point == '\t'));
}

bool text_is_safe(const char *text, size_t len)
{
    uint32_t point;
    for (size_t i = 0, n; i < len; i += n) {
        n = decode(text + i, len - i, &point);
        if (n == 0 || !stays(point, TEXT_BLOCK)) {
            return false;
        }
    }
    return true;
}

static void add_escaped(gw_buf *out, uint32_t point)
{
    switch (point) {
    case '\n': gw_buf_add_str(out, "\\n"); break;
    case '\r': gw_buf_add_str(out, "\\r"); break;
    case '\t': gw_buf_add_str(out, "\\t"); break;
    default: gw_buf_addf(out, point < 0x80 ? "\\x%02x" : "\\u{%04x}", (unsigned)point); break;
    }
}

void text_add_safe(gw_buf *out, const char *text, size_t len, text_form form)
{
    uint32_t point;
    for (size_t i = 0, n; i < len; i += n) {
        n = decode(text + i, len - i, &point);
        if (n == 0) {
            gw_buf_addf(out, "\\x%02x", (unsigned char)text[i]);
            n = 1;
        } else if (stays(point, form)) {
            gw_buf_add(out, text + i, n);
        } else {
            add_escaped(out, point);
        }
    }
}

void text_add_json(gw_buf *out, const char *text, size_t len)
{
    uint32_t point;
    gw_buf_add_char(out, '"');
    for (size_t i = 0, n; i < len; i += n) {
        n = decode(text + i, len - i, &point);
        if (n == 0) {
            gw_buf_add_str(out, "\\ufffd");
            n = 1;
        } else if (point == '"' || point == '\\') {
            gw_buf_add_char(out, '\\');
            gw_buf_add_char(out, (char)point);
        } else if (acts(point)) { /* all of them are below U+10000 */
            gw_buf_addf(out, "\\u%04x", (unsigned)point);
        } else {
            gw_buf_add(out, text + i, n);
        }
    }
    gw_buf_add_char(out, '"');
}

void text_add_base64(gw_buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                        (n > 2 ? (uint32_t)p[i + 2] : 0);
        char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                         n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '='};
        gw_buf_add(out, group, sizeof(group));
    }
}

void text_add_hex(gw_buf *out, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i += 16) {
        gw_buf_addf(out, "%08zx ", i);
        for (size_t k = i; k < i + 16; k++) {
            if (k < len) {
                gw_buf_addf(out, "%s%02x", k == i + 8 ? "  " : " ", p[k]);
            } else {
                gw_buf_add_str(out, k == i + 8 ? "    " : "   ");
            }
        }
        gw_buf_add_str(out, "  ");
        for (size_t k = i; k < len && k < i + 16; k++) {
            gw_buf_add_char(out, p[k] >= 0x20 && p[k] < 0x7f ? (char)p[k] : '.');
        }
        gw_buf_add_char(out, '\n');
    }
}
