/* SPDX-License-Identifier: MIT */
/*
 * Which documents of one tree apply to a request, and in which order. The order is that of
 * environment.h; what a document imports lies directly above it.
 */
#ifndef CS_SELECTION_H
#define CS_SELECTION_H

#include "answer/request.h"
#include "files/arena.h"
#include "repo/estate.h"

/* The parsed files that an answer holds on to. */
typedef struct cs_open_files {
    const cs_file **items;
    size_t n_items;
    size_t cap;
    size_t n_bytes; /* of them all */
} cs_open_files;

/* Gives them back. Accepts a zeroed struct. */
void cs_open_files_dispose(cs_open_files *files);

typedef struct cs_selected {
    const cs_file *file;
    size_t number; /* of the document in its file, from 0 */
} cs_selected;

/*
 * @param arena         for the result.
 * @param files         the files read are added; to be disposed of also after a failure.
 * @param ret_documents the highest precedence first.
 * @return as cs_environment_load().
 */
gw_status cs_selection_make(const cs_place *place, const cs_request *req, cs_arena *arena,
                            cs_open_files *files, cs_selected **ret_documents,
                            size_t *ret_n_documents, gw_error *err);

#endif
