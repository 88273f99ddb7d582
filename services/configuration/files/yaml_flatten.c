/* SPDX-License-Identifier: MIT */
#include "files/yaml_flatten.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <godwit/buf.h>

#include "files/bounds.h"

typedef struct flattener {
    cs_file *file;
    gw_buf key;   /* the path down to the node at hand */
    size_t start; /* where in it the path begins: after parts that are blank */
    size_t *n_visits;
    unsigned depth;
    gw_error *err;
} flattener;

/* An entry of a map after its merge keys were followed. */
typedef struct merged {
    const cs_entry *entry;
    bool is_own; /* written in the map itself, so it wins over merged ones */
    size_t place;
} merged;

typedef struct merge_list {
    merged *items;
    size_t n;
    size_t cap;
} merge_list;

static gw_status put_node(flattener *f, const cs_node *node);

int cs_yaml_key_compare(const cs_node *a, const cs_node *b)
{
    int type = (a->scalar.type > b->scalar.type) - (a->scalar.type < b->scalar.type);
    return type != 0 ? type : cs_text_compare(a->scalar.text, b->scalar.text);
}

static gw_status out_of_memory(const flattener *f)
{
    return gw_error_set(f->err, GW_E_NOMEM, 0, "%s: out of memory", f->file->path);
}

/* Count a visit: small files can expand to a great many nodes through aliases of aliases. */
static gw_status visit(flattener *f, const cs_node *node)
{
    if (++*f->n_visits > CS_YAML_VISITS_MAX) {
        return gw_error_set(f->err, GW_E_LIMIT, 0,
                            "%s:%u: the aliases expand to more than %u values", f->file->path,
                            node->line, CS_YAML_VISITS_MAX);
    }
    return GW_OK;
}

static gw_status put_value(flattener *f, const cs_node *node, cs_scalar scalar)
{
    bool is_literal = scalar.type == CS_SCALAR_NUMBER || scalar.type == CS_SCALAR_BOOLEAN;
    size_t key_len = f->key.len - f->start;
    cs_property property = {
        .key = {key_len == 0 ? "" : f->key.data + f->start, key_len},
        .value = scalar.text,
        .kind = is_literal ? CS_VALUE_LITERAL : CS_VALUE_TEXT,
        .line = node->line,
        .column = node->column,
    };
    return cs_file_put(f->file, &property, f->err);
}

/* Whether the path counts as empty: Spring joins nothing to a blank one. */
static bool is_blank(const flattener *f)
{
    for (size_t i = f->start; i < f->key.len; i++) {
        if ((unsigned char)f->key.data[i] > ' ') {
            return false;
        }
    }
    return true;
}

static void push_key(flattener *f, const cs_scalar *scalar)
{
    const cs_text text = scalar->text;
    if (is_blank(f)) {
        f->start = f->key.len;
    }
    if (scalar->type == CS_SCALAR_NUMBER || scalar->type == CS_SCALAR_BOOLEAN) {
        gw_buf_add_char(&f->key, '[');
        gw_buf_add(&f->key, text.bytes, text.len);
        gw_buf_add_char(&f->key, ']');
        return;
    }
    bool is_bracketed = text.len > 0 && text.bytes[0] == '[';
    if (f->key.len > f->start && !is_bracketed) {
        gw_buf_add_char(&f->key, '.');
    }
    gw_buf_add(&f->key, text.bytes, text.len);
}

/* One entry below the current path: extends the path, puts the value, restores the path. */
static gw_status put_below(flattener *f, const cs_scalar *key, const cs_node *value)
{
    size_t start = f->start;
    size_t len = f->key.len;
    push_key(f, key);
    if (gw_buf_status(&f->key) == GW_E_NOMEM) {
        return out_of_memory(f);
    }
    if (gw_buf_status(&f->key) != GW_OK) {
        return gw_error_set(f->err, GW_E_LIMIT, 0, "%s:%u: a key of more than %u bytes",
                            f->file->path, value->line, CS_KEY_BYTES_MAX);
    }
    gw_status st = put_node(f, value);
    f->start = start;
    f->key.len = len;
    return st;
}

