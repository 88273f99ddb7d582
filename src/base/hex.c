/* SPDX-License-Identifier: MIT */
#include "base/hex.h"

int gw__hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void gw__hex_encode(gw_buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if (gw_buf_reserve(out, len * 2) != GW_OK) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        const char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        gw_buf_add(out, pair, 2);
    }
}

bool gw__hex_decode(const char *text, size_t len, unsigned char *ret_bytes)
{
    if (len % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < len; i += 2) {
        int high = gw__hex_value(text[i]);
        int low = gw__hex_value(text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_bytes[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}
