/* SPDX-License-Identifier: MIT */
#include "unit/messaging/fake_transport.h"

#include <stdio.h>

#include "messaging/message.h"

struct gw_client {
    fixture *fix;
};

struct timespec in_ms(unsigned ms)
{
    uint64_t at_ms = gw_clock_ms() + ms;
    return (struct timespec){.tv_sec = (time_t)(at_ms / 1000),
                             .tv_nsec = (long)(at_ms % 1000) * (long)GW_NS_PER_MS};
}

/* What the subscription asks of a client. */

const char *gw__client_name(const gw_client *client)
{
    (void)client;
    return "tester";
}

gw__guard *gw__client_guard(const gw_client *client)
{
    return client->fix->guard;
}

void gw__client_update_state(gw_client *client)
{
    fixture *fix = client->fix;
    pthread_mutex_lock(&fix->lock);
    fix->n_updates++;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

gw_status gw__client_forward(gw_client *client, const char *queue, unsigned delay_ms,
                             gw_message *msg, gw__done done, void *ctx, gw_error *err)
{
    fixture *fix = client->fix;
    gw_status st = GW_OK;
    pthread_mutex_lock(&fix->lock);
    if (delay_ms > 0 && fix->no_retries) {
        st = gw_error_set(err, GW_E_DENIED, 403, "no queue for it");
    } else if (fix->n_full > 0) {
        fix->n_full--;
        st = gw_error_set(err, GW_E_FULL, 0, "the outbox is full");
    } else if (fix->n_letters == LETTERS_MAX) {
        st = gw_error_set(err, GW_E_FULL, 0, "the test has no room");
    } else {
        letter *it = &fix->letters[fix->n_letters++];
        *it = (letter){.msg = msg, .delay_ms = delay_ms, .done = done, .ctx = ctx};
        snprintf(it->queue, sizeof(it->queue), "%s", queue);
    }
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
    return st;
}

void decide(fixture *fix, size_t i, gw_status outcome)
{
    pthread_mutex_lock(&fix->lock);
    letter it = fix->letters[i];
    fix->letters[i].msg = NULL;
    pthread_mutex_unlock(&fix->lock);
    gw_message_free(it.msg);
    gw_error why = GW_ERROR_INIT;
    gw_error_set(&why, outcome, 0, "the broker said so");
    it.done(it.ctx, outcome, outcome == GW_OK ? NULL : &why);
}

/* What it asks of a transport. */

static fixture *fixture_of(gw__consumer *consumer)
{
    return (fixture *)consumer->transport;
}

static gw_status fake_subscribe(gw__transport *transport, const gw__consumer_spec *spec,
                                const gw__sink *sink, gw__consumer **ret_consumer, gw_error *err)
{
    fixture *fix = (fixture *)transport;
    if (strcmp(spec->queue, "forbidden") == 0) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no consumer");
    }
    fix->sink = *sink;
    fix->consumer.transport = transport;
    *ret_consumer = &fix->consumer;
    return GW_OK;
}

