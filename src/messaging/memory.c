/* SPDX-License-Identifier: MIT */
/*
 * The transport for memory: URLs, for tests of services and of the client. One thread a transport
 * calls the client: for each consumer first what happened to it, then its messages, consumer after
 * consumer. It also puts what was published with a delay into its queue, when that is due. The
 * broker's lock guards everything here and is never held during a call.
 */
#include "messaging/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "messaging/transport.h"

#define NOMEM_PAUSE_MS 20

typedef struct memory_consumer {
    gw__consumer head;
    gw__taker taker;
    gw__sink sink;
    uint64_t epoch;
    gw_error refusal; /* why it does not consume; GW_OK: it does */
    bool ended;       /* cancel() began */
    bool passive;     /* wants to know how many messages wait before it consumes */
    bool lost;        /* to be told: the connection was lost, ... */
    bool news;        /* ... and its state */
    bool busy;        /* its sink is being called */
    bool queued;      /* in its transport's list of those who wait for a call */
    struct memory_consumer *next_waiting;
    struct memory_consumer *next; /* of its transport */
} memory_consumer;

typedef struct gw__memory_transport {
    gw__transport head;
    gw__broker *broker;
    gw__transport_events events;
    pthread_t thread;
    pthread_cond_t work;
    bool closing;
    bool lost; /* to be told: the connection was lost and is back, or is there */
    bool news;
    memory_consumer *consumers;
    memory_consumer *first_waiting;
    memory_consumer *last_waiting;
    struct gw__memory_transport *next; /* of the broker */
} memory_transport;

static memory_transport *transport_of(const memory_consumer *consumer)
{
    return (memory_transport *)consumer->head.transport;
}

/* ---- the thread ------------------------------------------------------------- */

/* @locks the broker's */
static void line_up(memory_consumer *consumer)
{
    memory_transport *transport = transport_of(consumer);
    if (consumer->queued || (consumer->ended && !consumer->lost)) {
        return;
    }
    consumer->queued = true;
    consumer->next_waiting = NULL;
    if (transport->last_waiting == NULL) {
        transport->first_waiting = consumer;
    } else {
        transport->last_waiting->next_waiting = consumer;
    }
    transport->last_waiting = consumer;
    pthread_cond_signal(&transport->work);
}

/* @locks the broker's */
static void leave_line(memory_consumer *consumer)
{
    memory_transport *transport = transport_of(consumer);
    if (!consumer->queued) {
        return;
    }
    memory_consumer *prev = NULL;
    memory_consumer *it = transport->first_waiting;
    while (it != consumer) {
        prev = it;
        it = it->next_waiting;
    }
    *(prev == NULL ? &transport->first_waiting : &prev->next_waiting) = consumer->next_waiting;
    if (transport->last_waiting == consumer) {
        transport->last_waiting = prev;
    }
    consumer->queued = false;
}

static void taker_is_ready(gw__taker *taker)
{
    line_up((memory_consumer *)((char *)taker - offsetof(memory_consumer, taker)));
}

static gw_status connection_lost(gw_error *err)
{
    return gw_error_set(err, GW_E_UNAVAILABLE, 0, "the in-memory broker closed the connection");
}

/* Tell the client of the connection. @locks the broker's, released during the calls */
static void report_connection(memory_transport *transport)
{
    const gw__transport_events *events = &transport->events;
    bool lost = transport->lost;
    transport->lost = transport->news = false;
    pthread_mutex_unlock(&transport->broker->lock);
    if (lost) {
        gw_error why = GW_ERROR_INIT;
        (void)connection_lost(&why);
        events->state(events->ctx, GW_CLIENT_CONNECTING, &why);
    }
    events->state(events->ctx, GW_CLIENT_UP, NULL);
    pthread_mutex_lock(&transport->broker->lock);
}

/* Tell a consumer what happened to it. It takes its turns from before it hears that it consumes;
 * what it gets comes afterwards, on this thread. @locks as above */
static void report_consumer(memory_consumer *consumer, gw__broker *broker)
{
    const gw__sink *sink = &consumer->sink;
    bool lost = consumer->lost;
    bool ended = consumer->ended; /* what it has unsettled can still be lost */
    uint64_t lost_epoch = consumer->epoch - 1;
    consumer->lost = consumer->news = false;
    if (lost) {
        pthread_mutex_unlock(&broker->lock);
        gw_error why = GW_ERROR_INIT;
        (void)connection_lost(&why);
        sink->lost(sink->ctx, lost_epoch);
        if (!ended) {
            sink->state(sink->ctx, false, &why);
        }
        pthread_mutex_lock(&broker->lock);
    }
    if (consumer->ended || consumer->lost) { /* lost again: told in the next round */
        return;
    }
    bool consuming = consumer->refusal.status == GW_OK;
    size_t n_waiting = consuming ? gw__queue_len(consumer->taker.queue) : 0;
    size_t n_others = consuming ? consumer->taker.queue->n_consumers - 1 : 0;
    if (consuming) {
        gw__taker_attach(&consumer->taker);
    }
    pthread_mutex_unlock(&broker->lock);
    if (consuming && consumer->passive) {
        sink->found(sink->ctx, n_waiting, n_others);
    }
    sink->state(sink->ctx, consuming, consuming ? NULL : &consumer->refusal);
    pthread_mutex_lock(&broker->lock);
}

