/* SPDX-License-Identifier: MIT */
/*
 * Godwit under the same load as its peers; load.h has the command line. Besides
 *
 *   -level memory|process|disk [-dir DIR] [-threads T]      of the outbox; T threads publish
 *   -quorum 1                                               declares quorum queues
 *
 * On a bus, GODWIT_BENCH_URL=bus:DIR, there is no outbox: it keeps that level itself, and -dir is
 * for the client's note of which messages are being handled. And
 *
 *   godwit_load backlog -queue Q -live-queue L -count N -rate R      see godwit_backlog.c
 *
 * A program with several threads publishes as one that serves requests does: each waits for its own
 * message only.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "godwit_client.h"

#define WAIT_UP_MS   20000
#define FLUSH_MS     120000
#define OUTBOX_TIMES 4 /* the outbox takes so many confirm windows before it is full */

/* ---- publishing --------------------------------------------------------------------------------
 */

typedef struct publishing {
    const load_options *options;
    gw_client *client;
    uint64_t start_ns;
    load_samples late; /* of the first thread */
} publishing;

static void publish_range(void *ctx, unsigned thread, uint64_t from, uint64_t to)
{
    publishing *pub = ctx;
    (void)thread;
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    unsigned batch = pub->options->batch;
    while (from < to) {
        uint64_t n = to - from < batch ? to - from : batch;
        if (batch > 1) {
            godwit_publish_batch(pub->client, pub->options->queue, body, (size_t)n);
        } else {
            godwit_publish(pub->client, pub->options->queue, body);
        }
        from += n;
    }
}

/* The threads take turns: message i is due after i / rate seconds, whoever sends it. */
static void pace_share(void *ctx, unsigned thread, uint64_t from, uint64_t to)
{
    publishing *pub = ctx;
    const load_options *options = pub->options;
    (void)from;
    (void)to;
    for (uint64_t i = thread; i < options->count; i += options->threads) {
        uint64_t due_ns = pub->start_ns + i * 1000000000 / options->rate;
        load_sleep_until(due_ns);
        char body[LOAD_BODY_LEN];
        load_body_write(body, i, i + 1 == options->count ? options->count : 0);
        if (thread == 0) {
            load_samples_add(&pub->late, load_now_ns() - due_ns);
        }
        godwit_publish(pub->client, options->queue, body);
    }
}

static void run_publishing(const load_options *options, load_work work)
{
    publishing pub = {.options = options,
                      .client = godwit_connect(options, OUTBOX_TIMES * options->window)};
    godwit_wait_up(pub.client, WAIT_UP_MS);
    load_stopwatch watch;
    load_start(&watch);
    pub.start_ns = watch.start_ns;
    load_in_threads(options, work, &pub);
    godwit_flush(pub.client, FLUSH_MS);
    load_stop(&watch);
    load_report(options, &watch, options->count, "late_", pub.late.n > 0 ? &pub.late : NULL, NULL);
    godwit_close(pub.client);
}

static void run_publish(const load_options *options)
{
    run_publishing(options, publish_range);
}

static void run_pace(const load_options *options)
{
    run_publishing(options, pace_share);
}

/* ---- consuming ----------------------------------------------------------------------------------
 */

typedef struct consuming {
    const load_options *options;
    _Atomic uint64_t n_handled;
    load_stopwatch watch;
    load_arrivals arrivals;
    sem_t complete;
} consuming;

/* @thread the one worker */
static gw_verdict count_message(void *ctx, const gw_message *msg, gw_error *why)
{
    consuming *self = ctx;
    (void)msg;
    (void)why;
    uint64_t n = atomic_load_explicit(&self->n_handled, memory_order_relaxed) + 1;
    atomic_store_explicit(&self->n_handled, n, memory_order_relaxed);
    if (n == 1) {
        load_start(&self->watch);
    }
    if (n == self->options->count) {
        load_stop(&self->watch);
        sem_post(&self->complete);
    }
    return GW_DONE;
}

/* @thread the one worker */
static gw_verdict time_message(void *ctx, const gw_message *msg, gw_error *why)
{
    consuming *self = ctx;
    (void)why;
    size_t len;
    const void *body = gw_message_body(msg, &len);
    if (load_arrivals_add(&self->arrivals, body, len)) {
        load_stop(&self->watch);
        sem_post(&self->complete);
    }
    atomic_fetch_add_explicit(&self->n_handled, 1, memory_order_relaxed);
    return GW_DONE;
}

/* False when nothing came for LOAD_IDLE_S. */
static bool wait_complete(consuming *self)
{
    uint64_t n_before = UINT64_MAX;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOAD_IDLE_S;
        if (sem_clockwait(&self->complete, CLOCK_MONOTONIC, &until) == 0) {
            return true;
        }
        uint64_t n_now = atomic_load(&self->n_handled);
        if (n_now == n_before) {
            return false;
        }
        n_before = n_now;
    }
}

static gw_subscription *subscribe(gw_client *client, consuming *self, gw_handler handler)
{
    gw_subscribe_options with = GW_SUBSCRIBE_OPTIONS_INIT;
    with.prefetch = (uint16_t)self->options->prefetch;
    gw_subscription *sub = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe_to_queue(client, self->options->queue, &with, handler, self, &sub, &err) !=
        GW_OK) {
        load_fail("subscribe: %s", err.text);
    }
    godwit_wait_up(client, WAIT_UP_MS);
    return sub;
}

static void run_consume(const load_options *options)
{
    static consuming self;
    self.options = options;
    sem_init(&self.complete, 0, 0);
    gw_client *client = godwit_connect(options, OUTBOX_TIMES * options->window);
    gw_subscription *sub = subscribe(client, &self, count_message);
    load_ready();
    if (!wait_complete(&self)) {
        load_fail("%llu of %llu messages came", (unsigned long long)self.n_handled,
                  (unsigned long long)options->count);
    }
    gw_unsubscribe(sub); /* the last ones are acknowledged */
    load_stop_cpu(&self.watch);
    load_report(options, &self.watch, options->count, "", NULL, NULL);
    godwit_close(client);
}

static void run_listen(const load_options *options)
{
    static consuming self;
    self.options = options;
    self.arrivals.skip = options->skip;
    self.arrivals.total = options->count;
    sem_init(&self.complete, 0, 0);
    gw_client *client = godwit_connect(options, OUTBOX_TIMES * options->window);
    gw_subscription *sub = subscribe(client, &self, time_message);
    load_ready();
    load_start(&self.watch);
    bool is_complete = wait_complete(&self);
    gw_unsubscribe(sub);
    if (!is_complete) {
        load_stop(&self.watch);
    }
    load_stop_cpu(&self.watch);
    load_report(options, &self.watch, self.arrivals.n_unique, "", &self.arrivals.latency,
                &self.arrivals);
    godwit_close(client);
}

static void run_idle(const load_options *options)
{
    static consuming self;
    self.options = options;
    gw_client *client = godwit_connect(options, OUTBOX_TIMES * options->window);
    subscribe(client, &self, time_message);
    load_ready();
    pause();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *mode;
        void (*run)(const load_options *options);
    } modes[] = {{"publish", run_publish}, {"consume", run_consume}, {"pace", run_pace},
                 {"listen", run_listen},   {"idle", run_idle},       {"backlog", run_backlog}};
    load_options options;
    load_parse(argc, argv, &options);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(options.mode, modes[i].mode) == 0) {
            modes[i].run(&options);
            return 0;
        }
    }
    load_fail("godwit_load has no mode %s", options.mode);
}
