/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629): is this text valid? Refuses overlong forms, surrogates and code points past
 * U+10FFFF. */
#ifndef GW_BASE_UTF8_H
#define GW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the valid sequence at `text`, 0 if there is none. */
size_t gw__utf8_sequence_len(const char *text, size_t len);

bool gw__utf8_is_valid(const char *text, size_t len);

/* Where to cut `text` so that at most `len` bytes remain and no sequence is split. It has more than
 * `len` bytes. */
size_t gw__utf8_cut(const char *text, size_t len);

#endif
