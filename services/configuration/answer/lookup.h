/* SPDX-License-Identifier: MIT */
/*
 * From what a client asks for to the bytes of its answer, taken from the view's memo or made from
 * the view's trees.
 */
#ifndef CS_LOOKUP_H
#define CS_LOOKUP_H

#include <godwit/error.h>

#include "answer/answer.h"
#include "answer/environment.h"
#include "answer/query.h"
#include "repo/estate.h"

/* Shareable between threads. */
typedef struct cs_lookup cs_lookup;

/* `rules` is borrowed. NULL when out of memory. */
cs_lookup *cs_lookup_new(const cs_rules *rules);
void cs_lookup_free(cs_lookup *lookup); /* accepts NULL */

/*
 * The answer, whatever it is: 200; 404 for an unknown label or file, or an application without
 * sources where the rules refuse these, with the nearest names; 400 for keys that cannot be nested;
 * 500 when a file of the repository is at fault, with file and line; 503 when the repository cannot
 * be read, or is not there yet (is_busy).
 *
 * @return a reference for the caller; NULL when out of memory.
 */
cs_answer *cs_lookup_answer(cs_lookup *lookup, const cs_view *view, const cs_query *query);

/* For the estate's free_memo_value. */
void cs_lookup_free_memo_value(void *value);

#endif
