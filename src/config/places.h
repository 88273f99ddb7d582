/* SPDX-License-Identifier: MIT */
/* The URLs of a configuration: of each server, {server}/{app}/{profile}[/{label}], and the same for
 * people. Knows nothing of calls. */
#ifndef GW_CONFIG_PLACES_H
#define GW_CONFIG_PLACES_H

#include <stddef.h>

#include <godwit/config.h>

#define GW__SERVERS_MAX 16
#define GW__LABELS_MAX  16

typedef struct gw__places {
    char **urls;      /* those of the first label, of the second, ...; with passwords */
    char **masked;    /* the same for people */
    size_t n_servers; /* 0 when there is none */
    size_t n_labels;
    char *where; /* all of it for people, in one line; "" when there is no server */
} gw__places;

/* GW_E_INVALID for a URL that is none of a config server, or a missing app; GW_E_LIMIT for more
 * than 16 servers or labels; GW_E_NOMEM. To be disposed of in any case. */
gw_status gw__places_init(gw__places *places, const gw_config_options *options, gw_error *err);
void gw__places_dispose(gw__places *places);

#endif
