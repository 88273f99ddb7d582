/* SPDX-License-Identifier: MIT */
/* vipservice: counts the reads of VIP accounts that accountservice tells it of. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/service.h>

#include "vips.h"

static void stop(void *ctx, gw_service *service)
{
    (void)service;
    vips *self = ctx;
    vips_dispose(self);
    gw_health_remove(self->health);
}

static gw_status read_store_options(const gw_config_snapshot *snapshot,
                                    vip_store_options *ret_options, gw_error *err)
{
    const char *durability = "process";
    int64_t max_seen = 1000000;
    uint64_t max_age_ms = 7 * 86400 * UINT64_C(1000);
    gw_status st =
        gw_config_optional(gw_config_get_string(snapshot, "store_dir", &ret_options->dir, err));
    if (st == GW_OK) {
        st = gw_config_optional(
            gw_config_get_string(snapshot, "store_durability", &durability, err));
    }
    if (st == GW_OK && strcmp(durability, "process") != 0 && strcmp(durability, "disk") != 0) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "store_durability '%.40s' is neither process nor disk", durability);
    }
    if (st == GW_OK) {
        st = gw_config_optional(
            gw_config_get_int(snapshot, "duplicates_max", 1000, INT64_MAX, &max_seen, err));
    }
    if (st == GW_OK) {
        st = gw_config_optional(gw_config_get_duration_ms(snapshot, "duplicates_age", 60000,
                                                          UINT64_MAX, &max_age_ms, err));
    }
    ret_options->sync_each_commit = strcmp(durability, "disk") == 0;
    ret_options->max_seen = (uint64_t)max_seen;
    ret_options->max_seen_age_s = max_age_ms / 1000;
    return st;
}

static gw_status open_store(vips *self, const gw_config_snapshot *snapshot, gw_error *err)
{
    vip_store *store;
    vip_store_options options = {.dir = "data/vipservice"};
    gw_status st = read_store_options(snapshot, &options, err);
    if (st == GW_OK) {
        st = vip_store_open(&options, &store, err);
    }
    if (st != GW_OK) {
        return st;
    }
    vips_init(self, store);
    self->duplicates = gw_metrics_counter("godwit_vip_duplicates_total",
                                          "Notifications that were delivered again.", NULL);
    self->health = gw_health_add("store", true);
    gw_health_up(self->health);
    return GW_OK;
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    vips *self = ctx;
    const gw_config_snapshot *snapshot = gw_config_acquire(gw_service_config(service));
    const char *queue = "vip_queue";
    gw_status st = gw_config_optional(gw_config_get_string(snapshot, "vip_queue", &queue, err));
    if (st == GW_OK) {
        st = open_store(self, snapshot, err);
    }
    if (st == GW_OK) {
        gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
        options.max_attempts = UINT_MAX; /* a store that fails is no fault of the message */
        options.commit = vips_commit;
        st = gw_subscribe_to_queue(gw_service_client(service), queue, &options, vips_on_message,
                                   self, NULL, err);
        if (st != GW_OK) {
            stop(self, service);
        }
    }
    gw_config_release(snapshot);
    return st;
}

int main(int argc, char **argv)
{
    static vips self;
    static const gw_http_route routes[] = {
        {"ListVips", "GET", "/vips", vips_list, &self},
        {"GetVip", "GET", "/vips/{accountId}", vips_get, &self},
    };
    static const gw_key keys[] = {
        {"store_dir", "data/vipservice",
         "directory of the counts; all vipservices of a machine share it", false},
        {"store_durability", "process", "process: survives kill -9; disk: survives power loss",
         false},
        {"vip_queue", "vip_queue", "queue of the notifications", false},
        {"duplicates_max", "1000000", "message ids remembered to recognise duplicates", false},
        {"duplicates_age", "7d", "how long they are remembered", false},
    };
    static const gw_service_spec spec = {
        .name = "vipservice",
        .summary = "counts the reads of VIP accounts",
        .example = "vipservice -configServerUrl http://127.0.0.1:8888 -profile test",
        .keys = keys,
        .n_keys = sizeof(keys) / sizeof(keys[0]),
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
