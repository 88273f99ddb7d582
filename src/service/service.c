/* SPDX-License-Identifier: MIT */
#include <godwit/service.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/health.h>
#include <godwit/log.h>
#include <godwit/outbox.h>
#include <godwit/url.h>
#include <godwit/version.h>

#include "config/settings.h"
#include "config/snapshot.h"
#include "service/config_server.h"
#include "service/descriptors.h"
#include "service/endpoints.h"
#include "service/flags.h"
#include "service/key_files.h"
#include "service/keys.h"
#include "service/notify.h"
#include "service/routes.h"
#include "service/signals.h"

#define EXIT_USAGE          2
#define OUTBOX_DIR_MAX      256

#define SHUTDOWN_TIMEOUT_MS 10000 /* before the configuration says another */

/* Beyond the shutdown timeout, for what cannot be interrupted, before the process is ended. */
#define GRACE_MS 3000

struct gw_service {
    const gw_service_spec *spec;
    void *ctx;
    gw__flags flags;
    gw__notify manager;
    gw__signals *signals;
    gw_config *config;
    gw__keys keys;
    gw_settings *chassis;     /* of gw__chassis */
    const gw__chassis *start; /* what it was at the start, held until the end */
    gw_settings *settings;    /* the program's; NULL: it has none */
    gw_client *client;
    gw_health *broker;
    bool was_degraded; /* the client's last state; on_broker_state()'s */
    gw_http_server *http;
    gw__routes routes;
    gw__management management;
    gw_buf bus_id;
    uint64_t start_ns;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

static const gw_flag common_flags[] = {
    {"logLevel", "GODWIT_LOG_LEVEL", "LEVEL", NULL, "debug, info, warn, error or off"},
    {"logFormat", "GODWIT_LOG_FORMAT", "FORMAT", NULL, "text or json"},
};

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- accessors ----------------------------------------------------------------- */

const gw_service_spec *gw_service_get_spec(const gw_service *service)
{
    return service->spec;
}

gw_config *gw_service_config(gw_service *service)
{
    return service->config;
}

gw_settings *gw_service_settings(gw_service *service)
{
    return service->settings;
}

gw_client *gw_service_client(gw_service *service)
{
    return service->client;
}

const char *gw_service_flag(const gw_service *service, const char *name)
{
    return gw__flags_get(&service->flags, name);
}

const char *gw_service_bus_id(const gw_service *service)
{
    return service->bus_id.data;
}

/* ---- stopping ------------------------------------------------------------------- */

/* @thread the signal thread */
static void on_stop(void *ctx, int signum)
{
    gw_service *service = ctx;
    gw_log_info("service", "stopping: %s", signum != 0 ? strsignal(signum) : "asked to");
    pthread_mutex_lock(&service->lock);
    service->stopping = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    gw_config_stop(service->config); /* afterwards: so ended, a load is no failure */
}

/* @thread the signal thread */
static void on_reload(void *ctx)
{
    gw_service *service = ctx;
    gw_log_info("service", "SIGHUP: loading the configuration again");
    gw_config_request_reload(service->config);
}

void gw_service_stop(gw_service *service)
{
    gw__signals_raise_stop(service->signals);
}

static bool is_stopping(gw_service *service)
{
    pthread_mutex_lock(&service->lock);
    bool stopping = service->stopping;
    pthread_mutex_unlock(&service->lock);
    return stopping;
}

static void wait_for_stop(gw_service *service)
{
    pthread_mutex_lock(&service->lock);
    while (!service->stopping) {
        pthread_cond_wait(&service->changed, &service->lock);
    }
    pthread_mutex_unlock(&service->lock);
}

/* ---- configuration ----------------------------------------------------------------- */

/* What can change while running: the log's level and format, the access log. */
static void apply(gw_service *service, const gw__chassis *chassis)
{
    gw_log_set_level(chassis->log_level);
    gw_log_set_json(chassis->log_format == 1);
    pthread_mutex_lock(&service->lock);
    if (service->http != NULL) {
        gw_http_server_set_access_log(service->http, chassis->access_log);
    }
    pthread_mutex_unlock(&service->lock);
}

/* @thread that of the reload */
static void on_chassis_changed(void *ctx, const void *chassis, const char *const *keys,
                               size_t n_keys)
{
    (void)keys;
    (void)n_keys;
    apply(ctx, chassis);
}

/* The log as it is until the configuration is there: of flags and environment. */
static gw_status apply_early(gw_service *service, gw_error *err)
{
    gw__chassis chassis = {0};
    size_t n_rows;
    const gw_setting *rows = gw__keys_common(&service->keys, &n_rows);
    const gw_config_snapshot *snapshot = gw_config_acquire(service->config);
    gw_status st = gw_settings_bind(snapshot, rows, n_rows, &chassis, NULL, err);
    gw_config_release(snapshot);
    if (st == GW_OK) {
        apply(service, &chassis);
        gw_settings_dispose(rows, n_rows, &chassis);
    }
    return st;
}

static size_t count_lines(const gw_buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        n += text->data[i] == '\n' ? 1 : 0;
    }
    return n;
}

