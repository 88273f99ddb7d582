/* SPDX-License-Identifier: MIT */
/* PEM by hand: OpenSSL's reader wants the line ends that environment variables lose. */
#include "config/cipher_keys.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "config/cipher_text.h"

#define BEGIN "-----BEGIN "
#define END   "-----END "
#define DASH  "-----"

/* The text between the lines of a private key. */
typedef struct body {
    const char *text;
    size_t len;
} body;

bool gw__pem_is(const char *text)
{
    return strstr(text, BEGIN) != NULL || strstr(text, "PRIVATE KEY-----") != NULL;
}

static bool ends_in(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* Find the first private key; certificates and public keys around it are passed over. */
static gw_status find(const char *text, const char *where, body *ret_body, gw_error *err)
{
    for (const char *at = text; (at = strstr(at, BEGIN)) != NULL;) {
        const char *label = at + strlen(BEGIN);
        const char *label_end = strstr(label, DASH);
        const char *end = label_end == NULL ? NULL : strstr(label_end, END);
        if (end == NULL) {
            return gw_error_set(err, GW_E_INVALID, 0, "%s: a PEM key without its last line", where);
        }
        size_t label_len = (size_t)(label_end - label);
        if (ends_in(label, label_len, "ENCRYPTED PRIVATE KEY")) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "%s: the key is encrypted; give it as it is, in a file that only "
                                "this service can read, or use a keystore",
                                where);
        }
        if (ends_in(label, label_len, "PRIVATE KEY")) {
            ret_body->text = label_end + strlen(DASH);
            ret_body->len = (size_t)(end - ret_body->text);
            return GW_OK;
        }
        at = end + strlen(END);
    }
    return gw_error_set(err, GW_E_INVALID, 0, "%s: PEM without a private key", where);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Copy Base64 without blanks and without "\n" and "\r" written out. Returns the length. */
static size_t squeeze(body from, char *ret_text)
{
    size_t len = 0;
    for (size_t i = 0; i < from.len; i++) {
        bool is_escape = from.text[i] == '\\' && i + 1 < from.len &&
                         (from.text[i + 1] == 'n' || from.text[i + 1] == 'r');
        if (is_escape) {
            i++;
        } else if (!is_blank(from.text[i])) {
            ret_text[len++] = from.text[i];
        }
    }
    return len;
}

static EVP_PKEY *decode(body from)
{
    char *text = malloc(from.len + 1);
    unsigned char *der = malloc(from.len + 1);
    size_t len = 0;
    EVP_PKEY *key = NULL;
    if (text != NULL && der != NULL && gw__base64_decode(text, squeeze(from, text), der, &len)) {
        const unsigned char *at = der;
        key = d2i_AutoPrivateKey(NULL, &at, (long)len);
    }
    gw__secret_free(text, from.len);
    gw__secret_free(der, from.len);
    return key;
}

gw_status gw__pem_read(const char *text, const char *where, gw__rsa_keys *keys, gw_error *err)
{
    body found = {0};
    gw_status st = find(text, where, &found, err);
    if (st != GW_OK) {
        return st;
    }
    if (memchr(found.text, ':', found.len) != NULL) { /* "Proc-Type: 4,ENCRYPTED" */
        return gw_error_set(err, GW_E_INVALID, 0,
                            "%s: the key is encrypted; give it as it is, or use a keystore", where);
    }
    EVP_PKEY *key = decode(found);
    if (key == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: the PEM key cannot be read", where);
    }
    return gw__rsa_keys_add(keys, key, "", where, err);
}
