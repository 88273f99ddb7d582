/* SPDX-License-Identifier: MIT */
#include "answer/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/decrypt.h"
#include "answer/nearest.h"
#include "answer/profiles.h"
#include "answer/selection.h"

#define OVERRIDES        "overrides"
#define MEMORY_MAX       ((size_t)32 << 20) /* names, and values that were decrypted */
#define SHORT_COMMIT_LEN 12

/* What an environment points to. */
typedef struct inside {
    cs_arena arena;
    cs_open_files files;
    cs_place places[CS_LABELS_MAX]; /* of each label, in the request's order */
    size_t n_places;
} inside;

/* The documents of one label. */
typedef struct layer {
    const cs_tree *tree;
    cs_selected *documents;
    size_t n_documents;
} layer;

typedef struct builder {
    const cs_view *view;
    const cs_rules *rules;
    const cs_request *req;
    cs_environment *env;
    inside *inside;
    layer layers[CS_LABELS_MAX]; /* the highest precedence first */
    size_t n_layers;
    gw_error *err;
} builder;

static gw_status out_of_memory(const builder *b)
{
    gw_status st = cs_arena_status(&b->inside->arena) == GW_E_LIMIT ? GW_E_LIMIT : GW_E_NOMEM;
    return gw_error_set(b->err, st, 0, "the environment: %s", gw_status_text(st));
}

/* ---- places ------------------------------------------------------------------------ */

static gw_status add_place(builder *b, const char *label, gw_error *err)
{
    inside *in = b->inside;
    gw_status st = cs_view_place(b->view, b->req->name, b->req->profiles, label,
                                 &in->places[in->n_places], err);
    if (st == GW_OK) {
        in->n_places++;
    }
    return st;
}

/* One bad label of several is a failure, unless the rules say otherwise; one good one there must
 * be. */
static gw_status add_labels(builder *b)
{
    cs_text rest = {b->req->label, strlen(b->req->label)};
    bool is_list = memchr(rest.bytes, ',', rest.len) != NULL;
    bool may_fail = is_list && b->rules->skip_failing_labels;
    gw_status st = GW_E_NOT_FOUND;
    gw_error why = GW_ERROR_INIT;
    cs_text label;
    for (size_t n = 0; cs_list_next(&rest, &label); n++) {
        char text[CS_NAME_BYTES_MAX + 1];
        if (n >= CS_LABELS_MAX) {
            return gw_error_set(b->err, GW_E_NOT_FOUND, 0, "more than %u labels", CS_LABELS_MAX);
        }
        memcpy(text, label.bytes, label.len);
        text[label.len] = '\0';
        st = add_place(b, text, &why);
        if (st != GW_OK && !(may_fail && st == GW_E_NOT_FOUND)) {
            return gw_error_set(b->err, st, why.native, "%s", why.text);
        }
    }
    return b->inside->n_places > 0 ? GW_OK : gw_error_set(b->err, st, why.native, "%s", why.text);
}

static void sum_up_places(builder *b)
{
    for (size_t i = 0; i < b->inside->n_places; i++) {
        const cs_place *place = &b->inside->places[i];
        int64_t time_s = cs_tree_time_s(place->tree);
        b->env->is_stale = b->env->is_stale || place->is_stale;
        b->env->age_ms = place->age_ms > b->env->age_ms ? place->age_ms : b->env->age_ms;
        b->env->modified_s = time_s > b->env->modified_s ? time_s : b->env->modified_s;
    }
}

static gw_status join_versions(builder *b)
{
    gw_buf version;
    gw_buf_init(&version, 0);
    for (size_t i = 0; i < b->inside->n_places; i++) {
        const char *commit = cs_tree_version(b->inside->places[i].tree);
        if (commit[0] != '\0') {
            gw_buf_addf(&version, "%s%s", version.len > 0 ? "," : "", commit);
        }
    }
    if (version.len > 0) {
        cs_text copy = cs_arena_copy(&b->inside->arena, version.data, version.len);
        b->env->version = (char *)(uintptr_t)copy.bytes;
    }
    gw_status st = gw_buf_status(&version);
    gw_buf_dispose(&version);
    return st == GW_OK && cs_arena_status(&b->inside->arena) == GW_OK ? GW_OK : out_of_memory(b);
}

