/* SPDX-License-Identifier: MIT */
#include "repo/git_walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files/bounds.h"

typedef struct ref_walk {
    cs_git_visit visit;
    void *ctx;
    unsigned n_dirs;
    size_t root_len; /* of `path`: what comes before the name */
    char path[PATH_MAX];
} ref_walk;

static gw_status walk_dir(ref_walk *walk, size_t len, gw_error *err);

static bool is_lock(const char *name)
{
    size_t len = strlen(name);
    return len >= 5 && strcmp(name + len - 5, ".lock") == 0;
}

/* Whoever opened a pipe would wait for somebody to write. */
static bool is_special(const char *path, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR) {
        return false;
    }
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static bool is_directory(const char *path, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One name in the directory that is the first `len` bytes of the path. */
static gw_status walk_entry(ref_walk *walk, size_t len, const struct dirent *entry, gw_error *err)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
        return GW_OK;
    }
    int n = snprintf(walk->path + len, sizeof(walk->path) - len, "/%s", entry->d_name);
    if (n < 0 || (size_t)n >= sizeof(walk->path) - len) {
        walk->path[len] = '\0';
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: the names of refs are too long", walk->path);
    }
    gw_status st = GW_OK;
    if (is_special(walk->path, entry)) {
        st = gw_error_set(err, GW_E_IO, 0, "%s: neither a file nor a directory", walk->path);
    } else if (is_directory(walk->path, entry)) {
        st = walk_dir(walk, len + (size_t)n, err);
    } else if (!is_lock(entry->d_name)) {
        st = walk->visit(walk->ctx, walk->path, walk->path + walk->root_len, false, err);
    }
    walk->path[len] = '\0';
    return st;
}

static gw_status walk_dir(ref_walk *walk, size_t len, gw_error *err)
{
    if (++walk->n_dirs > CS_REFS_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u directories of refs", walk->path,
                            CS_REFS_MAX);
    }
    gw_status st = walk->visit(walk->ctx, walk->path, walk->path + walk->root_len, true, err);
    if (st != GW_OK) {
        return st;
    }
    DIR *dir = opendir(walk->path);
    if (dir == NULL) {
        return errno == ENOENT || errno == ENOTDIR
                   ? GW_OK
                   : gw_error_set_errno(err, errno, "%s", walk->path);
    }
    const struct dirent *entry;
    while (st == GW_OK && (entry = readdir(dir)) != NULL) {
        st = walk_entry(walk, len, entry, err);
    }
    closedir(dir);
    return st;
}

gw_status cs_git_walk_refs(const char *common_dir, cs_git_visit visit, void *ctx, gw_error *err)
{
    static const char *const roots[] = {"refs/heads", "refs/tags"};
    ref_walk walk = {.visit = visit, .ctx = ctx, .root_len = strlen(common_dir)};
    gw_status st = GW_OK;
    if (walk.root_len > sizeof(walk.path) - 32) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: a path too long", common_dir);
    }
    snprintf(walk.path, sizeof(walk.path), "%srefs", common_dir);
    st = visit(ctx, walk.path, "refs", true, err);
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]) && st == GW_OK; i++) {
        int n = snprintf(walk.path, sizeof(walk.path), "%s%s", common_dir, roots[i]);
        st = walk_dir(&walk, (size_t)n, err);
    }
    return st;
}
