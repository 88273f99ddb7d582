/* SPDX-License-Identifier: MIT */
/* Patterns and paths in tables; no sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/router.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void nothing(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    (void)res;
}

#define ROUTE(name, method, pattern)                                                               \
    {                                                                                              \
        name, method, pattern, nothing, NULL                                                       \
    }

static const gw_http_route table[] = {
    ROUTE("root", "GET", "/"),
    ROUTE("accounts", "GET", "/accounts"),
    ROUTE("account", "GET", "/accounts/{accountId}"),
    ROUTE("put", "PUT", "/accounts/{accountId}"),
    ROUTE("reset", "POST", "/accounts/reset"),
    ROUTE("new", "GET", "/accounts/new"),
    ROUTE("new/x", "GET", "/accounts/new/{x}/end"),
    ROUTE("two", "GET", "/accounts/{id}/{what}/stop"),
    ROUTE("folder", "GET", "/folder/"),
    ROUTE("files", "GET", "/files/{rest...}"),
    ROUTE("fixed file", "GET", "/files/fixed"),
    ROUTE("head", "HEAD", "/own/head"),
    ROUTE("get", "GET", "/own/head"),
    ROUTE("options", "OPTIONS", "/own/options"),
    ROUTE("delete", "DELETE", "/trash/{id}"),
};

static gw__http_router *router;

static int setup(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    return gw__http_router_new(table, N_OF(table), &router, &err) == GW_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gw__http_router_free(router);
    return 0;
}

static gw__http_match match(gw__http_target *target, const char *method, const char *path)
{
    gw__http_target_init(target);
    assert_int_equal(gw__http_target_parse(target, path), GW_OK);
    return gw__http_router_match(router, method, target);
}

static void test_found(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        const char *route;
        const char *variable;
        const char *value;
    } cases[] = {
        {"GET", "/", "root", NULL, NULL},
        {"GET", "/accounts", "accounts", NULL, NULL},
        {"GET", "/accounts/10000", "account", "accountId", "10000"},
        {"PUT", "/accounts/10000", "put", "accountId", "10000"},
        {"HEAD", "/accounts/10000", "account", "accountId", "10000"},
        {"GET", "/accounts/new", "new", NULL, NULL},
        {"GET", "/accounts/ne", "account", "accountId", "ne"},
        {"GET", "/accounts/newer", "account", "accountId", "newer"},
        {"GET", "/accounts/%6eew", "new", NULL, NULL},
        {"POST", "/accounts/reset", "reset", NULL, NULL},
        {"GET", "/accounts/new/1/end", "new/x", "x", "1"},
        /* The literal's branch ends nowhere: back to the variable. */
        {"GET", "/accounts/new/1/stop", "two", "what", "1"},
        {"GET", "/accounts/new/1/stop", "two", "id", "new"},
        {"GET", "/accounts/a%2Fb", "account", "accountId", "a/b"},
        {"GET", "/accounts/a%2fb%25", "account", "accountId", "a/b%"},
        {"GET", "/accounts/%22'<>", "account", "accountId", "\"'<>"},
        {"GET", "/accounts/..", "account", "accountId", ".."},
        {"GET", "/accounts/%2e%2e%2fx", "account", "accountId", "../x"},
        {"GET", "/accounts/%ff\xff", "account", "accountId", "\xff\xff"},
        {"GET", "/accounts/a%20b", "account", "accountId", "a b"},
        {"GET", "/accounts/a+b", "account", "accountId", "a+b"},
        {"GET", "/folder/", "folder", NULL, NULL},
        {"GET", "/files/", "files", "rest", ""},
        {"GET", "/files/a", "files", "rest", "a"},
        {"GET", "/files/a/b//c/", "files", "rest", "a/b//c/"},
        {"GET", "/files/a%2fb/%63", "files", "rest", "a/b/c"},
        {"GET", "/files/fixed", "fixed file", NULL, NULL},
        {"GET", "/files/fixed/not", "files", "rest", "fixed/not"},
        {"HEAD", "/own/head", "head", NULL, NULL},
        {"GET", "/own/head", "get", NULL, NULL},
        {"OPTIONS", "/own/options", "options", NULL, NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__http_target target;
        gw__http_match m = match(&target, cases[i].method, cases[i].path);
        if (m.found != GW__HTTP_FOUND || strcmp(m.entry->route.name, cases[i].route) != 0) {
            fail_msg("%s %s: wanted %s, got %s", cases[i].method, cases[i].path, cases[i].route,
                     m.found == GW__HTTP_FOUND ? m.entry->route.name : "no route");
        }
        if (cases[i].variable != NULL) {
            assert_string_equal(gw__http_entry_var(m.entry, &target, cases[i].variable),
                                cases[i].value);
        }
        assert_null(gw__http_entry_var(m.entry, &target, "nobody"));
        assert_null(gw__http_entry_var(m.entry, &target, ""));
        gw__http_target_dispose(&target);
    }
}

