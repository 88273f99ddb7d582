/* SPDX-License-Identifier: MIT */
/* Many configuration clients in one process, as many services would have them.
 *
 *   config_clients URL COUNT [BUS]    client i is "app<i>" with the profile "dev". They hear of
 *                                     changes by refresh events on the bus, each with a
 *                                     subscription of its own, or without one by long polls
 *
 * Prints "ready" when all have loaded, and "seen VALUE FIRST LAST" when all have a new value of
 * bench.stamp: when the first and the last of them had it, in ns of CLOCK_MONOTONIC. Ends with its
 * standard input. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/config.h>
#include <godwit/log.h>
#include <godwit/messaging.h>

#define KEY         "bench.stamp"
#define CLIENTS_MAX 1000

typedef struct one {
    gw_config *config;
    gw_config_watch *watch;
    gw_buf id; /* on the bus */
} one;

static one clients[CLIENTS_MAX];
static size_t n_clients;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char value[256]; /* the newest; @locks lock, as the next */
static size_t n_seen;
static uint64_t first_ns;

static void fail(const char *what, const gw_error *err)
{
    fprintf(stderr, "config_clients: %s: %s\n", what, err->text);
    exit(1);
}

static void on_change(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                      size_t n_keys)
{
    (void)ctx;
    (void)keys;
    (void)n_keys;
    const char *found = "";
    uint64_t now_ns = gw_clock_ns();
    if (gw_config_get_string(snapshot, KEY, &found, NULL) != GW_OK) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (strcmp(found, value) != 0) {
        snprintf(value, sizeof(value), "%s", found);
        n_seen = 0;
        first_ns = now_ns;
    }
    if (++n_seen == n_clients) {
        printf("seen %s %llu %llu\n", value, (unsigned long long)first_ns,
               (unsigned long long)now_ns);
        fflush(stdout);
    }
    pthread_mutex_unlock(&lock);
}

static gw_verdict on_event(void *ctx, const gw_message *msg, gw_error *why)
{
    one *client = ctx;
    size_t len = 0;
    const void *body = gw_message_body(msg, &len);
    gw_status st =
        gw_config_handle_event(client->config, client->id.data, body, len, NULL, NULL, why);
    return st == GW_OK ? GW_DONE : GW_REJECT;
}

static void load(one *client, size_t number, const char *url, bool with_bus)
{
    char app[32];
    gw_error err = GW_ERROR_INIT;
    snprintf(app, sizeof(app), "app%03zu", number);
    gw_config_options options = GW_CONFIG_OPTIONS_INIT;
    options.url = url;
    options.app = app;
    options.profile = "dev";
    options.watch = with_bus ? GW_CONFIG_WATCH_NEVER : GW_CONFIG_WATCH_ALWAYS;
    gw_buf_init(&client->id, 0);
    gw_config_bus_id(&client->id, app, "dev", (unsigned)(10000 + number));
    if (gw_config_new(&options, &client->config, &err) != GW_OK ||
        gw_config_load(client->config, &err) != GW_OK ||
        gw_config_watch_add(client->config, on_change, client, &client->watch, &err) != GW_OK) {
        fail(app, &err);
    }
}

static gw_client *subscribe_all(const char *url)
{
    gw_client *bus = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = "config_clients";
    options.outbox_level = GW_OUTBOX_MEMORY;
    if (gw_connect(url, &options, &bus, &err) != GW_OK) {
        fail("cannot connect", &err);
    }
    gw_subscribe_options how = GW_SUBSCRIBE_OPTIONS_INIT;
    how.binding_key = "#";
    for (size_t i = 0; i < n_clients; i++) {
        if (gw_subscribe(bus, "springCloudBus", GW_EXCHANGE_TOPIC, &how, on_event, &clients[i],
                         NULL, &err) != GW_OK) {
            fail("cannot subscribe", &err);
        }
    }
    return bus;
}

int main(int argc, char **argv)
{
    n_clients = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (n_clients == 0 || n_clients > CLIENTS_MAX) {
        fprintf(stderr, "config_clients URL COUNT [BUS]\n");
        return 2;
    }
    gw_log_set_level(GW_LOG_WARN);
    for (size_t i = 0; i < n_clients; i++) {
        load(&clients[i], i, argv[1], argc > 3);
    }
    gw_client *bus = argc > 3 ? subscribe_all(argv[3]) : NULL;
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {}
    gw_error err = GW_ERROR_INIT;
    if (gw_close(bus, 5000, &err) != GW_OK) {
        fail("cannot close", &err);
    }
    for (size_t i = 0; i < n_clients; i++) {
        gw_config_free(clients[i].config);
        gw_buf_dispose(&clients[i].id);
    }
    return 0;
}
