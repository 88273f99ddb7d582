/* SPDX-License-Identifier: MIT */
#include "service/keys.h"

#include <ctype.h>

static const gw_key common_keys[] = {
    {"log_level", "info", "debug, info, warn, error or off; takes effect at once"},
    {"log_format", "text", "text or json; takes effect at once"},
    {"shutdown_timeout", "10s", "time to drain after SIGTERM"},
};

static const gw_key http_keys[] = {
    {"server_port", "", "port of the HTTP server"},
    {"access_log", "false", "a log line for each request; takes effect at once"},
};

static const gw_key broker_keys[] = {
    {"amqp_server_url", "", "the broker: amqp://user:password@host:port/vhost"},
    {"config_event_bus", "springCloudBus", "exchange of refresh events"},
    {"queue_type", "classic", "type of the work queues: classic or quorum"},
};

static void print_key(const gw_key *key, const char *fallback, FILE *out)
{
    fprintf(out, "| `%s` | `GODWIT_", key->name);
    for (const char *p = key->name; *p != '\0'; p++) {
        fputc(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_', out);
    }
    fprintf(out, "` | %s%s%s | %s |\n", fallback[0] != '\0' ? "`" : "", fallback,
            fallback[0] != '\0' ? "`" : "", key->help);
}

static void print_keys(const gw_key *keys, size_t n_keys, FILE *out)
{
    for (size_t i = 0; i < n_keys; i++) {
        print_key(&keys[i], keys[i].fallback, out);
    }
}

void gw__keys_print(const gw_service_spec *spec, FILE *out)
{
    fprintf(out, "| key | environment | default | meaning |\n|---|---|---|---|\n");
    if (spec->default_port != 0) {
        char port[8];
        snprintf(port, sizeof(port), "%u", spec->default_port);
        print_key(&http_keys[0], port, out);
        print_key(&http_keys[1], http_keys[1].fallback, out);
    }
    if (spec->use_broker) {
        print_keys(broker_keys, sizeof(broker_keys) / sizeof(broker_keys[0]), out);
    }
    print_keys(spec->keys, spec->n_keys, out);
    print_keys(common_keys, sizeof(common_keys) / sizeof(common_keys[0]), out);
}
