/* SPDX-License-Identifier: MIT */
#include "http/tally.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <godwit/buf.h>

static const char *const methods[] = {"other", "GET",    "HEAD",    "POST",  "PUT",
                                      "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};

#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

/* Slots are filled rarely, by one thread at a time; they are read without this. */
static pthread_mutex_t fill_lock = PTHREAD_MUTEX_INITIALIZER;

static uint32_t method_number(const char *method)
{
    for (uint32_t i = 1; i < N_METHODS; i++) {
        if (strcmp(methods[i], method) == 0) {
            return i;
        }
    }
    return 0;
}

void gw__http_tally_init(gw__http_tally *tally, const char *route)
{
    memset(tally, 0, sizeof(*tally));
    tally->route = route;
    gw_buf labels;
    gw_buf_init(&labels, 0);
    gw_metrics_label(&labels, "route", route);
    tally->seconds = gw_metrics_histogram(
        "godwit_http_request_seconds", "Time from a request's first line to the end of its answer.",
        labels.data);
    gw_buf_dispose(&labels);
}

static gw_counter *register_counter(const gw__http_tally *tally, uint32_t method, int status)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", status);
    gw_buf labels;
    gw_buf_init(&labels, 0);
    gw_metrics_label(&labels, "route", tally->route);
    gw_metrics_label(&labels, "method", methods[method]);
    gw_metrics_label(&labels, "status", number);
    gw_counter *counter =
        gw_metrics_counter("godwit_http_requests_total", "HTTP requests answered.", labels.data);
    gw_buf_dispose(&labels);
    return counter;
}

static gw_counter *fill_slot(gw__http_tally *tally, uint32_t key, uint32_t method, int status)
{
    gw_counter *counter = register_counter(tally, method, status);
    pthread_mutex_lock(&fill_lock);
    for (int i = 0; i < GW__HTTP_TALLY_SLOTS; i++) {
        uint32_t there = atomic_load_explicit(&tally->slots[i].key, memory_order_relaxed);
        if (there == key) {
            break;
        }
        if (there == 0) {
            tally->slots[i].counter = counter;
            atomic_store_explicit(&tally->slots[i].key, key, memory_order_release);
            break;
        }
    }
    pthread_mutex_unlock(&fill_lock);
    return counter;
}

static gw_counter *find_counter(gw__http_tally *tally, const char *method, int status)
{
    uint32_t number = method_number(method);
    uint32_t key = (uint32_t)status << 8 | number;
    for (int i = 0; i < GW__HTTP_TALLY_SLOTS; i++) {
        uint32_t there = atomic_load_explicit(&tally->slots[i].key, memory_order_acquire);
        if (there == key) {
            return tally->slots[i].counter;
        }
        if (there == 0) {
            break;
        }
    }
    return fill_slot(tally, key, number, status);
}

void gw__http_tally_add(gw__http_tally *tally, const char *method, int status, uint64_t ns)
{
    gw_counter_add(find_counter(tally, method, status), 1);
    gw_histogram_observe(tally->seconds, ns);
}
