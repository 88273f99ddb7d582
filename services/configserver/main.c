/* SPDX-License-Identifier: MIT */
/* configserver: configuration out of git, as Spring Cloud Config serves it. Wiring only. */
#include <godwit/health.h>
#include <godwit/log.h>
#include <godwit/service.h>
#include <godwit/url.h>

#include "answer/lookup.h"
#include "repo/repository.h"
#include "routes.h"
#include "watch.h"

#define BUS_EXCHANGE   "springCloudBus"
#define WATCH_EVERY_MS 2000

typedef struct program {
    cs_app app;
    cs_repository *repo;
    cs_watch *watch;
} program;

/* @thread those of the HTTP server */
static gw_status publish(void *ctx, const char *json, size_t len, gw_error *err)
{
    gw_client *client = ctx;
    gw_message *msg = gw_message_new(json, len);
    if (msg == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_status st = gw_message_set_content_type(msg, "application/json");
    if (st == GW_OK) {
        st = gw_publish(client, BUS_EXCHANGE, GW_EXCHANGE_TOPIC, msg, err);
    } else {
        gw_error_set(err, st, 0, "%s", gw_status_text(st));
    }
    gw_message_free(msg);
    return st;
}

static gw_status connect_bus(program *self, gw_service *service, gw_error *err)
{
    const char *url = gw_service_flag(service, "amqp");
    if (url == NULL || url[0] == '\0') {
        gw_log_info("bus", "no -amqp: changes are served, but nobody is told of them");
        return GW_OK;
    }
    /* Registered first, as not required: configuration is served without the broker, and services
     * that wait for a ready configserver need it before they need their broker. */
    gw_health_add("broker", false);
    gw_status st = gw_service_connect(service, url, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "-amqp");
    }
    self->app.bus = (cs_bus){
        .publish = publish,
        .ctx = gw_service_client(service),
        .origin = gw_service_bus_id(service),
    };
    return GW_OK;
}

static void stop(void *ctx, gw_service *service)
{
    (void)service;
    program *self = ctx;
    cs_watch_stop(self->watch);
    cs_lookup_free(self->app.lookup);
    cs_repository_free(self->repo);
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    program *self = ctx;
    const char *location = gw_service_flag(service, "repo");
    if (location == NULL || location[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "-repo is missing: the path of a git repository");
    }
    gw_status st = cs_repository_open(location, &self->repo, err);
    if (st == GW_OK) {
        st = cs_lookup_new(self->repo, gw_service_flag(service, "label"), &self->app.lookup, err);
    }
    if (st == GW_OK) {
        st = cs_watch_start(self->app.lookup, WATCH_EVERY_MS, &self->watch, err);
    }
    if (st == GW_OK) {
        st = connect_bus(self, service, err);
    }
    if (st != GW_OK) {
        stop(self, service);
        return st;
    }
    gw_log_info("repository", "serving %s", cs_repository_uri(self->repo));
    return GW_OK;
}

int main(int argc, char **argv)
{
    static const gw_flag flags[] = {
        {"repo", "GODWIT_REPO", "PATH", NULL, "the git repository, bare or not"},
        {"port", "GODWIT_PORT", "NUMBER", "8888", "the port to serve HTTP on"},
        {"label", "GODWIT_LABEL", "LABEL", "main", "the label of requests that name none"},
        {"amqp", "GODWIT_AMQP", "URL", NULL,
         "the broker to publish refresh events on, or bus:DIR;\n"
         "                             GODWIT_AMQP keeps passwords out of the process list"},
    };
    program self = {.repo = NULL};
    gw_service_spec spec = {
        .name = "configserver",
        .summary = "serves configuration out of git, as Spring Cloud Config does",
        .example = "configserver -repo /srv/config-repo -amqp amqp://127.0.0.1:5672/",
        .flags = flags,
        .n_flags = sizeof(flags) / sizeof(flags[0]),
        .default_port = 8888,
        .port_flag = "port",
        .health_style = GW_HEALTH_JSON,
        .start = start,
        .stop = stop,
    };
    spec.routes = cs_routes(&spec.n_routes);
    return gw_service_run(&spec, argc, argv, &self);
}
