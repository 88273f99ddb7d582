/* SPDX-License-Identifier: MIT */
/* Text in a fixed array, made fit for one line: what gw_error, health reasons and names have in
 * common. */
#ifndef GW_BASE_TEXT_H
#define GW_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

#include <godwit/api.h>

/* Turn control characters (C0, DEL, and C1 in UTF-8) into '?', so that the text cannot forge or
 * break a line. */
void gw__text_tidy(char *text);

/*
 * Format into `text`, which has `size` bytes (at least 4), and tidy it. What does not fit is cut
 * between two characters and ends in "...". The arguments may point into `text`. Returns the
 * length.
 */
size_t gw__text_vformat(char *text, size_t size, const char *format, va_list args) GW_PRINTF(3, 0);

/* Copy `from`, which is tidied, and cut as above when it does not fit. The two may overlap. Returns
 * the length. */
size_t gw__text_copy(char *text, size_t size, const char *from);

#endif
