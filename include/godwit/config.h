/* SPDX-License-Identifier: MIT */
/**
 * @file config.h
 * A service's configuration: properties from a Spring-style config server, overridden by the
 * environment, in snapshots that never change.
 *
 * A property is looked up, first found wins:
 *   1. what the program set itself with gw_config_set(), such as a command line flag;
 *   2. the environment: `server_port` is GODWIT_SERVER_PORT, `spring.rabbit-host` is
 *      GODWIT_SPRING_RABBIT_HOST (captured once, by gw_config_new());
 *   3. what an event on the bus set, see gw_config_handle_event();
 *   4. the config server's property sources, of which the first has the highest precedence.
 * A list is replaced as a whole by the higher source, never merged by index. Values are taken
 * literally: placeholders are not resolved.
 *
 * A reload builds a new snapshot and swaps it in whole, or fails and keeps the old one whole.
 */
#ifndef GODWIT_CONFIG_H
#define GODWIT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/cipher.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

/** Where the configuration comes from, the snapshot in force, and who wants to know of changes.
 * Shareable. */
typedef struct gw_config gw_config;

/** All properties at one moment. Immutable and counted: keep it as long as you hold a reference. */
typedef struct gw_config_snapshot gw_config_snapshot;

#define GW_CONFIG_KEY_MAX        1024  /**< longest key in bytes */
#define GW_CONFIG_PROPERTIES_MAX 20000 /**< most properties of one answer, all sources together */

/** Whether changes are looked for on the config server, for a program that gets no events of them.
 */
typedef enum gw_config_watch_mode {
    GW_CONFIG_WATCH_NEVER,
    GW_CONFIG_WATCH_AUTO,  /**< unless there is a bus that works, see gw_config_note_bus() */
    GW_CONFIG_WATCH_ALWAYS /**< beside the bus */
} gw_config_watch_mode;

typedef struct gw_config_options {
    /** Of the config server, such as "http://configserver:8888" or "http://user:pw@host/prefix"; or
     * of several, with commas between. NULL for none: then there are only 1. and 2. above.
     * Several are tried in their order, the one that answered last first. */
    const char *url;
    const char *app;     /**< the service's name; required with a URL */
    const char *profile; /**< one, or several with commas; NULL: "default" */
    /** Branch, tag or commit; or several with commas, of which the first that the server has is
     * taken. NULL: the server's default. */
    const char *label;
    const char *env_prefix; /**< "" for no overrides by the environment */
    /** For servers whose URL has no user; NULL for none. */
    const char *username;
    const char *password;
    /** Sent as X-Config-Token, as Spring's client does, and without a user as a bearer token too.
     */
    const char *token;
    /** Ask the next server only when one cannot be reached; otherwise also when it answers with an
     * error. */
    bool connection_failures_only;
    gw_cipher_options cipher; /**< the key for `{cipher}` values; all NULL: none */

    unsigned timeout_ms;           /**< of gw_config_load() with all its tries */
    unsigned try_timeout_ms;       /**< of one call */
    unsigned connect_timeout_ms;   /**< of its connection */
    unsigned retry_first_ms;       /**< pause after the first try; */
    double retry_factor;           /**< each later one is so many times as long, */
    unsigned retry_max_ms;         /**< at most this, */
    unsigned retry_jitter_percent; /**< and shorter by up to so much, by chance */
    unsigned retry_max_tries;      /**< 0: as many as the time allows */
    unsigned refresh_quiet_ms;     /**< reload once so long after the last event of a burst, */
    unsigned refresh_max_ms;       /**< and at the latest so long after its first */

    /** Where the last good answer is kept, for a start while no server answers; NULL: nowhere, and
     * such a start fails. Its directory must exist. */
    const char *cache_file;

    gw_config_watch_mode watch;
    unsigned watch_interval_ms; /**< for a server that cannot tell of a change by itself */
    unsigned watch_bus_away_ms; /**< with AUTO: watch when the bus has been away for so long */
} gw_config_options;

