/* SPDX-License-Identifier: MIT */
#include "repo/memo.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "repo/hash.h"

#define BYTES_A_BUCKET ((size_t)1024) /* how much an answer takes, about */
#define BUCKETS_MIN    ((size_t)64)
#define BUCKETS_MAX    ((size_t)16384)

/* Immutable once it is in its chain. */
typedef struct node {
    const struct node *next;
    void *value;
    uint64_t hash;
    size_t key_len;
    char key[];
} node;

struct cs_memo {
    uint64_t seed; /* so that clients cannot choose names that share a bucket */
    void (*free_value)(void *value);
    size_t max_bytes;
    atomic_size_t n_bytes;
    atomic_bool is_full;
    size_t n_buckets; /* a power of two */
    _Atomic(const node *) buckets[];
};

cs_memo *cs_memo_new(size_t max_bytes, void (*free_value)(void *value))
{
    size_t n = BUCKETS_MIN;
    while (n < BUCKETS_MAX && n < max_bytes / BYTES_A_BUCKET) {
        n *= 2;
    }
    cs_memo *memo = calloc(1, sizeof(*memo) + n * sizeof(memo->buckets[0]));
    if (memo == NULL) {
        return NULL;
    }
    if (getrandom(&memo->seed, sizeof(memo->seed), GRND_NONBLOCK) < 0) {
        memo->seed = (uint64_t)(uintptr_t)memo;
    }
    memo->free_value = free_value;
    memo->max_bytes = max_bytes;
    memo->n_buckets = n;
    return memo;
}

void cs_memo_free(cs_memo *memo)
{
    if (memo == NULL) {
        return;
    }
    for (size_t i = 0; i < memo->n_buckets; i++) {
        const node *next = NULL;
        for (const node *item = memo->buckets[i]; item != NULL; item = next) {
            next = item->next;
            memo->free_value(item->value);
            free((node *)(uintptr_t)item);
        }
    }
    free(memo);
}

/* Look from `item` on, up to `end`, which was looked at before. */
static const node *find(const node *item, const node *end, uint64_t hash, const void *key,
                        size_t key_len)
{
    for (; item != end; item = item->next) {
        if (item->hash == hash && item->key_len == key_len &&
            memcmp(item->key, key, key_len) == 0) {
            return item;
        }
    }
    return NULL;
}

void *cs_memo_find(const cs_memo *memo, const void *key, size_t key_len)
{
    uint64_t hash = cs_hash(memo->seed, key, key_len);
    const node *first =
        atomic_load_explicit(&memo->buckets[hash & (memo->n_buckets - 1)], memory_order_acquire);
    const node *found = find(first, NULL, hash, key, key_len);
    return found == NULL ? NULL : found->value;
}

static bool reserve(cs_memo *memo, size_t size)
{
    if (size > memo->max_bytes / 4) {
        return false;
    }
    size_t before = atomic_fetch_add_explicit(&memo->n_bytes, size, memory_order_relaxed);
    if (before > memo->max_bytes - size) {
        atomic_fetch_sub_explicit(&memo->n_bytes, size, memory_order_relaxed);
        atomic_store_explicit(&memo->is_full, true, memory_order_relaxed);
        return false;
    }
    return true;
}

bool cs_memo_put(cs_memo *memo, const void *key, size_t key_len, void *value, size_t size,
                 void **ret_kept)
{
    size_t all = sizeof(node) + key_len + size;
    if (all < size || !reserve(memo, all)) {
        return false;
    }
    node *added = malloc(sizeof(*added) + key_len);
    if (added == NULL) {
        atomic_fetch_sub_explicit(&memo->n_bytes, all, memory_order_relaxed);
        return false;
    }
    added->value = value;
    added->hash = cs_hash(memo->seed, key, key_len);
    added->key_len = key_len;
    if (key_len > 0) {
        memcpy(added->key, key, key_len);
    }
    _Atomic(const node *) *bucket = &memo->buckets[added->hash & (memo->n_buckets - 1)];
    const node *first = atomic_load_explicit(bucket, memory_order_acquire);
    const node *looked_at = NULL;
    do {
        const node *found = find(first, looked_at, added->hash, key, key_len);
        if (found != NULL) {
            atomic_fetch_sub_explicit(&memo->n_bytes, all, memory_order_relaxed);
            free(added);
            memo->free_value(value);
            *ret_kept = found->value;
            return true;
        }
        looked_at = first;
        added->next = first;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &first, added, memory_order_acq_rel,
                                                    memory_order_acquire));
    *ret_kept = value;
    return true;
}

bool cs_memo_is_full(const cs_memo *memo)
{
    return atomic_load_explicit(&memo->is_full, memory_order_relaxed);
}
