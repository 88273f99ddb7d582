/* SPDX-License-Identifier: MIT */
/* configserver: configuration out of git, as Spring Cloud Config serves it. Wiring only. */
#include <stdatomic.h>
#include <stdlib.h>

#include <godwit/health.h>
#include <godwit/log.h>
#include <godwit/service.h>
#include <godwit/url.h>
#include <godwit/version.h>

#include "announce.h"
#include "commit/commit.h"
#include "files/format.h"
#include "health.h"
#include "repo/git_helper.h"
#include "routes.h"
#include "settings.h"

#define BUS_EXCHANGE    "springCloudBus"
#define MAX_CONNECTIONS 10000 /* most of them long polls, which wait */

typedef struct program {
    cs_app app;
    cs_settings settings;
    cs_rules rules;
    cs_keys *keys;
    cs_access *access;
    cs_health_watch *health;
    atomic_bool is_watched; /* `health` is there */
} program;

/* @thread the HTTP server's and the estate's */
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

/* Who waits for a repository is told to the end, on a client that is there. */
static void drain(void *ctx, gw_service *service)
{
    (void)service;
    program *self = ctx;
    if (self->health != NULL) {
        cs_health_watch_stop(self->health);
    }
    cs_estate_close(self->app.estate);
    cs_health_watch_free(self->health);
    self->health = NULL;
    self->app.estate = NULL;
}

static void stop(void *ctx, gw_service *service)
{
    program *self = ctx;
    drain(self, service); /* when the start failed it was not called */
    cs_lookup_free(self->app.lookup);
    gw_http_channel_free(self->app.channel);
    cs_keys_free(self->keys);
    cs_access_free(self->access);
}

/* A view is in force. @thread the estate's */
static void on_change(void *ctx)
{
    program *self = ctx;
    if (atomic_load(&self->is_watched)) {
        cs_health_watch_tell(self->health);
    }
    gw_http_channel_wake(self->app.channel);
}

/* @thread the estate's */
static void on_files(void *ctx, const cs_changed *changed)
{
    program *self = ctx;
    if (!self->settings.is_quiet) {
        cs_announce_files(&self->app, changed);
    }
}

/* The setting that is at fault, since a path alone could be that of anything. */
static const char *key_setting(const gw_cipher_options *cipher)
{
    return cipher->key_file != NULL        ? "encrypt.key-file"
           : cipher->keystore_file != NULL ? "encrypt.key-store"
                                           : "encrypt.key";
}

