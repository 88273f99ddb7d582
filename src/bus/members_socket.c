/* SPDX-License-Identifier: MIT */
#include "bus/members_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/forked.h"

/* Connections that a member has not got around to accept: it may be stopped for a while. */
#define BACKLOG 1024

static void name_of(uint32_t slot, char ret_name[16])
{
    snprintf(ret_name, 16, "%" PRIu32, slot);
}

/* A socket's address has room for 107 bytes, a directory's path may be longer. */
static struct sockaddr_un address_of(int folder_fd, uint32_t slot)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%" PRIu32, folder_fd,
             slot);
    return address;
}

/* Returns 0 or an errno value. */
static int new_socket(int *ret_fd)
{
    gw__forked_begin();
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int problem = fd < 0 ? errno : 0;
    if (!gw__forked_end(fd)) {
        close(fd);
        problem = ENOMEM;
    }
    *ret_fd = fd;
    return problem;
}

gw_status gw__member_open_folder(const gw__control_file *file, int *ret_folder_fd, gw_error *err)
{
    int fd = openat(file->dir_fd, "members", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int problem = errno;
        char dir[256];
        gw__member_dir_name(file, dir, sizeof(dir));
        return gw_error_set_errno(err, problem, "cannot open the folder %s/members", dir);
    }
    *ret_folder_fd = fd;
    return GW_OK;
}

gw_status gw__member_listen(const gw__control_file *file, int folder_fd, uint32_t slot, int *ret_fd,
                            gw_error *err)
{
    char name[16];
    name_of(slot, name);
    struct sockaddr_un address = address_of(folder_fd, slot);
    int fd = -1;
    int problem = new_socket(&fd);
    if (problem == 0) {
        gw__member_unlink(folder_fd, slot);
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
            fchmodat(folder_fd, name, file->file_mode, 0) != 0 || listen(fd, BACKLOG) != 0) {
            problem = errno;
            gw__forked_close(fd);
        }
    }
    if (problem != 0) {
        char dir[256];
        gw__member_dir_name(file, dir, sizeof(dir));
        return gw_error_set_errno(
            err, problem, "cannot make the socket %s/members/%s (for which /proc is needed)", dir,
            name);
    }
    *ret_fd = fd;
    return GW_OK;
}

int gw__member_connect(int folder_fd, uint32_t slot, int *ret_fd)
{
    struct sockaddr_un address = address_of(folder_fd, slot);
    int fd = -1;
    int problem = new_socket(&fd);
    if (problem != 0) {
        return problem;
    }
    int rc;
    do { /* done at once, or refused at once */
        rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        problem = errno;
        gw__forked_close(fd);
        return problem;
    }
    *ret_fd = fd;
    return 0;
}

int gw__member_accept(int listen_fd, int *ret_fd)
{
    gw__forked_begin();
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int problem = fd < 0 ? errno : 0;
    if (!gw__forked_end(fd)) {
        close(fd);
        problem = ENOMEM;
    }
    *ret_fd = fd;
    return problem;
}

void gw__member_unlink(int folder_fd, uint32_t slot)
{
    char name[16];
    name_of(slot, name);
    unlinkat(folder_fd, name, 0); /* what cannot be removed is noticed when the slot is used */
}

void gw__member_dir_name(const gw__control_file *file, char *ret_text, size_t size)
{
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file->dir_fd);
    ssize_t n = readlink(link, ret_text, size - 1);
    if (n < 0) {
        snprintf(ret_text, size, "the bus's directory");
    } else {
        ret_text[n] = '\0';
    }
}
