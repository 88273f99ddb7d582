/* SPDX-License-Identifier: MIT */
#include "files/utf8.h"

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0u) == 0x80u;
}

/* How many bytes the first one announces, and its own part of the character; 0 for none. */
static size_t announced(unsigned char first, uint32_t *ret_bits, uint32_t *ret_least)
{
    if (first >= 0xc2 && first <= 0xdf) {
        *ret_bits = first & 0x1fu;
        *ret_least = 0x80;
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *ret_bits = first & 0x0fu;
        *ret_least = 0x800;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *ret_bits = first & 0x07u;
        *ret_least = 0x10000;
        return 4;
    }
    return 0;
}

size_t cs_utf8_next(cs_text text, size_t at, uint32_t *ret_c)
{
    const unsigned char *p = (const unsigned char *)text.bytes + at;
    if (*p < 0x80) {
        *ret_c = *p;
        return 1;
    }
    uint32_t c = 0;
    uint32_t least = 0;
    size_t n = announced(*p, &c, &least);
    if (n == 0 || text.len - at < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(p[i])) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *ret_c = c;
    return n;
}

bool cs_utf8_is_valid(cs_text text)
{
    uint32_t c = 0;
    for (size_t at = 0; at < text.len;) {
        size_t n = cs_utf8_next(text, at, &c);
        if (n == 0) {
            return false;
        }
        at += n;
    }
    return true;
}

void cs_utf8_add(gw_buf *out, uint32_t c)
{
    if (c < 0x80) {
        gw_buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        gw_buf_add(out, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
    } else if (c < 0x10000) {
        gw_buf_add(out,
                   (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
                            (char)(0x80 | (c & 0x3f))},
                   3);
    } else {
        gw_buf_add(out,
                   (char[]){(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
                            (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f))},
                   4);
    }
}
