/* SPDX-License-Identifier: MIT */
/* How the repositories are, from what the estate knows already: a probe causes no work at git. */
#ifndef CS_HEALTH_H
#define CS_HEALTH_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/health.h>

#include "repo/estate.h"

/* Set a component of /health: down while a repository has nothing to serve. One that is stale is
 * up: what it serves is better than nothing, and restarting the server would not help. */
void cs_health_update(gw_health *component, const cs_view *view);

/* Append Spring's {"status","components":{"configServer":{...}, ...}} with every repository and the
 * program's other components. Returns whether it says UP. */
bool cs_health_write(gw_buf *out, const cs_view *view);

#endif
