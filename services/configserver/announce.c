/* SPDX-License-Identifier: MIT */
#include "announce.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "files/bounds.h"

#define EVERYBODY_FILE "application.yml"

typedef struct announcement {
    const cs_app *app;
    atomic_size_t n_open; /* syncs that are not over, and one while they are begun */
    char **destinations;  /* NULL at their end */
} announcement;

/* A repository may take minutes, and whoever sends pushes sends more of them meanwhile. */
static atomic_size_t n_waiting;

static void free_announcement(announcement *self)
{
    for (char **item = self->destinations; item != NULL && *item != NULL; item++) {
        free(*item);
    }
    free(self->destinations);
    free(self);
    atomic_fetch_sub(&n_waiting, 1);
}

static announcement *make_announcement(const cs_app *app, const cs_names *names)
{
    announcement *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    atomic_fetch_add(&n_waiting, 1);
    self->app = app;
    atomic_init(&self->n_open, 1);
    self->destinations = calloc(names->n + 1, sizeof(*self->destinations));
    for (size_t i = 0; self->destinations != NULL && i < names->n; i++) {
        if (asprintf(&self->destinations[i], "%.*s:**", (int)names->items[i].len,
                     names->items[i].bytes) < 0) {
            self->destinations[i] = NULL;
            free_announcement(self);
            return NULL;
        }
    }
    if (self->destinations == NULL) {
        free_announcement(self);
        return NULL;
    }
    return self;
}

static void tell(const cs_app *app, char *const *destinations)
{
    gw_error err = GW_ERROR_INIT;
    gw_status st = GW_OK;
    for (; st == GW_OK && *destinations != NULL; destinations++) {
        st = cs_bus_refresh(&app->bus, *destinations, &err);
    }
    if (st != GW_OK) {
        gw_log_error("monitor", "services are not told of a change: %s", err.text);
    }
}

/* Those who wait at this server are woken as well: their answer may differ without a new view.
 * @thread the handler's, or the estate's */
static void leave(announcement *self)
{
    if (atomic_fetch_sub(&self->n_open, 1) == 1) {
        if (self->app->bus.publish != NULL) {
            tell(self->app, self->destinations);
        }
        gw_http_channel_wake(self->app->channel);
        free_announcement(self);
    }
}

/* A repository that cannot be reached now is tried again by the estate. Services are told all the
 * same: another repository may have what they need. */
static void sync_is_over(void *ctx, gw_status st, const gw_error *err)
{
    if (st != GW_OK && st != GW_E_CLOSED) {
        gw_log_warn("monitor", "services are told of a change that is not here yet: %s",
                    err == NULL ? gw_status_text(st) : err->text);
    }
    leave(ctx);
}

static size_t begin_sync(announcement *self, const char *which)
{
    atomic_fetch_add(&self->n_open, 1);
    return cs_estate_sync(self->app->estate, which, sync_is_over, self);
}

/* How many repositories that is; 0 also when out of memory. */
static size_t begin_named(announcement *self, cs_text url)
{
    char *copy = strndup(url.bytes, url.len);
    size_t n = copy == NULL ? 0 : begin_sync(self, copy);
    free(copy);
    return n;
}

gw_status cs_announce(const cs_app *app, const cs_push *push, gw_error *err)
{
    if (atomic_load(&n_waiting) >= CS_PUSHES_WAITING_MAX) {
        return gw_error_set(err, GW_E_BUSY, 0,
                            "%u pushes wait for a repository already: send it again later",
                            CS_PUSHES_WAITING_MAX);
    }
    announcement *self = make_announcement(app, &push->names);
    if (self == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    size_t n_known = 0;
    for (size_t i = 0; i < push->n_urls; i++) {
        n_known += begin_named(self, push->urls[i]);
    }
    if (n_known == 0) {
        begin_sync(self, NULL);
    }
    leave(self);
    return GW_OK;
}

/* What files stand for; with too many, and when there is no memory for it, everybody. */
static void collect(cs_names *names, const cs_changed *changed)
{
    gw_status st = changed->is_too_many ? GW_E_LIMIT : GW_OK;
    for (size_t i = 0; st == GW_OK && i < changed->n; i++) {
        st = cs_names_add_path(names, (cs_text){changed->paths[i], strlen(changed->paths[i])});
    }
    if (st != GW_OK) {
        cs_names_dispose(names);
        cs_names_init(names);
        st = cs_names_add_path(names, (cs_text){EVERYBODY_FILE, strlen(EVERYBODY_FILE)});
    }
    if (st != GW_OK) {
        gw_log_error("monitor", "services are not told of a change: out of memory");
    }
}

void cs_announce_files(const cs_app *app, const cs_changed *changed)
{
    if (app->bus.publish == NULL) {
        return;
    }
    cs_names names;
    cs_names_init(&names);
    collect(&names, changed);
    announcement *self = make_announcement(app, &names);
    if (self != NULL) {
        gw_log_info("monitor", "%zu %s changed, %zu %s refreshed", changed->n,
                    changed->n == 1 ? "file has" : "files have", names.n,
                    names.n == 1 ? "name" : "names");
        tell(app, self->destinations);
        free_announcement(self);
    } else {
        gw_log_error("monitor", "services are not told of a change: out of memory");
    }
    cs_names_dispose(&names);
}
