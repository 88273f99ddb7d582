/* SPDX-License-Identifier: MIT */
/* A program's route table while it is put together: the spec's, those added at the start, and the
 * chassis' own. Owns what its routes' strings are. */
#ifndef GW_SERVICE_ROUTES_H
#define GW_SERVICE_ROUTES_H

#include <godwit/http.h>

typedef struct gw__routes {
    gw_http_route *items;
    size_t n;
} gw__routes;

/* Append copies, whole or not at all; a ctx of NULL becomes `ctx`. GW_OK or GW_E_NOMEM. */
gw_status gw__routes_add(gw__routes *routes, const gw_http_route *more, size_t n_more, void *ctx);

/* After the server that borrows them. */
void gw__routes_dispose(gw__routes *routes);

#endif
