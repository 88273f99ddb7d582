/* SPDX-License-Identifier: MIT */
#include "bus/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#define LOCK_NAME "owner"

/* Not in <linux/magic.h> of all kernels. */
#define CIFS_MAGIC 0xff534d42u

gw_status gw__owner_check_dir(const char *dir, gw_error *err)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } remote[] = {{NFS_SUPER_MAGIC, "NFS"}, {SMB_SUPER_MAGIC, "SMB"},   {SMB2_SUPER_MAGIC, "SMB"},
                  {CIFS_MAGIC, "CIFS"},     {CEPH_SUPER_MAGIC, "Ceph"}, {V9FS_MAGIC, "9P"}};
    struct statfs info;
    if (statfs(dir, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot look at the directory %s", dir);
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        if ((unsigned long)info.f_type == remote[i].magic) {
            return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                "%s is on a network file system (%s), where locks and mapped files "
                                "cannot be relied on: use a local disk",
                                dir, remote[i].name);
        }
    }
    return GW_OK;
}

gw_status gw__owner_sync_dir(const char *dir, gw_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;
    int problem = errno;
    if (fd >= 0) {
        close(fd);
    }
    return rc == 0 || problem == EINVAL /* not on this file system */
               ? GW_OK
               : gw_error_set_errno(err, problem, "cannot write the directory %s to the disk", dir);
}

/* So that the new directory is there after a loss of power. `path` is as before afterwards. */
static gw_status sync_parent(char *path, gw_error *err)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return gw__owner_sync_dir(slash == NULL ? "." : "/", err);
    }
    *slash = '\0';
    gw_status st = gw__owner_sync_dir(path, err);
    *slash = '/';
    return st;
}

/* @param gid the group it is for; GW__NO_GROUP: nobody but the user */
static gw_status make_one(char *path, gid_t gid, gw_error *err)
{
    struct stat info;
    if (mkdir(path, 0700) == 0) {
        if (gid != GW__NO_GROUP && (chown(path, (uid_t)-1, gid) != 0 || chmod(path, 02770) != 0)) {
            int problem = errno;
            rmdir(path);
            return gw_error_set_errno(err, problem,
                                      "cannot give the directory %s to group %lu, of which this "
                                      "user has to be a member",
                                      path, (unsigned long)gid);
        }
        return sync_parent(path, err);
    }
    int problem = errno;
    if (problem == EEXIST) { /* it may be a file */
        problem = stat(path, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    }
    return problem == 0 ? GW_OK
                        : gw_error_set_errno(err, problem, "cannot make the directory %s", path);
}

gw_status gw__owner_make_dir(const char *dir, gid_t gid, gw_error *err)
{
    char path[GW__DIR_MAX + 1];
    size_t len = strnlen(dir, sizeof(path));
    if (len == 0 || len == sizeof(path)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the directory has no name or one longer than %d bytes", GW__DIR_MAX);
    }
    memcpy(path, dir, len + 1);
    for (char *p = path + 1; p <= path + len; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char end = *p;
        *p = '\0';
        gw_status st = make_one(path, gid, err);
        if (st != GW_OK) {
            return st;
        }
        *p = end;
    }
    return gw__owner_check_dir(dir, err);
}

/* The pid that the owner wrote; 0 when it has not yet. */
static long read_pid(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    return strtol(text, NULL, 10);
}

/* A lock of the open file: it ends with its last descriptor, and another one of the same process
 * does not get it. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

gw_status gw__owner_lock(const char *dir, int *ret_fd, gw_error *err)
{
    char path[GW__DIR_MAX + sizeof(LOCK_NAME) + 1];
    snprintf(path, sizeof(path), "%s/%s", dir, LOCK_NAME);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot open %s", path);
    }
    struct flock lock = whole_file();
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        int problem = errno;
        long pid = read_pid(fd);
        close(fd);
        return problem == EAGAIN || problem == EACCES
                   ? gw_error_set(err, GW_E_BUSY, 0,
                                  "the outbox in %s is in use by process %ld: each process needs "
                                  "a directory of its own",
                                  dir, pid)
                   : gw_error_set_errno(err, problem, "cannot lock %s", path);
    }
    char text[24];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        /* A full disk: the lock holds all the same. */
    }
    *ret_fd = fd;
    return GW_OK;
}

long gw__owner_pid(const char *dir)
{
    char path[GW__DIR_MAX + sizeof(LOCK_NAME) + 1];
    snprintf(path, sizeof(path), "%s/%s", dir, LOCK_NAME);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    long pid = 0;
    struct flock lock = whole_file();
    lock.l_type = F_RDLCK; /* all that can be asked about with a descriptor for reading */
    if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
        pid = read_pid(fd);
        pid = pid > 0 ? pid : -1; /* somebody, who has not said who */
    }
    close(fd);
    return pid;
}
