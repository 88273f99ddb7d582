/* SPDX-License-Identifier: MIT */
#include "amqp/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "amqp/link.h"

#define SIZE (GW__PASSWORD_MAX + 3) /* with the end of its line, and one too many */

static gw_status refuse(gw_error *err, const char *path, int errnum, const char *why)
{
    char reason[128];
    return gw_error_set(err, GW_E_IO, errnum, "password_file '%s': %s", path,
                        errnum != 0 ? gw__link_reason(errnum, reason, sizeof(reason)) : why);
}

/* Fill `bytes` as far as the file goes; -1 with errno. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -1 : (ssize_t)len;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static size_t without_line_end(const char *bytes, size_t len)
{
    len -= len > 0 && bytes[len - 1] == '\n';
    len -= len > 0 && bytes[len - 1] == '\r';
    return len;
}

static gw_status read_file(const char *path, int fd, char bytes[SIZE], size_t *ret_len,
                           gw_error *err)
{
    struct stat found;
    if (fstat(fd, &found) < 0) {
        return refuse(err, path, errno, NULL);
    }
    if (!S_ISREG(found.st_mode)) {
        return refuse(err, path, 0, "not a file");
    }
    ssize_t n = read_all(fd, bytes, SIZE);
    if (n < 0) {
        return refuse(err, path, errno, NULL);
    }
    size_t len = without_line_end(bytes, (size_t)n);
    if (len == 0) {
        return refuse(err, path, 0, "it is empty");
    }
    if (len > GW__PASSWORD_MAX) {
        return refuse(err, path, 0, "it is too long for a password");
    }
    if (memchr(bytes, '\0', len) != NULL || memchr(bytes, '\n', len) != NULL) {
        return refuse(err, path, 0, "a password is one line of text, without NUL");
    }
    *ret_len = len;
    return GW_OK;
}

gw_status gw__password_read(const char *path, char ret_password[GW__PASSWORD_MAX + 1],
                            gw_error *err)
{
    char bytes[SIZE];
    size_t len = 0;
    /* A fifo that nobody writes must not hold up the thread. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return refuse(err, path, errno, NULL);
    }
    gw_status st = read_file(path, fd, bytes, &len, err);
    close(fd);
    memcpy(ret_password, bytes, st == GW_OK ? len : 0);
    ret_password[st == GW_OK ? len : 0] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
    return st;
}
