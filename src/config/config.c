/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a program: which snapshot is in force, how it is replaced, who is told.
 *
 * Three locks, taken in this order: that of the source (one load or reload at a time; held during
 * the HTTP call), `updating` (one replacement and its watchers at a time), `current_lock` (readers;
 * held for a pointer's length).
 */
#include <godwit/config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "config/bus_event.h"
#include "config/snapshot.h"
#include "config/source.h"

#define NAMES_LOGGED 10

struct gw_config_watch {
    struct gw_config_watch *next;
    gw_config_watcher watcher;
    void *ctx;
};

struct gw_config {
    gw__source *source;
    char *env_prefix;

    pthread_mutex_t updating;
    gw_config_watch *watches; /* under `updating` */
    pthread_mutex_t current_lock;
    gw_config_snapshot *current;
};

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

/* ---- the snapshot in force --------------------------------------------------- */

const gw_config_snapshot *gw_config_acquire(gw_config *config)
{
    pthread_mutex_lock(&config->current_lock);
    gw_config_snapshot *snapshot = config->current;
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&config->current_lock);
    return snapshot;
}

static void describe(char *const *names, size_t n, gw__change *ret_change)
{
    size_t used = 0;
    size_t size = sizeof(ret_change->names);
    ret_change->n = n;
    ret_change->names[0] = '\0';
    for (size_t i = 0; i < n && i <= NAMES_LOGGED && used < size; i++) {
        const char *name = i < NAMES_LOGGED ? names[i] : "...";
        used += (size_t)snprintf(ret_change->names + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 name);
    }
}

/* Put a snapshot made of `layers` in force and tell the watchers. @locks config->updating held */
static gw_status replace(gw_config *config, const gw__layers *layers, gw__change *ret_change,
                         gw_error *err)
{
    const char *where = gw__source_where(config->source);
    gw_config_snapshot *after = gw__snapshot_new(layers, config->env_prefix, where);
    const gw_config_snapshot *before = config->current; /* only changed under `updating` */
    char **names = NULL;
    size_t n = 0;
    if (after == NULL || !gw__snapshot_diff(before, after, &names, &n)) {
        gw_config_release(after);
        return no_memory(err);
    }
    pthread_mutex_lock(&config->current_lock);
    config->current = after;
    pthread_mutex_unlock(&config->current_lock);
    for (gw_config_watch *it = config->watches; it != NULL && n > 0; it = it->next) {
        it->watcher(it->ctx, after, (const char *const *)names, n);
    }
    if (ret_change != NULL) {
        describe(names, n, ret_change);
    }
    gw__names_free(names, n);
    gw_config_release(before);
    return GW_OK;
}

/* ---- loading ---------------------------------------------------------------------- */

/* The server's part of the next snapshot. @thread whoever loads */
static gw_status put_server(void *ctx, const gw__environment *env, gw__change *ret_change,
                            gw_error *err)
{
    gw_config *config = ctx;
    pthread_mutex_lock(&config->updating);
    gw__layers layers = config->current->layers;
    layers.server = *env;
    layers.loaded_unix_ns = gw_clock_unix_ns();
    gw_status st = replace(config, &layers, ret_change, err);
    pthread_mutex_unlock(&config->updating);
    return st;
}

gw_status gw_config_load(gw_config *config, gw_error *err)
{
    return gw__source_load(config->source, err);
}

gw_status gw_config_reload(gw_config *config, gw_error *err)
{
    return gw__source_reload(config->source, err);
}

void gw_config_request_reload(gw_config *config)
{
    gw__source_request_reload(config->source);
}

void gw_config_note_bus(gw_config *config, bool up)
{
    gw__source_note_bus(config->source, up);
}

gw_status gw_config_handle_event(gw_config *config, const char *own_id, const void *body,
                                 size_t len, bool *ret_taken, gw_error *err)
{
    bool refresh = false;
    gw_status st = gw__bus_event_read(own_id, body, len, &refresh, err);
    if (st != GW_OK) {
        return st;
    }
    if (refresh) {
        gw_config_request_reload(config);
    }
    if (ret_taken != NULL) {
        *ret_taken = refresh;
    }
    return GW_OK;
}

/* ---- setting ------------------------------------------------------------------------ */

/* Whether setting `key` replaces the item: the same key, or one of them is the list that the other
 * is an item of. */
static bool is_replaced(const gw__property *item, const char *key)
{
    size_t len = gw__key_group_len(key);
    bool same_group = item->group_len == len && strncmp(item->key, key, len) == 0;
    return same_group &&
           (key[len] == '\0' || item->key[len] == '\0' || strcmp(item->key, key) == 0);
}

