/* SPDX-License-Identifier: MIT */
/*
 * A text encrypted for the holder of an RSA key: a length in 2 bytes, 16 random bytes encrypted
 * with RSA, and the text encrypted with the hex of these as its password (cipher_block.h).
 */
#ifndef GW_CONFIG_CIPHER_RSA_H
#define GW_CONFIG_CIPHER_RSA_H

#include "config/cipher_block.h"

/* How a message is made; borrowed. */
typedef struct gw__cipher_rsa {
    const EVP_CIPHER *aes;
    EVP_PKEY *key; /* used, never changed: any thread */
    const unsigned char *salt;
    size_t salt_len;
    bool is_oaep;
} gw__cipher_rsa;

/* What encrypted texts take more than plain ones, at most. */
size_t gw__cipher_rsa_overhead(const gw__cipher_rsa *rsa);

/* `ret_bytes` has room for len and the overhead. */
gw_status gw__cipher_rsa_seal(const gw__cipher_rsa *rsa, const char *text, size_t len,
                              unsigned char *ret_bytes, size_t *ret_len);

/*
 * As gw__cipher_open(), whatever the bytes are. All of the work is done in any case, with random
 * bytes as the password if the RSA part holds none: nobody learns from the time or the answer
 * whether its padding was right (Bleichenbacher's and Manger's attacks).
 *
 * @param ret_text has room for len, and for two blocks.
 */
gw_status gw__cipher_rsa_open(const gw__cipher_rsa *rsa, const unsigned char *bytes, size_t len,
                              char *ret_text, size_t *ret_len, bool *ret_is_text);

#endif