/* Hand over one message. @locks as above */
static void deliver_one(memory_consumer *consumer, gw__broker *broker)
{
    gw__entry *entry = gw__taker_fetch(&consumer->taker);
    if (entry == NULL) {
        return;
    }
    gw__delivery delivery = {.epoch = consumer->epoch, .tag = entry->tag};
    bool redelivered = entry->redelivered;
    gw__stored *stored = gw__stored_ref(entry->stored);
    const char *queue = consumer->taker.queue->name; /* lives as long as the consumer */
    pthread_mutex_unlock(&broker->lock);
    gw_message *msg = gw__stored_copy(stored, queue, redelivered);
    gw__stored_unref(stored);
    if (msg != NULL) {
        consumer->sink.deliver(consumer->sink.ctx, msg, delivery);
        consumer->sink.delivered(consumer->sink.ctx);
    } else {
        struct timespec pause = {.tv_sec = 0, .tv_nsec = NOMEM_PAUSE_MS * (long)GW_NS_PER_MS};
        nanosleep(&pause, NULL);
    }
    pthread_mutex_lock(&broker->lock);
    if (msg == NULL && consumer->epoch == delivery.epoch) {
        gw__taker_unfetch(&consumer->taker, delivery.tag);
    }
}

/* @locks the broker's, released during calls */
static void serve(memory_consumer *consumer, gw__broker *broker)
{
    leave_line(consumer);
    consumer->busy = true;
    if (consumer->news) {
        report_consumer(consumer, broker);
    } else {
        deliver_one(consumer, broker);
    }
    consumer->busy = false;
    if (consumer->news || consumer->taker.undelivered != NULL) {
        line_up(consumer);
    }
    pthread_cond_broadcast(&broker->changed);
}

static void *run(void *arg)
{
    memory_transport *transport = arg;
    gw__broker *broker = transport->broker;
    pthread_mutex_lock(&broker->lock);
    while (!transport->closing) {
        uint64_t due_ms = gw__broker_ripen_locked(broker);
        if (transport->news) {
            report_connection(transport);
        } else if (transport->first_waiting != NULL) {
            serve(transport->first_waiting, broker);
        } else {
            gw__cond_wait_until(&transport->work, &broker->lock, due_ms);
        }
    }
    pthread_mutex_unlock(&broker->lock);
    return NULL;
}

/* ---- the transport ------------------------------------------------------------ */

static gw_status memory_open(const char *url, const gw__transport_options *options,
                             const gw__transport_events *events, gw__transport **ret_transport,
                             gw_error *err)
{
    (void)options; /* there is no operator to be told a name, and nothing to keep alive */
    gw__broker *broker;
    gw_status st = gw__broker_open(url, &broker, err);
    if (st != GW_OK) {
        return st;
    }
    memory_transport *transport = calloc(1, sizeof(*transport));
    if (transport == NULL) {
        gw__broker_close(broker);
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", url);
    }
    transport->head.type = &gw__memory_transport;
    transport->broker = broker;
    transport->events = *events;
    transport->news = true;
    gw__cond_init(&transport->work);
    int errnum = pthread_create(&transport->thread, NULL, run, transport);
    if (errnum != 0) {
        pthread_cond_destroy(&transport->work);
        free(transport);
        gw__broker_close(broker);
        return gw_error_set_errno(err, errnum, "%s: thread", url);
    }
    pthread_mutex_lock(&broker->lock);
    transport->next = broker->transports;
    broker->transports = transport;
    pthread_mutex_unlock(&broker->lock);
    *ret_transport = &transport->head;
    return GW_OK;
}

static gw_status memory_publish(gw__transport *head, const gw__outgoing *item, gw_error *err)
{
    gw__broker *broker = ((memory_transport *)head)->broker;
    gw_status st = gw__broker_publish(broker, item, err);
    if (st == GW_OK && item->target->delay_ms > 0) { /* every thread watches the time */
        pthread_mutex_lock(&broker->lock);
        for (memory_transport *it = broker->transports; it != NULL; it = it->next) {
            pthread_cond_signal(&it->work);
        }
        pthread_mutex_unlock(&broker->lock);
    }
    return st;
}

static void memory_close(gw__transport *head, unsigned timeout_ms)
{
    (void)timeout_ms; /* sinks do not block, so nothing here takes time */
    memory_transport *transport = (memory_transport *)head;
    gw__broker *broker = transport->broker;
    pthread_mutex_lock(&broker->lock);
    assert(transport->consumers == NULL);
    transport->closing = true;
    pthread_cond_signal(&transport->work);
    memory_transport **link = &broker->transports;
    while (*link != transport) {
        link = &(*link)->next;
    }
    *link = transport->next;
    pthread_mutex_unlock(&broker->lock);
    pthread_join(transport->thread, NULL);
    pthread_cond_destroy(&transport->work);
    free(transport);
    gw__broker_close(broker);
}

