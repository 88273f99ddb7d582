/* SPDX-License-Identifier: MIT */
/* What came: collected by a handler, waited for by the test. */
#include "contract/inbox.h"

#include <time.h>

#include <godwit/clock.h>

void inbox_init(inbox *box)
{
    *box = (inbox){.failure = GW_RETRY, .reason = "not now"};
    pthread_mutex_init(&box->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void inbox_dispose(inbox *box)
{
    for (size_t i = 0; i < box->n_items; i++) {
        gw_message_free(box->items[i].msg);
        free(box->items[i].exchange);
        free(box->items[i].queue);
    }
    free(box->items);
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->lock);
}

static char *copy_text(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

/* @locks box->lock held */
static void store_locked(inbox *box, const gw_message *msg)
{
    if (box->n_items == box->cap) {
        size_t cap = box->cap == 0 ? 64 : box->cap * 2;
        received *items = realloc(box->items, cap * sizeof(*items));
        if (items == NULL) {
            abort(); /* a test without memory proves nothing */
        }
        box->items = items;
        box->cap = cap;
    }
    box->items[box->n_items++] = (received){.msg = gw_message_dup(msg),
                                            .exchange = copy_text(gw_message_exchange(msg)),
                                            .queue = copy_text(gw_message_queue(msg)),
                                            .redelivered = gw_message_is_redelivered(msg),
                                            .attempt = gw_message_attempt(msg),
                                            .at_ms = gw_clock_ms()};
}

gw_verdict inbox_handler(void *ctx, const gw_message *msg, gw_error *why)
{
    inbox *box = ctx;
    gw_verdict verdict = GW_DONE;
    pthread_mutex_lock(&box->lock);
    box->n_running++;
    box->max_running = box->n_running > box->max_running ? box->n_running : box->max_running;
    pthread_cond_broadcast(&box->changed);
    while (box->gate_closed) {
        pthread_cond_wait(&box->changed, &box->lock);
    }
    store_locked(box, msg);
    if (box->n_failures > 0) {
        box->n_failures--;
        verdict = box->failure;
        gw_error_set(why, GW_E_INVALID, 0, "%s", box->reason);
    }
    box->n_running--;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
    return verdict;
}

static struct timespec deadline(void)
{
    uint64_t ns = gw_clock_ns() + (uint64_t)WAIT_MS * GW_NS_PER_MS;
    return (struct timespec){.tv_sec = (time_t)(ns / GW_NS_PER_S),
                             .tv_nsec = (long)(ns % GW_NS_PER_S)};
}

void inbox_wait(inbox *box, size_t n)
{
    struct timespec until = deadline();
    int rc = 0;
    pthread_mutex_lock(&box->lock);
    while (box->n_items < n && rc == 0) {
        rc = pthread_cond_timedwait(&box->changed, &box->lock, &until);
    }
    size_t came = box->n_items;
    pthread_mutex_unlock(&box->lock);
    if (came < n) {
        fail_msg("%zu messages came within %d ms, %zu were expected", came, WAIT_MS, n);
    }
}

void inbox_wait_running(inbox *box, unsigned n)
{
    struct timespec until = deadline();
    int rc = 0;
    pthread_mutex_lock(&box->lock);
    while (box->n_running < n && rc == 0) {
        rc = pthread_cond_timedwait(&box->changed, &box->lock, &until);
    }
    unsigned running = box->n_running;
    pthread_mutex_unlock(&box->lock);
    if (running < n) {
        fail_msg("%u handlers run at once, %u were expected", running, n);
    }
}

size_t inbox_count(inbox *box)
{
    pthread_mutex_lock(&box->lock);
    size_t n = box->n_items;
    pthread_mutex_unlock(&box->lock);
    return n;
}

static void set_gate(inbox *box, bool closed)
{
    pthread_mutex_lock(&box->lock);
    box->gate_closed = closed;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

void inbox_close_gate(inbox *box)
{
    set_gate(box, true);
}

void inbox_open_gate(inbox *box)
{
    set_gate(box, false);
}

const received *inbox_at(inbox *box, size_t i)
{
    pthread_mutex_lock(&box->lock);
    size_t n = box->n_items;
    static _Thread_local received copies[16]; /* the array can move while messages come */
    static _Thread_local size_t next;
    received *copy = &copies[next++ % N_OF(copies)];
    if (i < n) {
        *copy = box->items[i];
    }
    pthread_mutex_unlock(&box->lock);
    if (i >= n) {
        fail_msg("message %zu is asked for, but only %zu came", i, n);
    }
    return copy;
}

const char *inbox_body(inbox *box, size_t i)
{
    return gw_message_body(inbox_at(box, i)->msg, NULL);
}

size_t inbox_count_of(inbox *box, const char *body)
{
    size_t n = 0;
    pthread_mutex_lock(&box->lock);
    for (size_t i = 0; i < box->n_items; i++) {
        n += strcmp(gw_message_body(box->items[i].msg, NULL), body) == 0 ? 1 : 0;
    }
    pthread_mutex_unlock(&box->lock);
    return n;
}
