/* SPDX-License-Identifier: MIT */
#include "answer/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

cs_answer *cs_answer_new(int status, const char *body, size_t body_len)
{
    cs_answer *answer = malloc(sizeof(*answer) + body_len + 1);
    if (answer == NULL) {
        return NULL;
    }
    *answer = (cs_answer){.status = status,
                          .content_type = "application/json",
                          .made_ms = gw_clock_ms(),
                          .body_len = body_len};
    atomic_init(&answer->n_refs, 1);
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

/* ---- hashes --------------------------------------------------------------------- */

/* FNV-1a: whoever may write the repository need not be kept from making two contents alike. */
#define HASH_BEGIN 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * HASH_PRIME;
    }
    return hash;
}

/* With its length, so that "ab","c" is not "a","bc". */
static uint64_t add_text(uint64_t hash, const char *text, size_t len)
{
    return add_bytes(add_bytes(hash, &len, sizeof(len)), text, len);
}

/* So that every bit of the input has its part in every bit that is written. */
static uint64_t finish(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    return hash ^ hash >> 33;
}

uint64_t cs_hash_bytes(const void *bytes, size_t len)
{
    return finish(add_bytes(HASH_BEGIN, bytes, len));
}

uint64_t cs_hash_environment(const cs_environment *env)
{
    uint64_t hash = HASH_BEGIN;
    for (size_t i = 0; i < env->n_sources; i++) {
        const cs_source *source = &env->sources[i];
        hash = add_text(hash, source->name, strlen(source->name));
        hash = add_bytes(hash, &source->n_items, sizeof(source->n_items));
        for (size_t j = 0; j < source->n_items; j++) {
            const cs_property *item = &source->items[j];
            unsigned char kind = (unsigned char)item->kind;
            hash = add_text(hash, item->key.bytes, item->key.len);
            hash = add_text(hash, item->value.bytes, item->value.len);
            hash = add_bytes(hash, &kind, 1);
        }
    }
    return finish(hash);
}

/* ---- ETags ---------------------------------------------------------------------- */

void cs_answer_set_etag(cs_answer *answer, const char *version, const char *variant,
                        uint64_t content)
{
    char first[CS_COMMIT_LEN + 1];
    if (version != NULL && version[0] != '\0' && strlen(version) <= CS_COMMIT_LEN) {
        strcpy(first, version);
    } else {
        /* Several commits are too long; a directory has none, but comments and what origins say of
         * places can differ while the properties do not. */
        uint64_t bytes = cs_hash_bytes(answer->body, answer->body_len);
        snprintf(first, sizeof(first), "%016" PRIx64, bytes);
    }
    snprintf(answer->etag, sizeof(answer->etag), "\"%s%.8s.%016" PRIx64 "\"", first, variant,
             content);
}

typedef struct etag {
    const char *text; /* without its quotes */
    size_t len;
    bool is_any; /* "*" */
} etag;

/* Take the next one of a list; false at its end. What is without quotes, as in a query, reaches to
 * the comma. */
static bool next_etag(const char **list, etag *ret_etag)
{
    const char *p = *list + strspn(*list, " \t,");
    if (p[0] == 'W' && p[1] == '/') {
        p += 2;
    }
    bool is_quoted = p[0] == '"';
    p += is_quoted;
    size_t len = strcspn(p, is_quoted ? "\"" : "\", \t");
    if (is_quoted ? p[len] == '\0' : len == 0) {
        return false;
    }
    *ret_etag = (etag){p, len, !is_quoted && len == 1 && p[0] == '*'};
    *list = p + len + is_quoted;
    return true;
}

/* What follows the last '.'; nothing if there is none. */
static etag content_of(etag whole)
{
    const char *dot = memrchr(whole.text, '.', whole.len);
    size_t len = dot == NULL ? 0 : (size_t)(whole.text + whole.len - dot);
    return (etag){dot, len, false};
}

static bool is_same(etag a, etag b)
{
    return a.len == b.len && a.len > 0 && memcmp(a.text, b.text, a.len) == 0;
}

bool cs_etag_in_list(const char *list, const char *text, bool only_content)
{
    etag own;
    if (!next_etag(&text, &own)) {
        return false;
    }
    etag given;
    while (next_etag(&list, &given)) {
        if (given.is_any ||
            (only_content ? is_same(content_of(given), content_of(own)) : is_same(given, own))) {
            return true;
        }
    }
    return false;
}
