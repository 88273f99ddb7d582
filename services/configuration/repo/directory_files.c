/* SPDX-License-Identifier: MIT */
#include "repo/directory_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/bounds.h"
#include "repo/hash.h"

#define READS_MAX 5 /* of a file that changes while it is read */
#define DATA_LINK "..data"
#define OPEN_DIR  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

typedef struct file {
    cs_tree_entry entry; /* its path is the file's own */
    char *bytes;         /* NULL when it could not be read, or is too large */
    int errnum;          /* why */
} file;

struct cs_directory_files {
    atomic_uint n_refs;
    file *items; /* sorted by path */
    size_t n;
    size_t cap;
    size_t n_bytes;
    int64_t time_s;
};

typedef struct reader {
    cs_directory_files *files;
    const cs_directory_visitor *visitor;
    int data_fd; /* where "..data" leads; -1: there is none */
    char path[CS_PATH_BYTES_MAX + 2];
    size_t path_len;
    gw_error *err;
} reader;

static gw_status read_dir(reader *read, int fd, unsigned depth);

/* ---- what was read ------------------------------------------------------------------------ */

cs_directory_files *cs_directory_files_ref(cs_directory_files *files)
{
    atomic_fetch_add_explicit(&files->n_refs, 1, memory_order_relaxed);
    return files;
}

