/* SPDX-License-Identifier: MIT */
#include <godwit/cipher.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "config/cipher_block.h"
#include "config/cipher_keys.h"
#include "config/cipher_rsa.h"
#include "config/cipher_text.h"

#define SALT         "deadbeef"
#define SALT_MAX     64u
#define PASSWORD_MAX 4096u

/* The bytes of the longest encrypted text that is tried; more than the longest plain one makes. */
#define SEALED_MAX (GW_CIPHER_TEXT_MAX + 4096)

struct gw_cipher {
    EVP_CIPHER *aes; /* looked up once: that takes longer than to decrypt a password */
    unsigned char salt[SALT_MAX];
    size_t salt_len;
    unsigned char shared[GW__CIPHER_KEY]; /* derived; if there is no RSA key */
    gw__rsa_keys rsa;
    const gw__rsa_key *main; /* the one that encrypts */
    bool is_oaep;
};

/* ---- making one ---------------------------------------------------------------- */

static gw_status set_salt(gw_cipher *cipher, const char *salt, gw_error *err)
{
    size_t len = strlen(salt);
    if (len == 0 || len > 2 * SALT_MAX || !gw__hex_decode(salt, len, cipher->salt)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the salt is not 1 to %u bytes in hex", SALT_MAX);
    }
    cipher->salt_len = len / 2;
    return GW_OK;
}

static gw_status use_text(gw_cipher *cipher, const char *text, size_t len, const char *where,
                          gw_error *err)
{
    if (len == 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: the key is empty", where);
    }
    if (memchr(text, '\0', len) != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: the key has a NUL character", where);
    }
    if (gw__pem_is(text)) {
        return gw__pem_read(text, where, &cipher->rsa, err);
    }
    if (len > PASSWORD_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: a key of more than %u bytes", where,
                            PASSWORD_MAX);
    }
    gw_status st = gw__cipher_derive(text, len, cipher->salt, cipher->salt_len, cipher->shared);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "%s: %s", where, gw_status_text(st));
}

static gw_status use_file(gw_cipher *cipher, const char *path, gw_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gw_status st = gw__secret_read(path, GW__KEY_FILE_MAX, &text, &size, err);
    if (st != GW_OK) {
        return st;
    }
    size_t len = size;
    len -= len > 0 && text[len - 1] == '\n';
    len -= len > 0 && len < size && text[len - 1] == '\r';
    text[len] = '\0';
    st = use_text(cipher, text, len, path, err);
    gw__secret_free(text, size);
    return st;
}

static gw_status use_keystore(gw_cipher *cipher, const gw_cipher_options *options, gw_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    const char *path = options->keystore_file;
    gw_status st = gw__secret_read(path, GW__KEYSTORE_MAX, &bytes, &len, err);
    if (st == GW_OK) {
        st = gw__pkcs12_read(bytes, len, options->keystore_password, path, &cipher->rsa, err);
        gw__secret_free(bytes, len);
    }
    if (st == GW_OK && options->keystore_alias != NULL) {
        const char *alias = options->keystore_alias;
        cipher->main = gw__rsa_keys_find(&cipher->rsa, alias, strlen(alias));
        if (cipher->main == NULL) {
            st =
                gw_error_set(err, GW_E_INVALID, 0, "%s: the keystore has no key '%s'", path, alias);
        }
    }
    return st;
}

static gw_status use_keys(gw_cipher *cipher, const gw_cipher_options *options, gw_error *err)
{
    if ((options->key != NULL) + (options->key_file != NULL) + (options->keystore_file != NULL) !=
        1) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "give one of a key, a file with a key, and a keystore");
    }
    gw_status st = set_salt(cipher, options->salt != NULL ? options->salt : SALT, err);
    if (st == GW_OK) {
        cipher->aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
        st = cipher->aes != NULL
                 ? GW_OK
                 : gw_error_set(err, GW_E_UNSUPPORTED, 0, "this OpenSSL has no AES-256-CBC");
    }
    if (st != GW_OK) {
        return st;
    }
    if (options->key != NULL) {
        return use_text(cipher, options->key, strlen(options->key), "the key", err);
    }
    return options->key_file != NULL ? use_file(cipher, options->key_file, err)
                                     : use_keystore(cipher, options, err);
}

