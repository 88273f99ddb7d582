/* SPDX-License-Identifier: MIT */
#include "bus/spare.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/owner.h"

static void make_path(char *ret_path, size_t size, const char *dir)
{
    snprintf(ret_path, size, "%s/spare", dir);
}

bool gw__spare_take(const char *dir)
{
    char path[GW__DIR_MAX + 8];
    make_path(path, sizeof(path), dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    struct stat info;
    bool there = fstat(fd, &info) == 0 && (size_t)info.st_size == GW__SPARE_SIZE &&
                 (size_t)info.st_blocks * 512 >= GW__SPARE_SIZE;
    there = there || posix_fallocate(fd, 0, (off_t)GW__SPARE_SIZE) == 0;
    close(fd);
    if (!there) {
        unlink(path); /* a part of it is of more use to others */
    }
    return there;
}

bool gw__spare_give(const char *dir)
{
    char path[GW__DIR_MAX + 8];
    make_path(path, sizeof(path), dir);
    return unlink(path) == 0;
}
