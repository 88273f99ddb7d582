/* SPDX-License-Identifier: MIT */
/*
 * What people mean by the body that they post to /encrypt and /decrypt. `curl -d` says that it is a
 * form, and Java's servlets put a '=' behind a form's only word.
 */
#ifndef CS_CRYPT_BODY_H
#define CS_CRYPT_BODY_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/error.h>

/*
 * Append the text that is meant. text/plain, or no type: the body as it is. A form is decoded, and
 * so is anything else that ends in '='; the '=' at its end is dropped. In a text to decrypt a blank
 * is a '+' of Base64, and only a '=' too many is dropped, since Base64 has some of its own.
 *
 * @param content_type may be NULL.
 * @return GW_OK; GW_E_INVALID for a broken escape; GW_E_NOMEM, GW_E_LIMIT.
 */
gw_status cs_crypt_body(const char *content_type, const char *body, size_t len, bool is_cipher,
                        gw_buf *out, gw_error *err);

#endif
