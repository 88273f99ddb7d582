/* SPDX-License-Identifier: MIT */
/*
 * The client: what a service holds. Joins the outbox, the transport and the subscriptions, and
 * knows the state of the whole. Lock order: client->lock, then a subscription's. The transport is
 * called with neither.
 */
#include "messaging/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/id.h>
#include <godwit/log.h>

#include "base/cond.h"
#include "messaging/drain.h"
#include "messaging/headers_match.h"
#include "messaging/prefetch.h"
#include "messaging/publish.h"
#include "messaging/state_metrics.h"
#include "messaging/subscription.h"
#include "messaging/targets.h"

#define UNSUBSCRIBE_TIMEOUT_MS 5000
#define LOOK_AGAIN_MS          200  /* while the outbox is emptied: is the broker still there? */
#define GOODBYE_MS             1000 /* of a closing deadline, kept for the transport's goodbye */
#define NAME_MAX_LEN           100

/* Limits of the outbox, unless they are set. */
#define MEMORY_MAX_MESSAGES 100000
#define MEMORY_MAX_BYTES    ((size_t)64 << 20)
#define DISK_MAX_MESSAGES   10000000
#define DISK_MAX_BYTES      ((size_t)2 << 30)

struct gw_client {
    gw_client_options options;
    char name[NAME_MAX_LEN + 1];
    char *outbox_dir; /* what options.outbox_dir points to */
    gw__transport *transport;
    gw__relay *relay; /* NULL with a local transport */
    gw__targets *targets;
    gw__guard *guard; /* NULL for an outbox in memory */
    gw__publisher publisher;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    gw_subscription *subscriptions;
    gw_client_state transport_state;
    char transport_reason[GW_ERROR_TEXT_MAX];
    gw_client_state state; /* of the whole, as last told */
    char reason[GW_ERROR_TEXT_MAX];
    bool notifying; /* a thread is in on_state: it looks again when it is back */
    bool renotify;
    unsigned n_waiting; /* threads in gw_wait_up() */
    atomic_bool ending; /* gw_close() began: no new subscriptions; set under the lock */
    bool closing;       /* and later: handlers have finished, no new messages */

    gw__state_metrics metrics;
};

