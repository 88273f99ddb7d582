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
#include "messaging/forward.h"
#include "messaging/jobs.h"
#include "messaging/message.h"
#include "messaging/prefetch.h"

#define AGAIN_MS     5000   /* when a retry or a dead letter could not be published */
#define ACK_BATCH    64     /* messages handled quickly are acknowledged together; */
#define ACK_DELAY_NS 500000 /* handling them took no longer than this */
#define WORKERS_MAX  256
#define WORKER_STACK ((size_t)512 << 10)

typedef struct subscription {
    gw_subscription base;
    gw__transport *transport;
    gw__consumer *consumer; /* set before the workers start */
    gw__forwarder *forwarder;
    gw_handler handler;
    void *handler_ctx;
    gw_subscribe_options options;
    char *queue;
    bool temporary;
    _Atomic uint64_t lost_epoch; /* deliveries up to this epoch are void */
    _Atomic bool stopping;       /* set under the lock */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    gw__jobs jobs;
    unsigned n_idle;
    unsigned n_fresh; /* delivered since workers were woken last */
    bool consuming;
    char why[GW_ERROR_TEXT_MAX];
    gw__prefetch tuning; /* unless options.prefetch says it */

    unsigned n_workers;
    uint16_t prefetch; /* in the gauge */
    gw_gauge *prefetches;
    gw_gauge *consumes;
    gw_gauge *waits;
    gw_histogram *seconds;
    gw_counter *handled[3]; /* by verdict */
    gw_counter *dead;
    pthread_t workers[];
} subscription;

/* What one worker has to acknowledge. It waits at most for the next handler to return, or for
 * nothing when there is no next message. */
typedef struct ack_batch {
    gw__delivery items[ACK_BATCH];
    gw__job *jobs[ACK_BATCH]; /* theirs, if they are still to be committed */
    size_t n_items;
    uint64_t start_ns; /* when the handler of the first one was called */
    uint64_t end_ns;   /* when the last handler returned */
    gw__prefetch_sample handled;
} ack_batch;

static void free_subscription(subscription *sub)
{
    gw__forwarder_free(sub->forwarder);
    gw__jobs_dispose(&sub->jobs);
    gw_gauge_add(sub->prefetches, -(int64_t)sub->prefetch);
    gw_gauge_add(sub->consuming ? sub->consumes : sub->waits, -1);
    pthread_cond_destroy(&sub->changed);
    pthread_mutex_destroy(&sub->lock);
    free(sub->queue);
    free(sub);
}

/* Whether the connection it came over is lost: the broker delivers it again. */
static bool is_void(subscription *sub, const gw__job *it)
{
    return it->delivery.epoch <= atomic_load(&sub->lost_epoch);
}

/* Append what is due, and wake who can do it. @locks sub->lock held */
static void ripen_locked(subscription *sub)
{
    unsigned n = gw__jobs_ripen(&sub->jobs);
    for (unsigned i = 0; i < n && i < sub->n_idle; i++) {
        pthread_cond_signal(&sub->changed);
    }
}

static void handle_later(subscription *sub, gw__job *it, uint64_t delay_ms)
{
    pthread_mutex_lock(&sub->lock);
    gw__jobs_delay(&sub->jobs, it, delay_ms);
    pthread_cond_signal(&sub->changed); /* the time to wait for may be an earlier one now */
    pthread_mutex_unlock(&sub->lock);
}

/* ---- what the transport calls ------------------------------------------------ */

/* @thread the transport's consuming thread, as the next three */
static void sink_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    subscription *sub = ctx;
    gw__job *it = gw__job_new(msg, delivery);
    if (it == NULL) {
        return; /* unsettled: the broker has it still */
    }
    it->count = gw__retry_read(msg, sub->queue);
    pthread_mutex_lock(&sub->lock);
    gw__jobs_append(&sub->jobs, it);
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
    gw__forwarder_lost(sub->forwarder, epoch);
    pthread_mutex_lock(&sub->lock);
    gw__job *dropped = gw__jobs_take_lost(&sub->jobs, epoch);
    pthread_mutex_unlock(&sub->lock);
    gw__job_free_all(dropped);
}