/* Bind both tables, so that all that is wrong is said at once. */
static gw_status bind_settings(gw_service *service, gw_buf *faults, gw_error *err)
{
    const gw_service_spec *spec = service->spec;
    gw_settings_options chassis = {.table = service->keys.rows,
                                   .n_rows = service->keys.n_rows,
                                   .size = sizeof(gw__chassis),
                                   .on_change = on_chassis_changed,
                                   .ctx = service};
    gw_settings_options own = {.table = spec->settings,
                               .n_rows = spec->n_settings,
                               .size = spec->settings_size,
                               .on_change = spec->on_settings,
                               .ctx = service->ctx};
    gw_status st = gw_settings_new(service->config, &chassis, &service->chassis, faults, err);
    if (spec->settings != NULL && (st == GW_OK || faults->len > 0)) {
        gw_error why = GW_ERROR_INIT;
        gw_status own_st = gw_settings_new(service->config, &own, &service->settings, faults, &why);
        if (st == GW_OK && own_st != GW_OK) {
            st = gw_error_set(err, own_st, 0, "%s", why.text);
        }
    }
    return st;
}

static gw_status make_settings(gw_service *service, gw_error *err)
{
    gw_buf faults;
    gw_buf_init(&faults, 0);
    gw_status st = bind_settings(service, &faults, err);
    if (st == GW_OK) {
        service->start = gw_settings_acquire(service->chassis);
        apply(service, service->start);
        service->management.source = (gw__config_source){
            .keys = &service->keys,
            .config = service->config,
            .chassis = service->chassis,
            .program = service->settings,
            .profile = gw_service_flag(service, "profile"),
            .label = gw_service_flag(service, "configBranch"),
        };
    } else if (count_lines(&faults) > 1) {
        gw__settings_log_faults(&faults);
        st = gw_error_set(err, st, 0, "%zu settings are wrong, see above", count_lines(&faults));
    }
    gw_buf_dispose(&faults);
    return st;
}

/* A flag that stands for a key of the configuration. */
static gw_status set_from_flag(gw_service *service, const char *flag, const char *key,
                               gw_error *err)
{
    if (!gw__flags_is_given(&service->flags, flag)) {
        return GW_OK;
    }
    char origin[128];
    gw__flags_origin(&service->flags, flag, origin, sizeof(origin));
    return gw_config_set(service->config, key, gw__flags_get(&service->flags, flag), origin, err);
}

static gw_status new_config(gw_service *service, gw_error *err)
{
    if (!service->spec->use_config_server) {
        return gw_config_new(NULL, &service->config, err);
    }
    gw__config_server server;
    gw_status st = gw__config_server_read(&service->flags, service->spec->name, &server, err);
    st = st == GW_OK ? gw_config_new(&server.options, &service->config, err) : st;
    gw__config_server_dispose(&server);
    if (st == GW_OK && service->spec->use_broker) {
        gw_config_note_bus(service->config, false); /* it will come; changes are its matter */
    }
    return st;
}

