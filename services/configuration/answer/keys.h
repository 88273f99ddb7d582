/* SPDX-License-Identifier: MIT */
/*
 * The keys of {cipher} values, and the values they open: each is opened once, since RSA takes half
 * a millisecond. Any thread.
 */
#ifndef CS_KEYS_H
#define CS_KEYS_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/cipher.h>
#include <godwit/error.h>

#include "files/arena.h"

typedef struct cs_keys cs_keys;

/* Takes the key over. NULL when out of memory, with the key still the caller's. `is_lenient`: a
 * value that cannot be opened becomes "invalid.<key>" = "<n/a>", as in Spring; otherwise the answer
 * is a failure that names the file, the line and the key. */
cs_keys *cs_keys_new(gw_cipher *cipher, bool is_lenient);
void cs_keys_free(cs_keys *keys); /* accepts NULL; wipes */

const gw_cipher *cs_keys_cipher(const cs_keys *keys);
bool cs_keys_are_lenient(const cs_keys *keys);

/* Whether a value is one: it begins with "{cipher}". */
bool cs_value_is_cipher(cs_text value);

/* A plain value, or that there is none. Copied from the keys' own, which stays. */
typedef struct cs_opened {
    bool is_good;
    bool is_new;   /* nobody asked before, as far as is remembered */
    cs_text plain; /* in the arena */
} cs_opened;

/*
 * Open a value. Past CS_OPENED_BYTES_MAX nothing more is kept, and values are opened each time.
 *
 * @param arena for the plain text; to be wiped.
 * @return GW_OK, also for a value that cannot be opened; GW_E_NOMEM; GW_E_LIMIT of the arena.
 */
gw_status cs_keys_open(const cs_keys *keys, cs_text value, cs_arena *arena, cs_opened *ret_opened);

#endif
