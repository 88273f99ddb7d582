/* SPDX-License-Identifier: MIT */
/*
 * An estate that a test writes down: views of view_double.h, put in force one after the other, and
 * a note of what was to be synced.
 */
#ifndef CS_TEST_ESTATE_DOUBLE_H
#define CS_TEST_ESTATE_DOUBLE_H

#include "configserver/view_double.h"
#include "repo/estate.h"

cs_estate *estate_double_new(void (*free_memo_value)(void *value), void (*on_change)(void *ctx),
                             void *ctx);
void estate_double_free(cs_estate *estate);

/* A new view is in force. */
void estate_double_put(cs_estate *estate, const double_label *labels, size_t n_labels);

/* How its repositories are, from the next call of cs_view_repo() on; borrowed. None: a fresh one.
 */
void estate_double_set_repos(cs_estate *estate, const cs_repo_state *repos, size_t n_repos);

/* Syncs begin and do not end until estate_double_end_syncs(). */
void estate_double_hold_syncs(cs_estate *estate);
void estate_double_end_syncs(cs_estate *estate, gw_status st);

/* What was to be synced since the last call, "a,b"; "*" for all. Known: "default" and DOUBLE_URI.
 * Freed by the caller. */
char *estate_double_take_syncs(cs_estate *estate);

#endif
