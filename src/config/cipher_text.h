/* SPDX-License-Identifier: MIT */
/* How encrypted values are written: Base64, and what may stand in front of them. */
#ifndef GW_CONFIG_CIPHER_TEXT_H
#define GW_CONFIG_CIPHER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>

void gw__base64_encode(gw_buf *out, const unsigned char *bytes, size_t len);

/* The alphabet of RFC 4648 section 4, padded, without blanks. `ret_bytes` has room for
 * len / 4 * 3. */
bool gw__base64_decode(const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_len);

/* A text with "{name:value}" pairs in front; all of it is borrowed from the text. */
typedef struct gw__cipher_words {
    const char *pairs; /* as written, without "{plain}" */
    size_t pairs_len;
    const char *alias; /* the value of the last "{key:...}"; NULL if there is none */
    size_t alias_len;
    const char *rest;
    size_t rest_len;
} gw__cipher_words;

/*
 * Take the pairs off. A name is a letter, then letters, digits, '_', '-' and '.', so that a text
 * that is a JSON object is no pair. "{plain}" ends them: what follows is text, whatever it looks
 * like.
 */
gw__cipher_words gw__cipher_split(const char *text, size_t len);

#endif