void cs_directory_files_unref(cs_directory_files *files)
{
    if (files == NULL || atomic_fetch_sub_explicit(&files->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < files->n; i++) {
        free((char *)(uintptr_t)files->items[i].entry.path);
        free(files->items[i].bytes);
    }
    free(files->items);
    free(files);
}

static gw_status fail_nomem(reader *read)
{
    return gw_error_set(read->err, GW_E_NOMEM, 0, "out of memory");
}

/* Take a file's bytes, also on failure. */
static gw_status add_file(reader *read, const file *from)
{
    cs_directory_files *files = read->files;
    char *path = strndup(read->path, read->path_len);
    if (files->n == files->cap) {
        size_t cap = files->cap == 0 ? 32 : files->cap * 2;
        file *items = realloc(files->items, cap * sizeof(*items));
        files->items = items == NULL ? files->items : items;
        files->cap = items == NULL ? files->cap : cap;
    }
    if (path == NULL || files->n == files->cap) {
        free(path);
        free(from->bytes);
        return fail_nomem(read);
    }
    file *item = &files->items[files->n++];
    *item = *from;
    item->entry.path = path;
    const void *content = item->bytes == NULL ? "" : item->bytes;
    size_t len = item->bytes == NULL ? 0 : item->entry.size;
    uint64_t parts[2] = {cs_hash(0x243f6a8885a308d3u + (uint64_t)item->errnum, content, len),
                         cs_hash(0x13198a2e03707344u + (uint64_t)item->entry.kind, content, len)};
    uint32_t size = (uint32_t)item->entry.size;
    memcpy(item->entry.id, parts, sizeof(parts));
    memcpy(item->entry.id + sizeof(parts), &size, sizeof(size));
    files->time_s = item->entry.modified_s > files->time_s ? item->entry.modified_s : files->time_s;
    files->n_bytes += len;
    if (files->n_bytes > CS_DIRECTORY_BYTES_MAX) {
        return gw_error_set(read->err, GW_E_LIMIT, 0, "all files together have more than %zu MiB",
                            CS_DIRECTORY_BYTES_MAX >> 20);
    }
    if (files->n > CS_TREE_ENTRIES_MAX) {
        return gw_error_set(read->err, GW_E_LIMIT, 0, "more than %u files", CS_TREE_ENTRIES_MAX);
    }
    return GW_OK;
}

/* ---- one file ------------------------------------------------------------------------------- */

static bool same_state(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* As many bytes as it is said to have; false with errno, which is 0 when it has become shorter. */
static bool read_bytes(int fd, char *bytes, size_t size)
{
    for (size_t n = 0; n < size;) {
        ssize_t got = pread(fd, bytes + n, size - n, (off_t)n);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        n += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* One try; false to try again. */
static bool try_to_read(int fd, file *item)
{
    struct stat before;
    struct stat after;
    if (fstat(fd, &before) != 0) {
        item->errnum = errno;
        return true;
    }
    item->entry.size = (size_t)before.st_size;
    item->entry.modified_s = before.st_mtim.tv_sec;
    if (item->entry.size > CS_FILE_BYTES_MAX) {
        return true; /* whoever asks for it is told */
    }
    item->bytes = malloc(item->entry.size + 1);
    if (item->bytes == NULL) {
        item->errnum = ENOMEM;
        return true;
    }
    bool is_read = read_bytes(fd, item->bytes, item->entry.size);
    int errnum = is_read ? 0 : errno;
    if (errnum == 0 && is_read && fstat(fd, &after) == 0 && same_state(&before, &after)) {
        return true;
    }
    free(item->bytes);
    item->bytes = NULL;
    item->errnum = errnum;
    return errnum != 0;
}

static gw_status read_file(reader *read, int fd)
{
    file item = {.entry = {.kind = CS_ENTRY_FILE}};
    int n = 0;
    while (!try_to_read(fd, &item)) {
        if (++n == READS_MAX) {
            return gw_error_set(read->err, GW_E_BUSY, 0, "%.*s: changes while it is read",
                                (int)read->path_len, read->path);
        }
    }
    return add_file(read, &item);
}

static gw_status add_unread(reader *read, cs_entry_kind kind, int errnum)
{
    file item = {.entry = {.kind = kind}, .errnum = errnum};
    return add_file(read, &item);
}

/* A file or a directory that was opened, which is closed. Pipes and devices are nothing. */
static gw_status read_opened(reader *read, int fd, unsigned depth)
{
    struct stat st;
    gw_status result = GW_OK;
    if (fstat(fd, &st) != 0) {
        result = gw_error_set_errno(read->err, errno, "%.*s", (int)read->path_len, read->path);
    } else if (S_ISDIR(st.st_mode)) {
        return read_dir(read, fd, depth);
    } else if (S_ISREG(st.st_mode)) {
        result = read_file(read, fd);
    }
    close(fd);
    return result;
}

/* ---- links as Kubernetes makes them
 * --------------------------------------------------------------- */

/* The text of a link, "" when it is none or too long. */
static void read_link(int dir, const char *name, char *ret_text, size_t size)
{
    ssize_t n = readlinkat(dir, name, ret_text, size);
    ret_text[n < 0 || (size_t)n >= size ? 0 : n] = '\0';
}

/* Whether an open failed for a reason that says nothing of the file. */
static bool is_of_the_process(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM;
}

/* "..2026_11_25_20_00_00.123": a directory beside the link, and hidden like it. -1 with errno when
 * there is none. */
static int open_data(int root)
{
    char text[NAME_MAX + 1];
    read_link(root, DATA_LINK, text, sizeof(text));
    bool is_good = strncmp(text, "..", 2) == 0 && text[2] != '\0' && strchr(text, '/') == NULL;
    errno = 0;
    return is_good ? openat(root, text, OPEN_DIR) : -1;
}

/* "..data/a/b": from there on name by name. -1 with errno when it is another, or leads nowhere. */
static int open_link(const reader *read, int dir, const char *name)
{
    char text[CS_PATH_BYTES_MAX + 1];
    read_link(dir, name, text, sizeof(text));
    size_t prefix_len = strlen(DATA_LINK "/");
    errno = 0;
    if (read->data_fd < 0 || strncmp(text, DATA_LINK "/", prefix_len) != 0) {
        return -1;
    }
    int at = read->data_fd;
    char *rest = text + prefix_len;
    while (rest != NULL) {
        char *part = strsep(&rest, "/");
        bool is_name = part[0] != '\0' && strcmp(part, ".") != 0 && strcmp(part, "..") != 0;
        int next = is_name ? openat(at, part, rest == NULL ? OPEN_FILE : OPEN_DIR) : -1;
        if (at != read->data_fd) {
            int errnum = errno;
            close(at);
            errno = errnum;
        }
        if (next < 0) {
            return -1;
        }
        at = next;
    }
    return at;
}

static gw_status read_link_entry(reader *read, int dir, const char *name, unsigned depth)
{
    int fd = depth == 0 ? open_link(read, dir, name) : -1;
    if (depth == 0 && fd < 0 && is_of_the_process(errno)) {
        return gw_error_set_errno(read->err, errno, "%.*s", (int)read->path_len, read->path);
    }
    return fd < 0 ? add_unread(read, CS_ENTRY_LINK, 0) : read_opened(read, fd, depth + 1);
}

/* ---- directories
 * ----------------------------------------------------------------------------------- */

static gw_status read_named(reader *read, int dir, const char *name, unsigned depth)
{
    int fd = openat(dir, name, OPEN_FILE);
    if (fd >= 0) {
        return read_opened(read, fd, depth + 1);
    }
    switch (errno) {
    case ENOENT: /* gone since it was listed */
    case ENXIO:  /* a socket */
    case ENODEV: return GW_OK;
    case ELOOP: return read_link_entry(read, dir, name, depth);
    case EACCES:
    case EPERM: return add_unread(read, CS_ENTRY_FILE, errno);
    default: return gw_error_set_errno(read->err, errno, "%.*s", (int)read->path_len, read->path);
    }
}

/* What Kubernetes hides, and what git keeps beside the files of a working tree. */
static bool is_hidden(const char *name)
{
    return strcmp(name, ".") == 0 || strncmp(name, "..", 2) == 0 || strcmp(name, ".git") == 0;
}

static gw_status read_entry(reader *read, int dir, const char *name, unsigned depth)
{
    size_t before = read->path_len;
    size_t len = strlen(name);
    if (atomic_load(read->visitor->is_stopping)) {
        return gw_error_set(read->err, GW_E_CLOSED, 0, "the server stops");
    }
    if (before + len + 1 > CS_PATH_BYTES_MAX) {
        return gw_error_set(read->err, GW_E_LIMIT, 0, "%.60s...: a path longer than %u bytes",
                            read->path, CS_PATH_BYTES_MAX);
    }
    if (before > 0) {
        read->path[read->path_len++] = '/';
    }
    memcpy(read->path + read->path_len, name, len + 1);
    read->path_len += len;
    gw_status st = read_named(read, dir, name, depth);
    read->path_len = before;
    read->path[before] = '\0';
    return st;
}

/* Closes `fd`. */
static gw_status read_dir(reader *read, int fd, unsigned depth)
{
    if (depth > CS_DIRECTORY_DEPTH_MAX) {
        close(fd);
        return gw_error_set(read->err, GW_E_LIMIT, 0, "%.60s...: more than %d directories deep",
                            read->path, CS_DIRECTORY_DEPTH_MAX);
    }
    read->visitor->on_dir(read->visitor->ctx, fd);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        gw_status st =
            gw_error_set_errno(read->err, errno, "%.*s", (int)read->path_len, read->path);
        close(fd);
        return st;
    }
    gw_status st = GW_OK;
    const struct dirent *entry = NULL;
    while (st == GW_OK && (entry = readdir(dir)) != NULL) {
        if (!is_hidden(entry->d_name)) {
            st = read_entry(read, dirfd(dir), entry->d_name, depth);
        }
    }
    closedir(dir);
    return st;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const file *)a)->entry.path, ((const file *)b)->entry.path);
}