static gw_status make_config(gw_service *service, gw_error *err)
{
    gw_status st = new_config(service, err);
    if (st == GW_OK) {
        st = gw__key_files_read(&service->keys, service->config, err);
    }
    if (st == GW_OK && service->spec->configure != NULL) {
        st = service->spec->configure(service->ctx, service, err);
    }
    if (st == GW_OK) {
        st = set_from_flag(service, "logLevel", "log_level", err);
    }
    if (st == GW_OK) {
        st = set_from_flag(service, "logFormat", "log_format", err);
    }
    if (st == GW_OK && service->spec->port_flag != NULL) {
        st = set_from_flag(service, service->spec->port_flag, "server_port", err);
    }
    return st == GW_OK ? apply_early(service, err) : st;
}

static gw_status load_config(gw_service *service, gw_error *err)
{
    gw__config_note_faulty(service->config, true); /* until the settings say otherwise */
    gw_status st = gw_config_load(service->config, err);
    if (st != GW_OK) {
        return st;
    }
    st = make_settings(service, err);
    if (st == GW_OK) {
        gw__config_note_faulty(service->config, false);
        gw__config_keep(service->config);
    }
    const gw_config_snapshot *snapshot = gw_config_acquire(service->config);
    if (st == GW_OK && service->spec->use_config_server) {
        const char *version = gw_config_version(snapshot);
        gw_log_info("config", "loaded %zu property sources%s%.12s", gw_config_n_sources(snapshot),
                    version[0] != '\0' ? ", version " : "", version);
        if (gw_config_n_sources(snapshot) == 0) {
            gw_log_warn("config",
                        "the config server knows no properties for '%s': is the name right?",
                        service->spec->name);
        }
    }
    gw_config_release(snapshot);
    return st;
}

/* ---- the broker ------------------------------------------------------------------------ */

/* @thread the client's */
static void on_broker_state(void *ctx, gw_client_state state, const char *reason)
{
    gw_service *service = ctx;
    /* It brings the refresh events, if they are subscribed to. That another subscription does not
     * consume, or has yet to begin, says nothing about them. */
    if (service->spec->use_broker && (state == GW_CLIENT_UP || state == GW_CLIENT_CONNECTING)) {
        gw_config_note_bus(service->config, state == GW_CLIENT_UP);
    }
    /* Unless it was theirs: then some may have come to nobody. */
    if (service->spec->use_broker && state == GW_CLIENT_UP && service->was_degraded) {
        gw_config_request_reload(service->config);
    }
    service->was_degraded = state == GW_CLIENT_DEGRADED;
    if (state == GW_CLIENT_UP) {
        gw_health_up(service->broker);
    } else {
        gw_health_down(service->broker, "%s%s%s", gw_client_state_name(state),
                       reason[0] != '\0' ? ": " : "", reason);
    }
}

/* What waits on disk since the level was another one would wait unnoticed. */
static void warn_of_leftovers(const char *dir)
{
    gw_outbox *outbox;
    gw_outbox_summary summary;
    if (gw_outbox_open(dir, &outbox, NULL) != GW_OK) {
        return; /* as a rule there is none */
    }
    if (gw_outbox_summarize(outbox, &summary, NULL) == GW_OK && summary.pid == 0 &&
        summary.n_waiting > 0) {
        gw_log_warn("service",
                    "%zu messages wait in %s and are not sent while outbox_level is memory: start "
                    "once with process, or drop them with 'godwit outbox'",
                    summary.n_waiting, dir);
    }
    gw_outbox_close(outbox);
}

/* To the broker at `url`, as the user that it names with the password of the configuration. */
static gw_status connect_with_password(gw_service *service, const char *url,
                                       const gw_client_options *options, gw_error *err)
{
    const char *password = service->start->amqp_password;
    if (password[0] == '\0') {
        return gw_connect(url, options, &service->client, err);
    }
    gw_buf whole;
    gw_buf_init(&whole, 0);
    gw_url_add_password(&whole, url, password);
    gw_status st = gw_buf_status(&whole);
    st = st == GW_OK ? gw_connect(whole.data, options, &service->client, err)
                     : gw_error_set(err, st, 0, "no memory for the broker's URL");
    if (whole.data != NULL) {
        explicit_bzero(whole.data, whole.len);
    }
    gw_buf_dispose(&whole);
    return st;
}

