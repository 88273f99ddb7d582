/* SPDX-License-Identifier: MIT */
/*
 * A peer: Redis streams, through hiredis. bench/messaging/load.h has the command line, and the URL
 * is redis://ADDRESS:PORT; besides its modes
 *
 *   redis_load delete -queue Q
 *
 * A queue is a stream with one group of consumers. Publishers send -batch commands XADD in one
 * pipeline and then read as many replies. The consumer takes up to -prefetch messages with one
 * XREADGROUP, and acknowledges them with one XACK that goes out with the next XREADGROUP, so a
 * message costs no round trip of its own.
 */
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>

#include "load.h"

#define GROUP    "bench"
#define CONSUMER "one"
#define ID_MAX   44 /* of a message: two numbers of 64 bits */
#define TAKE_MAX 1000

static redisContext *connect_to(const char *url)
{
    char host[64];
    int port = 0;
    if (sscanf(url, "redis://%63[^:]:%d", host, &port) != 2) {
        load_fail("GODWIT_BENCH_URL is not redis://ADDRESS:PORT");
    }
    struct timeval within = {.tv_sec = LOAD_IDLE_S};
    redisContext *redis = redisConnectWithTimeout(host, port, within);
    if (redis == NULL || redis->err != 0) {
        load_fail("connect: %s", redis != NULL ? redis->errstr : "no memory");
    }
    redisSetTimeout(redis, (struct timeval){.tv_sec = 2 * LOAD_IDLE_S});
    return redis;
}

/* The next reply, which must not be an error unless it begins with `allowed`. */
static redisReply *take_reply(redisContext *redis, const char *what, const char *allowed)
{
    void *got = NULL;
    if (redisGetReply(redis, &got) != REDIS_OK) {
        load_fail("%s: %s", what, redis->errstr);
    }
    redisReply *reply = got;
    if (reply->type == REDIS_REPLY_ERROR &&
        (allowed == NULL || strncmp(reply->str, allowed, strlen(allowed)) != 0)) {
        load_fail("%s: %s", what, reply->str);
    }
    return reply;
}

static void send_command(redisContext *redis, int argc, const char **argv, const size_t *lens)
{
    if (redisAppendCommandArgv(redis, argc, argv, lens) != REDIS_OK) {
        load_fail("send: %s", redis->errstr);
    }
}

/* ---- publishing -------------------------------------------------------------------------------
 */

static void send_message(redisContext *redis, const char *queue, const char *body)
{
    const char *argv[] = {"XADD", queue, "*", "b", body};
    const size_t lens[] = {4, strlen(queue), 1, 1, LOAD_BODY_LEN};
    send_command(redis, 5, argv, lens);
}

static void publish_range(void *ctx, unsigned thread, uint64_t from, uint64_t to)
{
    const load_options *options = ctx;
    (void)thread;
    redisContext *redis = connect_to(options->url);
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    while (from < to) {
        uint64_t n = to - from < options->batch ? to - from : options->batch;
        for (uint64_t i = 0; i < n; i++) {
            send_message(redis, options->queue, body);
        }
        for (uint64_t i = 0; i < n; i++) {
            freeReplyObject(take_reply(redis, "XADD", NULL));
        }
        from += n;
    }
    redisFree(redis);
}

static void run_publish(load_options *options)
{
    load_stopwatch watch;
    load_start(&watch);
    load_in_threads(options, publish_range, options);
    load_stop(&watch);
    load_report(options, &watch, options->count, "", NULL, NULL);
}

static void run_pace(load_options *options)
{
    redisContext *redis = connect_to(options->url);
    load_samples late = {0};
    load_stopwatch watch;
    load_start(&watch);
    for (uint64_t i = 0; i < options->count; i++) {
        uint64_t due_ns = watch.start_ns + i * 1000000000 / options->rate;
        load_sleep_until(due_ns);
        char body[LOAD_BODY_LEN];
        load_body_write(body, i, i + 1 == options->count ? options->count : 0);
        load_samples_add(&late, load_now_ns() - due_ns);
        send_message(redis, options->queue, body);
        freeReplyObject(take_reply(redis, "XADD", NULL));
    }
    load_stop(&watch);
    load_report(options, &watch, options->count, "late_", &late, NULL);
    redisFree(redis);
}

/* ---- consuming --------------------------------------------------------------------------------
 */

typedef struct consuming {
    redisContext *redis;
    const load_options *options;
    char take_max[12];
    char wait_ms[12];
    char ids[TAKE_MAX][ID_MAX]; /* handled, and to be acknowledged */
    size_t n_ids;
} consuming;

