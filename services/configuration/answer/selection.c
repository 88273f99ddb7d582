/* SPDX-License-Identifier: MIT */
/*
 * Spring Boot's two passes. The first, without profiles, reads the plain files and what they
 * import; from these it is known which profiles there are. The second adds the files of the
 * profiles, and what documents that depend on a profile import. Each file is read once: where it
 * came up first.
 */
#include "answer/selection.h"

#include <stdlib.h>
#include <string.h>

#include "answer/activation.h"
#include "answer/import.h"
#include "answer/ranking.h"
#include "files/format.h"

#define SHARED      "application"
#define N_NAMES_MAX (CS_APPLICATIONS_MAX + 1)

typedef struct selector {
    const cs_place *place;
    cs_ranking ranking;
    cs_text names[N_NAMES_MAX]; /* "application" first */
    size_t n_names;
    cs_profiles requested;
    cs_profiles profiles;
    cs_pass pass;
    size_t n_imports;
    gw_error *err;
} selector;

/* ---- files by their names ------------------------------------------------------------- */

/* "<dir><name>[-<profile>]."; 0 when it is longer than any path. */
static size_t make_stem(char *ret, const char *dir, cs_text name, const cs_text *profile)
{
    size_t dir_len = strlen(dir);
    size_t profile_len = profile == NULL ? 0 : profile->len + 1;
    if (dir_len + name.len + profile_len + 1 > CS_PATH_BYTES_MAX) {
        return 0;
    }
    char *p = mempcpy(ret, dir, dir_len);
    p = mempcpy(p, name.bytes, name.len);
    if (profile != NULL) {
        *p++ = '-';
        p = mempcpy(p, profile->bytes, profile->len);
    }
    *p++ = '.';
    *p = '\0';
    return (size_t)(p - ret);
}

