/* SPDX-License-Identifier: MIT */
#include "answer/cache.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "files/bounds.h"

#define N_BUCKETS 4096u

typedef struct entry {
    struct entry *chain; /* in its bucket */
    struct entry *newer; /* in the order of use */
    struct entry *older;
    cs_answer *answer;
    uint64_t hash;
    size_t key_len;
    char key[];
} entry;

struct cs_cache {
    pthread_mutex_t lock; /* of all below */
    entry *buckets[N_BUCKETS];
    entry *newest;
    entry *oldest;
    size_t n_entries;
    size_t n_bytes;
    size_t max_entries;
    size_t max_bytes;
    uint64_t seed; /* so that clients cannot choose names that share a bucket */
};

cs_answer *cs_answer_new(int status, const char *body, size_t body_len)
{
    cs_answer *answer = malloc(sizeof(*answer) + body_len + 1);
    if (answer == NULL) {
        return NULL;
    }
    atomic_init(&answer->n_refs, 1);
    answer->status = status;
    answer->body_len = body_len;
    if (body_len > 0) {
        memcpy(answer->body, body, body_len);
    }
    answer->body[body_len] = '\0';
    return answer;
}

cs_answer *cs_answer_ref(cs_answer *answer)
{
    atomic_fetch_add_explicit(&answer->n_refs, 1, memory_order_relaxed);
    return answer;
}

void cs_answer_unref(cs_answer *answer)
{
    if (answer != NULL &&
        atomic_fetch_sub_explicit(&answer->n_refs, 1, memory_order_acq_rel) == 1) {
        free(answer);
    }
}

cs_cache *cs_cache_new(size_t max_entries, size_t max_bytes)
{
    cs_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    pthread_mutex_init(&cache->lock, NULL);
    cache->max_entries = max_entries == 0 ? CS_CACHE_ENTRIES_MAX : max_entries;
    cache->max_bytes = max_bytes == 0 ? CS_CACHE_BYTES_MAX : max_bytes;
    if (getrandom(&cache->seed, sizeof(cache->seed), GRND_NONBLOCK) < 0) {
        cache->seed = (uint64_t)(uintptr_t)cache;
    }
    return cache;
}

static uint64_t hash_of(const cs_cache *cache, const void *key, size_t key_len)
{
    const unsigned char *p = key;
    uint64_t hash = cache->seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < key_len; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3u;
    }
    return hash ^ hash >> 32;
}

static entry **bucket_of(cs_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash % N_BUCKETS];
}

static size_t size_of(const entry *e)
{
    return sizeof(*e) + e->key_len + sizeof(*e->answer) + e->answer->body_len;
}

static void unlink_locked(cs_cache *cache, entry *e)
{
    *(e->newer == NULL ? &cache->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &cache->oldest : &e->older->newer) = e->newer;
}

static void push_newest_locked(cs_cache *cache, entry *e)
{
    e->newer = NULL;
    e->older = cache->newest;
    *(cache->newest == NULL ? &cache->oldest : &cache->newest->newer) = e;
    cache->newest = e;
}

static entry *find_locked(cs_cache *cache, uint64_t hash, const void *key, size_t key_len)
{
    for (entry *e = *bucket_of(cache, hash); e != NULL; e = e->chain) {
        if (e->hash == hash && e->key_len == key_len && memcmp(e->key, key, key_len) == 0) {
            return e;
        }
    }
    return NULL;
}

static void remove_locked(cs_cache *cache, entry *e)
{
    entry **link = bucket_of(cache, e->hash);
    while (*link != e) {
        link = &(*link)->chain;
    }
    *link = e->chain;
    unlink_locked(cache, e);
    cache->n_entries--;
    cache->n_bytes -= size_of(e);
    cs_answer_unref(e->answer);
    free(e);
}

void cs_cache_free(cs_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    while (cache->oldest != NULL) {
        remove_locked(cache, cache->oldest);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

cs_answer *cs_cache_get(cs_cache *cache, const void *key, size_t key_len)
{
    uint64_t hash = hash_of(cache, key, key_len);
    cs_answer *answer = NULL;
    pthread_mutex_lock(&cache->lock);
    entry *e = find_locked(cache, hash, key, key_len);
    if (e != NULL) {
        answer = cs_answer_ref(e->answer);
        unlink_locked(cache, e);
        push_newest_locked(cache, e);
    }
    pthread_mutex_unlock(&cache->lock);
    return answer;
}

void cs_cache_put(cs_cache *cache, const void *key, size_t key_len, cs_answer *answer)
{
    if (answer->body_len > cache->max_bytes / 4) {
        return;
    }
    entry *e = malloc(sizeof(*e) + key_len);
    if (e == NULL) {
        return;
    }
    e->hash = hash_of(cache, key, key_len);
    e->key_len = key_len;
    memcpy(e->key, key, key_len);
    e->answer = cs_answer_ref(answer);
    pthread_mutex_lock(&cache->lock);
    entry *older = find_locked(cache, e->hash, key, key_len);
    if (older != NULL) {
        remove_locked(cache, older);
    }
    while (cache->oldest != NULL && (cache->n_entries >= cache->max_entries ||
                                     cache->n_bytes + size_of(e) > cache->max_bytes)) {
        remove_locked(cache, cache->oldest);
    }
    entry **bucket = bucket_of(cache, e->hash);
    e->chain = *bucket;
    *bucket = e;
    push_newest_locked(cache, e);
    cache->n_entries++;
    cache->n_bytes += size_of(e);
    pthread_mutex_unlock(&cache->lock);
}

size_t cs_cache_n_entries(cs_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t n = cache->n_entries;
    pthread_mutex_unlock(&cache->lock);
    return n;
}
