/* SPDX-License-Identifier: MIT */
#include "repo/tree.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"
#include "files/format.h"
#include "repo/parsed.h"

struct cs_tree {
    atomic_uint n_refs;
    char *uri;
    char *version;
    int64_t time_s;
    cs_tree_entry *entries;
    size_t n_entries;
    char *paths;                  /* all of them, one after the other */
    _Atomic(cs_parsed *) *parsed; /* of each entry; from NULL to what it comes to, once */
    cs_blobs blobs;
};

/* ---- access ------------------------------------------------------------------- */

cs_tree *cs_tree_ref(cs_tree *tree)
{
    atomic_fetch_add_explicit(&tree->n_refs, 1, memory_order_relaxed);
    return tree;
}

static void free_tree(cs_tree *tree)
{
    for (size_t i = 0; tree->parsed != NULL && i < tree->n_entries; i++) {
        cs_parsed_unref(atomic_load_explicit(&tree->parsed[i], memory_order_relaxed));
    }
    if (tree->blobs.free != NULL) {
        tree->blobs.free(tree->blobs.ctx);
    }
    free(tree->parsed);
    free(tree->entries);
    free(tree->paths);
    free(tree->version);
    free(tree->uri);
    free(tree);
}

void cs_tree_unref(cs_tree *tree)
{
    if (tree != NULL && atomic_fetch_sub_explicit(&tree->n_refs, 1, memory_order_acq_rel) == 1) {
        free_tree(tree);
    }
}

const char *cs_tree_version(const cs_tree *tree)
{
    return tree->version;
}

const char *cs_tree_uri(const cs_tree *tree)
{
    return tree->uri;
}

int64_t cs_tree_time_s(const cs_tree *tree)
{
    return tree->time_s;
}

size_t cs_tree_n_entries(const cs_tree *tree)
{
    return tree->n_entries;
}

const cs_tree_entry *cs_tree_at(const cs_tree *tree, size_t i)
{
    return &tree->entries[i];
}

