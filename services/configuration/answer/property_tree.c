/* SPDX-License-Identifier: MIT */
/*
 * The keys are sorted so that those below one name lie side by side, and each run of them becomes a
 * branch. Sorting rather than hashing: no input makes it slow.
 */
#include "answer/property_tree.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

/* Items from `begin` to `end`, which have the first `len` bytes of their keys in common. */
typedef struct run {
    size_t begin;
    size_t end;
    size_t len;
} run;

/* An item and what its key's places are. */
typedef struct grown {
    const cs_merged_item *item;
    const uint16_t *ranks;
} grown;

typedef struct grower {
    const cs_merged_item *items; /* in their order */
    grown *sorted;
    size_t n;
    cs_arena *arena;
    size_t n_nodes;
    unsigned depth;
    gw_error *err;
} grower;

/* The branches of one map, as they come. */
typedef struct crown {
    cs_branch *map;
    size_t cap;
    size_t start; /* where the names begin in the keys */
} crown;

static gw_status fail(const grower *g, const cs_merged_item *item, gw_status st, const char *why)
{
    return gw_error_set(g->err, st, 0, "%s:%u: the key '%.*s' %s", item->path, item->line,
                        (int)(item->key.len < 128 ? item->key.len : 128), item->key.bytes, why);
}

/* ---- the parts of keys ---------------------------------------------------------------- */

/* What a place in a key is. The end comes before a '.', that before an index, and that before what
 * goes on with a name: so keys below one name lie side by side when they are sorted by it. */
enum { AT_END, AT_DOT, AT_INDEX, IN_NAME };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The end of the digits in brackets at `at`; 0 if there are none. */
static size_t digits_end(cs_text key, size_t at)
{
    size_t i = at + 1;
    while (i < key.len && is_digit(key.bytes[i])) {
        i++;
    }
    bool has_leading_zero = i > at + 2 && key.bytes[at + 1] == '0';
    return i == at + 1 || has_leading_zero || i == key.len || key.bytes[i] != ']' ? 0 : i + 1;
}

/* From right to left, since an index is one only if what follows it is an index, a '.' or the end.
 */
static const uint16_t *rank_places(cs_text key, cs_arena *arena)
{
    uint16_t *ranks = cs_arena_alloc(arena, (key.len + 1) * sizeof(*ranks));
    if (ranks == NULL) {
        return NULL;
    }
    ranks[key.len] = AT_END;
    for (size_t i = key.len; i > 0; i--) {
        size_t at = i - 1;
        size_t end = key.bytes[at] == '[' ? digits_end(key, at) : 0;
        ranks[at] = (uint16_t)(IN_NAME + (unsigned char)key.bytes[at]);
        if (key.bytes[at] == '.') {
            ranks[at] = AT_DOT;
        } else if (end > 0 && ranks[end] < IN_NAME) {
            ranks[at] = AT_INDEX;
        }
    }
    return ranks;
}

/* The end of a name that begins at `at`: a '[' at its beginning is part of it. */
static size_t name_end(const grown *of, size_t at)
{
    size_t i = at;
    if (of->ranks[i] == AT_INDEX) {
        i++;
    }
    while (of->ranks[i] >= IN_NAME) {
        i++;
    }
    return i;
}

/* The end of the part that begins with the boundary at `at`. */
static size_t part_end(const grown *of, size_t at)
{
    return of->ranks[at] == AT_DOT ? name_end(of, at + 1) : digits_end(of->item->key, at);
}

static gw_status check_key(const grower *g, const cs_merged_item *item)
{
    const cs_text key = item->key;
    for (size_t i = 0; i < key.len; i++) {
        bool is_empty = key.bytes[i] == '.' && (i == 0 || key.bytes[i - 1] == '.');
        if (is_empty || (key.bytes[i] == '[' && i > 0 && key.bytes[i - 1] == '.')) {
            return fail(g, item, GW_E_INVALID, "has an empty part, so it cannot be nested");
        }
    }
    return GW_OK;
}

static int by_parts(const void *a, const void *b)
{
    const uint16_t *x = ((const grown *)a)->ranks;
    const uint16_t *y = ((const grown *)b)->ranks;
    while (*x == *y && *x != AT_END) {
        x++;
        y++;
    }
    return (*x > *y) - (*x < *y);
}

static cs_text key_at(const grower *g, size_t i)
{
    return g->sorted[i].item->key;
}

/* The next run of one more part, from `begin` on: all of them have the boundary at `len`. */
static run next_run(const grower *g, size_t begin, size_t end, size_t len)
{
    cs_text first = key_at(g, begin);
    size_t i = begin + 1;
    while (i < end && key_at(g, i).len >= len && g->sorted[i].ranks[len] < IN_NAME &&
           memcmp(key_at(g, i).bytes, first.bytes, len) == 0) {
        i++;
    }
    return (run){begin, i, len};
}

