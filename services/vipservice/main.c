/* SPDX-License-Identifier: MIT */
/* vipservice: counts the reads of VIP accounts that accountservice tells it of. */
#include <limits.h>

#include <godwit/service.h>
#include <godwit/version.h>

#include "commit/commit.h"
#include "settings.h"
#include "vips.h"

/* Once the store is back, what waits for it comes within seconds. */
#define RETRY_MAX_MS 5000

static void stop(void *ctx, gw_service *service)
{
    (void)service;
    vips *self = ctx;
    vips_dispose(self);
    gw_health_remove(self->health);
}

static gw_status open_store(vips *self, const vip_settings *settings, gw_error *err)
{
    bool is_database = settings->vip_store[0] != '\0';
    vip_store *store;
    vip_store_options options = {
        .where = is_database ? settings->vip_store : settings->store_dir,
        .sync_each_commit = settings->store_durability == VIP_SURVIVES_POWER_LOSS,
        .max_seen = (uint64_t)settings->duplicates_max,
        .max_seen_age_s = settings->duplicates_age_ms / 1000,
        .password = settings->store_password,
        .timeout_ms = (unsigned)settings->store_timeout_ms,
        .max_connections = (unsigned)settings->store_connections,
        .on_state = vips_on_state,
        .state_ctx = self,
    };
    self->duplicates = gw_metrics_counter("godwit_vip_duplicates_total",
                                          "Notifications that were delivered again.", NULL);
    self->health = gw_health_add("store", true);
    gw_status st = vip_store_open(&options, &store, err);
    if (st == GW_OK) {
        st = vips_init(self, store, err);
        if (st != GW_OK) {
            vip_store_close(store);
        }
    }
    if (st != GW_OK) {
        gw_health_remove(self->health);
        return st;
    }
    if (!is_database) { /* which tells itself */
        gw_health_up(self->health);
    }
    return GW_OK;
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    vips *self = ctx;
    const vip_settings *settings = gw_settings_acquire(gw_service_settings(service));
    gw_status st = open_store(self, settings, err);
    if (st == GW_OK) {
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.max_attempts = UINT_MAX; /* a store that fails is no fault of the message */
        options.retry_delay_max_ms = RETRY_MAX_MS;
        options.commit = vips_commit;
        st = gw_subscribe_to_queue(gw_service_client(service), settings->vip_queue, &options,
                                   vips_on_message, self, NULL, err);
        if (st != GW_OK) {
            stop(self, service);
        }
    }
    gw_settings_release(settings);
    return st;
}

int main(int argc, char **argv)
{
    static vips self;
    static const gw_http_route routes[] = {
        {"ListVips", "GET", "/vips", vips_list, &self},
        {"GetVip", "GET", "/vips/{accountId}", vips_get, &self},
    };
    static const gw_service_spec spec = {
        .name = "vipservice",
        .summary = "counts the reads of VIP accounts",
        .example = "vipservice -configServerUrl http://127.0.0.1:8888 -profile test",
        .version = GW_VERSION,
        .commit = program_commit,
        .settings = vip_settings_table,
        .n_settings = VIP_SETTINGS_N,
        .settings_size = sizeof(vip_settings),
        .use_config_server = true,
        .use_broker = true,
        .default_port = 6868,
        .health_style = GW_HEALTH_TEXT,
        .routes = routes,
        .n_routes = sizeof(routes) / sizeof(routes[0]),
        .start = start,
        .stop = stop,
    };
    return gw_service_run(&spec, argc, argv, &self);
}