gw_status gw_service_connect(gw_service *service, const char *url, gw_error *err)
{
    if (service->client != NULL) {
        return gw_error_set(err, GW_E_EXISTS, 0, "the service is connected to a broker already");
    }
    const gw__chassis *chassis = service->start;
    /* Instances on one machine differ by their port, and keep it. */
    char default_dir[OUTBOX_DIR_MAX];
    snprintf(default_dir, sizeof(default_dir), "data/%s/outbox-%u", service->spec->name,
             chassis->port);
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = service->spec->name;
    options.on_state = on_broker_state;
    options.ctx = service;
    options.queue_type = chassis->queue_type;
    options.outbox_level = chassis->outbox_level;
    options.outbox_dir = chassis->outbox_dir[0] != '\0' ? chassis->outbox_dir : default_dir;
    options.outbox_max_messages = (size_t)chassis->outbox_max_messages;
    options.outbox_max_bytes = (size_t)chassis->outbox_max_bytes;
    service->broker = gw_health_add("broker", true);
    gw_health_down(service->broker, "%s", gw_client_state_name(GW_CLIENT_CONNECTING));
    gw_status st = connect_with_password(service, url, &options, err);
    if (st == GW_OK && options.outbox_level == GW_OUTBOX_MEMORY) {
        warn_of_leftovers(options.outbox_dir);
    }
    return st;
}

static gw_status publish_ack(gw_service *service, const gw_buf *ack, gw_error *err)
{
    gw_message *msg = gw_message_new(ack->data, ack->len);
    if (msg == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for an acknowledgement");
    }
    gw_status st = gw_message_set_content_type(msg, "application/json");
    if (st == GW_OK) {
        st = gw_publish(service->client, service->start->event_bus, GW_EXCHANGE_TOPIC, msg, err);
    }
    gw_message_free(msg);
    return st;
}

static bool acks_events(gw_service *service)
{
    const gw__chassis *now = gw_settings_acquire(service->chassis);
    bool acks = now->config_ack;
    gw_settings_release(now);
    return acks;
}

/* A message on the configuration's exchange. @thread a worker of its subscription */
static gw_verdict on_event(void *ctx, const gw_message *msg, gw_error *why)
{
    gw_service *service = ctx;
    size_t len;
    const void *body = gw_message_body(msg, &len);
    gw_buf ack;
    gw_buf_init(&ack, 0);
    gw_status st = gw_config_handle_event(service->config, service->bus_id.data, body, len, NULL,
                                          acks_events(service) ? &ack : NULL, why);
    gw_error err = GW_ERROR_INIT;
    if (st == GW_OK && ack.len > 0 && publish_ack(service, &ack, &err) != GW_OK) {
        gw_log_warn("config", "an event is not acknowledged: %s", err.text); /* but followed */
    }
    gw_buf_dispose(&ack);
    if (st == GW_OK) {
        return GW_DONE;
    }
    return gw_status_is_retriable(st) ? GW_RETRY : GW_REJECT;
}

static gw_status connect_from_config(gw_service *service, gw_error *err)
{
    const gw__chassis *chassis = service->start;
    if (chassis->amqp_url[0] == '\0') {
        return gw_error_set(err, GW_E_NOT_FOUND, 0,
                            "there is no 'amqp_server_url' in the configuration: set it in the "
                            "configuration repository or as GODWIT_AMQP_SERVER_URL, to bus:DIR or "
                            "amqp://host:5672/");
    }
    gw_status st = gw_service_connect(service, chassis->amqp_url, err);
    if (st != GW_OK && strncmp(err->text, "outbox", strlen("outbox")) != 0) {
        st = gw_error_prefix(err, st, "amqp_server_url"); /* all else is about the URL */
    }
    if (st != GW_OK) {
        return st;
    }
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.binding_key = "#";
    return gw_subscribe(service->client, chassis->event_bus, GW_EXCHANGE_TOPIC, &options, on_event,
                        service, NULL, err);
}

/* ---- HTTP ---------------------------------------------------------------------------- */

gw_status gw_service_add_routes(gw_service *service, const gw_http_route *routes, size_t n_routes,
                                gw_error *err)
{
    gw_status st = gw__routes_add(&service->routes, routes, n_routes, service->ctx);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "no memory for the routes");
}