size_t cs_tree_lower_bound(const cs_tree *tree, const char *path)
{
    size_t low = 0;
    size_t high = tree->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(tree->entries[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const cs_tree_entry *cs_tree_find(const cs_tree *tree, const char *path)
{
    size_t i = cs_tree_lower_bound(tree, path);
    return i < tree->n_entries && strcmp(tree->entries[i].path, path) == 0 ? &tree->entries[i]
                                                                           : NULL;
}

bool cs_tree_has_dir(const cs_tree *tree, const char *dir)
{
    size_t len = strlen(dir);
    if (len == 0) {
        return tree->n_entries > 0;
    }
    char prefix[CS_PATH_BYTES_MAX + 2];
    if (len > CS_PATH_BYTES_MAX) {
        return false;
    }
    memcpy(mempcpy(prefix, dir, len), "/", 2);
    size_t i = cs_tree_lower_bound(tree, prefix);
    return i < tree->n_entries && strncmp(tree->entries[i].path, prefix, len + 1) == 0;
}

gw_status cs_tree_read(const cs_tree *tree, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    if (entry->kind == CS_ENTRY_LINK) {
        return gw_error_set(err, GW_E_DENIED, 0, "%s: a symbolic link is not followed",
                            entry->path);
    }
    if (entry->size > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: larger than %zu MiB", entry->path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    return tree->blobs.read(tree->blobs.ctx, entry, out, err);
}

/* ---- parsed files --------------------------------------------------------------- */

/* Whether the file is at fault, so that the same comes of it every time. */
static bool is_fault_of_file(gw_status st)
{
    return st == GW_E_INVALID || st == GW_E_LIMIT || st == GW_E_DENIED || st == GW_E_UNSUPPORTED;
}

static gw_status parse(const cs_tree *tree, const cs_tree_entry *entry, cs_parsed **ret_parsed,
                       gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_buf text;
    gw_buf_init(&text, CS_FILE_BYTES_MAX);
    cs_file file = {.path = ""};
    gw_status st = cs_tree_read(tree, entry, &text, &why);
    if (st == GW_OK) {
        st = cs_format_read(&file, entry->path, text.data, text.len, &why);
    }
    cs_parsed *parsed = NULL;
    if (st == GW_OK) {
        parsed = cs_parsed_of_file(&file);
    } else if (is_fault_of_file(st)) {
        parsed = cs_parsed_of_fault(st, why.text);
    }
    cs_file_dispose(&file);
    gw_buf_dispose(&text);
    if (parsed != NULL) {
        *ret_parsed = parsed;
        return GW_OK;
    }
    if (st == GW_OK || is_fault_of_file(st)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", entry->path);
    }
    return gw_error_set(err, st, why.native, "%s", why.text);
}

/* Make it the tree's, if there is room. Of two threads that parsed at once one wins, and both go on
 * with what that one made. */
static cs_parsed *publish(const cs_tree *tree, size_t i, cs_parsed *parsed)
{
    if (!cs_parsed_keep(parsed)) {
        return parsed;
    }
    cs_parsed *expected = NULL;
    if (atomic_compare_exchange_strong_explicit(&tree->parsed[i], &expected, parsed,
                                                memory_order_acq_rel, memory_order_acquire)) {
        return parsed;
    }
    cs_parsed_unref(parsed);
    return expected;
}

gw_status cs_tree_parse(const cs_tree *tree, const cs_tree_entry *entry, const cs_file **ret_file,
                        gw_error *err)
{
    size_t i = (size_t)(entry - tree->entries);
    cs_parsed *parsed = atomic_load_explicit(&tree->parsed[i], memory_order_acquire);
    if (parsed == NULL) {
        gw_status st = parse(tree, entry, &parsed, err);
        if (st != GW_OK) {
            return st;
        }
        parsed = publish(tree, i, parsed);
    }
    if (parsed->st == GW_OK) {
        *ret_file = &parsed->file;
        return GW_OK;
    }
    gw_status st = gw_error_set(err, parsed->st, 0, "%s", parsed->fault);
    if (!parsed->is_kept) {
        cs_parsed_unref(parsed);
    }
    return st;
}

void cs_tree_release(const cs_file *file)
{
    if (file == NULL) {
        return;
    }
    const cs_parsed *parsed = cs_parsed_around(file);
    if (!parsed->is_kept) {
        cs_parsed_unref((cs_parsed *)(uintptr_t)parsed);
    }
}

/* ---- making one ------------------------------------------------------------------ */

struct cs_tree_builder {
    cs_tree *tree;  /* half built; its entries' paths are set at the end, since they move */
    size_t *places; /* of each entry's path */
    size_t cap;
    gw_buf paths;
};

cs_tree_builder *cs_tree_builder_new(const char *uri, const char *version, int64_t time_s)
{
    cs_tree_builder *builder = calloc(1, sizeof(*builder));
    cs_tree *tree = calloc(1, sizeof(*tree));
    if (builder == NULL || tree == NULL) {
        free(builder);
        free(tree);
        return NULL;
    }
    atomic_init(&tree->n_refs, 1);
    tree->uri = strdup(uri);
    tree->version = strdup(version);
    tree->time_s = time_s;
    builder->tree = tree;
    gw_buf_init(&builder->paths, CS_TREE_PATHS_MAX);
    if (tree->uri == NULL || tree->version == NULL) {
        cs_tree_builder_free(builder);
        return NULL;
    }
    return builder;
}

void cs_tree_builder_free(cs_tree_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    cs_tree_unref(builder->tree);
    gw_buf_dispose(&builder->paths);
    free(builder->places);
    free(builder);
}

/* Names come from repositories, which can hold what no work tree could. */
static bool is_path(const char *path)
{
    const char *p = path;
    for (;;) {
        size_t len = strcspn(p, "/");
        if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && memcmp(p, "..", 2) == 0)) {
            return false;
        }
        if (p[len] == '\0') {
            return true;
        }
        p += len + 1;
    }
}

static bool grow(cs_tree_builder *builder)
{
    if (builder->tree->n_entries < builder->cap) {
        return true;
    }
    size_t cap = builder->cap == 0 ? 64 : builder->cap * 2;
    cs_tree_entry *entries = realloc(builder->tree->entries, cap * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    builder->tree->entries = entries;
    size_t *places = realloc(builder->places, cap * sizeof(*places));
    if (places == NULL) {
        return false;
    }
    builder->places = places;
    builder->cap = cap;
    return true;
}

gw_status cs_tree_builder_add(cs_tree_builder *builder, const cs_tree_entry *entry, gw_error *err)
{
    cs_tree *tree = builder->tree;
    size_t len = strlen(entry->path);
    if (len > CS_PATH_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "%.60s...: a path of %zu bytes; at most %u are allowed", entry->path,
                            len, CS_PATH_BYTES_MAX);
    }
    if (!is_path(entry->path)) {
        return gw_error_set(err, GW_E_INVALID, 0, "'%s' is no path of a file", entry->path);
    }
    if (tree->n_entries >= CS_TREE_ENTRIES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %u files", CS_TREE_ENTRIES_MAX);
    }
    size_t place = builder->paths.len;
    gw_buf_add(&builder->paths, entry->path, len + 1);
    if (gw_buf_status(&builder->paths) == GW_E_LIMIT) {
        return gw_error_set(err, GW_E_LIMIT, 0, "the paths of all files need more than %zu MiB",
                            CS_TREE_PATHS_MAX >> 20);
    }
    if (gw_buf_status(&builder->paths) != GW_OK || !grow(builder)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    builder->places[tree->n_entries] = place;
    tree->entries[tree->n_entries++] = *entry;
    return GW_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const cs_tree_entry *)a)->path, ((const cs_tree_entry *)b)->path);
}