/* ---- documents ----------------------------------------------------------------------- */

/* The later label first. */
static gw_status select_documents(builder *b)
{
    size_t n = 0;
    for (size_t i = b->inside->n_places; i > 0; i--) {
        const cs_place *place = &b->inside->places[i - 1];
        layer *next = &b->layers[b->n_layers];
        gw_status st = cs_selection_make(place, b->req, &b->inside->arena, &b->inside->files,
                                         &next->documents, &next->n_documents, b->err);
        if (st != GW_OK) {
            return st;
        }
        next->tree = place->tree;
        b->n_layers++;
        n += next->n_documents;
        if (n > CS_ANSWER_SOURCES_MAX) {
            return gw_error_set(b->err, GW_E_LIMIT, 0, "the labels come to more than %u documents",
                                CS_ANSWER_SOURCES_MAX);
        }
    }
    return GW_OK;
}

typedef enum taken {
    NAME_IS_FREE,
    NAME_IS_OF_ANOTHER_COMMIT,
    NAME_IS_OF_THE_SAME_DOCUMENT /* two labels for one commit */
} taken;

/* Whether a higher label has a source of the same name. */
static taken find_above(const builder *b, size_t layer_index, const cs_selected *selected)
{
    const cs_tree *tree = b->layers[layer_index].tree;
    taken found = NAME_IS_FREE;
    for (size_t i = 0; i < layer_index; i++) {
        const layer *above = &b->layers[i];
        if (strcmp(cs_tree_uri(above->tree), cs_tree_uri(tree)) != 0) {
            continue;
        }
        for (size_t j = 0; j < above->n_documents; j++) {
            const cs_selected *other = &above->documents[j];
            if (other->number != selected->number ||
                strcmp(other->file->path, selected->file->path) != 0) {
                continue;
            }
            if (strcmp(cs_tree_version(above->tree), cs_tree_version(tree)) == 0) {
                return NAME_IS_OF_THE_SAME_DOCUMENT;
            }
            found = NAME_IS_OF_ANOTHER_COMMIT;
        }
    }
    return found;
}

/* Names must differ from source to source, since clients keep one of a name; and they look for
 * "-<profile>" in them, so nothing that is added may look like that. */
static const char *make_name(builder *b, const layer *from, const cs_selected *selected,
                             bool with_commit)
{
    char suffix[64] = "";
    size_t n = 0;
    if (selected->file->n_documents > 1) {
        n = (size_t)snprintf(suffix, sizeof(suffix), " (document #%zu)", selected->number);
    }
    if (with_commit) {
        n += (size_t)snprintf(suffix + n, sizeof(suffix) - n, " (commit %.*s)", SHORT_COMMIT_LEN,
                              cs_tree_version(from->tree));
    }
    const char *uri = cs_tree_uri(from->tree);
    size_t uri_len = strlen(uri);
    size_t path_len = strlen(selected->file->path);
    char *name = cs_arena_alloc(&b->inside->arena, uri_len + 1 + path_len + n + 1);
    if (name != NULL) {
        char *p = mempcpy(name, uri, uri_len);
        *p++ = '/';
        p = mempcpy(p, selected->file->path, path_len);
        memcpy(p, suffix, n + 1);
    }
    return name;
}

static gw_status add_source(builder *b, size_t layer_index, const cs_selected *selected)
{
    const layer *from = &b->layers[layer_index];
    const cs_document *doc = &selected->file->documents[selected->number];
    taken name_is = find_above(b, layer_index, selected);
    if (name_is == NAME_IS_OF_THE_SAME_DOCUMENT) {
        return GW_OK;
    }
    const char *name = make_name(b, from, selected, name_is == NAME_IS_OF_ANOTHER_COMMIT);
    if (name == NULL) {
        return out_of_memory(b);
    }
    b->env->sources[b->env->n_sources++] = (cs_source){
        .name = name,
        .path = selected->file->path,
        .items = doc->items,
        .n_items = doc->n_items,
    };
    return GW_OK;
}

