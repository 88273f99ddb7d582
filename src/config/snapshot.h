/* SPDX-License-Identifier: MIT */
/* All properties at one moment: what was set, the environment, what came over the bus, the
 * server's, in this order of precedence. Immutable and counted; the layers are shared between
 * snapshots. */
#ifndef GW_CONFIG_SNAPSHOT_H
#define GW_CONFIG_SNAPSHOT_H

#include <stdatomic.h>

#include <godwit/config.h>

#include "config/environment.h"
#include "config/properties.h"

typedef struct gw__layers {
    gw__properties *set;
    gw__properties *env; /* keys are variables' names */
    gw__properties *bus; /* what an event on the bus set; NULL: nothing yet */
    gw__environment server;
    uint64_t loaded_unix_ns; /* when the server's were; 0: never */
} gw__layers;

struct gw_config_snapshot {
    atomic_size_t refs;
    gw__layers layers;
    const char *env_prefix; /* both copied */
    const char *where;      /* the server's URL for error texts; "" for none */
    char text[];
};

/*
 * The settings of a user are wrong in what the server says, or are right again: while those of
 * anybody are wrong the cache file stays as it is, since a program could not start from it. Called
 * once for each change of mind, also from a watcher.
 */
void gw__config_note_faulty(gw_config *config, bool faulty);

/* Write the last answer to the cache file, if that was left out only because it could be faulty,
 * and is not. Not from a watcher. */
void gw__config_keep(gw_config *config);

/* gw_config_set(), and the value is shown to nobody. */
gw_status gw__config_set_secret(gw_config *config, const char *key, const char *value,
                                const char *origin, gw_error *err);

/* A snapshot with references of its own to the layers; NULL when out of memory. */
gw_config_snapshot *gw__snapshot_new(const gw__layers *layers, const char *env_prefix,
                                     const char *where);

/* One more reference. */
const gw_config_snapshot *gw__snapshot_ref(const gw_config_snapshot *snapshot);

/* The variable that overrides a key, "GODWIT_SERVER_PORT" for "server_port". False when it does not
 * fit, or there are no overrides. */
bool gw__env_name(const char *prefix, const char *key, size_t key_len, char *name, size_t size);

/* The variables of this process that start with the prefix, as properties. */
gw_status gw__env_read(const char *prefix, gw__properties **ret_props, gw_error *err);

/* The group of a name in the highest layer that has one; n is 0 if none has. */
gw__group gw__snapshot_group(const gw_config_snapshot *snapshot, const char *name, size_t len);

/* A property below `key`, such as "key.a", which makes it an object; NULL if there is none. Looks
 * at all: not for what happens often. */
const gw__property *gw__snapshot_child(const gw_config_snapshot *snapshot, const char *key);

/* The property of exactly this key; NULL if there is none, or a higher layer hides it. */
const gw__property *gw__snapshot_find(const gw_config_snapshot *snapshot, const char *key);

/* The names whose groups differ, sorted; see gw_config_watcher. The caller frees the array and each
 * name. False when out of memory. */
bool gw__snapshot_diff(const gw_config_snapshot *before, const gw_config_snapshot *after,
                       char ***ret_names, size_t *ret_n);
void gw__names_free(char **names, size_t n);

#endif