gw_status gw_cipher_new(const gw_cipher_options *options, gw_cipher **ret_cipher, gw_error *err)
{
    if (options == NULL || ret_cipher == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "options or ret_cipher is NULL");
    }
    gw_cipher *cipher = calloc(1, sizeof(*cipher));
    if (cipher == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    cipher->is_oaep = options->rsa_oaep;
    ERR_set_mark(); /* what OpenSSL says goes to nobody; callers' own entries stay */
    gw_status st = use_keys(cipher, options, err);
    ERR_pop_to_mark();
    if (st != GW_OK) {
        gw_cipher_free(cipher);
        return st;
    }
    if (cipher->main == NULL && cipher->rsa.n > 0) {
        cipher->main = &cipher->rsa.items[0];
    }
    *ret_cipher = cipher;
    return GW_OK;
}

void gw_cipher_free(gw_cipher *cipher)
{
    if (cipher != NULL) {
        gw__rsa_keys_dispose(&cipher->rsa);
        EVP_CIPHER_free(cipher->aes);
        gw__secret_free(cipher, sizeof(*cipher));
    }
}

/* ---- using it -------------------------------------------------------------------- */

static gw__cipher_rsa rsa_of(const gw_cipher *cipher, const gw__rsa_key *key)
{
    return (gw__cipher_rsa){.aes = cipher->aes,
                            .key = key->key,
                            .salt = cipher->salt,
                            .salt_len = cipher->salt_len,
                            .is_oaep = cipher->is_oaep};
}

/* The key that an alias names: the main one for none; NULL for an unknown one. */
static const gw__rsa_key *key_of(const gw_cipher *cipher, const char *alias, size_t len)
{
    return alias == NULL ? cipher->main : gw__rsa_keys_find(&cipher->rsa, alias, len);
}

static gw_status check_plain(const gw__cipher_words *words, gw_error *err)
{
    if (words->rest_len > GW_CIPHER_TEXT_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "a text of more than %zu bytes",
                            GW_CIPHER_TEXT_MAX);
    }
    if (!gw_utf8_is_valid(words->rest, words->rest_len) ||
        memchr(words->rest, '\0', words->rest_len) != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "the text is not UTF-8, or has a NUL character");
    }
    return GW_OK;
}

/* Pairs stay in front: decrypting needs them too. */
static gw_status append_sealed(gw_buf *out, const gw__cipher_words *words,
                               const unsigned char *bytes, size_t len, bool is_rsa)
{
    size_t start = out->len;
    gw_buf_add(out, words->pairs, words->pairs_len);
    if (is_rsa) {
        gw__base64_encode(out, bytes, len);
    } else {
        gw__hex_encode(out, bytes, len);
    }
    gw_status st = gw_buf_status(out);
    if (st != GW_OK && out->len > start) {
        out->len = start;
        out->data[start] = '\0';
    }
    return st;
}

static gw_status encrypt(const gw_cipher *cipher, const gw__cipher_words *words,
                         const gw__rsa_key *key, gw_buf *out)
{
    bool is_rsa = key != NULL;
    gw__cipher_rsa rsa = is_rsa ? rsa_of(cipher, key) : (gw__cipher_rsa){0};
    size_t size = words->rest_len + (is_rsa ? gw__cipher_rsa_overhead(&rsa) : GW__CIPHER_OVERHEAD);
    unsigned char *bytes = malloc(size);
    size_t len = 0;
    if (bytes == NULL) {
        return GW_E_NOMEM;
    }
    ERR_set_mark();
    gw_status st = is_rsa ? gw__cipher_rsa_seal(&rsa, words->rest, words->rest_len, bytes, &len)
                          : gw__cipher_seal(cipher->aes, cipher->shared, words->rest,
                                            words->rest_len, bytes, &len);
    ERR_pop_to_mark();
    if (st == GW_OK) {
        st = append_sealed(out, words, bytes, len, is_rsa);
    }
    free(bytes);
    return st;
}

gw_status gw_cipher_encrypt(const gw_cipher *cipher, const char *text, size_t len, gw_buf *out,
                            gw_error *err)
{
    if (cipher == NULL || out == NULL || (text == NULL && len > 0)) {
        return gw_error_set(err, GW_E_INVALID, 0, "cipher, text or out is NULL");
    }
    gw__cipher_words words = gw__cipher_split(text != NULL ? text : "", len);
    gw_status st = check_plain(&words, err);
    if (st != GW_OK) {
        return st;
    }
    const gw__rsa_key *key = key_of(cipher, words.alias, words.alias_len);
    if (key == NULL && cipher->main != NULL) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no key '%.*s'",
                            words.alias_len > 64 ? 64 : (int)words.alias_len, words.alias);
    }
    st = encrypt(cipher, &words, key, out);
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "encrypting failed: %s", gw_status_text(st));
}

/* The encrypted text as bytes, or, if it is none, two blocks that stand for it, so that the work is
 * done all the same. */
