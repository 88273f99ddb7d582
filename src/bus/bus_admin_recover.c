/* SPDX-License-Identifier: MIT */
/*
 * A new bus from what can be read of a damaged one. It is made beside it; only when it is complete
 * do the two directories change their names, so that nothing is lost when this is cut off.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus_admin.h"
#include "bus/bus_admin_files.h"
#include "bus/bus_admin_salvage.h"

typedef struct recovery {
    char dir[GW__FILES_PATH_MAX];     /* the damaged one */
    char new_dir[GW__FILES_PATH_MAX]; /* the new one, while it is made */
    bool definitions_lost;
    gw__salvager salvager;
} recovery;

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory to recover a bus");
}

/* ---- before anything is done --------------------------------------------------------- */

/* As a process of the bus that is alone: whoever uses it has a shared lock on this file. */
static gw_status lock_whole(const recovery *it, int *ret_fd, gw_error *err)
{
    char path[GW__FILES_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/lock", it->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot open %s", path);
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        int problem = errno;
        close(fd);
        return problem == EAGAIN || problem == EACCES
                   ? gw_error_set(err, GW_E_BUSY, 0,
                                  "processes use the bus in %s: stop them, then recover it",
                                  it->dir)
                   : gw_error_set_errno(err, problem, "cannot lock %s", path);
    }
    *ret_fd = fd;
    return GW_OK;
}

/* What a newer version wrote is not for us to take apart. */
static gw_status check_version(const recovery *it, gw_error *err)
{
    char path[GW__FILES_PATH_MAX + 8];
    struct {
        uint64_t magic;
        uint32_t version;
        uint32_t rest;
    } head;
    snprintf(path, sizeof(path), "%s/control", it->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, &head, sizeof(head)) : -1;
    if (fd >= 0) {
        close(fd);
    }
    bool newer = n == (ssize_t)sizeof(head) && head.magic == GW__CONTROL_MAGIC &&
                 head.version > GW__CONTROL_VERSION && head.version < GW__CONTROL_VERSION + 1000;
    return newer ? gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                "the bus in %s has format version %u, this program knows version "
                                "%u: use the newer one",
                                it->dir, head.version, GW__CONTROL_VERSION)
                 : GW_OK;
}

/* ---- the new bus ---------------------------------------------------------------------------- */

static gw_status make_new(recovery *it, gw_error *err)
{
    gw__bus_place *place = calloc(1, sizeof(*place));
    struct stat info;
    if (place == NULL) {
        return no_memory(err);
    }
    memcpy(place->dir, it->new_dir,
           strlen(it->new_dir) + 1); /* find_dir() has seen to its length */
    if (stat(it->dir, &info) == 0 && (info.st_mode & (S_ISGID | S_IRWXG)) == (S_ISGID | S_IRWXG)) {
        const struct group *group = getgrgid(info.st_gid);
        snprintf(place->group, sizeof(place->group), "%s", group != NULL ? group->gr_name : "");
    }
    gw__files_remove(it->new_dir);
    gw_status st = gw__bus_open(place, "godwit", &it->salvager.bus, err);
    free(place);
    return st;
}

/* What the control file says is found again in the logs, when it is first opened: so it need not be
 * right here. */
