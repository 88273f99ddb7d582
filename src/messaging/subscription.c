/* SPDX-License-Identifier: MIT */
#include "messaging/subscription.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "base/cond.h"
#include "messaging/client.h"
#include "messaging/dead_letter.h"
#include "messaging/message.h"

#define RETRY_DELAY_MAX_MS 60000
#define BURY_AGAIN_MS      5000   /* when a dead letter could not be published */
#define ACK_BATCH          64     /* messages handled quickly are acknowledged together; */
#define ACK_DELAY_NS       500000 /* handling them took no longer than this */
#define WORKERS_MAX        256
#define WORKER_STACK       ((size_t)512 << 10)

typedef struct subscription subscription;

/* A delivery on its way through the subscription. */
typedef struct job {
    struct job *next;
    subscription *sub;
    gw_message *msg;
    gw__delivery delivery;
    unsigned attempt;
    uint64_t due_ms; /* in the delayed list */
    char *reason;    /* set: the handlers are done with it, what is left is the dead letter */
} job;

struct subscription {
    gw_subscription base;
    gw__transport *transport;
    gw__consumer *consumer; /* set before the workers start; NULL once released */
    gw_handler handler;
    void *handler_ctx;
    gw_subscribe_options options;
    char *queue;
    bool temporary;
    _Atomic uint64_t lost_epoch; /* deliveries up to this epoch are void */
    _Atomic bool stopping;       /* set under the lock */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    job *ready;
    job **ready_tail;
    job *delayed; /* in order of due_ms */
    unsigned n_idle;
    unsigned n_fresh; /* delivered since workers were woken last */
    size_t n_burying; /* dead letters that the outbox has */
    bool orphaned;    /* stopped while dead letters were on their way: the last one frees */
    bool consuming;
    char why[GW_ERROR_TEXT_MAX];

    unsigned n_workers;
    gw_histogram *seconds;
    gw_counter *handled[3]; /* by verdict */
    gw_counter *dead;
    pthread_t workers[];
};

/* What one worker has to acknowledge. It waits at most for the next handler to return, or for
 * nothing when there is no next message. */
typedef struct ack_batch {
    gw__delivery items[ACK_BATCH];
    size_t n_items;
    uint64_t start_ns; /* when the handler of the first one was called */
} ack_batch;

static void free_job(job *it)
{
    if (it != NULL) {
        gw_message_free(it->msg);
        free(it->reason);
        free(it);
    }
}

static void free_jobs(job *it)
{
    job *next;
    for (; it != NULL; it = next) {
        next = it->next;
        free_job(it);
    }
}

static void free_subscription(subscription *sub)
{
    free_jobs(sub->ready);
    free_jobs(sub->delayed);
    pthread_cond_destroy(&sub->changed);
    pthread_mutex_destroy(&sub->lock);
    free(sub->queue);
    free(sub);
}

/* Whether the connection it came over is lost: the broker delivers it again. */
static bool is_void(subscription *sub, const job *it)
{
    return it->delivery.epoch <= atomic_load(&sub->lost_epoch);
}

/* ---- the two queues; all @locks sub->lock held ------------------------------ */

static void append_ready_locked(subscription *sub, job *it)
{
    it->next = NULL;
    *sub->ready_tail = it;
    sub->ready_tail = &it->next;
}

static void push_ready_locked(subscription *sub, job *it)
{
    append_ready_locked(sub, it);
    if (sub->n_idle > 0) {
        pthread_cond_signal(&sub->changed);
    }
}

static void push_delayed_locked(subscription *sub, job *it, uint64_t delay_ms)
{
    it->due_ms = gw_clock_ms() + delay_ms;
    job **at = &sub->delayed;
    while (*at != NULL && (*at)->due_ms <= it->due_ms) {
        at = &(*at)->next;
    }
    it->next = *at;
    *at = it;
    pthread_cond_signal(&sub->changed); /* the time to wait for may be an earlier one now */
}

static void ripen_delayed_locked(subscription *sub)
{
    if (sub->delayed == NULL) {
        return;
    }
    uint64_t now_ms = gw_clock_ms();
    while (sub->delayed != NULL && sub->delayed->due_ms <= now_ms) {
        job *it = sub->delayed;
        sub->delayed = it->next;
        push_ready_locked(sub, it);
    }
}

