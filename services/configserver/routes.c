/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_routes.h"
#include "environment_routes.h"
#include "monitor_routes.h"

#define PREFIX_MAX 256

/* Below the prefix. */
static const gw_http_route prefixed[] = {
    {"Explain", "GET", "/explain/{first}/{second}", cs_get_explanation, NULL},
    {"LabelledExplain", "GET", "/explain/{first}/{second}/{third}", cs_get_explanation, NULL},
    {"FlatEnvironment", "GET", "/{first}", cs_get_environment, NULL},
    {"Environment", "GET", "/{first}/{second}", cs_get_environment, NULL},
    {"LabelledEnvironment", "GET", "/{first}/{second}/{third}", cs_get_environment, NULL},
    {"File", "GET", "/{first}/{second}/{third}/{rest...}", cs_get_environment, NULL},
};

/* Spring Cloud Bus 3 and later, 2, 1. */
static const gw_http_route others[] = {
    {"ActuatorHealth", "GET", "/actuator/health", cs_get_actuator_health, NULL},
    {"BusRefresh", "POST", "/actuator/busrefresh", cs_post_refresh, NULL},
    {"BusRefreshSome", "POST", "/actuator/busrefresh/{destination...}", cs_post_refresh, NULL},
    {"BusRefresh2", "POST", "/actuator/bus-refresh", cs_post_refresh, NULL},
    {"BusRefresh2Some", "POST", "/actuator/bus-refresh/{destination...}", cs_post_refresh, NULL},
    {"BusRefresh1", "POST", "/bus/refresh", cs_post_refresh, NULL},
    {"BusEnv", "POST", "/actuator/busenv", cs_post_change, NULL},
    {"BusEnvSome", "POST", "/actuator/busenv/{destination...}", cs_post_change, NULL},
    {"BusEnv2", "POST", "/actuator/bus-env", cs_post_change, NULL},
    {"BusEnv2Some", "POST", "/actuator/bus-env/{destination...}", cs_post_change, NULL},
    {"BusEnv1", "POST", "/bus/env", cs_post_change, NULL},
    {"Monitor", "POST", "/monitor", cs_post_monitor, NULL},
};

#define N_PREFIXED (sizeof(prefixed) / sizeof(prefixed[0]))
#define N_OTHERS   (sizeof(others) / sizeof(others[0]))

/* "/a/b" for "a/b/"; nothing for nothing. */
static gw_status normalise(const char *prefix, char ret[PREFIX_MAX + 2], gw_error *err)
{
    const char *begin = prefix == NULL ? "" : prefix + strspn(prefix, "/");
    size_t len = strlen(begin);
    while (len > 0 && begin[len - 1] == '/') {
        len--;
    }
    if (len > PREFIX_MAX || strcspn(begin, "{}?#% ") < len || memmem(begin, len, "//", 2) != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "the prefix '%.64s' is no path", prefix);
    }
    snprintf(ret, PREFIX_MAX + 2, "%s%.*s", len > 0 ? "/" : "", (int)len, begin);
    return GW_OK;
}

/* Add a route below the prefix. */
static bool add_prefixed(cs_route_table *table, const char *prefix, const gw_http_route *route,
                         void *ctx)
{
    char *pattern = NULL;
    if (asprintf(&pattern, "%s%s", prefix, route->pattern) < 0) {
        return false;
    }
    table->patterns[table->n_patterns++] = pattern;
    table->items[table->n] = *route;
    table->items[table->n].pattern = pattern;
    table->items[table->n++].ctx = ctx;
    return true;
}

static bool fill(cs_app *app, const char *prefix, cs_route_table *table)
{
    size_t n_crypt = 0;
    const gw_http_route *crypt = cs_crypt_routes(&n_crypt);
    table->items = calloc(N_PREFIXED + n_crypt + N_OTHERS, sizeof(*table->items));
    table->patterns = calloc(N_PREFIXED + n_crypt, sizeof(*table->patterns));
    bool is_good = table->items != NULL && table->patterns != NULL;
    for (size_t i = 0; is_good && i < N_PREFIXED; i++) {
        is_good = add_prefixed(table, prefix, &prefixed[i], app);
    }
    for (size_t i = 0; is_good && i < n_crypt; i++) {
        is_good = add_prefixed(table, prefix, &crypt[i], &app->crypt);
    }
    for (size_t i = 0; is_good && i < N_OTHERS; i++) {
        table->items[table->n] = others[i];
        table->items[table->n++].ctx = app;
    }
    return is_good;
}

gw_status cs_routes_make(cs_app *app, const char *prefix, cs_route_table *ret_table, gw_error *err)
{
    char path[PREFIX_MAX + 2];
    cs_route_table table = {.items = NULL};
    gw_status st = normalise(prefix, path, err);
    if (st != GW_OK) {
        return st;
    }
    if (!fill(app, path, &table)) {
        cs_routes_dispose(&table);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    *ret_table = table;
    return GW_OK;
}

void cs_routes_dispose(cs_route_table *table)
{
    for (size_t i = 0; i < table->n_patterns; i++) {
        free(table->patterns[i]);
    }
    free(table->patterns);
    free(table->items);
    *table = (cs_route_table){.items = NULL};
}
