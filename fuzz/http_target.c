/* SPDX-License-Identifier: MIT */
/*
 * Whatever a client asks for: "METHOD target", matched against a table with every kind of pattern;
 * the variables and the query are read. The first line of the input may be a pattern (if it begins
 * with '/'), which is added to the table if it is one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384

static void nothing(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    (void)res;
}

static const char *const patterns[] = {"/",        "/accounts/{id}", "/accounts/new", "/a/{b}/c",
                                       "/a/b/{c}", "/folder/",       "/files/{x...}"};

#define N_PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

static void read_variables(const gw__http_match *match, gw__http_target *target)
{
    static const char *const names[] = {"id", "b", "c", "x", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = gw__http_entry_var(match->entry, target, names[i]);
        for (const char *p = value; p != NULL && *p != '\0'; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                abort(); /* promised not to be there */
            }
        }
    }
}

static void read_query(const char *query)
{
    size_t len = strlen(query);
    char *pairs = malloc(GW__HTTP_PAIRS_MAX(len));
    size_t pairs_len = 0;
    if (pairs != NULL && gw__http_query_decode(query, len, pairs, &pairs_len) == GW_OK) {
        if (pairs_len > GW__HTTP_PAIRS_MAX(len)) {
            abort();
        }
        gw__http_query_find(pairs, pairs_len, "name");
    }
    free(pairs);
}

static void ask(const gw__http_router *router, const char *method, char *path)
{
    char *query = strchr(path, '?');
    if (query != NULL) {
        *query++ = '\0';
        read_query(query);
    }
    gw__http_target target;
    gw__http_target_init(&target);
    if (gw__http_target_parse(&target, path) == GW_OK) {
        gw__http_match match = gw__http_router_match(router, method, &target);
        gw_buf allow;
        gw_buf_init(&allow, 0);
        gw__http_router_allow(router, match.allow, &allow);
        gw_buf_dispose(&allow);
        if (match.found == GW__HTTP_FOUND) {
            read_variables(&match, &target);
        }
    }
    gw__http_target_dispose(&target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX) {
        return 0;
    }
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    gw_http_route routes[N_PATTERNS + 1];
    size_t n_routes = 0;
    for (; n_routes < N_PATTERNS; n_routes++) {
        routes[n_routes] = (gw_http_route){"r", "GET", patterns[n_routes], nothing, NULL};
    }
    char *line = text;
    if (text[0] == '/') {
        line = text + strcspn(text, "\n");
        if (*line != '\0') {
            *line++ = '\0';
        }
        routes[n_routes++] = (gw_http_route){"own", "POST", text, nothing, NULL};
    }
    gw__http_router *router = NULL;
    gw_status st = gw__http_router_new(routes, n_routes, &router, NULL);
    if (st != GW_OK) {
        st = gw__http_router_new(routes, N_PATTERNS, &router, NULL);
    }
    char *blank = strchr(line, ' ');
    if (st == GW_OK && blank != NULL) {
        *blank = '\0';
        ask(router, line, blank + 1);
    }
    gw__http_router_free(router);
    free(text);
    return 0;
}
