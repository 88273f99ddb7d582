/* SPDX-License-Identifier: MIT */
/* ${key} and ${key:default} in a text. */
#ifndef CS_PLACEHOLDERS_H
#define CS_PLACEHOLDERS_H

#include <godwit/buf.h>
#include <godwit/error.h>

#include "files/arena.h"

/* The value of a key; false if there is none. */
typedef bool (*cs_find_value)(void *ctx, cs_text key, cs_text *ret_value);

/*
 * Append `text` with its placeholders resolved, nested ones too. What is not found stays as it is;
 * "\${" is "${".
 *
 * @return GW_OK; GW_E_INVALID for a value that contains itself; GW_E_LIMIT when it is nested too
 *         deeply or grows too large; GW_E_NOMEM.
 */
gw_status cs_placeholders_resolve(gw_buf *out, cs_text text, cs_find_value find, void *ctx,
                                  gw_error *err);

#endif
