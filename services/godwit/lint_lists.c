/* SPDX-License-Identifier: MIT */
#include "lint_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"
#include "files/format.h"

#define SHARED "application"

typedef struct list_name {
    char *name;
    unsigned line;
} list_name;

struct lint_list_file {
    char *path;
    list_name *lists; /* by name */
    size_t n_lists;
};

void lint_lists_dispose(lint_lists *lists)
{
    for (size_t i = 0; i < lists->n_items; i++) {
        struct lint_list_file *file = &lists->items[i];
        for (size_t k = 0; k < file->n_lists; k++) {
            free(file->lists[k].name);
        }
        free(file->lists);
        free(file->path);
    }
    free(lists->items);
    *lists = (lint_lists){.items = NULL};
}

size_t lint_list_len(cs_text key)
{
    const char *open = memchr(key.bytes, '[', key.len);
    if (open == NULL || open == key.bytes) {
        return 0;
    }
    const char *p = open + 1;
    while (p < key.bytes + key.len && *p >= '0' && *p <= '9') {
        p++;
    }
    bool is_index = p > open + 1 && p < key.bytes + key.len && *p == ']';
    return is_index ? (size_t)(open - key.bytes) : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const list_name *)a)->name, ((const list_name *)b)->name);
}

static bool add_list(struct lint_list_file *file, const cs_property *item, size_t len)
{
    if (file->n_lists > 0) {
        const char *last = file->lists[file->n_lists - 1].name;
        if (strlen(last) == len && memcmp(last, item->key.bytes, len) == 0) {
            return true; /* its items stand together */
        }
    }
    list_name *grown = realloc(file->lists, (file->n_lists + 1) * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    file->lists = grown;
    char *name = strndup(item->key.bytes, len);
    if (name == NULL) {
        return false;
    }
    grown[file->n_lists++] = (list_name){.name = name, .line = item->line};
    return true;
}

static bool collect(struct lint_list_file *file, const cs_file *from)
{
    for (size_t i = 0; i < from->n_documents; i++) {
        const cs_document *doc = &from->documents[i];
        for (size_t k = 0; k < doc->n_items; k++) {
            size_t len = lint_list_len(doc->items[k].key);
            if (len > 0 && !add_list(file, &doc->items[k], len)) {
                return false;
            }
        }
    }
    if (file->n_lists > 0) {
        qsort(file->lists, file->n_lists, sizeof(*file->lists), compare_names);
    }
    return true;
}

bool lint_lists_add(lint_lists *lists, const cs_file *file)
{
    if (lists->n_items == lists->cap) {
        size_t cap = lists->cap == 0 ? 64 : lists->cap * 2;
        struct lint_list_file *items = realloc(lists->items, cap * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        lists->items = items;
        lists->cap = cap;
    }
    struct lint_list_file *added = &lists->items[lists->n_items];
    *added = (struct lint_list_file){.path = strdup(file->path)};
    if (added->path == NULL) {
        return false;
    }
    lists->n_items++;
    return collect(added, file);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct lint_list_file *)a)->path,
                  ((const struct lint_list_file *)b)->path);
}

/* ---- who lies below whom ---------------------------------------------------------- */

static void compare_two(const struct lint_list_file *higher, const struct lint_list_file *lower,
                        lint_findings *findings)
{
    for (size_t i = 0; i < higher->n_lists; i++) {
        if (i > 0 && compare_names(&higher->lists[i], &higher->lists[i - 1]) == 0) {
            continue; /* in another document of the file */
        }
        const list_name *hidden = lower->n_lists == 0
                                      ? NULL
                                      : bsearch(&higher->lists[i], lower->lists, lower->n_lists,
                                                sizeof(*lower->lists), compare_names);
        if (hidden != NULL) {
            lint_add(findings, LINT_NOTE, higher->path, higher->lists[i].line,
                     "the list '%s' replaces that of %s:%u as a whole", higher->lists[i].name,
                     lower->path, hidden->line);
        }
    }
}

/* Compare with the files of this name below, whatever their format. */
static void compare_with(const lint_lists *lists, const struct lint_list_file *higher,
                         size_t dir_len, const char *stem, size_t stem_len, lint_findings *findings)
{
    const char *extension;
    const char *own = strrchr(higher->path, '.') + 1;
    size_t own_len = (size_t)(own - 1 - higher->path) - dir_len;
    bool is_own_name = own_len == stem_len && memcmp(higher->path + dir_len, stem, stem_len) == 0;
    for (size_t i = 0; (extension = cs_format_extension(i)) != NULL; i++) {
        char path[CS_PATH_BYTES_MAX + sizeof(SHARED) + 16];
        if (is_own_name && strcmp(extension, own) == 0) {
            return; /* itself, and formats above it */
        }
        snprintf(path, sizeof(path), "%.*s%.*s.%s", (int)dir_len, higher->path, (int)stem_len, stem,
                 extension);
        const struct lint_list_file wanted = {.path = path};
        const struct lint_list_file *lower =
            bsearch(&wanted, lists->items, lists->n_items, sizeof(wanted), compare_paths);
        if (lower != NULL) {
            compare_two(higher, lower, findings);
        }
    }
}

static void compare_file(const lint_lists *lists, const struct lint_list_file *file,
                         lint_findings *findings)
{
    const char *slash = strrchr(file->path, '/');
    const char *stem = slash != NULL ? slash + 1 : file->path;
    size_t dir_len = (size_t)(stem - file->path);
    size_t len = (size_t)(strrchr(stem, '.') - stem);
    bool is_shared = len == strlen(SHARED) && memcmp(stem, SHARED, len) == 0;
    compare_with(lists, file, dir_len, stem, len, findings);
    if (!is_shared) {
        compare_with(lists, file, dir_len, SHARED, strlen(SHARED), findings);
    }
    for (size_t i = 1; i < len; i++) {
        if (stem[i] != '-') {
            continue;
        }
        char shared[CS_PATH_BYTES_MAX + sizeof(SHARED) + 1];
        int n = snprintf(shared, sizeof(shared), SHARED "%.*s", (int)(len - i), stem + i);
        bool is_of_shared = i == strlen(SHARED) && memcmp(stem, SHARED, i) == 0;
        if (!is_of_shared) {
            compare_with(lists, file, dir_len, stem, i, findings);
            compare_with(lists, file, dir_len, shared, (size_t)n, findings);
        }
    }
}

void lint_lists_compare(const lint_lists *lists, lint_findings *findings)
{
    for (size_t i = 0; i < lists->n_items; i++) {
        if (lists->items[i].n_lists > 0) {
            compare_file(lists, &lists->items[i], findings);
        }
    }
}