/* ---- growing ------------------------------------------------------------------------------- */

static cs_branch *new_branch(grower *g, cs_branch_kind kind, run of)
{
    cs_branch *branch = cs_arena_alloc(g->arena, sizeof(*branch));
    if (branch == NULL) {
        cs_flat_no_room(g->arena, g->err);
        return NULL;
    }
    branch->kind = kind;
    branch->place = (size_t)(g->sorted[of.begin].item - g->items);
    for (size_t i = of.begin + 1; i < of.end; i++) {
        size_t place = (size_t)(g->sorted[i].item - g->items);
        branch->place = place < branch->place ? place : branch->place;
    }
    return branch;
}

static gw_status hang(grower *g, cs_branch *parent, size_t *cap, cs_branch *child)
{
    if (parent->n_children == *cap) {
        size_t room = *cap == 0 ? 4 : *cap * 2;
        cs_branch **children = cs_arena_alloc(g->arena, room * sizeof(cs_branch *));
        if (children == NULL) {
            return cs_flat_no_room(g->arena, g->err);
        }
        if (*cap > 0) {
            memcpy(children, parent->children, *cap * sizeof(cs_branch *));
        }
        parent->children = children;
        *cap = room;
    }
    parent->children[parent->n_children++] = child;
    return GW_OK;
}

static gw_status count_nodes(grower *g, const cs_merged_item *item, size_t n)
{
    g->n_nodes += n;
    return g->n_nodes <= CS_FLAT_NODES_MAX
               ? GW_OK
               : fail(g, item, GW_E_LIMIT, "is one too many: too many values and holes of lists");
}