static void start_consuming(consuming *self, const load_options *options)
{
    self->options = options;
    self->redis = connect_to(options->url);
    unsigned take_max = options->prefetch < TAKE_MAX ? options->prefetch : TAKE_MAX;
    snprintf(self->take_max, sizeof(self->take_max), "%u", take_max);
    snprintf(self->wait_ms, sizeof(self->wait_ms), "%d", LOAD_IDLE_S * 1000);
    const char *argv[] = {"XGROUP", "CREATE", options->queue, GROUP, "0", "MKSTREAM"};
    send_command(self->redis, 6, argv, NULL);
    freeReplyObject(take_reply(self->redis, "XGROUP CREATE", "BUSYGROUP"));
}

static void send_take(consuming *self)
{
    const char *argv[] = {"XREADGROUP", "GROUP",
                          GROUP,        CONSUMER,
                          "COUNT",      self->take_max,
                          "BLOCK",      self->wait_ms,
                          "STREAMS",    self->options->queue,
                          ">"};
    send_command(self->redis, 11, argv, NULL);
}

static void send_ack(consuming *self)
{
    const char *argv[3 + TAKE_MAX] = {"XACK", self->options->queue, GROUP};
    for (size_t i = 0; i < self->n_ids; i++) {
        argv[3 + i] = self->ids[i];
    }
    send_command(self->redis, 3 + (int)self->n_ids, argv, NULL);
}

/* Acknowledge what was taken last, and, with `more`, take again; NULL when nothing came for
 * LOAD_IDLE_S. */
static redisReply *ack_and_take(consuming *self, bool more)
{
    bool had_ids = self->n_ids > 0;
    if (had_ids) {
        send_ack(self);
    }
    if (more) {
        send_take(self);
    }
    if (had_ids) {
        freeReplyObject(take_reply(self->redis, "XACK", NULL));
        self->n_ids = 0;
    }
    redisReply *reply = more ? take_reply(self->redis, "XREADGROUP", NULL) : NULL;
    if (reply != NULL && reply->type == REDIS_REPLY_NIL) {
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

/* The messages of a reply to XREADGROUP, which has the one stream: [[name, [[id, [b, body]]...]]].
 */
static const redisReply *messages_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->elements != 2 || reply->element[0]->element[1]->elements > TAKE_MAX) {
        load_fail("XREADGROUP: not the reply that was expected");
    }
    return reply->element[0]->element[1];
}

/* Note the id; returns the body. */
static const redisReply *handle(consuming *self, const redisReply *message)
{
    if (message->elements != 2 || message->element[1]->elements != 2 ||
        message->element[0]->len >= ID_MAX) {
        load_fail("XREADGROUP: not a message of ours");
    }
    memcpy(self->ids[self->n_ids++], message->element[0]->str, message->element[0]->len + 1);
    return message->element[1]->element[1];
}

static void run_consume(load_options *options)
{
    static consuming self;
    start_consuming(&self, options);
    load_ready();
    load_stopwatch watch = {0};
    uint64_t n = 0;
    while (n < options->count) {
        redisReply *reply = ack_and_take(&self, true);
        if (reply == NULL) {
            load_fail("%llu of %llu messages came", (unsigned long long)n,
                      (unsigned long long)options->count);
        }
        if (n == 0) {
            load_start(&watch);
        }
        const redisReply *messages = messages_of(reply);
        for (size_t i = 0; i < messages->elements; i++) {
            handle(&self, messages->element[i]);
        }
        n += messages->elements;
        freeReplyObject(reply);
    }
    ack_and_take(&self, false);
    load_stop(&watch);
    load_report(options, &watch, n, "", NULL, NULL);
    redisFree(self.redis);
}

static void run_listen(load_options *options)
{
    static consuming self;
    start_consuming(&self, options);
    load_ready();
    load_arrivals arrivals = {.skip = options->skip, .total = options->count};
    load_stopwatch watch;
    load_start(&watch);
    bool complete = false;
    redisReply *reply;
    while (!complete && (reply = ack_and_take(&self, true)) != NULL) {
        const redisReply *messages = messages_of(reply);
        for (size_t i = 0; i < messages->elements; i++) {
            const redisReply *body = handle(&self, messages->element[i]);
            complete = load_arrivals_add(&arrivals, body->str, body->len) || complete;
        }
        freeReplyObject(reply);
    }
    ack_and_take(&self, false);
    load_stop(&watch);
    load_report(options, &watch, arrivals.n_unique, "", &arrivals.latency, &arrivals);
    redisFree(self.redis);
}

static void run_idle(load_options *options)
{
    static consuming self;
    start_consuming(&self, options);
    load_ready();
    if (ack_and_take(&self, true) != NULL) {
        load_fail("a message came");
    }
}

/* ---- for the script ---------------------------------------------------------------------------
 */

static void run_delete(load_options *options)
{
    redisContext *redis = connect_to(options->url);
    const char *argv[] = {"DEL", options->queue};
    send_command(redis, 2, argv, NULL);
    freeReplyObject(take_reply(redis, "DEL", NULL));
    printf("{\"mode\":\"delete\"}\n");
    redisFree(redis);
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
            return 0;
        }
    }
    load_fail("redis_load has no mode %s", options.mode);
}
