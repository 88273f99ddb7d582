/* SPDX-License-Identifier: MIT */
/*
 * A view that a test writes down: labels, each with a table of files. It stands for the estate
 * (cs_view_place() and cs_place_dispose()); the trees are real.
 */
#ifndef CS_TEST_VIEW_DOUBLE_H
#define CS_TEST_VIEW_DOUBLE_H

#include "answer/environment.h"

#define DOUBLE_URI "file:///repo"

typedef struct double_file {
    const char *path; /* NULL ends a table */
    const char *text; /* "-> x": a symbolic link */
} double_file;

typedef struct double_label {
    const char *name;    /* the first label of a view is its default */
    const char *version; /* NULL: none, a directory */
    const double_file *files;
    const char *dirs[8]; /* the lowest precedence first; none: the root */
    int64_t time_s;
    bool is_stale;
    uint64_t age_ms;
    gw_status fails; /* other than GW_OK: with this */
} double_label;

cs_view *view_double_new(const double_label *labels, size_t n_labels);
void view_double_free(cs_view *view);

/* How often a file was read, by all trees together. */
size_t view_double_n_reads(const cs_view *view);

/* A view of one label with these files, and what a request comes to. */
gw_status view_double_load(const double_file *files, const char *name, const char *profiles,
                           cs_view **ret_view, cs_environment *ret_env, gw_error *err);

#endif
