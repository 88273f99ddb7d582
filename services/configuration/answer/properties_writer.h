/* SPDX-License-Identifier: MIT */
/* Properties as the text of a .properties file. */
#ifndef CS_PROPERTIES_WRITER_H
#define CS_PROPERTIES_WRITER_H

#include <godwit/buf.h>

#include "answer/merged.h"

/*
 * Append "key: value" lines, without a newline at the end. What java.util.Properties would read as
 * something else is escaped: backslashes, newlines, a blank at the beginning of a value, and in
 * keys blanks, ':', '=' and a comment's mark. Other characters are UTF-8.
 */
void cs_properties_write(gw_buf *out, const cs_merged *merged);

#endif
