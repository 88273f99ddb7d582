/* SPDX-License-Identifier: MIT */
/* accountservice: reads accounts, and notifies the vipservices when a VIP account is read. */
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>
#include <godwit/service.h>

#include "accounts.h"

typedef struct app {
    accounts accounts;
    gw_config *config;
    gw_config_watch *watch;
} app;

/* @thread that of a reload */
static void on_config_changed(void *ctx, const gw_config_snapshot *snapshot,
                              const char *const *keys, size_t n_keys)
{
    app *self = ctx;
    (void)snapshot;
    for (size_t i = 0; i < n_keys; i++) {
        gw_error err = GW_ERROR_INIT;
        if (strcmp(keys[i], VIP_LIST_KEY) == 0 &&
            vip_list_load(self->accounts.vips, self->config, &err) != GW_OK) {
            gw_log_error("accounts", "the VIP accounts stay as they are: %s", err.text);
        }
    }
}

static void stop(void *ctx, gw_service *service)
{
    app *self = ctx;
    gw_config_watch_remove(gw_service_config(service), self->watch);
    account_store_close(self->accounts.store);
    vip_list_free(self->accounts.vips);
    free(self->accounts.vip_queue);
}

static gw_status open_all(app *self, const gw_config_snapshot *snapshot, gw_error *err)
{
    const char *dir = "data/accountservice";
    const char *queue = "vip_queue";
    gw_status st = gw_config_optional(gw_config_get_string(snapshot, "store_dir", &dir, err));
    if (st == GW_OK) {
        st = gw_config_optional(gw_config_get_string(snapshot, "vip_queue", &queue, err));
    }
    if (st != GW_OK) {
        return st;
    }
    accounts_find_address(self->accounts.served_by, sizeof(self->accounts.served_by));
    self->accounts.vip_queue = strdup(queue);
    self->accounts.vips = vip_list_new();
    if (self->accounts.vip_queue == NULL || self->accounts.vips == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory");
    }
    return account_store_open(dir, &self->accounts.store, err);
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    app *self = ctx;
    self->config = gw_service_config(service);
    self->accounts.client = gw_service_client(service);
    const gw_config_snapshot *snapshot = gw_config_acquire(self->config);
    gw_status st = open_all(self, snapshot, err);
    gw_config_release(snapshot);
    if (st == GW_OK) {
        st = gw_config_watch_add(self->config, on_config_changed, self, &self->watch, err);
    }
    if (st == GW_OK) { /* after the watch, so that no change falls between the two */
        st = vip_list_load(self->accounts.vips, self->config, err);
    }
    if (st != GW_OK) {
        stop(self, service);
    }
    return st;
}

int main(int argc, char **argv)
{
    static app self;
    static const gw_http_route routes[] = {
        {"GetAccount", "GET", "/accounts/{accountId}", accounts_get, &self.accounts},
    };
    static const gw_key keys[] = {
        {"store_dir", "data/accountservice", "directory of the accounts", false},
        {"vip_queue", "vip_queue", "queue of the notifications", false},
        {VIP_LIST_KEY, VIP_LIST_DEFAULT, "ids of the VIP accounts, a list", true},
    };
    static const gw_service_spec spec = {
        .name = "accountservice",
        .summary = "serves accounts, and notifies vipservice of reads of VIPs",
        .example = "accountservice -configServerUrl http://127.0.0.1:8888 -profile test",
        .keys = keys,
        .n_keys = sizeof(keys) / sizeof(keys[0]),
        .use_config_server = true,
        .use_broker = true,
        .default_port = 6767,
        .health_style = GW_HEALTH_JSON,
        .routes = routes,
        .n_routes = sizeof(routes) / sizeof(routes[0]),
        .start = start,
        .stop = stop,
    };
    return gw_service_run(&spec, argc, argv, &self);
}
