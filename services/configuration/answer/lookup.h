/* SPDX-License-Identifier: MIT */
/*
 * From a request to the bytes of its answer: check it, find the commit of its label, and take the
 * answer from the cache or make it from that commit's files.
 */
#ifndef CS_LOOKUP_H
#define CS_LOOKUP_H

#include <godwit/error.h>

#include "answer/cache.h"
#include "repo/repository.h"

/* Shareable between threads. */
typedef struct cs_lookup cs_lookup;

/*
 * @param repo          borrowed; must live longer.
 * @param default_label for requests without a label; copied.
 * @return GW_OK; GW_E_INVALID for a label that is none; GW_E_NOMEM.
 */
gw_status cs_lookup_new(cs_repository *repo, const char *default_label, cs_lookup **ret_lookup,
                        gw_error *err);
void cs_lookup_free(cs_lookup *lookup);

/*
 * The answer to GET /{name}/{profiles}[/{label}], whatever it is: 200 with the environment; 400 for
 * a name, profile or label that is none; 404 for an unknown label; 500 when a file of the
 * repository is at fault, with file and line; 503 when the repository cannot be read.
 *
 * @param label NULL for none.
 * @return a reference for the caller; NULL when out of memory.
 */
cs_answer *cs_lookup_environment(cs_lookup *lookup, const char *name, const char *profiles,
                                 const char *label);

/* Whether the default label can be read now. */
gw_status cs_lookup_check(cs_lookup *lookup, gw_error *err);

#endif
