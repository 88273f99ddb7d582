/* SPDX-License-Identifier: MIT */
/**
 * @file framing.h
 * The headers that say where a request ends and whom it is for. libmicrohttpd takes some of them
 * that contradict each other or HTTP; a proxy in front of this server may read the same bytes as
 * another request, so they are refused here (RFC 9112 sections 3.2, 5.1, 6.1 and 6.3).
 */
#ifndef GW_HTTP_FRAMING_H
#define GW_HTTP_FRAMING_H

#include <stddef.h>

#include <microhttpd.h>

typedef struct gw__http_framing {
    size_t body_len;   /**< as announced; 0 when it is not */
    const char *fault; /**< what is wrong, or NULL; static */
} gw__http_framing;

/** @param version "HTTP/1.1", ... */
gw__http_framing gw__http_framing_of(struct MHD_Connection *mhd, const char *version);

#endif
