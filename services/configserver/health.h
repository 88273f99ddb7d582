/* SPDX-License-Identifier: MIT */
/* How the repositories are, from what the estate knows already: a probe causes no work at git. */
#ifndef CS_HEALTH_H
#define CS_HEALTH_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/health.h>

#include "repo/estate.h"

/* Set a component of /health: down while the repository without patterns has nothing to serve. One
 * with patterns takes down only what it is for. One that is stale is up: what it serves is better
 * than nothing, and restarting the server would not help. */
void cs_health_update(gw_health *component, const cs_view *view);

/*
 * Keeps the component "repository" of /health up to date, on a thread of its own: the estate tells
 * of a new view on a thread that must not wait for one.
 */
typedef struct cs_health_watch cs_health_watch;

/* The component is set before this returns. `estate` is borrowed. GW_E_NOMEM, GW_E_IO. */
gw_status cs_health_watch_start(cs_estate *estate, cs_health_watch **ret_watch, gw_error *err);

/* Look again. Any thread; does not block. */
void cs_health_watch_tell(cs_health_watch *watch);

/* The estate is not looked at any more, so it can be closed; it may still tell. Once. */
void cs_health_watch_stop(cs_health_watch *watch);
void cs_health_watch_free(cs_health_watch *watch); /* accepts NULL; after the stop */

/* Append Spring's {"status","components":{"configServer":{...}, ...}} with every repository and the
 * program's other components. Returns whether it says UP. */
bool cs_health_write(gw_buf *out, const cs_view *view);

#endif