static void sink_state(void *ctx, bool consuming, const gw_error *why)
{
    subscription *sub = ctx;
    pthread_mutex_lock(&sub->lock);
    gw_gauge_add(sub->consumes, (int64_t)consuming - sub->consuming);
    gw_gauge_add(sub->waits, (int64_t)sub->consuming - consuming);
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

static void not_done(subscription *sub, gw__job *it, gw_verdict verdict, gw_error *why);

/* What the handlers did does not last: all of them once more. */
static void undo(subscription *sub, ack_batch *acks, gw_error *why)
{
    for (size_t i = 0; i < acks->n_items; i++) {
        if (sub->stopping) {
            gw__job_free(acks->jobs[i]); /* unsettled: the broker delivers it again */
        } else {
            gw_error own = *why;
            not_done(sub, acks->jobs[i], GW_RETRY, &own);
        }
    }
    acks->n_items = 0;
}

static bool commit(subscription *sub, ack_batch *acks)
{
    gw_error why = GW_ERROR_INIT;
    if (sub->options.commit(sub->handler_ctx, &why) != GW_DONE) {
        undo(sub, acks, &why);
        return false;
    }
    for (size_t i = 0; i < acks->n_items; i++) {
        gw__job_free(acks->jobs[i]);
    }
    return true;
}

static void flush_acks(subscription *sub, ack_batch *acks)
{
    if (acks->n_items > 0 && (sub->options.commit == NULL || commit(sub, acks))) {
        settle(sub, acks->items, acks->n_items, GW__ACK);
        acks->n_items = 0;
    }
}

/* `it` is taken; `start_ns` is when its handler was called. */
static void add_ack(subscription *sub, ack_batch *acks, gw__job *it, uint64_t start_ns)
{
    if (acks->n_items == 0) {
        acks->start_ns = start_ns;
    }
    acks->items[acks->n_items] = it->delivery;
    if (sub->options.commit != NULL) {
        acks->jobs[acks->n_items] = it;
    } else {
        gw__job_free(it);
    }
    acks->n_items++;
    if (acks->n_items == ACK_BATCH || acks->end_ns >= acks->start_ns + ACK_DELAY_NS) {
        flush_acks(sub, acks);
    }
}

/* ---- retries and dead letters ------------------------------------------------- */

static unsigned retry_delay_ms(const subscription *sub, unsigned attempt)
{
    return gw__retry_delay_ms(sub->options.retry_delay_ms, sub->options.retry_delay_max_ms,
                              attempt);
}

/* It is not on its way elsewhere: its time is waited for here. If that is long, the way is tried
 * again meanwhile, so that it does not hold its place for long. @locks the forwarder's held */
static void on_not_forwarded(void *ctx, gw__job *it)
{
    subscription *sub = ctx;
    unsigned left_ms = it->reason != NULL ? AGAIN_MS : it->delay_ms - it->waited_ms;
    it->retry_due = it->reason == NULL && left_ms > AGAIN_MS;
    unsigned wait_ms = it->retry_due ? AGAIN_MS : left_ms;
    it->waited_ms += it->reason == NULL ? wait_ms : 0;
    handle_later(sub, it, wait_ms);
}

/* For the log. */
static const char *id_of(const gw__job *it)
{
    const char *id = gw_message_id(it->msg);
    return id != NULL && id[0] != '\0' ? id : "without an id";
}

static void forward_retry(subscription *sub, gw__job *it, unsigned delay_ms)
{
    it->delay_ms = delay_ms;
    it->waited_ms = 0;
    gw__forward_retry(sub->forwarder, it);
}

/* The broker keeps it until its next attempt, where it holds up nobody and outlives us; but for a
 * queue of our own, which lives no longer than we do. */
static void retry_later(subscription *sub, gw__job *it, const gw_error *why)
{
    unsigned delay_ms = retry_delay_ms(sub, it->count.attempt);
    char of[32] = "";
    if (sub->options.max_attempts != UINT_MAX) {
        snprintf(of, sizeof(of), " of %u", sub->options.max_attempts);
    }
    gw_log_warn("messaging",
                "message %s of queue '%s' is tried again in %u ms (attempt %u%s failed): %s",
                id_of(it), sub->queue, delay_ms, it->count.attempt, of, why->text);
    it->count.attempt += it->count.attempt < UINT_MAX - 1 ? 1 : 0;
    if (sub->temporary) {
        handle_later(sub, it, delay_ms);
    } else {
        forward_retry(sub, it, delay_ms);
    }
}

static void give_up(subscription *sub, gw__job *it, const char *reason)
{
    if (sub->temporary) {
        gw_log_error("messaging", "message %s of '%s' is given up: %s", id_of(it), sub->queue,
                     reason);
        gw_counter_add(sub->dead, 1);
        settle(sub, &it->delivery, 1, GW__ACK); /* now: it has nothing to commit */
        gw__job_free(it);
        return;
    }
    gw_log_warn("messaging", "message %s of queue '%s' goes to '%s%s': %s", id_of(it), sub->queue,
                sub->queue, GW__DEAD_SUFFIX, reason);
    it->reason = strdup(reason);
    if (it->reason == NULL) {
        settle(sub, &it->delivery, 1, GW__REQUEUE);
        gw__job_free(it);
        return;
    }
    gw__forward_dead_letter(sub->forwarder, it);
}

/* What becomes of a message that its handler has not done, or that was not committed. `it` is
 * taken. */
static void not_done(subscription *sub, gw__job *it, gw_verdict verdict, gw_error *why)
{
    if (is_void(sub, it)) { /* the broker delivers it again: what is due then is decided then */
        gw__job_free(it);
        return;
    }
    if (why->status == GW_OK) {
        gw_error_set(why, GW_E_INVALID, 0, "the handler gave no reason");
    }
    if (verdict == GW_RETRY && it->count.attempt < sub->options.max_attempts) {
        retry_later(sub, it, why);
        return;
    }
    if (verdict == GW_RETRY) {
        gw_error_prefix(why, why->status, "given up after %u attempts", it->count.attempt);
    }
    give_up(sub, it, why->text);
}

/* ---- messages that end the process ---------------------------------------------- */

/* Whether it can be one that was being handled when a process died: it comes again, or it is a
 * second copy with the same id. That one is sent when its publisher has died before it noted the
 * confirm, as a service that publishes to a queue of its own does over such a message. One that
 * was forwarded brings its count along. */
static bool may_be_suspect(const gw__job *it)
{
    const char *id = gw_message_id(it->msg);
    return gw_message_is_redelivered(it->msg) ||
           (it->count.crashes == 0 && id != NULL && id[0] != '\0');
}

/* Whether it was being handled when the process died, and is not to be handled now: it comes again
 * later with one death more to its name, or never. */
static bool divert_suspect(subscription *sub, gw__job *it)
{
    if (sub->temporary || it->suspect || !may_be_suspect(it)) {
        return false;
    }
    unsigned crashes = gw__guard_crashes(gw__client_guard(sub->base.client), sub->queue, it->msg);
    if (crashes == 0) {
        return false;
    }
    it->suspect = true;
    it->count.crashes += crashes < UINT_MAX - it->count.crashes ? crashes : 0;
    if (it->count.crashes >= sub->options.max_crashes && sub->options.max_crashes != UINT_MAX) {
        gw_error why = GW_ERROR_INIT;
        gw_error_set(&why, GW_E_INTERNAL, 0, "the process died %u times while it handled it",
                     it->count.crashes);
        it->count.attempt--; /* the last one did not end */
        give_up(sub, it, why.text);
        return true;
    }
    unsigned delay_ms = retry_delay_ms(sub, it->count.crashes);
    gw_log_warn("messaging",
                "message %s of queue '%s' is tried again in %u ms, since the process died while it "
                "handled it (%u times so far)",
                id_of(it), sub->queue, delay_ms, it->count.crashes);
    forward_retry(sub, it, delay_ms);
    return true;
}

/* ---- handling ------------------------------------------------------------------- */

/* Ask for more or fewer messages ahead, if that is left to us. */
static void tune_prefetch(subscription *sub, gw__prefetch_sample *handled, uint64_t took_ns,
                          const gw_message *msg)
{
    size_t body_len;
    (void)gw_message_body(msg, &body_len);
    if (sub->options.prefetch != 0 || sub->transport->type->set_prefetch == NULL ||
        !gw__prefetch_note(handled, took_ns, body_len)) {
        return;
    }
    pthread_mutex_lock(&sub->lock);
    uint16_t wanted = gw__prefetch_update(&sub->tuning, handled, gw_clock_ms());
    if (wanted != 0) {
        sub->transport->type->set_prefetch(sub->consumer, wanted);
        gw_gauge_add(sub->prefetches, (int64_t)wanted - sub->prefetch);
        sub->prefetch = wanted;
    }
    pthread_mutex_unlock(&sub->lock);
}

/* Let the handler have it, and do what it says. `it` is taken. */
static void handle(subscription *sub, gw__job *it, ack_batch *acks, gw__guard_slot *slot)
{
    gw_error why = GW_ERROR_INIT;
    gw__message_set_attempt(it->msg, it->count.attempt);
    uint64_t start_ns = gw_clock_ns();
    gw__guard_enter(slot, it->msg);
    gw_verdict verdict = sub->handler(sub->handler_ctx, it->msg, &why);
    gw__guard_leave(slot);
    acks->end_ns = gw_clock_ns();
    uint64_t took_ns = acks->end_ns - start_ns;
    gw_histogram_observe(sub->seconds, took_ns);
    tune_prefetch(sub, &acks->handled, took_ns, it->msg);
    gw_counter_add(sub->handled[verdict <= GW_REJECT ? verdict : GW_REJECT], 1);
    if (verdict == GW_DONE) {
        if (it->suspect) {
            gw__guard_forget(gw__client_guard(sub->base.client), sub->queue, it->msg);
        }
        add_ack(sub, acks, it, start_ns);
        return;
    }
    not_done(sub, it, verdict, &why);
}

/* Wait for the next job to be due. @locks sub->lock held */
static void wait_locked(subscription *sub)
{
    sub->n_idle++;
    gw__cond_wait_until(&sub->changed, &sub->lock, gw__jobs_due_ms(&sub->jobs));
    sub->n_idle--;
}

/* Take work: one job when workers share, all there is when there is one worker. NULL when stopping.
 */
static gw__job *take_jobs(subscription *sub, ack_batch *acks)
{
    pthread_mutex_lock(&sub->lock);
    ripen_locked(sub);
    while (sub->jobs.ready == NULL && !sub->stopping) {
        if (acks->n_items > 0) {
            pthread_mutex_unlock(&sub->lock);
            flush_acks(sub, acks);
            pthread_mutex_lock(&sub->lock);
        } else {
            wait_locked(sub);
        }
        ripen_locked(sub);
    }
    gw__job *taken = sub->stopping         ? NULL
                     : sub->n_workers == 1 ? gw__jobs_take_all(&sub->jobs)
                                           : gw__jobs_take(&sub->jobs);
    if (taken != NULL && sub->jobs.delayed != NULL && sub->n_idle > 0) {
        pthread_cond_signal(&sub->changed); /* this worker watched the time: another does now */
    }
    pthread_mutex_unlock(&sub->lock);
    return taken;
}

static void *worker_main(void *ctx)
{
    subscription *sub = ctx;
    ack_batch acks = {.n_items = 0};
    gw__guard *guard = sub->temporary ? NULL : gw__client_guard(sub->base.client);
    gw__guard_slot *slot = gw__guard_claim(guard, sub->queue);
    gw__job *it;
    while ((it = take_jobs(sub, &acks)) != NULL) {
        while (it != NULL) {
            gw__job *next = it->next;
            if (is_void(sub, it) || sub->stopping) {
                gw__job_free(it); /* unsettled: the broker delivers it again */
            } else if (it->reason != NULL) {
                gw__forward_dead_letter(sub->forwarder, it);
            } else if (it->retry_due) {
                it->retry_due = false;
                gw__forward_retry(sub->forwarder, it);
            } else if (!divert_suspect(sub, it)) {
                handle(sub, it, &acks, slot);
            }
            it = next;
        }
    }
    flush_acks(sub, &acks);
    gw__guard_release(guard, slot);
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
    sub->prefetches = gw_metrics_gauge(
        "godwit_prefetch", "Messages that may be on their way to the handlers.", labels.data);
    gw_gauge_add(sub->prefetches, sub->prefetch);
    gw_metrics_label(&labels, "state", "consuming");
    sub->consumes =
        gw_metrics_gauge("godwit_subscriptions",
                         "Subscriptions, by whether the broker delivers to them.", labels.data);
    labels.len = len;
    gw_metrics_label(&labels, "state", "waiting");
    sub->waits =
        gw_metrics_gauge("godwit_subscriptions",
                         "Subscriptions, by whether the broker delivers to them.", labels.data);
    gw_gauge_add(sub->waits, 1);
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
    sub->options.binding_headers = NULL;
    sub->queue = queue;
    sub->temporary = spec->temporary;
    gw__jobs_init(&sub->jobs);
    sub->prefetch = spec->prefetch;
    gw__prefetch_init(&sub->tuning, options->n_workers, !spec->temporary, gw_clock_ms());
    pthread_mutex_init(&sub->lock, NULL);
    gw__cond_init(&sub->changed);
    register_metrics(sub);
    gw__forwarder_options forwarding = {.client = client,
                                        .transport = transport,
                                        .queue = queue,
                                        .buried = sub->dead,
                                        .failed = on_not_forwarded,
                                        .ctx = sub};
    sub->forwarder = gw__forwarder_new(&forwarding);
    if (sub->forwarder == NULL) {
        free_subscription(sub);
        return NULL;
    }
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
    if (options->n_workers < 1 || options->n_workers > WORKERS_MAX || options->max_attempts < 1 ||
        options->retry_delay_max_ms < 1 || options->max_crashes < 1) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "subscription to '%s': n_workers must be 1 to %d, "
                            "max_attempts, max_crashes and retry_delay_max_ms 1 or more",
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
    gw__forwarder_begin(sub->forwarder, sub->consumer);
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
    gw__forwarder_end(sub->forwarder, deadline_ms);
    sub->transport->type->release(sub->consumer, ms_until(deadline_ms));
    free_subscription(sub);
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