static void test_not_found(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        gw__http_found found;
        const char *allow;
    } cases[] = {
        {"GET", "/nothing", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "/accounts/a/b", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "//", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "//accounts", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "/accounts//", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "/Accounts", GW__HTTP_FOUND_NOTHING, NULL},
        {"GET", "/accounts/..%00", GW__HTTP_FOUND_NOTHING, "bad"},
        {"GET", "/accounts/", GW__HTTP_FOUND_REDIRECT, NULL},
        {"GET", "/accounts/10000/", GW__HTTP_FOUND_REDIRECT, NULL},
        {"HEAD", "/accounts/10000/", GW__HTTP_FOUND_REDIRECT, NULL},
        {"PUT", "/accounts/10000/", GW__HTTP_FOUND_REDIRECT, NULL},
        {"GET", "/folder", GW__HTTP_FOUND_REDIRECT, NULL},
        {"GET", "/files", GW__HTTP_FOUND_REDIRECT, NULL},
        {"POST", "/accounts/10000", GW__HTTP_FOUND_OTHER, "GET, PUT, HEAD, OPTIONS"},
        {"BREW", "/accounts/10000", GW__HTTP_FOUND_OTHER, "GET, PUT, HEAD, OPTIONS"},
        {"POST", "/accounts/10000/", GW__HTTP_FOUND_OTHER, "GET, PUT, HEAD, OPTIONS"},
        /* The literal has no GET, the variable has: the literal decides. */
        {"GET", "/accounts/reset", GW__HTTP_FOUND_OTHER, "POST, OPTIONS"},
        {"HEAD", "/accounts/reset", GW__HTTP_FOUND_OTHER, "POST, OPTIONS"},
        {"DELETE", "/accounts/reset", GW__HTTP_FOUND_OTHER, "POST, OPTIONS"},
        {"get", "/", GW__HTTP_FOUND_OTHER, "GET, HEAD, OPTIONS"},
        {"GET", "/trash/1", GW__HTTP_FOUND_OTHER, "DELETE, OPTIONS"},
        {"HEAD", "/trash/1", GW__HTTP_FOUND_OTHER, "DELETE, OPTIONS"},
        {"GET", "/own/options", GW__HTTP_FOUND_OTHER, "OPTIONS"},
        {"POST", "/own/head", GW__HTTP_FOUND_OTHER, "GET, HEAD, OPTIONS"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__http_target target;
        if (cases[i].allow != NULL && strcmp(cases[i].allow, "bad") == 0) {
            gw__http_target_init(&target);
            assert_int_equal(gw__http_target_parse(&target, cases[i].path), GW_E_INVALID);
            gw__http_target_dispose(&target);
            continue;
        }
        gw__http_match m = match(&target, cases[i].method, cases[i].path);
        if (m.found != cases[i].found) {
            fail_msg("%s %s: wanted %d, got %d", cases[i].method, cases[i].path, cases[i].found,
                     m.found);
        }
        if (cases[i].allow != NULL) {
            gw_buf allow;
            gw_buf_init(&allow, 0);
            gw__http_router_allow(router, m.allow, &allow);
            assert_string_equal(allow.data, cases[i].allow);
            gw_buf_dispose(&allow);
        }
        gw__http_target_dispose(&target);
    }
}

