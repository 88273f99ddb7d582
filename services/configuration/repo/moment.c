/* SPDX-License-Identifier: MIT */
#include "repo/moment.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "repo/keeper.h"

#define COMMIT_PREFIX_MIN 7

/* A label that was asked for. Immutable once it is in the list, but for is_asked. */
typedef struct cs_label_tree {
    struct cs_label_tree *next;
    cs_tree *tree;
    cs_commit commit;
    bool is_commit;   /* a commit's id, not the name of one of the refs */
    unsigned n_rests; /* moments since it was asked for */
    atomic_bool is_asked;
    char name[];
} label_tree;

cs_moment *cs_moment_new(cs_keeper *keeper, cs_refs *refs, gw_status st, const char *reason)
{
    cs_moment *moment = calloc(1, sizeof(*moment));
    if (moment == NULL) {
        cs_refs_unref(refs);
        return NULL;
    }
    atomic_init(&moment->n_refs, 1);
    moment->keeper = cs_keeper_ref(keeper);
    moment->refs = refs;
    moment->st = st;
    snprintf(moment->reason, sizeof(moment->reason), "%s", reason);
    return moment;
}

cs_moment *cs_moment_ref(cs_moment *moment)
{
    atomic_fetch_add_explicit(&moment->n_refs, 1, memory_order_relaxed);
    return moment;
}

void cs_moment_unref(cs_moment *moment)
{
    if (moment == NULL ||
        atomic_fetch_sub_explicit(&moment->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    label_tree *next = NULL;
    for (label_tree *item = moment->labels; item != NULL; item = next) {
        next = item->next;
        cs_tree_unref(item->tree);
        free(item);
    }
    cs_refs_unref(moment->refs);
    cs_keeper_unref(moment->keeper);
    free(moment);
}

bool cs_moment_is_fresh(const cs_moment *moment)
{
    return moment->st == GW_OK && !cs_keeper_is_hung(moment->keeper, gw_clock_ms());
}

uint64_t cs_moment_age_ms(const cs_moment *moment)
{
    uint64_t good_ms = atomic_load(&moment->keeper->good_ms);
    if (good_ms == 0 || (moment->keeper->watch_fd >= 0 && cs_moment_is_fresh(moment))) {
        return 0;
    }
    uint64_t now = gw_clock_ms();
    return now > good_ms ? now - good_ms : 0;
}

/* ---- labels ----------------------------------------------------------------------- */

const cs_ref *cs_moment_find_ref(const cs_moment *moment, const char *label)
{
    if (moment->refs == NULL) {
        return NULL;
    }
    if (cs_refs_count(moment->refs) > 0 && cs_refs_at(moment->refs, 0)->kind == CS_REF_ANY) {
        return cs_refs_at(moment->refs, 0);
    }
    const cs_ref *found = cs_refs_find(moment->refs, label);
    if (found != NULL || moment->keeper->options->no_master) {
        return found;
    }
    if (strcmp(label, "main") == 0) {
        return cs_refs_find(moment->refs, "master");
    }
    return strcmp(label, "master") == 0 ? cs_refs_find(moment->refs, "main") : NULL;
}

static bool is_commit_prefix(const char *label)
{
    size_t len = strlen(label);
    return len >= COMMIT_PREFIX_MIN && len <= CS_COMMIT_LEN &&
           strspn(label, "0123456789abcdefABCDEF") == len;
}

static gw_status fail_unknown(const cs_moment *moment, const char *label, gw_error *err)
{
    return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s: no branch, tag or commit '%s'",
                        moment->keeper->uri, label);
}

static gw_status resolve(const cs_moment *moment, const char *label, cs_commit *ret_commit,
                         gw_error *err)
{
    const cs_ref *ref = cs_moment_find_ref(moment, label);
    if (ref != NULL) {
        *ret_commit = ref->commit;
        return GW_OK;
    }
    if (!is_commit_prefix(label)) {
        return fail_unknown(moment, label, err);
    }
    cs_backend *backend = moment->keeper->backend;
    return backend->class->find_commit(backend, label, ret_commit, err);
}

static bool is_default(const cs_moment *moment, const char *label)
{
    return strcmp(label, moment->keeper->options->default_label) == 0;
}

static label_tree *find_label(label_tree *first, const char *label)
{
    for (; first != NULL; first = first->next) {
        if (strcmp(first->name, label) == 0) {
            return first;
        }
    }
    return NULL;
}

static label_tree *find_commit(label_tree *first, const cs_commit *commit)
{
    for (; first != NULL; first = first->next) {
        if (strcmp(first->commit.id, commit->id) == 0) {
            return first;
        }
    }
    return NULL;
}

static label_tree *label_new(const char *label, const cs_commit *commit, bool is_commit,
                             cs_tree *tree)
{
    size_t len = strlen(label);
    label_tree *item = malloc(sizeof(*item) + len + 1);
    if (item != NULL) {
        *item = (label_tree){
            .tree = cs_tree_ref(tree),
            .commit = *commit,
            .is_commit = is_commit,
        };
        atomic_init(&item->is_asked, false);
        memcpy(item->name, label, len + 1);
    }
    return item;
}

/* Whether there is room for one more; then it counts. */
static bool has_room(cs_moment *moment, const char *label, const cs_tree *tree)
{
    if (is_default(moment, label)) {
        return true;
    }
    size_t n = cs_tree_n_entries(tree);
    if (atomic_fetch_add(&moment->n_labels, 1) >= CS_LABELS_KEPT_MAX) {
        atomic_fetch_sub(&moment->n_labels, 1);
        return false;
    }
    if (atomic_fetch_add(&moment->n_entries, n) + n > CS_ENTRIES_KEPT_MAX) {
        atomic_fetch_sub(&moment->n_entries, n);
        atomic_fetch_sub(&moment->n_labels, 1);
        return false;
    }
    return true;
}

/* Keep a tree, if there is room. Two threads may both add the same: the older one is not found. */
static label_tree *keep(cs_moment *moment, const char *label, const cs_commit *commit,
                        cs_tree *tree)
{
    bool is_commit = cs_moment_find_ref(moment, label) == NULL;
    label_tree *item =
        has_room(moment, label, tree) ? label_new(label, commit, is_commit, tree) : NULL;
    if (item == NULL) {
        return NULL;
    }
    item->next = atomic_load_explicit(&moment->labels, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&moment->labels, &item->next, item,
                                                  memory_order_acq_rel, memory_order_relaxed)) {}
    return item;
}

