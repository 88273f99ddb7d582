/* SPDX-License-Identifier: MIT */
#include "repo/git_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/git_walk.h"

/* What happens to the names in a directory, or is written into its files. */
#define CONTENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MODIFY)
#define ITSELF   (IN_DELETE_SELF | IN_MOVE_SELF)

/* Most links on the way to a repository. */
#define TURNS_MAX 16

struct cs_git_watch {
    int fd;
    char *path; /* absolute */
    int first;  /* descriptors of watches that are in use are from here on */
    int last;
    int turns[TURNS_MAX]; /* of directories in which a name says where the repository is */
    size_t n_turns;
};

static gw_status fail_limit(gw_error *err)
{
    return gw_error_set(err, GW_E_LIMIT, ENOSPC,
                        "the user watches too many files: raise fs.inotify.max_user_watches "
                        "or fs.inotify.max_user_instances");
}

gw_status cs_git_watch_new(const char *path, cs_git_watch **ret_watch, gw_error *err)
{
    char cwd[PATH_MAX] = "";
    cs_git_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    watch->first = 1;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        gw_status st =
            errno == EMFILE ? fail_limit(err) : gw_error_set_errno(err, errno, "inotify");
        free(watch);
        return st;
    }
    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL) {
        gw_status st = gw_error_set_errno(err, errno, "the current directory");
        cs_git_watch_free(watch);
        return st;
    }
    if (asprintf(&watch->path, "%s%s%s", cwd, cwd[0] == '\0' ? "" : "/", path) < 0) {
        watch->path = NULL;
        cs_git_watch_free(watch);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    *ret_watch = watch;
    return GW_OK;
}

void cs_git_watch_free(cs_git_watch *watch)
{
    if (watch != NULL) {
        close(watch->fd);
        free(watch->path);
        free(watch);
    }
}

int cs_git_watch_fd(const cs_git_watch *watch)
{
    return watch->fd;
}

bool cs_git_watch_is_ringing(const cs_git_watch *watch)
{
    struct pollfd ready = {.fd = watch->fd, .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

static bool is_turn(const cs_git_watch *watch, int wd)
{
    for (size_t i = 0; i < watch->n_turns; i++) {
        if (watch->turns[i] == wd) {
            return true;
        }
    }
    return false;
}

/* Read all that happened; true when what is watched may not be what is at the path any more. */
static bool drain(cs_git_watch *watch)
{
    bool is_moved = false;
    union {
        struct inotify_event event; /* for its alignment */
        char bytes[16384];
    } buf;
    ssize_t n;
    while ((n = read(watch->fd, buf.bytes, sizeof(buf.bytes))) > 0) {
        const char *p = buf.bytes;
        while (p < buf.bytes + n) {
            const struct inotify_event *event = (const void *)p;
            is_moved |= (event->mask & (ITSELF | IN_Q_OVERFLOW | IN_UNMOUNT)) != 0;
            is_moved |= (event->mask & CONTENTS) != 0 && is_turn(watch, event->wd);
            p += sizeof(*event) + event->len;
        }
    }
    return is_moved;
}

static gw_status add(cs_git_watch *watch, const char *path, uint32_t mask, gw_error *err)
{
    int wd = inotify_add_watch(watch->fd, path, mask | IN_MASK_ADD);
    if (wd >= 0) {
        watch->last = wd > watch->last ? wd : watch->last;
        return GW_OK;
    }
    if (errno == ENOSPC) {
        return fail_limit(err);
    }
    /* Gone again: the directory above it tells. */
    return errno == ENOENT || errno == ENOTDIR || errno == ENOMEM || errno == EACCES
               ? GW_OK
               : gw_error_set_errno(err, errno, "%s", path);
}

/* As add(), of a directory in which a name says where the repository is. */
static gw_status add_turn(cs_git_watch *watch, const char *path, gw_error *err)
{
    int wd = inotify_add_watch(watch->fd, path, CONTENTS | ITSELF | IN_MASK_ADD);
    if (wd >= 0 && !is_turn(watch, wd) && watch->n_turns < TURNS_MAX) {
        watch->turns[watch->n_turns++] = wd;
    }
    return add(watch, path, CONTENTS | ITSELF, err);
}

static void remove_all(cs_git_watch *watch)
{
    for (int wd = watch->first; wd <= watch->last; wd++) {
        inotify_rm_watch(watch->fd, wd);
    }
    watch->first = watch->last + 1;
    watch->n_turns = 0;
}

/* Each directory on the way: whether it is moved away. Where the next name on the way is not there,
 * or is a link that may be changed, its names as well. */
static gw_status add_way(cs_git_watch *watch, const char *path, gw_error *err)
{
    char way[PATH_MAX];
    struct stat st;
    gw_status result = GW_OK;
    size_t len = 0;
    if (strlen(path) >= sizeof(way)) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%.128s...: a path too long", path);
    }
    while (path[len] != '\0' && result == GW_OK) {
        size_t next = len + strspn(path + len, "/");
        next += strcspn(path + next, "/");
        memcpy(way, path, next);
        way[next] = '\0';
        bool is_there = lstat(way, &st) == 0;
        if (!is_there || S_ISLNK(st.st_mode)) {
            memcpy(way, path, len);
            strcpy(way + len, "/");
            result = add_turn(watch, way, err);
        } else {
            result = add(watch, way, ITSELF, err);
        }
        if (!is_there) {
            break;
        }
        len = next;
    }
    return result;
}

/* The repository of a working tree may be named in a file. */
static gw_status add_tree(cs_git_watch *watch, gw_error *err)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/.git", watch->path);
    bool is_file =
        n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == 0 && !S_ISDIR(st.st_mode);
    return is_file ? add_turn(watch, watch->path, err) : GW_OK;
}

/* It begins to exist when the last of its files does. */
static gw_status add_coming(cs_git_watch *watch, gw_error *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/.git", watch->path);
    gw_status st = add(watch, watch->path, CONTENTS, err);
    return st == GW_OK && n > 0 && (size_t)n < sizeof(path) ? add(watch, path, CONTENTS, err) : st;
}

static gw_status watch_refs(void *ctx, const char *path, const char *name, bool is_dir,
                            gw_error *err)
{
    (void)name;
    return is_dir ? add(ctx, path, CONTENTS, err) : GW_OK;
}

static gw_status add_all(cs_git_watch *watch, const char *common_dir, gw_error *err)
{
    gw_status st = add_way(watch, watch->path, err);
    if (common_dir == NULL) {
        return st == GW_OK ? add_coming(watch, err) : st;
    }
    if (st == GW_OK) {
        st = add_tree(watch, err);
    }
    if (st == GW_OK) {
        st = add_way(watch, common_dir, err);
    }
    if (st == GW_OK) { /* packed-refs */
        st = add(watch, common_dir, CONTENTS | ITSELF, err);
    }
    return st == GW_OK ? cs_git_walk_refs(common_dir, watch_refs, watch, err) : st;
}

gw_status cs_git_watch_prepare(cs_git_watch *watch, const char *common_dir, bool *ret_moved,
                               gw_error *err)
{
    bool is_moved = drain(watch);
    if (is_moved || common_dir == NULL || watch->last < watch->first) {
        remove_all(watch);
        gw_status st = add_all(watch, common_dir, err);
        drain(watch);
        *ret_moved = true;
        if (st != GW_OK) {
            return st;
        }
    } else {
        *ret_moved = false;
    }
    /* What was made while it was not watched yet is found now. */
    return add_all(watch, common_dir, err);
}
