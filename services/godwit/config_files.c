/* SPDX-License-Identifier: MIT */
#include "config_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/bounds.h"
#include "repo/backend.h"
#include "repo/git_location.h"

#define DEPTH_MAX 64

/* ---- a directory -------------------------------------------------------------- */

typedef struct walk {
    cs_tree_builder *builder;
    gw_error *err;
    char path[CS_PATH_BYTES_MAX + 1]; /* relative to the directory */
} walk;

static gw_status walk_dir(walk *at, int fd, size_t path_len, unsigned depth);

static gw_status enter(walk *at, int parent, const char *name, size_t path_len, unsigned depth)
{
    if (depth == DEPTH_MAX) {
        return gw_error_set(at->err, GW_E_LIMIT, 0, "%s: directories within each other, %u deep",
                            at->path, depth);
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return gw_error_set_errno(at->err, errno, "%s", at->path);
    }
    at->path[path_len] = '/';
    return walk_dir(at, fd, path_len + 1, depth + 1);
}

static gw_status visit(walk *at, int parent, const char *name, size_t path_len, unsigned depth)
{
    struct stat found;
    if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) < 0) {
        return gw_error_set_errno(at->err, errno, "%s", at->path);
    }
    if (S_ISDIR(found.st_mode)) {
        return enter(at, parent, name, path_len, depth);
    }
    if (!S_ISREG(found.st_mode) && !S_ISLNK(found.st_mode)) {
        return GW_OK;
    }
    const cs_tree_entry entry = {.path = at->path,
                                 .kind = S_ISLNK(found.st_mode) ? CS_ENTRY_LINK : CS_ENTRY_FILE,
                                 .size = (size_t)found.st_size,
                                 .modified_s = found.st_mtime};
    return cs_tree_builder_add(at->builder, &entry, at->err);
}

static bool is_passed_over(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0;
}

/* Takes the descriptor. */
static gw_status walk_dir(walk *at, int fd, size_t path_len, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        gw_status st = gw_error_set_errno(at->err, errno, "%s", at->path);
        close(fd);
        return st;
    }
    gw_status st = GW_OK;
    errno = 0;
    for (struct dirent *item; st == GW_OK && (item = readdir(dir)) != NULL; errno = 0) {
        size_t name_len = strlen(item->d_name);
        if (is_passed_over(item->d_name)) {
            continue;
        }
        if (path_len + name_len + 1 > CS_PATH_BYTES_MAX) {
            st = gw_error_set(at->err, GW_E_LIMIT, 0, "%s: a path of more than %u bytes", at->path,
                              CS_PATH_BYTES_MAX);
            break;
        }
        memcpy(at->path + path_len, item->d_name, name_len + 1);
        st = visit(at, fd, item->d_name, path_len + name_len, depth);
    }
    if (st == GW_OK && errno != 0) {
        st = gw_error_set_errno(at->err, errno, "%s", at->path);
    }
    closedir(dir);
    return st;
}

/* `ctx` is the directory's name. */
static gw_status read_file(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    int dir = open(ctx, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, entry->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0) {
        close(dir);
    }
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "%s", entry->path);
    }
    char piece[16384];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)) {
        gw_buf_add(out, piece, n > 0 ? (size_t)n : 0);
    }
    gw_status st = n < 0 ? gw_error_set_errno(err, errno, "%s", entry->path) : gw_buf_status(out);
    close(fd);
    return st;
}

static gw_status make_tree(walk *at, const char *dir, cs_tree **ret_tree)
{
    char *own_dir = strdup(dir);
    if (own_dir == NULL) {
        cs_tree_builder_free(at->builder);
        return gw_error_set(at->err, GW_E_NOMEM, 0, "out of memory");
    }
    const cs_blobs blobs = {.read = read_file, .free = free, .ctx = own_dir};
    return cs_tree_builder_make(at->builder, &blobs, NULL, ret_tree, at->err);
}

gw_status config_files_of_directory(const char *dir, cs_tree **ret_tree, gw_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "%s", dir);
    }
    walk at = {.builder = cs_tree_builder_new(dir, "", 0), .err = err};
    if (at.builder == NULL) {
        close(fd);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_status st = walk_dir(&at, fd, 0, 0);
    if (st != GW_OK) {
        cs_tree_builder_free(at.builder);
        return st;
    }
    return make_tree(&at, dir, ret_tree);
}

gw_status config_files_check_local(const char *dir, gw_error *err)
{
    cs_git_location location;
    if (access(dir, F_OK) == 0 || cs_git_location_parse(dir, &location, NULL) != GW_OK) {
        return GW_OK;
    }
    bool is_local = location.scheme == CS_GIT_LOCAL;
    cs_git_location_dispose(&location);
    return is_local ? GW_OK
                    : gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                   "only what is on this machine is read: clone the repository "
                                   "first");
}

/* ---- a commit ------------------------------------------------------------------- */

static gw_status find_commit(cs_backend *git, const cs_refs *refs, const char *label,
                             cs_commit *ret_commit, gw_error *err)
{
    const cs_ref *ref = cs_refs_find(refs, label);
    if (ref != NULL) {
        *ret_commit = ref->commit;
        return GW_OK;
    }
    bool is_id = strlen(label) >= 7 && strspn(label, "0123456789abcdef") == strlen(label);
    gw_status st = is_id ? git->class->find_commit(git, label, ret_commit, err) : GW_E_NOT_FOUND;
    return st == GW_E_NOT_FOUND
               ? gw_error_set(err, st, 0, "there is no branch, tag or commit '%.128s'", label)
               : st;
}

gw_status config_files_of_label(const char *dir, const char *label, cs_tree **ret_tree,
                                gw_error *err)
{
    const cs_repo_options options = {.name = "default", .uri = dir};
    cs_backend *git = NULL;
    cs_refs *refs = NULL;
    cs_commit commit;
    gw_status st = config_files_check_local(dir, err);
    if (st == GW_OK) {
        st = cs_git_open(&options, &git, err);
    }
    if (st != GW_OK) {
        return st;
    }
    st = git->class->sync(git, &refs, err);
    if (st == GW_OK) {
        st = find_commit(git, refs, label, &commit, err);
    }
    if (st == GW_OK) {
        st = git->class->tree(git, &commit, NULL, ret_tree, err);
    }
    cs_refs_unref(refs);
    git->class->free(git);
    return st;
}
