/* SPDX-License-Identifier: MIT */
/*
 * A repository that does what a test tells it to: change, fail, hang until it is released. Nothing
 * in it takes time, so tests wait for events only.
 */
#ifndef CS_TEST_SCRIPTED_BACKEND_H
#define CS_TEST_SCRIPTED_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "repo/backend.h"

#define SCRIPT_COMMITS_MAX 256
#define SCRIPT_FILES_MAX   12

typedef struct script_file {
    const char *path;
    const char *text;
} script_file;

typedef struct script_commit {
    char id[CS_COMMIT_LEN + 1];
    char label[32];
    bool is_head; /* the label names it now */
    size_t n_files;
    char paths[SCRIPT_FILES_MAX][64];
    char texts[SCRIPT_FILES_MAX][128];
} script_commit;

/* One URI; outlives the estate. */
typedef struct script {
    char uri[128];
    bool is_local; /* has a watch */
    struct script *next;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int watch_fd;
    bool is_hung;
    bool is_stopped;
    bool is_tree_broken;
    char broken_label[32]; /* the same for its commits only */
    gw_status fail;
    char why[64];
    script_commit commits[SCRIPT_COMMITS_MAX];
    size_t n_commits;
    unsigned n_opened;
    unsigned n_freed;
    unsigned n_syncs; /* begun */
    unsigned n_trees; /* made */
    unsigned n_alive; /* trees */
    unsigned n_reads;
} script;

/* From now on the URI opens this; all are forgotten by script_dispose_all(). */
void script_init(script *s, const char *uri, bool is_local);
void script_dispose_all(void);

/* For cs_estate_options. A URI without a script: GW_E_NOT_FOUND. */
gw_status script_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err);

/* Let a label name a new commit with these files. Returns its id. */
const char *script_push(script *s, const char *label, const script_file *files, size_t n_files);

/* The same with one file, "a.yml". */
const char *script_push_text(script *s, const char *label, const char *text);

void script_delete(script *s, const char *label);

/* From now on syncs fail, or succeed with GW_OK; nobody is told. */
void script_fail(script *s, gw_status st, const char *why);
void script_break_trees(script *s, bool is_broken);
void script_break_label(script *s, const char *label);

/* From now on syncs hang, or go on. */
void script_hang(script *s, bool is_hung);

/* Wait until so many syncs have begun. */
void script_wait_for_syncs(script *s, unsigned n);

unsigned script_n_alive(script *s);
unsigned script_n_trees(script *s);

#endif
