/* SPDX-License-Identifier: MIT */
/* Arrays as parameters of statements: many rows in one call. In PostgreSQL's text form. */
#ifndef POSTGRES_PG_ARRAY_H
#define POSTGRES_PG_ARRAY_H

#include <stdint.h>

#include <godwit/buf.h>

/* An empty array: to be added to, then closed. Failures are those of the buffer. */
void pg_array_init(gw_buf *array);

void pg_array_add_text(gw_buf *array, const char *text);
void pg_array_add_bytes(gw_buf *array, const char *text); /* of bytea; text without its NUL */
void pg_array_add_number(gw_buf *array, uint64_t number);

/* The array as text, borrowed from the buffer; NULL when it ran out of memory. */
const char *pg_array_close(gw_buf *array);

/* Bytes in hexadecimal digits, as encode(x, 'hex') writes them. `size` holds the result's NUL too.
 * False when the digits are none, or too many. */
bool pg_decode_hex(const char *digits, char *ret_text, size_t size);

#endif
