/* SPDX-License-Identifier: MIT */
#include "answer/resource.h"

#include <string.h>

#include "answer/profiles.h"
#include "answer/text.h"

/* The tree to look in, and what is looked for. */
typedef struct hunt {
    const cs_query *query;
    const cs_place *place;
    const cs_tree_entry *found;
    gw_error *err;
} hunt;

/* "dir/" + "file" + "-profile" + ".ext"; the extension is that of the last segment. */
static gw_status try_path(hunt *h, const char *dir, cs_text profile)
{
    const char *path = h->query->path;
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    int stem = (int)(dot == NULL ? strlen(path) : (size_t)(dot - path));
    gw_buf full;
    gw_buf_init(&full, 0);
    if (profile.len == 0) {
        gw_buf_addf(&full, "%s%s", dir, path);
    } else {
        gw_buf_addf(&full, "%s%.*s-%.*s%s", dir, stem, path, (int)profile.len, profile.bytes,
                    dot == NULL ? "" : dot);
    }
    gw_status st = gw_buf_status(&full);
    if (st == GW_OK) {
        h->found = cs_tree_find(h->place->tree, full.data);
    } else {
        gw_error_set(h->err, st, 0, "%s", gw_status_text(st));
    }
    gw_buf_dispose(&full);
    return st;
}

static gw_status try_dir(hunt *h, const char *dir)
{
    cs_text rest = {h->query->names.profiles, strlen(h->query->names.profiles)};
    cs_text profile;
    gw_status st = GW_OK;
    while (st == GW_OK && h->found == NULL && cs_list_next(&rest, &profile)) {
        /* The plain file is that of the profile "default". */
        st = try_path(h, dir, cs_text_is(profile, "default") ? (cs_text){"", 0} : profile);
    }
    return st == GW_OK && h->found == NULL ? try_path(h, dir, (cs_text){"", 0}) : st;
}

static gw_status find_file(hunt *h)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && h->found == NULL && i < h->place->n_dirs; i++) {
        st = try_dir(h, h->place->dirs[i]);
    }
    if (st == GW_OK && h->found == NULL) {
        st = gw_error_set(h->err, GW_E_NOT_FOUND, 0, "no file '%.200s' in %.200s at %.100s",
                          h->query->path, cs_tree_uri(h->place->tree), h->place->label);
    }
    return st;
}

static bool has_placeholder(const gw_buf *text)
{
    return memmem(text->data, text->len, "${", 2) != NULL;
}

/* Make text of what was read, if it is. */
static gw_status finish_text(const cs_view *view, const cs_rules *rules, const cs_query *query,
                             const char *path, cs_resource *resource, gw_error *err)
{
    gw_status st = GW_OK;
    resource->is_text = cs_text_decode(&resource->body, query->is_latin1, &st);
    if (st != GW_OK) {
        return gw_error_set(err, st, 0, "%s: %s", path, gw_status_text(st));
    }
    if (resource->is_text && rules->decrypt_text && rules->keys != NULL) {
        st = cs_text_decrypt(&resource->body, rules->keys, path, err);
    }
    bool resolve = resource->is_text && !query->keep_placeholders && resource->body.len > 0 &&
                   has_placeholder(&resource->body);
    if (st != GW_OK || !resolve) {
        return st;
    }
    cs_environment env = {.sources = NULL};
    cs_rules lenient = *rules;
    lenient.refuse_empty = false; /* the file is there */
    lenient.refuse_unknown = false;
    st = cs_environment_load(view, &lenient, &query->names, &env, err);
    if (st == GW_OK) {
        st = cs_text_resolve(&resource->body, &env, path, err);
        resource->modified_s =
            env.modified_s > resource->modified_s ? env.modified_s : resource->modified_s;
        cs_environment_dispose(&env);
    }
    return st;
}

static gw_status load_from(const cs_view *view, const cs_rules *rules, const cs_query *query,
                           const cs_place *place, cs_resource *resource, gw_error *err)
{
    hunt h = {query, place, NULL, err};
    gw_status st = find_file(&h);
    if (st != GW_OK) {
        return st;
    }
    st = cs_tree_read(place->tree, h.found, &resource->body, err);
    strncpy(resource->version, cs_tree_version(place->tree), CS_COMMIT_LEN);
    resource->modified_s = h.found->modified_s;
    resource->is_stale = place->is_stale;
    resource->age_ms = place->age_ms;
    if (st == GW_OK && query->form == CS_FORM_TEXT) {
        st = finish_text(view, rules, query, h.found->path, resource, err);
    }
    return st;
}

static gw_status load_at(const cs_view *view, const cs_rules *rules, const cs_query *query,
                         const char *label, cs_resource *resource, gw_error *err)
{
    cs_place place = {.tree = NULL};
    gw_status st =
        cs_view_place(view, query->names.name, query->names.profiles, label, &place, err);
    if (st == GW_OK) {
        st = load_from(view, rules, query, &place, resource, err);
        cs_place_dispose(&place);
    }
    return st;
}

/* The labels of a request, each NUL-terminated. */
typedef struct labels {
    char text[CS_NAME_BYTES_MAX + 1];
    const char *items[CS_LABELS_MAX];
    size_t n;
} labels;

static void split_labels(const char *list, labels *ret)
{
    strcpy(ret->text, list);
    char *rest = ret->text;
    for (ret->n = 0; rest != NULL && ret->n < CS_LABELS_MAX; ret->n++) {
        ret->items[ret->n] = strsep(&rest, ",");
    }
}

static gw_status load(const cs_view *view, const cs_rules *rules, const cs_query *query,
                      cs_resource *resource, gw_error *err)
{
    if (!query->names.has_label) {
        return load_at(view, rules, query, NULL, resource, err);
    }
    labels all;
    split_labels(query->names.label, &all);
    gw_status st = GW_E_NOT_FOUND;
    for (size_t i = all.n; st == GW_E_NOT_FOUND && i > 0; i--) {
        st = load_at(view, rules, query, all.items[i - 1], resource, err);
    }
    return st;
}

gw_status cs_resource_load(const cs_view *view, const cs_rules *rules, const cs_query *query,
                           cs_resource *ret_resource, gw_error *err)
{
    cs_resource resource = {.is_text = false};
    gw_buf_init(&resource.body, CS_ENVIRONMENT_BYTES_MAX);
    gw_status st = load(view, rules, query, &resource, err);
    if (st != GW_OK) {
        cs_resource_dispose(&resource);
        return st;
    }
    *ret_resource = resource;
    return GW_OK;
}

void cs_resource_dispose(cs_resource *resource)
{
    gw_buf_dispose(&resource->body);
}
