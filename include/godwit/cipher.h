/* SPDX-License-Identifier: MIT */
/**
 * @file cipher.h
 * Secrets in configuration, as Spring Cloud Config writes them: `{cipher}` and a text that only the
 * holder of a key can read.
 *
 * With a shared key: PBKDF2-HMAC-SHA1 (1024 rounds) makes an AES-256 key of it; AES-CBC with
 * PKCS#7 padding, a random IV in front, all in lower-case hex. With an RSA key: the Base64 of a
 * 2-byte length, 16 random bytes encrypted with RSA, and the text encrypted as above with the hex
 * of these as its key. CBC is not authenticated: a wrong key is told by padding and by UTF-8 alone.
 *
 * OpenSSL does the work, and wakes up with the first key: a program without one is not larger for
 * this.
 *
 * (Source: Encryptors.text() of Spring Security, RsaSecretEncryptor of Spring Security RSA.)
 */
#ifndef GODWIT_CIPHER_H
#define GODWIT_CIPHER_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

#define GW_CIPHER_PREFIX   "{cipher}"
#define GW_CIPHER_TEXT_MAX ((size_t)1 << 20) /**< most bytes of a plain text */

/** One or several keys. Immutable; any thread. Its memory is wiped when it is freed. */
typedef struct gw_cipher gw_cipher;

typedef struct gw_cipher_options {
    const char *key;           /**< shared, or an RSA private key as PEM text */
    const char *key_file;      /**< instead: a file with either, a newline at its end not counted */
    const char *salt;          /**< hex; NULL: "deadbeef" */
    const char *keystore_file; /**< instead: PKCS#12 with RSA keys */
    const char *keystore_password;
    const char *keystore_alias; /**< the key that encrypts; NULL: the only one, or the first */
    bool rsa_oaep;              /**< "OAEP" instead of "DEFAULT" (PKCS#1 1.5) */
} gw_cipher_options;

/** @return GW_OK; GW_E_INVALID for no key, an empty one, a salt that is not hex, a PEM or a
 * keystore that cannot be read or has another kind of key; GW_E_NOT_FOUND and GW_E_IO for the file;
 * GW_E_DENIED for a wrong password of the keystore, and for a key's file that others can write;
 * GW_E_LIMIT for a file of more than 64 KiB (a keystore: 1 MiB, 64 keys); GW_E_UNSUPPORTED when
 * OpenSSL has no AES-256-CBC; GW_E_NOMEM. The text names the file, and nothing of the key. */
GW_API GW_MUST_CHECK gw_status gw_cipher_new(const gw_cipher_options *options,
                                             gw_cipher **ret_cipher, gw_error *err);
GW_API void gw_cipher_free(gw_cipher *cipher); /**< accepts NULL */

/** Append the encrypted text, without the prefix `{cipher}`. `{name:value}` pairs in front of the
 * text stay there, since decrypting needs them: `{key:alias}` picks a key of the keystore.
 * `{plain}` ends them; what follows is text, whatever it looks like. GW_E_LIMIT; GW_E_INVALID for
 * what is not UTF-8, or has a NUL; GW_E_NOT_FOUND for an alias that the keystore does not have. */
GW_API GW_MUST_CHECK gw_status gw_cipher_encrypt(const gw_cipher *cipher, const char *text,
                                                 size_t len, gw_buf *out, gw_error *err);

/** Append the plain text; the prefix `{cipher}` is optional, `{key:alias}` and other `{name:value}`
 * in front are understood. Any failure but GW_E_NOMEM is GW_E_INVALID with the same words, in about
 * the same time: it tells nothing of the key. Nothing is appended then. Blanks and line ends around
 * the text do not count. GW_E_LIMIT is that of `out`. */
GW_API GW_MUST_CHECK gw_status gw_cipher_decrypt(const gw_cipher *cipher, const char *text,
                                                 size_t len, gw_buf *out, gw_error *err);

/** Append the public key as PEM; GW_E_NOT_FOUND for a shared key, or an unknown alias. `alias` may
 * be NULL. */
GW_API GW_MUST_CHECK gw_status gw_cipher_public_key(const gw_cipher *cipher, const char *alias,
                                                    gw_buf *out, gw_error *err);

GW_END_DECLS

#endif