/* The properties that were set, with one more, or without it. */
static gw_status set_anew(const gw__properties *old, const char *key, const char *value,
                          const char *origin, gw__properties **ret_props, gw_error *err)
{
    gw__properties *props = gw__properties_new();
    if (props == NULL) {
        return no_memory(err);
    }
    gw_status st = GW_OK;
    for (size_t i = 0; i < gw__properties_count(old) && st == GW_OK; i++) {
        const gw__property *item = gw__properties_at(old, i);
        if (is_replaced(item, key)) {
            continue;
        }
        st = gw__properties_add_source(props, item->origin, 0, err);
        st = st == GW_OK ? gw__properties_add(props, item->key, item->value, err) : st;
    }
    if (st == GW_OK && value != NULL) {
        st = gw__properties_add_source(props, origin, 0, err);
        st = st == GW_OK ? gw__properties_add(props, key, value, err) : st;
    }
    if (st != GW_OK) {
        gw__properties_unref(props);
        return st;
    }
    gw__properties_seal(props);
    *ret_props = props;
    return GW_OK;
}

gw_status gw_config_set(gw_config *config, const char *key, const char *value, const char *origin,
                        gw_error *err)
{
    if (config == NULL || key == NULL || key[0] == '\0' || (value != NULL && origin == NULL)) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_config_set: no key or no origin given");
    }
    pthread_mutex_lock(&config->updating);
    gw__layers layers = config->current->layers;
    gw__properties *props = NULL;
    gw_status st = set_anew(layers.set, key, value, origin, &props, err);
    if (st == GW_OK) {
        layers.set = props;
        st = replace(config, &layers, NULL, err);
        gw__properties_unref(props);
    }
    pthread_mutex_unlock(&config->updating);
    return st;
}

/* ---- watching ------------------------------------------------------------------------- */

gw_status gw_config_watch_add(gw_config *config, gw_config_watcher watcher, void *ctx,
                              gw_config_watch **ret_watch, gw_error *err)
{
    gw_config_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return no_memory(err);
    }
    watch->watcher = watcher;
    watch->ctx = ctx;
    pthread_mutex_lock(&config->updating);
    gw_config_watch **link = &config->watches;
    while (*link != NULL) { /* told in the order in which they came */
        link = &(*link)->next;
    }
    *link = watch;
    pthread_mutex_unlock(&config->updating);
    if (ret_watch != NULL) {
        *ret_watch = watch;
    }
    return GW_OK;
}

void gw_config_watch_remove(gw_config *config, gw_config_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    pthread_mutex_lock(&config->updating); /* so no watcher is running */
    gw_config_watch **link = &config->watches;
    while (*link != NULL && *link != watch) {
        link = &(*link)->next;
    }
    if (*link == watch) {
        *link = watch->next;
    }
    pthread_mutex_unlock(&config->updating);
    free(watch);
}

/* ---- lifecycle --------------------------------------------------------------------------- */

static gw_status fill_in(gw_config *config, const gw_config_options *options, gw_error *err)
{
    config->env_prefix = strdup(options->env_prefix != NULL ? options->env_prefix : "");
    if (config->env_prefix == NULL) {
        return no_memory(err);
    }
    gw__layers layers = {.set = gw__properties_new(), .env = NULL};
    layers.server.properties = gw__properties_new();
    gw_status st = layers.set == NULL || layers.server.properties == NULL
                       ? no_memory(err)
                       : gw__env_read(config->env_prefix, &layers.env, err);
    if (st == GW_OK) {
        gw__properties_seal(layers.set);
        gw__properties_seal(layers.server.properties);
        const char *where = gw__source_where(config->source);
        config->current = gw__snapshot_new(&layers, config->env_prefix, where);
        st = config->current != NULL ? GW_OK : no_memory(err);
    }
    gw__properties_unref(layers.set);
    gw__properties_unref(layers.env);
    gw__properties_unref(layers.server.properties);
    return st;
}

gw_status gw_config_new(const gw_config_options *options, gw_config **ret_config, gw_error *err)
{
    gw_config_options defaults = GW_CONFIG_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    gw_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return no_memory(err);
    }
    pthread_mutex_init(&config->updating, NULL);
    pthread_mutex_init(&config->current_lock, NULL);
    gw_status st = gw__source_new(options, put_server, config, &config->source, err);
    if (st == GW_OK) {
        st = fill_in(config, options, err);
    }
    if (st != GW_OK) {
        gw_config_free(config);
        return st;
    }
    *ret_config = config;
    return GW_OK;
}

void gw_config_stop(gw_config *config)
{
    gw__source_stop(config->source);
}

void gw_config_free(gw_config *config)
{
    if (config == NULL) {
        return;
    }
    gw__source_free(config->source); /* first: its threads use the rest */
    gw_config_watch *next;
    for (gw_config_watch *it = config->watches; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    gw_config_release(config->current);
    free(config->env_prefix);
    pthread_mutex_destroy(&config->current_lock);
    pthread_mutex_destroy(&config->updating);
    free(config);
}
