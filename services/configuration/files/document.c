/* SPDX-License-Identifier: MIT */
#include "files/document.h"

#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

int cs_text_compare(cs_text a, cs_text b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.bytes, b.bytes, n);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool cs_text_equal(cs_text a, cs_text b)
{
    return a.len == b.len && cs_text_compare(a, b) == 0;
}

bool cs_text_is(cs_text text, const char *str)
{
    return cs_text_equal(text, (cs_text){str, strlen(str)});
}

gw_status cs_file_init(cs_file *file, const char *path)
{
    *file = (cs_file){.path = ""};
    cs_arena_init(&file->arena, CS_FILE_MEMORY_MAX);
    cs_text copy = cs_arena_copy(&file->arena, path, strlen(path));
    if (copy.bytes == NULL) {
        return cs_arena_status(&file->arena);
    }
    file->path = copy.bytes;
    return GW_OK;
}

void cs_file_dispose(cs_file *file)
{
    for (size_t i = 0; i < file->n_documents; i++) {
        free(file->documents[i].items);
    }
    free(file->documents);
    cs_arena_dispose(&file->arena);
    *file = (cs_file){.path = ""};
}

gw_status cs_file_begin_document(cs_file *file, gw_error *err)
{
    if (file->n_documents >= CS_DOCUMENTS_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u documents", file->path,
                            CS_DOCUMENTS_MAX);
    }
    cs_document *documents =
        realloc(file->documents, (file->n_documents + 1) * sizeof(*file->documents));
    if (documents == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", file->path);
    }
    file->documents = documents;
    file->documents[file->n_documents++] = (cs_document){.items = NULL};
    return GW_OK;
}

static gw_status check_property(const cs_file *file, const cs_property *property, gw_error *err)
{
    if (file->n_properties >= CS_PROPERTIES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:%u: more than %u properties", file->path,
                            property->line, CS_PROPERTIES_MAX);
    }
    if (property->key.len > CS_KEY_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:%u: a key of %zu bytes; at most %u are allowed",
                            file->path, property->line, property->key.len, CS_KEY_BYTES_MAX);
    }
    /* C clients see strings that end at the first NUL, so two readers would see two values. */
    if ((property->key.len > 0 && memchr(property->key.bytes, 0, property->key.len) != NULL) ||
        (property->value.len > 0 &&
         memchr(property->value.bytes, 0, property->value.len) != NULL)) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s:%u: a NUL character is not allowed",
                            file->path, property->line);
    }
    return GW_OK;
}

static bool grow(cs_document *doc)
{
    if (doc->n_items < doc->cap) {
        return true;
    }
    size_t cap = doc->cap == 0 ? 16 : doc->cap * 2;
    cs_property *items = realloc(doc->items, cap * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    doc->items = items;
    doc->cap = cap;
    return true;
}

gw_status cs_file_put(cs_file *file, const cs_property *property, gw_error *err)
{
    gw_status st = check_property(file, property, err);
    if (st != GW_OK) {
        return st;
    }
    cs_document *doc = &file->documents[file->n_documents - 1];
    cs_property copy = *property;
    copy.key = cs_arena_copy(&file->arena, property->key.bytes, property->key.len);
    copy.value = cs_arena_copy(&file->arena, property->value.bytes, property->value.len);
    st = cs_arena_status(&file->arena);
    if (st != GW_OK) {
        return gw_error_set(err, st, 0, "%s:%u: %s: the file's properties need more than %zu MiB",
                            file->path, property->line, gw_status_text(st),
                            CS_FILE_MEMORY_MAX >> 20);
    }
    if (!grow(doc)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", file->path);
    }
    doc->items[doc->n_items++] = copy;
    file->n_properties++;
    return GW_OK;
}

static int by_key_then_place(const void *a, const void *b)
{
    const cs_property *x = *(cs_property *const *)a;
    const cs_property *y = *(cs_property *const *)b;
    int order = cs_text_compare(x->key, y->key);
    return order != 0 ? order : (x > y) - (x < y);
}

/* Past the bound the others go untold. */
static gw_status note_duplicate(cs_file *file, const cs_property *earlier, const cs_property *later)
{
    if (file->n_duplicates == CS_DUPLICATES_MAX) {
        return GW_OK;
    }
    cs_duplicate *found = cs_arena_alloc(&file->arena, sizeof(*found));
    if (found == NULL) {
        return cs_arena_status(&file->arena);
    }
    *found = (cs_duplicate){.next = file->duplicates,
                            .key = later->key,
                            .line = later->line,
                            .earlier_line = earlier->line};
    file->duplicates = found;
    file->n_duplicates++;
    return GW_OK;
}

/* The first place of a key takes its last value, as in a Java LinkedHashMap. Sorting rather than
 * hashing: no input makes it slow. */
static gw_status settle_duplicates(cs_file *file, cs_document *doc)
{
    if (doc->n_items < 2) {
        return GW_OK;
    }
    cs_property **order = malloc(doc->n_items * sizeof(cs_property *));
    if (order == NULL) {
        return GW_E_NOMEM;
    }
    for (size_t i = 0; i < doc->n_items; i++) {
        order[i] = &doc->items[i];
    }
    qsort(order, doc->n_items, sizeof(cs_property *), by_key_then_place);
    size_t first = 0;
    gw_status st = GW_OK;
    for (size_t i = 1; st == GW_OK && i < doc->n_items; i++) {
        if (!cs_text_equal(order[first]->key, order[i]->key)) {
            first = i;
            continue;
        }
        st = note_duplicate(file, order[first], order[i]);
        *order[first] = *order[i];
        order[i]->line = 0; /* marks it as gone */
    }
    free(order);
    size_t n = 0;
    for (size_t i = 0; i < doc->n_items; i++) {
        if (doc->items[i].line != 0) {
            doc->items[n++] = doc->items[i];
        }
    }
    doc->n_items = n;
    return st;
}

gw_status cs_file_seal(cs_file *file, gw_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < file->n_documents; i++) {
        gw_status st = settle_duplicates(file, &file->documents[i]);
        if (st != GW_OK) {
            return gw_error_set(err, st, 0, "%s: %s", file->path, gw_status_text(st));
        }
        if (file->documents[i].n_items == 0) {
            free(file->documents[i].items);
            file->documents[i].items = NULL;
            continue;
        }
        cs_document kept = file->documents[i];
        file->documents[i] = (cs_document){.items = NULL};
        file->documents[n++] = kept;
    }
    file->n_documents = n;
    return GW_OK;
}
