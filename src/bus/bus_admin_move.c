/* SPDX-License-Identifier: MIT */
/*
 * The way from a bus to a broker: what is in each queue is published on the queue of the same name,
 * and settled here when the broker has confirmed it. So a message is in one of the two at every
 * moment, and in both for a short one.
 *
 * It ends at the first message that the broker does not take; that one and all behind it go back to
 * their old places.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/url.h>

#include "base/cond.h"
#include "bus/bus_admin.h"
#include "messaging/client.h"

#define WINDOW          512                /* messages on their way, ... */
#define WINDOW_BYTES    ((size_t)16 << 20) /* ... and about how many bytes, one message at least */
#define OUTBOX_BYTES    ((size_t)512 << 20)
#define BATCH           64
#define PROGRESS_MS     200
#define CLOSE_MS        2000
#define TIMEOUT_DEFAULT 10000

typedef enum slot_state { SLOT_FREE, SLOT_OUT, SLOT_CONFIRMED, SLOT_FAILED } slot_state;

typedef struct mover mover;

/* A message on its way. */
typedef struct slot {
    mover *mover;
    slot_state state; /* guarded by the mover's lock */
    uint64_t position;
    size_t size;
} slot;

struct mover {
    gw_bus *bus;
    const char *url;
    const gw_bus_move_options *options;
    char *user;            /* of the URL; NULL: none */
    gw_client *clients[2]; /* by the type of queues that they declare; made when they are needed */
    gw_bus_moving moving;
    uint64_t progress_ms;
    uint64_t n_moved;  /* of all queues */
    uint64_t n_leased; /* at other consumers */

    gw__log *log; /* whose records are in the slots */
    const gw__log_row *row;
    slot slots[WINDOW];

    pthread_mutex_t lock; /* of what follows and of the slots' states */
    pthread_cond_t changed;
    uint64_t n_settled; /* grows with each outcome */
    gw_error failure;   /* the first one */
};

static void report(mover *it, bool ended)
{
    uint64_t now_ms = gw_clock_ms();
    it->moving.ended = ended;
    if (it->options->progress != NULL && (ended || now_ms - it->progress_ms >= PROGRESS_MS)) {
        it->progress_ms = now_ms;
        it->options->progress(it->options->ctx, &it->moving);
    }
}

static unsigned timeout_of(const mover *it)
{
    return it->options->timeout_ms != 0 ? it->options->timeout_ms : TIMEOUT_DEFAULT;
}

/* ---- what is on its way ---------------------------------------------------------------- */