/* To those that the program has added. */
static gw_status add_own_routes(gw_service *service, gw_error *err)
{
    const gw_service_spec *spec = service->spec;
    gw_http_route endpoints[GW__N_ENDPOINTS];
    gw__endpoints_add(spec, &service->management, endpoints);
    gw_status st = gw_service_add_routes(service, spec->routes, spec->n_routes, err);
    return st == GW_OK ? gw_service_add_routes(service, endpoints, GW__N_ENDPOINTS, err) : st;
}

static gw_status start_http(gw_service *service, gw_error *err)
{
    const gw__chassis *chassis = service->start;
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    gw_http_server *http = NULL;
    options.port = chassis->port;
    options.address = chassis->address[0] != '\0' ? chassis->address : NULL;
    if (service->spec->max_connections != 0) {
        options.max_connections = service->spec->max_connections;
    }
    gw_status st = add_own_routes(service, err);
    if (st == GW_OK) {
        gw__descriptors_allow(options.max_connections);
        st = gw_http_server_start(&options, service->routes.items, service->routes.n, &http, err);
    }
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&service->lock);
    service->http = http;
    pthread_mutex_unlock(&service->lock);
    const gw__chassis *now = gw_settings_acquire(service->chassis);
    apply(service, now); /* with the access log, now that there is one */
    gw_settings_release(now);
    if (chassis->name[0] != '\0') {
        gw_log_info("service", "this is %s", chassis->name);
    }
    gw_log_info("service", "serving HTTP on port %u, %llu ms after the start",
                gw_http_server_port(service->http),
                (unsigned long long)((gw_clock_ns() - service->start_ns) / GW_NS_PER_MS));
    return GW_OK;
}

static gw_status make_bus_id(gw_service *service, gw_error *err)
{
    gw_config_bus_id(&service->bus_id, service->spec->name,
                     service->spec->use_config_server ? gw_service_flag(service, "profile") : NULL,
                     service->start->port);
    gw_status st = gw_buf_status(&service->bus_id);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "no memory for the id on the bus");
}

/* ---- run -------------------------------------------------------------------------------- */

/* Everything between the flags and the first request. */
static gw_status start(gw_service *service, bool *ret_started, gw_error *err)
{
    gw_status st = load_config(service, err);
    if (st == GW_OK) {
        st = make_bus_id(service, err);
    }
    if (st == GW_OK && service->spec->use_broker) {
        st = connect_from_config(service, err);
    }
    if (st == GW_OK && service->spec->start != NULL) {
        st = service->spec->start(service->ctx, service, err);
    }
    if (st != GW_OK) {
        return st;
    }
    *ret_started = true;
    return service->spec->default_port != 0 ? start_http(service, err) : GW_OK;
}

static unsigned read_shutdown_timeout(gw_service *service)
{
    if (service->chassis == NULL) { /* it did not come so far */
        return SHUTDOWN_TIMEOUT_MS;
    }
    const gw__chassis *now = gw_settings_acquire(service->chassis);
    unsigned timeout_ms = (unsigned)now->shutdown_timeout_ms;
    gw_settings_release(now);
    return timeout_ms;
}

static void unfollow(gw_service *service)
{
    if (service->chassis != NULL) {
        gw__settings_unfollow(service->chassis);
    }
    if (service->settings != NULL) {
        gw__settings_unfollow(service->settings);
    }
}

/* Take everything down in the opposite order. False when something was left undone. */
static bool shut_down(gw_service *service, bool started)
{
    unsigned timeout_ms = read_shutdown_timeout(service);
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    gw__signals_set_deadline(service->signals, timeout_ms + GRACE_MS);
    gw__notify_stopping(&service->manager, timeout_ms + GRACE_MS);
    /* An answer that still comes is kept for no start: the settings that judge it go. */
    gw__config_note_faulty(service->config, true);
    unfollow(service);
    gw_http_server_stop(service->http, timeout_ms / 2);
    if (started && service->spec->drain != NULL) {
        service->spec->drain(service->ctx, service);
    }
    uint64_t now_ms = gw_clock_ms();
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_close(service->client,
                            deadline_ms > now_ms ? (unsigned)(deadline_ms - now_ms) : 0, &err);
    if (st != GW_OK) {
        gw_log_error("service", "stopped with messages not delivered: %s", err.text);
    }
    if (started && service->spec->stop != NULL) {
        service->spec->stop(service->ctx, service);
    }
    return st == GW_OK;
}

