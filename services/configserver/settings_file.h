/* SPDX-License-Identifier: MIT */
/*
 * The settings of the program, as it finds them: a file in Spring's own words and the environment
 * above it. Keys are written in any of Spring's forms: search-paths, searchPaths, search_paths.
 */
#ifndef CS_SETTINGS_FILE_H
#define CS_SETTINGS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "files/arena.h"

/* One thread. */
typedef struct cs_settings_file cs_settings_file;

typedef struct cs_setting {
    const char *key;    /* as it is written */
    const char *value;  /* its ${VARIABLE:default} resolved from the environment */
    const char *origin; /* "/etc/configserver.yml:12", or "environment variable X" */
} cs_setting;

/*
 * @param path NULL: only the environment. YAML, or .properties by its extension.
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT with file and line; GW_E_NOT_FOUND, GW_E_DENIED, GW_E_IO;
 *         GW_E_NOMEM.
 */
gw_status cs_settings_file_open(const char *path, cs_settings_file **ret_file, gw_error *err);

/* Everything that was found goes with it. Accepts NULL. */
void cs_settings_file_close(cs_settings_file *file);

/*
 * The setting of a key such as "spring.cloud.config.server.git.search-paths": the environment
 * variable of its name (SPRING_CLOUD_CONFIG_SERVER_GIT_SEARCHPATHS, or ..._SEARCH_PATHS), or what
 * the file has. False if neither is there, or it is empty.
 */
bool cs_settings_find(cs_settings_file *file, const char *key, cs_setting *ret_setting);

/*
 * A list: `key[0]`, `key[1]` and so on, or one text with commas.
 *
 * @param ret_items of the arena.
 * @return GW_OK, with no items if there is none; GW_E_LIMIT for more than `max`; GW_E_NOMEM.
 */
gw_status cs_settings_list(cs_settings_file *file, cs_arena *arena, const char *key, size_t max,
                           const char *const **ret_items, size_t *ret_n, gw_error *err);

/*
 * The different names right below `prefix` in the file, in its order: "team", "a.b" for
 * prefix.team.uri and prefix[a.b].uri; "0" for prefix[0].uri. False past the last one.
 */
bool cs_settings_name_below(cs_settings_file *file, const char *prefix, size_t i, char *ret_name,
                            size_t size);

/* The properties of the file below `prefix` whole: the i-th; false past the last one. `ret_rest` is
 * what follows the prefix and its dot. */
bool cs_settings_below(cs_settings_file *file, const char *prefix, size_t i, const char **ret_rest,
                       cs_setting *ret_setting);

/* A key of the file that begins with `prefix` and that nobody has asked for; false if there is
 * none. */
bool cs_settings_unknown(const cs_settings_file *file, const char *prefix, cs_setting *ret_setting);

/* A key that begins with `prefix`, and not with `but`, whose value has a ${placeholder} for which
 * there is no variable of the environment; false if there is none. */
bool cs_settings_open(const cs_settings_file *file, const char *prefix, const char *but,
                      cs_setting *ret_setting);

#endif
