/* SPDX-License-Identifier: MIT */
/*
 * The documents of a tree in the order of their precedence, while it is found out which of them
 * apply. For selection.c.
 */
#ifndef CS_RANKING_H
#define CS_RANKING_H

#include "answer/selection.h"

typedef enum cs_pass { CS_PASS_NONE, CS_PASS_PLAIN, CS_PASS_PROFILES } cs_pass;

/* A document between its neighbours in precedence. */
typedef struct cs_ranked {
    const cs_file *file;
    size_t number;
    bool is_profile_specific; /* its file has a profile in its name */
    bool has_directives;
    bool is_active;
    cs_pass visited;
    unsigned depth; /* of imports */
    const struct cs_ranked *importer;
    struct cs_ranked *top_import; /* the highest of what it imports */
    struct cs_ranked *above;
    struct cs_ranked *below;
} cs_ranked;

typedef struct cs_ranking {
    const cs_tree *tree;
    cs_arena *arena;
    cs_open_files *files;
    size_t first_file; /* of this tree in `files` */
    cs_ranked *top;
    size_t n_documents;
} cs_ranking;

/* Whether a file of the path has been added. */
bool cs_ranking_has(const cs_ranking *ranking, const char *path);

/*
 * Read a file and add its documents: on top of all or, with an importer, on top of it and what it
 * imported before.
 *
 * @return as cs_environment_load().
 */
gw_status cs_ranking_add(cs_ranking *ranking, const cs_tree_entry *entry, bool is_profile_specific,
                         cs_ranked *importer, gw_error *err);

/* The highest of a document and all that came in by it. */
cs_ranked *cs_ranked_top(cs_ranked *at);

#endif
