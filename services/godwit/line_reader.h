/* SPDX-License-Identifier: MIT */
/**
 * @file line_reader.h
 * The lines of a source of bytes, one after the other, in memory of a fixed size. A byte order mark
 * at the beginning is none of the text. One thread at a time.
 */
#ifndef GODWIT_TOOL_LINE_READER_H
#define GODWIT_TOOL_LINE_READER_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define LINE_READER_MAX ((size_t)64 << 10) /**< bytes of a line, with its end */

/** Give up to `size` bytes, 0 at the end. What it returns but GW_OK ends the reading. */
typedef gw_status (*line_source)(void *ctx, char *ret_bytes, size_t size, size_t *ret_n,
                                 gw_error *err);

typedef struct line_reader line_reader;

/** NULL: no memory. */
line_reader *line_reader_new(line_source source, void *ctx);

/** Accepts NULL. */
void line_reader_free(line_reader *reader);

/**
 * The next line, with its end if it has one.
 *
 * @param ret_line borrowed until the next call.
 * @return GW_OK; GW_E_NOT_FOUND at the end of the source, without `err`; GW_E_LIMIT: the line is
 *         longer than LINE_READER_MAX, and the next call has the one behind it; what the source
 *         returned, after which there are no more.
 */
gw_status line_reader_next(line_reader *reader, const char **ret_line, size_t *ret_len,
                           gw_error *err);

/** The number of the line that was read last, from 1. */
uint64_t line_reader_number(const line_reader *reader);

/** Bytes of the lines that were read. */
uint64_t line_reader_bytes(const line_reader *reader);

#endif
