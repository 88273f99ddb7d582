/* SPDX-License-Identifier: MIT */
/* Taking messages by hand, one at a time. What is in the queue is taken from its logs; to wait for
 * more, a consumer of the transport is used, which sleeps and is woken as any other. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/bus_admin.h"
#include "messaging/transport.h"

#define CLOSE_MS 2000

typedef struct taking {
    gw_bus *bus;
    const char *queue;
    const gw_bus_consume_options *options;
    gw_bus_consumer consumer;
    void *ctx;
    size_t n;
    bool ended; /* the consumer has had enough, or the limit is reached */
} taking;

static bool is_enough(taking *it)
{
    it->ended = it->ended || (it->options->max_messages != 0 && it->n >= it->options->max_messages);
    return it->ended;
}

/* ---- what is there ------------------------------------------------------------------ */

static gw_status handle(taking *it, gw__log *log, const gw__log_row *row,
                        const gw__log_record *record, gw_error *err)
{
    gw_message *msg = NULL;
    gw_status st = gw__bus_read(record, it->queue, &msg, err);
    bool done = st == GW_OK && it->consumer(it->ctx, msg);
    gw_message_free(msg);
    uint32_t own = gw__bus_member(it->bus->bus);
    gw__log_settle(log, own, &record->position, 1, done ? GW__LOG_DONE : GW__LOG_RETURN);
    if (done) {
        it->n++;
    } else {
        it->ended = true;
        gw__admin_ring(it->bus, row);
    }
    return st;
}

/* The first message that is ready, by priority. */
static gw_status take_one(taking *it, bool *ret_found, gw_error *err)
{
    const gw__topology *topology;
    const gw__queue_row *queue;
    gw_status st = gw__admin_queue(it->bus, it->queue, &topology, &queue, err);
    *ret_found = false;
    if (st != GW_OK) {
        return st;
    }
    uint64_t now_ms = gw__admin_now_ms();
    (void)gw__bus_ripen(it->bus->bus, queue, now_ms);
    for (size_t i = 0; st == GW_OK && !*ret_found && i < queue->n_logs; i++) {
        const gw__log_row *row = gw__admin_log_at(queue, i);
        gw__log *log;
        gw__log_record record;
        if (row->kind == GW__LOG_DELAY) {
            break;
        }
        st = gw__bus_log(it->bus->bus, queue, row, &log, err);
        if (st == GW_OK &&
            gw__log_take(log, gw__bus_member(it->bus->bus), now_ms, 0, &record, 1) == 1) {
            *ret_found = true;
            st = handle(it, log, row, &record, err);
        }
    }
    gw__topology_put(topology);
    return st;
}

static gw_status take_all(taking *it, gw_error *err)
{
    bool found = true;
    gw_status st = GW_OK;
    while (st == GW_OK && found && !is_enough(it)) {
        st = take_one(it, &found, err);
    }
    return st;
}

/* ---- what comes ------------------------------------------------------------------------ */

typedef struct delivered delivered;
struct delivered {
    delivered *next;
    gw_message *msg;
    gw__delivery delivery;
};

/* Between the transport's thread and ours. */
typedef struct inbox {
    pthread_mutex_t lock;
    delivered *first;
    delivered **last;
    bool failed; /* with `why`: the consumer does not consume */
    gw_error why;
    int event_fd;
} inbox;

static void wake(inbox *in)
{
    uint64_t one = 1;
    ssize_t n = write(in->event_fd, &one, sizeof(one)); /* full: it is awake */
    (void)n;
}

static void on_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    inbox *in = ctx;
    delivered *item = malloc(sizeof(*item));
    pthread_mutex_lock(&in->lock);
    if (item != NULL) {
        *item = (delivered){.msg = msg, .delivery = delivery};
        *in->last = item;
        in->last = &item->next;
    } else {
        gw_message_free(msg); /* not settled: it goes back with the consumer */
        in->failed = true;
        gw_error_set(&in->why, GW_E_NOMEM, 0, "no memory for a message");
    }
    pthread_mutex_unlock(&in->lock);
    wake(in);
}

static void on_delivered(void *ctx)
{
    (void)ctx;
}

/* All of it: the epochs of a bus end only with the consumer. */
static void on_lost(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
}

static void on_state(void *ctx, bool consuming, const gw_error *why)
{
    inbox *in = ctx;
    if (consuming || why == NULL) {
        return;
    }
    pthread_mutex_lock(&in->lock);
    in->failed = true;
    in->why = *why;
    pthread_mutex_unlock(&in->lock);
    wake(in);
}

