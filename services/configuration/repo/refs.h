/* SPDX-License-Identifier: MIT */
/* What the labels of a repository name at one moment. Immutable and counted; any thread. */
#ifndef CS_REFS_H
#define CS_REFS_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "repo/tree.h"

typedef enum cs_ref_kind {
    CS_REF_BRANCH,
    CS_REF_TAG, /* commit: what it points to in the end */
    CS_REF_ANY  /* the one state of a directory, whatever the label; its commit: a hash of it */
} cs_ref_kind;

typedef struct cs_ref {
    const char *name; /* "main", "feature/x", "v1.2" */
    cs_ref_kind kind;
    cs_commit commit;
} cs_ref;

typedef struct cs_refs cs_refs;

/* Copies; sorts. GW_E_LIMIT past CS_REFS_MAX; GW_E_NOMEM. */
gw_status cs_refs_new(const cs_ref *items, size_t n, cs_refs **ret_refs, gw_error *err);
cs_refs *cs_refs_ref(cs_refs *refs);
void cs_refs_unref(cs_refs *refs); /* accepts NULL */

size_t cs_refs_count(const cs_refs *refs);
const cs_ref *cs_refs_at(const cs_refs *refs, size_t i);

/* A branch of the name, else a tag; NULL if there is neither. */
const cs_ref *cs_refs_find(const cs_refs *refs, const char *label);

bool cs_refs_equal(const cs_refs *a, const cs_refs *b);

#endif
