/* SPDX-License-Identifier: MIT */
/*
 * Whether the repository can be read, looked at every few seconds on a thread of its own, for
 * /health: a probe must not depend on requests coming in, nor cause work itself.
 */
#ifndef CS_WATCH_H
#define CS_WATCH_H

#include "answer/lookup.h"

typedef struct cs_watch cs_watch;

/*
 * Look once, then go on in the background. A repository that is not readable yet is no failure here
 * but a component of /health that is down.
 *
 * @param lookup   borrowed; must live longer.
 * @param every_ms between two looks.
 */
gw_status cs_watch_start(cs_lookup *lookup, unsigned every_ms, cs_watch **ret_watch, gw_error *err);

/* Accepts NULL. */
void cs_watch_stop(cs_watch *watch);

#endif
