/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t gw_utf8_sequence_len(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    if (len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return len >= 2 && is_continuation(p[1]) ? 2 : 0;
    }
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (len < 3 || !is_continuation(p[1]) || !is_continuation(p[2])) {
            return 0;
        }
        bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
        bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (len < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3])) {
            return 0;
        }
        bool overlong = p[0] == 0xf0 && p[1] < 0x90;
        bool too_large = p[0] == 0xf4 && p[1] >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

bool gw_utf8_is_valid(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t n = gw_utf8_sequence_len(text + i, len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

size_t gw__utf8_cut(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 3 && is_continuation((unsigned char)text[start])) {
        start--;
    }
    /* Bytes that are no UTF-8 anyway are cut where the room ends. */
    return (unsigned char)text[start] >= 0xc2 ? start : len;
}
