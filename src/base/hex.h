/* SPDX-License-Identifier: MIT */
/* Bytes as hexadecimal digits. */
#ifndef GW_BASE_HEX_H
#define GW_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>

/* What the digit stands for, in either case; -1 if it is none. */
int gw__hex_value(char c);

/* Lower-case. */
void gw__hex_encode(gw_buf *out, const unsigned char *bytes, size_t len);

/* Either case. `ret_bytes` has room for len / 2. */
bool gw__hex_decode(const char *text, size_t len, unsigned char *ret_bytes);

#endif
