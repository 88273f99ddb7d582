/* SPDX-License-Identifier: MIT */
/*
 * A struct of settings that follows the configuration.
 *
 * Two locks: `binding` (one rebinding with its callback at a time), then `lock` (readers; held for
 * a pointer's length). The configuration's own lock of its watchers comes before both.
 */
#include "config/settings.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "config/snapshot.h"

/* A struct that readers hold. It outlives the holder if they do. */
typedef struct held {
    atomic_size_t refs;
    const gw_setting *table;
    size_t n_rows;
    alignas(max_align_t) unsigned char bytes[];
} held;

struct gw_settings {
    gw_config *config;
    gw_settings_options options;
    gw_config_watch *watch;

    pthread_mutex_t binding;
    bool is_faulty;    /* what came last; under `binding` */
    bool *waits;       /* rows whose change waits for the next start; under `binding` */
    const char **keys; /* room for on_change; under `binding` */

    pthread_mutex_t lock;
    held *current; /* NULL before the first binding */
    const gw_config_snapshot *first;
    const gw_config_snapshot *valid;
};

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the settings");
}

/* ---- counted structs ----------------------------------------------------------- */

static void unref(held *item)
{
    if (item == NULL || atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    gw_settings_dispose(item->table, item->n_rows, item->bytes);
    free(item);
}

static gw_status bind_anew(const gw_settings *settings, const gw_config_snapshot *snapshot,
                           held **ret_item, gw_buf *faults, gw_error *err)
{
    const gw_settings_options *options = &settings->options;
    held *item = calloc(1, sizeof(*item) + options->size);
    if (item == NULL) {
        return no_memory(err);
    }
    atomic_init(&item->refs, 1);
    item->table = options->table;
    item->n_rows = options->n_rows;
    gw_status st =
        gw_settings_bind(snapshot, options->table, options->n_rows, item->bytes, faults, err);
    if (st != GW_OK) {
        free(item);
        return st;
    }
    *ret_item = item;
    return GW_OK;
}

const void *gw_settings_acquire(gw_settings *settings)
{
    pthread_mutex_lock(&settings->lock);
    held *item = settings->current;
    atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&settings->lock);
    return item->bytes;
}

void gw_settings_release(const void *settings)
{
    if (settings != NULL) {
        const unsigned char *bytes = settings;
        unref((held *)(uintptr_t)(bytes - offsetof(held, bytes)));
    }
}

/* ---- following --------------------------------------------------------------------- */

