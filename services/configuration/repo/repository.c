/* SPDX-License-Identifier: MIT */
#include "repo/repository.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <git2.h>
#include <godwit/url.h>

#include "files/bounds.h"

#define OBJECT_CACHE_BYTES ((ssize_t)4 << 20)
#define COMMIT_PREFIX_MIN  7

/* libgit2's repository is for one thread at a time, so each request in progress has its own. */
typedef struct repo_handle {
    git_repository *git;
    struct repo_handle *next;
} repo_handle;

struct cs_repository {
    char *path;
    char *uri;
    pthread_mutex_t lock; /* of the two below */
    repo_handle *idle;
    unsigned n_idle;
};

struct cs_snapshot {
    cs_repository *repo;
    repo_handle *handle;
    git_tree *root;
};

/* What libgit2 says of its last failure, on this thread. */
static const char *git_reason(void)
{
    const git_error *last = git_error_last();
    return last == NULL || last->message == NULL ? "unknown reason" : last->message;
}

static gw_status fail_git(const cs_repository *repo, int code, const char *what, gw_error *err)
{
    return gw_error_set(err, GW_E_IO, code, "%s: %s: %s", repo->uri, what, git_reason());
}

/* The library's settings are the process's, and the same whatever repository is opened. */
static void set_up_libgit2(void)
{
    static const int levels[] = {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
                                 GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    }
    /* The operator named the directory; mounted ones often belong to another user. Nothing in the
     * repository is executed, which is what the check of the owner guards against. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, OBJECT_CACHE_BYTES);
}

static repo_handle *pop_idle(cs_repository *repo)
{
    pthread_mutex_lock(&repo->lock);
    repo_handle *handle = repo->idle;
    if (handle != NULL) {
        repo->idle = handle->next;
        repo->n_idle--;
    }
    pthread_mutex_unlock(&repo->lock);
    return handle;
}

static void free_handle(repo_handle *handle)
{
    git_repository_free(handle->git);
    free(handle);
}

static void give_back(cs_repository *repo, repo_handle *handle)
{
    pthread_mutex_lock(&repo->lock);
    bool keep = repo->n_idle < CS_REPOSITORY_HANDLES;
    if (keep) {
        handle->next = repo->idle;
        repo->idle = handle;
        repo->n_idle++;
    }
    pthread_mutex_unlock(&repo->lock);
    if (!keep) {
        free_handle(handle);
    }
}

static gw_status take_handle(cs_repository *repo, repo_handle **ret_handle, gw_error *err)
{
    repo_handle *found = pop_idle(repo);
    if (found != NULL) {
        *ret_handle = found;
        return GW_OK;
    }
    found = calloc(1, sizeof(*found));
    if (found == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    int code =
        git_repository_open_ext(&found->git, repo->path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (code != 0) {
        free(found);
        gw_status st = code == GIT_ENOTFOUND ? GW_E_NOT_FOUND : GW_E_IO;
        return gw_error_set(err, st, code, "%s: not a readable git repository: %s", repo->uri,
                            git_reason());
    }
    *ret_handle = found;
    return GW_OK;
}

/* Whether `text` begins with "scheme://", or looks like git's "host:path". */
static bool is_remote(const char *text)
{
    size_t n = strcspn(text, ":/");
    return n > 0 && text[n] == ':';
}

static gw_status set_location(cs_repository *repo, const char *location, gw_error *err)
{
    const char *path = location;
    if (strncmp(location, "file:", 5) == 0) {
        path = location + 5;
        path += strncmp(path, "//localhost/", 12) == 0 ? 11 : 0;
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        repo->uri = strdup(location);
    } else if (is_remote(location)) {
        gw_buf masked;
        gw_buf_init(&masked, GW_ERROR_TEXT_MAX);
        gw_url_mask(&masked, location);
        gw_status st = gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                    "%s: the repository must be a local path or a file: URI",
                                    masked.len == 0 ? "" : masked.data);
        gw_buf_dispose(&masked);
        return st;
    } else {
        char *absolute = realpath(location, NULL);
        if (asprintf(&repo->uri, "file://%s", absolute == NULL ? location : absolute) < 0) {
            repo->uri = NULL;
        }
        free(absolute);
    }
    repo->path = strdup(path);
    if (repo->uri == NULL || repo->path == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    size_t len = strlen(repo->uri);
    while (len > 0 && repo->uri[len - 1] == '/') {
        repo->uri[--len] = '\0';
    }
    return GW_OK;
}

gw_status cs_repository_open(const char *location, cs_repository **ret_repo, gw_error *err)
{
    cs_repository *repo = calloc(1, sizeof(*repo));
    if (repo == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    pthread_mutex_init(&repo->lock, NULL);
    git_libgit2_init();
    set_up_libgit2();
    repo_handle *first = NULL;
    gw_status st = set_location(repo, location, err);
    if (st == GW_OK) {
        st = take_handle(repo, &first, err);
    }
    if (st != GW_OK) {
        cs_repository_free(repo);
        return st;
    }
    give_back(repo, first);
    *ret_repo = repo;
    return GW_OK;
}

void cs_repository_free(cs_repository *repo)
{
    if (repo == NULL) {
        return;
    }
    repo_handle *handle;
    while ((handle = pop_idle(repo)) != NULL) {
        free_handle(handle);
    }
    pthread_mutex_destroy(&repo->lock);
    free(repo->path);
    free(repo->uri);
    free(repo);
    git_libgit2_shutdown();
}

const char *cs_repository_uri(const cs_repository *repo)
{
    return repo->uri;
}

/* The object that refs/<kind>/<label> names: 0, GIT_ENOTFOUND or another failure. */
static int find_reference(git_repository *git, const char *kind, const char *label, git_oid *ret)
{
    char name[CS_NAME_BYTES_MAX + 32];
    snprintf(name, sizeof(name), "refs/%s/%s", kind, label);
    int is_valid = 0;
    if (git_reference_name_is_valid(&is_valid, name) != 0 || !is_valid) {
        return GIT_ENOTFOUND;
    }
    int code = git_reference_name_to_id(ret, git, name);
    /* "feature" may be a directory of branches, and "main/x" lie below a branch. */
    return code == GIT_EINVALIDSPEC ? GIT_ENOTFOUND : code;
}

/* An annotated tag points to its commit through an object of its own. */
static int peel_to_commit(git_repository *git, git_oid *id)
{
    git_object *object = NULL;
    git_object *commit = NULL;
    int code = git_object_lookup(&object, git, id, GIT_OBJECT_ANY);
    if (code == 0) {
        code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    }
    if (code == 0) {
        *id = *git_object_id(commit);
    } else if (code == GIT_EPEEL || code == GIT_EINVALIDSPEC) {
        code = GIT_ENOTFOUND;
    }
    git_object_free(commit);
    git_object_free(object);
    return code;
}

static int find_commit(git_repository *git, const char *label, git_oid *ret)
{
    size_t len = strlen(label);
    if (len < COMMIT_PREFIX_MIN || len > CS_COMMIT_LEN ||
        strspn(label, "0123456789abcdefABCDEF") != len) {
        return GIT_ENOTFOUND;
    }
    git_oid prefix;
    git_object *object = NULL;
    int code = git_oid_fromstrn(&prefix, label, len);
    if (code == 0) {
        code = git_object_lookup_prefix(&object, git, &prefix, len, GIT_OBJECT_ANY);
    }
    if (code == 0) {
        *ret = *git_object_id(object);
        code = peel_to_commit(git, ret);
    }
    git_object_free(object);
    return code == GIT_EAMBIGUOUS ? GIT_ENOTFOUND : code;
}

static int find_label(git_repository *git, const char *label, git_oid *ret)
{
    int code = find_reference(git, "heads", label, ret);
    if (code == GIT_ENOTFOUND) {
        code = find_reference(git, "tags", label, ret);
        if (code == 0) {
            code = peel_to_commit(git, ret);
        }
    }
    return code == GIT_ENOTFOUND ? find_commit(git, label, ret) : code;
}

/* The other name of the default branch; NULL for any other label. */
static const char *stand_in(const char *label)
{
    if (strcmp(label, "main") == 0) {
        return "master";
    }
    return strcmp(label, "master") == 0 ? "main" : NULL;
}

/* A directory that went away has no labels either, but that is another failure: clients take "not
 * found" for an answer and would go on with nothing. */
static bool is_still_there(git_repository *git)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%sobjects", git_repository_commondir(git));
    return len > 0 && (size_t)len < sizeof(path) && access(path, R_OK | X_OK) == 0;
}

gw_status cs_repository_resolve(cs_repository *repo, const char *label, cs_commit *ret_commit,
                                gw_error *err)
{
    repo_handle *handle = NULL;
    gw_status st = take_handle(repo, &handle, err);
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_E_IO : st;
    }
    git_oid id;
    int code = label[0] == '-' ? GIT_ENOTFOUND : find_label(handle->git, label, &id);
    if (code == GIT_ENOTFOUND && stand_in(label) != NULL) {
        code = find_label(handle->git, stand_in(label), &id);
    }
    if (code == 0) {
        git_oid_tostr(ret_commit->id, sizeof(ret_commit->id), &id);
    } else if (code == GIT_ENOTFOUND && !is_still_there(handle->git)) {
        st = gw_error_set(err, GW_E_IO, 0, "%s: the repository is not there any more", repo->uri);
    } else if (code == GIT_ENOTFOUND) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "no branch, tag or commit '%s' in %s", label,
                          repo->uri);
    } else {
        st = fail_git(repo, code, label, err);
    }
    give_back(repo, handle);
    return st;
}

