/* SPDX-License-Identifier: MIT */
/* Characters of UTF-8 text, one by one. */
#ifndef CS_UTF8_H
#define CS_UTF8_H

#include <stdint.h>

#include <godwit/buf.h>

#include "files/arena.h"

/* The character at `at`, which lies within the text, and how many bytes it takes. 0 when they are
 * none: cut off, too long for what they say, half of a surrogate pair, or beyond U+10FFFF. */
size_t cs_utf8_next(cs_text text, size_t at, uint32_t *ret_c);

/* Append a character. */
void cs_utf8_add(gw_buf *out, uint32_t c);

#endif