const char *gw_client_state_name(gw_client_state state)
{
    static const char *const names[] = {"connecting", "up", "blocked", "degraded", "closed"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *gw_outbox_level_name(gw_outbox_level level)
{
    static const char *const names[] = {"memory", "process", "disk"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

const char *gw_exchange_type_name(gw_exchange_type type)
{
    static const char *const names[] = {"direct", "fanout", "topic", "headers"};
    return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

const char *gw__client_name(const gw_client *client)
{
    return client->name;
}

gw__guard *gw__client_guard(const gw_client *client)
{
    return client->guard;
}

/* ---- state ------------------------------------------------------------------------ */

/* The state of the whole from its parts. @locks client->lock held */
static gw_client_state work_out_state_locked(gw_client *client, char *ret_reason, size_t size)
{
    snprintf(ret_reason, size, "%s", client->transport_reason);
    if (client->transport_state != GW_CLIENT_UP) {
        return client->transport_state;
    }
    gw_client_state state = GW_CLIENT_UP;
    ret_reason[0] = '\0';
    for (gw_subscription *it = client->subscriptions; it != NULL; it = it->next) {
        char why[GW_ERROR_TEXT_MAX];
        if (gw__subscription_is_consuming(it, why, sizeof(why))) {
            continue;
        }
        if (why[0] != '\0') {
            snprintf(ret_reason, size, "%s", why);
            return GW_CLIENT_DEGRADED;
        }
        state = GW_CLIENT_CONNECTING;
        snprintf(ret_reason, size, "subscribing");
    }
    return state;
}

/* Tell the owner until there is nothing new to tell. One thread at a time does it. */
void gw__client_update_state(gw_client *client)
{
    pthread_mutex_lock(&client->lock);
    client->renotify = true;
    if (client->notifying) {
        pthread_mutex_unlock(&client->lock);
        return;
    }
    client->notifying = true;
    while (client->renotify) {
        client->renotify = false;
        char reason[GW_ERROR_TEXT_MAX];
        gw_client_state state = work_out_state_locked(client, reason, sizeof(reason));
        if (state == client->state && strcmp(reason, client->reason) == 0) {
            continue;
        }
        client->state = state;
        memcpy(client->reason, reason, sizeof(reason));
        pthread_cond_broadcast(&client->changed);
        gw__state_metrics_set(&client->metrics, state);
        if (client->options.on_state != NULL) {
            pthread_mutex_unlock(&client->lock);
            client->options.on_state(client->options.ctx, state, reason);
            pthread_mutex_lock(&client->lock);
        }
    }
    client->notifying = false;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* @thread the transport's */
static void on_transport_state(void *ctx, gw_client_state state, const gw_error *why)
{
    gw_client *client = ctx;
    pthread_mutex_lock(&client->lock);
    client->transport_state = state;
    snprintf(client->transport_reason, sizeof(client->transport_reason), "%s",
             why != NULL ? why->text : "");
    pthread_mutex_unlock(&client->lock);
    gw__client_update_state(client);
}

gw_client_state gw_client_get_state(gw_client *client, char *ret_reason, size_t size)
{
    pthread_mutex_lock(&client->lock);
    gw_client_state state = client->state;
    if (ret_reason != NULL) {
        snprintf(ret_reason, size, "%s", client->reason);
    }
    pthread_mutex_unlock(&client->lock);
    return state;
}

gw_status gw_wait_up(gw_client *client, unsigned timeout_ms, gw_error *err)
{
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    gw_status st = GW_OK;
    bool in_time = true;
    pthread_mutex_lock(&client->lock);
    client->n_waiting++;
    /* While renotify is set the state is out of date: a subscription that was just made is not in
     * it. */
    while ((client->state != GW_CLIENT_UP || client->renotify) && !client->closing && in_time) {
        in_time = gw__cond_wait_until(&client->changed, &client->lock, deadline_ms);
    }
    if (client->closing) {
        st = gw_error_set(err, GW_E_CLOSED, 0, "the client is closed");
    } else if (client->state != GW_CLIENT_UP) {
        st = gw_error_set(err, GW_E_TIMEOUT, 0, "not connected within %u ms (%s): %s", timeout_ms,
                          gw_client_state_name(client->state), client->reason);
    }
    client->n_waiting--;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    return st;
}

/* ---- connect ------------------------------------------------------------------------ */

static void wake_transport(void *ctx)
{
    gw_client *client = ctx;
    client->transport->type->wake(client->transport);
}

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    gw_client *client = ctx;
    if (client->options.on_failed != NULL) {
        client->options.on_failed(client->options.ctx, msg, why);
    }
}

static void free_client(gw_client *client)
{
    gw__relay_free(client->relay);
    gw__targets_free(client->targets);
    gw__guard_close(client->guard);
    gw__state_metrics_dispose(&client->metrics);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client->outbox_dir);
    free(client);
}

static gw__relay_options outbox_options(gw_client *client)
{
    const gw_client_options *options = &client->options;
    bool on_disk = options->outbox_level != GW_OUTBOX_MEMORY;
    size_t max_messages = on_disk ? DISK_MAX_MESSAGES : MEMORY_MAX_MESSAGES;
    size_t max_bytes = on_disk ? DISK_MAX_BYTES : MEMORY_MAX_BYTES;
    return (gw__relay_options){
        .level = options->outbox_level,
        .dir = options->outbox_dir,
        .max_messages =
            options->outbox_max_messages != 0 ? options->outbox_max_messages : max_messages,
        .max_bytes = options->outbox_max_bytes != 0 ? options->outbox_max_bytes : max_bytes,
        .targets = client->targets,
        .on_failed = on_failed,
        .wake = wake_transport,
        .ctx = client};
}

static gw_status open_relay(gw_client *client, gw_error *err)
{
    gw__relay_options options = outbox_options(client);
    gw_status st = gw__relay_open(&options, &client->relay, err);
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "outbox");
}

static gw_status new_client(const gw_client_options *options, const gw__transport_type *type,
                            gw_client **ret_client, gw_error *err)
{
    gw_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a client");
    }
    client->options = *options;
    const char *name = options->name != NULL ? options->name : program_invocation_short_name;
    snprintf(client->name, sizeof(client->name), "%s", name);
    client->options.name = client->name;
    pthread_mutex_init(&client->lock, NULL);
    gw__cond_init(&client->changed);
    client->transport_state = client->state = GW_CLIENT_CONNECTING;
    snprintf(client->reason, sizeof(client->reason), "connecting");
    memcpy(client->transport_reason, client->reason, sizeof(client->reason));
    gw__state_metrics_init(&client->metrics);
    client->targets = gw__targets_new(options->queue_type);
    client->outbox_dir = strdup(options->outbox_dir != NULL ? options->outbox_dir : "");
    client->options.outbox_dir = client->outbox_dir;
    gw_status st = client->targets != NULL && client->outbox_dir != NULL
                       ? GW_OK
                       : gw_error_set(err, GW_E_NOMEM, 0, "no memory for a client");
    bool remote = type->publish == NULL;
    if (st == GW_OK && remote) {
        st = open_relay(client, err);
    }
    bool on_disk = (remote || type->durable) && options->outbox_level != GW_OUTBOX_MEMORY;
    if (st == GW_OK && on_disk && !remote) { /* for the guard; the relay has made its own */
        st = gw__journal_make_dir(client->outbox_dir, err);
        st = st == GW_OK ? GW_OK : gw_error_prefix(err, st, "outbox");
    }
    if (st == GW_OK && on_disk) {
        st = gw__guard_open(client->outbox_dir, &client->guard, err);
    }
    if (st != GW_OK) {
        free_client(client);
        return st;
    }
    *ret_client = client;
    return GW_OK;
}

/* The state callback may still run on another thread, and others may wait for the state. */
static void wait_for_others(gw_client *client)
{
    pthread_mutex_lock(&client->lock);
    while (client->notifying || client->n_waiting > 0) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
}

/* A service that ran with a remote transport before left what waited for it. */
static gw_status take_over_outbox(gw_client *client, gw_error *err)
{
    if (!client->transport->type->durable || client->options.outbox_level == GW_OUTBOX_MEMORY) {
        return GW_OK;
    }
    gw__relay_options options = outbox_options(client);
    return gw__drain(&options, client->transport, err);
}

gw_status gw_connect(const char *url, const gw_client_options *options, gw_client **ret_client,
                     gw_error *err)
{
    gw_client_options defaults = GW_CLIENT_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    if (ret_client == NULL || options->heartbeat_s > 600 ||
        (unsigned)options->queue_type > GW_QUEUE_QUORUM ||
        (unsigned)options->outbox_level > GW_OUTBOX_DISK) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "client options: heartbeat_s is 0 to 600, queue_type classic or "
                            "quorum, outbox_level memory, process or disk");
    }
    if (options->outbox_level != GW_OUTBOX_MEMORY &&
        (options->outbox_dir == NULL || options->outbox_dir[0] == '\0')) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "client options: outbox_level %s needs an outbox_dir",
                            gw_outbox_level_name(options->outbox_level));
    }
    const gw__transport_type *type;
    gw_status st = gw__transport_find(url, &type, err);
    if (st != GW_OK) {
        return st;
    }
    gw_client *client = NULL;
    st = new_client(options, type, &client, err);
    if (st != GW_OK) {
        return st;
    }
    gw__transport_options transport_options = {
        .name = client->name, .heartbeat_s = options->heartbeat_s, .level = options->outbox_level};
    if (client->relay != NULL) {
        transport_options.source = gw__relay_source(client->relay);
    }
    gw__transport_events events = {.state = on_transport_state, .ctx = client};
    st = type->open(url, &transport_options, &events, &client->transport, err);
    if (st != GW_OK) {
        free_client(client);
        return st;
    }
    st = take_over_outbox(client, err);
    if (st != GW_OK) {
        type->close(client->transport, GOODBYE_MS);
        wait_for_others(client);
        free_client(client);
        return st;
    }
    client->publisher = (gw__publisher){.transport = client->transport,
                                        .relay = client->relay,
                                        .on_failed = on_failed,
                                        .ctx = client};
    *ret_client = client;
    return GW_OK;
}

