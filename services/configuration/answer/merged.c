/* SPDX-License-Identifier: MIT */
#include "answer/merged.h"

#include <stdlib.h>
#include <string.h>

#include "answer/placeholders.h"
#include "files/bounds.h"

#define DROPPED "spring.profiles"

/* A property of a source on its way into the list. */
typedef struct entry {
    const cs_property *item;
    const cs_source *source;
    cs_text stem; /* the key up to its first '[' */
    bool is_list; /* there is one */
    size_t rank;  /* of the source; the higher wins */
    size_t seq;   /* as they come up, from the lowest source on */
    size_t place; /* where the first of its key, or of its list, came up */
} entry;

typedef struct merger {
    const cs_environment *env;
    cs_arena *arena;
    entry *entries; /* by stem, scalars before lists, then as they come up */
    size_t n_entries;
    entry **kept;
    size_t n_kept;
    entry **by_key; /* for placeholders: all entries, the highest of a key first */
    size_t n_steps;
    gw_error *err;
} merger;

gw_status cs_flat_no_room(const cs_arena *arena, gw_error *err)
{
    gw_status st = cs_arena_status(arena) == GW_E_LIMIT ? GW_E_LIMIT : GW_E_NOMEM;
    return gw_error_set(err, st, 0, "the flat form of the environment: %s", gw_status_text(st));
}

static size_t count_items(const cs_environment *env)
{
    size_t n = 0;
    for (size_t i = 0; i < env->n_sources; i++) {
        n += env->sources[i].n_items;
    }
    return n;
}

