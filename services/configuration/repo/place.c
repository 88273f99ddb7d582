/* SPDX-License-Identifier: MIT */
/* Which repository, which tree and which directories a request is about. */
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "repo/estate_inside.h"
#include "repo/pattern.h"
#include "repo/repo_uri.h"

#define CANDIDATES_MAX 16 /* repositories that one request may have looked for */

typedef struct search {
    const cs_view *view;
    const char *application;
    const char *profiles;
    const char *label; /* NULL: the default */
    cs_place *place;
    gw_error first; /* of the repositories that were passed over, what to say */
} search;

/* ---- one repository -------------------------------------------------------------------- */

static gw_status find_dirs(search *look, const cs_moment *moment, gw_error *err)
{
    const cs_repo_options *options = moment->keeper->options;
    cs_search paths = {
        .paths = options->search_paths,
        .n_paths = options->n_search_paths,
        .application = look->application,
        .profiles = look->profiles,
        .label = look->place->label,
        .with_label_dirs = options->is_directory,
    };
    gw_status st =
        cs_search_dirs(look->place->tree, &paths, look->place->dirs, &look->place->n_dirs, err);
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "repository %s", options->name);
}

static gw_status use(search *look, cs_moment *moment, gw_error *err)
{
    cs_place *place = look->place;
    cs_keeper *keeper = moment->keeper;
    const char *label = look->label == NULL ? keeper->options->default_label : look->label;
    atomic_store_explicit(&keeper->used_ms, gw_clock_ms(), memory_order_relaxed);
    if (strlen(label) >= sizeof(place->label)) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s: no branch, tag or commit '%.60s...'",
                            keeper->uri, label);
    }
    gw_status st = cs_moment_tree(moment, label, &place->tree, err);
    if (st != GW_OK) {
        return st;
    }
    strcpy(place->label, label);
    place->repo_name = keeper->options->name;
    place->is_directory = keeper->options->is_directory;
    place->is_stale = !cs_moment_is_fresh(moment);
    place->age_ms = cs_moment_age_ms(moment);
    place->inside = cs_moment_ref(moment);
    return find_dirs(look, moment, err);
}

/* ---- what placeholders stand for --------------------------------------------------------- */

static cs_moment *find_moment(const cs_view *view, size_t index, const char *uri)
{
    for (size_t i = 0; i < view->n_moments; i++) {
        const cs_keeper *keeper = view->moments[i]->keeper;
        if (keeper->index == index && (uri == NULL || strcmp(keeper->options->uri, uri) == 0)) {
            return view->moments[i];
        }
    }
    return NULL;
}

/* "team:billing/dev": the site's name and what it was made for. */
static bool name_of(const cs_repo_options *site, const cs_names *names, gw_buf *out)
{
    static const char *const placeholders[] = {"{application}", "{profile}", "{label}"};
    char separator = ':';
    gw_buf_add_str(out, site->name);
    for (size_t i = 0; i < 3; i++) {
        if (strstr(site->uri, placeholders[i]) != NULL) {
            gw_buf_add_char(out, separator);
            separator = '/';
            cs_repo_uri_expand(placeholders[i], names, out);
        }
    }
    return gw_buf_status(out) == GW_OK;
}

static gw_status use_expanded(search *look, size_t index, const cs_names *names, gw_error *err)
{
    const cs_repo_options *site = look->view->estate->sites[index].options;
    gw_buf uri;
    gw_buf name;
    gw_buf_init(&uri, 4096);
    gw_buf_init(&name, 4096);
    gw_status st = GW_OK;
    if (!cs_repo_uri_expand(site->uri, names, &uri) || !name_of(site, names, &name)) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0,
                          "repository %s: not a name that can be part of its URI", site->name);
    } else {
        cs_moment *moment = find_moment(look->view, index, uri.data);
        st = moment != NULL ? use(look, moment, err)
                            : cs_estate_expand(look->view->estate, index, name.data, uri.data, err);
    }
    gw_buf_dispose(&uri);
    gw_buf_dispose(&name);
    return st;
}

/* From the last name of a comma list to the first; false when there was none left. */
static bool previous_name(const char *list, size_t *end, char *ret_name)
{
    if (*end == 0) {
        return false;
    }
    size_t begin = *end;
    while (begin > 0 && list[begin - 1] != ',') {
        begin--;
    }
    size_t len = *end - begin < CS_NAME_BYTES_MAX ? *end - begin : CS_NAME_BYTES_MAX;
    memcpy(ret_name, list + begin, len);
    ret_name[len] = '\0';
    *end = begin == 0 ? 0 : begin - 1;
    return true;
}

