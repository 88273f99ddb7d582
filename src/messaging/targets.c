/* SPDX-License-Identifier: MIT */
#include "messaging/targets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 256

typedef struct node {
    gw__target target;
    struct node *next;
    char name[];
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

static bool matches(const gw__target *target, bool is_queue, const char *name,
                    gw_exchange_type type)
{
    if (is_queue) {
        return target->queue != NULL && strcmp(target->queue, name) == 0;
    }
    return target->queue == NULL && target->type == type && strcmp(target->exchange, name) == 0;
}

/* @locks targets->lock held */
static gw__target *add_locked(gw__targets *targets, unsigned bucket, bool is_queue,
                              const char *name, gw_exchange_type type)
{
    size_t len = strlen(name);
    node *added = calloc(1, sizeof(*added) + len + 1);
    if (added == NULL) {
        return NULL;
    }
    memcpy(added->name, name, len + 1);
    added->target.type = type;
    added->target.exchange = is_queue ? "" : added->name;
    added->target.queue = is_queue ? added->name : NULL;
    added->target.queue_type = targets->queue_type;
    added->next = targets->buckets[bucket];
    targets->buckets[bucket] = added;
    targets->n_targets++;
    return &added->target;
}

static gw_status find_or_add(gw__targets *targets, bool is_queue, const char *name,
                             gw_exchange_type type, gw__target **ret_target, gw_error *err)
{
    gw_status st = gw__check_name(is_queue ? "queue" : "exchange", name, err);
    if (st != GW_OK) {
        return st;
    }
    unsigned bucket = hash(name);
    pthread_mutex_lock(&targets->lock);
    node *it = targets->buckets[bucket];
    while (it != NULL && !matches(&it->target, is_queue, name, type)) {
        it = it->next;
    }
    gw__target *found = it != NULL ? &it->target : NULL;
    bool full = found == NULL && targets->n_targets >= GW__TARGETS_MAX;
    if (found == NULL && !full) {
        found = add_locked(targets, bucket, is_queue, name, type);
    }
    pthread_mutex_unlock(&targets->lock);
    if (found != NULL) {
        *ret_target = found;
        return GW_OK;
    }
    return full ? gw_error_set(
                      err, GW_E_LIMIT, 0,
                      "more than %d exchanges and queues are published to: '%s' is one too many",
                      GW__TARGETS_MAX, name)
                : gw_error_set(err, GW_E_NOMEM, 0, "no memory for target '%s'", name);
}

gw_status gw__targets_exchange(gw__targets *targets, const char *name, gw_exchange_type type,
                               gw__target **ret_target, gw_error *err)
{
    return find_or_add(targets, false, name, type, ret_target, err);
}

gw_status gw__targets_queue(gw__targets *targets, const char *name, gw__target **ret_target,
                            gw_error *err)
{
    return find_or_add(targets, true, name, GW_EXCHANGE_DIRECT, ret_target, err);
}