static void add_entries(merger *m)
{
    const cs_environment *env = m->env;
    for (size_t i = env->n_sources; i > 0; i--) {
        const cs_source *source = &env->sources[i - 1];
        for (size_t j = 0; j < source->n_items; j++) {
            const cs_property *item = &source->items[j];
            if (cs_text_is(item->key, DROPPED)) {
                continue;
            }
            const char *bracket = memchr(item->key.bytes, '[', item->key.len);
            size_t stem_len = bracket == NULL ? item->key.len : (size_t)(bracket - item->key.bytes);
            m->entries[m->n_entries] = (entry){
                .item = item,
                .source = source,
                .stem = {item->key.bytes, stem_len},
                .is_list = bracket != NULL,
                .rank = env->n_sources - i,
                .seq = m->n_entries,
            };
            m->n_entries++;
        }
    }
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_stem(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    int order = cs_text_compare(x->stem, y->stem);
    if (order == 0) {
        order = x->is_list - y->is_list;
    }
    return order != 0 ? order : compare_sizes(x->seq, y->seq);
}

static int by_place(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a;
    const entry *y = *(entry *const *)b;
    int order = x->is_list - y->is_list;
    if (order == 0) {
        order = compare_sizes(x->place, y->place);
    }
    return order != 0 ? order : compare_sizes(x->seq, y->seq);
}

static int by_key_and_rank(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a;
    const entry *y = *(entry *const *)b;
    int order = cs_text_compare(x->item->key, y->item->key);
    return order != 0 ? order : compare_sizes(y->rank, x->rank);
}

static void keep(merger *m, entry *kept, const entry *first)
{
    kept->place = first->seq;
    m->kept[m->n_kept++] = kept;
}

/*
 * One stem: its scalars, at `begin`, and its lists, from `lists` to `end`. Of the scalars the
 * highest is kept, of the lists all items of the highest source; and if one of the two lies in a
 * higher source than the other, only that one.
 */
static void keep_stem(merger *m, size_t begin, size_t lists, size_t end)
{
    bool has_scalar = begin < lists;
    bool has_list = lists < end;
    size_t scalar_rank = has_scalar ? m->entries[lists - 1].rank : 0;
    size_t list_rank = has_list ? m->entries[end - 1].rank : 0;
    if (has_scalar && (!has_list || scalar_rank >= list_rank)) {
        keep(m, &m->entries[lists - 1], &m->entries[begin]);
    }
    if (!has_list || (has_scalar && scalar_rank > list_rank)) {
        return;
    }
    for (size_t i = lists; i < end; i++) {
        if (m->entries[i].rank == list_rank) {
            keep(m, &m->entries[i], &m->entries[lists]);
        }
    }
}

static void keep_highest(merger *m)
{
    qsort(m->entries, m->n_entries, sizeof(entry), by_stem);
    for (size_t begin = 0; begin < m->n_entries;) {
        size_t lists = begin;
        size_t end = begin;
        while (end < m->n_entries && cs_text_equal(m->entries[end].stem, m->entries[begin].stem)) {
            lists += m->entries[end].is_list ? 0 : 1;
            end++;
        }
        keep_stem(m, begin, lists, end);
        begin = end;
    }
    qsort(m->kept, m->n_kept, sizeof(entry *), by_place);
}

/* ---- placeholders ------------------------------------------------------------------------ */

/* As the environment has it: of the highest source that has the key. */
static bool find_value(void *ctx, cs_text key, cs_text *ret_value)
{
    const merger *m = ctx;
    size_t low = 0;
    size_t high = m->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cs_text_compare(m->by_key[middle]->item->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == m->n_entries || !cs_text_equal(m->by_key[low]->item->key, key)) {
        return false;
    }
    *ret_value = m->by_key[low]->item->value;
    return true;
}

static gw_status index_keys(merger *m)
{
    if (m->by_key != NULL) {
        return GW_OK;
    }
    m->by_key = cs_arena_alloc(m->arena, m->n_entries * sizeof(entry *));
    if (m->by_key == NULL) {
        return cs_flat_no_room(m->arena, m->err);
    }
    for (size_t i = 0; i < m->n_entries; i++) {
        m->by_key[i] = &m->entries[i];
    }
    qsort(m->by_key, m->n_entries, sizeof(entry *), by_key_and_rank);
    return GW_OK;
}

static gw_status resolve_item(merger *m, cs_merged_item *item)
{
    gw_status st = index_keys(m);
    if (st != GW_OK) {
        return st;
    }
    gw_error why = GW_ERROR_INIT;
    gw_buf out;
    gw_buf_init(&out, CS_ENVIRONMENT_BYTES_MAX);
    st = cs_placeholders_resolve_within(&out, item->value, find_value, m, &m->n_steps, &why);
    if (st != GW_OK) {
        st = gw_error_set(m->err, st, 0, "%s:%u: the value of '%.*s': %s", item->path, item->line,
                          (int)(item->key.len < 128 ? item->key.len : 128), item->key.bytes,
                          why.text);
    } else {
        item->value = cs_arena_copy(m->arena, out.data, out.len);
        st = item->value.bytes == NULL ? cs_flat_no_room(m->arena, m->err) : GW_OK;
    }
    gw_buf_dispose(&out);
    return st;
}

/* ---- the list ------------------------------------------------------------------------------ */

static gw_status write_items(merger *m, bool resolve, cs_merged *merged)
{
    for (size_t i = 0; i < m->n_kept; i++) {
        const entry *from = m->kept[i];
        merged->items[i] = (cs_merged_item){
            .key = from->item->key,
            .value = from->item->value,
            .kind = from->item->kind,
            .line = from->item->line,
            .path = from->source->path[0] == '\0' ? from->source->name : from->source->path,
        };
        if (resolve && from->item->kind == CS_VALUE_TEXT &&
            cs_has_placeholders(from->item->value)) {
            gw_status st = resolve_item(m, &merged->items[i]);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    merged->n_items = m->n_kept;
    return GW_OK;
}

gw_status cs_merged_make(const cs_environment *env, bool resolve, cs_arena *arena,
                         cs_merged *ret_merged, gw_error *err)
{
    size_t n = count_items(env);
    cs_merged merged = {.items = NULL};
    merger m = {.env = env, .arena = arena, .err = err};
    m.entries = cs_arena_alloc(arena, (n + 1) * sizeof(entry));
    m.kept = cs_arena_alloc(arena, (n + 1) * sizeof(entry *));
    merged.items = cs_arena_alloc(arena, (n + 1) * sizeof(cs_merged_item));
    if (cs_arena_status(arena) != GW_OK) {
        return cs_flat_no_room(arena, err);
    }
    add_entries(&m);
    keep_highest(&m);
    gw_status st = write_items(&m, resolve, &merged);
    if (st == GW_OK) {
        *ret_merged = merged;
    }
    return st;
}