/* ---- trees -------------------------------------------------------------------------- */

/* What a new tree takes its parsed files over from, when nothing is nearer. */
static const cs_tree *any_tree(const cs_moment *moment)
{
    const label_tree *first = atomic_load_explicit(&moment->labels, memory_order_acquire);
    return first == NULL ? NULL : first->tree;
}

static gw_status fail_not_ready(const cs_moment *moment, gw_error *err)
{
    const char *name = moment->keeper->options->name;
    if (moment->st == GW_E_BUSY) {
        return gw_error_set(err, GW_E_BUSY, 0, "repository %s: is being read for the first time",
                            name);
    }
    gw_status st = moment->st == GW_E_NOT_FOUND ? GW_E_NOT_FOUND : GW_E_UNAVAILABLE;
    return gw_error_set(err, st, 0, "repository %s: %s", name, moment->reason);
}

gw_status cs_moment_tree(cs_moment *moment, const char *label, cs_tree **ret_tree, gw_error *err)
{
    if (moment->refs == NULL) {
        return fail_not_ready(moment, err);
    }
    const cs_ref *ref = cs_moment_find_ref(moment, label);
    if (ref != NULL && ref->kind == CS_REF_ANY) {
        label = moment->keeper->options->default_label; /* whatever it is called, it is the same */
    }
    label_tree *first = atomic_load_explicit(&moment->labels, memory_order_acquire);
    label_tree *item = find_label(first, label);
    if (item != NULL) {
        atomic_store_explicit(&item->is_asked, true, memory_order_relaxed);
        *ret_tree = cs_tree_ref(item->tree);
        return GW_OK;
    }
    cs_commit commit;
    cs_tree *tree = NULL;
    gw_status st = resolve(moment, label, &commit, err);
    if (st != GW_OK) {
        return st;
    }
    item = find_commit(first, &commit);
    if (item != NULL) {
        tree = cs_tree_ref(item->tree);
    } else {
        cs_backend *backend = moment->keeper->backend;
        st = backend->class->tree(backend, &commit, any_tree(moment), &tree, err);
        if (st != GW_OK) {
            return st;
        }
    }
    item = keep(moment, label, &commit, tree);
    if (item != NULL) {
        atomic_store_explicit(&item->is_asked, true, memory_order_relaxed);
    }
    *ret_tree = tree;
    return GW_OK;
}

