/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define WAIT_S 15

/* ---- what the transport calls -------------------------------------------- */

static size_t next(void *ctx, gw__outgoing **ret_items, size_t max)
{
    source *src = ctx;
    size_t n = 0;
    pthread_mutex_lock(&src->lock);
    for (size_t i = 0; i < src->n_items && n < max; i++) {
        source_item *item = &src->items[i];
        if (!item->handed_out && !item->settled) {
            item->handed_out = true;
            item->n_handed_out++;
            ret_items[n++] = &item->out;
        }
    }
    pthread_mutex_unlock(&src->lock);
    return n;
}

static void settle(void *ctx, gw__outgoing *const *items, size_t n_items, gw_status outcome,
                   const gw_error *why)
{
    source *src = ctx;
    pthread_mutex_lock(&src->lock);
    for (size_t i = 0; i < n_items; i++) {
        source_item *item = (source_item *)items[i];
        if (item->settled || !item->handed_out) {
            fprintf(stderr, "settled without need: %s\n", item->id);
            abort();
        }
        item->settled = true;
        item->outcome = outcome;
        item->native = why != NULL ? why->native : 0;
        snprintf(item->why, sizeof(item->why), "%s", why != NULL ? why->text : "");
        /* Whoever keeps the message after this is found out. */
        gw_message_free(item->out.msg);
        item->out.msg = NULL;
    }
    pthread_cond_broadcast(&src->changed);
    pthread_mutex_unlock(&src->lock);
}

static void rewind_all(void *ctx)
{
    source *src = ctx;
    pthread_mutex_lock(&src->lock);
    for (size_t i = 0; i < src->n_items; i++) {
        src->items[i].handed_out = src->items[i].settled;
    }
    src->n_rewinds++;
    pthread_cond_broadcast(&src->changed);
    pthread_mutex_unlock(&src->lock);
}

static void on_state(void *ctx, gw_client_state state, const gw_error *why)
{
    source *src = ctx;
    pthread_mutex_lock(&src->lock);
    src->state = state;
    src->n_states++;
    snprintf(src->reason, sizeof(src->reason), "%s", why != NULL ? why->text : "");
    pthread_cond_broadcast(&src->changed);
    pthread_mutex_unlock(&src->lock);
}

/* ---- what the test calls ------------------------------------------------- */

source *source_new(void)
{
    source *src = calloc(1, sizeof(*src));
    assert_non_null(src);
    pthread_mutex_init(&src->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&src->changed, &attr);
    pthread_condattr_destroy(&attr);
    src->state = GW_CLIENT_CLOSED;
    return src;
}

gw__source source_callbacks(source *src)
{
    return (gw__source){.next = next, .settle = settle, .rewind = rewind_all, .ctx = src};
}

gw_status source_try_open(source *src, const char *url, gw_error *err)
{
    const gw__transport_options options = {
        .name = "test", .heartbeat_s = 10, .source = source_callbacks(src)};
    const gw__transport_events events = {.state = on_state, .ctx = src};
    return gw__amqp_transport.open(url, &options, &events, &src->transport, err);
}

void source_open(source *src, const char *url)
{
    gw_error err = GW_ERROR_INIT;
    if (source_try_open(src, url, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

void source_close(source *src, unsigned timeout_ms)
{
    if (src->transport != NULL) {
        gw__amqp_transport.close(src->transport, timeout_ms);
        src->transport = NULL;
    }
}

void source_free(source *src)
{
    source_close(src, 200);
    for (size_t i = 0; i < src->n_items; i++) {
        gw_message_free(src->items[i].out.msg);
    }
    pthread_cond_destroy(&src->changed);
    pthread_mutex_destroy(&src->lock);
    free(src);
}

size_t source_add_message(source *src, gw__target *target, gw_message *msg, bool mandatory)
{
    pthread_mutex_lock(&src->lock);
    assert_true(src->n_items < SOURCE_MAX);
    size_t n = src->n_items++;
    source_item *item = &src->items[n];
    const char *id = gw_message_id(msg);
    snprintf(item->id, sizeof(item->id), "%s", id != NULL ? id : "");
    item->out = (gw__outgoing){.msg = msg,
                               .target = target,
                               .routing_key = target->queue != NULL ? target->queue : "key",
                               .mandatory = mandatory};
    pthread_mutex_unlock(&src->lock);
    if (src->transport != NULL) {
        gw__amqp_transport.wake(src->transport);
    }
    return n;
}

size_t source_add(source *src, gw__target *target, const char *id, size_t body_len)
{
    char *body = malloc(body_len + 1);
    assert_non_null(body);
    memset(body, 'b', body_len);
    gw_message *msg = gw_message_new(body, body_len);
    free(body);
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return source_add_message(src, target, msg, true);
}

/* Wait for a change until `deadline`. Whether there was time. */
static bool wait_change(source *src, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&src->changed, &src->lock, deadline) == 0;
}

static struct timespec deadline(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += WAIT_S;
    return at;
}

void source_wait(source *src, size_t n, gw_status outcome)
{
    struct timespec until = deadline();
    source_item *item = &src->items[n];
    pthread_mutex_lock(&src->lock);
    while (!item->settled && wait_change(src, &until)) {}
    bool settled = item->settled;
    gw_status found = item->outcome;
    pthread_mutex_unlock(&src->lock);
    if (!settled) {
        fail_msg("message %zu ('%s') is not settled; state: %s", n, item->id, src->reason);
    } else if (found != outcome) {
        fail_msg("message %zu ('%s') is settled as %s '%s' instead of %s", n, item->id,
                 gw_status_name(found), item->why, gw_status_name(outcome));
    }
}

bool source_is_settled(source *src, size_t n)
{
    pthread_mutex_lock(&src->lock);
    bool settled = src->items[n].settled;
    pthread_mutex_unlock(&src->lock);
    return settled;
}

const char *source_why(source *src, size_t n)
{
    return src->items[n].why;
}

unsigned source_handed_out(source *src, size_t n)
{
    pthread_mutex_lock(&src->lock);
    unsigned times = src->items[n].n_handed_out;
    pthread_mutex_unlock(&src->lock);
    return times;
}

void source_wait_rewinds(source *src, unsigned n)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&src->lock);
    while (src->n_rewinds < n && wait_change(src, &until)) {}
    unsigned found = src->n_rewinds;
    pthread_mutex_unlock(&src->lock);
    if (found < n) {
        fail_msg("%u rewinds instead of %u", found, n);
    }
}

void source_wait_state(source *src, gw_client_state state, const char *text)
{
    struct timespec until = deadline();
    bool fits = false;
    pthread_mutex_lock(&src->lock);
    do {
        fits = src->state == state && strstr(src->reason, text) != NULL;
    } while (!fits && wait_change(src, &until));
    pthread_mutex_unlock(&src->lock);
    if (!fits) {
        fail_msg("state %s '%s' instead of %s '%s'", gw_client_state_name(src->state), src->reason,
                 gw_client_state_name(state), text);
    }
}

/* ---- a consumer that does not matter ---- */

static void ignore_delivery(void *ctx, gw_message *msg, gw__delivery delivery)
{
    (void)ctx;
    (void)delivery;
    gw_message_free(msg);
}

static void ignore_end(void *ctx)
{
    (void)ctx;
}

static void ignore_lost(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
}

static void ignore_state(void *ctx, bool consuming, const gw_error *why)
{
    (void)ctx;
    (void)consuming;
    (void)why;
}

const gw__sink sink_that_ignores = {.deliver = ignore_delivery,
                                    .delivered = ignore_end,
                                    .lost = ignore_lost,
                                    .state = ignore_state};
