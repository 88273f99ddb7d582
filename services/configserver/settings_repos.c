/* SPDX-License-Identifier: MIT */
/* The repositories: git's, or one directory. */
#include "settings_inside.h"

#include <stdio.h>
#include <string.h>

#include "files/bounds.h"

#define SERVER   "spring.cloud.config.server"
#define GIT      SERVER ".git"
#define NATIVE   SERVER ".native"
#define N(array) (sizeof(array) / sizeof((array)[0]))

_Static_assert(offsetof(cs_repo_options, n_patterns) ==
                   offsetof(cs_repo_options, patterns) + sizeof(char *),
               "a list's count lies behind it");
_Static_assert(offsetof(cs_repo_options, n_search_paths) ==
                   offsetof(cs_repo_options, search_paths) + sizeof(char *),
               "a list's count lies behind it");

#define REPO(key, kind, field) CS_SETTING_ROW(cs_repo_options, key, kind, field)

/* Spring's keys of a git repository, and ours: those with "-file". */
static const cs_setting_row git_rows[] = {
    REPO("uri", TEXT, uri),
    REPO("pattern", LIST, patterns),
    REPO("search-paths", LIST, search_paths),
    REPO("default-label", TEXT, default_label),
    REPO("try-master-branch", NOT_FLAG, no_master),
    REPO("refresh-rate", SECONDS, refresh_s),
    REPO("timeout", SECONDS, timeout_s),
    REPO("basedir", TEXT, basedir),
    REPO("username", TEXT, username),
    REPO("password", TEXT, password),
    REPO("password-file", SECRET_OF_FILE, password),
    REPO("private-key", TEXT, private_key),
    REPO("private-key-file", TEXT, private_key_file),
    REPO("passphrase", TEXT, passphrase),
    REPO("passphrase-file", SECRET_OF_FILE, passphrase),
    REPO("known-hosts-file", TEXT, known_hosts_file),
    REPO("strict-host-key-checking", NOT_FLAG, any_host_key),
    REPO("ca-file", TEXT, ca_file),
    REPO("skip-ssl-validation", FLAG, skip_tls_verification),
    CS_SETTING_WITHOUT("clone-on-start", IGNORED),
    CS_SETTING_WITHOUT("force-pull", IGNORED),
    CS_SETTING_WITHOUT("delete-untracked-branches", IGNORED),
    CS_SETTING_WITHOUT("ignore-local-ssh-settings", IGNORED),
    CS_SETTING_WITHOUT("order", IGNORED),
    CS_SETTING_WITHOUT("clone-submodules", REFUSED_IF_TRUE),
    CS_SETTING_WITHOUT("host-key", REFUSED),
    CS_SETTING_WITHOUT("host-key-algorithm", REFUSED),
    CS_SETTING_WITHOUT("preferred-authentications", IGNORED),
};

static gw_status add_repo(const cs_settings_reader *r, const cs_repo_options *repo)
{
    cs_settings *settings = r->settings;
    if (settings->n_repos >= CS_REPOS_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "more than %u repositories", CS_REPOS_MAX);
    }
    settings->repos[settings->n_repos++] = *repo;
    return GW_OK;
}

/* A repository of repos.<name>, which takes what it does not say from the default one. */
static gw_status read_named_repo(const cs_settings_reader *r, const char *name,
                                 const cs_repo_options *base)
{
    char prefix[CS_SETTING_KEY_MAX];
    bool is_dotted = strchr(name, '.') != NULL;
    snprintf(prefix, sizeof(prefix), is_dotted ? GIT ".repos[%s]" : GIT ".repos.%s", name);
    cs_repo_options repo = *base;
    repo.uri = NULL;
    repo.search_paths = NULL;
    repo.n_search_paths = 0;
    cs_text copy = cs_arena_copy(r->arena, name, strlen(name));
    repo.name = copy.bytes;
    gw_status st = copy.bytes == NULL ? cs_settings_no_memory(r)
                                      : cs_settings_rows(r, prefix, git_rows, N(git_rows), &repo);
    cs_setting whole;
    if (st == GW_OK && repo.uri == NULL && cs_settings_find(r->file, prefix, &whole)) {
        repo.uri = whole.value; /* repos.<name>: <uri> */
    }
    if (st != GW_OK) {
        return st;
    }
    if (repo.uri == NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "'%s' has no uri", prefix);
    }
    if (repo.n_patterns == 0) { /* as in Spring: its name is the pattern */
        const char **pattern = cs_arena_alloc(r->arena, sizeof(char *));
        if (pattern == NULL) {
            return cs_settings_no_memory(r);
        }
        *pattern = repo.name;
        repo.patterns = pattern;
        repo.n_patterns = 1;
    }
    return add_repo(r, &repo);
}

/* Spring's server can have files from there, too. */
static bool is_elsewhere(const cs_settings_reader *r, cs_setting *ret_setting)
{
    static const char *const others[] = {"composite", "vault", "svn",       "jdbc",
                                         "redis",     "awss3", "credhub",   "mongodb",
                                         "gcp",       "aws",   "kubernetes"};
    for (size_t i = 0; i < N(others); i++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "%s.%s", SERVER, others[i]);
        if (cs_settings_unknown(r->file, prefix, ret_setting)) {
            return true;
        }
    }
    return false;
}

