/* SPDX-License-Identifier: MIT */
/* A small program on the chassis, for its tests. What it does at start and stop is chosen by the
 * flag -mode. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <godwit/health.h>
#include <godwit/service.h>

#define SLOW_MS 300 /* of a request or message in flight when the program is asked to stop */

typedef struct sample {
    gw_service *service;
    gw_health *store;
    gw_config_watch *watch;
} sample;

typedef struct sample_settings {
    const char *greeting;
    int64_t limit;
    gw_config_list friends;
    const char *pin;
} sample_settings;

static const gw_setting rows[] = {
    GW_SETTING_STRING(sample_settings, greeting, "greeting", "good day", GW_SETTING_LIVE, NULL,
                      "what is said"),
    GW_SETTING_INT(sample_settings, limit, "limit", "3", 1, 9, 0, "how many, as the start has it"),
    GW_SETTING_LIST(sample_settings, friends, "friends", "", GW_SETTING_LIVE, NULL, "to whom"),
    GW_SETTING_STRING(sample_settings, pin, "pin", "", GW_SETTING_SECRET, NULL, "not shown"),
};

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static void sleep_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&pause, &pause) != 0) {}
}

static bool mode_is(const gw_service *service, const char *mode)
{
    return strcmp(gw_service_flag(service, "mode"), mode) == 0;
}

static void get_slow(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    say("request begins");
    sleep_ms(SLOW_MS);
    gw_buf_add_str(gw_http_response_body(res), "\"slow\"");
}

static void get_down(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)res;
    sample *self = ctx;
    gw_health_down(self->store, "%s", gw_http_query(req, "reason"));
}

static void get_up(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)req;
    (void)res;
    gw_health_up(((sample *)ctx)->store);
}

static void get_publish(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    sample *self = ctx;
    const char *text = gw_http_query(req, "text");
    gw_message *msg = gw_message_new(text, strlen(text));
    gw_error err = GW_ERROR_INIT;
    if (gw_publish_on_queue(gw_service_client(self->service), "q", msg, &err) != GW_OK) {
        gw_http_problem(res, 503, "%s", err.text);
    }
    gw_message_free(msg);
}

static void get_stop(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)req;
    (void)res;
    gw_service_stop(((sample *)ctx)->service);
}

static void get_added(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    gw_buf_addf(gw_http_response_body(res), "\"%s %s\"", gw_http_var(req, "what"),
                ctx == NULL || ((sample *)ctx)->service == NULL ? "alone" : "with the program");
}

/* Routes that are gone once this returns. */
static gw_status add_routes(gw_service *service, gw_error *err)
{
    char name[] = "Added";
    char pattern[] = "/added/{what}";
    char other[] = "/other/{what}";
    static sample another;
    gw_http_route routes[] = {{name, "GET", pattern, get_added, NULL},
                              {name, "GET", other, get_added, &another}};
    size_t n = sizeof(routes) / sizeof(routes[0]);
    if (mode_is(service, "bad-route")) {
        pattern[0] = '-';
    }
    gw_status st = gw_service_add_routes(service, routes, n, err);
    memset(name, 'x', sizeof(name) - 1);
    memset(pattern, 'x', sizeof(pattern) - 1);
    memset(other, 'x', sizeof(other) - 1);
    memset(routes, 0, sizeof(routes));
    return st;
}

static gw_verdict on_message(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)why;
    printf("message begins: %s\n", (const char *)gw_message_body(msg, NULL));
    fflush(stdout);
    sleep_ms(SLOW_MS);
    say("message ends");
    return GW_DONE;
}

static void on_change(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                      size_t n_keys)
{
    (void)ctx;
    for (size_t i = 0; i < n_keys; i++) {
        const char *value = "";
        if (gw_config_get_string(snapshot, keys[i], &value, NULL) == GW_OK) {
            printf("changed: %s=%s\n", keys[i], value);
        }
    }
    fflush(stdout);
}

static void on_settings(void *ctx, const void *settings, const char *const *keys, size_t n_keys)
{
    (void)ctx;
    const sample_settings *now = settings;
    printf("settings: %zu changed, first %s, greeting %s, limit %lld\n", n_keys, keys[0],
           now->greeting, (long long)now->limit);
    fflush(stdout);
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    sample *self = ctx;
    self->service = service;
    if (mode_is(service, "broken-start")) {
        return gw_error_set(err, GW_E_IO, 0, "the store is on fire");
    }
    if (mode_is(service, "no-component")) {
        return GW_OK;
    }
    self->store = gw_health_add("store", true);
    gw_health_up(self->store);
    gw_status st =
        gw_config_watch_add(gw_service_config(service), on_change, self, &self->watch, err);
    if (st == GW_OK && gw_service_client(service) != NULL) {
        st = gw_subscribe_to_queue(gw_service_client(service), "q", NULL, on_message, self, NULL,
                                   err);
    }
    if (st == GW_OK) {
        st = add_routes(service, err);
    }
    printf("bus id: %s\n", gw_service_bus_id(service));
    say("started");
    return st;
}

static void stop(void *ctx, gw_service *service)
{
    sample *self = ctx;
    say("stop begins");
    if (mode_is(service, "slow-stop")) {
        sleep_ms(60000);
    }
    gw_config_watch_remove(gw_service_config(service), self->watch);
    say("stop ends");
}

int main(int argc, char **argv)
{
    static sample self;
    static const gw_http_route routes[] = {
        {"Slow", "GET", "/slow", get_slow, NULL},
        {"Down", "GET", "/down", get_down, NULL},
        {"Up", "GET", "/up", get_up, NULL},
        {"Stop", "GET", "/stop", get_stop, NULL},
        {"Publish", "GET", "/publish", get_publish, NULL},
    };
    static const gw_flag flags[] = {
        {"mode", "SAMPLE_MODE", "MODE", "plain", "what to do wrong"},
        {"port", "SAMPLE_PORT", "NUMBER", NULL, "the port to serve HTTP on"},
    };
    /* Whether there is a config server, a broker or a text as health is chosen outside, since one
     * program has only one spec. */
    gw_service_spec spec = {
        .name = "sample",
        .summary = "shows what the chassis does",
        .example = "sample -mode plain",
        .flags = flags,
        .n_flags = sizeof(flags) / sizeof(flags[0]),
        .settings = rows,
        .n_settings = sizeof(rows) / sizeof(rows[0]),
        .settings_size = sizeof(sample_settings),
        .on_settings = on_settings,
        .default_port = 6999,
        .port_flag = "port",
        .max_connections = 4000,
        .use_config_server = getenv("SAMPLE_CONFIG") != NULL,
        .use_broker = getenv("SAMPLE_BROKER") != NULL,
        .health_style = getenv("SAMPLE_TEXT") != NULL ? GW_HEALTH_TEXT : GW_HEALTH_JSON,
        .routes = routes,
        .n_routes = sizeof(routes) / sizeof(routes[0]),
        .start = start,
        .stop = stop,
    };
    return gw_service_run(&spec, argc, argv, &self);
}
