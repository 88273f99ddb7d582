/* SPDX-License-Identifier: MIT */
/*
 * Answers that were made already, by what they answer. A key names a commit, so an entry never
 * becomes wrong; the least recently used ones make room for new ones.
 */
#ifndef CS_CACHE_H
#define CS_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include <godwit/buf.h>

/* Shareable between threads. */
typedef struct cs_cache cs_cache;

/* What to send; immutable; counted references, because the cache may drop it while it is sent. */
typedef struct cs_answer {
    atomic_uint n_refs;
    int status; /* of HTTP */
    size_t body_len;
    char body[]; /* JSON if the status is 200, otherwise what is wrong in one line */
} cs_answer;

/* NULL when out of memory. */
cs_answer *cs_answer_new(int status, const char *body, size_t body_len);
cs_answer *cs_answer_ref(cs_answer *answer);
void cs_answer_unref(cs_answer *answer);

/* Limits of 0 stand for those of bounds.h. NULL when out of memory. */
cs_cache *cs_cache_new(size_t max_entries, size_t max_bytes);
void cs_cache_free(cs_cache *cache);

/* A reference for the caller, or NULL. */
cs_answer *cs_cache_get(cs_cache *cache, const void *key, size_t key_len);

/* Keep a reference; replaces an older answer to the same key. Does nothing when out of memory or
 * when the answer is larger than a quarter of the cache. */
void cs_cache_put(cs_cache *cache, const void *key, size_t key_len, cs_answer *answer);

size_t cs_cache_n_entries(cs_cache *cache);

#endif
