/* SPDX-License-Identifier: MIT */
/* A directory as a repository: read whole into memory whenever something in it changed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/log.h>

#include "repo/backend.h"
#include "repo/directory_files.h"
#include "repo/directory_watch.h"

typedef struct directory {
    cs_backend base;
    char *path;
    char *uri; /* as sources are named */
    cs_directory_watch *watch;
    atomic_bool is_stopping;
    bool was_partial; /* the syncing thread's */
    pthread_mutex_t lock;
    cs_directory_files *files; /* of the last good sync; under the lock */
} directory;

static directory *of(cs_backend *backend)
{
    return (directory *)backend;
}

static void on_dir(void *ctx, int fd)
{
    cs_directory_watch_add(ctx, fd);
}

/* While the path leads nowhere, or through a link, its own directory is where the change shows. */
static void watch_parent(directory *dir)
{
    struct stat st;
    if (lstat(dir->path, &st) != 0 || S_ISLNK(st.st_mode)) {
        cs_directory_watch_add_parent(dir->watch, dir->path);
    }
}

static gw_status read_all(directory *dir, cs_directory_files **ret_files, gw_error *err)
{
    cs_directory_watch_drain(dir->watch);
    watch_parent(dir);
    int root = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return gw_error_set_errno(err, errno, "the directory");
    }
    cs_directory_visitor visitor = {on_dir, dir->watch, &dir->is_stopping};
    gw_status st = cs_directory_files_read(root, &visitor, ret_files, err);
    close(root);
    return st;
}

static void warn_partial(directory *dir, bool is_partial)
{
    if (is_partial && !dir->was_partial) {
        gw_log_warn("repository",
                    "%s: not all directories can be watched, so changes in some are seen late: "
                    "raise fs.inotify.max_user_watches",
                    dir->uri);
    }
    dir->was_partial = is_partial;
}

static gw_status sync_directory(cs_backend *backend, cs_refs **ret_refs, gw_error *err)
{
    directory *dir = of(backend);
    cs_directory_files *files = NULL;
    if (atomic_load(&dir->is_stopping)) {
        return gw_error_set(err, GW_E_CLOSED, 0, "the server stops");
    }
    gw_status st = read_all(dir, &files, err);
    warn_partial(dir, !cs_directory_watch_settle(dir->watch, st == GW_OK));
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "%s", dir->uri);
    }
    cs_ref ref = {.name = "", .kind = CS_REF_ANY};
    cs_directory_files_commit(files, &ref.commit);
    st = cs_refs_new(&ref, 1, ret_refs, err);
    if (st != GW_OK) {
        cs_directory_files_unref(files);
        return st;
    }
    pthread_mutex_lock(&dir->lock);
    cs_directory_files *before = dir->files;
    dir->files = files;
    pthread_mutex_unlock(&dir->lock);
    cs_directory_files_unref(before);
    return GW_OK;
}

static int watch_fd(cs_backend *backend)
{
    return cs_directory_watch_fd(of(backend)->watch);
}

/* There is only one: what was read last. */
static gw_status tree(cs_backend *backend, const cs_commit *commit, const cs_tree *before,
                      cs_tree **ret_tree, gw_error *err)
{
    directory *dir = of(backend);
    (void)commit;
    pthread_mutex_lock(&dir->lock);
    cs_directory_files *files = dir->files == NULL ? NULL : cs_directory_files_ref(dir->files);
    pthread_mutex_unlock(&dir->lock);
    if (files == NULL) {
        return gw_error_set(err, GW_E_IO, 0, "%s: has not been read", dir->uri);
    }
    gw_status st = cs_directory_files_tree(files, dir->uri, before, ret_tree, err);
    cs_directory_files_unref(files);
    return st;
}

static gw_status find_commit(cs_backend *backend, const char *prefix, cs_commit *ret_commit,
                             gw_error *err)
{
    (void)ret_commit;
    return gw_error_set(err, GW_E_NOT_FOUND, 0, "%s: a directory has no commit '%s'",
                        of(backend)->uri, prefix);
}

static void stop(cs_backend *backend)
{
    atomic_store(&of(backend)->is_stopping, true);
}

static void free_directory(cs_backend *backend)
{
    directory *dir = of(backend);
    cs_directory_watch_free(dir->watch);
    cs_directory_files_unref(dir->files);
    pthread_mutex_destroy(&dir->lock);
    free(dir->path);
    free(dir->uri);
    free(dir);
}

/* A path, or a file: URI, whose spelling is kept. */
static gw_status set_location(directory *dir, const char *location, gw_error *err)
{
    const char *path = location;
    if (strncmp(location, "file:", 5) == 0) {
        path += 5;
        path += strncmp(path, "//localhost/", 12) == 0 ? 11 : 0;
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        dir->uri = strdup(location);
    } else {
        char *absolute = realpath(location, NULL);
        if (asprintf(&dir->uri, "file://%s", absolute == NULL ? location : absolute) < 0) {
            dir->uri = NULL;
        }
        free(absolute);
    }
    dir->path = strdup(path);
    if (dir->uri == NULL || dir->path == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    for (size_t n = strlen(dir->uri); n > 1 && dir->uri[n - 1] == '/'; n--) {
        dir->uri[n - 1] = '\0';
    }
    for (size_t n = strlen(dir->path); n > 1 && dir->path[n - 1] == '/'; n--) {
        dir->path[n - 1] = '\0';
    }
    struct stat st;
    if (stat(dir->path, &st) != 0) {
        return gw_error_set_errno(err, errno, "%s", dir->uri);
    }
    return S_ISDIR(st.st_mode)
               ? GW_OK
               : gw_error_set(err, GW_E_INVALID, 0, "%s: not a directory", dir->uri);
}

gw_status cs_directory_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err)
{
    static const cs_backend_class class = {
        .sync = sync_directory,
        .watch_fd = watch_fd,
        .tree = tree,
        .find_commit = find_commit,
        .stop = stop,
        .free = free_directory,
    };
    directory *dir = calloc(1, sizeof(*dir));
    if (dir == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    dir->base.class = &class;
    pthread_mutex_init(&dir->lock, NULL);
    gw_status st = set_location(dir, options->uri, err);
    if (st == GW_OK) {
        st = cs_directory_watch_new(&dir->watch, err);
    }
    if (st != GW_OK) {
        free_directory(&dir->base);
        return st;
    }
    *ret_backend = &dir->base;
    return GW_OK;
}
