/* SPDX-License-Identifier: MIT */
/**
 * @file service.h
 * The chassis of a program: flags, configuration, broker, HTTP, health, signals, in the right
 * order.
 *
 * A program describes itself in a gw_service_spec and calls gw_service_run(), which
 *   1. reads flags and environment (--help and --version are answered here), sets up logging;
 *   2. loads the configuration from the config server, with retries, if the spec says so, and binds
 * the spec's settings: all that is wrong is logged, and ends the program;
 *   3. connects to the broker (`amqp_server_url`) if the spec says so, and subscribes to refresh
 * events on the exchange `config_event_bus`; does not wait for the broker;
 *   4. calls spec->start, in which the program opens its stores and subscribes;
 *   5. serves the program's routes with GET /health, /health/live, /health/ready, /metrics and
 * /config, and POST /actuator/refresh, on `server_port`;
 *   6. waits for SIGTERM or SIGINT. SIGHUP reloads the configuration;
 *   7. drains: no new connections, requests in flight answered, spec->drain, handlers finished,
 * outbox emptied, spec->stop, exit status 0; all within `shutdown_timeout`. A second signal exits
 * at once.
 */
#ifndef GODWIT_SERVICE_H
#define GODWIT_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/config.h>
#include <godwit/error.h>
#include <godwit/http.h>
#include <godwit/messaging.h>
#include <godwit/settings.h>

GW_BEGIN_DECLS

/** A running program. Shareable; its accessors can be called from start until stop returns. */
typedef struct gw_service gw_service;

/** A flag: one dash or two, `-name value` or `-name=value`. Looked up: flag, environment, fallback.
 */
typedef struct gw_flag {
    const char *name;       /**< "configServerUrl" */
    const char *env;        /**< "GODWIT_CONFIG_SERVER_URL" */
    const char *value_name; /**< "URL", for --help */
    const char *fallback;   /**< NULL: none */
    const char *help;       /**< a few words */
} gw_flag;

typedef enum gw_health_style {
    GW_HEALTH_JSON, /**< {"status":"UP"} */
    GW_HEALTH_TEXT  /**< OK */
} gw_health_style;

typedef struct gw_service_spec {
    const char *name;    /**< "accountservice": of the program, its configuration, its log lines and
                            connections */
    const char *summary; /**< one line for --help */
    const char *example; /**< a command line for --help */
    const char *version; /**< "1.4.2", of the program: for --version and the JSON of /health; may be
                            NULL */
    const char *commit;  /**< what it was built from, shown with the version; may be NULL */

    const gw_flag *flags; /**< the program's own; may be NULL */
    size_t n_flags;
    /** The program's own configuration keys, see <godwit/settings.h>; may be NULL. They are bound
     * before start, with the chassis' own; a wrong value ends the program. `--keys` prints both. */
    const gw_setting *settings;
    size_t n_settings;
    size_t settings_size; /**< of the struct */
    /** Live ones have changed, see gw_settings_options. May come while start runs; not once stop
     * has been called. May be NULL. */
    void (*on_settings)(void *ctx, const void *settings, const char *const *keys, size_t n_keys);

    bool use_config_server; /**< adds -configServerUrl, -profile and -configBranch */
    bool use_broker;        /**< needs the key `amqp_server_url` */
    uint16_t default_port;  /**< of `server_port`; 0: the program has no HTTP server */
    /** Connections served at once, see gw_http_options; 0: its default. The limit of open files is
     * raised to fit, as far as it may be. */
    unsigned max_connections;
    /** The flag that gives the port instead of `server_port`, such as "port"; NULL for none. */
    const char *port_flag;
    gw_health_style health_style;

    const gw_http_route *routes; /**< their ctx is replaced by that of gw_service_run(), if NULL */
    size_t n_routes;

    /** Set keys with gw_config_set() that a settings file of the program's own has, before the
     * configuration is loaded; those of flags come above them. A failure is as that of start. May
     * be NULL. */
    gw_status (*configure)(void *ctx, gw_service *service, gw_error *err);
    /** Open what the program needs. A failure ends the program with status 1 and the error's text.
     * May be NULL. */
    gw_status (*start)(void *ctx, gw_service *service, gw_error *err);
    /** End what publishes on its own: called after a successful start, when the last request was
     * answered and before the broker's connection is closed. May be NULL. */
    void (*drain)(void *ctx, gw_service *service);
    /** Close it. Called after a successful start; no handler is running or will be called. May be
     * NULL. */
    void (*stop)(void *ctx, gw_service *service);
} gw_service_spec;

/**
 * Run the program until it is asked to stop. Once a process, from main(), before other threads are
 * started.
 *
 * @return the exit status: 0 after a clean stop or --help; 1 after a failure, which is logged; 2
 * for wrong flags.
 */
GW_API int gw_service_run(const gw_service_spec *spec, int argc, char **argv, void *ctx);

GW_API const gw_service_spec *gw_service_get_spec(const gw_service *service);
GW_API gw_config *gw_service_config(gw_service *service);

/** The struct of the spec's settings, to be acquired; NULL if it has none. */
GW_API gw_settings *gw_service_settings(gw_service *service);

/** NULL when the spec has no use_broker and gw_service_connect() was not called. */
GW_API gw_client *gw_service_client(gw_service *service);

/** The value of one of the spec's flags, or its environment variable, or its fallback; NULL if
 * there is none. */
GW_API const char *gw_service_flag(const gw_service *service, const char *name);

/** This process on the bus: "name:profile:port:random". */
GW_API const char *gw_service_bus_id(const gw_service *service);

/**
 * For a spec without use_broker, from start: connect to `url`, watched by /health as "broker" and
 * closed when the program stops. Fails as gw_connect().
 */
GW_API GW_MUST_CHECK gw_status gw_service_connect(gw_service *service, const char *url,
                                                  gw_error *err);

/**
 * From start: more routes, for those that depend on the configuration. Copied, as their strings
 * are; a ctx of NULL is replaced as in the spec's.
 *
 * @return GW_OK; GW_E_NOMEM. What is wrong with a pattern is found when the server starts.
 */
GW_API GW_MUST_CHECK gw_status gw_service_add_routes(gw_service *service,
                                                     const gw_http_route *routes, size_t n_routes,
                                                     gw_error *err);

/** Ask the program to stop, as SIGTERM does. Any thread. */
GW_API void gw_service_stop(gw_service *service);

GW_END_DECLS

#endif