/* ---- publish ---------------------------------------------------------------------------- */

gw__transport *gw__client_transport(const gw_client *client)
{
    return client->transport;
}

bool gw__client_is_ending(gw_client *client)
{
    return atomic_load(&client->ending);
}

static gw_status publish_to_exchange(gw_client *client, const char *exchange, gw_exchange_type type,
                                     gw_message *const *msgs, size_t n_msgs, size_t *ret_n,
                                     gw_error *err)
{
    gw__target *target;
    gw_status st = gw__targets_exchange(client->targets, exchange, type, &target, err);
    return st == GW_OK ? gw__publish(&client->publisher, target, msgs, n_msgs, ret_n, err) : st;
}

static gw_status publish_to_queue(gw_client *client, const char *queue, gw_message *const *msgs,
                                  size_t n_msgs, size_t *ret_n, gw_error *err)
{
    gw__target *target;
    gw_status st = gw__targets_queue(client->targets, queue, &target, err);
    return st == GW_OK ? gw__publish(&client->publisher, target, msgs, n_msgs, ret_n, err) : st;
}

gw_status gw_publish(gw_client *client, const char *exchange, gw_exchange_type type,
                     gw_message *msg, gw_error *err)
{
    if (client == NULL || msg == NULL || (unsigned)type > GW_EXCHANGE_HEADERS) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "gw_publish: client, message or type is not valid");
    }
    size_t n;
    return publish_to_exchange(client, exchange, type, &msg, 1, &n, err);
}

