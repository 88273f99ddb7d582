/* SPDX-License-Identifier: MIT */
/* The keys of a PKCS#12 file: of each bag with a private key, the key and its friendly name. */
#include "config/cipher_keys.h"

#include <string.h>

#include <openssl/pkcs12.h>

/* What is being read. */
typedef struct reading {
    const char *password;
    const char *where;
    gw__rsa_keys *keys;
    gw_error *err;
    bool has_other; /* a key that is not RSA, or cannot be read */
} reading;

static EVP_PKEY *key_of(const reading *from, const PKCS12_SAFEBAG *bag)
{
    int kind = PKCS12_SAFEBAG_get_nid(bag);
    if (kind == NID_keyBag) {
        return EVP_PKCS82PKEY(PKCS12_SAFEBAG_get0_p8inf(bag));
    }
    PKCS8_PRIV_KEY_INFO *info =
        PKCS12_decrypt_skey(bag, from->password, (int)strlen(from->password));
    EVP_PKEY *key = info != NULL ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return key;
}

/* The friendly name in UTF-8, to be freed with OPENSSL_free(); NULL if it has none. */
static char *alias_of(const PKCS12_SAFEBAG *bag)
{
    const ASN1_TYPE *name = PKCS12_SAFEBAG_get0_attr(bag, NID_friendlyName);
    if (name == NULL || name->type != V_ASN1_BMPSTRING) {
        return NULL;
    }
    const ASN1_STRING *text = name->value.bmpstring;
    return OPENSSL_uni2utf8(ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
}

static gw_status read_bag(reading *from, const PKCS12_SAFEBAG *bag)
{
    int kind = PKCS12_SAFEBAG_get_nid(bag);
    if (kind != NID_keyBag && kind != NID_pkcs8ShroudedKeyBag) {
        return GW_OK; /* a certificate */
    }
    EVP_PKEY *key = key_of(from, bag);
    if (key == NULL || !EVP_PKEY_is_a(key, "RSA")) {
        EVP_PKEY_free(key);
        from->has_other = true;
        return GW_OK;
    }
    char *alias = alias_of(bag);
    gw_status st =
        gw__rsa_keys_add(from->keys, key, alias != NULL ? alias : "", from->where, from->err);
    OPENSSL_free(alias);
    return st;
}

static gw_status read_bags(reading *from, const STACK_OF(PKCS12_SAFEBAG) * bags)
{
    gw_status st = GW_OK;
    for (int i = 0; st == GW_OK && i < sk_PKCS12_SAFEBAG_num(bags); i++) {
        st = read_bag(from, sk_PKCS12_SAFEBAG_value(bags, i));
    }
    return st;
}

/* Keys are usually in a safe that is not encrypted itself. What this OpenSSL cannot decrypt are
 * certificates with ciphers of the past, and not needed. */
static gw_status read_safe(reading *from, PKCS7 *safe)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    if (PKCS7_type_is_data(safe)) {
        bags = PKCS12_unpack_p7data(safe);
    } else if (PKCS7_type_is_encrypted(safe)) {
        bags = PKCS12_unpack_p7encdata(safe, from->password, (int)strlen(from->password));
    }
    gw_status st = bags != NULL ? read_bags(from, bags) : GW_OK;
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return st;
}

static gw_status read_safes(reading *from, const PKCS12 *store)
{
    STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(store);
    if (safes == NULL) {
        return gw_error_set(from->err, GW_E_INVALID, 0, "%s: a PKCS#12 file that cannot be read",
                            from->where);
    }
    gw_status st = GW_OK;
    for (int i = 0; st == GW_OK && i < sk_PKCS7_num(safes); i++) {
        st = read_safe(from, sk_PKCS7_value(safes, i));
    }
    sk_PKCS7_pop_free(safes, PKCS7_free);
    if (st == GW_OK && from->keys->n == 0) {
        st = gw_error_set(from->err, GW_E_INVALID, 0,
                          from->has_other ? "%s: the keystore has no RSA key that can be read"
                                          : "%s: the keystore has no private key",
                          from->where);
    }
    return st;
}

gw_status gw__pkcs12_read(const char *bytes, size_t len, const char *password, const char *where,
                          gw__rsa_keys *keys, gw_error *err)
{
    const unsigned char *at = (const unsigned char *)bytes;
    PKCS12 *store = d2i_PKCS12(NULL, &at, (long)len);
    if (store == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "%s: not a PKCS#12 keystore; turn a JKS one into it with keytool "
                            "-importkeystore -deststoretype PKCS12",
                            where);
    }
    reading from = {
        .password = password != NULL ? password : "", .where = where, .keys = keys, .err = err};
    gw_status st;
    if (PKCS12_mac_present(store) &&
        PKCS12_verify_mac(store, from.password, (int)strlen(from.password)) != 1) {
        st = gw_error_set(err, GW_E_DENIED, 0, "%s: wrong password of the keystore", where);
    } else {
        st = read_safes(&from, store);
    }
    PKCS12_free(store);
    return st;
}