#define GW_CONFIG_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .url = NULL, .app = NULL, .profile = NULL, .label = NULL, .env_prefix = "GODWIT_",         \
        .username = NULL, .password = NULL, .token = NULL, .connection_failures_only = false,      \
        .cipher = {NULL, NULL, NULL, NULL, NULL, NULL, false}, .timeout_ms = 10000,                \
        .try_timeout_ms = 10000, .connect_timeout_ms = 3000, .retry_first_ms = 100,                \
        .retry_factor = 2, .retry_max_ms = 2000, .retry_jitter_percent = 20, .retry_max_tries = 0, \
        .refresh_quiet_ms = 100, .refresh_max_ms = 1000, .cache_file = NULL,                       \
        .watch = GW_CONFIG_WATCH_NEVER, .watch_interval_ms = 30000, .watch_bus_away_ms = 60000     \
    }

/** @name Loading @{ */

/**
 * A configuration with an empty snapshot (gw_config_set() and the environment work already).
 * Connects to nothing.
 *
 * @param options copied; NULL for the defaults.
 * @return GW_OK; GW_E_INVALID for a bad URL, or one without an app, and for numbers that make no
 * sense; GW_E_LIMIT for more than 16 servers or labels; GW_E_NOMEM; and as gw_cipher_new().
 */
GW_API GW_MUST_CHECK gw_status gw_config_new(const gw_config_options *options,
                                             gw_config **ret_config, gw_error *err);

/** End the background threads and what they are doing, free. Accepts NULL. Acquired snapshots stay
 * valid. Not from a watcher. */
GW_API void gw_config_free(gw_config *config);

/**
 * Load for the first time: tries again with backoff as long as the server cannot be reached or is
 * not ready, up to `timeout_ms`. Without a URL it succeeds at once. Blocks.
 *
 * With a `cache_file`, a server that is away or out of order is no failure: the last good answer
 * is taken from there, with an error in the log, the gauge godwit_config_from_cache at 1 and the
 * health component "config" down, which is not required; the server is tried in the background
 * until it answers. One that refuses us (401, 403, 404, 400) is a failure all the same.
 *
 * A `{cipher}` value that cannot be opened is a failure, GW_E_INVALID, that names key and origin.
 *
 * @return GW_OK; GW_E_UNAVAILABLE or GW_E_TIMEOUT with the last reason and the number of tries;
 * GW_E_NOT_FOUND for a 404 (the label); GW_E_DENIED for 401 and 403; GW_E_PROTOCOL when the answer
 * is not what a config server says; GW_E_LIMIT; GW_E_CLOSED after gw_config_stop(); GW_E_NOMEM. The
 * text is for a person and has the server's own explanation, if it gave one.
 */
GW_API GW_MUST_CHECK gw_status gw_config_load(gw_config *config, gw_error *err);

/**
 * Load again, now and once, and tell the watchers on this thread what changed. On any failure the
 * old snapshot stays. Blocks; one reload at a time. Not from a watcher. Returns as
 * gw_config_load().
 */
GW_API GW_MUST_CHECK gw_status gw_config_reload(gw_config *config, gw_error *err);

/**
 * Reload soon on the background thread, as after an event: several calls make one reload. When the
 * server cannot be reached it is tried again, ever more rarely, at least every 30 s. Failures and
 * changes are logged. Does not block; not from a signal handler.
 */
GW_API void gw_config_request_reload(gw_config *config);

/**
 * There is a bus for refresh events, and it works or does not: for GW_CONFIG_WATCH_AUTO. When it
 * begins to work, or does again, after a load, the configuration is loaded again: events may have
 * been missed. To be called at each change; never called, there is no bus. Any thread; does not
 * block.
 */
GW_API void gw_config_note_bus(gw_config *config, bool up);

/** Make gw_config_load() and reloads that run, and all later ones, end at once with GW_E_CLOSED;
 * for a program that is asked to stop while it starts. Any thread. */
GW_API void gw_config_stop(gw_config *config);

/** @} @name Reading @{ */

