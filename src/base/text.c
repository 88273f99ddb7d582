/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define LONGEST 1024 /* bytes, more than any array that is formatted into has */

void gw__text_tidy(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)p[0];
        if (c < 0x20 || c == 0x7f) {
            *p = '?';
        } else if (c == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] <= 0x9f) {
            p[0] = '?'; /* one of C1: some terminals take U+009B for the start of a command */
            p[1] = '?';
            p++;
        }
    }
}

size_t gw__text_copy(char *text, size_t size, const char *from)
{
    assert(size >= 4);
    size_t len = strlen(from);
    if (len < size) {
        memmove(text, from, len + 1);
    } else {
        len = gw__utf8_cut(from, size - 4);
        memmove(text, from, len);
        memcpy(text + len, "...", 4);
        len += 3;
    }
    gw__text_tidy(text);
    return len;
}

size_t gw__text_vformat(char *text, size_t size, const char *format, va_list args)
{
    assert(size < LONGEST);
    char whole[LONGEST];
    whole[0] = '\0'; /* vsnprintf may fail, on a wide character for one, and leave nothing */
    vsnprintf(whole, sizeof(whole), format, args);
    return gw__text_copy(text, size, whole);
}
