/* SPDX-License-Identifier: MIT */
#include "service/routes.h"

#include <stdlib.h>
#include <string.h>

static void dispose(gw_http_route *route)
{
    free((void *)(uintptr_t)route->name);
    free((void *)(uintptr_t)route->method);
    free((void *)(uintptr_t)route->pattern);
}

/* A missing string stays missing: the router says so. */
static bool copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text != NULL ? strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL;
}

static bool copy(const gw_http_route *route, void *ctx, gw_http_route *ret_copy)
{
    *ret_copy =
        (gw_http_route){.handler = route->handler, .ctx = route->ctx != NULL ? route->ctx : ctx};
    if (copy_text(route->name, &ret_copy->name) && copy_text(route->method, &ret_copy->method) &&
        copy_text(route->pattern, &ret_copy->pattern)) {
        return true;
    }
    dispose(ret_copy);
    return false;
}

gw_status gw__routes_add(gw__routes *routes, const gw_http_route *more, size_t n_more, void *ctx)
{
    if (n_more == 0) {
        return GW_OK;
    }
    gw_http_route *items = reallocarray(routes->items, routes->n + n_more, sizeof(*items));
    if (items == NULL) {
        return GW_E_NOMEM;
    }
    routes->items = items;
    for (size_t i = 0; i < n_more; i++) {
        if (!copy(&more[i], ctx, &items[routes->n + i])) {
            while (i-- > 0) {
                dispose(&items[routes->n + i]);
            }
            return GW_E_NOMEM;
        }
    }
    routes->n += n_more;
    return GW_OK;
}

void gw__routes_dispose(gw__routes *routes)
{
    for (size_t i = 0; i < routes->n; i++) {
        dispose(&routes->items[i]);
    }
    free(routes->items);
    *routes = (gw__routes){NULL, 0};
}
