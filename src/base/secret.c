/* SPDX-License-Identifier: MIT */
#include <godwit/secret.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

typedef struct secret_file {
    const char *what;
    const char *path;
    int fd;
    gw_error *err;
} secret_file;

static gw_status refuse(const secret_file *file, int errnum, const char *why)
{
    char text[128];
    return gw_error_set(file->err, GW_E_IO, errnum, "%s '%s': %s", file->what, file->path,
                        errnum != 0 ? strerror_r(errnum, text, sizeof(text)) : why);
}

/* Whether the file goes on, beyond the end of a line, where `bytes` ended. */
static bool has_more(const secret_file *file, const char *bytes, size_t len)
{
    char more[2];
    ssize_t n = gw__fd_read(file->fd, more, sizeof(more));
    if (n == 1 && more[0] == '\n') {
        return false;
    }
    bool is_line_end = n == 2 && more[0] == '\r' && more[1] == '\n';
    bool is_half_line_end = n == 1 && len > 0 && bytes[len - 1] == '\r' && more[0] == '\n';
    return n != 0 && !is_line_end && !is_half_line_end;
}

static size_t without_line_end(const char *bytes, size_t len)
{
    len -= len > 0 && bytes[len - 1] == '\n';
    len -= len > 0 && bytes[len - 1] == '\r';
    return len;
}

static gw_status read_file(const secret_file *file, bool is_one_line, char *bytes, size_t size,
                           size_t *ret_len)
{
    struct stat found;
    if (fstat(file->fd, &found) < 0) {
        return refuse(file, errno, NULL);
    }
    if (!S_ISREG(found.st_mode)) {
        return refuse(file, 0, "not a file");
    }
    ssize_t n = gw__fd_read(file->fd, bytes, size - 1);
    if (n < 0) {
        return refuse(file, errno, NULL);
    }
    if ((size_t)n == size - 1 && has_more(file, bytes, (size_t)n)) {
        return refuse(file, 0, "it is too long for a secret");
    }
    size_t len = without_line_end(bytes, (size_t)n);
    if (len == 0) {
        return refuse(file, 0, "it is empty");
    }
    if (memchr(bytes, '\0', len) != NULL) {
        return refuse(file, 0, "a secret is text, without NUL");
    }
    if (is_one_line && memchr(bytes, '\n', len) != NULL) {
        return refuse(file, 0, "it has to be one line");
    }
    *ret_len = len;
    return GW_OK;
}

gw_status gw_secret_read(const char *what, const char *path, bool is_one_line, char *ret_secret,
                         size_t size, gw_error *err)
{
    /* A fifo that nobody writes must not hold up the thread. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    secret_file file = {what, path, fd, err};
    ret_secret[0] = '\0';
    if (fd < 0) {
        return refuse(&file, errno, NULL);
    }
    size_t len = 0;
    gw_status st = read_file(&file, is_one_line, ret_secret, size, &len);
    close(fd);
    if (st == GW_OK) {
        ret_secret[len] = '\0';
    } else {
        explicit_bzero(ret_secret, size);
    }
    return st;
}
