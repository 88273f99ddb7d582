/* SPDX-License-Identifier: MIT */
/* `{cipher}` values that the config server passes on as they are. */
#ifndef GW_CONFIG_SECRETS_H
#define GW_CONFIG_SECRETS_H

#include <godwit/cipher.h>

#include "config/properties.h"

/* Whether any of the options names a key. */
bool gw__secrets_has_key(const gw_cipher_options *options);

/*
 * Open every `{cipher}` value, and mark it as secret. All or none: the first that cannot be opened
 * fails the whole, as with Spring's clients. Keys below `invalid.`, which a server puts in the
 * place of what it could not open itself, are left alone.
 *
 * @param props  sealed, and not seen by others yet.
 * @param cipher may be NULL: then one such value is a failure.
 * @return GW_OK; GW_E_INVALID with key and origin; GW_E_NOMEM.
 */
gw_status gw__secrets_open(gw__properties *props, const gw_cipher *cipher, gw_error *err);

#endif
