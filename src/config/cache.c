/* SPDX-License-Identifier: MIT */
#include "config/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/url.h>

#include "base/fd.h"

#define MAGIC     "godwit-config-cache 1 "
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define HEAD_LEN  (MAGIC_LEN + 16 + 1) /* the first line */
#define SAVED     "saved: "

/* FNV-1a: against accidents, not against people, from whom the file's mode protects. */
static uint64_t checksum(const char *bytes, size_t len, uint64_t sum)
{
    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

#define CHECKSUM_EMPTY UINT64_C(0xcbf29ce484222325)

static void add_line(gw_buf *out, const char *name, const char *value)
{
    gw_buf_addf(out, "%s: ", name);
    gw_url_encode(out, value != NULL ? value : "", value != NULL ? strlen(value) : 0);
    gw_buf_add_char(out, '\n');
}

gw_status gw__cache_init(gw__cache *cache, const gw_config_options *options, gw_error *err)
{
    *cache = (gw__cache){.path = NULL};
    if (options->cache_file == NULL || options->cache_file[0] == '\0') {
        return GW_OK;
    }
    gw_buf owner;
    gw_buf_init(&owner, 0);
    add_line(&owner, "app", options->app);
    add_line(&owner, "profile", options->profile);
    add_line(&owner, "label", options->label);
    cache->path = strdup(options->cache_file);
    cache->owner = gw_buf_detach(&owner, NULL);
    gw_buf_dispose(&owner);
    return cache->path != NULL && cache->owner != NULL
               ? GW_OK
               : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

void gw__cache_dispose(gw__cache *cache)
{
    free(cache->path);
    free(cache->owner);
    *cache = (gw__cache){.path = NULL};
}

/* ---- writing ------------------------------------------------------------------ */

/* So that the new name is on the disk too. Some file systems cannot do that for a directory. */
static void sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

/* Write `head` and `body` to a new file beside `path`, and rename it. */
static gw_status replace_file(const char *path, const gw_buf *head, const char *body, size_t len,
                              gw_error *err)
{
    gw_buf temporary;
    gw_buf_init(&temporary, 0);
    gw_buf_addf(&temporary, "%s.XXXXXX", path);
    if (gw_buf_status(&temporary) != GW_OK) {
        gw_buf_dispose(&temporary);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the cache file");
    }
    gw_status st = GW_OK;
    int fd = mkostemp(temporary.data, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        st = gw_error_set_errno(err, errno, "cache file %.200s: cannot make %.200s", path,
                                temporary.data);
        gw_buf_dispose(&temporary);
        return st;
    }
    bool written = gw__fd_write(fd, head->data, head->len) == 0 &&
                   gw__fd_write(fd, body, len) == 0 && fsync(fd) == 0;
    int failure = written ? 0 : errno;
    if (close(fd) != 0 && failure == 0) {
        failure = errno;
    }
    if (failure == 0 && rename(temporary.data, path) != 0) {
        failure = errno;
    }
    if (failure != 0) {
        (void)unlink(temporary.data);
        st = gw_error_set_errno(err, failure, "cannot write the cache file %.200s", path);
    } else {
        sync_directory(path);
    }
    gw_buf_dispose(&temporary);
    return st;
}

gw_status gw__cache_write(gw__cache *cache, const char *body, size_t len, gw_error *err)
{
    uint64_t of_body = checksum(body, len, CHECKSUM_EMPTY);
    if (cache->path == NULL || of_body == cache->known) {
        return GW_OK;
    }
    char saved[GW_TIME_MS_LEN + 1];
    gw_time_format_ms(gw_clock_unix_ns(), saved);
    gw_buf rest;
    gw_buf head;
    gw_buf_init(&rest, 0);
    gw_buf_init(&head, 0);
    gw_buf_addf(&rest, "%s" SAVED "%s\n\n", cache->owner, saved);
    gw_status st = gw_buf_status(&rest);
    if (st == GW_OK) {
        uint64_t sum = checksum(body, len, checksum(rest.data, rest.len, CHECKSUM_EMPTY));
        gw_buf_addf(&head, MAGIC "%016llx\n", (unsigned long long)sum);
        gw_buf_add(&head, rest.data, rest.len);
        st = gw_buf_status(&head);
    }
    st = st == GW_OK ? replace_file(cache->path, &head, body, len, err)
                     : gw_error_set(err, st, 0, "no memory for the cache file");
    gw_buf_dispose(&rest);
    gw_buf_dispose(&head);
    if (st == GW_OK) {
        cache->known = of_body;
    }
    return st;
}

/* ---- reading ------------------------------------------------------------------- */

static gw_status check_file(const char *path, int fd, gw_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cache file %.200s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return gw_error_set(err, GW_E_INVALID, 0, "cache file %.200s is no ordinary file", path);
    }
    if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "cache file %.200s is another user's, or others can write it", path);
    }
    if (info.st_size < 0 || (size_t)info.st_size > GW__CACHE_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "cache file %.200s has more than %zu bytes", path,
                            GW__CACHE_MAX);
    }
    return GW_OK;
}