gw_status gw_publish_on_queue(gw_client *client, const char *queue, gw_message *msg, gw_error *err)
{
    if (client == NULL || msg == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_publish_on_queue: client or message is NULL");
    }
    size_t n;
    return publish_to_queue(client, queue, &msg, 1, &n, err);
}

static gw_status check_batch(const char *call, gw_client *client, gw_message *const *msgs,
                             size_t n_msgs, gw_error *err)
{
    if (n_msgs > GW_PUBLISH_BATCH_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: %zu messages are more than %d", call, n_msgs,
                            GW_PUBLISH_BATCH_MAX);
    }
    bool valid = client != NULL && (msgs != NULL || n_msgs == 0);
    for (size_t i = 0; valid && i < n_msgs; i++) {
        valid = msgs[i] != NULL;
    }
    return valid ? GW_OK
                 : gw_error_set(err, GW_E_INVALID, 0, "%s: client or a message is NULL", call);
}

gw_status gw_publish_batch(gw_client *client, const char *exchange, gw_exchange_type type,
                           gw_message *const *msgs, size_t n_msgs, size_t *ret_n_accepted,
                           gw_error *err)
{
    size_t none;
    size_t *ret_n = ret_n_accepted != NULL ? ret_n_accepted : &none;
    *ret_n = 0;
    gw_status st = check_batch("gw_publish_batch", client, msgs, n_msgs, err);
    if (st == GW_OK && (unsigned)type > GW_EXCHANGE_HEADERS) {
        st = gw_error_set(err, GW_E_INVALID, 0, "gw_publish_batch: the type is not valid");
    }
    return st == GW_OK ? publish_to_exchange(client, exchange, type, msgs, n_msgs, ret_n, err) : st;
}

gw_status gw_publish_batch_on_queue(gw_client *client, const char *queue, gw_message *const *msgs,
                                    size_t n_msgs, size_t *ret_n_accepted, gw_error *err)
{
    size_t none;
    size_t *ret_n = ret_n_accepted != NULL ? ret_n_accepted : &none;
    *ret_n = 0;
    gw_status st = check_batch("gw_publish_batch_on_queue", client, msgs, n_msgs, err);
    return st == GW_OK ? publish_to_queue(client, queue, msgs, n_msgs, ret_n, err) : st;
}

gw_status gw__client_forward(gw_client *client, const char *queue, unsigned delay_ms,
                             gw_message *msg, gw__done done, void *ctx, gw_error *err)
{
    gw__target *target;
    gw_status st = delay_ms == 0
                       ? gw__targets_queue(client->targets, queue, &target, err)
                       : gw__targets_delayed_queue(client->targets, queue, delay_ms, &target, err);
    return st == GW_OK ? gw__publish_and_tell(&client->publisher, target, msg, done, ctx, err) : st;
}

gw_status gw_flush(gw_client *client, unsigned timeout_ms, gw_error *err)
{
    if (client == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "gw_flush: the client is NULL");
    }
    return client->relay == NULL ? GW_OK
                                 : gw__relay_flush(client->relay, gw_clock_ms() + timeout_ms, err);
}

/* ---- subscribe ------------------------------------------------------------------------------ */