/** The snapshot in force, with a reference for the caller. Never NULL, never blocks on a reload. */
GW_API const gw_config_snapshot *gw_config_acquire(gw_config *config);

/** Give the reference back. Accepts NULL. */
GW_API void gw_config_release(const gw_config_snapshot *snapshot);

/**
 * Getters. All return GW_OK; GW_E_NOT_FOUND when the key is nowhere; GW_E_INVALID when the value is
 * not of the kind, with a text such as
 *   key 'server_port' = 'abc' from file:///repo/accountservice-test.yml:3 is not a number from 1 to
 *   65535
 * in which passwords in URLs, and values of keys that sound secret, are masked. Outputs are written
 * on success only, so a default goes into the variable first:
 *
 *   int64_t port = 6767;
 *   st = gw_config_optional(gw_config_get_int(snap, "server_port", 1, 65535, &port, &err));
 */
GW_API gw_status gw_config_optional(gw_status st); /**< GW_OK for GW_E_NOT_FOUND */

/** The value as text, borrowed from the snapshot. An empty value is "". For a list of the config
 * server use gw_config_get_list(). */
GW_API GW_MUST_CHECK gw_status gw_config_get_string(const gw_config_snapshot *snapshot,
                                                    const char *key, const char **ret_value,
                                                    gw_error *err);

GW_API GW_MUST_CHECK gw_status gw_config_get_int(const gw_config_snapshot *snapshot,
                                                 const char *key, int64_t min, int64_t max,
                                                 int64_t *ret_value, gw_error *err);

/** true, yes, on, 1; false, no, off, 0; in any case. */
GW_API GW_MUST_CHECK gw_status gw_config_get_bool(const gw_config_snapshot *snapshot,
                                                  const char *key, bool *ret_value, gw_error *err);

/** "250ms", "10s", "5m", "1h", "2d"; a bare number is milliseconds, as in Spring. */
GW_API GW_MUST_CHECK gw_status gw_config_get_duration_ms(const gw_config_snapshot *snapshot,
                                                         const char *key, uint64_t min_ms,
                                                         uint64_t max_ms, uint64_t *ret_ms,
                                                         gw_error *err);

/** "4096", "64KB", "10MB", "2GB", "1TB": powers of 1024, as in Spring; "KiB" and so on mean the
 * same; a bare number is bytes. */
GW_API GW_MUST_CHECK gw_status gw_config_get_size(const gw_config_snapshot *snapshot,
                                                  const char *key, uint64_t min, uint64_t max,
                                                  uint64_t *ret_bytes, gw_error *err);

typedef struct gw_config_list {
    const char *const *items; /**< NUL-terminated strings; belong to the list */
    size_t n_items;
    void *storage; /**< private */
} gw_config_list;

/**
 * A list: `key[0]`, `key[1]`, ... as a config server flattens one, or a text with commas, blanks
 * around items dropped. An empty list, and an empty text, have no items. GW_E_INVALID for a list
 * with holes or with objects as its items.
 *
 * @param ret_list belongs to the caller; free it with gw_config_list_dispose().
 */
GW_API GW_MUST_CHECK gw_status gw_config_get_list(const gw_config_snapshot *snapshot,
                                                  const char *key, gw_config_list *ret_list,
                                                  gw_error *err);

/** Accepts a zeroed struct. */
GW_API void gw_config_list_dispose(gw_config_list *list);

/** Whether the list holds the text. */
GW_API bool gw_config_list_has(const gw_config_list *list, const char *item);

/** Where the value of the key comes from: "the command line", "environment variable
 * GODWIT_SERVER_PORT", "file:///repo/accountservice-test.yml:3" (the line, if the server tells it);
 * NULL when the key is nowhere.
 * Borrowed from the snapshot. */
GW_API const char *gw_config_origin(const gw_config_snapshot *snapshot, const char *key);

/** The version (commit) that the server named; "" when it named none. Borrowed. */
GW_API const char *gw_config_version(const gw_config_snapshot *snapshot);

/** Number of property sources of the server's answer; 0 means that the server knows nothing of this
 * service, often a misspelt name. */
