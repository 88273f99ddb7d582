/* SPDX-License-Identifier: MIT */
/* Reading and writing files as wholes, whatever interrupts it. */
#ifndef GW_BASE_FD_H
#define GW_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Fill `bytes` as far as the file goes. The number of bytes; -1 with errno. */
ssize_t gw__fd_read(int fd, char *bytes, size_t size);

/* 0 or an errno value. */
int gw__fd_write(int fd, const void *bytes, size_t len);

#endif
