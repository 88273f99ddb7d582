/* SPDX-License-Identifier: MIT */
#include "service/key_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>

#include "config/snapshot.h"

#define PREFIX       "GODWIT_"
#define SUFFIX       "_FILE"
#define VARIABLE_MAX (GW_CONFIG_KEY_MAX + 64)
#define VALUE_MAX    ((size_t)16 << 10)

typedef struct reader {
    const gw__keys *keys;
    gw_config *config;
    gw_status st; /* of the first that failed */
    gw_error *err;
} reader;

static bool has_variable(const gw_setting *rows, size_t n_rows, const char *variable)
{
    char name[VARIABLE_MAX];
    for (size_t i = 0; i < n_rows; i++) {
        if (gw__env_name(PREFIX, rows[i].key, strlen(rows[i].key), name, sizeof(name)) &&
            strcmp(name, variable) == 0) {
            return true;
        }
    }
    return false;
}

static gw_status set_from_file(gw_config *config, const char *key, const char *variable,
                               const char *path, gw_error *err)
{
    char *value = malloc(VALUE_MAX);
    if (value == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    char origin[VARIABLE_MAX + 64];
    snprintf(origin, sizeof(origin), "the file that %s names", variable);
    gw_status st = gw_secret_read(variable, path, true, value, VALUE_MAX, err);
    if (st == GW_OK) {
        st = gw__config_set_secret(config, key, value, origin, err);
    }
    explicit_bzero(value, VALUE_MAX);
    free(value);
    return st;
}

static gw_status read_key(const reader *r, const gw_setting *row)
{
    const gw_service_spec *spec = r->keys->spec;
    char plain[VARIABLE_MAX];
    char variable[VARIABLE_MAX + sizeof(SUFFIX)];
    if (!gw__env_name(PREFIX, row->key, strlen(row->key), plain, sizeof(plain))) {
        return GW_OK;
    }
    snprintf(variable, sizeof(variable), "%s" SUFFIX, plain);
    const char *path = getenv(variable);
    if (path == NULL || path[0] == '\0' || has_variable(r->keys->rows, r->keys->n_rows, variable) ||
        has_variable(spec->settings, spec->n_settings, variable)) {
        return GW_OK;
    }
    if (getenv(plain) != NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "both %s and %s are set: one of them", plain,
                            variable);
    }
    return set_from_file(r->config, row->key, variable, path, r->err);
}

static void read_rows(reader *r, const gw_setting *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows && r->st == GW_OK; i++) {
        r->st = read_key(r, &rows[i]);
    }
}

gw_status gw__key_files_read(const gw__keys *keys, gw_config *config, gw_error *err)
{
    reader r = {.keys = keys, .config = config, .st = GW_OK, .err = err};
    read_rows(&r, keys->rows, keys->n_rows);
    read_rows(&r, keys->spec->settings, keys->spec->n_settings);
    return r.st;
}
