/* SPDX-License-Identifier: MIT */
/* Where the configuration of a service is on a config server, and one try to fetch it. Immutable
 * once made. */
#ifndef GW_CONFIG_LOADER_H
#define GW_CONFIG_LOADER_H

#include <stdbool.h>

#include <godwit/config.h>

#include "config/environment.h"

typedef struct gw__loader {
    char *url;    /* of the configuration; NULL when there is no server */
    char *masked; /* the same for people */
} gw__loader;

/* GW_E_INVALID for a URL that is none of a config server, or a missing app; GW_E_NOMEM. */
gw_status gw__loader_init(gw__loader *loader, const gw_config_options *options, gw_error *err);
void gw__loader_dispose(gw__loader *loader);

/*
 * One try. `ret_again` is set on failure: whether the same can succeed soon, without anybody
 * mending something. The text of a failure begins with the URL.
 */
gw_status gw__loader_fetch(const gw__loader *loader, unsigned timeout_ms, gw__environment *ret_env,
                           bool *ret_again, gw_error *err);

#endif