void gw__memory_disconnect(gw__broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    for (memory_transport *t = broker->transports; t != NULL; t = t->next) {
        for (memory_consumer *c = t->consumers; c != NULL; c = c->next) {
            gw__taker_detach(&c->taker);
        }
    }
    for (memory_transport *t = broker->transports; t != NULL; t = t->next) {
        t->lost = t->news = true;
        pthread_cond_signal(&t->work);
        for (memory_consumer *c = t->consumers; c != NULL; c = c->next) {
            if (c->taker.queue == NULL) {
                continue;
            }
            gw__taker_return_all(&c->taker);
            c->epoch++;
            c->lost = c->news = true;
            line_up(c);
        }
    }
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
}

/* ---- consumers ------------------------------------------------------------------ */

static gw_status memory_subscribe(gw__transport *head, const gw__consumer_spec *spec,
                                  const gw__sink *sink, gw__consumer **ret_consumer, gw_error *err)
{
    memory_transport *transport = (memory_transport *)head;
    gw__broker *broker = transport->broker;
    memory_consumer *consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "subscription to '%s': out of memory", spec->queue);
    }
    consumer->head.transport = head;
    consumer->sink = *sink;
    consumer->epoch = 1;
    consumer->taker.prefetch = spec->prefetch;
    consumer->taker.ready = taker_is_ready;
    consumer->passive = spec->passive;
    consumer->news = true;
    pthread_mutex_lock(&broker->lock);
    if (gw__broker_declare_locked(broker, spec, &consumer->taker.queue, &consumer->refusal) ==
        GW_OK) {
        consumer->taker.queue->n_consumers++;
    }
    consumer->next = transport->consumers;
    transport->consumers = consumer;
    *ret_consumer = &consumer->head;
    line_up(consumer);
    pthread_mutex_unlock(&broker->lock);
    return GW_OK;
}

static void memory_settle(gw__consumer *head, const gw__delivery *deliveries, size_t n_deliveries,
                          gw__settlement how)
{
    memory_consumer *consumer = (memory_consumer *)head;
    gw__broker *broker = transport_of(consumer)->broker;
    pthread_mutex_lock(&broker->lock);
    for (size_t i = 0; i < n_deliveries; i++) {
        if (deliveries[i].epoch == consumer->epoch) {
            gw__taker_settle(&consumer->taker, deliveries[i].tag, how);
        }
    }
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
}

static void memory_set_prefetch(gw__consumer *head, uint16_t prefetch)
{
    memory_consumer *consumer = (memory_consumer *)head;
    gw__broker *broker = transport_of(consumer)->broker;
    pthread_mutex_lock(&broker->lock);
    gw__taker_set_prefetch(&consumer->taker, prefetch);
    pthread_mutex_unlock(&broker->lock);
}

static void memory_cancel(gw__consumer *head, unsigned timeout_ms)
{
    (void)timeout_ms; /* a running call to the sink ends soon, since sinks do not block */
    memory_consumer *consumer = (memory_consumer *)head;
    memory_transport *transport = transport_of(consumer);
    gw__broker *broker = transport->broker;
    assert(!pthread_equal(pthread_self(), transport->thread));
    pthread_mutex_lock(&broker->lock);
    leave_line(consumer);
    consumer->ended = true;
    gw__taker_detach(&consumer->taker);
    if (consumer->taker.queue != NULL) {
        gw__taker_return_undelivered(&consumer->taker); /* for others, at once */
    }
    while (consumer->busy) {
        pthread_cond_wait(&broker->changed, &broker->lock);
    }
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
}

static void memory_release(gw__consumer *head, unsigned timeout_ms)
{
    memory_cancel(head, timeout_ms); /* nothing to do if that was before */
    memory_consumer *consumer = (memory_consumer *)head;
    memory_transport *transport = transport_of(consumer);
    gw__broker *broker = transport->broker;
    pthread_mutex_lock(&broker->lock);
    leave_line(consumer);    /* a loss can have put it there again, ... */
    while (consumer->busy) { /* ... or is being told */
        pthread_cond_wait(&broker->changed, &broker->lock);
        leave_line(consumer);
    }
    gw__queue *queue = consumer->taker.queue;
    if (queue != NULL) {
        gw__taker_return_all(&consumer->taker);
        if (--queue->n_consumers == 0 && queue->temporary) {
            gw__broker_delete_queue_locked(broker, queue);
        }
    }
    memory_consumer **link = &transport->consumers;
    while (*link != consumer) {
        link = &(*link)->next;
    }
    *link = consumer->next;
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
    free(consumer);
}

const gw__transport_type gw__memory_transport = {
    .scheme = "memory",
    .open = memory_open,
    .publish = memory_publish,
    .subscribe = memory_subscribe,
    .settle = memory_settle,
    .set_prefetch = memory_set_prefetch,
    .cancel = memory_cancel,
    .release = memory_release,
    .close = memory_close,
};