/* @thread the client's */
static void on_outcome(void *ctx, gw_status outcome, const gw_error *why)
{
    slot *one = ctx;
    mover *it = one->mover;
    pthread_mutex_lock(&it->lock);
    one->state = outcome == GW_OK ? SLOT_CONFIRMED : SLOT_FAILED;
    it->n_settled++;
    if (outcome != GW_OK && it->failure.status == GW_OK) {
        gw_error_set(&it->failure, outcome, why != NULL ? why->native : 0,
                     "queue '%s': the broker did not take a message: %s", it->moving.queue,
                     why != NULL ? why->text : gw_status_text(outcome));
    }
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

typedef struct load {
    size_t n_out;
    size_t bytes;
} load;

/* Settle what was confirmed. Once something failed, the rest goes back with end_log(). */
static load collect(mover *it)
{
    uint64_t positions[WINDOW];
    size_t n = 0;
    load now = {0, 0};
    pthread_mutex_lock(&it->lock);
    for (size_t i = 0; i < WINDOW; i++) {
        slot *one = &it->slots[i];
        if (one->state == SLOT_CONFIRMED) {
            positions[n++] = one->position;
            one->state = SLOT_FREE;
        } else if (one->state == SLOT_OUT) {
            now.n_out++;
            now.bytes += one->size;
        }
    }
    pthread_mutex_unlock(&it->lock);
    if (n > 0) {
        gw__log_settle(it->log, gw__bus_member(it->bus->bus), positions, n, GW__LOG_DONE);
        it->moving.n_moved += n;
        it->n_moved += n;
        report(it, false);
    }
    return now;
}

static gw_status failure_of(mover *it, gw_error *err)
{
    pthread_mutex_lock(&it->lock);
    gw_status st = it->failure.status;
    if (st != GW_OK) {
        gw_error_set(err, st, it->failure.native, "%s", it->failure.text);
    }
    pthread_mutex_unlock(&it->lock);
    return st;
}

static gw_status fail_wait(mover *it, gw_error *err)
{
    char reason[256] = "";
    for (size_t i = 0; i < 2; i++) {
        if (it->clients[i] != NULL &&
            gw_client_get_state(it->clients[i], reason, sizeof(reason)) != GW_CLIENT_UP) {
            break;
        }
    }
    return gw_error_set(err, GW_E_TIMEOUT, 0,
                        "queue '%s': the broker confirmed nothing for %u ms%s%s", it->moving.queue,
                        timeout_of(it), reason[0] != '\0' ? ": " : "", reason);
}

/* Wait until less than this is on its way, or until something failed. */
static gw_status wait_below(mover *it, size_t n_out, size_t bytes, gw_error *err)
{
    for (;;) {
        pthread_mutex_lock(&it->lock);
        uint64_t n_settled = it->n_settled;
        pthread_mutex_unlock(&it->lock);
        load now = collect(it);
        gw_status st = failure_of(it, err);
        if (st != GW_OK || (now.n_out < n_out && (now.bytes < bytes || now.n_out == 0))) {
            return st;
        }
        uint64_t deadline_ms = gw_clock_ms() + timeout_of(it);
        bool in_time = true;
        pthread_mutex_lock(&it->lock);
        while (it->n_settled == n_settled && in_time) {
            in_time = gw__cond_wait_until(&it->changed, &it->lock, deadline_ms);
        }
        pthread_mutex_unlock(&it->lock);
        if (!in_time) {
            return fail_wait(it, err);
        }
    }
}

/* ---- one message -------------------------------------------------------------------------- */

static gw_status client_for(mover *it, gw_queue_type type, gw_client **ret_client, gw_error *err)
{
    gw_client **client = &it->clients[type == GW_QUEUE_QUORUM ? 1 : 0];
    gw_status st = GW_OK;
    if (*client == NULL) {
        gw_client_options options = GW_CLIENT_OPTIONS_INIT;
        options.name = "godwit";
        options.queue_type = type;
        options.outbox_max_bytes = OUTBOX_BYTES;
        st = gw_connect(it->url, &options, client, err);
        if (st == GW_OK) {
            st = gw_wait_up(*client, timeout_of(it), err);
        }
    }
    *ret_client = *client;
    return st;
}

/* RabbitMQ closes the channel for a message of another user than the connection's. */
static gw_status fit_user(const mover *it, gw_message *msg)
{
    const char *user = gw_message_user_id(msg);
    bool other = user != NULL && (it->user == NULL || strcmp(user, it->user) != 0);
    return other ? gw_message_set_user_id(msg, NULL) : GW_OK;
}

static slot *free_slot(mover *it)
{
    slot *found = NULL;
    pthread_mutex_lock(&it->lock);
    for (size_t i = 0; i < WINDOW && found == NULL; i++) {
        found = it->slots[i].state == SLOT_FREE ? &it->slots[i] : NULL;
    }
    pthread_mutex_unlock(&it->lock);
    return found; /* only this thread gives them away */
}

static gw_status send_one(mover *it, const gw__queue_row *queue, const gw__log_record *record,
                          gw_error *err)
{
    gw_client *client;
    gw_message *msg = NULL;
    gw_status st = client_for(it, queue->type, &client, err);
    if (st == GW_OK) {
        st = wait_below(it, WINDOW, WINDOW_BYTES, err);
    }
    if (st == GW_OK) {
        st = gw__bus_read(record, queue->name, &msg, err);
    }
    if (st == GW_OK && fit_user(it, msg) != GW_OK) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a message");
    }
    if (st == GW_OK) {
        slot *one = free_slot(it);
        pthread_mutex_lock(&it->lock);
        one->mover = it;
        one->state = SLOT_OUT;
        one->position = record->position;
        one->size = record->len;
        pthread_mutex_unlock(&it->lock);
        st = gw__client_forward(client, queue->name, 0, msg, on_outcome, one, err);
        if (st != GW_OK) {
            pthread_mutex_lock(&it->lock);
            one->state = SLOT_FREE;
            pthread_mutex_unlock(&it->lock);
        }
    }
    if (st != GW_OK) {
        gw_message_free(msg);
    }
    return st;
}