/* ---- which repository ---------------------------------------------------------------------- */

/* What a failure of one repository means for the search: whether to look further. */
static bool is_passed_over(search *look, gw_status st, const gw_error *err)
{
    if (st != GW_E_NOT_FOUND && st != GW_E_UNAVAILABLE && st != GW_E_IO) {
        return false; /* also GW_E_BUSY: in a moment it may be the right one */
    }
    /* "Cannot be read" tells more than "does not know the label": the client must not take it for
     * "nothing is configured". */
    bool is_better = look->first.status == GW_OK ||
                     (look->first.status == GW_E_NOT_FOUND && st != GW_E_NOT_FOUND);
    if (is_better) {
        look->first = *err;
        look->first.status = st;
    }
    cs_place_dispose(look->place);
    return true;
}

/* True when the search is over, with *ret_st. */
static bool try_template(search *look, size_t index, gw_status *ret_st, gw_error *err)
{
    const cs_repo_options *site = look->view->estate->sites[index].options;
    char application[CS_NAME_BYTES_MAX + 1];
    char profile[CS_NAME_BYTES_MAX + 1];
    bool has_app = strstr(site->uri, "{application}") != NULL;
    bool has_profile = strstr(site->uri, "{profile}") != NULL;
    cs_names names = {application, profile,
                      look->label == NULL ? site->default_label : look->label};
    unsigned n = 0;
    size_t profile_end = strlen(look->profiles);
    while (previous_name(look->profiles, &profile_end, profile)) {
        size_t app_end = strlen(look->application);
        while (previous_name(look->application, &app_end, application)) {
            *ret_st = use_expanded(look, index, &names, err);
            if (!is_passed_over(look, *ret_st, err)) {
                return true;
            }
            if (++n == CANDIDATES_MAX) {
                return false;
            }
            app_end = has_app ? app_end : 0;
        }
        profile_end = has_profile ? profile_end : 0;
    }
    return false;
}

static bool try_site(search *look, size_t index, gw_status *ret_st, gw_error *err)
{
    const cs_site *site = &look->view->estate->sites[index];
    if (site->is_template) {
        return try_template(look, index, ret_st, err);
    }
    *ret_st = use(look, find_moment(look->view, index, NULL), err);
    return !is_passed_over(look, *ret_st, err);
}

static bool is_for(const cs_site *site, const search *look)
{
    for (size_t i = 0; i < site->options->n_patterns; i++) {
        if (cs_pattern_is_for(site->options->patterns[i], look->application, look->profiles)) {
            return true;
        }
    }
    return false;
}

static gw_status find(search *look, gw_error *err)
{
    const cs_estate *estate = look->view->estate;
    gw_status st = GW_OK;
    for (size_t i = 0; i < estate->n_sites; i++) {
        if (is_for(&estate->sites[i], look) && try_site(look, i, &st, err)) {
            return st;
        }
    }
    for (size_t i = 0; i < estate->n_sites; i++) {
        if (estate->sites[i].options->n_patterns == 0 && try_site(look, i, &st, err)) {
            return st;
        }
    }
    if (look->first.status == GW_OK) { /* a list without a name */
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "no repository is for such an application");
    }
    return gw_error_set(err, look->first.status, look->first.native, "%s", look->first.text);
}

gw_status cs_view_place(const cs_view *view, const char *application, const char *profiles,
                        const char *label, cs_place *ret_place, gw_error *err)
{
    cs_place place = {.tree = NULL};
    search look = {
        .view = view,
        .application = application,
        .profiles = profiles,
        .label = label,
        .place = &place,
        .first = GW_ERROR_INIT,
    };
    gw_error why = GW_ERROR_INIT;
    gw_status st = find(&look, &why);
    if (st != GW_OK) {
        cs_place_dispose(&place);
        return gw_error_set(err, st, why.native, "%s", why.text);
    }
    *ret_place = place;
    return GW_OK;
}

void cs_place_dispose(cs_place *place)
{
    for (size_t i = 0; i < place->n_dirs; i++) {
        free(place->dirs[i]);
    }
    cs_tree_unref(place->tree);
    cs_moment_unref(place->inside);
    *place = (cs_place){.tree = NULL};
}
