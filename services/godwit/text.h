/* SPDX-License-Identifier: MIT */
/**
 * @file text.h
 * Bytes of strangers as text: for terminals, where control characters could move the cursor, change
 * colours or turn the direction of what follows; and for JSON.
 */
#ifndef GODWIT_TEXT_H
#define GODWIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>

/** How text_add_safe() takes line breaks and tabs. */
typedef enum text_form {
    TEXT_LINE, /**< one line: they are shown as \n, \t */
    TEXT_BLOCK /**< they stay */
} text_form;

bool text_is_utf8(const char *text, size_t len);

/** Whether text_add_safe() with TEXT_BLOCK would change nothing. */
bool text_is_safe(const char *text, size_t len);

/** Append with everything that acts on a terminal shown as \xNN or \u{NNNN}, and bytes that are not
 * UTF-8 as \xNN. */
void text_add_safe(gw_buf *out, const char *text, size_t len, text_form form);

/** Append a JSON string with its quotes, in which what acts on a terminal is escaped too; bytes
 * that are not UTF-8 become U+FFFD. */
void text_add_json(gw_buf *out, const char *text, size_t len);

void text_add_base64(gw_buf *out, const void *bytes, size_t len);

/** Append lines of 16 bytes each: offset, hexadecimal, ASCII. */
void text_add_hex(gw_buf *out, const void *bytes, size_t len);

#endif