static void test_long_paths(void **state)
{
    (void)state;
    static char path[60000];
    gw__http_target target;

    /* A segment of 10 kB is a value like any other. */
    strcpy(path, "/accounts/");
    memset(path + 10, 'x', 10000);
    path[10010] = '\0';
    gw__http_match m = match(&target, "GET", path);
    assert_int_equal(m.found, GW__HTTP_FOUND);
    assert_string_equal(gw__http_entry_var(m.entry, &target, "accountId"), path + 10);
    gw__http_target_dispose(&target);

    /* More segments than any pattern has. */
    for (size_t n_segments = 30; n_segments < 20000; n_segments += 1 + n_segments / 3) {
        strcpy(path, "/files");
        for (size_t i = 0; i < n_segments; i++) {
            strcpy(path + 6 + 2 * i, "/a");
        }
        m = match(&target, "GET", path);
        assert_int_equal(m.found, GW__HTTP_FOUND);
        assert_string_equal(gw__http_entry_var(m.entry, &target, "rest"), path + 7);
        gw__http_target_dispose(&target);
        path[1] = 'F';
        assert_int_equal(match(&target, "GET", path).found, GW__HTTP_FOUND_NOTHING);
        gw__http_target_dispose(&target);
    }
}

/* A pattern of the most segments, and paths one shorter and longer. */
static void test_deepest_pattern(void **state)
{
    (void)state;
    char pattern[3 * GW__HTTP_SEGMENTS_MAX + 8] = "";
    for (int i = 0; i < GW__HTTP_SEGMENTS_MAX; i++) {
        strcat(pattern, "/a");
    }
    gw_http_route route = ROUTE("deep", "GET", pattern);
    gw__http_router *deep = NULL;
    assert_int_equal(gw__http_router_new(&route, 1, &deep, NULL), GW_OK);
    gw__http_target target;
    gw__http_target_init(&target);
    static const struct {
        const char *tail;
        gw__http_found found;
    } cases[] = {
        {"", GW__HTTP_FOUND},
        {"/", GW__HTTP_FOUND_NOTHING}, /* past the limit there is no redirect */
        {"/a", GW__HTTP_FOUND_NOTHING},
        {"/a/a/a", GW__HTTP_FOUND_NOTHING},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char path[sizeof(pattern) + 16];
        snprintf(path, sizeof(path), "%s%s", pattern, cases[i].tail);
        assert_int_equal(gw__http_target_parse(&target, path), GW_OK);
        assert_int_equal(gw__http_router_match(deep, "GET", &target).found, cases[i].found);
    }
    gw__http_target_dispose(&target);
    gw__http_router_free(deep);
}

static void test_bad_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",       "accounts", "*",        "/a%",    "/a%2",    "/a%zz",           "/a%2z",
        "/a%00b", "/%0a",     "/%0D%0Ax", "/a\x01", "/a\x7f",  "/a%7f",           "/a%1fb",
        "/%00",   "/a/%",     "/a b",     "/\t",    "http:/x", "example.org:443",
    };
    for (size_t i = 0; i < N_OF(paths); i++) {
        gw__http_target target;
        gw__http_target_init(&target);
        if (gw__http_target_parse(&target, paths[i]) != GW_E_INVALID) {
            fail_msg("'%s' was taken", paths[i]);
        }
        gw__http_target_dispose(&target);
    }
}

