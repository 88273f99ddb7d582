/* SPDX-License-Identifier: MIT */
#include "support/log_capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int saved = -1;
static int captured = -1;

void log_capture_start(void)
{
    fflush(stderr);
    captured = memfd_create("log", MFD_CLOEXEC);
    saved = dup(STDERR_FILENO);
    if (captured < 0 || saved < 0 || dup2(captured, STDERR_FILENO) < 0) {
        abort();
    }
}

char *log_capture_stop(void)
{
    fflush(stderr);
    off_t len = lseek(captured, 0, SEEK_END);
    char *text = calloc(1, (size_t)len + 1);
    if (text == NULL || pread(captured, text, (size_t)len, 0) != len ||
        dup2(saved, STDERR_FILENO) < 0) {
        abort();
    }
    close(saved);
    close(captured);
    return text;
}
