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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "config/bus_event.h"
#include "config/overrides.h"
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
    const char *place = layers->server.place;
    const char *where = place != NULL ? place : gw__source_where(config->source);
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
static gw_status put_server(void *ctx, const gw__environment *env, uint64_t unix_ns,
                            gw__change *ret_change, gw_error *err)
{
    gw_config *config = ctx;
    pthread_mutex_lock(&config->updating);
    gw__layers layers = config->current->layers;
    layers.server = *env;
    layers.loaded_unix_ns = unix_ns;
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

void gw__config_note_faulty(gw_config *config, bool faulty)
{
    gw__source_note_faulty(config->source, faulty);
}

void gw__config_keep(gw_config *config)
{
    gw__source_keep(config->source);
}

void gw_config_request_reload(gw_config *config)
{
    gw__source_request_reload(config->source);
}

void gw_config_note_bus(gw_config *config, bool up)
{
    gw__source_note_bus(config->source, up);
}

/* ---- setting ------------------------------------------------------------------------ */

/* Replace the layer at this offset of gw__layers by one with the changes. */
static gw_status change_layer(gw_config *config, size_t offset, const gw__overrides *changes,
                              const char *origin, gw__change *ret_change, gw_error *err)
{
    pthread_mutex_lock(&config->updating);
    gw__layers layers = config->current->layers;
    gw__properties **layer = (gw__properties **)(void *)((char *)&layers + offset);
    gw__properties *props = NULL;
    gw_status st = gw__overrides_apply(changes, *layer, origin, &props, err);
    if (st == GW_OK) {
        *layer = props;
        st = replace(config, &layers, ret_change, err);
        gw__properties_unref(props);
    }
    pthread_mutex_unlock(&config->updating);
    return st;
}

static gw_status set(gw_config *config, const char *key, const char *value, bool secret,
                     const char *origin, gw_error *err)
{
    gw__overrides changes = {NULL, 0, 0};
    gw_status st = gw__overrides_add(&changes, key, value, err);
    if (st == GW_OK) {
        changes.items[0].secret = secret;
        st = change_layer(config, offsetof(gw__layers, set), &changes, origin, NULL, err);
    }
    gw__overrides_dispose(&changes);
    return st;
}

gw_status gw__config_set_secret(gw_config *config, const char *key, const char *value,
                                const char *origin, gw_error *err)
{
    return set(config, key, value, true, origin, err);
}

gw_status gw_config_set(gw_config *config, const char *key, const char *value, const char *origin,
                        gw_error *err)
{
    if (config == NULL || key == NULL || key[0] == '\0' || (value != NULL && origin == NULL)) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_config_set: no key or no origin given");
    }
    return set(config, key, value, false, origin, err);
}

/* ---- events --------------------------------------------------------------------------- */

/* The values of an event, until the program ends. */
static gw_status set_from_bus(gw_config *config, const gw__bus_event *event, gw_error *err)
{
    gw__change change = {.n = 0};
    gw__overrides changes = {NULL, 0, 0};
    gw_status st = gw__bus_event_changes(event, &changes, err);
    if (st == GW_OK) {
        st = change_layer(config, offsetof(gw__layers, bus), &changes, "bus event", &change, err);
    }
    gw__overrides_dispose(&changes);
    if (st == GW_OK && change.n > 0) {
        gw_log_info("config", "an event on the bus changed %zu: %s", change.n, change.names);
    }
    return st;
}

static gw_status follow_event(gw_config *config, const gw__bus_event *event, gw_error *err)
{
    switch (event->kind) {
    case GW__EVENT_REFRESH: gw_config_request_reload(config); return GW_OK;
    case GW__EVENT_ENVIRONMENT: return set_from_bus(config, event, err);
    case GW__EVENT_IGNORED: return GW_OK;
    }
    return GW_OK;
}

gw_status gw_config_handle_event(gw_config *config, const char *own_id, const void *body,
                                 size_t len, bool *ret_taken, gw_buf *ret_ack, gw_error *err)
{
    gw__bus_self self = {.own_id = own_id};
    gw__bus_event event;
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    if (gw_config_get_string(snapshot, "spring.cloud.config.name", &self.config_names, NULL) !=
        GW_OK) {
        self.config_names = NULL;
    }
    gw_status st = gw__bus_event_read(&self, body, len, &event, err);
    gw_config_release(snapshot);
    if (st != GW_OK) {
        return st;
    }
    st = follow_event(config, &event, err);
    if (st == GW_OK && ret_taken != NULL) {
        *ret_taken = event.kind != GW__EVENT_IGNORED;
    }
    if (st == GW_OK && ret_ack != NULL && event.wants_ack) {
        gw__bus_event_write_ack(&event, own_id, ret_ack);
    }
    gw__bus_event_dispose(&event);
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
