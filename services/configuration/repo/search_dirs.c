/* SPDX-License-Identifier: MIT */
#include "repo/search_dirs.h"

#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"
#include "repo/pattern.h"
#include "repo/repo_uri.h"

#define MATCHES_MAX 4000000u /* tries for one request, some milliseconds */

typedef struct finder {
    const cs_tree *tree;
    const cs_search *search;
    char **dirs;
    size_t n_dirs;
    const char **all; /* every directory of the tree, by name; borrowed paths of entries below */
    size_t *all_lens; /* how much of each path is the directory */
    size_t n_all;
    bool has_all;
    size_t n_matches;
    gw_error *err;
} finder;

static gw_status fail_nomem(finder *find)
{
    return gw_error_set(find->err, GW_E_NOMEM, 0, "out of memory");
}

gw_status cs_search_path_check(const char *path, gw_error *err)
{
    if (strlen(path) > CS_NAME_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "search path '%.60s...': longer than %u bytes",
                            path, CS_NAME_BYTES_MAX);
    }
    for (const char *part = path;;) {
        size_t len = strcspn(part, "/");
        if (len == 2 && memcmp(part, "..", 2) == 0) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "search path '%s': leads out of the repository", path);
        }
        if (part[len] == '\0') {
            return GW_OK;
        }
        part += len + 1;
    }
}

/* Add "dir/", unless it is there already. */
static gw_status add_dir(finder *find, const char *dir, size_t len)
{
    for (size_t i = 0; i < find->n_dirs; i++) {
        const char *known = find->dirs[i];
        size_t known_len = strlen(known);
        if (known_len == (len == 0 ? 0 : len + 1) && memcmp(known, dir, len) == 0) {
            return GW_OK;
        }
    }
    if (find->n_dirs == CS_SEARCH_DIRS_MAX) {
        return gw_error_set(find->err, GW_E_LIMIT, 0,
                            "the search paths come to more than %d directories",
                            CS_SEARCH_DIRS_MAX);
    }
    char *copy = malloc(len + 2);
    if (copy == NULL) {
        return fail_nomem(find);
    }
    strcpy(mempcpy(copy, dir, len), len == 0 ? "" : "/");
    find->dirs[find->n_dirs++] = copy;
    return GW_OK;
}

/* ---- wildcards -------------------------------------------------------------------- */