static gw_status read_git(const cs_settings_reader *r, const char *uri_of_flag)
{
    cs_repo_options base = {.name = "default",
                            .default_label = r->settings->repos[0].default_label};
    gw_status st = cs_settings_rows(r, GIT, git_rows, N(git_rows), &base);
    base.patterns = NULL;
    base.n_patterns = 0;
    if (uri_of_flag != NULL) {
        base.uri = uri_of_flag;
    }
    if (r->settings->repos[0].default_label != NULL) {
        base.default_label = r->settings->repos[0].default_label; /* the flag */
    }
    char name[CS_NAME_BYTES_MAX];
    for (size_t i = 0;
         st == GW_OK && cs_settings_name_below(r->file, GIT ".repos", i, name, sizeof(name)); i++) {
        st = read_named_repo(r, name, &base);
    }
    cs_setting other;
    if (st == GW_OK && base.uri == NULL && is_elsewhere(r, &other)) {
        return gw_error_set(r->err, GW_E_UNSUPPORTED, 0,
                            "%s: '%s': files come from git or a directory here: " GIT
                            ".uri, .repos, "
                            "or " NATIVE ".search-locations",
                            other.origin, other.key);
    }
    if (st == GW_OK && base.uri == NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0,
                            "there is no repository: give -repo, -dir, or -config with " GIT
                            ".uri");
    }
    return st == GW_OK ? add_repo(r, &base) : st;
}

/* "file:/config/{application}" is the directory /config and the search path "{application}". */
static gw_status split_location(const cs_settings_reader *r, const char *location,
                                cs_repo_options *repo)
{
    const char *brace = strchr(location, '{');
    size_t len = strlen(location);
    if (brace != NULL) {
        len = (size_t)(brace - location);
        while (len > 0 && location[len - 1] != '/') {
            len--;
        }
        const char **paths = cs_arena_alloc(r->arena, sizeof(char *));
        if (paths == NULL) {
            return cs_settings_no_memory(r);
        }
        *paths = location + len;
        repo->search_paths = paths;
        repo->n_search_paths = 1;
    }
    cs_text uri = cs_arena_copy(r->arena, location, len);
    repo->uri = uri.bytes;
    return uri.bytes == NULL ? cs_settings_no_memory(r) : GW_OK;
}

static gw_status read_directory(const cs_settings_reader *r, const char *dir_of_flag)
{
    cs_repo_options repo = {.name = "default",
                            .is_directory = true,
                            .uri = dir_of_flag,
                            .default_label = r->settings->repos[0].default_label};
    static const cs_setting_row rows[] = {
        REPO("search-paths", LIST, search_paths),
        REPO("default-label", TEXT, default_label),
        CS_SETTING_WITHOUT("order", IGNORED),
        CS_SETTING_WITHOUT("add-label-locations", REFUSED_IF_FALSE),
    };
    gw_status st = cs_settings_rows(r, NATIVE, rows, N(rows), &repo);
    const char *const *locations = NULL;
    size_t n = 0;
    if (st == GW_OK) {
        st = cs_settings_list(r->file, r->arena, NATIVE ".search-locations", CS_SETTING_LIST_MAX,
                              &locations, &n, r->err);
    }
    if (st == GW_OK && dir_of_flag == NULL && n > 1) {
        return gw_error_set(r->err, GW_E_UNSUPPORTED, 0,
                            "'" NATIVE
                            ".search-locations' has %zu items; one is supported: name the "
                            "directory they lie in, and the others as " NATIVE ".search-paths",
                            n);
    }
    if (st == GW_OK && dir_of_flag == NULL) {
        st = split_location(r, locations[0], &repo);
    }
    return st == GW_OK ? add_repo(r, &repo) : st;
}

/* Whether the file asks for a directory: as Spring does, by the profile "native". */
static gw_status is_native(const cs_settings_reader *r, bool *ret)
{
    const char *const *profiles;
    size_t n = 0;
    gw_status st = cs_settings_list(r->file, r->arena, "spring.profiles.active",
                                    CS_SETTING_LIST_MAX, &profiles, &n, r->err);
    *ret = false;
    for (size_t i = 0; i < n; i++) {
        *ret |= strcmp(profiles[i], "native") == 0;
    }
    const char *const *locations;
    if (st == GW_OK) {
        st = cs_settings_list(r->file, r->arena, NATIVE ".search-locations", CS_SETTING_LIST_MAX,
                              &locations, &n, r->err);
    }
    if (st == GW_OK && *ret && n == 0) {
        st = gw_error_set(r->err, GW_E_INVALID, 0,
                          "the profile 'native' needs '" NATIVE ".search-locations'");
    }
    return st;
}

gw_status cs_settings_read_repos(const cs_settings_reader *r, const cs_settings_flags *flags)
{
    cs_settings *settings = r->settings;
    settings->repos = cs_arena_alloc(r->arena, (CS_REPOS_MAX + 1) * sizeof(*settings->repos));
    if (settings->repos == NULL) {
        return cs_settings_no_memory(r);
    }
    settings->repos[0].default_label = flags->label;
    if (flags->repo != NULL && flags->dir != NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "-repo and -dir exclude each other");
    }
    bool native = false;
    gw_status st = is_native(r, &native);
    if (st != GW_OK) {
        return st;
    }
    return flags->dir != NULL || (native && flags->repo == NULL) ? read_directory(r, flags->dir)
                                                                 : read_git(r, flags->repo);
}
