/* SPDX-License-Identifier: MIT */
/**
 * @file lint_lists.h
 * Lists that a file of higher precedence replaces: item by item they are never merged, which
 * surprises people.
 */
#ifndef GODWIT_TOOL_LINT_LISTS_H
#define GODWIT_TOOL_LINT_LISTS_H

#include "files/document.h"
#include "lint_findings.h"

/** The length of the list's name that a key is an item of, "a.b" of "a.b[0].c"; 0 if it is none. */
size_t lint_list_len(cs_text key);

/** The lists of all files. Zeroed, it is empty. */
typedef struct lint_lists {
    struct lint_list_file *items; /**< private */
    size_t n_items;
    size_t cap;
} lint_lists;

void lint_lists_dispose(lint_lists *lists);

/** Remember the lists of a file; files come sorted by path. False when out of memory. */
bool lint_lists_add(lint_lists *lists, const cs_file *file);

/** A note for each list of a file that another one of the same directory and application has too,
 * with a lower precedence. */
void lint_lists_compare(const lint_lists *lists, lint_findings *findings);

#endif