/* One name in one directory: each format that is there. Most names are not there at all. */
static gw_status add_named(selector *s, const char *dir, cs_text name, const cs_text *profile)
{
    char path[CS_PATH_BYTES_MAX + 16];
    const cs_tree *tree = s->place->tree;
    size_t len = make_stem(path, dir, name, profile);
    size_t at = len == 0 ? cs_tree_n_entries(tree) : cs_tree_lower_bound(tree, path);
    if (at == cs_tree_n_entries(tree) || strncmp(cs_tree_at(tree, at)->path, path, len) != 0) {
        return GW_OK;
    }
    const char *extension = NULL;
    for (size_t i = 0; (extension = cs_format_extension(i)) != NULL; i++) {
        strcpy(path + len, extension);
        const cs_tree_entry *entry = cs_tree_find(tree, path);
        if (entry == NULL || cs_ranking_has(&s->ranking, path)) {
            continue;
        }
        gw_status st = cs_ranking_add(&s->ranking, entry, profile != NULL, NULL, s->err);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* The files of one profile, or the plain ones: for each directory, each name. */
static gw_status add_group(selector *s, const cs_text *profile)
{
    for (size_t i = 0; i < s->place->n_dirs; i++) {
        for (size_t j = 0; j < s->n_names; j++) {
            gw_status st = add_named(s, s->place->dirs[i], s->names[j], profile);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

/* ---- imports ------------------------------------------------------------------------------ */

static bool is_loop(const cs_ranked *importer, const char *path)
{
    for (const cs_ranked *at = importer; at != NULL; at = at->importer) {
        if (strcmp(at->file->path, path) == 0) {
            return true;
        }
    }
    return false;
}

static gw_status check_import(const selector *s, const cs_ranked *importer,
                              const cs_property *property)
{
    if (importer->depth >= CS_IMPORT_DEPTH_MAX) {
        return gw_error_set(s->err, GW_E_LIMIT, 0, "%s:%u: imports nested more than %u deep",
                            importer->file->path, property->line, CS_IMPORT_DEPTH_MAX);
    }
    if (s->n_imports >= CS_IMPORTS_MAX) {
        return gw_error_set(s->err, GW_E_LIMIT, 0, "%s:%u: more than %u files are imported",
                            importer->file->path, property->line, CS_IMPORTS_MAX);
    }
    return GW_OK;
}

/* A file that is not there is passed over, as Spring Cloud Config has it; so is one that came up
 * before. */
static gw_status import_path(selector *s, cs_ranked *importer, const cs_property *property,
                             const char *path, bool is_profile_specific)
{
    const cs_tree_entry *entry = cs_tree_find(s->place->tree, path);
    if (entry == NULL) {
        return GW_OK;
    }
    if (is_loop(importer, path)) {
        return gw_error_set(s->err, GW_E_INVALID, 0, "%s:%u: the import of '%s' is a loop",
                            importer->file->path, property->line, path);
    }
    if (cs_ranking_has(&s->ranking, path)) {
        return GW_OK;
    }
    gw_status st = check_import(s, importer, property);
    s->n_imports++;
    return st == GW_OK ? cs_ranking_add(&s->ranking, entry, is_profile_specific, importer, s->err)
                       : st;
}

/* "a.yml" brings "a-<profile>.yml" with it. */
static gw_status import_profiles(selector *s, cs_ranked *importer, const cs_property *property,
                                 const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; i < s->profiles.n; i++) {
        char variant[CS_PATH_BYTES_MAX + 1];
        size_t stem_len = (size_t)(dot - path);
        const cs_text profile = s->profiles.items[i];
        if (strlen(path) + 1 + profile.len > CS_PATH_BYTES_MAX) {
            continue;
        }
        char *p = mempcpy(variant, path, stem_len);
        *p++ = '-';
        p = mempcpy(p, profile.bytes, profile.len);
        strcpy(p, dot);
        gw_status st = import_path(s, importer, property, variant, true);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* The items of one property: a comma list, or one item of a list. */
static gw_status import_list(selector *s, cs_ranked *importer, const cs_property *property)
{
    cs_text rest = property->value;
    cs_text location;
    while (cs_list_next(&rest, &location)) {
        char path[CS_PATH_BYTES_MAX + 1];
        gw_status st = cs_import_resolve(importer->file, property, location, path, s->err);
        if (st == GW_OK) {
            st = import_path(s, importer, property, path, false);
        }
        if (st == GW_OK && s->pass == CS_PASS_PROFILES) {
            st = import_profiles(s, importer, property, path);
        }
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

static gw_status follow_imports(selector *s, cs_ranked *importer)
{
    const cs_document *doc = &importer->file->documents[importer->number];
    const cs_property *property = NULL;
    size_t at = 0;
    while ((property = cs_document_next(doc, CS_DIRECTIVE_IMPORT, &at)) != NULL) {
        gw_status st = import_list(s, importer, property);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* ---- the passes --------------------------------------------------------------------------- */

static gw_status visit(selector *s, cs_ranked *at)
{
    const cs_document *doc = &at->file->documents[at->number];
    at->visited = s->pass;
    if (!at->has_directives) {
        at->is_active = true;
        return GW_OK;
    }
    if (s->pass == CS_PASS_PLAIN && cs_document_depends_on_profile(doc)) {
        return GW_OK;
    }
    gw_status st = cs_document_is_active(at->file, doc, &s->profiles, &at->is_active, s->err);
    if (st != GW_OK || !at->is_active) {
        return st;
    }
    if (s->pass == CS_PASS_PROFILES) {
        st = cs_document_check(at->file, doc, at->is_profile_specific, s->err);
    }
    return st == GW_OK ? follow_imports(s, at) : st;
}

/* From the top down; what a document brings in lies above it, and comes next. */
static gw_status visit_all(selector *s)
{
    for (cs_ranked *at = s->ranking.top; at != NULL;) {
        if (at->visited == s->pass) {
            at = at->below;
            continue;
        }
        gw_status st = visit(s, at);
        if (st != GW_OK) {
            return st;
        }
        at = cs_ranked_top(at);
    }
    return GW_OK;
}

static gw_status add_profiles(selector *s, const cs_ranked *at, cs_directive which)
{
    const cs_document *doc = &at->file->documents[at->number];
    const cs_property *property = NULL;
    size_t i = 0;
    while ((property = cs_document_next(doc, which, &i)) != NULL) {
        if (cs_profiles_add_list(&s->profiles, property->value) != GW_OK) {
            return gw_error_set(s->err, GW_E_LIMIT, 0, "%s:%u: more than %u profiles",
                                at->file->path, property->line, CS_PROFILES_MAX);
        }
    }
    return GW_OK;
}

/* The profiles that the highest document which names any calls active, without the request's, which
 * have their own place. */
static gw_status add_active(selector *s)
{
    size_t i = 0;
    const cs_ranked *at = s->ranking.top;
    for (; at != NULL; at = at->below) {
        i = 0;
        if (at->is_active && at->has_directives &&
            cs_document_next(&at->file->documents[at->number], CS_DIRECTIVE_ACTIVE, &i) != NULL) {
            break;
        }
    }
    if (at == NULL) {
        return GW_OK;
    }
    s->profiles = s->requested;
    gw_status st = add_profiles(s, at, CS_DIRECTIVE_ACTIVE);
    size_t n = s->profiles.n - s->requested.n;
    memmove(s->profiles.items, s->profiles.items + s->requested.n, n * sizeof(cs_text));
    s->profiles.n = n;
    return st;
}

/*
 * The profiles in the order of their precedence: what the files call active, the request's, what
 * the files include. So a file adds to what was asked for, but does not take its place. For the
 * profile "default" files have no say, as in Spring.
 */
static gw_status settle_profiles(selector *s)
{
    bool is_default = s->requested.n == 1 && cs_text_is(s->requested.items[0], "default");
    gw_status st = is_default ? GW_OK : add_active(s);
    for (size_t i = 0; i < s->requested.n; i++) {
        s->profiles.items[s->profiles.n++] = s->requested.items[i];
    }
    for (const cs_ranked *at = s->ranking.top; at != NULL && !is_default && st == GW_OK;
         at = at->below) {
        if (at->is_active && at->has_directives) {
            st = add_profiles(s, at, CS_DIRECTIVE_INCLUDE);
        }
    }
    return st;
}

static bool has_name(const selector *s, cs_text name)
{
    for (size_t i = 0; i < s->n_names; i++) {
        if (cs_text_equal(s->names[i], name)) {
            return true;
        }
    }
    return false;
}

static gw_status read_request(selector *s, const cs_request *req)
{
    s->names[s->n_names++] = (cs_text){SHARED, strlen(SHARED)};
    cs_text rest = {req->name, strlen(req->name)};
    cs_text name;
    while (s->n_names < N_NAMES_MAX && cs_list_next(&rest, &name)) {
        if (!has_name(s, name)) {
            s->names[s->n_names++] = name;
        }
    }
    gw_status st =
        cs_profiles_add_list(&s->requested, (cs_text){req->profiles, strlen(req->profiles)});
    if (st != GW_OK || s->requested.n == 0) {
        return gw_error_set(s->err, GW_E_INVALID, 0, "no usable list of profiles");
    }
    return GW_OK;
}

static gw_status run_passes(selector *s)
{
    s->pass = CS_PASS_PLAIN;
    gw_status st = add_group(s, NULL);
    if (st == GW_OK) {
        st = visit_all(s);
    }
    if (st == GW_OK) {
        st = settle_profiles(s);
    }
    s->pass = CS_PASS_PROFILES;
    for (size_t i = 0; st == GW_OK && i < s->profiles.n; i++) {
        st = add_group(s, &s->profiles.items[i]);
    }
    return st == GW_OK ? visit_all(s) : st;
}

gw_status cs_selection_make(const cs_place *place, const cs_request *req, cs_arena *arena,
                            cs_open_files *files, cs_selected **ret_documents,
                            size_t *ret_n_documents, gw_error *err)
{
    selector s = {
        .place = place,
        .ranking = {.tree = place->tree,
                    .arena = arena,
                    .files = files,
                    .first_file = files->n_items},
        .err = err,
    };
    gw_status st = read_request(&s, req);
    if (st == GW_OK) {
        st = run_passes(&s);
    }
    if (st != GW_OK) {
        return st;
    }
    cs_selected *documents =
        cs_arena_alloc(arena, (s.ranking.n_documents + 1) * sizeof(*documents));
    if (documents == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    size_t n = 0;
    for (const cs_ranked *at = s.ranking.top; at != NULL; at = at->below) {
        if (at->is_active) {
            documents[n++] = (cs_selected){at->file, at->number};
        }
    }
    *ret_documents = documents;
    *ret_n_documents = n;
    return GW_OK;
}
