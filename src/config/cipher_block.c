/* SPDX-License-Identifier: MIT */
#include "config/cipher_block.h"

#include <assert.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/utf8.h"

#define ROUNDS 1024

gw_status gw__cipher_derive(const char *password, size_t len, const unsigned char *salt,
                            size_t salt_len, unsigned char ret_key[GW__CIPHER_KEY])
{
    int done = PKCS5_PBKDF2_HMAC_SHA1(password, (int)len, salt, (int)salt_len, ROUNDS,
                                      (int)GW__CIPHER_KEY, ret_key);
    return done == 1 ? GW_OK : GW_E_NOMEM;
}

gw_status gw__cipher_seal(const EVP_CIPHER *aes, const unsigned char key[GW__CIPHER_KEY],
                          const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_len)
{
    if (RAND_bytes(ret_bytes, GW__CIPHER_BLOCK) != 1) {
        return GW_E_INTERNAL;
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return GW_E_NOMEM;
    }
    unsigned char *blocks = ret_bytes + GW__CIPHER_BLOCK;
    int n = 0;
    int n_last = 0;
    bool done = EVP_EncryptInit_ex2(ctx, aes, key, ret_bytes, NULL) == 1 &&
                EVP_EncryptUpdate(ctx, blocks, &n, (const unsigned char *)text, (int)len) == 1 &&
                EVP_EncryptFinal_ex(ctx, blocks + n, &n_last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *ret_len = GW__CIPHER_BLOCK + (size_t)n + (size_t)n_last;
    return done ? GW_OK : GW_E_NOMEM;
}

/* The length of the padding that ends in this block, without a branch on its bytes; of bad padding,
 * 0. */
static size_t padding_len(const unsigned char *block, bool *ret_is_good)
{
    uint32_t n = block[GW__CIPHER_BLOCK - 1];
    uint32_t bad = (n - 1) >> 4; /* neither 0 nor above 16 */
    for (uint32_t i = 0; i < GW__CIPHER_BLOCK; i++) {
        uint32_t is_padding = 0u - ((i - n) >> 31);
        bad |= is_padding & (block[GW__CIPHER_BLOCK - 1 - i] ^ n);
    }
    uint32_t good = ((bad | (0u - bad)) >> 31) - 1u; /* all ones when bad is 0 */
    *ret_is_good = good != 0;
    return n & good;
}

/* Looks at all of it, also past what is wrong. */
static bool is_text(const char *bytes, size_t len)
{
    bool good = true;
    for (size_t i = 0; i < len;) {
        size_t n = bytes[i] == '\0' ? 0 : gw_utf8_sequence_len(bytes + i, len - i);
        good = good & (n > 0);
        i += n > 0 ? n : 1;
    }
    return good;
}

gw_status gw__cipher_open(const EVP_CIPHER *aes, const unsigned char key[GW__CIPHER_KEY],
                          const unsigned char *bytes, size_t len, char *ret_text, size_t *ret_len,
                          bool *ret_is_text)
{
    assert(len >= 2 * GW__CIPHER_BLOCK && len % GW__CIPHER_BLOCK == 0);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return GW_E_NOMEM;
    }
    int n = 0;
    size_t blocks_len = len - GW__CIPHER_BLOCK;
    unsigned char *text = (unsigned char *)ret_text;
    bool done = EVP_DecryptInit_ex2(ctx, aes, key, bytes, NULL) == 1 &&
                EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
                EVP_DecryptUpdate(ctx, text, &n, bytes + GW__CIPHER_BLOCK, (int)blocks_len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!done) {
        return GW_E_NOMEM;
    }
    bool padding_is_good;
    *ret_len = blocks_len - padding_len(text + blocks_len - GW__CIPHER_BLOCK, &padding_is_good);
    *ret_is_text = is_text(ret_text, *ret_len) & padding_is_good;
    return GW_OK;
}