cs_tree *cs_moment_default_tree(const cs_moment *moment)
{
    label_tree *first = atomic_load_explicit(&moment->labels, memory_order_acquire);
    label_tree *item = find_label(first, moment->keeper->options->default_label);
    return item == NULL ? NULL : item->tree;
}

/* ---- from one moment to the next --------------------------------------------------------- */

/* Have the tree of a label as of now, with as little work as what changed allows. */
static gw_status load_label(cs_moment *moment, const char *label, const label_tree *before,
                            const cs_commit *commit, unsigned n_rests, gw_error *err)
{
    label_tree *same = find_commit(moment->labels, commit);
    cs_tree *tree = NULL;
    if (same != NULL) {
        tree = cs_tree_ref(same->tree);
    } else if (before != NULL && strcmp(before->commit.id, commit->id) == 0) {
        tree = cs_tree_ref(before->tree);
    } else {
        cs_backend *backend = moment->keeper->backend;
        const cs_tree *older = before == NULL ? any_tree(moment) : before->tree;
        gw_status st = backend->class->tree(backend, commit, older, &tree, err);
        if (st != GW_OK) {
            return st;
        }
    }
    label_tree *item = keep(moment, label, commit, tree);
    if (item != NULL) {
        item->n_rests = n_rests;
    }
    cs_tree_unref(tree);
    return GW_OK;
}

/* A label that has not been asked for in a while, is gone, or cannot be read, is read when it is
 * asked for: a branch that somebody broke is no reason to keep the others as they were. */
static void carry(cs_moment *moment, const label_tree *item)
{
    bool was_asked = atomic_load_explicit(&item->is_asked, memory_order_relaxed);
    unsigned n_rests = was_asked ? 0 : item->n_rests + 1;
    if (n_rests > CS_LABEL_RESTS_MAX || find_label(moment->labels, item->name) != NULL) {
        return;
    }
    const cs_ref *ref = cs_moment_find_ref(moment, item->name);
    if (ref == NULL && !item->is_commit) {
        return;
    }
    gw_error why = GW_ERROR_INIT;
    const cs_commit *commit = ref == NULL ? &item->commit : &ref->commit;
    if (load_label(moment, item->name, item, commit, n_rests, &why) != GW_OK) {
        gw_log_error("repository", "%s: label '%s': %s", moment->keeper->options->name, item->name,
                     why.text);
    }
}

gw_status cs_moment_load(cs_moment *moment, cs_moment *before, gw_error *err)
{
    const char *label = moment->keeper->options->default_label;
    label_tree *first =
        before == NULL ? NULL : atomic_load_explicit(&before->labels, memory_order_acquire);
    const cs_ref *ref = cs_moment_find_ref(moment, label);
    gw_status st = GW_OK;
    if (ref != NULL) {
        st = load_label(moment, label, find_label(first, label), &ref->commit, 0, err);
    }
    for (label_tree *item = first; st == GW_OK && item != NULL; item = item->next) {
        carry(moment, item);
    }
    return st;
}

void cs_moment_compare(const cs_moment *before, const cs_moment *after, cs_changed *changed)
{
    label_tree *first = atomic_load_explicit(&before->labels, memory_order_acquire);
    label_tree *item = atomic_load_explicit(&after->labels, memory_order_acquire);
    for (; item != NULL; item = item->next) {
        const label_tree *old = find_label(first, item->name);
        if (old != NULL && old->tree != item->tree) {
            cs_changed_add(changed, old->tree, item->tree);
        }
    }
}
