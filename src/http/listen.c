/* SPDX-License-Identifier: MIT */
#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */

typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_address;

static socklen_t address_len(const any_address *addr)
{
    return addr->any.sa_family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
}

static bool parse_address(const char *text, uint16_t port, any_address *ret_addr)
{
    any_address addr;
    memset(&addr, 0, sizeof(addr));
    if (strcmp(text, "localhost") == 0) {
        text = "127.0.0.1";
    }
    if (inet_pton(AF_INET, text, &addr.v4.sin_addr) == 1) {
        addr.v4.sin_family = AF_INET;
        addr.v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &addr.v6.sin6_addr) == 1) {
        addr.v6.sin6_family = AF_INET6;
        addr.v6.sin6_port = htons(port);
    } else {
        return false;
    }
    *ret_addr = addr;
    return true;
}

static int try_listen(const any_address *addr)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    int off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->any.sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, &addr->any, address_len(addr)) != 0 || listen(fd, BACKLOG) != 0) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

static bool has_no_ipv6(int errnum)
{
    return errnum == EAFNOSUPPORT || errnum == EADDRNOTAVAIL;
}

gw_status gw__http_listen(const char *address, uint16_t port, int *ret_fd, bool *ret_ipv6,
                          uint16_t *ret_port, gw_error *err)
{
    any_address addr;
    if (!parse_address(address != NULL ? address : "::", port, &addr)) {
        return gw_error_set(err, GW_E_INVALID, 0, "cannot listen on '%s': not an IP address",
                            address);
    }
    int fd = try_listen(&addr);
    if (fd < 0 && address == NULL && has_no_ipv6(errno) && parse_address("0.0.0.0", port, &addr)) {
        fd = try_listen(&addr);
    }
    if (fd < 0 && errno == EADDRINUSE) {
        return gw_error_set(err, GW_E_BUSY, EADDRINUSE,
                            "cannot listen on port %u: another process has it", port);
    }
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot listen on %s port %u",
                                  address != NULL ? address : "any address,", port);
    }
    socklen_t len = sizeof(addr);
    if (getsockname(fd, &addr.any, &len) != 0) {
        int errnum = errno;
        close(fd);
        return gw_error_set_errno(err, errnum, "cannot ask for the port listened on");
    }
    *ret_fd = fd;
    *ret_ipv6 = addr.any.sa_family == AF_INET6;
    *ret_port = ntohs(*ret_ipv6 ? addr.v6.sin6_port : addr.v4.sin_port);
    return GW_OK;
}