/* Remove what belongs to a lost epoch; returns it, to be freed without the lock. */
static job *drop_lost_locked(job **list, uint64_t epoch)
{
    job *dropped = NULL;
    while (*list != NULL) {
        job *it = *list;
        if (it->delivery.epoch > epoch) {
            list = &it->next;
            continue;
        }
        *list = it->next;
        it->next = dropped;
        dropped = it;
    }
    return dropped;
}

/* ---- what the transport calls ------------------------------------------------ */

/* @thread the transport's consuming thread, as the next three */
static void sink_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    subscription *sub = ctx;
    job *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        gw_message_free(msg); /* unsettled: the broker has it still */
        return;
    }
    it->sub = sub;
    it->msg = msg;
    it->delivery = delivery;
    it->attempt = 1;
    pthread_mutex_lock(&sub->lock);
    append_ready_locked(sub, it);
    sub->n_fresh++;
    pthread_mutex_unlock(&sub->lock);
}

static void sink_delivered(void *ctx)
{
    subscription *sub = ctx;
    pthread_mutex_lock(&sub->lock);
    for (; sub->n_fresh > 0; sub->n_fresh--) {
        if (sub->n_fresh <= sub->n_idle) {
            pthread_cond_signal(&sub->changed);
        }
    }
    pthread_mutex_unlock(&sub->lock);
}

static void sink_lost(void *ctx, uint64_t epoch)
{
    subscription *sub = ctx;
    atomic_store(&sub->lost_epoch, epoch);
    pthread_mutex_lock(&sub->lock);
    job *dropped = drop_lost_locked(&sub->ready, epoch);
    job *dropped_later = drop_lost_locked(&sub->delayed, epoch);
    sub->ready_tail = &sub->ready;
    while (*sub->ready_tail != NULL) {
        sub->ready_tail = &(*sub->ready_tail)->next;
    }
    pthread_mutex_unlock(&sub->lock);
    free_jobs(dropped);
    free_jobs(dropped_later);
}

static void sink_state(void *ctx, bool consuming, const gw_error *why)
{
    subscription *sub = ctx;
    pthread_mutex_lock(&sub->lock);
    sub->consuming = consuming;
    snprintf(sub->why, sizeof(sub->why), "%s", why != NULL ? why->text : "");
    pthread_mutex_unlock(&sub->lock);
    gw__client_update_state(sub->base.client);
}

/* ---- settling ------------------------------------------------------------------- */

static void settle(subscription *sub, const gw__delivery *items, size_t n_items, gw__settlement how)
{
    sub->transport->type->settle(sub->consumer, items, n_items, how);
}

static void flush_acks(subscription *sub, ack_batch *acks)
{
    if (acks->n_items > 0) {
        settle(sub, acks->items, acks->n_items, GW__ACK);
        acks->n_items = 0;
    }
}

/* `start_ns` is when the handler of `it` was called. */
static void add_ack(subscription *sub, ack_batch *acks, const job *it, uint64_t start_ns)
{
    if (acks->n_items == 0) {
        acks->start_ns = start_ns;
    }
    acks->items[acks->n_items++] = it->delivery;
    if (acks->n_items == ACK_BATCH || gw_clock_ns() - acks->start_ns >= ACK_DELAY_NS) {
        flush_acks(sub, acks);
    }
}

/* ---- dead letters ------------------------------------------------------------- */

/* The dead letter arrived, or did not. @thread the transport's publishing thread, or gw_close() */
static void on_buried(void *ctx, gw_status outcome, const gw_error *why)
{
    (void)why;
    job *it = ctx;
    subscription *sub = it->sub;
    pthread_mutex_lock(&sub->lock);
    sub->n_burying--;
    bool again = outcome != GW_OK && !sub->stopping;
    if (outcome == GW_OK) {
        gw_counter_add(sub->dead, 1);
    }
    if (outcome == GW_OK && sub->consumer != NULL) { /* under the lock: it is not released now */
        settle(sub, &it->delivery, 1, GW__ACK);
    }
    if (again) {
        push_delayed_locked(sub, it, BURY_AGAIN_MS);
    }
    bool last = sub->orphaned && sub->n_burying == 0;
    pthread_cond_broadcast(&sub->changed);
    pthread_mutex_unlock(&sub->lock);
    /* From here on only the last one may touch sub. */
    if (!again) {
        free_job(it);
    }
    if (last) {
        free_subscription(sub);
    }
}

/* Publish the dead letter of `it`, which has a reason; the delivery is acknowledged when that is
 * confirmed. */