static gw_status finish_new(const recovery *it, gw_error *err)
{
    char path[GW__FILES_PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/control", it->new_dir);
    if (unlink(path) != 0 && errno != ENOENT) {
        return gw_error_set_errno(err, errno, "cannot remove %s", path);
    }
    return gw__files_sync(it->new_dir, err);
}

static void name_damaged(const recovery *it, char *ret_path, size_t size)
{
    time_t now = time(NULL);
    struct tm parts;
    char text[32] = "";
    if (gmtime_r(&now, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
    }
    snprintf(ret_path, size, "%s.damaged-%s", it->dir, text);
    size_t len = strlen(ret_path);
    for (unsigned i = 2; i < 100 && access(ret_path, F_OK) == 0; i++) { /* twice in a second */
        snprintf(ret_path + len, size - len, "-%u", i);
    }
}

/* The new one in the old one's place. GW_OK as soon as that is so; `aside` is then where the old
 * one is. */
static gw_status put_in_place(const recovery *it, char *aside, size_t size, gw_error *err)
{
    name_damaged(it, aside, size);
    gw_status st = gw__files_exchange(it->new_dir, it->dir, err);
    if (st == GW_OK) {
        if (gw__files_rename(it->new_dir, aside, NULL) != GW_OK) {
            snprintf(aside, size, "%s", it->new_dir);
        }
    } else if (st == GW_E_UNSUPPORTED) {
        st = gw__files_rename(it->dir, aside, err);
        if (st == GW_OK) {
            st = gw__files_rename(it->new_dir, it->dir, err);
            if (st != GW_OK) {
                (void)gw__files_rename(aside, it->dir, NULL);
            }
        }
    }
    if (st == GW_OK) {
        (void)gw__files_sync_parent(it->dir,
                                    NULL); /* it may have its old name after a power loss */
    }
    return st;
}

static gw_status recover(recovery *it, gw_error *err)
{
    gw_status st = make_new(it, err);
    if (st != GW_OK) {
        return st;
    }
    it->salvager.dir = it->dir;
    it->salvager.err = err;
    st = it->definitions_lost ? gw__salvage_unknown(&it->salvager)
                              : gw__salvage_known(&it->salvager);
    gw__bus_close(it->salvager.bus);
    return st == GW_OK ? finish_new(it, err) : st;
}

static void tell(const recovery *it, void (*found)(void *, const gw_bus_recovered *), void *ctx,
                 gw_bus_recovery *ret)
{
    ret->definitions_lost = it->definitions_lost;
    for (size_t i = 0; i < it->salvager.n_tallies; i++) {
        gw_bus_recovered counts = it->salvager.tallies[i].counts;
        counts.queue =
            it->salvager.tallies[i].name[0] != '\0' ? it->salvager.tallies[i].name : NULL;
        ret->n_recovered += counts.n_recovered;
        ret->n_damaged += counts.n_damaged;
        if (found != NULL) {
            found(ctx, &counts);
        }
    }
}

/* The directory's real name, so that it and not a link to it is renamed. */
static gw_status find_dir(recovery *it, const char *where, gw_error *err)
{
    gw__bus_place *place = calloc(1, sizeof(*place));
    gw_status st = place == NULL ? no_memory(err) : gw__admin_place(where, place, err);
    if (st == GW_OK && !gw__files_are_there(place->dir)) {
        st = gw_error_set(err, GW_E_NOT_FOUND, 0, "there is no bus in %s", place->dir);
    }
    char *real = st == GW_OK ? realpath(place->dir, NULL) : NULL;
    if (st == GW_OK && real == NULL) {
        st = gw_error_set_errno(err, errno, "cannot find %s", place->dir);
    }
    if (st == GW_OK && strlen(real) + 40 > sizeof(place->dir)) {
        st = gw_error_set(err, GW_E_LIMIT, 0, "the name of the directory is too long");
    }
    if (st == GW_OK) {
        snprintf(it->dir, sizeof(it->dir), "%s", real);
        snprintf(it->new_dir, sizeof(it->new_dir), "%s.recovering-%ld", real, (long)getpid());
    }
    free(real);
    free(place);
    return st;
}

/* The damaged bus is locked. */
static gw_status recover_locked(recovery *it, gw_bus_recovery *ret, gw_error *err)
{
    char path[GW__FILES_PATH_MAX + 8];
    gw_status st = check_version(it, err);
    if (st != GW_OK) {
        return st;
    }
    st = gw__salvage_try_definitions(it->dir, err);
    if (st == GW_E_UNSUPPORTED || st == GW_E_DENIED || st == GW_E_NOMEM) {
        return st;
    }
    it->definitions_lost = st != GW_OK;
    snprintf(path, sizeof(path), "%s/logs", it->dir);
    it->salvager.logs_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (it->salvager.logs_fd < 0 && errno != ENOENT) {
        return gw_error_set_errno(err, errno, "cannot read %s", path);
    }
    st = recover(it, err);
    if (st == GW_OK) {
        st = put_in_place(it, ret->moved_to, sizeof(ret->moved_to), err);
    }
    if (st != GW_OK) {
        gw__files_remove(it->new_dir);
    }
    if (it->salvager.logs_fd >= 0) {
        close(it->salvager.logs_fd);
    }
    return st;
}

gw_status gw_bus_recover(const char *where, void (*found)(void *, const gw_bus_recovered *),
                         void *ctx, gw_bus_recovery *ret_recovery, gw_error *err)
{
    int lock_fd = -1;
    gw_bus_recovery result = {.definitions_lost = false};
    recovery *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        return no_memory(err);
    }
    it->salvager.logs_fd = -1;
    gw_status st = find_dir(it, where, err);
    st = st == GW_OK ? gw__admin_check_user(it->dir, err) : st;
    if (st == GW_OK) {
        st = lock_whole(it, &lock_fd, err);
    }
    if (st == GW_OK) {
        st = recover_locked(it, &result, err);
    }
    if (st == GW_OK) {
        tell(it, found, ctx, &result);
        *ret_recovery = result;
    }
    if (lock_fd >= 0) {
        close(lock_fd);
    }
    free(it->salvager.tallies);
    free(it);
    return st;
}
