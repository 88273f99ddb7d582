/* SPDX-License-Identifier: MIT */
#include "config/cipher_text.h"

#include <string.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define PLAIN "{plain}"

void gw__base64_encode(gw_buf *out, const unsigned char *bytes, size_t len)
{
    if (gw_buf_reserve(out, (len + 2) / 3 * 4) != GW_OK) {
        return;
    }
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned bits = (unsigned)bytes[i] << 16;
        bits |= n > 1 ? (unsigned)bytes[i + 1] << 8 : 0;
        bits |= n > 2 ? bytes[i + 2] : 0;
        const char four[4] = {base64_digits[bits >> 18], base64_digits[bits >> 12 & 63],
                              n > 1 ? base64_digits[bits >> 6 & 63] : '=',
                              n > 2 ? base64_digits[bits & 63] : '='};
        gw_buf_add(out, four, 4);
    }
}

static int base64_value(char c)
{
    const char *found = c == '\0' ? NULL : strchr(base64_digits, c);
    return found == NULL ? -1 : (int)(found - base64_digits);
}

bool gw__base64_decode(const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_len)
{
    if (len == 0 || len % 4 != 0) {
        return false;
    }
    size_t n_padding = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    size_t out = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len - n_padding; i++) {
        int value = base64_value(text[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (unsigned)value;
        if (i % 4 != 0) { /* 6, 4 or 2 bits are left over */
            ret_bytes[out++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
        }
    }
    *ret_len = out;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_in_name(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* The length of the pair that the text begins with; 0 if it begins with none. */
static size_t pair_len(const char *text, size_t len, size_t *ret_colon)
{
    if (len < 4 || text[0] != '{' || !is_letter(text[1])) {
        return 0;
    }
    size_t i = 2;
    while (i < len && is_in_name(text[i])) {
        i++;
    }
    if (i == len || text[i] != ':') {
        return 0;
    }
    *ret_colon = i++;
    while (i < len && text[i] != '}' && text[i] != '{' && text[i] != '\n') {
        i++;
    }
    return i < len && text[i] == '}' ? i + 1 : 0;
}

gw__cipher_words gw__cipher_split(const char *text, size_t len)
{
    gw__cipher_words words = {.pairs = text};
    size_t at = 0;
    size_t colon = 0;
    for (size_t n; (n = pair_len(text + at, len - at, &colon)) > 0; at += n) {
        if (colon == 4 && memcmp(text + at + 1, "key", 3) == 0) {
            words.alias = text + at + colon + 1;
            words.alias_len = n - colon - 2;
        }
    }
    words.pairs_len = at;
    if (len - at >= strlen(PLAIN) && memcmp(text + at, PLAIN, strlen(PLAIN)) == 0) {
        at += strlen(PLAIN);
    }
    words.rest = text + at;
    words.rest_len = len - at;
    return words;
}
