/* SPDX-License-Identifier: MIT */
/*
 * The RabbitMQ transport: a connection for publishing and, once there is a consumer, one for
 * consuming, so that a broker that takes no messages can still be told what was done with those it
 * delivered.
 */
#include "messaging/transport.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/connection.h"
#include "amqp/consumers.h"
#include "amqp/endpoint.h"
#include "amqp/publisher.h"

/* What is known of one of the two connections. */
typedef struct side {
    bool used;
    gw_client_state state;
    gw_error why;
} side;

typedef struct amqp_transport {
    gw__transport head;
    gw__endpoint endpoint;
    char *name;
    gw__transport_events events;
    gw__publisher *publisher;
    gw__connection *publishing;
    gw__consumers consumers; /* with the connection for them, NULL until the first one */

    pthread_mutex_t lock; /* the sides, and starting the consuming connection */
    side publish_side;
    side consume_side;
    atomic_bool sides_changed;
    atomic_bool login_works; /* as the publishing connection found at its last login */

    /* @thread the publishing I/O thread's own: what the client was told last */
    bool told;
    side told_side;
} amqp_transport;

/* ---- state --------------------------------------------------------------- */

/* What the two sides come to. */
static side merge(const amqp_transport *transport)
{
    if (transport->publish_side.state == GW_CLIENT_CONNECTING || !transport->consume_side.used) {
        return transport->publish_side;
    }
    if (transport->consume_side.state == GW_CLIENT_CONNECTING) {
        return transport->consume_side;
    }
    return transport->publish_side;
}

/* Tell the client, always on the same thread, so that it hears of states in their order. */
static void tell(amqp_transport *transport)
{
    if (!atomic_exchange(&transport->sides_changed, false)) {
        return;
    }
    pthread_mutex_lock(&transport->lock);
    side now = merge(transport);
    pthread_mutex_unlock(&transport->lock);
    if (transport->told && transport->told_side.state == now.state &&
        strcmp(transport->told_side.why.text, now.why.text) == 0) {
        return;
    }
    transport->told = true;
    transport->told_side = now;
    transport->events.state(transport->events.ctx, now.state,
                            now.why.text[0] != '\0' ? &now.why : NULL);
}

static void set_side(amqp_transport *transport, side *which, gw_client_state state,
                     const gw_error *why)
{
    pthread_mutex_lock(&transport->lock);
    which->state = state;
    which->why = why != NULL ? *why : (gw_error){.status = GW_OK};
    pthread_mutex_unlock(&transport->lock);
    atomic_store(&transport->sides_changed, true);
}

/* ---- roles --------------------------------------------------------------- */

static void publishing_up(void *ctx, gw__session *session)
{
    gw__publisher_up(((amqp_transport *)ctx)->publisher, session);
}

static void publishing_down(void *ctx)
{
    gw__publisher_down(((amqp_transport *)ctx)->publisher);
}

static gw__turn publishing_work(void *ctx, uint64_t now_ns)
{
    amqp_transport *transport = ctx;
    tell(transport);
    return gw__publisher_work(transport->publisher, now_ns);
}

/* One connection tries the login for both, so that a refused one is not tried twice as often. */
static void note_login(amqp_transport *transport, gw_client_state state, const gw_error *why)
{
    if (why != NULL && why->status == GW_E_DENIED) {
        atomic_store(&transport->login_works, false);
    } else if (state == GW_CLIENT_UP && !atomic_exchange(&transport->login_works, true)) {
        pthread_mutex_lock(&transport->lock);
        if (transport->consumers.connection != NULL) {
            gw__connection_call(transport->consumers.connection, true);
        }
        pthread_mutex_unlock(&transport->lock);
    }
}

static void publishing_state(void *ctx, gw_client_state state, const gw_error *why)
{
    amqp_transport *transport = ctx;
    note_login(transport, state, why);
    set_side(transport, &transport->publish_side, state, why);
}

static bool consuming_may_connect(void *ctx)
{
    return atomic_load(&((amqp_transport *)ctx)->login_works);
}

static void consuming_up(void *ctx, gw__session *session)
{
    gw__consumers_up(&((amqp_transport *)ctx)->consumers, session);
}

static void consuming_down(void *ctx)
{
    gw__consumers_down(&((amqp_transport *)ctx)->consumers);
}

static gw__turn consuming_work(void *ctx, uint64_t now_ns)
{
    return gw__consumers_work(&((amqp_transport *)ctx)->consumers, now_ns);
}

static void consuming_state(void *ctx, gw_client_state state, const gw_error *why)
{
    amqp_transport *transport = ctx;
    /* Alarms are about publishing. */
    set_side(transport, &transport->consume_side, state == GW_CLIENT_BLOCKED ? GW_CLIENT_UP : state,
             state == GW_CLIENT_BLOCKED ? NULL : why);
    gw__connection_call(transport->publishing, true);
}

/* ---- the transport ------------------------------------------------------- */

static void destroy(amqp_transport *transport)
{
    gw__publisher_free(transport->publisher);
    gw__consumers_dispose(&transport->consumers);
    gw__endpoint_dispose(&transport->endpoint);
    pthread_mutex_destroy(&transport->lock);
    free(transport->name);
    free(transport);
}

