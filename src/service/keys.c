/* SPDX-License-Identifier: MIT */
#include "service/keys.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static const gw_key common_keys[] = {
    {"log_level", "info", "debug, info, warn, error or off", true},
    {"log_format", "text", "text or json", true},
    {"shutdown_timeout", "10s", "time to drain after SIGTERM", true},
};

static const gw_key http_keys[] = {
    {"server_port", "", "port of the HTTP server", false},
    {"server_address", "", "address that it listens on, such as 127.0.0.1; without it all", false},
    {"server_name", "", "a name for people, in the log at the start", false},
    {"access_log", "false", "a log line for each request", true},
};

static const gw_key broker_keys[] = {
    {"amqp_server_url", "",
     "the broker: amqp://user:password@host:port/vhost, or bus:DIR for the embedded bus", false},
    {"config_event_bus", "springCloudBus", "exchange of refresh events", false},
    {"queue_type", "classic", "type of the work queues: classic or quorum", false},
    {"outbox_level", "process",
     "what an accepted message survives: memory (a lost connection), process (kill -9), disk "
     "(power "
     "loss)",
     false},
    {"outbox_dir", "", "directory of the outbox, for one process; without it data/NAME/outbox-PORT",
     false},
    {"outbox_max_messages", "", "most that wait for the broker: 10 million, in memory 100,000",
     false},
    {"outbox_max_bytes", "", "the same in bytes: 2 GiB, in memory 64 MiB", false},
};

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static void print_key(const gw_key *key, const char *fallback, FILE *out)
{
    fprintf(out, "| `%s` | `GODWIT_", key->name);
    for (const char *p = key->name; *p != '\0'; p++) {
        fputc(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_', out);
    }
    const char *quote = fallback[0] != '\0' ? "`" : "";
    fprintf(out, "` | %s%s%s | %s%s |\n", quote, fallback, quote, key->help,
            key->live ? "; takes effect at once" : "");
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
        print_keys(http_keys + 1, N_ELEMENTS(http_keys) - 1, out);
    }
    if (spec->use_broker) {
        print_keys(broker_keys, N_ELEMENTS(broker_keys), out);
    }
    print_keys(spec->keys, spec->n_keys, out);
    print_keys(common_keys, N_ELEMENTS(common_keys), out);
}

static const gw_key *find_in(const gw_key *keys, size_t n_keys, const char *name)
{
    for (size_t i = 0; i < n_keys; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

const gw_key *gw__keys_find(const gw_service_spec *spec, const char *name)
{
    const gw_key *found = find_in(common_keys, N_ELEMENTS(common_keys), name);
    if (found == NULL && spec->default_port != 0) {
        found = find_in(http_keys, N_ELEMENTS(http_keys), name);
    }
    if (found == NULL && spec->use_broker) {
        found = find_in(broker_keys, N_ELEMENTS(broker_keys), name);
    }
    return found != NULL ? found : find_in(spec->keys, spec->n_keys, name);
}
