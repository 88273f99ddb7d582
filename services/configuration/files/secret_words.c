/* SPDX-License-Identifier: MIT */
#include "files/secret_words.h"

#include <string.h>

#define N_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define WORD_MAX 64u

/* The last part of a key without indices, '-' and '_', in lower case; at most its last WORD_MAX
 * characters. Returns the length. */
static size_t last_word(cs_text key, char *ret)
{
    size_t end = key.len;
    while (end > 0 && key.bytes[end - 1] == ']') {
        const char *open = memrchr(key.bytes, '[', end);
        end = open != NULL ? (size_t)(open - key.bytes) : 0;
    }
    size_t len = 0;
    for (size_t i = end; i > 0 && key.bytes[i - 1] != '.' && len < WORD_MAX; i--) {
        char c = key.bytes[i - 1];
        if (c != '-' && c != '_') {
            ret[WORD_MAX - ++len] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
    }
    return len;
}

bool cs_key_names_secret(cs_text key)
{
    static const char *const words[] = {"password",   "passwd",    "secret",     "token",
                                        "credential", "apikey",    "privatekey", "passphrase",
                                        "accesskey",  "secretkey", "credentials"};
    char word[WORD_MAX];
    size_t len = last_word(key, word);
    for (size_t i = 0; i < N_OF(words); i++) {
        size_t n = strlen(words[i]);
        if (n <= len && memcmp(word + WORD_MAX - n, words[i], n) == 0) {
            return true;
        }
    }
    return false;
}
