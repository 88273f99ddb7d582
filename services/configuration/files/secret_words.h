/* SPDX-License-Identifier: MIT */
/* Which keys have values that are for nobody's eyes, by what they are called. */
#ifndef CS_SECRET_WORDS_H
#define CS_SECRET_WORDS_H

#include <stdbool.h>

#include "files/arena.h"

/* Whether a key holds a word such as "password" or "token" anywhere, in any case: its value is not
 * shown. The words of src/config/parse.c, which masks the same keys at the other end. */
bool cs_key_sounds_secret(cs_text key);

/* Whether the last part of a key ends in such a word, as "db.admin-password" and "keys.apiKey[0]"
 * do, and "token-uri" does not: its value most likely is a secret. */
bool cs_key_names_secret(cs_text key);

#endif
