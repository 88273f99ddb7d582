/* SPDX-License-Identifier: MIT */
/**
 * @file config_key.h
 * The key of {cipher} values, from a file, a keystore or the environment; never from the command
 * line.
 */
#ifndef GODWIT_TOOL_CONFIG_KEY_H
#define GODWIT_TOOL_CONFIG_KEY_H

#include <stdbool.h>

#include <godwit/cipher.h>

#include "options.h"

#define CONFIG_SALT_ENV              "ENCRYPT_SALT"
#define CONFIG_KEYSTORE_PASSWORD_ENV "ENCRYPT_KEYSTORE_PASSWORD"

/** Whether the options or the environment name a key. */
bool config_key_is_given(const options *given);

/**
 * @return GW_OK; GW_E_INVALID, also when there is no key; what gw_cipher_new() fails with.
 */
gw_status config_key_open(const options *given, gw_cipher **ret_cipher, gw_error *err);

#endif