static void on_found(void *ctx, uint64_t n_waiting, uint64_t n_consumers)
{
    (void)ctx;
    (void)n_waiting;
    (void)n_consumers;
}

static void on_transport_state(void *ctx, gw_client_state state, const gw_error *why)
{
    (void)ctx;
    (void)state;
    (void)why;
}

static delivered *pop(inbox *in, gw_status *ret_st, gw_error *err)
{
    pthread_mutex_lock(&in->lock);
    delivered *item = in->first;
    if (item != NULL) {
        in->first = item->next;
        in->last = in->first == NULL ? &in->first : in->last;
    } else if (in->failed) {
        *ret_st = gw_error_set(err, in->why.status, in->why.native, "%s", in->why.text);
    }
    pthread_mutex_unlock(&in->lock);
    return item;
}

/* False: it is to end. */
static bool wait_for_more(const taking *it, inbox *in)
{
    struct pollfd fds[2] = {{.fd = in->event_fd, .events = POLLIN},
                            {.fd = it->options->stop_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    uint64_t n;
    if ((fds[0].revents & POLLIN) != 0 && read(in->event_fd, &n, sizeof(n)) < 0) {
        return false;
    }
    return fds[1].revents == 0;
}

static gw_status follow(taking *it, inbox *in, gw__consumer *consumer, gw_error *err)
{
    gw_status st = GW_OK;
    while (st == GW_OK && !is_enough(it)) {
        delivered *item = pop(in, &st, err);
        if (item == NULL) {
            if (st == GW_OK && !wait_for_more(it, in)) {
                break;
            }
            continue;
        }
        if (it->consumer(it->ctx, item->msg)) {
            it->n++;
            consumer->transport->type->settle(consumer, &item->delivery, 1, GW__ACK);
        } else {
            it->ended = true;
        }
        gw_message_free(item->msg);
        free(item);
    }
    return st;
}

static gw_status follow_with(taking *it, gw__transport *transport, inbox *in, gw_error *err)
{
    gw__consumer_spec spec = {
        .queue = it->queue, .consumer_name = "godwit", .prefetch = 1, .passive = true};
    gw__sink sink = {.deliver = on_deliver,
                     .delivered = on_delivered,
                     .lost = on_lost,
                     .state = on_state,
                     .found = on_found,
                     .ctx = in};
    gw__consumer *consumer;
    gw_status st = transport->type->subscribe(transport, &spec, &sink, &consumer, err);
    if (st != GW_OK) {
        return st;
    }
    st = follow(it, in, consumer, err);
    transport->type->cancel(consumer, CLOSE_MS);
    transport->type->release(consumer, CLOSE_MS);
    return st;
}

static gw_status take_what_comes(taking *it, gw_error *err)
{
    inbox in = {.lock = PTHREAD_MUTEX_INITIALIZER, .event_fd = eventfd(0, EFD_CLOEXEC)};
    in.last = &in.first;
    if (in.event_fd < 0) {
        return gw_error_set_errno(err, errno, "cannot wait for messages");
    }
    gw__transport_options options = {.name = "godwit"};
    gw__transport_events events = {.state = on_transport_state};
    gw__transport *transport;
    char url[sizeof(((gw__bus_place *)NULL)->dir) + 8];
    snprintf(url, sizeof(url), "bus:%s", gw_bus_dir(it->bus));
    gw_status st = gw__bus_transport.open(url, &options, &events, &transport, err);
    if (st == GW_OK) {
        st = follow_with(it, transport, &in, err);
        transport->type->close(transport, CLOSE_MS);
    }
    for (delivered *item = in.first, *next; item != NULL; item = next) {
        next = item->next;
        gw_message_free(item->msg);
        free(item);
    }
    close(in.event_fd);
    return st;
}

gw_status gw_bus_consume(gw_bus *bus, const char *queue, const gw_bus_consume_options *options,
                         gw_bus_consumer consumer, void *ctx, size_t *ret_n, gw_error *err)
{
    gw_status st = gw__admin_may_change(bus, err);
    taking it = {.bus = bus, .queue = queue, .options = options, .consumer = consumer, .ctx = ctx};
    if (st == GW_OK) {
        st = take_all(&it, err);
    }
    if (st == GW_OK && options->follow && !is_enough(&it)) {
        st = take_what_comes(&it, err);
    }
    if (ret_n != NULL) {
        *ret_n = it.n;
    }
    return st;
}
