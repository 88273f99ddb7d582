/* SPDX-License-Identifier: MIT */
/*
 * A peer: NATS JetStream with streams on file, through its own C client. bench/messaging/load.h has
 * the command line; besides its modes
 *
 *   nats_load delete -queue Q
 *
 * A queue is a stream of that name with one subject. With -batch 1 each message waits for its
 * acknowledgement; above that they are published asynchronously with -window of them on their way,
 * which is faster than waiting for each batch. The consumer is a durable push consumer of the
 * policy "all", which acknowledges up to 64 messages with one. The stream keeps what was consumed,
 * which is faster than a work queue; the consumer is deleted with its subscription, so the next one
 * begins with the first message.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nats/nats.h>

#include "load.h"

#define DURABLE       "bench"
#define STALL_MS      20000
#define ACK_WAIT_NS   ((int64_t)600 * 1000000000) /* nothing is redelivered while we measure */
#define PENDING_BYTES (64 << 20)

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        load_fail("%s: %s: %s", what, natsStatus_GetText(status), nats_GetLastError(NULL));
    }
}

/* ---- connection -------------------------------------------------------------------------------
 */

typedef struct nats_link {
    natsConnection *conn;
    jsCtx *js;
} nats_link;

static void publish_failed(jsCtx *js, jsPubAckErr *failure, void *ctx)
{
    (void)js;
    (void)ctx;
    load_fail("publish: %s", failure->ErrText != NULL ? failure->ErrText : "not acknowledged");
}

/* `at_once`: each message leaves when it is published, instead of with others a moment later. */
static nats_link link_open(const load_options *options, bool at_once)
{
    nats_link it = {NULL, NULL};
    natsOptions *with = NULL;
    check(natsOptions_Create(&with), "options");
    check(natsOptions_SetURL(with, options->url), "the URL");
    check(natsOptions_SetSendAsap(with, at_once), "options");
    check(natsConnection_Connect(&it.conn, with), "connect");
    natsOptions_Destroy(with);
    jsOptions js_with;
    jsOptions_Init(&js_with);
    js_with.PublishAsync.MaxPending = options->window;
    js_with.PublishAsync.StallWait = STALL_MS;
    js_with.PublishAsync.ErrHandler = publish_failed;
    check(natsConnection_JetStream(&it.js, it.conn, &js_with), "JetStream");
    return it;
}

static void link_close(nats_link *it)
{
    jsCtx_Destroy(it->js);
    natsConnection_Destroy(it->conn);
}

static void declare(nats_link *it, const load_options *options)
{
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subjects[] = {options->queue};
    config.Name = options->queue;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    check(js_AddStream(NULL, it->js, &config, NULL, NULL), "declare the stream");
}

/* ---- publishing -------------------------------------------------------------------------------
 */

static void publish_async(nats_link *it, const load_options *options, const char *body)
{
    check(js_PublishAsync(it->js, options->queue, body, LOAD_BODY_LEN, NULL), "publish");
}

static void wait_acknowledged(nats_link *it)
{
    jsPubOptions with;
    jsPubOptions_Init(&with);
    with.MaxWait = STALL_MS;
    check(js_PublishAsyncComplete(it->js, &with), "wait for acknowledgements");
}

static void publish_range(void *ctx, unsigned thread, uint64_t from, uint64_t to)
{
    const load_options *options = ctx;
    (void)thread;
    nats_link it = link_open(options, false);
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    for (uint64_t i = from; i < to; i++) {
        if (options->batch > 1) {
            publish_async(&it, options, body);
        } else {
            check(js_Publish(NULL, it.js, options->queue, body, LOAD_BODY_LEN, NULL, NULL),
                  "publish");
        }
    }
    wait_acknowledged(&it);
    link_close(&it);
}

static void run_publish(load_options *options)
{
    nats_link it = link_open(options, false);
    declare(&it, options);
    link_close(&it);
    load_stopwatch watch;
    load_start(&watch);
    load_in_threads(options, publish_range, options);
    load_stop(&watch);
    load_report(options, &watch, options->count, "", NULL, NULL);
}

static void run_pace(load_options *options)
{
    nats_link it = link_open(options, true);
    declare(&it, options);
    load_samples late = {0};
    load_stopwatch watch;
    load_start(&watch);
    for (uint64_t i = 0; i < options->count; i++) {
        uint64_t due_ns = watch.start_ns + i * 1000000000 / options->rate;
        load_sleep_until(due_ns);
        char body[LOAD_BODY_LEN];
        load_body_write(body, i, i + 1 == options->count ? options->count : 0);
        load_samples_add(&late, load_now_ns() - due_ns);
        publish_async(&it, options, body);
    }
    wait_acknowledged(&it);
    load_stop(&watch);
    load_report(options, &watch, options->count, "late_", &late, NULL);
    link_close(&it);
}

