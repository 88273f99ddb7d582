/* SPDX-License-Identifier: MIT */
/**
 * @file utf8.h
 * Whether bytes are UTF-8, by RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 * From any thread.
 */
#ifndef GODWIT_UTF8_H
#define GODWIT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/api.h>

GW_BEGIN_DECLS

/** Bytes of the character at the beginning of `text`, 1 to 4; 0 when there is none. */
GW_API size_t gw_utf8_sequence_len(const char *text, size_t len);

/** Whether all of `text` is UTF-8. A NUL is a character like others. */
GW_API bool gw_utf8_is_valid(const char *text, size_t len);

GW_END_DECLS

#endif