/* The arrays in their final size, the entries with their paths and in order. */
static gw_status settle(cs_tree_builder *builder, gw_error *err)
{
    cs_tree *tree = builder->tree;
    size_t n = tree->n_entries;
    if (n == 0) {
        return GW_OK;
    }
    tree->parsed = calloc(n, sizeof(*tree->parsed));
    tree->paths = gw_buf_detach(&builder->paths, NULL);
    cs_tree_entry *entries = realloc(tree->entries, n * sizeof(*entries));
    tree->entries = entries == NULL ? tree->entries : entries;
    if (tree->parsed == NULL || tree->paths == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        tree->entries[i].path = tree->paths + builder->places[i];
        atomic_init(&tree->parsed[i], NULL);
    }
    qsort(tree->entries, n, sizeof(*tree->entries), by_path);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(tree->entries[i - 1].path, tree->entries[i].path) == 0) {
            return gw_error_set(err, GW_E_INVALID, 0, "%s: there twice", tree->entries[i].path);
        }
    }
    return GW_OK;
}

static void take_over(cs_tree *tree, const cs_tree *before)
{
    size_t k = 0;
    for (size_t i = 0; i < tree->n_entries && k < before->n_entries;) {
        const cs_tree_entry *now = &tree->entries[i];
        const cs_tree_entry *then = &before->entries[k];
        int order = strcmp(now->path, then->path);
        if (order == 0 && now->kind == then->kind &&
            memcmp(now->id, then->id, sizeof(now->id)) == 0) {
            cs_parsed *parsed = atomic_load_explicit(&before->parsed[k], memory_order_acquire);
            if (parsed != NULL) {
                atomic_init(&tree->parsed[i], cs_parsed_ref(parsed));
            }
        }
        i += order <= 0;
        k += order >= 0;
    }
}

gw_status cs_tree_builder_make(cs_tree_builder *builder, const cs_blobs *blobs,
                               const cs_tree *before, cs_tree **ret_tree, gw_error *err)
{
    cs_tree *tree = builder->tree;
    tree->blobs = *blobs;
    gw_status st = settle(builder, err);
    if (st == GW_OK) {
        if (before != NULL) {
            take_over(tree, before);
        }
        *ret_tree = cs_tree_ref(tree);
    }
    cs_tree_builder_free(builder);
    return st;
}
