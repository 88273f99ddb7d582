/* SPDX-License-Identifier: MIT */
/*
 * Whether a push concerns a label that is served: the branches and tags it names beside the list of
 * those that count.
 */
#ifndef CS_BRANCHES_H
#define CS_BRANCHES_H

#include <stdbool.h>

#include "webhook.h"

typedef struct cs_branches {
    const cs_webhook_rules *rules;
    bool is_any;      /* the push names a branch or tag */
    bool is_served;   /* one that counts, and that is still there */
    const char *last; /* without "refs/heads/"; borrowed */
    bool is_last_deleted;
} cs_branches;

/* One that was pushed to: "refs/heads/main", "refs/tags/v1" or "main". NULL: nothing is known. */
void cs_branches_add(cs_branches *branches, const char *ref, bool is_deleted);

/* A push that names none counts too: nobody can say that it does not. */
bool cs_branches_count(const cs_branches *branches);

/* Why they do not count, in a few words. */
void cs_branches_explain(const cs_branches *branches, char *ret_text, size_t size);

#endif
