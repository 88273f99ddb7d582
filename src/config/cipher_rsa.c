/* SPDX-License-Identifier: MIT */
#include "config/cipher_rsa.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>

#define SECRET   16u
#define HEAD_LEN 2u

static size_t modulus_len(const gw__cipher_rsa *rsa)
{
    return (size_t)EVP_PKEY_get_size(rsa->key);
}

size_t gw__cipher_rsa_overhead(const gw__cipher_rsa *rsa)
{
    return HEAD_LEN + modulus_len(rsa) + GW__CIPHER_OVERHEAD;
}

/* The password of the block is the secret in hex. No table: its index would be the secret. */
static gw_status derive(const gw__cipher_rsa *rsa, const unsigned char secret[SECRET],
                        unsigned char ret_key[GW__CIPHER_KEY])
{
    char password[2 * SECRET];
    for (size_t i = 0; i < 2 * SECRET; i++) {
        unsigned digit = i % 2 == 0 ? secret[i / 2] >> 4 : secret[i / 2] & 15u;
        unsigned is_letter = (9u - digit) >> 31;
        password[i] = (char)('0' + digit + is_letter * ('a' - '0' - 10));
    }
    gw_status st = gw__cipher_derive(password, sizeof(password), rsa->salt, rsa->salt_len, ret_key);
    explicit_bzero(password, sizeof(password));
    return st;
}

static bool wrap(const gw__cipher_rsa *rsa, const unsigned char secret[SECRET],
                 unsigned char *ret_wrapped)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rsa->key, NULL);
    size_t len = modulus_len(rsa);
    int padding = rsa->is_oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING;
    bool done = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1 &&
                EVP_PKEY_encrypt(ctx, ret_wrapped, &len, secret, SECRET) == 1 &&
                len == modulus_len(rsa);
    EVP_PKEY_CTX_free(ctx);
    return done;
}

gw_status gw__cipher_rsa_seal(const gw__cipher_rsa *rsa, const char *text, size_t len,
                              unsigned char *ret_bytes, size_t *ret_len)
{
    unsigned char secret[SECRET];
    unsigned char key[GW__CIPHER_KEY];
    size_t wrapped_len = modulus_len(rsa);
    size_t block_len = 0;
    unsigned char *block = ret_bytes + HEAD_LEN + wrapped_len;
    ret_bytes[0] = (unsigned char)(wrapped_len >> 8);
    ret_bytes[1] = (unsigned char)wrapped_len;
    gw_status st = GW_E_INTERNAL;
    if (RAND_priv_bytes(secret, SECRET) == 1 && wrap(rsa, secret, ret_bytes + HEAD_LEN)) {
        st = derive(rsa, secret, key);
    }
    if (st == GW_OK) {
        st = gw__cipher_seal(rsa->aes, key, text, len, block, &block_len);
    }
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(key, sizeof(key));
    *ret_len = HEAD_LEN + wrapped_len + block_len;
    return st;
}

/* Put the secret at the end of a PKCS#1 1.5 message into `secret` if the message is right, without
 * a branch on its bytes: 00 02, bytes that are not 00, 00, the secret. */
static bool take_secret(const unsigned char *msg, size_t len, unsigned char secret[SECRET])
{
    size_t zero_at = len - SECRET - 1;
    uint32_t bad = msg[0] | (msg[1] ^ 2u) | msg[zero_at];
    for (size_t i = 2; i < zero_at; i++) {
        bad |= (msg[i] - 1u) >> 31; /* only 0 wraps */
    }
    uint32_t is_good = (bad - 1u) >> 31;
    unsigned char mask = (unsigned char)(0u - is_good);
    for (size_t i = 0; i < SECRET; i++) {
        secret[i] = (unsigned char)((msg[zero_at + 1 + i] & mask) | (secret[i] & ~mask));
    }
    return is_good != 0;
}

/* PKCS#1 1.5 is taken apart here and not by OpenSSL, which before 3.2 tells bad padding by an
 * error. OAEP fails there in constant time, and in one way. `secret` is random and stays so on
 * failure. */
static bool unwrap(const gw__cipher_rsa *rsa, const unsigned char *wrapped, unsigned char *msg,
                   unsigned char secret[SECRET])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rsa->key, NULL);
    size_t len = modulus_len(rsa);
    int padding = rsa->is_oaep ? RSA_PKCS1_OAEP_PADDING : RSA_NO_PADDING;
    bool done = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1 &&
                EVP_PKEY_decrypt(ctx, msg, &len, wrapped, modulus_len(rsa)) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!done) {
        return false;
    }
    if (!rsa->is_oaep) {
        return len == modulus_len(rsa) && take_secret(msg, len, secret);
    }
    if (len != SECRET) {
        return false;
    }
    memcpy(secret, msg, SECRET);
    return true;
}

static gw_status open_with(const gw__cipher_rsa *rsa, const unsigned char *wrapped,
                           const unsigned char *block, size_t block_len, char *ret_text,
                           size_t *ret_len, bool *ret_is_text)
{
    unsigned char secret[SECRET];
    unsigned char key[GW__CIPHER_KEY];
    size_t msg_len = modulus_len(rsa);
    unsigned char *msg = calloc(1, msg_len);
    if (msg == NULL || RAND_priv_bytes(secret, SECRET) != 1) {
        free(msg);
        return GW_E_NOMEM;
    }
    bool is_secret = unwrap(rsa, wrapped, msg, secret);
    gw_status st = derive(rsa, secret, key);
    if (st == GW_OK) {
        st = gw__cipher_open(rsa->aes, key, block, block_len, ret_text, ret_len, ret_is_text);
    }
    if (st == GW_OK) {
        *ret_is_text = *ret_is_text & is_secret;
    }
    explicit_bzero(msg, msg_len);
    free(msg);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(key, sizeof(key));
    return st;
}

/* The same work for what is no message at all. */
static gw_status open_nothing(const gw__cipher_rsa *rsa, char *ret_text, size_t *ret_len,
                              bool *ret_is_text)
{
    static const unsigned char block[2 * GW__CIPHER_BLOCK];
    size_t len = modulus_len(rsa);
    unsigned char *wrapped = malloc(len);
    if (wrapped == NULL) {
        return GW_E_NOMEM;
    }
    memset(wrapped, 1, len);
    wrapped[0] = 0; /* below the modulus */
    gw_status st = open_with(rsa, wrapped, block, sizeof(block), ret_text, ret_len, ret_is_text);
    *ret_is_text = false;
    free(wrapped);
    return st;
}

gw_status gw__cipher_rsa_open(const gw__cipher_rsa *rsa, const unsigned char *bytes, size_t len,
                              char *ret_text, size_t *ret_len, bool *ret_is_text)
{
    size_t wrapped_len = modulus_len(rsa);
    size_t head = HEAD_LEN + wrapped_len;
    if (len < head + 2 * GW__CIPHER_BLOCK || (len - head) % GW__CIPHER_BLOCK != 0 ||
        ((size_t)bytes[0] << 8 | bytes[1]) != wrapped_len) {
        return open_nothing(rsa, ret_text, ret_len, ret_is_text);
    }
    return open_with(rsa, bytes + HEAD_LEN, bytes + head, len - head, ret_text, ret_len,
                     ret_is_text);
}
