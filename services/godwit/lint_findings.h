/* SPDX-License-Identifier: MIT */
/**
 * @file lint_findings.h
 * What "godwit config lint" has to say, by file and line.
 */
#ifndef GODWIT_TOOL_LINT_FINDINGS_H
#define GODWIT_TOOL_LINT_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>

#define LINT_FINDINGS_MAX 10000u

typedef enum lint_level {
    LINT_ERROR,   /**< a server refuses it, or no service can get it */
    LINT_WARNING, /**< hardly meant */
    LINT_NOTE     /**< may surprise */
} lint_level;

typedef struct lint_finding {
    char *path;
    unsigned line; /**< 0: the file as a whole */
    lint_level level;
    char *message;
} lint_finding;

/** Zeroed, it is empty. One thread at a time. */
typedef struct lint_findings {
    lint_finding *items;
    size_t n_items; /**< at most LINT_FINDINGS_MAX */
    size_t cap;
    size_t n_by_level[3]; /**< also of those that were too many */
    bool is_out_of_memory;
} lint_findings;

void lint_findings_dispose(lint_findings *findings);

void lint_add(lint_findings *findings, lint_level level, const char *path, unsigned line,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

/** By path and line. */
void lint_findings_sort(lint_findings *findings);

/** "path:line: error: message", each in a line, and a summary; control characters made visible. */
void lint_findings_write(const lint_findings *findings, size_t n_files, gw_buf *out);

/** The same as a JSON object. */
void lint_findings_write_json(const lint_findings *findings, size_t n_files, gw_buf *out);

#endif
