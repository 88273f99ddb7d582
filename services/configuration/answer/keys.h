/* SPDX-License-Identifier: MIT */
/* The keys of {cipher} values, and the values they open. Immutable; any thread. */
#ifndef CS_KEYS_H
#define CS_KEYS_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/cipher.h>
#include <godwit/error.h>

#include "files/arena.h"

typedef struct cs_keys cs_keys;

/* Takes the key over. NULL when out of memory. `is_lenient`: a value that cannot be opened becomes
 * "invalid.<key>" = "<n/a>", as in Spring; otherwise the answer is a failure that names the file,
 * the line and the key. */
cs_keys *cs_keys_new(gw_cipher *cipher, bool is_lenient);
void cs_keys_free(cs_keys *keys); /* accepts NULL */

const gw_cipher *cs_keys_cipher(const cs_keys *keys);
bool cs_keys_are_lenient(const cs_keys *keys);

/* Whether a value is one: it begins with "{cipher}". */
bool cs_value_is_cipher(cs_text value);

#endif