static bool decode(const gw_cipher *cipher, const gw__cipher_words *words, unsigned char *bytes,
                   size_t *ret_len)
{
    bool is_good;
    if (cipher->main != NULL) {
        is_good = gw__base64_decode(words->rest, words->rest_len, bytes, ret_len);
    } else {
        *ret_len = words->rest_len / 2;
        is_good = gw__hex_decode(words->rest, words->rest_len, bytes) &&
                  *ret_len >= 2 * GW__CIPHER_BLOCK && *ret_len % GW__CIPHER_BLOCK == 0;
    }
    if (!is_good) {
        memset(bytes, 0, 2 * GW__CIPHER_BLOCK);
        *ret_len = 2 * GW__CIPHER_BLOCK;
    }
    return is_good;
}

static gw_status open_bytes(const gw_cipher *cipher, const gw__rsa_key *key,
                            const unsigned char *bytes, size_t len, char *ret_text, size_t *ret_len,
                            bool *ret_is_text)
{
    ERR_set_mark();
    gw_status st;
    if (key != NULL) {
        gw__cipher_rsa rsa = rsa_of(cipher, key);
        st = gw__cipher_rsa_open(&rsa, bytes, len, ret_text, ret_len, ret_is_text);
    } else {
        st = gw__cipher_open(cipher->aes, cipher->shared, bytes, len, ret_text, ret_len,
                             ret_is_text);
    }
    ERR_pop_to_mark();
    return st;
}

static gw_status decrypt(const gw_cipher *cipher, const gw__cipher_words *words, gw_buf *out,
                         bool *ret_is_text)
{
    size_t size = words->rest_len + 2 * GW__CIPHER_BLOCK;
    unsigned char *bytes = malloc(size);
    char *text = malloc(size);
    size_t len = 0;
    size_t text_len = 0;
    gw_status st = GW_E_NOMEM;
    if (bytes != NULL && text != NULL) {
        bool is_good = decode(cipher, words, bytes, &len);
        const gw__rsa_key *key = key_of(cipher, words->alias, words->alias_len);
        bool is_known = key != NULL || cipher->main == NULL;
        st = open_bytes(cipher, is_known ? key : cipher->main, bytes, len, text, &text_len,
                        ret_is_text);
        *ret_is_text = st == GW_OK && (*ret_is_text & is_good & is_known);
    }
    if (st == GW_OK && *ret_is_text) {
        gw_buf_add(out, text, text_len);
        st = gw_buf_status(out);
    }
    gw__secret_free(text, size);
    free(bytes);
    return st;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

gw_status gw_cipher_decrypt(const gw_cipher *cipher, const char *text, size_t len, gw_buf *out,
                            gw_error *err)
{
    if (cipher == NULL || out == NULL || (text == NULL && len > 0)) {
        return gw_error_set(err, GW_E_INVALID, 0, "cipher, text or out is NULL");
    }
    text = text != NULL ? text : "";
    for (; len > 0 && is_blank(*text); len--) {
        text++;
    }
    while (len > 0 && is_blank(text[len - 1])) {
        len--;
    }
    const size_t prefix_len = strlen(GW_CIPHER_PREFIX);
    if (len >= prefix_len && memcmp(text, GW_CIPHER_PREFIX, prefix_len) == 0) {
        text += prefix_len;
        len -= prefix_len;
    }
    gw__cipher_words words = gw__cipher_split(text, len);
    if (words.rest_len > 2 * SEALED_MAX) {
        words.rest_len = 0; /* no encrypted text */
    }
    bool is_text = false;
    gw_status st = decrypt(cipher, &words, out, &is_text);
    if (st == GW_OK && !is_text) {
        return gw_error_set(err, GW_E_INVALID, 0, "the text was not encrypted with this key");
    }
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "decrypting failed: %s", gw_status_text(st));
}

gw_status gw_cipher_public_key(const gw_cipher *cipher, const char *alias, gw_buf *out,
                               gw_error *err)
{
    if (cipher == NULL || out == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "cipher or out is NULL");
    }
    if (cipher->main == NULL) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "a shared key has no public part");
    }
    const gw__rsa_key *key = key_of(cipher, alias, alias != NULL ? strlen(alias) : 0);
    if (key == NULL) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no key '%.64s'", alias);
    }
    BIO *pem = BIO_new(BIO_s_mem());
    const char *text = NULL;
    gw_status st = GW_E_NOMEM;
    if (pem != NULL && PEM_write_bio_PUBKEY(pem, key->key) == 1) {
        long len = BIO_get_mem_data(pem, (char **)(uintptr_t)&text);
        gw_buf_add(out, text, (size_t)len);
        st = gw_buf_status(out);
    }
    BIO_free(pem);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "%s", gw_status_text(st));
}