static gw_status put_list(flattener *f, const cs_node *list)
{
    if (list->n_entries == 0) {
        return put_value(f, list, (cs_scalar){CS_SCALAR_TEXT, {"", 0}});
    }
    size_t i = 0;
    for (const cs_entry *entry = list->first; entry != NULL; entry = entry->next) {
        char index[32];
        int n = snprintf(index, sizeof(index), "[%zu]", i++);
        cs_scalar key = {CS_SCALAR_TEXT, {index, (size_t)n}};
        gw_status st = put_below(f, &key, entry->value);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

static gw_status add_merged(flattener *f, merge_list *list, const cs_entry *entry, bool is_own)
{
    gw_status st = visit(f, entry->key);
    if (st != GW_OK) {
        return st;
    }
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 32 : list->cap * 2;
        merged *items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL) {
            return out_of_memory(f);
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n] = (merged){entry, is_own, list->n};
    list->n++;
    return GW_OK;
}

static gw_status collect_map(flattener *f, merge_list *list, const cs_node *map, bool is_own,
                             unsigned depth);

/* The value of "<<": a map, or a list of maps. */
static gw_status collect_merge_value(flattener *f, merge_list *list, const cs_entry *entry,
                                     unsigned depth)
{
    const cs_node *value = entry->value;
    if (value->kind == CS_NODE_MAP) {
        return collect_map(f, list, value, false, depth);
    }
    gw_status st = value->kind == CS_NODE_LIST ? GW_OK : GW_E_INVALID;
    const cs_entry *item = value->kind == CS_NODE_LIST ? value->first : NULL;
    for (; st == GW_OK && item != NULL; item = item->next) {
        if (item->value->kind != CS_NODE_MAP) {
            st = GW_E_INVALID;
            break;
        }
        st = collect_map(f, list, item->value, false, depth);
        if (st != GW_OK) {
            return st;
        }
    }
    if (st != GW_OK) {
        return gw_error_set(f->err, st, 0,
                            "%s:%u: the value of '<<' must be a map or a list of maps",
                            f->file->path, entry->key->line);
    }
    return GW_OK;
}

/* The entries of a map in the order they are written, those of merged maps in the place of "<<". */
static gw_status collect_map(flattener *f, merge_list *list, const cs_node *map, bool is_own,
                             unsigned depth)
{
    gw_status st = visit(f, map);
    if (st == GW_OK && depth >= CS_YAML_DEPTH_MAX) {
        st = gw_error_set(f->err, GW_E_LIMIT, 0, "%s:%u: merge keys nested more than %u deep",
                          f->file->path, map->line, CS_YAML_DEPTH_MAX);
    }
    for (const cs_entry *entry = map->first; st == GW_OK && entry != NULL; entry = entry->next) {
        if (entry->key->scalar.type == CS_SCALAR_MERGE) {
            st = collect_merge_value(f, list, entry, depth + 1);
        } else {
            st = add_merged(f, list, entry, is_own);
        }
    }
    return st;
}

static int by_key(const void *a, const void *b)
{
    const merged *x = a;
    const merged *y = b;
    int order = cs_yaml_key_compare(x->entry->key, y->entry->key);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static int by_place(const void *a, const void *b)
{
    const merged *x = a;
    const merged *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

/* One entry a key: the map's own if it has one, else the first that was merged; it keeps the place
 * where the key came up first. */
static void settle_merged(merge_list *list)
{
    if (list->n == 0) {
        return;
    }
    qsort(list->items, list->n, sizeof(*list->items), by_key);
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        merged *item = &list->items[i];
        if (n > 0 && cs_yaml_key_compare(list->items[n - 1].entry->key, item->entry->key) == 0) {
            if (item->is_own) {
                list->items[n - 1].entry = item->entry;
            }
            continue;
        }
        list->items[n++] = *item;
    }
    list->n = n;
    qsort(list->items, list->n, sizeof(*list->items), by_place);
}

static gw_status put_merged_map(flattener *f, const cs_node *map)
{
    merge_list list = {NULL, 0, 0};
    gw_status st = collect_map(f, &list, map, true, 0);
    if (st == GW_OK) {
        settle_merged(&list);
    }
    for (size_t i = 0; st == GW_OK && i < list.n; i++) {
        st = put_below(f, &list.items[i].entry->key->scalar, list.items[i].entry->value);
    }
    free(list.items);
    return st;
}

static gw_status put_map(flattener *f, const cs_node *map)
{
    if (map->has_merge) {
        return put_merged_map(f, map);
    }
    for (const cs_entry *entry = map->first; entry != NULL; entry = entry->next) {
        gw_status st = put_below(f, &entry->key->scalar, entry->value);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

static gw_status put_node(flattener *f, const cs_node *node)
{
    gw_status st = visit(f, node);
    if (st != GW_OK) {
        return st;
    }
    if (f->depth >= CS_YAML_DEPTH_MAX) {
        return gw_error_set(f->err, GW_E_LIMIT, 0, "%s:%u: nested more than %u deep", f->file->path,
                            node->line, CS_YAML_DEPTH_MAX);
    }
    f->depth++;
    switch (node->kind) {
    case CS_NODE_SCALAR: st = put_value(f, node, node->scalar); break;
    case CS_NODE_LIST: st = put_list(f, node); break;
    case CS_NODE_MAP: st = put_map(f, node); break;
    }
    f->depth--;
    return st;
}

gw_status cs_yaml_flatten(cs_file *file, const cs_node *root, size_t *n_visits, gw_error *err)
{
    assert(file->n_documents > 0);
    flattener f = {.file = file, .n_visits = n_visits, .err = err};
    gw_buf_init(&f.key, CS_KEY_BYTES_MAX);
    if (root->kind != CS_NODE_MAP) {
        gw_buf_add_str(&f.key, "document");
    }
    gw_status st = put_node(&f, root);
    gw_buf_dispose(&f.key);
    return st;
}