GW_API size_t gw_config_n_sources(const gw_config_snapshot *snapshot);

/** @} @name Setting and watching @{ */

/**
 * Set a property above all other sources; NULL for `value` removes it again. Takes effect in the
 * snapshots acquired after it returns; watchers are told on this thread. A unit test of a service
 * configures it this way, without a server.
 *
 * @param origin for error texts and gw_config_origin(), such as "the command line"; copied, as all.
 * @return GW_OK; GW_E_INVALID for an empty key; GW_E_LIMIT; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_config_set(gw_config *config, const char *key, const char *value,
                                             const char *origin, gw_error *err);

typedef struct gw_config_watch gw_config_watch;

/**
 * Properties changed. Called on the thread that reloads: a background thread after events,
 * gw_config_request_reload(), and when the watch found a change; the caller's in gw_config_reload()
 * and gw_config_set(). One call at a time, no lock that readers need is held; may block briefly,
 * may read and acquire; must not load, reload, set, watch, unwatch or free.
 *
 * @param snapshot the new one, which is in force already; borrowed.
 * @param keys     those whose effective value differs, sorted; a list is one key (`vip_accounts`,
 *                 not `vip_accounts[0]`). Keys are those of the server and of gw_config_set(): what
 *                 the environment overrides does not change. Borrowed.
 */
typedef void (*gw_config_watcher)(void *ctx, const gw_config_snapshot *snapshot,
                                  const char *const *keys, size_t n_keys);

/** Be told of changes from now on. GW_OK; GW_E_NOMEM. */
GW_API GW_MUST_CHECK gw_status gw_config_watch_add(gw_config *config, gw_config_watcher watcher,
                                                   void *ctx, gw_config_watch **ret_watch,
                                                   gw_error *err);

/** When it returns the watcher is not running and will not be called. Accepts NULL. Watches that
 * are left end with gw_config_free(). */
GW_API void gw_config_watch_remove(gw_config *config, gw_config_watch *watch);

/** @} @name Refresh events of Spring Cloud Bus @{ */

/** Append an id for this process on the bus, "name:profile:port:random" ("name:port:random" without
 * a profile): what `own_id` below is. Colons in the parts become '-'. */
GW_API void gw_config_bus_id(gw_buf *out, const char *name, const char *profile, unsigned port);

/**
 * Look at an event from the bus. When it is addressed to `own_id` and not sent by it
 *   - a RefreshRemoteApplicationEvent requests a reload, see gw_config_request_reload();
 *   - an EnvironmentChangeRemoteApplicationEvent sets its values above the server's, until the
 *     program ends, with the origin "bus event"; a null takes one away again. Watchers are told on
 *     this thread. Flags and environment variables stay above it.
 * Any other event is ignored, also one that asks the program to end.
 *
 * A destination matches as in Spring: patterns with `*`, `?`, `{x}` and `**` over the parts between
 * colons; none is everybody; an id with several profiles is tried with each of them, and with each
 * name of the key `spring.cloud.config.name` in place of its own. For a refresh, beyond that, a
 * bare name, or a bare `*`, means all instances of it, and `name:*` too: older servers send these,
 * and goblog's services understand them.
 *
 * @param body      of the message; need not be NUL-terminated.
 * @param ret_taken set on success to whether it did something; may be NULL.
 * @param ret_ack   if the event is to be acknowledged, an AckRemoteApplicationEvent is appended, to
 * be published on the bus as JSON; NULL: no acknowledgement is wanted. An event of `own_id` to
 * itself is acknowledged too, an acknowledgement never.
 * @return GW_OK; GW_E_INVALID when it is not JSON, no object, has no type, or fields of the wrong
 * kind: reject the message then; GW_E_LIMIT above 1 MiB, and for more than 1000 values; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_config_handle_event(gw_config *config, const char *own_id,
                                                      const void *body, size_t len, bool *ret_taken,
                                                      gw_buf *ret_ack, gw_error *err);

/** @} */

GW_END_DECLS

#endif
