/* SPDX-License-Identifier: MIT */
/*
 * Messages pile up while the broker is away, and are drained when it is back while live traffic to
 * another queue goes on. Says what it took in two lines: when all are accepted, and when all are
 * confirmed. Whether live messages arrive in time is seen by `listen` in another process.
 */
#include <stdatomic.h>
#include <stdio.h>

#include <godwit/metrics.h>

#include "godwit_client.h"

#define UP_MS       180000
#define DRAIN_MAX_S 300
#define FLUSH_MS    60000
#define ROOM        200000 /* of the outbox, for live messages beside the backlog */
#define LIVE_MIN_S  3      /* live traffic lasts at least so long */

typedef struct backlog {
    const load_options *options;
    gw_client *client;
    _Atomic uint64_t n_accepted;
    uint64_t rss_tenth_kib; /* when a tenth was accepted */
    uint64_t anon_tenth_kib;
} backlog;

static void accept_range(void *ctx, unsigned thread, uint64_t from, uint64_t to)
{
    backlog *self = ctx;
    (void)thread;
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    for (uint64_t i = from; i < to; i++) {
        godwit_publish(self->client, self->options->queue, body);
        if (atomic_fetch_add_explicit(&self->n_accepted, 1, memory_order_relaxed) + 1 ==
            self->options->count / 10) {
            self->rss_tenth_kib = load_resident_kib(&self->anon_tenth_kib);
        }
    }
}

static void accept_all(backlog *self)
{
    uint64_t anon_before_kib, anon_kib;
    uint64_t rss_before_kib = load_resident_kib(&anon_before_kib);
    load_stopwatch watch;
    load_start(&watch);
    load_in_threads(self->options, accept_range, self);
    load_stop(&watch);
    uint64_t rss_kib = load_resident_kib(&anon_kib);
    if (gw_client_get_state(self->client, NULL, 0) == GW_CLIENT_UP) {
        load_fail("the broker was not away");
    }
    double seconds = (double)(watch.end_ns - watch.start_ns) / 1e9;
    printf("{\"mode\":\"accepted\",\"messages\":%llu,\"seconds\":%.6f,\"rate\":%.1f,"
           "\"cpu_us\":%.4f,\"rss_before_kib\":%llu,\"anon_before_kib\":%llu,"
           "\"rss_tenth_kib\":%llu,\"anon_tenth_kib\":%llu,\"rss_kib\":%llu,\"anon_kib\":%llu}\n",
           (unsigned long long)self->options->count, seconds,
           (double)self->options->count / seconds,
           (double)watch.cpu_ns / 1000 / (double)self->options->count,
           (unsigned long long)rss_before_kib, (unsigned long long)anon_before_kib,
           (unsigned long long)self->rss_tenth_kib, (unsigned long long)self->anon_tenth_kib,
           (unsigned long long)rss_kib, (unsigned long long)anon_kib);
    fflush(stdout);
}

/* Publish live until the outbox holds no more than what is on its way; returns how many. */
static uint64_t live_until_drained(const load_options *options, gw_client *client,
                                   load_stopwatch *watch)
{
    const gw_gauge *depth = gw_metrics_gauge(
        "godwit_outbox_messages", "Messages accepted and not yet confirmed by the broker.", NULL);
    uint64_t n = 0;
    bool is_drained = false;
    while (!is_drained || n < LIVE_MIN_S * (uint64_t)options->rate) {
        load_sleep_until(watch->start_ns + n * 1000000000 / options->rate);
        char body[LOAD_BODY_LEN];
        load_body_write(body, n, 0);
        godwit_publish(client, options->live_queue, body);
        n++;
        if (!is_drained && gw_gauge_get(depth) <= (int64_t)options->window) {
            is_drained = true;
            load_stop(watch);
        }
        if (n > DRAIN_MAX_S * (uint64_t)options->rate) {
            load_fail("%lld messages are left after %d s", (long long)gw_gauge_get(depth),
                      DRAIN_MAX_S);
        }
    }
    char body[LOAD_BODY_LEN];
    load_body_write(body, n, n + 1); /* the last: says how many there were */
    godwit_publish(client, options->live_queue, body);
    return n + 1;
}

void run_backlog(const load_options *options)
{
    static backlog self;
    self.options = options;
    self.client = godwit_connect(options, (size_t)options->count + ROOM);
    accept_all(&self);
    godwit_wait_up(self.client, UP_MS);
    load_stopwatch watch;
    load_start(&watch);
    uint64_t n_live = live_until_drained(options, self.client, &watch);
    godwit_flush(self.client, FLUSH_MS);
    uint64_t anon_kib;
    uint64_t rss_kib = load_resident_kib(&anon_kib);
    double seconds = (double)(watch.end_ns - watch.start_ns) / 1e9;
    printf("{\"mode\":\"drained\",\"messages\":%llu,\"live\":%llu,\"seconds\":%.6f,\"rate\":%.1f,"
           "\"cpu_us\":%.4f,\"rss_kib\":%llu,\"anon_kib\":%llu}\n",
           (unsigned long long)options->count, (unsigned long long)n_live, seconds,
           (double)options->count / seconds, (double)watch.cpu_ns / 1000 / (double)options->count,
           (unsigned long long)rss_kib, (unsigned long long)anon_kib);
    fflush(stdout);
    godwit_close(self.client);
}
