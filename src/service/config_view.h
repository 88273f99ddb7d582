/* SPDX-License-Identifier: MIT */
/* The configuration that a program runs with, for people and for programs: each value, where it
 * comes from, and whether it waits for the next start. Secrets are masked. */
#ifndef GW_SERVICE_CONFIG_VIEW_H
#define GW_SERVICE_CONFIG_VIEW_H

#include <godwit/buf.h>
#include <godwit/settings.h>

#include "service/keys.h"

/* Borrowed, all of it. */
typedef struct gw__config_source {
    const gw__keys *keys;
    gw_config *config;
    gw_settings *chassis;
    gw_settings *program; /* NULL: it has none */
    const char *profile;  /* what the config server is asked for; NULL without one */
    const char *label;
} gw__config_source;

void gw__config_write_json(const gw__config_source *source, gw_buf *out);

/* A page without scripts and without anything from elsewhere. */
void gw__config_write_html(const gw__config_source *source, gw_buf *out);

#endif