static void bury(subscription *sub, job *it)
{
    gw_error err = GW_ERROR_INIT;
    char queue[GW_MESSAGE_TEXT_MAX + sizeof(GW__DEAD_SUFFIX)];
    snprintf(queue, sizeof(queue), "%s%s", sub->queue, GW__DEAD_SUFFIX);
    gw__dead_reason reason = {.text = it->reason,
                              .queue = sub->queue,
                              .service = gw__client_name(sub->base.client),
                              .n_attempts = it->attempt};
    gw_message *letter = gw__dead_letter_new(it->msg, &reason);
    pthread_mutex_lock(&sub->lock);
    sub->n_burying++;
    pthread_mutex_unlock(&sub->lock);
    gw_status st = letter == NULL ? gw_error_set(&err, GW_E_NOMEM, 0, "no memory for a dead letter")
                                  : gw__client_publish_on_queue(sub->base.client, queue, letter,
                                                                on_buried, it, &err);
    if (st == GW_OK) {
        return;
    }
    gw_message_free(letter);
    gw_log_warn("messaging", "a message of queue '%s' waits to be moved to '%s': %s", sub->queue,
                queue, err.text);
    pthread_mutex_lock(&sub->lock);
    sub->n_burying--;
    push_delayed_locked(sub, it, BURY_AGAIN_MS);
    pthread_mutex_unlock(&sub->lock);
}

static void give_up(subscription *sub, job *it, ack_batch *acks, uint64_t start_ns,
                    const char *reason)
{
    const char *id = gw_message_id(it->msg);
    if (sub->temporary) {
        gw_log_error("messaging", "message %s of '%s' is given up: %s",
                     id != NULL ? id : "without an id", sub->queue, reason);
        gw_counter_add(sub->dead, 1);
        add_ack(sub, acks, it, start_ns);
        free_job(it);
        return;
    }
    gw_log_warn("messaging", "message %s of queue '%s' goes to '%s%s': %s",
                id != NULL ? id : "without an id", sub->queue, sub->queue, GW__DEAD_SUFFIX, reason);
    it->reason = strdup(reason);
    if (it->reason == NULL) {
        settle(sub, &it->delivery, 1, GW__REQUEUE);
        free_job(it);
        return;
    }
    bury(sub, it);
}

/* ---- handling ------------------------------------------------------------------- */

static uint64_t retry_delay_ms(const subscription *sub, unsigned attempt)
{
    uint64_t delay_ms = sub->options.retry_delay_ms;
    for (unsigned i = 1; i < attempt && delay_ms < RETRY_DELAY_MAX_MS; i++) {
        delay_ms *= 2;
    }
    return delay_ms < RETRY_DELAY_MAX_MS ? delay_ms : RETRY_DELAY_MAX_MS;
}

static void retry_later(subscription *sub, job *it, const gw_error *why)
{
    uint64_t delay_ms = retry_delay_ms(sub, it->attempt);
    char of[32] = "";
    if (sub->options.max_attempts != UINT_MAX) {
        snprintf(of, sizeof(of), " of %u", sub->options.max_attempts);
    }
    gw_log_warn("messaging",
                "a message of queue '%s' is tried again in %llu ms (attempt %u%s failed): %s",
                sub->queue, (unsigned long long)delay_ms, it->attempt, of, why->text);
    it->attempt++;
    pthread_mutex_lock(&sub->lock);
    push_delayed_locked(sub, it, delay_ms);
    pthread_mutex_unlock(&sub->lock);
}

/* Let the handler have it, and do what it says. `it` is taken. */
static void handle(subscription *sub, job *it, ack_batch *acks)
{
    gw_error why = GW_ERROR_INIT;
    gw__message_set_attempt(it->msg, it->attempt);
    uint64_t start_ns = gw_clock_ns();
    gw_verdict verdict = sub->handler(sub->handler_ctx, it->msg, &why);
    gw_histogram_observe(sub->seconds, gw_clock_ns() - start_ns);
    gw_counter_add(sub->handled[verdict <= GW_REJECT ? verdict : GW_REJECT], 1);
    if (verdict == GW_DONE) {
        add_ack(sub, acks, it, start_ns);
        free_job(it);
        return;
    }
    if (is_void(sub, it)) { /* the broker delivers it again: what is due then is decided then */
        free_job(it);
        return;
    }
    if (why.status == GW_OK) {
        gw_error_set(&why, GW_E_INVALID, 0, "the handler gave no reason");
    }
    if (verdict == GW_RETRY && it->attempt < sub->options.max_attempts) {
        retry_later(sub, it, &why);
        return;
    }
    if (verdict == GW_RETRY) {
        gw_error_prefix(&why, why.status, "given up after %u attempts", it->attempt);
    }
    give_up(sub, it, acks, start_ns, why.text);
}

