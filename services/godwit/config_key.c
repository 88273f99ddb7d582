/* SPDX-License-Identifier: MIT */
#include "config_key.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>

#define PASSWORD_MAX 1024

/* Of the environment; NULL for an empty one. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool config_key_is_given(const options *given)
{
    return given->config.key_file != NULL || given->config.keystore != NULL ||
           environment(OPTIONS_KEY_ENV) != NULL;
}

static gw_status open_keystore(const options *given, gw_cipher_options *cipher,
                               gw_cipher **ret_cipher, gw_error *err)
{
    char password[PASSWORD_MAX];
    const char *path = given->config.keystore_password_file;
    cipher->keystore_password = environment(CONFIG_KEYSTORE_PASSWORD_ENV);
    if (path != NULL) {
        gw_status st =
            gw_secret_read("keystore-password-file", path, true, password, sizeof(password), err);
        if (st != GW_OK) {
            return st;
        }
        cipher->keystore_password = password;
    }
    gw_status st = gw_cipher_new(cipher, ret_cipher, err);
    explicit_bzero(password, sizeof(password));
    return st;
}

gw_status config_key_open(const options *given, gw_cipher **ret_cipher, gw_error *err)
{
    gw_cipher_options cipher = {
        .key_file = given->config.key_file,
        .salt = given->config.salt != NULL ? given->config.salt : environment(CONFIG_SALT_ENV),
        .keystore_file = given->config.keystore,
        .keystore_alias = given->config.alias,
        .rsa_oaep = given->config.oaep,
    };
    if (!config_key_is_given(given)) {
        return gw_error_set(
            err, GW_E_INVALID, 0,
            "there is no key: name a file with --key-file or --keystore, or set " OPTIONS_KEY_ENV
            " in the environment");
    }
    if (cipher.keystore_file != NULL && cipher.key_file == NULL) {
        return open_keystore(given, &cipher, ret_cipher, err);
    }
    if (cipher.key_file == NULL) {
        cipher.key = environment(OPTIONS_KEY_ENV);
    }
    return gw_cipher_new(&cipher, ret_cipher, err);
}