static gw_status subscribe(gw_client *client, gw__consumer_spec *spec,
                           const gw_subscribe_options *options, gw_handler handler, void *ctx,
                           gw_subscription **ret_sub, gw_error *err)
{
    if (gw__client_is_ending(client)) {
        return gw_error_set(err, GW_E_CLOSED, 0, "the client is closed");
    }
    spec->consumer_name = options->consumer_name != NULL ? options->consumer_name : client->name;
    spec->prefetch =
        options->prefetch != 0 ? options->prefetch : gw__prefetch_first(options->n_workers);
    gw_status st = gw__check_name("consumer", spec->consumer_name, err);
    if (st != GW_OK) {
        return st;
    }
    gw_subscription *sub;
    st = gw__subscription_start(client, client->transport, spec, options, handler, ctx, &sub, err);
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&client->lock);
    sub->next = client->subscriptions;
    client->subscriptions = sub;
    pthread_mutex_unlock(&client->lock);
    gw__client_update_state(client);
    if (ret_sub != NULL) {
        *ret_sub = sub;
    }
    return GW_OK;
}

static gw_status check_binding_headers(gw_exchange_type type, const gw_subscribe_options *options,
                                       gw_message **ret_carrier, gw_error *err)
{
    if (options->n_binding_headers > 0 && type != GW_EXCHANGE_HEADERS) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "binding headers are for headers exchanges: this is a %s exchange",
                            gw_exchange_type_name(type));
    }
    return gw__headers_copy(options->binding_headers, options->n_binding_headers, ret_carrier, err);
}

gw_status gw_subscribe(gw_client *client, const char *exchange, gw_exchange_type type,
                       const gw_subscribe_options *options, gw_handler handler, void *ctx,
                       gw_subscription **ret_sub, gw_error *err)
{
    gw_subscribe_options defaults = GW_SUBSCRIBE_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    if (client == NULL || handler == NULL || (unsigned)type > GW_EXCHANGE_HEADERS) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "gw_subscribe: client, handler or type is not valid");
    }
    const char *key = options->binding_key != NULL ? options->binding_key : exchange;
    gw_status st = gw__check_name("exchange", exchange, err);
    if (st == GW_OK && strnlen(key, GW_MESSAGE_TEXT_MAX + 1) > GW_MESSAGE_TEXT_MAX) {
        st = gw_error_set(err, GW_E_LIMIT, 0, "the binding key is longer than %d bytes",
                          GW_MESSAGE_TEXT_MAX);
    }
    gw_message *headers = NULL;
    if (st == GW_OK) {
        st = check_binding_headers(type, options, &headers, err);
    }
    if (st != GW_OK) {
        return st;
    }
    /* A name of our own choice, unique: it is the same again after a reconnect, unlike a server's.
     */
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    char queue[GW_MESSAGE_TEXT_MAX + 1];
    snprintf(queue, sizeof(queue), "%.140s.%.70s.%s", exchange, client->name, id);
    gw__consumer_spec spec = {.queue = queue,
                              .temporary = true,
                              .exchange = exchange,
                              .exchange_type = type,
                              .binding_key = key,
                              .binding_headers = gw_message_header_at(headers, 0),
                              .n_binding_headers = gw_message_n_headers(headers),
                              .match_any = options->match_any};
    st = subscribe(client, &spec, options, handler, ctx, ret_sub, err);
    gw_message_free(headers);
    return st;
}

gw_status gw_subscribe_to_queue(gw_client *client, const char *queue,
                                const gw_subscribe_options *options, gw_handler handler, void *ctx,
                                gw_subscription **ret_sub, gw_error *err)
{
    gw_subscribe_options defaults = GW_SUBSCRIBE_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    if (client == NULL || handler == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "gw_subscribe_to_queue: client or handler is NULL");
    }
    gw_status st = gw__check_name("queue", queue, err);
    if (st == GW_OK && strlen(queue) + GW__RETRY_SUFFIX_MAX > GW_MESSAGE_TEXT_MAX) {
        st = gw_error_set(err, GW_E_LIMIT, 0,
                          "the queue's name leaves no room for '.retry.<milliseconds>' within %d "
                          "bytes: it can have %d",
                          GW_MESSAGE_TEXT_MAX, GW_MESSAGE_TEXT_MAX - GW__RETRY_SUFFIX_MAX);
    }
    if (st != GW_OK) {
        return st;
    }
    gw__consumer_spec spec = {.queue = queue, .queue_type = client->options.queue_type};
    return subscribe(client, &spec, options, handler, ctx, ret_sub, err);
}