gw_status cs_snapshot_open(cs_repository *repo, const cs_commit *commit, cs_snapshot **ret_snapshot,
                           gw_error *err)
{
    cs_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_status st = take_handle(repo, &snapshot->handle, err);
    if (st != GW_OK) {
        free(snapshot);
        return st == GW_E_NOT_FOUND ? GW_E_IO : st;
    }
    snapshot->repo = repo;
    git_oid id;
    git_commit *object = NULL;
    int code = git_oid_fromstr(&id, commit->id);
    if (code == 0) {
        code = git_commit_lookup(&object, snapshot->handle->git, &id);
    }
    if (code == 0) {
        code = git_commit_tree(&snapshot->root, object);
    }
    git_commit_free(object);
    if (code != 0) {
        st = fail_git(repo, code, commit->id, err);
        cs_snapshot_close(snapshot);
        return st;
    }
    *ret_snapshot = snapshot;
    return GW_OK;
}

void cs_snapshot_close(cs_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    git_tree_free(snapshot->root);
    give_back(snapshot->repo, snapshot->handle);
    free(snapshot);
}

static gw_status read_blob(const cs_snapshot *snapshot, const git_oid *id, const char *path,
                           gw_buf *out, gw_error *err)
{
    /* The size first, from the header: a blob is inflated whole when it is looked up. */
    size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    git_odb *odb = NULL;
    git_blob *blob = NULL;
    int code = git_repository_odb(&odb, snapshot->handle->git);
    if (code == 0) {
        code = git_odb_read_header(&size, &type, odb, id);
    }
    git_odb_free(odb);
    if (code == 0 && size > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: larger than %zu MiB", path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    if (code == 0) {
        code = git_blob_lookup(&blob, snapshot->handle->git, id);
    }
    if (code != 0) {
        return fail_git(snapshot->repo, code, path, err);
    }
    gw_buf_add(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "%s: %s", path, gw_status_text(st));
}

gw_status cs_snapshot_read(void *ctx, const char *path, gw_buf *out, gw_error *err)
{
    const cs_snapshot *snapshot = ctx;
    git_tree_entry *entry = NULL;
    int code = git_tree_entry_bypath(&entry, snapshot->root, path);
    if (code == GIT_ENOTFOUND) {
        return GW_E_NOT_FOUND;
    }
    if (code != 0) {
        return fail_git(snapshot->repo, code, path, err);
    }
    gw_status st = GW_OK;
    if (git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK) {
        st = gw_error_set(err, GW_E_DENIED, 0, "%s: a symbolic link is not followed", path);
    } else if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB) {
        st = GW_E_NOT_FOUND;
    } else {
        st = read_blob(snapshot, git_tree_entry_id(entry), path, out, err);
    }
    git_tree_entry_free(entry);
    return st;
}
