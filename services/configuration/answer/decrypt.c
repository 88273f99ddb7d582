/* SPDX-License-Identifier: MIT */
#include "answer/decrypt.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "files/bounds.h"

/* The work on one environment. */
typedef struct work {
    const cs_keys *keys;
    cs_arena *arena;
    gw_error *err;
} work;

static bool is_encrypted(const cs_property *property)
{
    return property->kind == CS_VALUE_TEXT && cs_value_is_cipher(property->value);
}

static bool has_encrypted(const cs_source *source)
{
    for (size_t i = 0; i < source->n_items; i++) {
        if (is_encrypted(&source->items[i])) {
            return true;
        }
    }
    return false;
}

static bool has_key(const cs_source *source, cs_text key)
{
    for (size_t i = 0; i < source->n_items; i++) {
        if (cs_text_equal(source->items[i].key, key)) {
            return true;
        }
    }
    return false;
}

static gw_status no_room(const work *at, const cs_source *source, gw_status st)
{
    return gw_error_set(at->err, st, 0, "%s: %s: its decrypted values", source->name,
                        gw_status_text(st));
}

/* Where a value stands: its file and line, or what the source is called. */
static gw_status refuse(const work *at, const cs_source *source, const cs_property *property)
{
    const char *path = source->path[0] != '\0' ? source->path : source->name;
    return gw_error_set(at->err, GW_E_INVALID, 0,
                        "%s:%u: the value of '%.*s' cannot be decrypted with this key", path,
                        property->line, (int)property->key.len, property->key.bytes);
}

/* "invalid.<key>" instead of the key. False when the source has that key already, which then stays
 * alone. */
static gw_status invalidate(const work *at, const cs_source *source, cs_property *property,
                            bool *ret_is_kept)
{
    const size_t prefix_len = strlen(CS_INVALID_PREFIX);
    char *key = cs_arena_alloc(at->arena, prefix_len + property->key.len + 1);
    if (key == NULL) {
        return no_room(at, source, cs_arena_status(at->arena));
    }
    memcpy(key, CS_INVALID_PREFIX, prefix_len);
    memcpy(key + prefix_len, property->key.bytes, property->key.len);
    property->key = (cs_text){key, prefix_len + property->key.len};
    property->value = (cs_text){CS_INVALID_VALUE, strlen(CS_INVALID_VALUE)};
    *ret_is_kept = !has_key(source, property->key);
    return GW_OK;
}

static gw_status open_property(const work *at, const cs_source *source, cs_property *property,
                               bool *ret_is_kept)
{
    cs_opened opened = {0};
    *ret_is_kept = true;
    gw_status st = cs_keys_open(at->keys, property->value, at->arena, &opened);
    if (st != GW_OK) {
        return no_room(at, source, st);
    }
    if (!opened.is_good && !cs_keys_are_lenient(at->keys)) {
        return refuse(at, source, property);
    }
    if (!opened.is_good) {
        if (opened.is_new) {
            gw_log_warn("config", "%s:%u: the value of '%.*s' cannot be decrypted with this key",
                        source->path, property->line, (int)property->key.len, property->key.bytes);
        }
        st = invalidate(at, source, property, ret_is_kept);
    } else {
        property->value = opened.plain;
    }
    property->line = 0;
    property->column = 0;
    return st;
}

static gw_status open_source(const work *at, cs_source *source)
{
    cs_property *items = cs_arena_alloc(at->arena, source->n_items * sizeof(*items));
    if (items == NULL) {
        return no_room(at, source, cs_arena_status(at->arena));
    }
    size_t n = 0;
    for (size_t i = 0; i < source->n_items; i++) {
        items[n] = source->items[i];
        bool is_kept = true;
        if (is_encrypted(&items[n])) {
            gw_status st = open_property(at, source, &items[n], &is_kept);
            if (st != GW_OK) {
                return st;
            }
        }
        n += is_kept ? 1 : 0;
    }
    source->items = items;
    source->n_items = n;
    return GW_OK;
}

gw_status cs_environment_decrypt(cs_environment *env, const struct cs_keys *keys, gw_error *err)
{
    for (size_t i = 0; i < env->n_sources; i++) {
        if (!has_encrypted(&env->sources[i])) {
            continue;
        }
        if (env->opened == NULL) {
            env->opened = malloc(sizeof(*env->opened));
            if (env->opened == NULL) {
                return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
            }
            cs_arena_init(env->opened, CS_ENVIRONMENT_BYTES_MAX);
        }
        const work at = {.keys = keys, .arena = env->opened, .err = err};
        gw_status st = open_source(&at, &env->sources[i]);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

void cs_environment_forget(cs_environment *env)
{
    if (env->opened != NULL) {
        cs_arena_wipe(env->opened);
        free(env->opened);
        env->opened = NULL;
    }
}
