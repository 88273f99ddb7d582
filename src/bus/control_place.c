/* SPDX-License-Identifier: MIT */
#include "bus/control_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/owner.h"

/* What tells that a directory is for its group: the group may write, and has what is made in it. */
#define GROUP_MODE     (S_ISGID | S_IRWXG)

#define GROUP_ROOM_MAX ((size_t)1 << 20) /* for the names of its members */

static gw_status find_group(const char *name, gid_t *ret_gid, gw_error *err)
{
    struct group group;
    struct group *found = NULL;
    int rc = ERANGE;
    for (size_t room = 4096; rc == ERANGE && room <= GROUP_ROOM_MAX; room *= 4) {
        char *text = malloc(room);
        if (text == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look up the group %s", name);
        }
        rc = getgrnam_r(name, &group, text, room, &found);
        if (rc == 0 && found != NULL) {
            *ret_gid = group.gr_gid;
        }
        free(text);
    }
    if (rc != 0) {
        return gw_error_set_errno(err, rc, "cannot look up the group %s", name);
    }
    return found != NULL ? GW_OK
                         : gw_error_set(err, GW_E_INVALID, 0,
                                        "there is no group %s on this system, for which the bus "
                                        "is to be: make it (groupadd), or choose another",
                                        name);
}

static gw_status open_dir(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    file->dir_fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->dir_fd >= 0) {
        return GW_OK;
    }
    if (errno == ENOENT) {
        return gw_error_set(err, GW_E_NOT_FOUND, ENOENT, "there is no bus in %s", place->dir);
    }
    return gw_error_set_errno(err, errno, "cannot open the directory %s of a bus", place->dir);
}

/* Whether something of a bus is in it. "control" alone can be missing: it can be made again. */
static bool has_bus(int dir_fd)
{
    return faccessat(dir_fd, "control", F_OK, 0) == 0 ||
           faccessat(dir_fd, "definitions", F_OK, 0) == 0;
}

/* The directory was there before, maybe made by hand or with a bus in it. */
static gw_status give_to_group(const gw__bus_place *place, gid_t gid, int dir_fd, gw_error *err)
{
    struct stat info;
    if (fstat(dir_fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot look at the directory %s", place->dir);
    }
    if (info.st_gid == gid && (info.st_mode & GROUP_MODE) == GROUP_MODE) {
        return GW_OK;
    }
    if (has_bus(dir_fd)) {
        return gw_error_set(err, GW_E_EXISTS, 0,
                            "the bus in %s was made without the group %s: leave it out, or change "
                            "the group and the mode of all that is in the directory",
                            place->dir, place->group);
    }
    return fchown(dir_fd, (uid_t)-1, gid) == 0 && fchmod(dir_fd, 02770) == 0
               ? GW_OK
               : gw_error_set_errno(err, errno, "cannot give the directory %s to the group %s",
                                    place->dir, place->group);
}

static gw_status make_place(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    gid_t gid = GW__NO_GROUP;
    gw_status st = place->group[0] != '\0' ? find_group(place->group, &gid, err) : GW_OK;
    if (st == GW_OK) {
        st = gw__owner_make_dir(place->dir, gid, err);
    }
    if (st == GW_OK) {
        st = open_dir(place, file, err);
    }
    return st == GW_OK && gid != GW__NO_GROUP ? give_to_group(place, gid, file->dir_fd, err) : st;
}

static gw_status look_for_place(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    gw_status st = open_dir(place, file, err);
    if (st == GW_OK) {
        st = gw__owner_check_dir(place->dir, err);
    }
    if (st == GW_OK && !has_bus(file->dir_fd)) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no bus in %s", place->dir);
    }
    return st;
}

static gw_status make_folder(const gw__control_file *file, const char *name, bool *made)
{
    bool is_new = mkdirat(file->dir_fd, name, 0700) == 0;
    if (!is_new && errno != EEXIST) {
        return GW_E_IO;
    }
    int fd = openat(file->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool failed = fd < 0 || (is_new && file->dir_mode != 0700 && fchmod(fd, file->dir_mode) != 0);
    int problem = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = problem;
    *made = *made || is_new;
    return failed ? GW_E_IO : GW_OK;
}

static gw_status make_folders(const gw__bus_place *place, const gw__control_file *file,
                              gw_error *err)
{
    static const char *const names[] = {"logs", "members", "definitions"};
    bool made = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (make_folder(file, names[i], &made) != GW_OK) {
            return gw_error_set_errno(err, errno, "cannot make the folder %s/%s of the bus",
                                      place->dir, names[i]);
        }
    }
    return made ? gw__owner_sync_dir(place->dir, err) : GW_OK;
}

static bool has_logs(int dir_fd)
{
    int fd = openat(dir_fd, "logs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    const struct dirent *item;
    bool found = false;
    while (!found && (item = readdir(dir)) != NULL) {
        found = item->d_name[0] != '.';
    }
    closedir(dir);
    return found;
}

/* A log's folder is made after the definition that names it. Without definitions, new ones would be
 * made, and logs that these do not name be removed. */
static gw_status check_definitions(const gw__bus_place *place, int dir_fd, gw_error *err)
{
    return faccessat(dir_fd, "definitions/data.mdb", F_OK, 0) != 0 && errno == ENOENT &&
                   has_logs(dir_fd)
               ? gw_error_set(err, GW_E_PROTOCOL, 0,
                              "%s/definitions/data.mdb is missing, but there are messages: 'godwit "
                              "bus recover' makes the queues again from these",
                              place->dir)
               : GW_OK;
}

gw_status gw__control_find_place(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    bool make = !place->read_only && !place->must_exist;
    gw_status st = make ? make_place(place, file, err) : look_for_place(place, file, err);
    if (st != GW_OK) {
        return st;
    }
    struct stat info;
    if (fstat(file->dir_fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot look at the directory %s", place->dir);
    }
    bool group = (info.st_mode & GROUP_MODE) == GROUP_MODE;
    file->dir_mode = group ? 02770 : 0700;
    file->file_mode = group ? 0660 : 0600;
    st = check_definitions(place, file->dir_fd, err);
    return st != GW_OK || place->read_only ? st : make_folders(place, file, err);
}

int gw__control_open_file(const gw__control_file *file, const char *name)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(file->dir_fd, name, flags | O_CREAT | O_EXCL, file->file_mode);
    if (fd < 0) {
        return errno == EEXIST ? openat(file->dir_fd, name, flags) : -1;
    }
    if (fchmod(fd, file->file_mode) != 0) {
        int problem = errno;
        close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}
