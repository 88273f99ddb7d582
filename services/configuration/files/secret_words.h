/* SPDX-License-Identifier: MIT */
/* Which keys most likely have a secret, by what they are called; gw_secret_is_named() is the wider
 * net for what is shown. */
#ifndef CS_SECRET_WORDS_H
#define CS_SECRET_WORDS_H

#include <stdbool.h>

#include "files/arena.h"

/* Whether the last part of a key ends in a word such as "password" or "token", as
 * "db.admin-password" and "keys.apiKey[0]" do, and "token-uri" does not: its value most likely is a
 * secret. */
bool cs_key_names_secret(cs_text key);

#endif
