/* SPDX-License-Identifier: MIT */
/* SHA-256 of secrets and bodies. */
#ifndef CS_DIGEST_H
#define CS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#define CS_DIGEST_BYTES 32

/* GW_OK, or GW_E_NOMEM. */
gw_status cs_digest_of(const char *bytes, size_t len, unsigned char ret_digest[CS_DIGEST_BYTES],
                       gw_error *err);

/* A digest that is written as hexadecimal digits, in either case; false for any other text. */
bool cs_digest_parse(const char *text, unsigned char ret_digest[CS_DIGEST_BYTES]);

#endif
