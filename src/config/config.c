/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a program: which snapshot is in force, how it is replaced, who is told.
 *
 * Three locks, taken in this order: `fetching` (one load or reload at a time; held during the HTTP
 * call), `updating` (one replacement and its watchers at a time), `current_lock` (readers; held for
 * a pointer's length).
 */
#include <godwit/config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>
#include <godwit/metrics.h>

#include "config/bus_event.h"
#include "config/fetcher.h"
#include "config/refresher.h"
#include "config/snapshot.h"

#define NAMES_LOGGED 10

struct gw_config_watch {
    struct gw_config_watch *next;
    gw_config_watcher watcher;
    void *ctx;
};

struct gw_config {
    gw__fetcher fetcher;
    char *env_prefix;
    gw__refresher *refresher;

    pthread_mutex_t fetching;
    gw__known known; /* of the last answer; under `fetching` */
    pthread_mutex_t updating;
    gw_config_watch *watches; /* under `updating` */
    pthread_mutex_t current_lock;
    gw_config_snapshot *current;

    bool failing; /* the last reload on the background thread failed; that thread's */
    gw_counter *reloads_ok;
    gw_counter *reloads_failed;
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

/* Put a snapshot made of `layers` in force and tell the watchers. @locks config->updating held */
static gw_status replace(gw_config *config, const gw__layers *layers, size_t *ret_n_changed,
                         char *ret_names, size_t size, gw_error *err)
{
    const char *where = gw__fetcher_where(&config->fetcher);
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
    size_t used = 0;
    for (size_t i = 0; i < n && ret_names != NULL && used < size; i++) {
        const char *name = i < NAMES_LOGGED ? names[i] : "...";
        used += (size_t)snprintf(ret_names + used, size - used, "%s%s", i > 0 ? ", " : "", name);
        if (i == NAMES_LOGGED) {
            break;
        }
    }
    if (ret_n_changed != NULL) {
        *ret_n_changed = n;
    }
    gw__names_free(names, n);
    gw_config_release(before);
    return GW_OK;
}

/* ---- loading ---------------------------------------------------------------------- */

typedef struct outcome {
    bool again; /* a failure that can pass */
    size_t n_changed;
    char names[256];
} outcome;

/* Put the server's answer in force. @locks config->fetching held */
static gw_status install(gw_config *config, const gw__answer *answer, outcome *ret_outcome,
                         gw_error *err)
{
    pthread_mutex_lock(&config->updating);
    gw__layers layers = config->current->layers;
    layers.server = answer->env;
    gw_status st = replace(config, &layers, &ret_outcome->n_changed, ret_outcome->names,
                           sizeof(ret_outcome->names), err);
    pthread_mutex_unlock(&config->updating);
    if (st == GW_OK) {
        config->known = answer->known;
    }
    return st;
}

static gw_status load(gw_config *config, bool patiently, outcome *ret_outcome, gw_error *err)
{
    *ret_outcome = (outcome){.again = false};
    if (!gw__fetcher_has_server(&config->fetcher)) {
        return gw__fetcher_check_open(&config->fetcher, err);
    }
    gw__answer answer = {.unchanged = false};
    pthread_mutex_lock(&config->fetching);
    gw_status st = gw__fetcher_fetch(&config->fetcher, patiently, &config->known, &answer,
                                     &ret_outcome->again, err);
    if (st == GW_OK) {
        st = install(config, &answer, ret_outcome, err);
        gw__answer_dispose(&answer);
    }
    pthread_mutex_unlock(&config->fetching);
    gw_counter_add(st == GW_OK ? config->reloads_ok : config->reloads_failed, 1);
    return st;
}

gw_status gw_config_load(gw_config *config, gw_error *err)
{
    outcome out;
    return load(config, true, &out, err);
}

gw_status gw_config_reload(gw_config *config, gw_error *err)
{
    outcome out;
    return load(config, false, &out, err);
}

/* @thread the refresher's */
static bool reload_in_background(void *ctx)
{
    gw_config *config = ctx;
    outcome out;
    gw_error why = GW_ERROR_INIT;
    gw_status st = load(config, false, &out, &why);
    if (st == GW_E_CLOSED) {
        return true;
    }
    if (st != GW_OK) {
        if (!config->failing || !out.again) { /* once, not with every try */
            gw_log_error("config", "the configuration stays as it is: %s%s", why.text,
                         out.again ? "; trying again" : "");
        }
        config->failing = true;
        return !out.again;
    }
    config->failing = false;
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    const char *version = gw_config_version(snapshot);
    gw_log_info("config", "reloaded%s%.12s, %zu changed%s%s", version[0] != '\0' ? " version " : "",
                version, out.n_changed, out.n_changed > 0 ? ": " : "", out.names);
    gw_config_release(snapshot);
    return true;
}

void gw_config_request_reload(gw_config *config)
{
    gw_error err = GW_ERROR_INIT;
    if (gw__fetcher_has_server(&config->fetcher) &&
        gw__refresher_request(config->refresher, &err) != GW_OK) {
        gw_log_error("config", "cannot reload: %s", err.text);
    }
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
        st = replace(config, &layers, NULL, NULL, 0, err);
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
    gw__refresher_options refresher_options = {.quiet_ms = options->refresh_quiet_ms,
                                               .max_ms = options->refresh_max_ms,
                                               .reload = reload_in_background,
                                               .ctx = config};
    config->refresher = gw__refresher_new(&refresher_options);
    config->env_prefix = strdup(options->env_prefix != NULL ? options->env_prefix : "");
    if (config->refresher == NULL || config->env_prefix == NULL) {
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
        const char *where = gw__fetcher_where(&config->fetcher);
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
    pthread_mutex_init(&config->fetching, NULL);
    pthread_mutex_init(&config->updating, NULL);
    pthread_mutex_init(&config->current_lock, NULL);
    config->reloads_ok =
        gw_metrics_counter("godwit_config_loads_total",
                           "Loads of the configuration from the config server.", "result=\"ok\"");
    config->reloads_failed = gw_metrics_counter(
        "godwit_config_loads_total", "Loads of the configuration from the config server.",
        "result=\"failed\"");
    gw_status st = gw__fetcher_init(&config->fetcher, options, err);
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
    gw__fetcher_stop(&config->fetcher);
    gw__refresher_stop(config->refresher);
}

void gw_config_free(gw_config *config)
{
    if (config == NULL) {
        return;
    }
    if (config->refresher != NULL) {
        gw_config_stop(config);
        gw__refresher_free(config->refresher);
    }
    gw_config_watch *next;
    for (gw_config_watch *it = config->watches; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    gw_config_release(config->current);
    gw__fetcher_dispose(&config->fetcher);
    free(config->env_prefix);
    pthread_mutex_destroy(&config->current_lock);
    pthread_mutex_destroy(&config->updating);
    pthread_mutex_destroy(&config->fetching);
    free(config);
}
