/* SPDX-License-Identifier: MIT */
#include <godwit/secret.h>

#include <string.h>
#include <strings.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

bool gw_secret_is_named(const char *key, size_t len)
{
    static const char *const words[] = {"password", "passwd",  "secret", "token",   "credential",
                                        "private",  "api_key", "apikey", "api-key", "passphrase"};
    for (size_t i = 0; i < N_OF(words); i++) {
        size_t n = strlen(words[i]);
        for (size_t at = 0; at + n <= len; at++) {
            if (strncasecmp(key + at, words[i], n) == 0) {
                return true;
            }
        }
    }
    return false;
}