/* ---- consuming --------------------------------------------------------------------------------
 */

typedef struct consuming {
    const load_options *options;
    nats_link it;
    natsSubscription *sub;
    bool is_timed;
    _Atomic uint64_t n_handled;
    unsigned n_unacked;
    load_stopwatch watch;
    load_arrivals arrivals;
    sem_t complete;
} consuming;

/* Whether more messages wait for the handler at this moment. */
static bool more_wait(natsSubscription *sub)
{
    uint64_t n = 0;
    return natsSubscription_QueuedMsgs(sub, &n) == NATS_OK && n > 0;
}

/* @thread the one that calls the handlers */
static void on_message(natsConnection *conn, natsSubscription *sub, natsMsg *msg, void *ctx)
{
    consuming *self = ctx;
    (void)conn;
    uint64_t n = atomic_load_explicit(&self->n_handled, memory_order_relaxed) + 1;
    bool is_last = n == self->options->count;
    if (self->is_timed) {
        is_last = load_arrivals_add(&self->arrivals, natsMsg_GetData(msg),
                                    (size_t)natsMsg_GetDataLength(msg));
    } else if (n == 1) {
        load_start(&self->watch);
    }
    atomic_store_explicit(&self->n_handled, n, memory_order_relaxed);
    if (++self->n_unacked == LOAD_ACK_EVERY || is_last || (self->is_timed && !more_wait(sub))) {
        check(natsMsg_Ack(msg, NULL), "acknowledge");
        self->n_unacked = 0;
    }
    natsMsg_Destroy(msg);
    if (is_last) {
        sem_post(&self->complete);
    }
}

static void subscribe(consuming *self, load_options *options, bool is_timed)
{
    self->options = options;
    self->is_timed = is_timed;
    self->arrivals.skip = options->skip;
    self->arrivals.total = is_timed ? options->count : 0;
    sem_init(&self->complete, 0, 0);
    self->it = link_open(options, is_timed);
    declare(&self->it, options);
    jsSubOptions with;
    jsSubOptions_Init(&with);
    with.ManualAck = true;
    with.Stream = options->queue;
    with.Config.Durable = DURABLE;
    with.Config.AckPolicy = js_AckAll;
    with.Config.AckWait = ACK_WAIT_NS;
    with.Config.MaxAckPending = options->prefetch;
    check(
        js_Subscribe(&self->sub, self->it.js, options->queue, on_message, self, NULL, &with, NULL),
        "subscribe");
    check(natsSubscription_SetPendingLimits(self->sub, 2 * (int)options->prefetch, PENDING_BYTES),
          "set the limits");
    check(natsConnection_Flush(self->it.conn), "flush");
    load_ready();
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
            check(natsConnection_Flush(self->it.conn), "flush the acknowledgements");
            return true;
        }
        uint64_t n_now = atomic_load(&self->n_handled);
        if (n_now == n_before) {
            return false;
        }
        n_before = n_now;
    }
}

static void unsubscribe(consuming *self)
{
    natsSubscription_Destroy(self->sub);
    link_close(&self->it);
}

static void run_consume(load_options *options)
{
    static consuming self;
    subscribe(&self, options, false);
    if (!wait_complete(&self)) {
        load_fail("%llu of %llu messages came", (unsigned long long)self.n_handled,
                  (unsigned long long)options->count);
    }
    load_stop(&self.watch);
    load_report(options, &self.watch, options->count, "", NULL, NULL);
    unsubscribe(&self);
}

static void run_listen(load_options *options)
{
    static consuming self;
    load_start(&self.watch);
    subscribe(&self, options, true);
    wait_complete(&self);
    load_stop(&self.watch);
    load_report(options, &self.watch, self.arrivals.n_unique, "", &self.arrivals.latency,
                &self.arrivals);
    unsubscribe(&self);
}

static void run_idle(load_options *options)
{
    static consuming self;
    subscribe(&self, options, true);
    pause();
}

/* ---- for the script ---------------------------------------------------------------------------
 */

static void run_delete(load_options *options)
{
    nats_link it = link_open(options, false);
    natsStatus status = js_DeleteStream(it.js, options->queue, NULL, NULL);
    if (status != NATS_NOT_FOUND) {
        check(status, "delete the stream");
    }
    printf("{\"mode\":\"delete\"}\n");
    link_close(&it);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *mode;
        void (*run)(load_options *options);
    } modes[] = {{"publish", run_publish}, {"consume", run_consume}, {"pace", run_pace},
                 {"listen", run_listen},   {"idle", run_idle},       {"delete", run_delete}};
    load_options options;
    load_parse(argc, argv, &options);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(options.mode, modes[i].mode) == 0) {
            modes[i].run(&options);
            nats_Close();
            return 0;
        }
    }
    load_fail("nats_load has no mode %s", options.mode);
}