/* Wait for the next job to be due. @locks sub->lock held */
static void wait_locked(subscription *sub)
{
    sub->n_idle++;
    gw__cond_wait_until(&sub->changed, &sub->lock,
                        sub->delayed != NULL ? sub->delayed->due_ms : UINT64_MAX);
    sub->n_idle--;
}

/* Take work: one job when workers share, all there is when there is one worker. NULL when stopping.
 */
static job *take_jobs(subscription *sub, ack_batch *acks)
{
    pthread_mutex_lock(&sub->lock);
    ripen_delayed_locked(sub);
    while (sub->ready == NULL && !sub->stopping) {
        if (acks->n_items > 0) {
            pthread_mutex_unlock(&sub->lock);
            flush_acks(sub, acks);
            pthread_mutex_lock(&sub->lock);
        } else {
            wait_locked(sub);
        }
        ripen_delayed_locked(sub);
    }
    job *taken = sub->stopping ? NULL : sub->ready;
    if (taken != NULL && sub->n_workers == 1) {
        sub->ready = NULL;
    } else if (taken != NULL) {
        sub->ready = taken->next;
        taken->next = NULL;
    }
    if (sub->ready == NULL) {
        sub->ready_tail = &sub->ready;
    }
    if (taken != NULL && sub->delayed != NULL && sub->n_idle > 0) {
        pthread_cond_signal(&sub->changed); /* this worker watched the time: another does now */
    }
    pthread_mutex_unlock(&sub->lock);
    return taken;
}

static void *worker_main(void *ctx)
{
    subscription *sub = ctx;
    ack_batch acks = {.n_items = 0};
    job *it;
    while ((it = take_jobs(sub, &acks)) != NULL) {
        while (it != NULL) {
            job *next = it->next;
            if (is_void(sub, it) || sub->stopping) {
                free_job(it); /* unsettled: the broker delivers it again */
            } else if (it->reason != NULL) {
                bury(sub, it);
            } else {
                handle(sub, it, &acks);
            }
            it = next;
        }
    }
    flush_acks(sub, &acks);
    return NULL;
}

/* ---- lifecycle -------------------------------------------------------------------- */

static void register_metrics(subscription *sub)
{
    static const char *const verdicts[] = {"done", "retry", "reject"};
    gw_buf labels;
    gw_buf_init(&labels, 2048);
    /* A temporary queue's name is new with each start: its exchange is what one looks for. */
    gw_metrics_label(&labels, "queue", sub->temporary ? "temporary" : sub->queue);
    size_t len = labels.len;
    sub->seconds = gw_metrics_histogram("godwit_handler_seconds",
                                        "Time that message handlers took.", labels.data);
    sub->dead =
        gw_metrics_counter("godwit_dead_letters_total",
                           "Messages moved to a dead letter queue, or given up.", labels.data);
    for (size_t i = 0; i < 3; i++) {
        labels.len = len;
        gw_metrics_label(&labels, "verdict", verdicts[i]);
        sub->handled[i] =
            gw_metrics_counter("godwit_messages_handled_total",
                               "Messages given to handlers, by what these said.", labels.data);
    }
    gw_buf_dispose(&labels);
}

static subscription *new_subscription(gw_client *client, gw__transport *transport,
                                      const gw__consumer_spec *spec,
                                      const gw_subscribe_options *options)
{
    subscription *sub = calloc(1, sizeof(*sub) + options->n_workers * sizeof(pthread_t));
    char *queue = strdup(spec->queue);
    if (sub == NULL || queue == NULL) {
        free(sub);
        free(queue);
        return NULL;
    }
    sub->base.client = client;
    sub->transport = transport;
    sub->options = *options;
    sub->options.consumer_name = NULL; /* the caller's, and in the spec */
    sub->options.binding_key = NULL;
    sub->queue = queue;
    sub->temporary = spec->temporary;
    sub->ready_tail = &sub->ready;
    pthread_mutex_init(&sub->lock, NULL);
    gw__cond_init(&sub->changed);
    register_metrics(sub);
    return sub;
}

