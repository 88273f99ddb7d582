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
 * Append `text` with its placeholders resolved, nested ones too. The key of "${key:default}" is
 * looked for without the blanks around it; first the whole of "key:default" is. What is not found
 * stays as it is; "\${", and "\\${", are "${".
 *
 * @return GW_OK; GW_E_INVALID for a value that contains itself; GW_E_LIMIT when it is nested too
 *         deeply, grows too large for `out` or takes too many steps; GW_E_NOMEM.
 */
gw_status cs_placeholders_resolve(gw_buf *out, cs_text text, cs_find_value find, void *ctx,
                                  gw_error *err);

/*
 * The same, for the many texts of one answer.
 *
 * @param n_steps how many placeholders have been looked at; from 0 up to CS_PLACEHOLDER_STEPS_MAX
 *                for all texts together.
 */
gw_status cs_placeholders_resolve_within(gw_buf *out, cs_text text, cs_find_value find, void *ctx,
                                         size_t *n_steps, gw_error *err);

/* Whether a text may have any: whether it holds "${". */
bool cs_has_placeholders(cs_text text);

#endif