static int run(gw_service *service)
{
    gw_error err = GW_ERROR_INIT;
    gw_health_set_version(service->spec->version, service->spec->commit);
    gw__signals_options signal_options = {
        .on_stop = on_stop, .on_reload = on_reload, .ctx = service};
    gw__notify_init(&service->manager);
    gw_status st = make_config(service, &err);
    if (st == GW_OK) {
        st = gw__signals_start(&signal_options, &service->signals, &err);
    }
    if (st != GW_OK) {
        gw_log_error("service", "cannot start: %s", err.text);
        gw_config_free(service->config);
        return EXIT_FAILURE;
    }
    bool started = false;
    st = start(service, &started, &err);
    bool failed = st != GW_OK && !is_stopping(service);
    if (failed) {
        gw_log_error("service", "cannot start: %s", err.text);
    } else if (st == GW_OK) {
        gw__notify_ready(&service->manager);
        wait_for_stop(service);
    }
    bool clean = shut_down(service, started);
    if (!failed) {
        gw_log_info("service", clean ? "stopped" : "stopped, not cleanly");
    }
    gw__signals_stop(service->signals);
    gw_settings_release(service->start);
    gw_settings_free(service->chassis);
    gw_settings_free(service->settings);
    gw_config_free(service->config);
    gw_health_remove(service->broker);
    return failed || !clean ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_version(const gw_service_spec *spec)
{
    if (spec->version == NULL) {
        printf("%s (godwit %s)\n", spec->name, GW_VERSION);
    } else if (spec->commit == NULL) {
        printf("%s %s\n", spec->name, spec->version);
    } else {
        printf("%s %s (commit %s)\n", spec->name, spec->version, spec->commit);
    }
}

/* Answer --help and the like. False when the program is to run; otherwise *ret_exit is its status.
 */
static bool answer_questions(const gw_service *service, int *ret_exit)
{
    const gw_service_spec *spec = service->spec;
    *ret_exit = EXIT_SUCCESS;
    if (service->flags.help) {
        gw__flags_print_help(&service->flags, spec, stdout);
    } else if (service->flags.version) {
        print_version(spec);
    } else if (service->flags.keys) {
        gw__keys_print(&service->keys, stdout);
    } else {
        return false;
    }
    return true;
}

/* A word that is no flag may be the URL of a broker, with its password. */
static void complain(const gw_service_spec *spec, const char *text)
{
    gw_buf masked;
    gw_buf_init(&masked, 2 * GW_ERROR_TEXT_MAX);
    gw_url_mask(&masked, text);
    fprintf(stderr, "%s: %s\n", spec->name,
            gw_buf_status(&masked) == GW_OK ? masked.data : "wrong flags");
    gw_buf_dispose(&masked);
}

int gw_service_run(const gw_service_spec *spec, int argc, char **argv, void *ctx)
{
    gw_service service = {.spec = spec, .ctx = ctx, .start_ns = gw_clock_ns()};
    gw_buf_init(&service.bus_id, 1024);
    gw__keys_init(&service.keys, spec);
    pthread_mutex_init(&service.lock, NULL);
    pthread_cond_init(&service.changed, NULL);
    pthread_mutex_init(&service.management.refreshing, NULL);
    gw_log_set_service(spec->name);
    gw__flags_add(&service.flags, spec->flags, spec->n_flags);
    if (spec->use_config_server) {
        gw__flags_add(&service.flags, gw__config_flags, GW__N_CONFIG_FLAGS);
        service.flags.notes = gw__config_secrets_help;
    }
    gw__flags_add(&service.flags, common_flags, N_ELEMENTS(common_flags));
    gw_error err = GW_ERROR_INIT;
    int status;
    if (gw__flags_parse(&service.flags, argc, argv, &err) != GW_OK) {
        complain(spec, err.text);
        status = EXIT_USAGE;
    } else if (!answer_questions(&service, &status)) {
        status = run(&service);
    }
    gw__routes_dispose(&service.routes);
    pthread_mutex_destroy(&service.management.refreshing);
    pthread_cond_destroy(&service.changed);
    pthread_mutex_destroy(&service.lock);
    gw_buf_dispose(&service.bus_id);
    return status;
}
