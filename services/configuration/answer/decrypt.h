/* SPDX-License-Identifier: MIT */
/* {cipher} values of an environment become plain ones. */
#ifndef CS_DECRYPT_H
#define CS_DECRYPT_H

#include "answer/environment.h"
#include "answer/keys.h"

#define CS_INVALID_PREFIX "invalid."
#define CS_INVALID_VALUE  "<n/a>"

/*
 * Open all encrypted values. What was opened has no place in a file any more (line 0), so that the
 * second format gives it without an origin, as Spring's servers do. A value that cannot be opened:
 * with lenient keys "invalid.<key>" = "<n/a>" takes the place of its key, and the log tells once;
 * otherwise it is a failure.
 *
 * @return GW_OK; GW_E_INVALID with "<path>:<line>: " and the key; GW_E_LIMIT past
 *         CS_ENVIRONMENT_BYTES_MAX; GW_E_NOMEM. After a failure the environment may be disposed of
 *         only.
 */
gw_status cs_environment_decrypt(cs_environment *env, const struct cs_keys *keys, gw_error *err);

/* Wipe and free what was opened: cs_environment_dispose() calls it. */
void cs_environment_forget(cs_environment *env);

#endif