static void test_bad_tables(void **state)
{
    (void)state;
    static char many[2 * (GW__HTTP_SEGMENTS_MAX + 1) + 1];
    static char longest[600];
    for (int i = 0; i <= GW__HTTP_SEGMENTS_MAX; i++) {
        strcat(many, "/a");
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[0] = '/';
    const struct {
        gw_http_route routes[2];
        size_t n;
        const char *text;
    } cases[] = {
        {{ROUTE("a", "GET", "")}, 1, "does not begin with '/'"},
        {{ROUTE("a", "GET", "a/b")}, 1, "does not begin with '/'"},
        {{ROUTE("a", "GET", "/{a}b")}, 1, "neither a plain text nor one {variable}"},
        {{ROUTE("a", "GET", "/b{a}")}, 1, "neither a plain text"},
        {{ROUTE("a", "GET", "/{")}, 1, "neither a plain text"},
        {{ROUTE("a", "GET", "/{}")}, 1, "name is not"},
        {{ROUTE("a", "GET", "/{...}")}, 1, "name is not"},
        {{ROUTE("a", "GET", "/{a b}")}, 1, "name is not"},
        {{ROUTE("a", "GET", "/{1a}")}, 1, "name is not"},
        {{ROUTE("a", "GET", "/a b")}, 1, "neither a plain text"},
        {{ROUTE("a", "GET", "/a?b")}, 1, "neither a plain text"},
        {{ROUTE("a", "GET", "/a%20b")}, 1, "neither a plain text"},
        {{ROUTE("a", "GET", "/a//b")}, 1, "empty segment"},
        {{ROUTE("a", "GET", "/{rest...}/b")}, 1, "not its last segment"},
        {{ROUTE("a", "GET", "/{x}/{x}")}, 1, "two variables of one name"},
        {{ROUTE("a", "GET", "/{x}/y/{x...}")}, 1, "two variables of one name"},
        {{ROUTE("a", "GET", many)}, 1, "too many segments"},
        {{ROUTE("a", "GET", longest)}, 1, "too long"},
        {{ROUTE("a", "", "/")}, 1, "needs a name, a method"},
        {{ROUTE("a", NULL, "/")}, 1, "needs a name, a method"},
        {{ROUTE(NULL, "GET", "/")}, 1, "needs a name"},
        {{{"a", "GET", "/", NULL, NULL}}, 1, "a handler"},
        {{ROUTE("a", "GET", "/x"), ROUTE("b", "GET", "/x")}, 2, "a and b have the same pattern"},
        {{ROUTE("a", "GET", "/{x}"), ROUTE("b", "GET", "/{y}")}, 2, "the same pattern"},
        {{ROUTE("a", "GET", "/{x...}"), ROUTE("b", "GET", "/{y...}")}, 2, "the same pattern"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__http_router *bad = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__http_router_new(cases[i].routes, cases[i].n, &bad, &err);
        if (st != GW_E_INVALID || strstr(err.text, cases[i].text) == NULL || bad != NULL) {
            fail_msg("case %zu: wanted '%s', got %s '%s'", i, cases[i].text, gw_status_name(st),
                     err.text);
        }
    }
}

static void test_many_methods(void **state)
{
    (void)state;
    char names[20][16];
    gw_http_route routes[20];
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof(names[i]), "M%d", i);
        routes[i] = (gw_http_route)ROUTE("a", names[i], "/");
    }
    gw__http_router *r = NULL;
    assert_int_equal(gw__http_router_new(routes, 20, &r, NULL), GW_E_LIMIT);
    assert_int_equal(gw__http_router_new(routes, 16, &r, NULL), GW_OK);
    gw__http_router_free(r);
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        const char *name;
        const char *value; /* NULL: absent */
    } cases[] = {
        {"a=1&b=2", "a", "1"},     {"a=1&b=2", "b", "2"},
        {"a=1&b=2", "c", NULL},    {"a", "a", ""},
        {"a&b&c", "b", ""},        {"a&b&c", "c", ""},
        {"a=", "a", ""},           {"a=1&a=2", "a", "1"},
        {"a=b=c", "a", "b=c"},     {"a=x+y%2Bz", "a", "x y+z"},
        {"%61%3d=1", "a=", "1"},   {"&&a=1&&", "a", "1"},
        {"=1", "", "1"},           {"a=%26&b=%3D", "b", "="},
        {"a=%26&b=%3D", "a", "&"}, {"", "a", NULL},
        {"a=%0a", "a", "\n"},      {"ab=1", "a", NULL},
        {"a=1?b=2", "a", "1?b=2"}, {"1=a", "a", NULL},
        {"x=a&a=2", "a", "2"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        /* Exactly as much as is promised to be enough, for the sanitizer to watch. */
        size_t len = strlen(cases[i].query);
        char *pairs = malloc(GW__HTTP_PAIRS_MAX(len));
        size_t pairs_len = 0;
        assert_int_equal(gw__http_query_decode(cases[i].query, len, pairs, &pairs_len), GW_OK);
        const char *value = gw__http_query_find(pairs, pairs_len, cases[i].name);
        if ((value == NULL) != (cases[i].value == NULL) ||
            (value != NULL && strcmp(value, cases[i].value) != 0)) {
            fail_msg("'%s' of '%s': wanted '%s', got '%s'", cases[i].name, cases[i].query,
                     cases[i].value, value);
        }
        free(pairs);
    }
    static const char *const bad[] = {"a=%", "a=%2", "a=%zz", "%", "a=%00", "%00=a", "a=%2&b=2"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        char pairs[64];
        size_t len = 0;
        assert_int_equal(gw__http_query_decode(bad[i], strlen(bad[i]), pairs, &len), GW_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_paths, setup, teardown),
        cmocka_unit_test(test_deepest_pattern),
        cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_many_methods),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
