/* SPDX-License-Identifier: MIT */
/*
 * libyaml's events to a tree, document by document. It refuses what a configuration has no use for:
 * keys that are not scalars, tags that name types of a language, loops.
 */
#include "files/yaml_reader.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "files/bounds.h"
#include "files/yaml_flatten.h"
#include "files/yaml_tree.h"

#define TREE_BYTES_MAX ((size_t)64 << 20)

typedef struct anchor {
    cs_text name;
    cs_node *node;
} anchor;

typedef struct reader {
    cs_file *file;
    yaml_parser_t parser;
    cs_arena arena; /* of the document at hand */
    cs_node *open[CS_YAML_DEPTH_MAX];
    cs_node *key[CS_YAML_DEPTH_MAX]; /* the key of an open map whose value comes next */
    size_t depth;
    cs_node *root;
    anchor anchors[CS_YAML_ANCHORS_MAX];
    size_t n_anchors;
    size_t n_nodes;
    size_t n_visits;
    gw_error *err;
} reader;

static unsigned line_of(const yaml_mark_t *mark)
{
    return (unsigned)mark->line + 1;
}

static gw_status fail_memory(const reader *r, unsigned line)
{
    gw_status st = cs_arena_status(&r->arena);
    if (st == GW_E_LIMIT) {
        return gw_error_set(r->err, st, 0, "%s:%u: the document is too large", r->file->path, line);
    }
    return gw_error_set(r->err, GW_E_NOMEM, 0, "%s:%u: out of memory", r->file->path, line);
}

/* What libyaml found, with its context where it has one. */
static gw_status fail_syntax(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem == NULL ? "not YAML" : p->problem;
    if (p->error == YAML_MEMORY_ERROR) {
        return gw_error_set(r->err, GW_E_NOMEM, 0, "%s: out of memory", r->file->path);
    }
    if (p->error == YAML_READER_ERROR) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s (byte %zu, 0x%02x)", r->file->path,
                            line_of(&p->mark), problem, p->problem_offset,
                            (unsigned)p->problem_value & 0xffu);
    }
    if (p->context == NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s", r->file->path,
                            line_of(&p->problem_mark), problem);
    }
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s (%s, line %u)", r->file->path,
                        line_of(&p->problem_mark), problem, p->context, line_of(&p->context_mark));
}

static cs_node *new_node(reader *r, cs_node_kind kind, const yaml_mark_t *mark)
{
    cs_node *node = cs_arena_alloc(&r->arena, sizeof(*node));
    if (node != NULL) {
        node->kind = kind;
        node->line = line_of(mark);
        node->column = (unsigned)mark->column + 1;
    }
    return node;
}

static gw_status count_node(reader *r, const yaml_mark_t *mark)
{
    if (++r->n_nodes > CS_YAML_NODES_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "%s:%u: more than %u values", r->file->path,
                            line_of(mark), CS_YAML_NODES_MAX);
    }
    return GW_OK;
}

static gw_status set_anchor(reader *r, const yaml_char_t *name, cs_node *node)
{
    if (name == NULL) {
        return GW_OK;
    }
    if (r->n_anchors >= CS_YAML_ANCHORS_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "%s:%u: more than %u anchors", r->file->path,
                            node->line, CS_YAML_ANCHORS_MAX);
    }
    cs_text copy = cs_arena_copy(&r->arena, (const char *)name, strlen((const char *)name));
    if (copy.bytes == NULL) {
        return fail_memory(r, node->line);
    }
    r->anchors[r->n_anchors++] = (anchor){copy, node};
    return GW_OK;
}

/* A map's key is complete: only a scalar will do, and null has no name. */
static gw_status check_key(const reader *r, const cs_node *key, unsigned line)
{
    if (key->kind != CS_NODE_SCALAR) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: a key must be a scalar", r->file->path,
                            line);
    }
    if (key->scalar.type == CS_SCALAR_NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: a key must not be null", r->file->path,
                            line);
    }
    return GW_OK;
}

