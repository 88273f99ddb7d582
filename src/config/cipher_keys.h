/* SPDX-License-Identifier: MIT */
/* Where keys come from: texts, files, PEM, PKCS#12. Everything that was read is wiped. */
#ifndef GW_CONFIG_CIPHER_KEYS_H
#define GW_CONFIG_CIPHER_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#include <godwit/error.h>

#define GW__KEY_FILE_MAX  ((size_t)64 << 10) /* bytes of a key, or of a file with one */
#define GW__KEYSTORE_MAX  ((size_t)1 << 20)
#define GW__KEYSTORE_KEYS 64u
#define GW__RSA_BITS_MIN  1024
#define GW__RSA_BITS_MAX  16384

/* An RSA private key. */
typedef struct gw__rsa_key {
    EVP_PKEY *key;
    char *alias; /* "" outside of a keystore */
} gw__rsa_key;

typedef struct gw__rsa_keys {
    gw__rsa_key *items;
    size_t n;
} gw__rsa_keys;

/* Accepts zeroed ones. */
void gw__rsa_keys_dispose(gw__rsa_keys *keys);

/* Take the key over, also on failure. GW_E_INVALID when it is no RSA key of a usable size;
 * GW_E_LIMIT past GW__KEYSTORE_KEYS; GW_E_NOMEM. `where` is for the error's text. */
gw_status gw__rsa_keys_add(gw__rsa_keys *keys, EVP_PKEY *key, const char *alias, const char *where,
                           gw_error *err);

/* NULL if there is none. Java's keystores do not tell upper from lower case, so neither does it. */
const gw__rsa_key *gw__rsa_keys_find(const gw__rsa_keys *keys, const char *alias, size_t len);

/*
 * Read a file that holds secrets: at most `max` bytes, a regular one that not everybody may write.
 *
 * @param ret_bytes NUL-terminated; to be given back with gw__secret_free().
 * @return GW_OK; GW_E_NOT_FOUND, GW_E_DENIED, GW_E_LIMIT, GW_E_IO, GW_E_NOMEM.
 */
gw_status gw__secret_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                          gw_error *err);
void gw__secret_free(void *bytes, size_t len); /* accepts NULL */

/* Whether a key's text is PEM and not a password. */
bool gw__pem_is(const char *text);

/*
 * Add the private key of a PEM text, PKCS#1 or PKCS#8, which may have lost its line ends, or have
 * the two characters "\n" for them, as in environment variables.
 *
 * @return GW_OK; GW_E_INVALID with what is wrong, `where` in front; GW_E_NOMEM.
 */
gw_status gw__pem_read(const char *text, const char *where, gw__rsa_keys *keys, gw_error *err);

/*
 * Add the private keys of a PKCS#12 file. GW_E_INVALID when it is none or has no RSA key;
 * GW_E_DENIED for a wrong password; GW_E_LIMIT; GW_E_NOMEM.
 *
 * @param password NULL for none.
 */
gw_status gw__pkcs12_read(const char *bytes, size_t len, const char *password, const char *where,
                          gw__rsa_keys *keys, gw_error *err);

#endif
