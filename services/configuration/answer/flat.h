/* SPDX-License-Identifier: MIT */
/*
 * An environment as one set of properties, for people and for programs that know nothing of Spring:
 * .properties, .yml, .json. Scalars of a higher source take the place of lower ones; a list takes
 * the place of the whole list.
 */
#ifndef CS_FLAT_H
#define CS_FLAT_H

#include "answer/environment.h"

typedef enum cs_flat_format { CS_FLAT_PROPERTIES, CS_FLAT_YAML, CS_FLAT_JSON } cs_flat_format;

/*
 * Append the text.
 *
 * @param resolve whether ${...} are resolved, from the environment alone.
 * @return GW_OK; GW_E_INVALID for a key that cannot be nested, such as "a..b", in YAML and JSON;
 *         GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_flat_write(gw_buf *out, const cs_environment *env, cs_flat_format format, bool resolve,
                        gw_error *err);

#endif