/* ---- one log ------------------------------------------------------------------------------- */

static void give_back(mover *it, const uint64_t *positions, size_t n)
{
    gw__log_settle(it->log, gw__bus_member(it->bus->bus), positions, n, GW__LOG_RETURN);
}

/* What is in the slots and is not confirmed goes back. The clients are closed: nothing changes any
 * more. */
static void give_back_slots(mover *it)
{
    if (it->log == NULL) {
        return;
    }
    (void)collect(it);
    uint64_t positions[WINDOW];
    size_t n = 0;
    for (size_t i = 0; i < WINDOW; i++) {
        if (it->slots[i].state != SLOT_FREE) {
            positions[n++] = it->slots[i].position;
        }
    }
    give_back(it, positions, n);
    gw__admin_ring(it->bus, it->row);
}

/* Send a batch. What was not given to a client goes back. */
static gw_status send_batch(mover *it, const gw__queue_row *queue, const gw__log_record *records,
                            size_t n, gw_error *err)
{
    gw_status st = GW_OK;
    size_t n_sent = 0;
    while (st == GW_OK && n_sent < n) {
        st = send_one(it, queue, &records[n_sent], err);
        n_sent += st == GW_OK ? 1 : 0;
    }
    uint64_t positions[BATCH];
    for (size_t i = n_sent; i < n; i++) {
        positions[i - n_sent] = records[i].position;
    }
    give_back(it, positions, n - n_sent);
    return st;
}

static gw_status move_log(mover *it, const gw__queue_row *queue, const gw__log_row *row,
                          gw_error *err)
{
    gw__log *log;
    gw_status st = gw__bus_log(it->bus->bus, queue, row, &log, err);
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_OK : st;
    }
    it->log = log;
    it->row = row;
    size_t n = 1;
    while (st == GW_OK && n > 0) {
        gw__log_record records[BATCH];
        n = gw__log_take(log, gw__bus_member(it->bus->bus), gw__admin_now_ms(),
                         row->kind == GW__LOG_DELAY ? UINT64_MAX : 0, records, BATCH);
        st = send_batch(it, queue, records, n, err);
    }
    return st == GW_OK ? wait_below(it, 1, SIZE_MAX, err) : st;
}

/* ---- the queues ------------------------------------------------------------------------------ */

static gw_status count(gw_bus *bus, const gw__queue_row *queue, uint64_t *ret_n_waiting,
                       uint64_t *ret_n_leased)
{
    *ret_n_waiting = *ret_n_leased = 0;
    for (size_t i = 0; i < queue->n_logs; i++) {
        gw__log *log;
        gw__log_counts counts;
        if (gw__bus_log(bus->bus, queue, &queue->logs[i], &log, NULL) == GW_OK) {
            gw__log_count(log, &counts);
            *ret_n_waiting += counts.n_ready;
            *ret_n_leased += counts.n_leased;
        }
    }
    return GW_OK;
}

