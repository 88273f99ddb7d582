/* SPDX-License-Identifier: MIT */
#include "files/utf8.h"

#include <godwit/utf8.h>

size_t cs_utf8_next(cs_text text, size_t at, uint32_t *ret_c)
{
    static const unsigned char own_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07}; /* of the first byte */
    const unsigned char *p = (const unsigned char *)text.bytes + at;
    size_t n = gw_utf8_sequence_len(text.bytes + at, text.len - at);
    if (n == 0) {
        return 0;
    }
    uint32_t c = p[0] & own_bits[n];
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (p[i] & 0x3fu);
    }
    *ret_c = c;
    return n;
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