/* By name, level for level: "a", "a/b", "a-b". */
static int by_name(const char *a, size_t a_len, const char *b, size_t b_len)
{
    for (size_t i = 0; i < a_len && i < b_len; i++) {
        unsigned char x = a[i] == '/' ? 0 : (unsigned char)a[i];
        unsigned char y = b[i] == '/' ? 0 : (unsigned char)b[i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return (a_len > b_len) - (a_len < b_len);
}

typedef struct dir_name {
    const char *path;
    size_t len;
} dir_name;

static int compare_dirs(const void *a, const void *b)
{
    const dir_name *x = a;
    const dir_name *y = b;
    return by_name(x->path, x->len, y->path, y->len);
}

/* How many bytes two paths have in common, up to and with a '/'. */
static size_t common_dir(const char *a, const char *b)
{
    size_t common = 0;
    for (size_t i = 0; a[i] == b[i] && a[i] != '\0'; i++) {
        common = a[i] == '/' ? i + 1 : common;
    }
    return common;
}

/* Entries of a directory stand together, so a directory is new where the path before lacks it. */
static size_t list_dirs(const cs_tree *tree, dir_name *ret_dirs)
{
    size_t n = 0;
    const char *before = "";
    for (size_t i = 0; i < cs_tree_n_entries(tree); i++) {
        const char *path = cs_tree_at(tree, i)->path;
        const char *p = path + common_dir(before, path);
        for (p = strchr(p, '/'); p != NULL; p = strchr(p + 1, '/')) {
            if (ret_dirs != NULL) {
                ret_dirs[n] = (dir_name){path, (size_t)(p - path)};
            }
            n++;
        }
        before = path;
    }
    return n;
}

static gw_status know_all(finder *find)
{
    if (find->has_all) {
        return GW_OK;
    }
    size_t n = list_dirs(find->tree, NULL);
    dir_name *dirs = calloc(n + 1, sizeof(*dirs));
    find->all = calloc(n + 1, sizeof(*find->all));
    find->all_lens = calloc(n + 1, sizeof(*find->all_lens));
    if (dirs == NULL || find->all == NULL || find->all_lens == NULL) {
        free(dirs);
        return fail_nomem(find);
    }
    list_dirs(find->tree, dirs);
    qsort(dirs, n, sizeof(*dirs), compare_dirs);
    for (size_t i = 0; i < n; i++) {
        find->all[i] = dirs[i].path;
        find->all_lens[i] = dirs[i].len;
    }
    free(dirs);
    find->n_all = n;
    find->has_all = true;
    return GW_OK;
}

typedef struct part {
    const char *text;
    size_t len;
} part;

/* The next of "a/b", without its slashes; false at the end. */
static bool next_part(const char **p, const char *end, part *ret_part)
{
    if (*p >= end) {
        return false;
    }
    const char *slash = memchr(*p, '/', (size_t)(end - *p));
    const char *stop = slash == NULL ? end : slash;
    *ret_part = (part){*p, (size_t)(stop - *p)};
    *p = slash == NULL ? end : slash + 1;
    return true;
}

/* As cs_pattern_matches(), with parts for characters: "**" stands for any number of them. */
static bool matches_dir(const char *pattern, const char *dir, size_t dir_len)
{
    const char *pattern_end = pattern + strlen(pattern);
    const char *dir_end = dir + dir_len;
    const char *star = NULL;
    const char *resume = NULL;
    part want = {NULL, 0};
    part have = {NULL, 0};
    while (dir < dir_end) {
        const char *pattern_next = pattern;
        const char *dir_next = dir;
        bool is_more = next_part(&pattern_next, pattern_end, &want);
        next_part(&dir_next, dir_end, &have);
        if (is_more && want.len == 2 && memcmp(want.text, "**", 2) == 0) {
            pattern = star = pattern_next;
            resume = dir;
        } else if (is_more && cs_pattern_matches(want.text, want.len, have.text, have.len, '?')) {
            pattern = pattern_next;
            dir = dir_next;
        } else if (star != NULL) {
            pattern = star;
            next_part(&resume, dir_end, &have);
            dir = resume;
        } else {
            return false;
        }
    }
    while (next_part(&pattern, pattern_end, &want)) {
        if (want.len != 2 || memcmp(want.text, "**", 2) != 0) {
            return false;
        }
    }
    return true;
}

static gw_status add_matching(finder *find, const char *pattern)
{
    gw_status st = know_all(find);
    for (size_t i = 0; st == GW_OK && i < find->n_all; i++) {
        if (++find->n_matches > MATCHES_MAX) {
            return gw_error_set(find->err, GW_E_LIMIT, 0,
                                "search path '%s': too many directories to look through", pattern);
        }
        if (matches_dir(pattern, find->all[i], find->all_lens[i])) {
            st = add_dir(find, find->all[i], find->all_lens[i]);
        }
    }
    return st;
}

/* ---- placeholders ------------------------------------------------------------------- */

/* Without "." and empty parts; the operator's path has been checked, names cannot be "..". */
static void normalise(char *path)
{
    char *out = path;
    const char *p = path;
    const char *end = path + strlen(path);
    part one = {NULL, 0};
    while (next_part(&p, end, &one)) {
        if (one.len == 0 || (one.len == 1 && one.text[0] == '.')) {
            continue;
        }
        if (out != path) {
            *out++ = '/';
        }
        memmove(out, one.text, one.len);
        out += one.len;
    }
    *out = '\0';
}

static gw_status add_expanded(finder *find, const char *path, const cs_names *names)
{
    gw_buf expanded;
    gw_buf_init(&expanded, CS_PATH_BYTES_MAX);
    gw_status st = GW_OK;
    if (cs_repo_uri_expand(path, names, &expanded) && expanded.len > 0) {
        normalise(expanded.data);
        if (strpbrk(expanded.data, "*?") != NULL) {
            st = add_matching(find, expanded.data);
        } else if (cs_tree_has_dir(find->tree, expanded.data)) {
            st = add_dir(find, expanded.data, strlen(expanded.data));
        }
    } else if (gw_buf_status(&expanded) == GW_E_NOMEM) {
        st = fail_nomem(find);
    }
    gw_buf_dispose(&expanded);
    return st;
}

/* The next name of a comma list; false at the end. */
static bool next_name(const char **p, char *ret_name)
{
    if (*p == NULL) {
        return false;
    }
    size_t len = strcspn(*p, ",");
    len = len > CS_NAME_BYTES_MAX ? CS_NAME_BYTES_MAX : len;
    memcpy(ret_name, *p, len);
    ret_name[len] = '\0';
    *p = (*p)[len] == ',' ? *p + len + 1 : NULL;
    return true;
}

static gw_status add_path(finder *find, const char *path)
{
    char application[CS_NAME_BYTES_MAX + 1];
    char profile[CS_NAME_BYTES_MAX + 1];
    bool has_app = strstr(path, "{application}") != NULL;
    bool has_profile = strstr(path, "{profile}") != NULL;
    cs_names names = {application, profile, find->search->label};
    const char *profiles = find->search->profiles;
    gw_status st = GW_OK;
    while (st == GW_OK && next_name(&profiles, profile)) {
        const char *applications = find->search->application;
        while (st == GW_OK && next_name(&applications, application)) {
            st = add_expanded(find, path, &names);
            applications = has_app ? applications : NULL;
        }
        profiles = has_profile ? profiles : NULL;
    }
    return st;
}

static gw_status add_label_dirs(finder *find)
{
    size_t n = find->n_dirs;
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        char path[CS_PATH_BYTES_MAX + CS_NAME_BYTES_MAX + 8];
        size_t dir_len = strlen(find->dirs[i]);
        size_t label_len = strlen(find->search->label);
        if (dir_len + label_len >= sizeof(path)) {
            continue;
        }
        strcpy(mempcpy(path, find->dirs[i], dir_len), find->search->label);
        if (cs_tree_has_dir(find->tree, path)) {
            st = add_dir(find, path, dir_len + label_len);
        }
    }
    return st;
}

gw_status cs_search_dirs(const cs_tree *tree, const cs_search *search, char **ret_dirs,
                         size_t *ret_n_dirs, gw_error *err)
{
    finder find = {.tree = tree, .search = search, .dirs = ret_dirs, .err = err};
    gw_status st = add_dir(&find, "", 0);
    for (size_t i = 0; st == GW_OK && i < search->n_paths; i++) {
        st = add_path(&find, search->paths[i]);
    }
    if (st == GW_OK && search->with_label_dirs) {
        st = add_label_dirs(&find);
    }
    free(find.all);
    free(find.all_lens);
    if (st != GW_OK) {
        while (find.n_dirs > 0) {
            free(ret_dirs[--find.n_dirs]);
        }
        return st;
    }
    *ret_n_dirs = find.n_dirs;
    return GW_OK;
}
