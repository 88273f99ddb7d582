/* SPDX-License-Identifier: MIT */
/*
 * Encrypting and decrypting over HTTP, as Spring Cloud Config's servers do it:
 *
 *   GET  /encrypt/status                  {"status":"OK"}
 *   POST /encrypt[/{name}/{profiles}]     a text, to what follows "{cipher}" in a file
 *   POST /decrypt[/{name}/{profiles}]     and back
 *   GET  /key[/{name}/{profiles}]         the public key
 *
 * Failures are {"status":...,"description":...}: 404 NO_KEY without a key, 404 NOT_FOUND for a
 * public key that is not there or an unknown alias, 400 INVALID for a text that does not open, in
 * the same words whatever is wrong with it, and for a bad name or profile. Nothing of a body or an
 * answer is logged, and no cache keeps one.
 */
#ifndef CS_CRYPT_ROUTES_H
#define CS_CRYPT_ROUTES_H

#include <godwit/http.h>

#include "access.h"
#include "answer/keys.h"

/* What the handlers need; immutable while the server runs. */
typedef struct cs_crypt {
    const cs_keys *keys;     /* NULL: there is no key */
    const cs_access *access; /* NULL: everybody may do everything */
} cs_crypt;

/* The routes, with NULL as their ctx: it must become the cs_crypt. Static. */
const gw_http_route *cs_crypt_routes(size_t *ret_n);

#endif