static void fake_settle(gw__consumer *consumer, const gw__delivery *deliveries, size_t n_deliveries,
                        gw__settlement how)
{
    fixture *fix = fixture_of(consumer);
    pthread_mutex_lock(&fix->lock);
    fix->settled_late = fix->settled_late || fix->released;
    fix->n_ack_calls++;
    for (size_t i = 0; i < n_deliveries; i++) {
        if (deliveries[i].epoch != fix->epoch) {
            fix->n_stale++;
        } else if (how == GW__ACK) {
            fix->n_acked[deliveries[i].tag]++;
            fix->n_acks++;
        } else {
            fix->n_requeued++;
        }
    }
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

static void fake_set_prefetch(gw__consumer *consumer, uint16_t prefetch)
{
    fixture *fix = fixture_of(consumer);
    pthread_mutex_lock(&fix->lock);
    fix->settled_late = fix->settled_late || fix->released;
    fix->prefetch = prefetch;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

static void fake_cancel(gw__consumer *consumer, unsigned timeout_ms)
{
    (void)timeout_ms;
    fixture *fix = fixture_of(consumer);
    pthread_mutex_lock(&fix->lock);
    fix->cancelled = true;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

static void fake_release(gw__consumer *consumer, unsigned timeout_ms)
{
    (void)timeout_ms;
    fixture *fix = fixture_of(consumer);
    pthread_mutex_lock(&fix->lock);
    assert_true(fix->cancelled);
    fix->released = true;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

void deliver(fixture *fix, const char *body)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, body), GW_OK);
    deliver_message(fix, msg);
}

void deliver_message(fixture *fix, gw_message *msg)
{
    pthread_mutex_lock(&fix->lock);
    gw__delivery delivery = {.epoch = fix->epoch, .tag = ++fix->last_tag};
    pthread_mutex_unlock(&fix->lock);
    assert_true(delivery.tag < TAGS_MAX);
    fix->sink.deliver(fix->sink.ctx, msg, delivery);
    fix->sink.delivered(fix->sink.ctx);
}

void lose(fixture *fix)
{
    pthread_mutex_lock(&fix->lock);
    uint64_t epoch = fix->epoch++;
    fix->last_tag = 0;
    memset(fix->n_acked, 0, sizeof(fix->n_acked));
    fix->n_acks = 0;
    pthread_mutex_unlock(&fix->lock);
    fix->sink.lost(fix->sink.ctx, epoch);
}

static gw_verdict on_message(void *ctx, const gw_message *msg, gw_error *why)
{
    fixture *fix = ctx;
    uint64_t start_ns = gw_clock_ns();
    pthread_mutex_lock(&fix->lock);
    size_t i = fix->n_handled++;
    snprintf(fix->handled[i], sizeof(fix->handled[i]), "%.7s",
             (const char *)gw_message_body(msg, NULL));
    fix->attempts[i] = gw_message_attempt(msg);
    fix->at_ms[i] = gw_clock_ms();
    fix->n_running++;
    fix->max_running = fix->n_running > fix->max_running ? fix->n_running : fix->max_running;
    pthread_cond_broadcast(&fix->changed);
    bool gated = fix->gated != NULL && strcmp(fix->handled[i], fix->gated) == 0;
    while (gated && !fix->gate_open) {
        pthread_cond_wait(&fix->changed, &fix->lock);
    }
    if (gated && fix->one_by_one) {
        fix->gate_open = false;
    }
    while (gw_clock_ns() - start_ns < fix->spin_us * UINT64_C(1000)) {}
    gw_verdict verdict = fix->handled[i][0] == 'D'   ? GW_DONE
                         : fix->handled[i][0] == 'T' ? GW_RETRY
                         : fix->handled[i][0] == 'R' ? GW_REJECT
                                                     : fix->verdict;
    bool silent = fix->silent;
    fix->n_running--;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
    if (verdict != GW_DONE && !silent) {
        gw_error_set(why, GW_E_IO, 0, "it is broken");
    }
    return verdict;
}

void fixture_init(fixture *fix)
{
    memset(fix, 0, sizeof(*fix));
    fix->type = (gw__transport_type){.scheme = "fake",
                                     .subscribe = fake_subscribe,
                                     .settle = fake_settle,
                                     .set_prefetch = fake_set_prefetch,
                                     .cancel = fake_cancel,
                                     .release = fake_release};
    fix->transport.type = &fix->type;
    fix->client = calloc(1, sizeof(*fix->client));
    assert_non_null(fix->client);
    fix->client->fix = fix;
    fix->epoch = 1;
    pthread_mutex_init(&fix->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&fix->changed, &attr);
    pthread_condattr_destroy(&attr);
}

gw_status start_on(fixture *fix, const char *queue, const gw_subscribe_options *options,
                   gw_error *err)
{
    gw__consumer_spec spec = {.queue = queue,
                              .temporary = strcmp(queue, "temporary") == 0,
                              .consumer_name = "tester",
                              .prefetch = options->prefetch != 0 ? options->prefetch : 100};
    return gw__subscription_start(fix->client, &fix->transport, &spec, options, on_message, fix,
                                  &fix->sub, err);
}

void start(fixture *fix, const gw_subscribe_options *options)
{
    gw_subscribe_options defaults = GW_SUBSCRIBE_OPTIONS_INIT;
    assert_int_equal(start_on(fix, "q", options != NULL ? options : &defaults, NULL), GW_OK);
}

void open_gate(fixture *fix)
{
    pthread_mutex_lock(&fix->lock);
    fix->gate_open = true;
    pthread_cond_broadcast(&fix->changed);
    pthread_mutex_unlock(&fix->lock);
}

void stop(fixture *fix, unsigned timeout_ms)
{
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    gw__subscription_cancel(fix->sub, deadline_ms);
    gw__subscription_stop(fix->sub, deadline_ms);
    assert_true(fix->released);
    assert_false(fix->settled_late);
}

void fixture_dispose(fixture *fix)
{
    for (size_t i = 0; i < fix->n_letters; i++) {
        assert_null(fix->letters[i].msg);
    }
    assert_false(fix->settled_late);
    pthread_cond_destroy(&fix->changed);
    pthread_mutex_destroy(&fix->lock);
    free(fix->client);
}