/* @locks client->lock held */
static void remove_locked(gw_client *client, gw_subscription *sub)
{
    gw_subscription **at = &client->subscriptions;
    while (*at != NULL && *at != sub) {
        at = &(*at)->next;
    }
    if (*at == sub) {
        *at = sub->next;
    }
}

void gw_unsubscribe(gw_subscription *sub)
{
    if (sub == NULL) {
        return;
    }
    gw_client *client = sub->client;
    if (gw__subscription_is_inside(sub)) {
        /* It would wait for itself, and the handler go on in what is freed. */
        gw_log_error("messaging", "gw_unsubscribe() was called by a handler of that subscription, "
                                  "which goes on");
        return;
    }
    pthread_mutex_lock(&client->lock);
    remove_locked(client, sub);
    pthread_mutex_unlock(&client->lock);
    uint64_t deadline_ms = gw_clock_ms() + UNSUBSCRIBE_TIMEOUT_MS;
    gw__subscription_cancel(sub, deadline_ms);
    gw__subscription_stop(sub, deadline_ms);
    gw__client_update_state(client);
}

/* ---- close ------------------------------------------------------------------------------------
 */

static gw_subscription *take_subscriptions(gw_client *client)
{
    pthread_mutex_lock(&client->lock);
    client->ending = true;
    gw_subscription *list = client->subscriptions;
    client->subscriptions = NULL;
    pthread_mutex_unlock(&client->lock);
    return list;
}

static void stop_subscriptions(gw_client *client, uint64_t deadline_ms)
{
    gw_subscription *list;
    /* Once more: a handler may have been about to subscribe. */
    while ((list = take_subscriptions(client)) != NULL) {
        for (gw_subscription *it = list; it != NULL; it = it->next) {
            gw__subscription_cancel(it, deadline_ms);
        }
        gw_subscription *next;
        for (gw_subscription *it = list; it != NULL; it = next) {
            next = it->next;
            gw__subscription_stop(it, deadline_ms);
        }
    }
}

static bool is_connected(gw_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool connected = client->transport_state != GW_CLIENT_CONNECTING;
    pthread_mutex_unlock(&client->lock);
    return connected;
}

/* Send what is in the outbox. What is kept on disk is not waited for while the broker is away: it
 * goes out at the next start. */
static gw_status empty_outbox(gw_client *client, uint64_t deadline_ms, gw_error *err)
{
    gw__relay *relay = client->relay;
    if (relay == NULL) {
        return GW_OK;
    }
    gw__relay_close(relay);
    if (gw__relay_is_volatile(relay)) {
        return gw__relay_flush(relay, deadline_ms, err);
    }
    gw_status st = GW_E_TIMEOUT;
    uint64_t now_ms = gw_clock_ms();
    while (st == GW_E_TIMEOUT && now_ms < deadline_ms && is_connected(client)) {
        uint64_t look_ms = now_ms + LOOK_AGAIN_MS;
        st = gw__relay_flush(relay, look_ms < deadline_ms ? look_ms : deadline_ms, NULL);
        now_ms = gw_clock_ms();
    }
    if (st != GW_OK && gw__relay_count(relay) > 0) {
        gw_log_info("messaging",
                    "%zu messages stay in the outbox %s and are sent at the next start",
                    gw__relay_count(relay), client->options.outbox_dir);
    }
    return GW_OK;
}

gw_status gw_close(gw_client *client, unsigned timeout_ms, gw_error *err)
{
    if (client == NULL) {
        return GW_OK;
    }
    uint64_t now_ms = gw_clock_ms();
    uint64_t deadline_ms = now_ms + timeout_ms;
    unsigned goodbye_ms = timeout_ms > 2 * GOODBYE_MS ? GOODBYE_MS : timeout_ms / 2;
    /* Handlers finish first, since they may publish; then the outbox takes no more and is emptied.
     */
    stop_subscriptions(client, deadline_ms - goodbye_ms);
    pthread_mutex_lock(&client->lock);
    client->closing = true;
    atomic_store(&client->publisher.closed, true);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    gw_status st = empty_outbox(client, deadline_ms - goodbye_ms, err);
    now_ms = gw_clock_ms();
    client->transport->type->close(client->transport,
                                   deadline_ms > now_ms ? (unsigned)(deadline_ms - now_ms) : 0);
    on_transport_state(client, GW_CLIENT_CLOSED, NULL);
    wait_for_others(client);
    free_client(client);
    return st;
}