static bool contains(const char *const *keys, size_t n_keys, const char *key)
{
    for (size_t i = 0; i < n_keys; i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* Rows that are not live keep the value of the start. @locks binding held */
static gw_status keep_until_restart(gw_settings *settings, held *next, const char *const *keys,
                                    size_t n_keys, gw_error *err)
{
    for (size_t i = 0; i < settings->options.n_rows; i++) {
        const gw_setting *row = &settings->options.table[i];
        if ((row->flags & GW_SETTING_LIVE) != 0) {
            continue;
        }
        bool differs = !gw__setting_equal(row, settings->current->bytes, next->bytes);
        if (differs && (!settings->waits[i] || contains(keys, n_keys, row->key))) {
            gw_log_warn("config", "'%s' has changed: that takes effect at the next start",
                        row->key);
        } else if (!differs && settings->waits[i]) {
            gw_log_info("config", "'%s' is again what it was at the start", row->key);
        }
        settings->waits[i] = differs;
        gw_status st =
            differs ? gw__setting_copy(row, settings->current->bytes, next->bytes, err) : GW_OK;
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* @locks binding held */
static size_t find_changes(gw_settings *settings, const held *next)
{
    size_t n = 0;
    for (size_t i = 0; i < settings->options.n_rows; i++) {
        const gw_setting *row = &settings->options.table[i];
        if (!gw__setting_equal(row, settings->current->bytes, next->bytes)) {
            settings->keys[n++] = row->key;
        }
    }
    return n;
}

/* @locks binding held */
static void swap(gw_settings *settings, held *next, const gw_config_snapshot *snapshot)
{
    pthread_mutex_lock(&settings->lock);
    held *old = settings->current;
    const gw_config_snapshot *old_snapshot = settings->valid;
    settings->current = next;
    settings->valid = snapshot;
    pthread_mutex_unlock(&settings->lock);
    unref(old);
    gw_config_release(old_snapshot);
}

void gw__settings_log_faults(const gw_buf *faults)
{
    for (const char *at = faults->data; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, "\n");
        gw_log_error("config", "%.*s", (int)len, at);
        at += len + (at[len] == '\n' ? 1 : 0);
    }
}

/* @locks binding held */
static void note_faulty(gw_settings *settings, bool faulty)
{
    if (settings->is_faulty != faulty) {
        settings->is_faulty = faulty;
        gw__config_note_faulty(settings->config, faulty);
    }
}

/* @locks binding held */
static void rebind(gw_settings *settings, const char *const *keys, size_t n_keys)
{
    const gw_settings_options *options = &settings->options;
    const gw_config_snapshot *snapshot = gw_config_acquire(settings->config);
    gw_error err = GW_ERROR_INIT;
    gw_buf faults;
    gw_buf_init(&faults, 0);
    held *next = NULL;
    gw_status st = bind_anew(settings, snapshot, &next, &faults, &err);
    if (st == GW_OK) {
        st = keep_until_restart(settings, next, keys, n_keys, &err);
    }
    if (st == GW_OK) {
        size_t n_changed = find_changes(settings, next);
        swap(settings, next, snapshot);
        note_faulty(settings, false);
        if (n_changed > 0 && options->on_change != NULL) {
            options->on_change(options->ctx, next->bytes, settings->keys, n_changed);
        }
    } else {
        note_faulty(settings, true);
        gw__settings_log_faults(&faults);
        gw_log_error("config", "the settings stay as they are: %s", err.text);
        unref(next);
        gw_config_release(snapshot);
    }
    gw_buf_dispose(&faults);
}

static bool concerns(const gw_settings *settings, const char *const *keys, size_t n_keys)
{
    for (size_t i = 0; i < settings->options.n_rows; i++) {
        if (contains(keys, n_keys, settings->options.table[i].key)) {
            return true;
        }
    }
    return false;
}

/* @thread that of the reload */
static void on_config_changed(void *ctx, const gw_config_snapshot *snapshot,
                              const char *const *keys, size_t n_keys)
{
    gw_settings *settings = ctx;
    (void)snapshot; /* the one in force may be newer */
    pthread_mutex_lock(&settings->binding);
    if (settings->current != NULL && concerns(settings, keys, n_keys)) {
        rebind(settings, keys, n_keys);
    }
    pthread_mutex_unlock(&settings->binding);
}

/* ---- lifecycle ----------------------------------------------------------------------- */

static gw_status bind_first(gw_settings *settings, gw_buf *faults, gw_error *err)
{
    pthread_mutex_lock(&settings->binding);
    const gw_config_snapshot *snapshot = gw_config_acquire(settings->config);
    held *item = NULL;
    gw_status st = bind_anew(settings, snapshot, &item, faults, err);
    if (st == GW_OK) {
        settings->first = snapshot;
        swap(settings, item, gw__snapshot_ref(snapshot));
    } else {
        gw_config_release(snapshot);
    }
    pthread_mutex_unlock(&settings->binding);
    return st;
}

gw_status gw_settings_new(gw_config *config, const gw_settings_options *options,
                          gw_settings **ret_settings, gw_buf *faults, gw_error *err)
{
    gw_settings *settings = calloc(1, sizeof(*settings));
    if (settings == NULL) {
        return no_memory(err);
    }
    settings->config = config;
    settings->options = *options;
    pthread_mutex_init(&settings->binding, NULL);
    pthread_mutex_init(&settings->lock, NULL);
    settings->waits = calloc(options->n_rows + 1, sizeof(*settings->waits));
    settings->keys = calloc(options->n_rows + 1, sizeof(*settings->keys));
    gw_status st = settings->waits == NULL || settings->keys == NULL ? no_memory(err) : GW_OK;
    if (st == GW_OK) { /* before the first binding, so that no change falls between the two */
        st = gw_config_watch_add(config, on_config_changed, settings, &settings->watch, err);
    }
    if (st == GW_OK) {
        st = bind_first(settings, faults, err);
    }
    if (st != GW_OK) {
        gw_settings_free(settings);
        return st;
    }
    *ret_settings = settings;
    return GW_OK;
}

void gw__settings_unfollow(gw_settings *settings)
{
    gw_config_watch_remove(settings->config, settings->watch);
    settings->watch = NULL;
}

void gw_settings_free(gw_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    gw__settings_unfollow(settings);
    note_faulty(settings, false);
    unref(settings->current);
    gw_config_release(settings->first);
    gw_config_release(settings->valid);
    pthread_mutex_destroy(&settings->lock);
    pthread_mutex_destroy(&settings->binding);
    free(settings->waits);
    free(settings->keys);
    free(settings);
}

void gw__settings_snapshots(gw_settings *settings, const gw_config_snapshot **ret_first,
                            const gw_config_snapshot **ret_valid)
{
    pthread_mutex_lock(&settings->lock);
    *ret_first = gw__snapshot_ref(settings->first);
    *ret_valid = gw__snapshot_ref(settings->valid);
    pthread_mutex_unlock(&settings->lock);
}
