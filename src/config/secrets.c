/* SPDX-License-Identifier: MIT */
#include "config/secrets.h"

#include <string.h>

bool gw__secrets_has_key(const gw_cipher_options *options)
{
    return options->key != NULL || options->key_file != NULL || options->keystore_file != NULL;
}

static bool is_locked(const gw__property *item)
{
    return strncmp(item->value, GW_CIPHER_PREFIX, strlen(GW_CIPHER_PREFIX)) == 0 &&
           strncmp(item->key, "invalid.", strlen("invalid.")) != 0;
}

static gw_status open_one(gw__properties *props, size_t i, const gw_cipher *cipher, gw_error *err)
{
    const gw__property *item = gw__properties_at(props, i);
    if (cipher == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "key '%.100s' from %.200s is encrypted, and this program has no key to "
                            "open it",
                            item->key, item->origin);
    }
    gw_buf plain;
    gw_buf_init(&plain, GW_CIPHER_TEXT_MAX);
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_cipher_decrypt(cipher, item->value, strlen(item->value), &plain, &why);
    if (st == GW_OK && plain.data != NULL && strlen(plain.data) != plain.len) {
        st = gw_error_set(&why, GW_E_INVALID, 0, "what is in it is no text");
    }
    if (st == GW_OK) {
        st = gw__properties_reveal(props, i, plain.data != NULL ? plain.data : "", err);
    } else {
        gw_error_set(err, st, 0, "key '%.100s' from %.200s cannot be decrypted: %s", item->key,
                     item->origin, why.text);
    }
    if (plain.data != NULL) {
        explicit_bzero(plain.data, plain.len);
    }
    gw_buf_dispose(&plain);
    return st;
}

gw_status gw__secrets_open(gw__properties *props, const gw_cipher *cipher, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < gw__properties_count(props); i++) {
        if (is_locked(gw__properties_at(props, i))) {
            st = open_one(props, i, cipher, err);
        }
    }
    return st;
}
