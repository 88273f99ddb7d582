/* SPDX-License-Identifier: MIT */
#include "repo/git_mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <git2.h>

#define CLUTTER_PACKS 16
#define CLUTTER_LOOSE 12 /* in one of 256 directories: some 3000 objects */
#define OPEN_FILES    16 /* of nftw() */

/* All of git's settings that are the same for each run. The first part is what libgit2 needs. */
static const char CONFIG[] =
    "[core]\n"
    "\trepositoryformatversion = 0\n"
    "\tfilemode = true\n"
    "\tbare = true\n"
    "\tlogAllRefUpdates = false\n"
    "\thooksPath = /dev/null\n"
    "\tfsmonitor = false\n"
    "\tbigFileThreshold = 16m\n"
    "\tdeltaBaseCacheLimit = 32m\n"
    "[protocol]\n\tversion = 2\n"
    "[credential]\n\thelper =\n"
    "[http]\n\tfollowRedirects = false\n"
    "[transfer]\n\tfsckObjects = true\n"
    "[fetch]\n\trecurseSubmodules = false\n\twriteCommitGraph = false\n"
    /* Flaws of old commits that harm nobody, and that no owner can mend. */
    "[fetch \"fsck\"]\n"
    "\tzeroPaddedFilemode = ignore\n"
    "\tbadTimezone = ignore\n"
    "\tmissingSpaceBeforeDate = ignore\n"
    "\tmissingSpaceBeforeEmail = ignore\n"
    "\tmissingNameBeforeEmail = ignore\n"
    "\tmissingEmail = ignore\n"
    "\tbadEmail = ignore\n"
    "\tmissingTaggerEntry = ignore\n"
    "[gc]\n\tauto = 0\n\tautoDetach = false\n"
    "[maintenance]\n\tauto = false\n"
    "[pack]\n\tthreads = 1\n\twindowMemory = 32m\n\tdeltaCacheSize = 16m\n";

struct cs_git_mirror {
    char *uri;
    char *basedir; /* NULL: it is private */
    char *hash;
    char *dir;  /* ours; NULL until a private one is made */
    char *path; /* of the repository in it */
    int dir_fd; /* holds the lock; -1 while there is none */
    bool is_interrupted;
};

/* ---- life ---------------------------------------------------------------------------- */