static gw_status move_queue(mover *it, const gw__queue_row *queue, gw_error *err)
{
    uint64_t n_leased;
    gw_status st = GW_OK;
    it->moving = (gw_bus_moving){.queue = queue->name, .temporary = queue->temporary};
    count(it->bus, queue, &it->moving.n_waiting, &n_leased);
    it->progress_ms = 0;
    report(it, false);
    for (size_t i = 0; st == GW_OK && !queue->temporary && !it->options->dry_run; i++) {
        if (i == queue->n_logs) {
            break;
        }
        st = move_log(it, queue, gw__admin_log_at(queue, i), err);
    }
    if (st == GW_OK && !queue->temporary) {
        uint64_t n_waiting;
        count(it->bus, queue, &n_waiting, &n_leased);
        it->n_leased += n_leased;
    }
    report(it, true);
    return st;
}

/* Every queue once. */
static gw_status move_all(mover *it, gw_error *err)
{
    const gw__topology *topology;
    gw_status st = gw__topology_get(gw__bus_definitions(it->bus->bus), &topology, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n_queues;
    const gw__queue_row *const *queues = gw__topology_queues(topology, &n_queues);
    it->n_leased = 0;
    for (size_t i = 0; st == GW_OK && i < n_queues; i++) {
        st = move_queue(it, queues[i], err);
    }
    if (st != GW_OK) { /* while the rows are there */
        for (size_t i = 0; i < 2; i++) {
            (void)gw_close(it->clients[i], CLOSE_MS, NULL);
            it->clients[i] = NULL;
        }
        give_back_slots(it);
    }
    gw__topology_put(topology);
    return st;
}

static gw_status run(mover *it, gw_error *err)
{
    gw_client *client;
    uint64_t n_before;
    gw_status st = client_for(it, GW_QUEUE_CLASSIC, &client, err);
    do { /* again when something came meanwhile, as a retry of a consumer does */
        n_before = it->n_moved;
        st = st == GW_OK ? move_all(it, err) : st;
    } while (st == GW_OK && it->n_moved > n_before);
    if (st == GW_OK && it->n_leased > 0 && !it->options->dry_run) {
        st = gw_error_set(
            err, GW_E_BUSY, 0,
            "the rest is at consumers of the bus in %s (messages: %llu): stop these, then "
            "move it",
            gw_bus_dir(it->bus), (unsigned long long)it->n_leased);
    }
    return st;
}

/* amqp:// only; fills in the user. */
static gw_status check_url(mover *it, gw_error *err)
{
    if (it->url == NULL || strncmp(it->url, "amqp://", 7) != 0) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "messages move to a broker: amqp://user@host:5672/vhost");
    }
    gw_url url;
    gw_status st = gw_url_parse(it->url, &url, err);
    if (st == GW_OK) {
        const char *user = url.user != NULL ? url.user : "guest";
        it->user = strdup(user);
        gw_url_dispose(&url);
    }
    return st;
}

gw_status gw_bus_move(gw_bus *bus, const char *url, const gw_bus_move_options *options,
                      uint64_t *ret_n_moved, gw_error *err)
{
    gw_bus_move_options defaults = {.timeout_ms = 0};
    mover *it = calloc(1, sizeof(*it));
    if (it == NULL || gw__cond_init(&it->changed) != 0) {
        free(it);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to move messages");
    }
    pthread_mutex_init(&it->lock, NULL);
    it->bus = bus;
    it->url = url;
    it->options = options != NULL ? options : &defaults;
    gw_status st = gw__admin_may_change(bus, err);
    if (st == GW_OK) {
        st = check_url(it, err);
    }
    if (st == GW_OK) {
        st = run(it, err);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)gw_close(it->clients[i], CLOSE_MS, NULL);
    }
    if (ret_n_moved != NULL) {
        *ret_n_moved = it->n_moved;
    }
    pthread_cond_destroy(&it->changed);
    pthread_mutex_destroy(&it->lock);
    free(it->user);
    free(it);
    return st;
}