static gw_status collect_sources(builder *b)
{
    size_t n = 1;
    for (size_t i = 0; i < b->n_layers; i++) {
        n += b->layers[i].n_documents;
    }
    b->env->sources = cs_arena_alloc(&b->inside->arena, n * sizeof(*b->env->sources));
    if (b->env->sources == NULL) {
        return out_of_memory(b);
    }
    if (b->rules->n_overrides > 0) {
        b->env->sources[b->env->n_sources++] = (cs_source){
            .name = OVERRIDES,
            .path = "",
            .items = b->rules->overrides,
            .n_items = b->rules->n_overrides,
        };
    }
    for (size_t i = 0; i < b->n_layers; i++) {
        for (size_t j = 0; j < b->layers[i].n_documents; j++) {
            gw_status st = add_source(b, i, &b->layers[i].documents[j]);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

static gw_status refuse_empty(const builder *b)
{
    if (!b->rules->refuse_empty || b->inside->files.n_items > 0) {
        return GW_OK;
    }
    return gw_error_set(b->err, GW_E_NOT_FOUND, 0, "no configuration for %s/%s", b->req->name,
                        b->req->profiles);
}

static bool is_known(const builder *b, cs_text name)
{
    for (size_t i = 0; i < b->inside->n_places; i++) {
        if (cs_place_knows(&b->inside->places[i], name)) {
            return true;
        }
    }
    return false;
}

/* Shared files alone hide a misspelt name. */
static gw_status refuse_unknown(const builder *b)
{
    cs_text rest = {b->req->name, strlen(b->req->name)};
    cs_text name;
    while (b->rules->refuse_unknown && cs_list_next(&rest, &name)) {
        if (!is_known(b, name)) {
            return gw_error_set(b->err, GW_E_NOT_FOUND, 0, "no file of an application '%.*s'",
                                (int)name.len, name.bytes);
        }
    }
    return GW_OK;
}

static gw_status load(builder *b)
{
    gw_status st = b->req->has_label ? add_labels(b) : add_place(b, NULL, b->err);
    if (st == GW_OK) {
        sum_up_places(b);
        st = join_versions(b);
    }
    if (st == GW_OK) {
        st = select_documents(b);
    }
    if (st == GW_OK) {
        st = refuse_empty(b);
    }
    if (st == GW_OK) {
        st = refuse_unknown(b);
    }
    if (st == GW_OK) {
        st = collect_sources(b);
    }
    if (st == GW_OK && b->rules->keys != NULL) {
        st = cs_environment_decrypt(b->env, b->rules->keys, b->err);
    }
    return st;
}

gw_status cs_environment_load(const cs_view *view, const cs_rules *rules, const cs_request *req,
                              cs_environment *ret_env, gw_error *err)
{
    cs_environment env = {.sources = NULL};
    builder b = {.view = view, .rules = rules, .req = req, .env = &env, .err = err};
    b.inside = calloc(1, sizeof(*b.inside));
    if (b.inside == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "the environment: out of memory");
    }
    env.inside = b.inside;
    cs_arena_init(&b.inside->arena, MEMORY_MAX);
    gw_status st = load(&b);
    if (st != GW_OK) {
        cs_environment_dispose(&env);
        return st;
    }
    *ret_env = env;
    return GW_OK;
}

void cs_environment_dispose(cs_environment *env)
{
    inside *in = env->inside;
    cs_environment_forget(env);
    if (in != NULL) {
        cs_open_files_dispose(&in->files);
        for (size_t i = 0; i < in->n_places; i++) {
            cs_place_dispose(&in->places[i]);
        }
        cs_arena_dispose(&in->arena);
        free(in);
    }
    *env = (cs_environment){.sources = NULL};
}