static gw_status fail_nomem(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

static char *join(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static bool set_dir(cs_git_mirror *mirror, const char *basedir, const char *name)
{
    mirror->dir = join(basedir, name);
    mirror->path = mirror->dir == NULL ? NULL : join(mirror->dir, "repository");
    return mirror->path != NULL;
}

/* Nothing of the URI is in the name: it may be long, or hold anything. */
static char *hash_of(const char *name, const char *uri)
{
    char *both = NULL;
    git_oid id;
    char hex[GIT_OID_HEXSZ + 1];
    int len = asprintf(&both, "%s\n%s", name == NULL ? "" : name, uri);
    if (len < 0) {
        return NULL;
    }
    int code = git_odb_hash(&id, both, (size_t)len, GIT_OBJECT_BLOB);
    free(both);
    if (code != 0) {
        return NULL;
    }
    git_oid_tostr(hex, sizeof(hex), &id);
    return strdup(hex);
}

gw_status cs_git_mirror_new(const char *basedir, const char *name, const char *uri,
                            cs_git_mirror **ret_mirror, gw_error *err)
{
    cs_git_mirror *mirror = calloc(1, sizeof(*mirror));
    if (mirror == NULL) {
        return fail_nomem(err);
    }
    git_libgit2_init();
    mirror->dir_fd = -1;
    mirror->is_interrupted = true; /* who knows */
    mirror->uri = strdup(uri);
    mirror->hash = hash_of(name, uri);
    mirror->basedir = basedir == NULL ? NULL : strdup(basedir);
    if (mirror->uri == NULL || mirror->hash == NULL ||
        (basedir != NULL && (mirror->basedir == NULL || !set_dir(mirror, basedir, mirror->hash)))) {
        cs_git_mirror_free(mirror);
        return fail_nomem(err);
    }
    *ret_mirror = mirror;
    return GW_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

/* Links are removed and not followed. */
static void remove_all(const char *path)
{
    nftw(path, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
}

/* Whether something was ever fetched. */
static bool is_filled(const cs_git_mirror *mirror)
{
    char *filled = join(mirror->path, "filled");
    bool is_there = filled != NULL && access(filled, F_OK) == 0;
    free(filled);
    return is_there;
}

/* An empty one goes as well: clients can ask for any number of repositories that do not exist,
 * where the URI holds {application}. */
void cs_git_mirror_free(cs_git_mirror *mirror)
{
    if (mirror == NULL) {
        return;
    }
    bool is_private = mirror->basedir == NULL && mirror->dir != NULL;
    if (is_private || (mirror->dir_fd >= 0 && !is_filled(mirror))) {
        remove_all(mirror->dir);
    }
    if (mirror->dir_fd >= 0) {
        close(mirror->dir_fd);
    }
    free(mirror->uri);
    free(mirror->basedir);
    free(mirror->hash);
    free(mirror->dir);
    free(mirror->path);
    free(mirror);
    git_libgit2_shutdown();
}

const char *cs_git_mirror_path(const cs_git_mirror *mirror)
{
    return mirror->path;
}

void cs_git_mirror_was_interrupted(cs_git_mirror *mirror)
{
    mirror->is_interrupted = true;
}

/* ---- the directory -------------------------------------------------------------------- */

static gw_status fail_errno(const cs_git_mirror *mirror, const char *path, gw_error *err)
{
    return gw_error_set_errno(err, errno, "%s: the mirror's %s", mirror->uri, path);
}

static gw_status make_private(cs_git_mirror *mirror, gw_error *err)
{
    const char *base = getenv("TMPDIR");
    char *dir = join(base == NULL || base[0] == '\0' ? "/tmp" : base, "godwit-git-XXXXXX");
    if (dir == NULL) {
        return fail_nomem(err);
    }
    if (mkdtemp(dir) == NULL) {
        gw_status st = fail_errno(mirror, dir, err);
        free(dir);
        return st;
    }
    mirror->dir = dir;
    mirror->path = join(dir, "repository");
    return mirror->path == NULL ? fail_nomem(err) : GW_OK;
}

/* Whoever else may write into a directory could put another in the place of ours, except where the
 * sticky bit forbids it. */
static gw_status check_basedir(const cs_git_mirror *mirror, gw_error *err)
{
    struct stat st;
    if (mkdir(mirror->basedir, 0700) != 0 && errno != EEXIST) {
        return fail_errno(mirror, mirror->basedir, err);
    }
    if (stat(mirror->basedir, &st) != 0) {
        return fail_errno(mirror, mirror->basedir, err);
    }
    if (!S_ISDIR(st.st_mode)) {
        return gw_error_set(err, GW_E_DENIED, ENOTDIR, "%s: basedir %s is no directory",
                            mirror->uri, mirror->basedir);
    }
    if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "%s: everybody may write into basedir %s: use another, or chmod o-w",
                            mirror->uri, mirror->basedir);
    }
    return GW_OK;
}

/* Opened without following a link, and asked through the descriptor: it cannot be exchanged between
 * the question and the use. */
static gw_status open_dir(cs_git_mirror *mirror, int *ret_fd, gw_error *err)
{
    struct stat st;
    if (mkdir(mirror->dir, 0700) != 0 && errno != EEXIST) {
        return fail_errno(mirror, mirror->dir, err);
    }
    int fd = open(mirror->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(mirror, mirror->dir, err);
    }
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        close(fd);
        return gw_error_set(err, GW_E_DENIED, 0,
                            "%s: the mirror's %s is not this user's alone: remove it, or give it "
                            "the mode 0700",
                            mirror->uri, mirror->dir);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        gw_status failed =
            errno != EWOULDBLOCK
                ? fail_errno(mirror, mirror->dir, err)
                : gw_error_set(err, GW_E_UNAVAILABLE, EWOULDBLOCK,
                               "%s: another process uses the mirror in %s: each server needs a "
                               "basedir of its own",
                               mirror->uri, mirror->dir);
        close(fd);
        return failed;
    }
    *ret_fd = fd;
    return GW_OK;
}

/* Whether the directory that is locked is still the one at the path. */
static bool is_in_place(const cs_git_mirror *mirror)
{
    struct stat ours, there;
    return mirror->dir_fd >= 0 && fstat(mirror->dir_fd, &ours) == 0 &&
           lstat(mirror->dir, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static gw_status lock_dir(cs_git_mirror *mirror, gw_error *err)
{
    gw_status st = GW_OK;
    if (is_in_place(mirror)) {
        return GW_OK;
    }
    if (mirror->dir_fd >= 0) {
        close(mirror->dir_fd);
        mirror->dir_fd = -1;
    }
    if (mirror->basedir != NULL) {
        st = check_basedir(mirror, err);
    } else if (mirror->dir == NULL) {
        st = make_private(mirror, err);
    }
    return st == GW_OK ? open_dir(mirror, &mirror->dir_fd, err) : st;
}

/* ---- the repository in it --------------------------------------------------------------- */

static gw_status write_file(const cs_git_mirror *mirror, const char *name, const char *text,
                            gw_error *err)
{
    char *path = join(mirror->path, name);
    char *next = path == NULL ? NULL : join(mirror->path, "next");
    gw_status st = GW_OK;
    if (next == NULL) {
        free(path);
        return fail_nomem(err);
    }
    unlink(next);
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ssize_t len = (ssize_t)strlen(text);
    if (fd < 0 || write(fd, text, (size_t)len) != len || rename(next, path) != 0) {
        st = fail_errno(mirror, path, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(next);
    free(path);
    return st;
}

/* Again each time it is opened: what is there already is as it is to be. */
static gw_status make_repository(const cs_git_mirror *mirror, gw_error *err)
{
    static const char *const dirs[] = {"",     "objects",    "objects/info", "objects/pack",
                                       "refs", "refs/heads", "refs/tags"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        char *path = join(mirror->path, dirs[i]);
        if (path == NULL) {
            return fail_nomem(err);
        }
        bool failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        gw_status st = failed ? fail_errno(mirror, path, err) : GW_OK;
        free(path);
        if (st != GW_OK) {
            return st;
        }
    }
    gw_status st = write_file(mirror, "config", CONFIG, err);
    return st == GW_OK ? write_file(mirror, "HEAD", "ref: refs/heads/main\n", err) : st;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static int remove_leftover(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    const char *name = path + where->base;
    (void)st;
    if (kind != FTW_D && kind != FTW_DP &&
        (ends_in(name, ".lock") || strncmp(name, "tmp_", 4) == 0 || strcmp(name, "gc.pid") == 0)) {
        unlink(path);
    }
    return 0;
}

gw_status cs_git_mirror_prepare(cs_git_mirror *mirror, bool *ret_is_new, gw_error *err)
{
    bool was_locked = mirror->dir_fd >= 0;
    gw_status st = lock_dir(mirror, err);
    if (st != GW_OK) {
        return st;
    }
    char *config = join(mirror->path, "config");
    bool is_there = config != NULL && access(config, F_OK) == 0;
    free(config);
    if (!was_locked || !is_there) {
        st = make_repository(mirror, err);
    }
    if (st == GW_OK && mirror->is_interrupted) {
        nftw(mirror->path, remove_leftover, OPEN_FILES, FTW_PHYS);
        mirror->is_interrupted = false;
    }
    if (st == GW_OK) {
        *ret_is_new = !is_filled(mirror);
    }
    return st;
}

void cs_git_mirror_was_filled(cs_git_mirror *mirror)
{
    gw_error ignored;
    gw_status st = write_file(mirror, "filled", "", &ignored);
    (void)st; /* then it is new once more */
}

gw_status cs_git_mirror_set_aside(cs_git_mirror *mirror, gw_error *err)
{
    char *aside = join(mirror->dir, "damaged");
    if (aside == NULL) {
        return fail_nomem(err);
    }
    remove_all(aside);
    gw_status st = rename(mirror->path, aside) == 0 || errno == ENOENT
                       ? GW_OK
                       : fail_errno(mirror, mirror->path, err);
    free(aside);
    return st;
}

/* ---- clutter ------------------------------------------------------------------------------ */

static unsigned count(const cs_git_mirror *mirror, const char *name, const char *end)
{
    char *path = join(mirror->path, name);
    DIR *dir = path == NULL ? NULL : opendir(path);
    unsigned n = 0;
    free(path);
    if (dir == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        n += entry->d_name[0] != '.' && ends_in(entry->d_name, end);
    }
    closedir(dir);
    return n;
}

unsigned cs_git_mirror_clutter(const cs_git_mirror *mirror)
{
    unsigned packs = count(mirror, "objects/pack", ".pack") / CLUTTER_PACKS;
    unsigned loose = count(mirror, "objects/17", "") / CLUTTER_LOOSE; /* as git gc --auto does */
    return packs > loose ? packs : loose;
}