static int start_workers(subscription *sub)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    unsigned wanted = sub->options.n_workers;
    int rc = 0;
    pthread_mutex_lock(&sub->lock); /* the workers read n_workers */
    while (rc == 0 && sub->n_workers < wanted) {
        rc = pthread_create(&sub->workers[sub->n_workers], &attr, worker_main, sub);
        sub->n_workers += rc == 0 ? 1 : 0;
    }
    pthread_mutex_unlock(&sub->lock);
    pthread_attr_destroy(&attr);
    return rc;
}

gw_status gw__subscription_start(gw_client *client, gw__transport *transport,
                                 const gw__consumer_spec *spec, const gw_subscribe_options *options,
                                 gw_handler handler, void *ctx, gw_subscription **ret_sub,
                                 gw_error *err)
{
    if (options->n_workers < 1 || options->n_workers > WORKERS_MAX || options->prefetch < 1 ||
        options->max_attempts < 1) {
        return gw_error_set(
            err, GW_E_INVALID, 0,
            "subscription to '%s': n_workers must be 1 to %d, prefetch and max_attempts 1 or more",
            spec->queue, WORKERS_MAX);
    }
    subscription *sub = new_subscription(client, transport, spec, options);
    if (sub == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a subscription");
    }
    sub->handler = handler;
    sub->handler_ctx = ctx;
    gw__sink sink = {.deliver = sink_deliver,
                     .delivered = sink_delivered,
                     .lost = sink_lost,
                     .state = sink_state,
                     .ctx = sub};
    gw_status st = transport->type->subscribe(transport, spec, &sink, &sub->consumer, err);
    if (st != GW_OK) {
        free_subscription(sub);
        return st;
    }
    int rc = start_workers(sub);
    if (rc != 0) {
        uint64_t deadline_ms = gw_clock_ms() + 1000;
        gw__subscription_cancel(&sub->base, deadline_ms);
        gw__subscription_stop(&sub->base, deadline_ms);
        return gw_error_set_errno(err, rc, "cannot start a thread for queue '%s'", spec->queue);
    }
    *ret_sub = &sub->base;
    return GW_OK;
}

bool gw__subscription_is_inside(gw_subscription *base)
{
    subscription *sub = (subscription *)base;
    bool inside = false;
    pthread_mutex_lock(&sub->lock);
    for (unsigned i = 0; i < sub->n_workers; i++) {
        inside = inside || pthread_equal(pthread_self(), sub->workers[i]) != 0;
    }
    pthread_mutex_unlock(&sub->lock);
    return inside;
}

static unsigned ms_until(uint64_t deadline_ms)
{
    uint64_t now_ms = gw_clock_ms();
    return deadline_ms > now_ms ? (unsigned)(deadline_ms - now_ms) : 0;
}

void gw__subscription_cancel(gw_subscription *base, uint64_t deadline_ms)
{
    subscription *sub = (subscription *)base;
    sub->transport->type->cancel(sub->consumer, ms_until(deadline_ms));
    pthread_mutex_lock(&sub->lock);
    sub->stopping = true;
    pthread_cond_broadcast(&sub->changed);
    pthread_mutex_unlock(&sub->lock);
}

void gw__subscription_stop(gw_subscription *base, uint64_t deadline_ms)
{
    subscription *sub = (subscription *)base;
    for (unsigned i = 0; i < sub->n_workers; i++) {
        pthread_join(sub->workers[i], NULL);
    }
    bool in_time = true;
    pthread_mutex_lock(&sub->lock);
    while (sub->n_burying > 0 && in_time) {
        in_time = gw__cond_wait_until(&sub->changed, &sub->lock, deadline_ms);
    }
    gw__consumer *consumer = sub->consumer;
    sub->consumer = NULL;
    pthread_mutex_unlock(&sub->lock);

    sub->transport->type->release(consumer, ms_until(deadline_ms));

    pthread_mutex_lock(&sub->lock);
    sub->orphaned = true;
    bool last = sub->n_burying == 0;
    pthread_mutex_unlock(&sub->lock);
    if (last) {
        free_subscription(sub);
    }
}

bool gw__subscription_is_consuming(gw_subscription *base, char *ret_why, size_t size)
{
    subscription *sub = (subscription *)base;
    pthread_mutex_lock(&sub->lock);
    bool consuming = sub->consuming;
    snprintf(ret_why, size, "%s", sub->why);
    pthread_mutex_unlock(&sub->lock);
    return consuming;
}
