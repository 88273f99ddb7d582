/* SPDX-License-Identifier: MIT */
#include "load_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024

/* A write can end with the process in the middle of a line. */
static bool end_torn_line(int fd)
{
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0 || (size > 0 && pread(fd, &last, 1, size - 1) != 1)) {
        return false;
    }
    return last == '\n' || write(fd, JOURNAL_TORN, strlen(JOURNAL_TORN)) > 0;
}

int journal_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && !end_torn_line(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

void journal_write(int fd, const char *format, ...)
{
    char line[LINE_MAX_LEN];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    size_t n = (size_t)len < sizeof(line) - 1 ? (size_t)len : sizeof(line) - 2;
    line[n++] = '\n';
    if (write(fd, line, n) != (ssize_t)n) {
        fprintf(stderr, "fault_load: the journal cannot be written: %s\n", strerror(errno));
        _exit(EXIT_FAILURE);
    }
}

void journal_key(const void *body, size_t len, char *ret_key, size_t size)
{
    const char *end = len > 0 ? memchr(body, ' ', len) : NULL;
    size_t n = end != NULL ? (size_t)(end - (const char *)body) : len;
    n = n < size - 1 ? n : size - 1;
    memcpy(ret_key, body, n);
    ret_key[n] = '\0';
}
