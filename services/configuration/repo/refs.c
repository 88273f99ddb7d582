/* SPDX-License-Identifier: MIT */
#include "repo/refs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

struct cs_refs {
    atomic_uint n_users;
    size_t n;
    cs_ref *items; /* sorted by name, branches before tags */
    char *names;   /* all of them, one after the other */
};

static int compare(const void *a, const void *b)
{
    const cs_ref *x = a;
    const cs_ref *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (int)x->kind - (int)y->kind;
}

static void free_refs(cs_refs *refs)
{
    free(refs->items);
    free(refs->names);
    free(refs);
}

/* The one state of a directory needs no name. */
static const char *name_of(const cs_ref *item)
{
    return item->name == NULL ? "" : item->name;
}

static void copy_items(cs_refs *refs, const cs_ref *items, size_t n)
{
    char *name = refs->names;
    for (size_t i = 0; i < n; i++) {
        refs->items[i] = items[i];
        refs->items[i].name = name;
        name = stpcpy(name, name_of(&items[i])) + 1;
    }
    refs->n = n;
    qsort(refs->items, n, sizeof(refs->items[0]), compare);
}

gw_status cs_refs_new(const cs_ref *items, size_t n, cs_refs **ret_refs, gw_error *err)
{
    if (n > CS_REFS_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %u branches and tags", CS_REFS_MAX);
    }
    size_t n_bytes = 1;
    for (size_t i = 0; i < n; i++) {
        n_bytes += strlen(name_of(&items[i])) + 1;
    }
    cs_refs *refs = calloc(1, sizeof(*refs));
    if (refs != NULL) {
        refs->n_users = 1;
        refs->items = malloc((n + 1) * sizeof(refs->items[0]));
        refs->names = malloc(n_bytes);
    }
    if (refs == NULL || refs->items == NULL || refs->names == NULL) {
        if (refs != NULL) {
            free_refs(refs);
        }
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    copy_items(refs, items, n);
    *ret_refs = refs;
    return GW_OK;
}

cs_refs *cs_refs_ref(cs_refs *refs)
{
    atomic_fetch_add_explicit(&refs->n_users, 1, memory_order_relaxed);
    return refs;
}

void cs_refs_unref(cs_refs *refs)
{
    if (refs != NULL && atomic_fetch_sub_explicit(&refs->n_users, 1, memory_order_acq_rel) == 1) {
        free_refs(refs);
    }
}

size_t cs_refs_count(const cs_refs *refs)
{
    return refs->n;
}

const cs_ref *cs_refs_at(const cs_refs *refs, size_t i)
{
    return &refs->items[i];
}

const cs_ref *cs_refs_find(const cs_refs *refs, const char *label)
{
    if (refs->n > 0 && refs->items[0].kind == CS_REF_ANY) {
        return &refs->items[0];
    }
    size_t low = 0;
    size_t high = refs->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(refs->items[middle].name, label) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < refs->n && strcmp(refs->items[low].name, label) == 0 ? &refs->items[low] : NULL;
}

bool cs_refs_equal(const cs_refs *a, const cs_refs *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        const cs_ref *x = &a->items[i];
        const cs_ref *y = &b->items[i];
        if (x->kind != y->kind || strcmp(x->name, y->name) != 0 ||
            strcmp(x->commit.id, y->commit.id) != 0) {
            return false;
        }
    }
    return true;
}