static gw_status read_all(const char *path, int fd, gw_buf *out, gw_error *err)
{
    char piece[16384];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) != 0) {
        if (n < 0 && errno != EINTR) {
            return gw_error_set_errno(err, errno, "cache file %.200s", path);
        }
        gw_buf_add(out, piece, n > 0 ? (size_t)n : 0);
    }
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? st : gw_error_set(err, st, 0, "cache file %.200s: no room for it", path);
}

static gw_status read_file(const char *path, gw_buf *out, gw_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "cache file %.200s: there is none yet", path);
    }
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cache file %.200s", path);
    }
    gw_status st = check_file(path, fd, err);
    st = st == GW_OK ? read_all(path, fd, out, err) : st;
    close(fd);
    return st;
}

static gw_status refuse(const gw__cache *cache, const char *why, gw_error *err)
{
    return gw_error_set(err, GW_E_INVALID, 0, "cache file %.200s %s", cache->path, why);
}

/* Check what stands before the body; the place of the body. */
static gw_status check_text(const gw__cache *cache, const gw_buf *text, size_t *ret_body,
                            char ret_saved[GW_TIME_MS_LEN + 1], gw_error *err)
{
    if (text->len < HEAD_LEN || memcmp(text->data, MAGIC, MAGIC_LEN) != 0) {
        return refuse(cache, "is none of a configuration, or of another version", err);
    }
    char sum[17 + 1];
    uint64_t found = checksum(text->data + HEAD_LEN, text->len - HEAD_LEN, CHECKSUM_EMPTY);
    snprintf(sum, sizeof(sum), "%016llx\n", (unsigned long long)found);
    if (memcmp(text->data + MAGIC_LEN, sum, 17) != 0) {
        return refuse(cache, "is damaged: its checksum is wrong", err);
    }
    const char *at = text->data + HEAD_LEN;
    size_t left = text->len - HEAD_LEN;
    size_t owner_len = strlen(cache->owner);
    if (left < owner_len || memcmp(at, cache->owner, owner_len) != 0) {
        return refuse(cache, "is of another program, profile or label", err);
    }
    at += owner_len;
    left -= owner_len;
    size_t saved_len = strlen(SAVED) + GW_TIME_MS_LEN + 2;
    if (left < saved_len || memcmp(at, SAVED, strlen(SAVED)) != 0 ||
        memcmp(at + saved_len - 2, "\n\n", 2) != 0) {
        return refuse(cache, "does not say when it was saved", err);
    }
    memcpy(ret_saved, at + strlen(SAVED), GW_TIME_MS_LEN);
    ret_saved[GW_TIME_MS_LEN] = '\0';
    *ret_body = (size_t)(at - text->data) + saved_len;
    return GW_OK;
}

gw_status gw__cache_read(gw__cache *cache, gw_buf *ret_body, char ret_saved[GW_TIME_MS_LEN + 1],
                         gw_error *err)
{
    gw_buf text;
    gw_buf_init(&text, GW__CACHE_MAX);
    size_t body = 0;
    gw_status st = read_file(cache->path, &text, err);
    st = st == GW_OK ? check_text(cache, &text, &body, ret_saved, err) : st;
    if (st == GW_OK) {
        gw_buf_add(ret_body, text.data + body, text.len - body);
        st = gw_buf_status(ret_body);
        cache->known = checksum(text.data + body, text.len - body, CHECKSUM_EMPTY);
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    gw_buf_dispose(&text);
    return st;
}