/* Hang a node, new or aliased, into the innermost open list or map, or make it the root. */
static gw_status attach(reader *r, cs_node *node, unsigned line)
{
    if (r->depth == 0) {
        r->root = node;
        return GW_OK;
    }
    cs_node *parent = r->open[r->depth - 1];
    cs_node **key = &r->key[r->depth - 1];
    if (parent->kind == CS_NODE_MAP && *key == NULL) {
        *key = node;
        return check_key(r, node, line);
    }
    cs_entry *entry = cs_arena_alloc(&r->arena, sizeof(*entry));
    if (entry == NULL) {
        return fail_memory(r, line);
    }
    entry->key = *key;
    entry->value = node;
    *key = NULL;
    if (parent->last == NULL) {
        parent->first = entry;
    } else {
        parent->last->next = entry;
    }
    parent->last = entry;
    parent->n_entries++;
    if (entry->key != NULL && entry->key->scalar.type == CS_SCALAR_MERGE) {
        parent->has_merge = true;
    }
    return GW_OK;
}

static gw_status on_scalar(reader *r, const yaml_event_t *event)
{
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    unsigned line = line_of(&event->start_mark);
    cs_node *node = new_node(r, CS_NODE_SCALAR, &event->start_mark);
    cs_text text =
        cs_arena_copy(&r->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
    if (node == NULL || text.bytes == NULL) {
        return fail_memory(r, line);
    }
    gw_status st = cs_scalar_resolve(&r->arena, text, tag, is_plain, &node->scalar);
    if (st == GW_E_UNSUPPORTED) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: the tag '%s' is not allowed",
                            r->file->path, line, tag);
    }
    if (st == GW_E_INVALID) {
        return gw_error_set(r->err, st, 0, "%s:%u: the value does not fit the tag '%s'",
                            r->file->path, line, tag);
    }
    if (st != GW_OK) {
        return fail_memory(r, line);
    }
    st = set_anchor(r, event->data.scalar.anchor, node);
    return st == GW_OK ? attach(r, node, line) : st;
}

static gw_status on_alias(reader *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const cs_text wanted = {name, strlen(name)};
    unsigned line = line_of(&event->start_mark);
    for (size_t i = r->n_anchors; i > 0; i--) {
        anchor *found = &r->anchors[i - 1];
        if (!cs_text_equal(found->name, wanted)) {
            continue;
        }
        if (found->node->is_open) {
            return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: '*%s' contains itself",
                                r->file->path, line, name);
        }
        return attach(r, found->node, line);
    }
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: no anchor '&%s' before this alias",
                        r->file->path, line, name);
}

static gw_status check_collection_tag(const reader *r, const yaml_event_t *event,
                                      const yaml_char_t *tag, const char *expected)
{
    const char *text = (const char *)tag;
    if (text == NULL || strcmp(text, "!") == 0 || strcmp(text, expected) == 0) {
        return GW_OK;
    }
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: the tag '%s' is not allowed",
                        r->file->path, line_of(&event->start_mark), text);
}

static gw_status open_collection(reader *r, const yaml_event_t *event, cs_node_kind kind,
                                 const yaml_char_t *anchor_name)
{
    unsigned line = line_of(&event->start_mark);
    if (r->depth >= CS_YAML_DEPTH_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "%s:%u: nested more than %u deep", r->file->path,
                            line, CS_YAML_DEPTH_MAX);
    }
    cs_node *node = new_node(r, kind, &event->start_mark);
    if (node == NULL) {
        return fail_memory(r, line);
    }
    node->is_open = true;
    gw_status st = set_anchor(r, anchor_name, node);
    if (st == GW_OK) {
        st = attach(r, node, line);
    }
    if (st == GW_OK) {
        r->key[r->depth] = NULL;
        r->open[r->depth++] = node;
    }
    return st;
}

static int by_key(const void *a, const void *b)
{
    const cs_node *x = *(cs_node *const *)a;
    const cs_node *y = *(cs_node *const *)b;
    int order = cs_yaml_key_compare(x, y);
    if (order != 0) {
        return order;
    }
    order = (x->line > y->line) - (x->line < y->line);
    return order != 0 ? order : (x->column > y->column) - (x->column < y->column);
}

/* Java's readers refuse a map that has a key twice, and so do we: one of the two is a mistake. */
static gw_status check_duplicates(const reader *r, const cs_node *map)
{
    if (map->n_entries < 2) {
        return GW_OK;
    }
    cs_node **keys = malloc(map->n_entries * sizeof(cs_node *));
    if (keys == NULL) {
        return fail_memory(r, map->line);
    }
    size_t n = 0;
    for (const cs_entry *entry = map->first; entry != NULL; entry = entry->next) {
        keys[n++] = entry->key;
    }
    qsort(keys, n, sizeof(cs_node *), by_key);
    gw_status st = GW_OK;
    for (size_t i = 1; i < n && st == GW_OK; i++) {
        if (cs_yaml_key_compare(keys[i - 1], keys[i]) == 0) {
            st = gw_error_set(r->err, GW_E_INVALID, 0,
                              "%s:%u: duplicate key '%.128s' (first at line %u)", r->file->path,
                              keys[i]->line, keys[i]->scalar.text.bytes, keys[i - 1]->line);
        }
    }
    free(keys);
    return st;
}

