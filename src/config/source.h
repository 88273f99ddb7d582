/* SPDX-License-Identifier: MIT */
/*
 * The config server's side of a configuration: loading and loading again, the file that stands in
 * for a server that is away, looking for changes. Puts what it gets where it is told to, and knows
 * nothing of snapshots. Shareable.
 */
#ifndef GW_CONFIG_SOURCE_H
#define GW_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/config.h>

#include "config/environment.h"

/* What a new configuration made different. */
typedef struct gw__change {
    size_t n;
    char names[256]; /* the first few, with commas */
    char version[GW__VERSION_MAX + 1];
} gw__change;

/* Put it in force. `env` is borrowed, and was what the server said at this time. One at a time. */
typedef gw_status (*gw__put)(void *ctx, const gw__environment *env, uint64_t unix_ns,
                             gw__change *ret_change, gw_error *err);

typedef struct gw__source gw__source;

/* Fails as gw_config_new(). */
gw_status gw__source_new(const gw_config_options *options, gw__put put, void *ctx,
                         gw__source **ret_source, gw_error *err);

/* Ends its threads. Accepts NULL. */
void gw__source_free(gw__source *source);

/* Where it is, for people; "" when there is no server. */
const char *gw__source_where(const gw__source *source);

/* As gw_config_load(), _reload(), _request_reload(), _note_bus(), _stop(). */
gw_status gw__source_load(gw__source *source, gw_error *err);
gw_status gw__source_reload(gw__source *source, gw_error *err);
void gw__source_request_reload(gw__source *source);
void gw__source_note_bus(gw__source *source, bool up);
void gw__source_note_faulty(gw__source *source, bool faulty); /* gw__config_note_faulty() */
void gw__source_keep(gw__source *source);                     /* gw__config_keep() */
void gw__source_stop(gw__source *source);

#endif
