/* SPDX-License-Identifier: MIT */
#include "messaging/targets.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 256

typedef struct node {
    gw__target target;
    struct node *next;
    char names[]; /* the queue's or exchange's, and with a delay where it waits */
} node;

struct gw__targets {
    pthread_mutex_t lock;
    gw_queue_type queue_type;
    size_t n_targets;
    node *buckets[N_BUCKETS];
};

gw__targets *gw__targets_new(gw_queue_type queue_type)
{
    gw__targets *targets = calloc(1, sizeof(*targets));
    if (targets != NULL) {
        pthread_mutex_init(&targets->lock, NULL);
        targets->queue_type = queue_type;
    }
    return targets;
}

void gw__targets_free(gw__targets *targets)
{
    if (targets == NULL) {
        return;
    }
    for (size_t i = 0; i < N_BUCKETS; i++) {
        node *next;
        for (node *it = targets->buckets[i]; it != NULL; it = next) {
            next = it->next;
            free(it);
        }
    }
    pthread_mutex_destroy(&targets->lock);
    free(targets);
}

gw_status gw__check_name(const char *what, const char *name, gw_error *err)
{
    if (name == NULL || name[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s has no name", what);
    }
    size_t len = strnlen(name, GW_MESSAGE_TEXT_MAX + 1);
    if (len > GW_MESSAGE_TEXT_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "the name of the %s is longer than %d bytes: %.40s...", what,
                            GW_MESSAGE_TEXT_MAX, name);
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "the name of the %s '%s' holds a control character", what, name);
        }
    }
    return GW_OK;
}

/* FNV-1a, 32 bits. */
static unsigned hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * 16777619u;
    }
    return h % N_BUCKETS;
}

/* What is looked for. */
typedef struct sought {
    const char *name;
    bool is_queue;
    gw_exchange_type type;
    unsigned delay_ms;
} sought;

static bool matches(const gw__target *target, const sought *it)
{
    if (it->is_queue) {
        return target->queue != NULL && target->delay_ms == it->delay_ms &&
               strcmp(target->queue, it->name) == 0;
    }
    return target->queue == NULL && target->type == it->type &&
           strcmp(target->exchange, it->name) == 0;
}

/* @locks targets->lock held */
static gw__target *add_locked(gw__targets *targets, unsigned bucket, const sought *it)
{
    size_t len = strlen(it->name);
    size_t size = it->delay_ms == 0 ? len + 1 : 2 * (len + 1) + GW__RETRY_SUFFIX_MAX;
    node *added = calloc(1, sizeof(*added) + size);
    if (added == NULL) {
        return NULL;
    }
    memcpy(added->names, it->name, len + 1);
    added->target.type = it->type;
    added->target.exchange = it->is_queue ? "" : added->names;
    added->target.queue = it->is_queue ? added->names : NULL;
    added->target.queue_type = targets->queue_type;
    if (it->delay_ms > 0) {
        char *waiting_queue = added->names + len + 1;
        snprintf(waiting_queue, size - len - 1, "%s.retry.%u", it->name, it->delay_ms);
        added->target.delay_ms = it->delay_ms;
        added->target.waiting_queue = waiting_queue;
    }
    added->next = targets->buckets[bucket];
    targets->buckets[bucket] = added;
    targets->n_targets++;
    return &added->target;
}

static gw_status find_or_add(gw__targets *targets, const sought *wanted, gw__target **ret_target,
                             gw_error *err)
{
    gw_status st = gw__check_name(wanted->is_queue ? "queue" : "exchange", wanted->name, err);
    if (st != GW_OK) {
        return st;
    }
    unsigned bucket = hash(wanted->name);
    pthread_mutex_lock(&targets->lock);
    node *it = targets->buckets[bucket];
    while (it != NULL && !matches(&it->target, wanted)) {
        it = it->next;
    }
    gw__target *found = it != NULL ? &it->target : NULL;
    bool full = found == NULL && targets->n_targets >= GW__TARGETS_MAX;
    if (found == NULL && !full) {
        found = add_locked(targets, bucket, wanted);
    }
    pthread_mutex_unlock(&targets->lock);
    if (found != NULL) {
        *ret_target = found;
        return GW_OK;
    }
    return full ? gw_error_set(
                      err, GW_E_LIMIT, 0,
                      "more than %d exchanges and queues are published to: '%s' is one too many",
                      GW__TARGETS_MAX, wanted->name)
                : gw_error_set(err, GW_E_NOMEM, 0, "no memory for target '%s'", wanted->name);
}

gw_status gw__targets_exchange(gw__targets *targets, const char *name, gw_exchange_type type,
                               gw__target **ret_target, gw_error *err)
{
    const sought wanted = {.name = name, .type = type};
    return find_or_add(targets, &wanted, ret_target, err);
}

gw_status gw__targets_queue(gw__targets *targets, const char *name, gw__target **ret_target,
                            gw_error *err)
{
    const sought wanted = {.name = name, .is_queue = true, .type = GW_EXCHANGE_DIRECT};
    return find_or_add(targets, &wanted, ret_target, err);
}

gw_status gw__targets_delayed_queue(gw__targets *targets, const char *name, unsigned delay_ms,
                                    gw__target **ret_target, gw_error *err)
{
    assert(delay_ms > 0);
    const sought wanted = {
        .name = name, .is_queue = true, .type = GW_EXCHANGE_DIRECT, .delay_ms = delay_ms};
    if (name != NULL &&
        strnlen(name, GW_MESSAGE_TEXT_MAX) + GW__RETRY_SUFFIX_MAX > GW_MESSAGE_TEXT_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "the name of the queue leaves no room for '.retry.%u' within %d bytes: "
                            "%.40s...",
                            delay_ms, GW_MESSAGE_TEXT_MAX, name);
    }
    return find_or_add(targets, &wanted, ret_target, err);
}
