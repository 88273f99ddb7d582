/* SPDX-License-Identifier: MIT */
/* What is done to the text of a plain file, in place. */
#ifndef CS_TEXT_H
#define CS_TEXT_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/error.h>

#include "answer/environment.h"
#include "answer/keys.h"

/* Make UTF-8 of it. False, and nothing is changed, if it is no text: it has a NUL, or is not UTF-8
 * and not said to be ISO-8859-1. `ret_st`: GW_OK, GW_E_LIMIT or GW_E_NOMEM. */
bool cs_text_decode(gw_buf *text, bool is_latin1, gw_status *ret_st);

/*
 * Open the {cipher} values of a .json, .yml, .yaml or .properties file; others are left alone. A
 * value reaches to the quote or the blank behind it, and what it comes to is escaped as the quotes
 * around it need it.
 *
 * @return GW_OK; GW_E_INVALID, with "<path>:<line>: ", for one that cannot be opened, unless the
 *         keys are lenient: then it stays; GW_E_LIMIT, GW_E_NOMEM.
 */
gw_status cs_text_decrypt(gw_buf *text, const cs_keys *keys, const char *path, gw_error *err);

/* Resolve its placeholders. GW_E_INVALID, GW_E_LIMIT, GW_E_NOMEM; the text names the path. */
gw_status cs_text_resolve(gw_buf *text, const cs_environment *env, const char *path, gw_error *err);

#endif
