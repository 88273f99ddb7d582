/* SPDX-License-Identifier: MIT */
/**
 * @file listen.h
 * The socket a server listens on. Ours rather than MHD's, for its errors name the address.
 */
#ifndef GW_HTTP_LISTEN_H
#define GW_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/error.h>

/**
 * @param address numeric IPv4 or IPv6 address, "localhost", or NULL for all of both families.
 * @param ret_fd  non-blocking, close-on-exec; the caller closes it.
 * @param ret_ipv6 whether it is an IPv6 socket.
 * @return GW_OK; GW_E_INVALID for an address that is none; GW_E_BUSY when the port is taken;
 * GW_E_DENIED; GW_E_IO.
 */
gw_status gw__http_listen(const char *address, uint16_t port, int *ret_fd, bool *ret_ipv6,
                          uint16_t *ret_port, gw_error *err);

#endif