static gw_status open_transport(const char *url, const gw__transport_options *options,
                                const gw__transport_events *events, gw__transport **ret_transport,
                                gw_error *err)
{
    gw__endpoint endpoint;
    gw_status st = gw__endpoint_parse(url, options->heartbeat_s, &endpoint, err);
    if (st != GW_OK) {
        return st;
    }
    amqp_transport *transport = calloc(1, sizeof(*transport));
    if (transport == NULL) {
        gw__endpoint_dispose(&endpoint);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a transport");
    }
    transport->head.type = &gw__amqp_transport;
    transport->endpoint = endpoint;
    transport->events = *events;
    transport->publish_side.used = true;
    pthread_mutex_init(&transport->lock, NULL);
    atomic_init(&transport->sides_changed, false);
    atomic_init(&transport->login_works, false);
    gw__consumers_init(&transport->consumers);
    transport->publisher = gw__publisher_new(&options->source, &transport->endpoint);
    transport->name = strdup(options->name != NULL ? options->name : "godwit");
    const gw__connection_role role = {.purpose = "publish",
                                      .up = publishing_up,
                                      .down = publishing_down,
                                      .work = publishing_work,
                                      .state = publishing_state,
                                      .ctx = transport};
    if (transport->publisher == NULL || transport->name == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a transport");
    } else {
        st = gw__connection_start(&transport->endpoint, transport->name, &role,
                                  &transport->publishing, err);
    }
    if (st != GW_OK) {
        destroy(transport);
        return st;
    }
    *ret_transport = &transport->head;
    return GW_OK;
}

static void wake(gw__transport *transport)
{
    gw__connection_call(((amqp_transport *)transport)->publishing, false);
}

/* The connection for consuming, started with the first consumer. */
static gw_status ensure_consuming(amqp_transport *transport, gw_error *err)
{
    const gw__connection_role role = {.purpose = "consume",
                                      .up = consuming_up,
                                      .down = consuming_down,
                                      .work = consuming_work,
                                      .state = consuming_state,
                                      .may_connect = consuming_may_connect,
                                      .ctx = transport};
    pthread_mutex_lock(&transport->lock);
    gw_status st = GW_OK;
    if (transport->consumers.connection == NULL) {
        transport->consume_side =
            (side){.used = true, .state = GW_CLIENT_CONNECTING, .why = GW_ERROR_INIT};
        st = gw__connection_start(&transport->endpoint, transport->name, &role,
                                  &transport->consumers.connection, err);
        transport->consume_side.used = st == GW_OK;
    }
    pthread_mutex_unlock(&transport->lock);
    return st;
}

static gw_status subscribe(gw__transport *head, const gw__consumer_spec *spec, const gw__sink *sink,
                           gw__consumer **ret_consumer, gw_error *err)
{
    amqp_transport *transport = (amqp_transport *)head;
    gw__amqp_consumer *consumer = gw__amqp_consumer_new(&transport->consumers, spec, sink);
    if (consumer == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a consumer of queue '%s'",
                            spec->queue);
    }
    gw_status st = ensure_consuming(transport, err);
    if (st != GW_OK) {
        gw__amqp_consumer_free(consumer);
        return st;
    }
    consumer->head.transport = head;
    *ret_consumer = &consumer->head;
    gw__consumers_start(&transport->consumers, consumer);
    return GW_OK;
}

static void settle(gw__consumer *head, const gw__delivery *deliveries, size_t n_deliveries,
                   gw__settlement how)
{
    gw__amqp_consumer *consumer = (gw__amqp_consumer *)head;
    gw__consumers_settle(consumer->set, consumer, deliveries, n_deliveries, how);
}

static void set_prefetch(gw__consumer *head, uint16_t prefetch)
{
    gw__amqp_consumer *consumer = (gw__amqp_consumer *)head;
    gw__consumers_set_prefetch(consumer->set, consumer, prefetch);
}

static void cancel(gw__consumer *head, unsigned timeout_ms)
{
    gw__amqp_consumer *consumer = (gw__amqp_consumer *)head;
    gw__consumers_cancel(consumer->set, consumer, timeout_ms);
}

static void release(gw__consumer *head, unsigned timeout_ms)
{
    gw__amqp_consumer *consumer = (gw__amqp_consumer *)head;
    gw__consumers_release(consumer->set, consumer, timeout_ms);
    gw__amqp_consumer_free(consumer);
}

static void close_transport(gw__transport *head, unsigned timeout_ms)
{
    amqp_transport *transport = (amqp_transport *)head;
    pthread_mutex_lock(&transport->lock);
    gw__connection *consuming = transport->consumers.connection;
    transport->consumers.connection = NULL; /* the publishing thread must not wake it any more */
    pthread_mutex_unlock(&transport->lock);
    gw__connection_stop(consuming, timeout_ms);
    gw__connection_stop(transport->publishing, timeout_ms);
    destroy(transport);
}

const gw__transport_type gw__amqp_transport = {
    .scheme = "amqp",
    .open = open_transport,
    .wake = wake,
    .publish = NULL,
    .subscribe = subscribe,
    .settle = settle,
    .set_prefetch = set_prefetch,
    .cancel = cancel,
    .release = release,
    .close = close_transport,
};