static gw_status close_collection(reader *r)
{
    cs_node *node = r->open[--r->depth];
    node->is_open = false;
    return node->kind == CS_NODE_MAP ? check_duplicates(r, node) : GW_OK;
}

static void begin_document(reader *r)
{
    cs_arena_dispose(&r->arena);
    r->depth = 0;
    r->root = NULL;
    r->n_anchors = 0;
}

static gw_status end_document(reader *r)
{
    bool is_empty = r->root == NULL ||
                    (r->root->kind == CS_NODE_SCALAR && r->root->scalar.type != CS_SCALAR_NUMBER &&
                     r->root->scalar.type != CS_SCALAR_BOOLEAN && r->root->scalar.text.len == 0);
    if (is_empty) {
        return GW_OK;
    }
    gw_status st = cs_file_begin_document(r->file, r->err);
    return st == GW_OK ? cs_yaml_flatten(r->file, r->root, &r->n_visits, r->err) : st;
}

static gw_status on_event(reader *r, const yaml_event_t *event)
{
    gw_status st = GW_OK;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT: begin_document(r); return GW_OK;
    case YAML_DOCUMENT_END_EVENT: return end_document(r);
    case YAML_SCALAR_EVENT:
        st = count_node(r, &event->start_mark);
        return st == GW_OK ? on_scalar(r, event) : st;
    case YAML_ALIAS_EVENT:
        st = count_node(r, &event->start_mark);
        return st == GW_OK ? on_alias(r, event) : st;
    case YAML_SEQUENCE_START_EVENT:
        st = count_node(r, &event->start_mark);
        if (st == GW_OK) {
            st = check_collection_tag(r, event, event->data.sequence_start.tag, YAML_SEQ_TAG);
        }
        return st == GW_OK
                   ? open_collection(r, event, CS_NODE_LIST, event->data.sequence_start.anchor)
                   : st;
    case YAML_MAPPING_START_EVENT:
        st = count_node(r, &event->start_mark);
        if (st == GW_OK) {
            st = check_collection_tag(r, event, event->data.mapping_start.tag, YAML_MAP_TAG);
        }
        return st == GW_OK
                   ? open_collection(r, event, CS_NODE_MAP, event->data.mapping_start.anchor)
                   : st;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_collection(r);
    default: return GW_OK;
    }
}

static gw_status read_events(reader *r)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            return fail_syntax(r);
        }
        bool is_end = event.type == YAML_STREAM_END_EVENT;
        gw_status st = on_event(r, &event);
        yaml_event_delete(&event);
        if (st != GW_OK || is_end) {
            return st;
        }
    }
}

/* libyaml compares each %TAG directive with all before it; a file of nothing else would take it
 * minutes. */
static bool has_too_many_directives(const char *text, size_t len)
{
    static const char directive[] = "%TAG";
    const char *end = text + len;
    size_t n = 0;
    for (const char *p = text; n <= CS_YAML_DIRECTIVES_MAX; n++) {
        p = memmem(p, (size_t)(end - p), directive, sizeof(directive) - 1);
        if (p == NULL) {
            return false;
        }
        p++;
    }
    return true;
}

gw_status cs_yaml_read(cs_file *file, const char *text, size_t len, gw_error *err)
{
    if (len > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:1: larger than %zu MiB", file->path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    if (has_too_many_directives(text, len)) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:1: more than %u %%TAG directives", file->path,
                            CS_YAML_DIRECTIVES_MAX);
    }
    reader *r = calloc(1, sizeof(*r));
    if (r == NULL || !yaml_parser_initialize(&r->parser)) {
        free(r);
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", file->path);
    }
    r->file = file;
    r->err = err;
    cs_arena_init(&r->arena, TREE_BYTES_MAX);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
    gw_status st = read_events(r);
    if (st == GW_OK) {
        st = cs_file_seal(file, err);
    }
    yaml_parser_delete(&r->parser);
    cs_arena_dispose(&r->arena);
    free(r);
    return st;
}
