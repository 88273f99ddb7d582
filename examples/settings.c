/* SPDX-License-Identifier: MIT */
/* A service whose settings are a struct, filled from one table. */
#include <godwit/log.h>
#include <godwit/service.h>

typedef enum unit { CELSIUS, FAHRENHEIT } unit;

typedef struct weather_settings {
    const char *station;
    uint64_t every_ms;
    unit unit;
    gw_config_list towns;
    const char *api_key;
} weather_settings;

static const char *const units[] = {"celsius", "fahrenheit", NULL};

static const char *check_town(const char *text)
{
    return text[0] != '\0' ? NULL : "the name of a town";
}

static const gw_setting table[] = {
    GW_SETTING_STRING(weather_settings, station, "station", "http://127.0.0.1:9/", 0, NULL,
                      "where the weather is known"),
    GW_SETTING_DURATION(weather_settings, every_ms, "every", "10m", 1000, 86400000, GW_SETTING_LIVE,
                        "time between two questions"),
    GW_SETTING_WORD(weather_settings, unit, "unit", "celsius", units, GW_SETTING_LIVE,
                    "of temperatures"),
    GW_SETTING_LIST(weather_settings, towns, "towns", "Oslo,Bergen", GW_SETTING_LIVE, check_town,
                    "whose weather is served"),
    GW_SETTING_STRING(weather_settings, api_key, "api_key", "", GW_SETTING_SECRET, NULL,
                      "for the station"),
};

static gw_service *running;

/* A struct that is acquired stays as it is, whatever is reloaded meanwhile. */
static void get_towns(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    const weather_settings *now = gw_settings_acquire(gw_service_settings(running));
    gw_http_set_content_type(res, "text/plain; charset=utf-8");
    for (size_t i = 0; i < now->towns.n_items; i++) {
        gw_buf_addf(gw_http_response_body(res), "%s in %s\n", now->towns.items[i],
                    units[now->unit]);
    }
    gw_settings_release(now);
}

/* On the thread of a reload: only keys with GW_SETTING_LIVE, and only if all values are valid. */
static void on_settings(void *ctx, const void *settings, const char *const *keys, size_t n_keys)
{
    (void)ctx;
    const weather_settings *now = settings;
    for (size_t i = 0; i < n_keys; i++) {
        gw_log_info("weather", "%s has changed; %zu towns", keys[i], now->towns.n_items);
    }
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    (void)ctx;
    (void)err;
    running = service;
    return GW_OK;
}

int main(int argc, char **argv)
{
    static const gw_http_route routes[] = {{"Towns", "GET", "/towns", get_towns, NULL}};
    static const gw_service_spec spec = {
        .name = "weather",
        .summary = "tells the weather of some towns",
        .example = "GODWIT_TOWNS=Oslo weather -configServerUrl http://127.0.0.1:8888",
        .settings = table,
        .n_settings = sizeof(table) / sizeof(table[0]),
        .settings_size = sizeof(weather_settings),
        .on_settings = on_settings,
        .use_config_server = true,
        .default_port = 7171,
        .routes = routes,
        .n_routes = 1,
        .start = start,
    };
    return gw_service_run(&spec, argc, argv, NULL);
}
