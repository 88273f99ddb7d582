/* SPDX-License-Identifier: MIT */
#include "repo/git_pool.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files/bounds.h"

/* Trees and commits that are kept parsed, of all repositories; and how much of their packs is
 * mapped at a time. */
#define OBJECT_CACHE_BYTES ((ssize_t)2 << 20)
#define PACK_WINDOW_BYTES  ((size_t)1 << 20)
#define PACK_MAPPED_BYTES  ((size_t)8 << 20)

struct cs_git_handle {
    git_repository *git;
    unsigned generation;
    cs_git_handle *next;
};

struct cs_git_pool {
    atomic_uint n_users;
    char *path;
    char *uri;
    struct stat packs;    /* of their directory, when it was last looked at */
    pthread_mutex_t lock; /* of the rest */
    cs_git_handle *idle;
    unsigned n_idle;
    unsigned generation; /* older handles are not used again */
};

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
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, PACK_WINDOW_BYTES);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, PACK_MAPPED_BYTES);
}

cs_git_pool *cs_git_pool_new(const char *path, const char *uri)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    cs_git_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    pool->n_users = 1;
    pool->path = strdup(path);
    pool->uri = strdup(uri);
    pthread_mutex_init(&pool->lock, NULL);
    git_libgit2_init();
    pthread_once(&once, set_up_libgit2);
    if (pool->path == NULL || pool->uri == NULL) {
        cs_git_pool_unref(pool);
        return NULL;
    }
    return pool;
}

cs_git_pool *cs_git_pool_ref(cs_git_pool *pool)
{
    atomic_fetch_add_explicit(&pool->n_users, 1, memory_order_relaxed);
    return pool;
}

static void free_handles(cs_git_handle *handle)
{
    while (handle != NULL) {
        cs_git_handle *next = handle->next;
        git_repository_free(handle->git);
        free(handle);
        handle = next;
    }
}

void cs_git_pool_unref(cs_git_pool *pool)
{
    if (pool == NULL || atomic_fetch_sub_explicit(&pool->n_users, 1, memory_order_acq_rel) != 1) {
        return;
    }
    free_handles(pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool->path);
    free(pool->uri);
    free(pool);
    git_libgit2_shutdown();
}

const char *cs_git_pool_uri(const cs_git_pool *pool)
{
    return pool->uri;
}

/* An idle handle, or NULL and the generation that a new one belongs to. */
static cs_git_handle *pop_idle(cs_git_pool *pool, unsigned *ret_generation)
{
    pthread_mutex_lock(&pool->lock);
    cs_git_handle *handle = pool->idle;
    if (handle != NULL) {
        pool->idle = handle->next;
        pool->n_idle--;
        handle->next = NULL;
    }
    *ret_generation = pool->generation;
    pthread_mutex_unlock(&pool->lock);
    return handle;
}

gw_status cs_git_pool_take(cs_git_pool *pool, cs_git_handle **ret_handle, gw_error *err)
{
    unsigned generation = 0;
    cs_git_handle *handle = pop_idle(pool, &generation);
    if (handle == NULL) {
        handle = calloc(1, sizeof(*handle));
        if (handle == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
        }
        handle->generation = generation;
        int code =
            git_repository_open_ext(&handle->git, pool->path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
        if (code != 0) {
            free(handle);
            gw_status st = code == GIT_ENOTFOUND ? GW_E_NOT_FOUND : GW_E_IO;
            return cs_git_fail(pool, st, code, "not a readable git repository", err);
        }
    }
    *ret_handle = handle;
    return GW_OK;
}

gw_status cs_git_pool_retake(cs_git_pool *pool, cs_git_handle **ret_handle, gw_error *err)
{
    gw_status st = cs_git_pool_take(pool, ret_handle, err);
    if (st == GW_E_NOT_FOUND) {
        st = GW_E_IO;
        if (err != NULL) {
            err->status = st;
        }
    }
    return st;
}

void cs_git_pool_give_back(cs_git_pool *pool, cs_git_handle *handle)
{
    if (handle == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    bool keep = handle->generation == pool->generation && pool->n_idle < CS_REPOSITORY_HANDLES;
    if (keep) {
        handle->next = pool->idle;
        pool->idle = handle;
        pool->n_idle++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!keep) {
        free_handles(handle);
    }
}

git_repository *cs_git_handle_git(cs_git_handle *handle)
{
    return handle->git;
}

void cs_git_pool_renew(cs_git_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    cs_git_handle *idle = pool->idle;
    pool->idle = NULL;
    pool->n_idle = 0;
    pool->generation++;
    pthread_mutex_unlock(&pool->lock);
    free_handles(idle);
}

/* Or the files of packs that were put together would stay open for ever. */
void cs_git_pool_renew_if_packed(cs_git_pool *pool, const char *common_dir)
{
    char path[PATH_MAX];
    struct stat now;
    int n = snprintf(path, sizeof(path), "%sobjects/pack", common_dir);
    if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &now) != 0) {
        return;
    }
    const struct stat *before = &pool->packs;
    if (now.st_ino != before->st_ino || now.st_dev != before->st_dev ||
        now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != before->st_mtim.tv_nsec) {
        pool->packs = now;
        cs_git_pool_renew(pool);
    }
}

int cs_git_header(git_repository *git, const git_oid *id, git_object_t *ret_type)
{
    git_odb *odb = NULL;
    size_t size = 0;
    int code = git_repository_odb(&odb, git);
    if (code == 0) {
        code = git_odb_read_header(&size, ret_type, odb, id);
    }
    git_odb_free(odb);
    if (code == 0 && *ret_type != GIT_OBJECT_BLOB && size > CS_GIT_OBJECT_BYTES_MAX) {
        git_error_set_str(GIT_ERROR_ODB, "a commit, a tag or a directory of more than 32 MiB");
        code = CS_GIT_TOO_LARGE;
    }
    return code;
}

gw_status cs_git_fail(const cs_git_pool *pool, gw_status st, int code, const char *what,
                      gw_error *err)
{
    const git_error *last = git_error_last();
    st = code == CS_GIT_TOO_LARGE ? GW_E_LIMIT : st;
    const char *reason = last == NULL || last->message == NULL ? "unknown reason" : last->message;
    return gw_error_set(err, st, code, "%s: %s: %s", pool->uri, what, reason);
}