static int by_place(const void *a, const void *b)
{
    const cs_branch *x = *(cs_branch *const *)a;
    const cs_branch *y = *(cs_branch *const *)b;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_index(const void *a, const void *b)
{
    const cs_branch *x = *(cs_branch *const *)a;
    const cs_branch *y = *(cs_branch *const *)b;
    return (x->index > y->index) - (x->index < y->index);
}

static gw_status grow_map(grower *g, run of, cs_branch *map);
static gw_status grow_list(grower *g, run of, crown *around, cs_branch *list);
static gw_status grow_named(grower *g, run of, crown *around);

/* The parts of a run: its own value, what lies below it in a map, and in a list. */
typedef struct parts {
    run value;
    run map;
    run list;
} parts;

static parts divide(const grower *g, run of)
{
    size_t i = of.begin;
    parts p = {.value = {i, i, of.len}};
    if (key_at(g, i).len == of.len) {
        p.value.end = ++i;
    }
    p.map = (run){i, i, of.len};
    while (i < of.end && g->sorted[i].ranks[of.len] == AT_DOT) {
        i++;
    }
    p.map.end = i;
    p.list = (run){i, of.end, of.len};
    return p;
}

static bool is_empty(run of)
{
    return of.begin == of.end;
}

/* Each with one more part in its name. */
static gw_status grow_longer(grower *g, run of, crown *around)
{
    gw_status st = GW_OK;
    for (size_t i = of.begin; i < of.end && st == GW_OK;) {
        run longer = next_run(g, i, of.end, part_end(&g->sorted[i], of.len));
        st = grow_named(g, longer, around);
        i = longer.end;
    }
    return st;
}

/* The one branch that a run becomes; `ret_rest` are the parts that found no room in it. */
static gw_status grow_branch(grower *g, run of, crown *around, cs_branch **ret_branch,
                             run ret_rest[2])
{
    parts p = divide(g, of);
    run taken = !is_empty(p.value) ? p.value : !is_empty(p.map) ? p.map : p.list;
    bool is_value = !is_empty(p.value);
    bool is_map = !is_value && !is_empty(p.map);
    ret_rest[0] = is_value ? p.map : (run){0, 0, 0};
    ret_rest[1] = is_value || is_map ? p.list : (run){0, 0, 0};
    gw_status st = count_nodes(g, g->sorted[of.begin].item, 1);
    if (st != GW_OK) {
        return st;
    }
    cs_branch *branch = new_branch(g,
                                   is_value ? CS_BRANCH_VALUE
                                   : is_map ? CS_BRANCH_MAP
                                            : CS_BRANCH_LIST,
                                   taken);
    if (branch == NULL) {
        return g->err == NULL ? GW_E_NOMEM : g->err->status;
    }
    *ret_branch = branch;
    if (is_value) {
        branch->item = g->sorted[taken.begin].item;
        return GW_OK;
    }
    if (g->depth >= CS_FLAT_DEPTH_MAX) {
        return fail(g, g->sorted[of.begin].item, GW_E_LIMIT, "is nested too deeply");
    }
    g->depth++;
    st = is_map ? grow_map(g, taken, branch) : grow_list(g, taken, around, branch);
    g->depth--;
    return st;
}

static gw_status grow_named(grower *g, run of, crown *around)
{
    cs_branch *branch = NULL;
    run rest[2];
    gw_status st = grow_branch(g, of, around, &branch, rest);
    if (st == GW_OK) {
        branch->name = (cs_text){key_at(g, of.begin).bytes + around->start, of.len - around->start};
        st = hang(g, around->map, &around->cap, branch);
    }
    for (size_t i = 0; st == GW_OK && i < 2; i++) {
        st = grow_longer(g, rest[i], around);
    }
    return st;
}

static size_t read_index(cs_text key, size_t at)
{
    size_t index = 0;
    for (size_t i = at + 1; is_digit(key.bytes[i]); i++) {
        index = index * 10 + (size_t)(key.bytes[i] - '0');
        if (index >= CS_LIST_ITEMS_MAX) {
            return CS_LIST_ITEMS_MAX;
        }
    }
    return index;
}

static gw_status grow_item(grower *g, run of, size_t at, crown *around, cs_branch *list,
                           size_t *cap)
{
    cs_branch *branch = NULL;
    run rest[2];
    size_t index = read_index(key_at(g, of.begin), at);
    if (index >= CS_LIST_ITEMS_MAX) {
        return fail(g, g->sorted[of.begin].item, GW_E_LIMIT, "has too large an index");
    }
    gw_status st = grow_branch(g, of, around, &branch, rest);
    if (st == GW_OK) {
        branch->index = index;
        st = hang(g, list, cap, branch);
    }
    for (size_t i = 0; st == GW_OK && i < 2; i++) {
        st = grow_longer(g, rest[i], around);
    }
    return st;
}

/* What finds no room in the list goes to the map around it. */
static gw_status grow_list(grower *g, run of, crown *around, cs_branch *list)
{
    size_t cap = 0;
    gw_status st = GW_OK;
    for (size_t i = of.begin; i < of.end && st == GW_OK;) {
        run item = next_run(g, i, of.end, part_end(&g->sorted[i], of.len));
        st = grow_item(g, item, of.len, around, list, &cap);
        i = item.end;
    }
    if (st != GW_OK) {
        return st;
    }
    qsort(list->children, list->n_children, sizeof(cs_branch *), by_index);
    size_t n_holes = list->children[list->n_children - 1]->index + 1 - list->n_children;
    return count_nodes(g, g->sorted[of.begin].item, n_holes);
}

static gw_status grow_map(grower *g, run of, cs_branch *map)
{
    return grow_longer(g, of, &(crown){.map = map, .start = of.len + 1});
}

static gw_status grow_root(grower *g, cs_branch *root)
{
    crown around = {.map = root};
    gw_status st = GW_OK;
    for (size_t i = 0; i < g->n && st == GW_OK;) {
        run named = next_run(g, i, g->n, name_end(&g->sorted[i], 0));
        st = grow_named(g, named, &around);
        i = named.end;
    }
    return st;
}

static void settle(cs_branch *branch)
{
    if (branch->kind == CS_BRANCH_MAP && branch->n_children > 1) {
        qsort(branch->children, branch->n_children, sizeof(cs_branch *), by_place);
    }
    for (size_t i = 0; i < branch->n_children; i++) {
        settle(branch->children[i]);
    }
}

gw_status cs_property_tree_make(const cs_merged *merged, cs_arena *arena,
                                const cs_branch **ret_root, gw_error *err)
{
    grower g = {.items = merged->items, .n = merged->n_items, .arena = arena, .err = err};
    cs_branch *root = cs_arena_alloc(arena, sizeof(*root));
    g.sorted = cs_arena_alloc(arena, (g.n + 1) * sizeof(*g.sorted));
    if (root == NULL || g.sorted == NULL) {
        return cs_flat_no_room(arena, err);
    }
    for (size_t i = 0; i < g.n; i++) {
        const cs_merged_item *item = &merged->items[i];
        g.sorted[i] = (grown){item, rank_places(item->key, arena)};
        gw_status st =
            g.sorted[i].ranks == NULL ? cs_flat_no_room(arena, err) : check_key(&g, item);
        if (st != GW_OK) {
            return st;
        }
    }
    qsort(g.sorted, g.n, sizeof(*g.sorted), by_parts);
    root->kind = CS_BRANCH_MAP;
    gw_status st = grow_root(&g, root);
    if (st == GW_OK) {
        settle(root);
        *ret_root = root;
    }
    return st;
}
