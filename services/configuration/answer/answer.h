/* SPDX-License-Identifier: MIT */
/* What is sent to a client, and the ETag that tells whether it has it already. */
#ifndef CS_ANSWER_H
#define CS_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/environment.h"

#define CS_ETAG_MAX 80

/* What to send; immutable; counted. */
typedef struct cs_answer {
    atomic_uint n_refs;
    int status;               /* of HTTP */
    const char *content_type; /* static */
    /* Strong, quoted: "<version>.<content>": the second part is the same as long as the properties
     * are, the whole as long as the bytes are. "" unless the status is 200. */
    char etag[CS_ETAG_MAX];
    int64_t modified_s; /* Unix time; 0: none */
    bool is_stale;      /* the repository could not be brought up to date; */
    uint64_t age_ms;    /* since it was, when the answer was made */
    uint64_t made_ms;   /* when that was, by gw_clock_ms() */
    bool is_busy;       /* nothing yet: a repository is mirrored for the first time */
    size_t body_len;
    char body[]; /* if the status is not 200, what is wrong in one line */
} cs_answer;

/* With the body copied, and one reference; NULL when out of memory. */
cs_answer *cs_answer_new(int status, const char *body, size_t body_len);
cs_answer *cs_answer_ref(cs_answer *answer);
void cs_answer_unref(cs_answer *answer); /* accepts NULL */

/* A 64-bit hash of what the properties are: their sources' names, keys and values, in order. */
uint64_t cs_hash_environment(const cs_environment *env);
uint64_t cs_hash_bytes(const void *bytes, size_t len);

/*
 * Give the answer its ETag.
 *
 * @param version one commit, or several with commas; NULL: there is none.
 * @param variant what tells it from other representations at the same URL: "" or a few letters.
 */
void cs_answer_set_etag(cs_answer *answer, const char *version, const char *variant,
                        uint64_t content);

/* Whether one of the list of If-None-Match is this ETag, "W/" or not, or "*". With `only_content`,
 * the same properties are enough, although perhaps of another commit. `etag` "" is in no list. */
bool cs_etag_in_list(const char *list, const char *etag, bool only_content);

#endif