static gw_status open_keys(program *self, gw_error *err)
{
    const cs_settings *settings = &self->settings;
    if (!settings->has_cipher) {
        return GW_OK;
    }
    gw_cipher *cipher = NULL;
    gw_status st = gw_cipher_new(&settings->cipher, &cipher, err);
    if (st != GW_OK) {
        return gw_error_set(err, st, err->native, "%s: %s", key_setting(&settings->cipher),
                            err->text);
    }
    self->keys = cs_keys_new(cipher, settings->is_cipher_lenient);
    if (self->keys == NULL) {
        gw_cipher_free(cipher);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    return GW_OK;
}

/* Everybody may do everything where no user is named: that is no secret's place. */
static void warn_of_open_doors(const cs_settings *settings)
{
    bool has_secret = settings->webhook.secret != NULL && settings->webhook.secret[0] != '\0';
    if (settings->n_users == 0 && (settings->has_cipher || has_secret)) {
        gw_log_warn("access",
                    "there are no users: whoever reaches this port may %s; see "
                    "'godwit.access.users'",
                    settings->has_cipher ? "read, decrypt and refresh" : "read and refresh");
    }
}

static gw_status open_app(program *self, gw_error *err)
{
    const cs_settings *settings = &self->settings;
    cs_app *app = &self->app;
    self->rules = settings->rules;
    self->rules.decrypt_text = settings->encrypt_plain_text;
    self->rules.keys = settings->keep_ciphers ? NULL : self->keys;
    self->access =
        settings->n_users == 0 ? NULL : cs_access_new(settings->users, settings->n_users);
    app->access = self->access;
    app->hook_rules = &settings->webhook;
    app->crypt = (cs_crypt){.keys = self->keys, .access = self->access};
    app->channel = gw_http_channel_new();
    app->lookup = cs_lookup_new(&self->rules);
    if ((settings->n_users > 0 && self->access == NULL) || app->channel == NULL ||
        app->lookup == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    cs_estate_options options = {
        .repos = settings->repos,
        .n_repos = settings->n_repos,
        .open = cs_backend_open,
        .free_memo_value = cs_lookup_free_memo_value,
        .on_change = on_change,
        .on_files = on_files,
        .ctx = self,
    };
    gw_status st = cs_estate_open(&options, &app->estate, err);
    if (st == GW_OK) {
        st = cs_health_watch_start(app->estate, &self->health, err);
    }
    if (st == GW_OK) {
        atomic_store(&self->is_watched, true);
        on_change(self); /* what came in between */
    }
    return st;
}

static gw_status add_routes(program *self, gw_service *service, gw_error *err)
{
    cs_route_table table = {.items = NULL};
    gw_status st = cs_routes_make(&self->app, self->settings.prefix, &table, err);
    if (st == GW_OK) {
        st = gw_service_add_routes(service, table.items, table.n, err);
        cs_routes_dispose(&table);
    }
    return st;
}

static const char *given(gw_service *service, const char *flag)
{
    const char *value = gw_service_flag(service, flag);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* A key of the settings file, which lies below the environment and the flags. */
static gw_status set_key(gw_service *service, const char *key, const char *variable,
                         const char *value, const char *origin, gw_error *err)
{
    if (value == NULL || getenv(variable) != NULL) {
        return GW_OK;
    }
    return gw_config_set(gw_service_config(service), key, value, origin, err);
}

static gw_status configure(void *ctx, gw_service *service, gw_error *err)
{
    program *self = ctx;
    cs_settings *settings = &self->settings;
    cs_settings_flags flags = {
        .config = given(service, "config"),
        .repo = given(service, "repo"),
        .dir = given(service, "dir"),
        .label = given(service, "label"),
    };
    gw_status st = cs_settings_load(&flags, settings, err);
    if (st == GW_OK) {
        st = set_key(service, "server_port", "GODWIT_SERVER_PORT", settings->port,
                     settings->port_origin, err);
    }
    if (st == GW_OK) {
        st = set_key(service, "server_address", "GODWIT_SERVER_ADDRESS", settings->address,
                     settings->address_origin, err);
    }
    return st;
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    program *self = ctx;
    cs_format_set_utf8_properties(self->settings.rules.is_utf8_properties);
    warn_of_open_doors(&self->settings);
    gw_status st = open_keys(self, err);
    if (st == GW_OK) {
        st = connect_bus(self, service, err);
    }
    if (st == GW_OK) {
        st = open_app(self, err);
    }
    if (st == GW_OK) {
        st = add_routes(self, service, err);
    }
    if (st != GW_OK) {
        stop(self, service);
    }
    return st;
}

int main(int argc, char **argv)
{
    static const gw_flag flags[] = {
        {"config", "GODWIT_CONFIG", "FILE", NULL, "settings, as Spring Cloud Config has them"},
        {"repo", "GODWIT_REPO", "URI", NULL, "the git repository"},
        {"dir", "GODWIT_DIR", "PATH", NULL, "a directory instead of a repository"},
        {"port", "GODWIT_PORT", "NUMBER", "8888", "the port to serve HTTP on"},
        {"label", "GODWIT_LABEL", "LABEL", NULL, "the label of requests that name none"},
        {"amqp", "GODWIT_AMQP", "URL", NULL,
         "the broker to publish refresh events on, or bus:DIR;\n"
         "                             GODWIT_AMQP keeps passwords out of the process list"},
    };
    int code = cs_git_helper(argc, argv);
    if (code >= 0) {
        return code; /* git asks for a password, or for ssh */
    }
    program self = {.keys = NULL};
    gw_service_spec spec = {
        .name = "configserver",
        .summary = "serves configuration out of git, as Spring Cloud Config does",
        .example = "configserver -repo /srv/config-repo -amqp amqp://127.0.0.1:5672/",
        .version = GW_VERSION,
        .commit = program_commit,
        .flags = flags,
        .n_flags = sizeof(flags) / sizeof(flags[0]),
        .default_port = 8888,
        .port_flag = "port",
        .max_connections = MAX_CONNECTIONS,
        .health_style = GW_HEALTH_JSON,
        .configure = configure,
        .start = start,
        .drain = drain,
        .stop = stop,
    };
    code = gw_service_run(&spec, argc, argv, &self);
    cs_settings_dispose(&self.settings);
    return code;
}
