/* SPDX-License-Identifier: MIT */
#include <godwit/testing.h>

#include <godwit/clock.h>

#include "base/cond.h"

#include "messaging/memory.h"

gw_status gw_testing_take(const char *url, const char *queue_name, unsigned timeout_ms,
                          gw_message **ret_msg, gw_error *err)
{
    gw__broker *broker;
    gw_status st = gw__broker_find(url, &broker, err);
    if (st != GW_OK) {
        return st;
    }
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    gw__entry *entry = NULL;
    bool in_time = true;
    pthread_mutex_lock(&broker->lock);
    do {
        gw__queue *queue = gw__broker_queue_locked(broker, queue_name);
        entry = queue == NULL ? NULL : gw__queue_take(queue);
        if (entry == NULL) {
            in_time = gw__cond_wait_until(&broker->changed, &broker->lock, deadline_ms);
        }
    } while (entry == NULL && in_time);
    pthread_cond_broadcast(&broker->changed); /* one less */
    pthread_mutex_unlock(&broker->lock);
    if (entry == NULL) {
        st = gw_error_set(err, GW_E_TIMEOUT, 0, "queue '%s' of %s: no message within %u ms",
                          queue_name, url, timeout_ms);
    } else {
        gw_message *msg = gw__stored_copy(entry->stored, queue_name, entry->redelivered);
        gw__entry_free(entry);
        if (msg == NULL) {
            st = gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", queue_name);
        } else {
            *ret_msg = msg;
        }
    }
    gw__broker_close(broker);
    return st;
}

static gw_status no_queue(gw_error *err, const char *url, const char *queue)
{
    return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s has no queue '%s'", url, queue);
}

gw_status gw_testing_queue_len(const char *url, const char *queue_name, size_t *ret_len,
                               gw_error *err)
{
    gw__broker *broker;
    gw_status st = gw__broker_find(url, &broker, err);
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&broker->lock);
    gw__queue *queue = gw__broker_queue_locked(broker, queue_name);
    if (queue == NULL) {
        st = no_queue(err, url, queue_name);
    } else {
        *ret_len = gw__queue_len(queue);
    }
    pthread_mutex_unlock(&broker->lock);
    gw__broker_close(broker);
    return st;
}

/* What waits for a retry is not handled yet. */
static bool is_idle(gw__queue *queue)
{
    return gw__queue_len(queue) == 0 && queue->delayed.n == 0 && queue->n_unsettled == 0;
}

gw_status gw_testing_wait_handled(const char *url, const char *queue_name, unsigned timeout_ms,
                                  gw_error *err)
{
    gw__broker *broker;
    gw_status st = gw__broker_find(url, &broker, err);
    if (st != GW_OK) {
        return st;
    }
    uint64_t deadline_ms = gw_clock_ms() + timeout_ms;
    bool in_time = true;
    pthread_mutex_lock(&broker->lock);
    gw__queue *queue = gw__broker_queue_locked(broker, queue_name);
    while (queue != NULL && !is_idle(queue) && in_time) {
        in_time = gw__cond_wait_until(&broker->changed, &broker->lock, deadline_ms);
        queue = gw__broker_queue_locked(broker, queue_name);
    }
    if (queue == NULL) {
        st = no_queue(err, url, queue_name);
    } else if (!is_idle(queue)) {
        st = gw_error_set(err, GW_E_TIMEOUT, 0,
                          "queue '%s' of %s: %zu messages wait, %zu of them for a retry, and %zu "
                          "are at consumers after %u ms",
                          queue_name, url, queue->waiting.n + queue->delayed.n, queue->delayed.n,
                          queue->n_unsettled, timeout_ms);
    }
    pthread_mutex_unlock(&broker->lock);
    gw__broker_close(broker);
    return st;
}

gw_status gw_testing_disconnect(const char *url, gw_error *err)
{
    gw__broker *broker;
    gw_status st = gw__broker_find(url, &broker, err);
    if (st == GW_OK) {
        gw__memory_disconnect(broker);
        gw__broker_close(broker);
    }
    return st;
}
