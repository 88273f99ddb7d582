/* SPDX-License-Identifier: MIT */
/*
 * Many Godwit clients in one process, each with connections of its own, as many services would have
 * them. The command line is that of bench/messaging/load.h; the modes are
 *
 *   many_clients connect -clients N -queue Q      each as a service is connected: it consumes from
 *               Q and from the exchange of refresh events, and can publish. Says what the process
 *               takes for it, and stays until its standard input ends
 *   many_clients share   -clients N -queue Q -count M [-prefetch P] [-work-us W]
 *               they share M messages, and each handler takes W us: how evenly, and how fast.
 *               Says "ready" on standard error when all consume; prefetch 0 is tuned by Godwit
 */
#include <dirent.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../messaging/godwit_client.h"

#define WAIT_UP_MS   60000
#define WAIT_END_S   120
#define OUTBOX_MAX   4000
#define BUS_EXCHANGE "springCloudBus"

typedef struct sharing {
    const load_options *options;
    _Atomic uint64_t n_all;
    load_stopwatch watch;
    sem_t complete;
} sharing;

typedef struct one {
    gw_client *client;
    sharing *together;
    uint64_t n_handled; /* @thread its worker */
} one;

static one *new_clients(const load_options *options, sharing *together)
{
    one *all = calloc(options->clients, sizeof(*all));
    if (all == NULL) {
        load_fail("no memory for %u clients", options->clients);
    }
    for (unsigned i = 0; i < options->clients; i++) {
        all[i].client = godwit_connect(options, OUTBOX_MAX);
        all[i].together = together;
    }
    return all;
}

static void subscribe_to_queue(one *client, const load_options *options, gw_handler handler)
{
    gw_subscribe_options how = GW_SUBSCRIBE_OPTIONS_INIT;
    gw_error err = GW_ERROR_INIT;
    how.prefetch = (uint16_t)options->prefetch;
    if (gw_subscribe_to_queue(client->client, options->queue, &how, handler, client, NULL, &err) !=
        GW_OK) {
        load_fail("subscribe: %s", err.text);
    }
}

/* ---- connect ----------------------------------------------------------------------------------
 */

static gw_verdict ignore(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    (void)msg;
    (void)why;
    return GW_DONE;
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        load_fail("cannot read %s", path);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

static void run_connect(const load_options *options)
{
    uint64_t before_kib;
    uint64_t after_kib;
    load_resident_kib(&before_kib);
    one *all = new_clients(options, NULL);
    gw_subscribe_options how = GW_SUBSCRIBE_OPTIONS_INIT;
    how.binding_key = "#";
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    for (unsigned i = 0; i < options->clients; i++) {
        gw_error err = GW_ERROR_INIT;
        subscribe_to_queue(&all[i], options, ignore);
        if (gw_subscribe(all[i].client, BUS_EXCHANGE, GW_EXCHANGE_TOPIC, &how, ignore, NULL, NULL,
                         &err) != GW_OK) {
            load_fail("subscribe: %s", err.text);
        }
        godwit_publish(all[i].client, options->queue, body);
    }
    for (unsigned i = 0; i < options->clients; i++) {
        godwit_wait_up(all[i].client, WAIT_UP_MS);
        godwit_flush(all[i].client, WAIT_UP_MS);
    }
    load_resident_kib(&after_kib);
    printf("{\"mode\":\"connect\",\"clients\":%u,\"kib\":%llu,\"threads\":%u,\"fds\":%u}\n",
           options->clients, (unsigned long long)(after_kib - before_kib),
           count_entries("/proc/self/task"), count_entries("/proc/self/fd"));
    fflush(stdout);
    while (getchar() != EOF) {}
    for (unsigned i = 0; i < options->clients; i++) {
        godwit_close(all[i].client);
    }
    free(all);
}

/* ---- share ------------------------------------------------------------------------------------
 */

/* @thread the client's worker */
static gw_verdict work(void *ctx, const gw_message *msg, gw_error *why)
{
    one *self = ctx;
    sharing *all = self->together;
    (void)msg;
    (void)why;
    uint64_t n = atomic_fetch_add_explicit(&all->n_all, 1, memory_order_relaxed) + 1;
    if (n == 1) {
        load_start(&all->watch);
    }
    if (all->options->work_us > 0) {
        load_sleep_until(load_now_ns() + all->options->work_us * (uint64_t)1000);
    }
    self->n_handled++;
    if (n == all->options->count) {
        load_stop(&all->watch);
        sem_post(&all->complete);
    }
    return GW_DONE;
}

static void report_share(const sharing *all, const one *clients)
{
    const load_options *options = all->options;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (unsigned i = 0; i < options->clients; i++) {
        least = clients[i].n_handled < least ? clients[i].n_handled : least;
        most = clients[i].n_handled > most ? clients[i].n_handled : most;
    }
    double seconds = (double)(all->watch.end_ns - all->watch.start_ns) / 1e9;
    printf("{\"mode\":\"share\",\"clients\":%u,\"rate\":%.0f,\"least\":%llu,\"most\":%llu}\n",
           options->clients, (double)options->count / seconds, (unsigned long long)least,
           (unsigned long long)most);
}

static void run_share(const load_options *options)
{
    static sharing all;
    all.options = options;
    sem_init(&all.complete, 0, 0);
    one *clients = new_clients(options, &all);
    for (unsigned i = 0; i < options->clients; i++) {
        subscribe_to_queue(&clients[i], options, work);
    }
    for (unsigned i = 0; i < options->clients; i++) {
        godwit_wait_up(clients[i].client, WAIT_UP_MS);
    }
    load_ready();
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_END_S;
    if (sem_clockwait(&all.complete, CLOCK_MONOTONIC, &until) != 0) {
        load_fail("%llu of %llu messages came", (unsigned long long)all.n_all,
                  (unsigned long long)options->count);
    }
    for (unsigned i = 0; i < options->clients; i++) {
        godwit_close(clients[i].client); /* the handlers are done then */
    }
    report_share(&all, clients);
    free(clients);
}

int main(int argc, char **argv)
{
    load_options options;
    load_parse(argc, argv, &options);
    if (strcmp(options.mode, "connect") == 0) {
        run_connect(&options);
    } else if (strcmp(options.mode, "share") == 0) {
        run_share(&options);
    } else {
        load_fail("many_clients has no mode %s", options.mode);
    }
    return 0;
}
