/* SPDX-License-Identifier: MIT */
/* Cutting UTF-8; whether it is some is public. */
#ifndef GW_BASE_UTF8_H
#define GW_BASE_UTF8_H

#include <stddef.h>

#include <godwit/utf8.h>

/* Where to cut `text` so that at most `len` bytes remain and no sequence is split. It has more than
 * `len` bytes. */
size_t gw__utf8_cut(const char *text, size_t len);

#endif
