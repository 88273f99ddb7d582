/* SPDX-License-Identifier: MIT */
#include "service/keys.h"

#include <ctype.h>
#include <string.h>

#include "config/settings.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const queue_types[] = {"classic", "quorum", NULL};
static const char *const outbox_levels[] = {"memory", "process", "disk", NULL};
static const char *const endpoint_accesses[] = {"off", "on", "loopback", NULL};

static const gw_setting http_rows[] = {
    GW_SETTING_PORT(gw__chassis, port, "server_port", "", 0, "port of the HTTP server"),
    GW_SETTING_STRING(gw__chassis, address, "server_address", "", 0, NULL,
                      "address that it listens on, such as 127.0.0.1; without it all"),
    GW_SETTING_STRING(gw__chassis, name, "server_name", "", 0, NULL,
                      "a name for people, in the log at the start"),
    GW_SETTING_BOOL(gw__chassis, access_log, "access_log", "false", GW_SETTING_LIVE,
                    "a log line for each request"),
    GW_SETTING_WORD(
        gw__chassis, config_endpoint, "config_endpoint", "loopback", endpoint_accesses,
        GW_SETTING_LIVE,
        "who may GET /config and POST /actuator/refresh: nobody, everybody, or who asks "
        "from this machine"),
};

static const gw_setting broker_rows[] = {
    GW_SETTING_STRING(
        gw__chassis, amqp_url, "amqp_server_url", "", 0, NULL,
        "the broker: amqp://user:password@host:port/vhost, or bus:DIR for the embedded bus"),
    GW_SETTING_STRING(gw__chassis, amqp_password, "amqp_password", "", GW_SETTING_SECRET, NULL,
                      "password of the user that amqp_server_url names without one"),
    GW_SETTING_STRING(gw__chassis, event_bus, "config_event_bus", "springCloudBus", 0, NULL,
                      "exchange of refresh events"),
    GW_SETTING_BOOL(gw__chassis, config_ack, "config_ack", "false", GW_SETTING_LIVE,
                    "answer each event with an AckRemoteApplicationEvent"),
    GW_SETTING_WORD(gw__chassis, queue_type, "queue_type", "classic", queue_types, 0,
                    "type of the work queues"),
    GW_SETTING_WORD(gw__chassis, outbox_level, "outbox_level", "process", outbox_levels, 0,
                    "what an accepted message survives: memory (a lost connection), process (kill "
                    "-9), disk (power loss)"),
    GW_SETTING_STRING(gw__chassis, outbox_dir, "outbox_dir", "", 0, NULL,
                      "directory of the outbox, for one process; without it data/NAME/outbox-PORT"),
    GW_SETTING_INT(gw__chassis, outbox_max_messages, "outbox_max_messages", "", 1, INT64_MAX, 0,
                   "most that wait for the broker: 10 million, in memory 100,000"),
    GW_SETTING_SIZE(gw__chassis, outbox_max_bytes, "outbox_max_bytes", "", 1, UINT64_C(1) << 40, 0,
                    "the same in bytes: 2GB, in memory 64MB"),
};

static const gw_setting common_rows[] = {
    GW_SETTING_WORD(gw__chassis, log_level, "log_level", "info", log_levels, GW_SETTING_LIVE,
                    "what is logged, and what is worse"),
    GW_SETTING_WORD(gw__chassis, log_format, "log_format", "text", log_formats, GW_SETTING_LIVE,
                    "of the log's lines"),
    GW_SETTING_DURATION(gw__chassis, shutdown_timeout_ms, "shutdown_timeout", "10s", 100, 3600000,
                        GW_SETTING_LIVE, "time to drain after SIGTERM"),
};

_Static_assert(N_OF(http_rows) + N_OF(broker_rows) + N_OF(common_rows) <= GW__KEYS_MAX,
               "there is room for the rows");

void gw__keys_init(gw__keys *keys, const gw_service_spec *spec)
{
    memset(keys, 0, sizeof(*keys));
    keys->spec = spec;
    keys->n_http = N_OF(http_rows);
    keys->n_broker = N_OF(broker_rows);
    keys->n_rows = N_OF(http_rows) + N_OF(broker_rows) + N_OF(common_rows);
    memcpy(keys->rows, http_rows, sizeof(http_rows));
    memcpy(keys->rows + keys->n_http, broker_rows, sizeof(broker_rows));
    memcpy(keys->rows + keys->n_http + keys->n_broker, common_rows, sizeof(common_rows));
    snprintf(keys->port, sizeof(keys->port), "%u", spec->default_port);
    for (size_t i = 0; i < keys->n_rows; i++) {
        if (strcmp(keys->rows[i].key, "server_port") == 0) {
            keys->rows[i].fallback = keys->port;
        } else if (strcmp(keys->rows[i].key, "outbox_level") == 0 && !spec->use_broker) {
            keys->rows[i].fallback = "memory"; /* its broker is an extra */
        }
    }
}

const gw_setting *gw__keys_common(const gw__keys *keys, size_t *ret_n)
{
    *ret_n = keys->n_rows - keys->n_http - keys->n_broker;
    return keys->rows + keys->n_http + keys->n_broker;
}

static void see_rows(const gw_setting *rows, size_t n_rows, bool is_programs,
                     void (*see)(void *ctx, const gw_setting *row, bool is_programs), void *ctx)
{
    for (size_t i = 0; i < n_rows; i++) {
        see(ctx, &rows[i], is_programs);
    }
}

void gw__keys_each(const gw__keys *keys,
                   void (*see)(void *ctx, const gw_setting *row, bool is_programs), void *ctx)
{
    const gw_service_spec *spec = keys->spec;
    size_t n_common;
    const gw_setting *common = gw__keys_common(keys, &n_common);
    if (spec->default_port != 0) {
        see_rows(keys->rows, keys->n_http, false, see, ctx);
    }
    if (spec->use_broker) {
        see_rows(keys->rows + keys->n_http, keys->n_broker, false, see, ctx);
    }
    see_rows(spec->settings, spec->n_settings, true, see, ctx);
    see_rows(common, n_common, false, see, ctx);
}

/* ---- printing --------------------------------------------------------------------- */

static void print_row(void *ctx, const gw_setting *row, bool is_programs)
{
    FILE *out = ctx;
    (void)is_programs;
    fprintf(out, "| `%s` | `GODWIT_", row->key);
    for (const char *p = row->key; *p != '\0'; p++) {
        fputc(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_', out);
    }
    gw_buf allowed;
    gw_buf_init(&allowed, 0);
    gw__setting_describe(row, &allowed);
    const char *quote = row->fallback[0] != '\0' ? "`" : "";
    fprintf(out, "` | %s%s%s | %s | %s%s |\n", quote, row->fallback, quote,
            allowed.data != NULL ? allowed.data : "", row->help,
            (row->flags & GW_SETTING_LIVE) != 0 ? "; takes effect at once" : "");
    gw_buf_dispose(&allowed);
}

void gw__keys_print(const gw__keys *keys, FILE *out)
{
    fprintf(out, "| key | environment | default | value | meaning |\n|---|---|---|---|---|\n");
    gw__keys_each(keys, print_row, out);
}
