/* SPDX-License-Identifier: MIT */
/*
 * A repository at one moment: what its labels named when it was last synced, whether that is fresh,
 * and the trees that were asked for. Counted; any thread. Immutable but for trees, which are added
 * when they are first asked for and go with it.
 */
#ifndef CS_MOMENT_H
#define CS_MOMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend.h"
#include "repo/changed.h"

struct cs_keeper;
struct cs_label_tree;

#define CS_LABEL_RESTS_MAX  16u     /* moments for which a label is kept without being asked for */
#define CS_LABELS_KEPT_MAX  64u     /* labels with a tree, in one moment */
#define CS_ENTRIES_KEPT_MAX 400000u /* files of these trees, but for that of the default label */

typedef struct cs_moment {
    atomic_uint n_refs;
    struct cs_keeper *keeper; /* a reference */
    cs_refs *refs;            /* NULL: it was never synced */
    gw_status st;             /* of the last sync; GW_E_BUSY: there was none */
    char reason[GW_ERROR_TEXT_MAX];
    _Atomic(struct cs_label_tree *) labels;
    atomic_uint n_labels;
    atomic_size_t n_entries;
    atomic_size_t n_faulty; /* files of the default label */
} cs_moment;

/*
 * @param refs   taken, also on failure; NULL when nothing is known.
 * @param st     why it is not fresh, or GW_OK.
 * @param reason then what to say.
 * @return NULL when out of memory.
 */
cs_moment *cs_moment_new(struct cs_keeper *keeper, cs_refs *refs, gw_status st, const char *reason);

cs_moment *cs_moment_ref(cs_moment *moment);
void cs_moment_unref(cs_moment *moment); /* accepts NULL */

/*
 * Before others see `moment`: have the trees of the default label and of those that are in use in
 * the moment before it. Reads what is new from the backend. @thread the keeper's
 *
 * @return GW_OK; GW_E_IO and whatever else the backend fails with.
 */
gw_status cs_moment_load(cs_moment *moment, cs_moment *before, gw_error *err);

/*
 * The tree of a label: one of the refs, or a commit's id.
 *
 * @param ret_tree a reference.
 * @return GW_OK; GW_E_NOT_FOUND for an unknown label; when there are no refs at all GW_E_BUSY
 * before the first sync has ended, GW_E_NOT_FOUND or GW_E_UNAVAILABLE when it failed; GW_E_IO.
 */
gw_status cs_moment_tree(cs_moment *moment, const char *label, cs_tree **ret_tree, gw_error *err);

/* Whether the last sync was good, and no other hangs. */
bool cs_moment_is_fresh(const cs_moment *moment);

/* Since the last good sync; 0 if there was none, and while a watch says that nothing changed. */
uint64_t cs_moment_age_ms(const cs_moment *moment);

/* The commit that a label names: one of the refs. NULL if it names none. */
const cs_ref *cs_moment_find_ref(const cs_moment *moment, const char *label);

/* Which files differ, at the labels that both have in memory. Paths are the moments'. */
void cs_moment_compare(const cs_moment *before, const cs_moment *after, cs_changed *changed);

/* The tree of the default label, if it is loaded. Borrowed. */
cs_tree *cs_moment_default_tree(const cs_moment *moment);

#endif
