/* SPDX-License-Identifier: MIT */
/*
 * Host names into addresses without waiting: getaddrinfo() has no time limit, so it runs on a
 * thread of its own, which is left behind when it hangs and cleans up after itself.
 */
#ifndef GW_AMQP_LOOKUP_H
#define GW_AMQP_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <godwit/error.h>

#define GW__ADDRESSES_MAX 16

typedef struct gw__addresses {
    struct sockaddr_storage items[GW__ADDRESSES_MAX];
    socklen_t lens[GW__ADDRESSES_MAX];
    size_t n_items;
} gw__addresses;

typedef struct gw__lookup gw__lookup;

/* An address in numbers, at once. Whether `host` was one. */
bool gw__lookup_numeric(const char *host, uint16_t port, gw__addresses *ret_addresses);

/* Begin to look up a name. An eventfd, of which the lookup keeps a copy, is written when it is
 * done.
 */
gw_status gw__lookup_start(const char *host, uint16_t port, int event_fd, gw__lookup **ret_lookup,
                           gw_error *err);

/* Whether it is done. If so: `ret_st` and, on GW_OK, the addresses; otherwise `err`. */
bool gw__lookup_poll(gw__lookup *lookup, gw_status *ret_st, gw__addresses *ret_addresses,
                     gw_error *err);

/* The name that is looked up; borrowed. */
const char *gw__lookup_host(const gw__lookup *lookup);

/* Be done with it, whether or not it is done itself. Accepts NULL. */
void gw__lookup_drop(gw__lookup *lookup);

#endif
