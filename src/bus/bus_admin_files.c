/* SPDX-License-Identifier: MIT */
#include "bus/bus_admin_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/owner.h"

#define DEPTH_MAX 8 /* a bus has three levels */

bool gw__files_are_there(const char *dir)
{
    static const char *const names[] = {"control", "definitions", "logs"};
    char path[GW__FILES_PATH_MAX];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct stat info;
        int len = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        /* What we may not look into is told by whoever opens it. */
        if (len > 0 && (size_t)len < sizeof(path) && (lstat(path, &info) == 0 || errno == EACCES)) {
            return true;
        }
    }
    return false;
}

/* ---- whole trees ------------------------------------------------------------------ */

typedef void (*file_visitor)(void *ctx, int dir_fd, const char *name, const struct stat *info);

static void walk(int dir_fd, const char *name, unsigned depth, file_visitor visit, void *ctx)
{
    struct stat info;
    if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    int fd = S_ISDIR(info.st_mode) && depth < DEPTH_MAX
                 ? openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                 : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) {
        close(fd);
    }
    struct dirent *item;
    while (dir != NULL && (item = readdir(dir)) != NULL) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0) {
            walk(dirfd(dir), item->d_name, depth + 1, visit, ctx);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    visit(ctx, dir_fd, name, &info);
}

static void add_blocks(void *ctx, int dir_fd, const char *name, const struct stat *info)
{
    (void)dir_fd;
    (void)name;
    *(uint64_t *)ctx += (uint64_t)info->st_blocks * 512;
}

uint64_t gw__files_disk_bytes(const char *dir)
{
    uint64_t n = 0;
    walk(AT_FDCWD, dir, 0, add_blocks, &n);
    return n;
}

static void remove_one(void *ctx, int dir_fd, const char *name, const struct stat *info)
{
    (void)ctx;
    unlinkat(dir_fd, name, S_ISDIR(info->st_mode) ? AT_REMOVEDIR : 0);
}

void gw__files_remove(const char *dir)
{
    walk(AT_FDCWD, dir, 0, remove_one, NULL);
}

/* ---- names --------------------------------------------------------------------------- */

gw_status gw__files_rename(const char *from, const char *to, gw_error *err)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        int problem = errno;
        return problem == EEXIST
                   ? gw_error_set(err, GW_E_EXISTS, problem, "%s is there already", to)
                   : gw_error_set_errno(err, problem, "cannot rename %s to %s", from, to);
    }
    return GW_OK;
}

gw_status gw__files_exchange(const char *one, const char *other, gw_error *err)
{
    if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0) {
        int problem = errno;
        return problem == EINVAL || problem == ENOSYS
                   ? gw_error_set(err, GW_E_UNSUPPORTED, problem,
                                  "this file system cannot exchange %s and %s", one, other)
                   : gw_error_set_errno(err, problem, "cannot exchange %s and %s", one, other);
    }
    return GW_OK;
}

gw_status gw__files_sync_parent(const char *path, gw_error *err)
{
    char parent[GW__FILES_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= sizeof(parent)) {
        return gw_error_set(err, GW_E_LIMIT, 0, "the name of a directory is too long");
    }
    memcpy(parent, path, len);
    parent[len] = '\0';
    return gw__owner_sync_dir(len > 0 ? parent : ".", err);
}

gw_status gw__files_sync(const char *dir, gw_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? syncfs(fd) : -1;
    int problem = errno;
    if (fd >= 0) {
        close(fd);
    }
    return rc == 0 ? GW_OK : gw_error_set_errno(err, problem, "cannot write %s to the disk", dir);
}
