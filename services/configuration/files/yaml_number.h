/* SPDX-License-Identifier: MIT */
/* The integers and floats of YAML 1.1, as JSON numbers. */
#ifndef CS_YAML_NUMBER_H
#define CS_YAML_NUMBER_H

#include <stdbool.h>

#include <godwit/buf.h>

#include "files/arena.h"

/* Whether `text` has the form of an integer: decimal, 0b, 0x, 0-octal, sexagesimal. If so its
 * decimal form is appended to `out`. No limit on its size but CS_NUMBER_BYTES_MAX, past which it is
 * text. */
bool cs_yaml_integer(cs_text text, gw_buf *out);

/*
 * Whether `text` has the form of a float. If so it is appended to `out` in the shortest form that
 * reads back the same, as Java writes a double; `ret_is_finite` is false for Infinity, -Infinity
 * and NaN, which JSON has as strings only.
 */
bool cs_yaml_float(cs_text text, gw_buf *out, bool *ret_is_finite);

#endif
