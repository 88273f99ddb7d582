/* SPDX-License-Identifier: MIT */
#include "answer/ranking.h"

#include <stdlib.h>
#include <string.h>

#include "answer/activation.h"

void cs_open_files_dispose(cs_open_files *files)
{
    for (size_t i = 0; i < files->n_items; i++) {
        cs_tree_release(files->items[i]);
    }
    free(files->items);
    *files = (cs_open_files){.items = NULL};
}

static bool make_room(cs_open_files *files)
{
    if (files->n_items < files->cap) {
        return true;
    }
    size_t cap = files->cap == 0 ? 16 : files->cap * 2;
    const cs_file **items = realloc(files->items, cap * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    files->items = items;
    files->cap = cap;
    return true;
}

static gw_status open_file(cs_ranking *ranking, const cs_tree_entry *entry,
                           const cs_file **ret_file, gw_error *err)
{
    if (ranking->files->n_items >= CS_ANSWER_FILES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u files make up the answer",
                            entry->path, CS_ANSWER_FILES_MAX);
    }
    ranking->files->n_bytes += entry->size;
    if (ranking->files->n_bytes > CS_ENVIRONMENT_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: the files are larger than %zu MiB",
                            entry->path, CS_ENVIRONMENT_BYTES_MAX >> 20);
    }
    if (!make_room(ranking->files)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_status st = cs_tree_parse(ranking->tree, entry, ret_file, err);
    if (st == GW_OK) {
        ranking->files->items[ranking->files->n_items++] = *ret_file;
    }
    return st;
}

bool cs_ranking_has(const cs_ranking *ranking, const char *path)
{
    for (size_t i = ranking->first_file; i < ranking->files->n_items; i++) {
        if (strcmp(ranking->files->items[i]->path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- documents in their order ------------------------------------------------------- */

/* The highest of a document and all that came in by it. */
cs_ranked *cs_ranked_top(cs_ranked *at)
{
    while (at->top_import != NULL) {
        at = at->top_import;
    }
    return at;
}

static void link_above(cs_ranking *ranking, cs_ranked *below, cs_ranked *added)
{
    added->below = below;
    added->above = below == NULL ? NULL : below->above;
    if (below != NULL) {
        below->above = added;
    }
    if (added->above == NULL) {
        ranking->top = added;
    } else {
        added->above->below = added;
    }
}

static gw_status add_documents(cs_ranking *ranking, const cs_file *file, bool is_profile_specific,
                               cs_ranked *importer, gw_error *err)
{
    for (size_t i = 0; i < file->n_documents; i++) {
        if (ranking->n_documents >= CS_ANSWER_SOURCES_MAX) {
            return gw_error_set(err, GW_E_LIMIT, 0,
                                "%s: more than %u documents make up the "
                                "answer",
                                file->path, CS_ANSWER_SOURCES_MAX);
        }
        cs_ranked *added = cs_arena_alloc(ranking->arena, sizeof(*added));
        if (added == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
        }
        *added = (cs_ranked){
            .file = file,
            .number = i,
            .is_profile_specific = is_profile_specific,
            .has_directives = cs_document_has_directives(&file->documents[i]),
            .depth = importer == NULL ? 0 : importer->depth + 1,
            .importer = importer,
        };
        link_above(ranking, importer == NULL ? ranking->top : cs_ranked_top(importer), added);
        if (importer != NULL) {
            importer->top_import = added;
        }
        ranking->n_documents++;
    }
    return GW_OK;
}

gw_status cs_ranking_add(cs_ranking *ranking, const cs_tree_entry *entry, bool is_profile_specific,
                         cs_ranked *importer, gw_error *err)
{
    const cs_file *file = NULL;
    gw_status st = open_file(ranking, entry, &file, err);
    return st == GW_OK ? add_documents(ranking, file, is_profile_specific, importer, err) : st;
}