gw_status cs_directory_files_read(int root, const cs_directory_visitor *visitor,
                                  cs_directory_files **ret_files, gw_error *err)
{
    cs_directory_files *files = calloc(1, sizeof(*files));
    int fd = openat(root, ".", OPEN_DIR);
    if (files == NULL || fd < 0) {
        gw_status st = fd < 0 ? gw_error_set_errno(err, errno, "the directory")
                              : gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
        if (fd >= 0) {
            close(fd);
        }
        free(files);
        return st;
    }
    atomic_init(&files->n_refs, 1);
    /* Opened once, so that all files are those of one version. */
    reader read = {.files = files, .visitor = visitor, .data_fd = open_data(root), .err = err};
    if (read.data_fd < 0 && is_of_the_process(errno)) {
        gw_status st = gw_error_set_errno(err, errno, DATA_LINK);
        close(fd);
        free(files);
        return st;
    }
    if (read.data_fd >= 0) {
        visitor->on_dir(visitor->ctx, read.data_fd);
    }
    gw_status st = read_dir(&read, fd, 0);
    if (read.data_fd >= 0) {
        close(read.data_fd);
    }
    if (st != GW_OK) {
        cs_directory_files_unref(files);
        return st;
    }
    if (files->n > 0) {
        qsort(files->items, files->n, sizeof(*files->items), by_path);
    }
    *ret_files = files;
    return GW_OK;
}

/* ---- as a tree
 * ----------------------------------------------------------------------------------------- */

void cs_directory_files_commit(const cs_directory_files *files, cs_commit *ret_commit)
{
    uint64_t parts[2] = {0x452821e638d01377u, 0xbe5466cf34e90c6cu};
    for (size_t i = 0; i < files->n; i++) {
        const cs_tree_entry *entry = &files->items[i].entry;
        for (size_t k = 0; k < 2; k++) {
            parts[k] = cs_hash(parts[k], entry->path, strlen(entry->path) + 1);
            parts[k] = cs_hash(parts[k], entry->id, sizeof(entry->id));
            parts[k] = cs_hash(parts[k], &entry->kind, sizeof(entry->kind));
        }
    }
    snprintf(ret_commit->id, sizeof(ret_commit->id), "%016llx%016llx%08x",
             (unsigned long long)parts[0], (unsigned long long)parts[1], (unsigned)files->n);
}

static gw_status read_blob(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    const cs_directory_files *files = ctx;
    file key = {.entry = {.path = entry->path}};
    const file *found = bsearch(&key, files->items, files->n, sizeof(key), by_path);
    if (found == NULL) {
        return gw_error_set(err, GW_E_INTERNAL, 0, "%s: not in memory", entry->path);
    }
    if (found->bytes == NULL) {
        return gw_error_set_errno(err, found->errnum, "%s", entry->path);
    }
    gw_buf_add(out, found->bytes, found->entry.size);
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "%s: %s", entry->path, gw_status_text(st));
}

static void release(void *ctx)
{
    cs_directory_files_unref(ctx);
}

gw_status cs_directory_files_tree(cs_directory_files *files, const char *uri, const cs_tree *before,
                                  cs_tree **ret_tree, gw_error *err)
{
    cs_tree_builder *builder = cs_tree_builder_new(uri, "", files->time_s);
    if (builder == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; i < files->n; i++) {
        gw_status st = cs_tree_builder_add(builder, &files->items[i].entry, err);
        if (st != GW_OK) {
            cs_tree_builder_free(builder);
            return st;
        }
    }
    cs_blobs blobs = {read_blob, release, cs_directory_files_ref(files)};
    return cs_tree_builder_make(builder, &blobs, before, ret_tree, err);
}
