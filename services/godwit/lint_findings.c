/* SPDX-License-Identifier: MIT */
#include "lint_findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MESSAGE_MAX 1024

static const char *const level_names[] = {"error", "warning", "note"};

void lint_findings_dispose(lint_findings *findings)
{
    for (size_t i = 0; i < findings->n_items; i++) {
        free(findings->items[i].path);
        free(findings->items[i].message);
    }
    free(findings->items);
    *findings = (lint_findings){.items = NULL};
}

static bool grow(lint_findings *findings)
{
    if (findings->n_items < findings->cap) {
        return true;
    }
    size_t cap = findings->cap == 0 ? 64 : findings->cap * 2;
    lint_finding *items = realloc(findings->items, cap * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    findings->items = items;
    findings->cap = cap;
    return true;
}

void lint_add(lint_findings *findings, lint_level level, const char *path, unsigned line,
              const char *format, ...)
{
    findings->n_by_level[level]++;
    if (findings->n_items == LINT_FINDINGS_MAX) {
        return;
    }
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    lint_finding added = {strdup(path), line, level, strdup(message)};
    if (added.path == NULL || added.message == NULL || !grow(findings)) {
        free(added.path);
        free(added.message);
        findings->is_out_of_memory = true;
        return;
    }
    findings->items[findings->n_items++] = added;
}

static int compare(const void *a, const void *b)
{
    const lint_finding *x = a;
    const lint_finding *y = b;
    int order = strcmp(x->path, y->path);
    if (order == 0) {
        order = (x->line > y->line) - (x->line < y->line);
    }
    if (order == 0) {
        order = (int)x->level - (int)y->level;
    }
    return order != 0 ? order : strcmp(x->message, y->message);
}

void lint_findings_sort(lint_findings *findings)
{
    if (findings->n_items > 0) {
        qsort(findings->items, findings->n_items, sizeof(*findings->items), compare);
    }
}

static void add_count(gw_buf *out, const char *separator, size_t n, const char *name)
{
    gw_buf_addf(out, "%s%zu %s%s", separator, n, name, n == 1 ? "" : "s");
}

static void write_summary(const lint_findings *findings, size_t n_files, gw_buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        n += findings->n_by_level[i];
    }
    if (n > findings->n_items) {
        gw_buf_addf(out, "(%zu more are not shown)\n", n - findings->n_items);
    }
    add_count(out, "", n_files, "file");
    add_count(out, ": ", findings->n_by_level[LINT_ERROR], "error");
    add_count(out, ", ", findings->n_by_level[LINT_WARNING], "warning");
    add_count(out, ", ", findings->n_by_level[LINT_NOTE], "note");
    gw_buf_add_char(out, '\n');
}

void lint_findings_write(const lint_findings *findings, size_t n_files, gw_buf *out)
{
    for (size_t i = 0; i < findings->n_items; i++) {
        const lint_finding *item = &findings->items[i];
        text_add_safe(out, item->path, strlen(item->path), TEXT_LINE);
        if (item->line > 0) {
            gw_buf_addf(out, ":%u", item->line);
        }
        gw_buf_addf(out, ": %s: ", level_names[item->level]);
        text_add_safe(out, item->message, strlen(item->message), TEXT_LINE);
        gw_buf_add_char(out, '\n');
    }
    write_summary(findings, n_files, out);
}

void lint_findings_write_json(const lint_findings *findings, size_t n_files, gw_buf *out)
{
    gw_buf_addf(out, "{\"files\":%zu,\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu,\"findings\":[",
                n_files, findings->n_by_level[LINT_ERROR], findings->n_by_level[LINT_WARNING],
                findings->n_by_level[LINT_NOTE]);
    for (size_t i = 0; i < findings->n_items; i++) {
        const lint_finding *item = &findings->items[i];
        gw_buf_add_str(out, i > 0 ? ",\n{\"file\":" : "\n{\"file\":");
        text_add_json(out, item->path, strlen(item->path));
        gw_buf_addf(out, ",\"line\":%u,\"level\":\"%s\",\"message\":", item->line,
                    level_names[item->level]);
        text_add_json(out, item->message, strlen(item->message));
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_str(out, "]}\n");
}
