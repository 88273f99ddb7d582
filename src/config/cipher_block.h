/* SPDX-License-Identifier: MIT */
/*
 * A text encrypted with a password: PBKDF2-HMAC-SHA1 of 1024 rounds makes an AES-256 key of it; a
 * random IV stands in front of AES-CBC blocks with PKCS#7 padding.
 */
#ifndef GW_CONFIG_CIPHER_BLOCK_H
#define GW_CONFIG_CIPHER_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#include <godwit/status.h>

#define GW__CIPHER_KEY   32u
#define GW__CIPHER_BLOCK 16u

/* What encrypted texts take more than plain ones, at most. */
#define GW__CIPHER_OVERHEAD (2 * GW__CIPHER_BLOCK)

/* About 0.4 ms. Any thread, here and below. */
gw_status gw__cipher_derive(const char *password, size_t len, const unsigned char *salt,
                            size_t salt_len, unsigned char ret_key[GW__CIPHER_KEY]);

/* `ret_bytes` has room for len + GW__CIPHER_OVERHEAD. */
gw_status gw__cipher_seal(const EVP_CIPHER *aes, const unsigned char key[GW__CIPHER_KEY],
                          const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_len);

/*
 * Decrypt, and tell whether the result is a text: right padding, UTF-8 without NUL. It takes the
 * same time whichever of them is wrong, and wherever.
 *
 * @param len a multiple of the block, at least two of them.
 * @param ret_text has room for len; holds secrets also when `ret_is_text` is false.
 * @return GW_OK; GW_E_NOMEM.
 */
gw_status gw__cipher_open(const EVP_CIPHER *aes, const unsigned char key[GW__CIPHER_KEY],
                          const unsigned char *bytes, size_t len, char *ret_text, size_t *ret_len,
                          bool *ret_is_text);

#endif
