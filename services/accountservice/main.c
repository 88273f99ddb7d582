/* SPDX-License-Identifier: MIT */
/* accountservice: reads accounts, and notifies the vipservices when a VIP account is read. */
#include <stdio.h>

#include <godwit/log.h>
#include <godwit/service.h>
#include <godwit/version.h>

#include "accounts.h"
#include "commit/commit.h"

/* @thread that of a reload */
static void on_settings(void *ctx, const void *settings, const char *const *keys, size_t n_keys)
{
    accounts *self = ctx;
    (void)keys; /* the one that is live */
    (void)n_keys;
    gw_error err = GW_ERROR_INIT;
    const account_settings *now = settings;
    if (vip_list_set(self->vips, &now->vip_accounts, &err) != GW_OK) {
        gw_log_error("accounts", "the VIP accounts stay as they are: %s", err.text);
    }
}

static void stop(void *ctx, gw_service *service)
{
    accounts *self = ctx;
    (void)service;
    account_store_close(self->store);
    gw_health_remove(self->health);
    gw_settings_release(self->settings);
}

static gw_status open_store(accounts *self, const account_settings *settings, gw_error *err)
{
    bool is_database = settings->account_store[0] != '\0';
    account_store_options options = {
        .where = is_database ? settings->account_store : settings->store_dir,
        .seed = true,
        .password = settings->store_password,
        .application = "accountservice",
        .timeout_ms = (unsigned)settings->store_timeout_ms,
        .max_connections = (unsigned)settings->store_connections,
        .on_state = accounts_on_state,
        .state_ctx = self,
    };
    self->health = gw_health_add("store", true);
    gw_status st = account_store_open(&options, &self->store, err);
    if (st == GW_OK && !is_database) { /* which tells itself */
        gw_health_up(self->health);
    }
    return st;
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    accounts *self = ctx;
    self->client = gw_service_client(service);
    self->settings = gw_settings_acquire(gw_service_settings(service));
    accounts_find_address(self->served_by, sizeof(self->served_by));
    gw_status st = open_store(self, self->settings, err);
    if (st == GW_OK) {
        st = vip_list_load(self->vips, gw_service_settings(service), err);
    }
    if (st != GW_OK) {
        stop(self, service);
    }
    return st;
}

int main(int argc, char **argv)
{
    static accounts self;
    static const gw_http_route routes[] = {
        {"GetAccount", "GET", "/accounts/{accountId}", accounts_get, &self},
    };
    static const gw_service_spec spec = {
        .name = "accountservice",
        .summary = "serves accounts, and notifies vipservice of reads of VIPs",
        .example = "accountservice -configServerUrl http://127.0.0.1:8888 -profile test",
        .version = GW_VERSION,
        .commit = program_commit,
        .settings = account_settings_table,
        .n_settings = ACCOUNT_SETTINGS_N,
        .settings_size = sizeof(account_settings),
        .on_settings = on_settings,
        .use_config_server = true,
        .use_broker = true,
        .default_port = 6767,
        .health_style = GW_HEALTH_JSON,
        .routes = routes,
        .n_routes = sizeof(routes) / sizeof(routes[0]),
        .start = start,
        .stop = stop,
    };
    self.vips = vip_list_new(); /* before the settings can change */
    if (self.vips == NULL) {
        fputs("accountservice: no memory\n", stderr);
        return 1;
    }
    int status = gw_service_run(&spec, argc, argv, &self);
    vip_list_free(self.vips);
    return status;
}
