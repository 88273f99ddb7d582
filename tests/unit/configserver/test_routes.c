/* SPDX-License-Identifier: MIT */
/* The routes over HTTP: what a client of Spring's, goblog's, a browser or a git host sees. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/clock.h>
#include <godwit/health.h>
#include <godwit/log.h>

#include "configserver/estate_double.h"
#include "files/bounds.h"
#include "health.h"
#include "routes.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_EVENTS    16
#define COMMIT      "0123456789abcdef0123456789abcdef01234567"
#define OTHER       "89abcdef0123456789abcdef0123456789abcdef"
#define V2          "application/vnd.spring-cloud.config-server.v2+json"

static const double_file files[] = {
    {"application.yml", "shared: 1\n"},
    {"foo.yml", "server_port: 6767\n"},
    {"foo-dev.yml", "server_port: 6868\n"},
    {"broken.yml", "a: 1\na: 2\n"},
    {"nested.properties", "a..b=1\n"},
    {"nginx.conf", "listen ${server_port};\n"},
    {"a/b.txt", "deep\n"},
    {"page.html", "<script>alert(1)</script>\n"},
    {NULL, NULL},
};
static const double_file changed[] = {{"foo.yml", "server_port: 1\n"}, {NULL, NULL}};
static const double_file same[] = {{"foo.yml", "# moved\nserver_port: 1\n"}, {NULL, NULL}};

static const double_label labels[] = {
    {.name = "main", .version = COMMIT, .files = files, .time_s = 784111777},
    {.name = "feature/x", .version = OTHER, .files = changed},
    {.name = "v1.2", .version = OTHER, .files = changed},
    {.name = "stale", .version = OTHER, .files = changed, .is_stale = true, .age_ms = 90000},
    {.name = "busy", .version = OTHER, .files = changed, .fails = GW_E_BUSY},
    {.name = "away", .version = OTHER, .files = changed, .fails = GW_E_UNAVAILABLE},
};

typedef struct world {
    cs_estate *estate;
    cs_rules rules;
    cs_app app;
    cs_route_table table; /* a bare server borrows its strings */
    gw_http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *events[N_EVENTS];
    size_t n_events;
    bool is_full; /* the bus takes nothing */
} world;

static gw_status keep_event(void *ctx, const char *json, size_t len, gw_error *err)
{
    world *w = ctx;
    if (w->is_full) {
        return gw_error_set(err, GW_E_FULL, 0, "the outbox is full");
    }
    pthread_mutex_lock(&w->lock);
    if (w->n_events < N_EVENTS) {
        w->events[w->n_events++] = strndup(json, len);
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return GW_OK;
}

static void forget_events(world *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->n_events > 0) {
        free(w->events[--w->n_events]);
    }
    pthread_mutex_unlock(&w->lock);
}

/* The destinations of the events so far, as "a:**,b:**". */
static void destinations(world *w, const char *type, char *ret, size_t size)
{
    pthread_mutex_lock(&w->lock);
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < w->n_events; i++) {
        json_t *event = json_loads(w->events[i], 0, NULL);
        assert_non_null(event);
        assert_string_equal(json_string_value(json_object_get(event, "type")), type);
        assert_string_equal(json_string_value(json_object_get(event, "originService")),
                            "configserver:0:test");
        const char *destination = json_string_value(json_object_get(event, "destinationService"));
        len += (size_t)snprintf(ret + len, size - len, "%s%s", i > 0 ? "," : "", destination);
        json_decref(event);
    }
    pthread_mutex_unlock(&w->lock);
}

static void wake(void *ctx)
{
    gw_http_channel_wake(ctx);
}

static void start(world *w, const char *prefix)
{
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_routes_make(&w->app, prefix, &w->table, &err), GW_OK);
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.address = "127.0.0.1";
    options.n_threads = 2;
    if (gw_http_server_start(&options, w->table.items, w->table.n, &w->server, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

static int setup_with(void **state, const char *prefix)
{
    world *w = calloc(1, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->app.channel = gw_http_channel_new();
    w->estate = estate_double_new(cs_lookup_free_memo_value, wake, w->app.channel);
    estate_double_put(w->estate, labels, N_OF(labels));
    w->app.estate = w->estate;
    w->app.lookup = cs_lookup_new(&w->rules);
    w->app.bus = (cs_bus){keep_event, w, "configserver:0:test"};
    gw_log_set_level(GW_LOG_OFF);
    start(w, prefix);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, NULL);
}

static int setup_prefixed(void **state)
{
    return setup_with(state, "api/config/");
}

static int teardown(void **state)
{
    world *w = *state;
    gw_http_server_stop(w->server, 1000);
    cs_routes_dispose(&w->table);
    cs_lookup_free(w->app.lookup);
    estate_double_free(w->estate);
    gw_http_channel_free(w->app.channel);
    forget_events(w);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
    gw_log_set_level(GW_LOG_INFO);
    return 0;
}

/* ---- a client ------------------------------------------------------------------------ */

typedef struct reply {
    int status;
    char head[4096];
    char body[16384];
    char value[256]; /* of the header that was asked for last */
} reply;

/* Send the bytes as they are, which no HTTP client would do with some of them. */
static int begin(world *w, const char *method, const char *path, const char *headers,
                 const char *body)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(gw_http_server_port(w->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char request[16384];
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n"
                       "\r\n%s",
                       method, path, headers, strlen(body), body);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    return fd;
}

/* Read to the end. */
static reply end(int fd)
{
    reply result = {.status = 0};
    char text[20000];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof(text) - 1 && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    text[len] = '\0';
    char *blank = strstr(text, "\r\n\r\n");
    if (blank == NULL || sscanf(text, "HTTP/1.1 %d", &result.status) != 1) {
        fail_msg("no answer but '%s'", text);
    }
    snprintf(result.body, sizeof(result.body), "%.16383s", blank + 4);
    blank[2] = '\0';
    snprintf(result.head, sizeof(result.head), "%.4095s", text);
    return result;
}

/* `headers` is a list of lines with their "\r\n". */
static reply call(world *w, const char *method, const char *path, const char *headers,
                  const char *body)
{
    return end(begin(w, method, path, headers, body));
}

static reply get(world *w, const char *path, const char *headers)
{
    return call(w, "GET", path, headers, "");
}

/* A header's value; "" if there is none. */
static const char *header(reply *of, const char *name)
{
    char line[64];
    snprintf(line, sizeof(line), "\r\n%s: ", name);
    const char *at = strcasestr(of->head, line);
    of->value[0] = '\0';
    if (at != NULL) {
        sscanf(at + strlen(line), "%255[^\r]", of->value);
    }
    return of->value;
}

static void expect(world *w, const char *method, const char *path, const char *body, int status,
                   const char *text)
{
    reply got = call(w, method, path, "", body);
    if (got.status != status || strstr(got.body, text) == NULL) {
        fail_msg("%s %s gave %d '%s', wanted %d '%s'", method, path, got.status, got.body, status,
                 text);
    }
    if (status >= 400) {
        assert_string_equal(header(&got, "Content-Type"), "application/problem+json");
    }
}

/* ---- reading --------------------------------------------------------------------------- */

static void every_route_answers(void **state)
{
    world *w = *state;
    static const struct {
        const char *path;
        int status;
        const char *text;
    } cases[] = {
        {"/foo/default", 200, "\"label\":null,"},
        {"/foo/dev,mysql", 200, "\"profiles\":[\"dev,mysql\"]"},
        {"/foo/default/main", 200, "\"label\":\"main\","},
        {"/foo/default/main/", 200, "\"label\":\"main\","},
        {"/foo/default/feature(_)x", 200, "\"server_port\":1}"},
        {"/foo/default/feature(_)x", 200, "\"label\":\"feature/x\""},
        {"/foo/default/v1.2", 200, "\"server_port\":1}"},
        {"/foo/default/v1.2,main", 200, "\"version\":\"" OTHER "," COMMIT "\""},
        {"/foo/default/nope", 404, "nope"},
        {"/foo/default/nope,main", 404, "nope"},
        {"/unknown/default", 200, "\"propertySources\":[{"},
        {"/unknown/default/v1.2", 200, "\"propertySources\":[]}"},
        {"/broken/default", 500, "broken.yml:2: duplicate key 'a' (first at line 1)"},
        {"/foo/dev-yml", 200, "\"profiles\":[\"dev-yml\"]"},
        {"/foo/dev.yml", 404, "no such page"},
        {"/foo.yml", 404, "no such page"},
        {"/foo", 404, "no such page"},
        {"/foo-dev.yml", 200, "server_port: 6868\n"},
        {"/foo-dev.yaml", 200, "server_port: 6868\n"},
        {"/foo-dev.properties", 200, "server_port: 6868"},
        {"/foo-dev.json", 200, "\"server_port\":6868"},
        {"/main/foo-dev.yml", 200, "server_port: 6868\n"},
        {"/feature(_)x/foo-dev.yml", 200, "server_port: 1\n"},
        {"/v1.2/foo-dev.properties", 200, "server_port: 1"},
        {"/nope/foo-dev.json", 404, "nope"},
        {"/nested-dev.yml", 400, "a..b"},
        {"/nested-dev.json", 400, "a..b"},
        {"/broken-dev.yml", 500, "broken.yml:2:"},
        {"/foo/dev/main/nginx.conf", 200, "listen 6868;\n"},
        {"/foo/dev/main/nginx.conf?resolvePlaceholders=false", 200, "listen ${server_port};\n"},
        {"/foo/dev/main/a/b.txt", 200, "deep\n"},
        {"/foo/dev/nginx.conf?useDefaultLabel", 200, "listen 6868;\n"},
        {"/foo/dev/nginx.conf?useDefaultLabel=true", 200, "listen 6868;\n"},
        {"/foo/dev/a(_)b.txt?useDefaultLabel", 200, "deep\n"},
        {"/foo/dev/main/nope.txt", 404, "no file 'nope.txt'"},
        {"/foo/dev/nope/nginx.conf", 404, "nope"},
        {"/explain/foo/dev", 200, "\"shadows\":[{"},
        {"/explain/foo/dev/main", 200, "\"label\":\"main\""},
        {"/explain/foo/dev?key=shared", 200, "\"properties\":[{\"key\":\"shared\""},
        {"/explain/foo", 200, "\"name\":\"explain\""}, /* an application like any other */
        {"/foo/default?x=1", 200, "\"name\":\"foo\""},
        {"/foo/default/away", 503, "away"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(w, "GET", cases[i].path, "", cases[i].status, cases[i].text);
    }
}

static void hostile_paths_are_refused(void **state)
{
    world *w = *state;
    static const char *const cases[] = {
        /* CVE-2019-3799 */
        "/foo/default/main/..%252f..%252fetc%252fpasswd",
        "/foo/default/main/..%2f..%2fetc%2fpasswd",
        "/foo/default/main/../../etc/passwd",
        "/foo/default/main/%2e%2e/%2e%2e/etc/passwd",
        /* CVE-2020-5405 */
        "/foo/default/..(_)..(_)etc/passwd",
        "/foo/default/main(_)..(_)..(_)etc/x",
        "/(_)etc/passwd/main/x",
        "/foo/default/..(_)passwd?useDefaultLabel",
        /* CVE-2020-5410 */
        "/..%252F..%252Fetc%252Fpasswd%2523/default",
        "/..%2F..%2Fetc%2Fpasswd%23-dev.yml",
        "/foo/default/main%23",
        "/foo%23bar/default",
        /* CVE-2026-22739 */
        "/foo/..%2f..%2fetc",
        "/foo/%7Bx%7D",
        "/foo/http:%2F%2F169.254.169.254%2F",
        "/foo-..%2f..%2fx.yml",
        /* CVE-2026-40982, and the rest */
        "/foo%5cbar/default",
        "/foo/default/a%5cb",
        "/foo/default/main/..%5c..%5cx",
        "/foo/default/main/a%5cb",
        "/foo/default/main/.git/config",
        "/foo/default/main/a//b",
        "/foo/default/-x",
        "/explain/..%2f/dev",
        "/explain/foo/dev/..(_)x",
        "/foo%0abar/default",
        "/foo/default/main/a%00b",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(w, "GET", cases[i], "", 400, "\"status\":400");
    }
}

static void errors_speak_both_dialects(void **state)
{
    world *w = *state;
    reply got = get(w, "/foo/default/nope", "");
    json_t *problem = json_loads(got.body, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(problem);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), 404);
    assert_string_equal(json_string_value(json_object_get(problem, "title")), "Not Found");
    assert_string_equal(json_string_value(json_object_get(problem, "error")), "Not Found");
    assert_string_equal(json_string_value(json_object_get(problem, "path")), "/foo/default/nope");
    assert_string_equal(json_string_value(json_object_get(problem, "message")),
                        json_string_value(json_object_get(problem, "detail")));
    assert_non_null(strchr(json_string_value(json_object_get(problem, "timestamp")), 'T'));
    json_decref(problem);
}

static void what_is_accepted_decides(void **state)
{
    world *w = *state;
    static const struct {
        const char *path, *accept, *type, *text;
    } cases[] = {
        {"/foo/dev", "", "application/json", "{\"server_port\":6868}"},
        {"/foo/dev", "Accept: */*\r\n", "application/json", "{\"server_port\":6868}"},
        {"/foo/dev", "Accept: application/json\r\n", "application/json", "{\"server_port\":6868}"},
        {"/foo/dev", "Accept: " V2 "\r\n", V2,
         "{\"server_port\":{\"value\":6868,\"origin\":\"1:14\"}}"},
        {"/foo-dev.yml", "", "text/plain;charset=UTF-8", "server_port"},
        {"/foo-dev.json", "Accept: text/plain\r\n", "application/json", "server_port"},
        {"/foo/dev/main/nginx.conf", "", "text/plain;charset=UTF-8", "listen 6868"},
        {"/foo/dev/main/page.html", "Accept: text/html\r\n", "text/plain;charset=UTF-8",
         "<script>"},
        {"/foo/dev/main/nginx.conf", "Accept: application/octet-stream\r\n",
         "application/octet-stream", "listen ${server_port}"},
        {"/explain/foo/dev", "Accept: */*\r\n", "application/json", "\"properties\":["},
        {"/explain/foo/dev", "Accept: text/html\r\n", "text/html;charset=UTF-8", "<table>"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        reply got = get(w, cases[i].path, cases[i].accept);
        if (got.status != 200 || strcmp(header(&got, "Content-Type"), cases[i].type) != 0 ||
            strstr(got.body, cases[i].text) == NULL) {
            fail_msg("%s with '%s' gave %d %s '%s'", cases[i].path, cases[i].accept, got.status,
                     got.head, got.body);
        }
        assert_non_null(strstr(header(&got, "Vary"), "Accept"));
        assert_string_equal(header(&got, "Cache-Control"), "no-cache");
    }
    reply page = get(w, "/explain/foo/dev", "Accept: text/html\r\n");
    assert_non_null(strstr(header(&page, "Content-Security-Policy"), "default-src 'none'"));
    reply file = get(w, "/foo/dev/main/page.html", "");
    assert_string_equal(header(&file, "X-Content-Type-Options"), "nosniff");
}

static void head_is_get_without_a_body(void **state)
{
    world *w = *state;
    static const char *const paths[] = {"/foo/dev", "/foo-dev.yml", "/foo/dev/main/nginx.conf",
                                        "/explain/foo/dev", "/actuator/health"};
    for (size_t i = 0; i < N_OF(paths); i++) {
        reply with = get(w, paths[i], "");
        reply without = call(w, "HEAD", paths[i], "", "");
        assert_int_equal(without.status, 200);
        assert_string_equal(without.body, "");
        assert_string_equal(header(&without, "ETag"), header(&with, "ETag"));
        assert_int_equal(atoi(header(&without, "Content-Length")), strlen(with.body));
    }
    assert_int_equal(call(w, "HEAD", "/foo/dev/nope", "", "").status, 404);
}

static void what_a_client_has_is_not_sent_again(void **state)
{
    world *w = *state;
    reply first = get(w, "/foo/dev", "");
    char etag[128];
    snprintf(etag, sizeof(etag), "%s", header(&first, "ETag"));
    assert_int_equal(strncmp(etag, "\"" COMMIT ".", 42), 0);
    assert_string_equal(header(&first, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    static const struct {
        const char *before, *after; /* the ETag, if there is something */
        int status;
    } cases[] = {
        {"If-None-Match: ", "\r\n", 304},
        {"If-None-Match: W/", "\r\n", 304},
        {"If-None-Match: \"a\", ", ", \"b\"\r\n", 304},
        {"If-None-Match: *\r\n", NULL, 304},
        {"If-None-Match: \"a\"\r\n", NULL, 200},
        /* A commit of the same second, or a branch that was set back, has the same date. */
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", NULL, 200},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char headers[512];
        bool has_etag = cases[i].after != NULL;
        snprintf(headers, sizeof(headers), "%s%s%s", cases[i].before, has_etag ? etag : "",
                 has_etag ? cases[i].after : "");
        reply got = get(w, "/foo/dev", headers);
        assert_int_equal(got.status, cases[i].status);
        assert_string_equal(header(&got, "ETag"), etag);
        assert_int_equal(strlen(got.body) == 0, cases[i].status == 304);
    }
    char headers[256];
    snprintf(headers, sizeof(headers), "Accept: " V2 "\r\nIf-None-Match: %s\r\n", etag);
    assert_int_equal(get(w, "/foo/dev", headers).status, 200); /* other bytes */
    snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", etag);
    assert_int_equal(get(w, "/foo/default", headers).status, 200); /* another environment */
}

static void files_can_be_asked_for_by_date(void **state)
{
    world *w = *state;
    static const char path[] = "/foo/dev/main/nginx.conf";
    reply got = get(w, path, "");
    assert_string_equal(header(&got, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(get(w, path, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status,
                     304);
    assert_int_equal(get(w, path, "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n").status,
                     200);
    assert_int_equal(get(w, path,
                         "If-None-Match: \"x\"\r\n"
                         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n")
                         .status,
                     200);
}

static void a_stale_answer_says_so(void **state)
{
    world *w = *state;
    for (int round = 0; round < 2; round++) {
        reply got = get(w, "/foo/dev/stale", "");
        assert_int_equal(got.status, 200);
        assert_in_range(atoi(header(&got, "X-Godwit-Stale")), 90, 89 + 600);
    }
    reply got = get(w, "/foo/dev", "");
    assert_string_equal(header(&got, "X-Godwit-Stale"), "");
    got = get(w, "/foo/dev/away", "");
    assert_int_equal(got.status, 503);
    assert_string_equal(header(&got, "Retry-After"), "5");
}

/* Every handler asks; a plain file of one application may be another's secret, so it is a right of
 * its own. */
static void every_route_asks_who_may(void **state)
{
    world *w = *state;
    static const char *const apps[] = {"foo"};
    cs_user users[] = {
        {.name = "reader",
         .has_secret = true,
         .actions = CS_ACTION_READ,
         .applications = apps,
         .n_applications = 1},
        {.name = "pusher", .has_secret = true, .actions = CS_ACTION_REFRESH},
    };
    for (size_t i = 0; i < N_OF(users); i++) {
        assert_int_equal(cs_digest_of("pw", 2, users[i].digest, NULL), GW_OK);
    }
    cs_access *access = cs_access_new(users, N_OF(users));
    w->app.access = access;
    static const char reader[] = "Authorization: Basic cmVhZGVyOnB3\r\n";
    static const char pusher[] = "Authorization: Basic cHVzaGVyOnB3\r\n";
    static const struct {
        const char *method, *path, *headers;
        int status;
    } cases[] = {
        {"GET", "/foo/dev", "", 401},
        {"GET", "/foo/dev", reader, 200},
        {"GET", "/foo/dev", pusher, 403},
        {"GET", "/foo/dev/main", "", 401},
        {"GET", "/foo-dev.yml", "", 401},
        {"GET", "/foo-dev.yml", reader, 200},
        {"GET", "/main/foo-dev.json", reader, 200},
        {"GET", "/bar-dev.yml", reader, 403},
        {"GET", "/foo,bar/dev", reader, 403},
        {"GET", "/foo/dev/main/nginx.conf", "", 401},
        {"GET", "/foo/dev/main/nginx.conf", reader, 403},
        {"GET", "/foo/dev/nginx.conf?useDefaultLabel", reader, 403},
        {"GET", "/explain/foo/dev", "", 401},
        {"GET", "/explain/foo/dev", reader, 403},
        {"POST", "/monitor", "", 401},
        {"POST", "/monitor", reader, 403},
        {"POST", "/monitor", pusher, 200},
        {"POST", "/actuator/busrefresh", "", 401},
        {"POST", "/actuator/busrefresh", pusher, 204},
        {"POST", "/actuator/busenv", reader, 403},
        {"POST", "/bus/env", "", 401},
        {"GET", "/actuator/health", "", 200},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        reply got = call(w, cases[i].method, cases[i].path, cases[i].headers,
                         cases[i].method[0] == 'P' ? "{}" : "");
        if (got.status != cases[i].status) {
            fail_msg("%s %s with '%s' gave %d, wanted %d", cases[i].method, cases[i].path,
                     cases[i].headers, got.status, cases[i].status);
        }
        assert_true(got.status == 200 || strstr(got.body, "server_port") == NULL);
    }
    /* Where pushes are signed, a user needs no signature, and a signature no user. */
    static const cs_webhook_rules rules = {.secret = "s"};
    w->app.hook_rules = &rules;
    assert_int_equal(call(w, "POST", "/monitor", "", "{}").status, 403);
    assert_int_equal(call(w, "POST", "/monitor", pusher, "{}").status, 200);
    assert_int_equal(call(w, "POST", "/monitor", reader, "{}").status, 403);
    w->app.access = NULL; /* credentials that nobody checks prove nothing */
    assert_int_equal(call(w, "POST", "/monitor", pusher, "{}").status, 403);
    cs_access_free(access);
}

/* ---- waiting ----------------------------------------------------------------------------- */

static const double_label after[] = {{.name = "main", .version = OTHER, .files = changed}};
static const double_label again[] = {{.name = "main", .version = COMMIT, .files = same}};

/* Whether an answer is there by now. The request must have had time to arrive: another one that
 * came later was answered. */
static bool is_answered(world *w, int fd)
{
    get(w, "/foo/dev", "");
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static void a_client_waits_for_a_change(void **state)
{
    world *w = *state;
    estate_double_put(w->estate, after, 1);
    reply first = get(w, "/foo/dev?wait=30s", ""); /* has nothing: no reason to wait */
    assert_int_equal(first.status, 200);
    char headers[256];
    char path[256];
    snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", header(&first, "ETag"));
    snprintf(path, sizeof(path), "/foo/dev?wait=30s&etag=%s", header(&first, "ETag"));
    for (char *p = path; *p != '\0'; p++) {
        if (*p == '"') { /* as a client may leave them out */
            memmove(p, p + 1, strlen(p));
        }
    }
    int by_header = begin(w, "GET", "/foo/dev?wait=30s", headers, "");
    int by_query = begin(w, "GET", path, "", "");
    assert_false(is_answered(w, by_header));
    assert_false(is_answered(w, by_query));
    estate_double_put(w->estate, again, 1); /* another commit with the same properties */
    assert_false(is_answered(w, by_header));
    assert_false(is_answered(w, by_query));
    estate_double_put(w->estate, labels, N_OF(labels));
    int fds[] = {by_header, by_query};
    for (size_t i = 0; i < N_OF(fds); i++) {
        reply got = end(fds[i]);
        assert_int_equal(got.status, 200);
        assert_non_null(strstr(got.body, "\"server_port\":6868"));
    }
}

static void a_wait_ends_with_the_current_etag(void **state)
{
    world *w = *state;
    estate_double_put(w->estate, after, 1);
    reply first = get(w, "/foo/dev", "");
    char headers[256];
    snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", header(&first, "ETag"));
    estate_double_put(w->estate, again, 1);
    reply got = get(w, "/foo/dev?wait=20ms", headers);
    assert_int_equal(got.status, 304);
    assert_int_equal(strncmp(header(&got, "ETag"), "\"" COMMIT ".", 42), 0);
    got = get(w, "/foo/dev?wait=0", headers);
    assert_int_equal(got.status, 304);
    got = get(w, "/foo/dev", headers); /* who does not wait has another commit */
    assert_int_equal(got.status, 200);
    static const char *const bad[] = {"", "x", "-1s", "1+s", "30sec", "9999999999s", "1.5s"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/foo/dev?wait=%s", bad[i]);
        expect(w, "GET", path, "", 400, "wait is no duration");
    }
    /* What is wrong is told at once. */
    expect(w, "GET", "/foo/dev/nope?wait=30s", "", 404, "nope");
}

static void the_first_mirror_is_waited_for(void **state)
{
    world *w = *state;
    static const double_label ready[] = {
        {.name = "main", .version = OTHER, .files = changed},
        {.name = "busy", .version = OTHER, .files = changed},
    };
    int fd = begin(w, "GET", "/foo/dev/busy", "", "");
    assert_false(is_answered(w, fd));
    estate_double_put(w->estate, ready, N_OF(ready));
    reply got = end(fd);
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(got.body, "\"server_port\":1"));
}

/* A server that stops answers those who wait. */
static void who_waits_is_answered_at_the_end(void **state)
{
    world *w = *state;
    reply first = get(w, "/foo/dev", "");
    char headers[256];
    snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", header(&first, "ETag"));
    int waiting = begin(w, "GET", "/foo/dev?wait=1m", headers, "");
    int busy = begin(w, "GET", "/foo/dev/busy", "", "");
    assert_false(is_answered(w, waiting));
    assert_false(is_answered(w, busy));
    gw_http_server_stop(w->server, 5000);
    w->server = NULL;
    assert_int_equal(end(waiting).status, 304);
    reply got = end(busy);
    assert_int_equal(got.status, 503);
    assert_string_equal(header(&got, "Retry-After"), "2");
}

/* ---- pushes and the bus -------------------------------------------------------------------- */

#define REFRESH "RefreshRemoteApplicationEvent"
#define CHANGE  "EnvironmentChangeRemoteApplicationEvent"

static void a_push_syncs_and_then_tells(void **state)
{
    world *w = *state;
    static const char form[] = "Content-Type: application/x-www-form-urlencoded\r\n";
    static const char json[] = "Content-Type: application/json\r\n";
    static const char github[] = "Content-Type: application/json\r\nX-GitHub-Event: push\r\n";
    static const struct {
        const char *headers, *body, *reply, *destinations, *syncs;
    } cases[] = {
        {json, "{\"path\":\"foo-dev.yml\"}", "[\"foo-dev\",\"foo\"]", "foo-dev:**,foo:**", "*"},
        {form, "path=application.yml", "[\"*\"]", "*:**", "*"},
        {github, "{\"commits\":[{\"modified\":[\"foo.yml\"]}]}", "[\"foo\"]", "foo:**", "*"},
        {github,
         "{\"repository\":{\"clone_url\":\"file:///repo\"},\"commits\":[{\"modified\":["
         "\"foo.yml\"]}]}",
         "[\"foo\"]", "foo:**", "file:///repo"},
        {github, "{\"repository\":{\"clone_url\":\"file:///repo\"},\"commits\":[]}", "[]", "",
         "file:///repo"},
        {json, "{}", "[]", "", ""},
        {form, "{\"path\":\"foo.yml\"}", "[\"foo\"]", "foo:**", "*"}, /* curl -d */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char found[512];
        estate_double_hold_syncs(w->estate);
        reply got = call(w, "POST", "/monitor", cases[i].headers, cases[i].body);
        assert_int_equal(got.status, 200); /* although the sync is not over */
        assert_string_equal(got.body, cases[i].reply);
        char *syncs = estate_double_take_syncs(w->estate);
        assert_string_equal(syncs, cases[i].syncs);
        free(syncs);
        destinations(w, REFRESH, found, sizeof(found));
        assert_string_equal(found, "");
        estate_double_end_syncs(w->estate, i % 2 ? GW_E_UNAVAILABLE : GW_OK);
        destinations(w, REFRESH, found, sizeof(found));
        assert_string_equal(found, cases[i].destinations);
        forget_events(w);
    }
}

static void only_so_many_pushes_wait(void **state)
{
    world *w = *state;
    static const char json[] = "Content-Type: application/json\r\n";
    estate_double_hold_syncs(w->estate);
    for (unsigned i = 0; i < CS_PUSHES_WAITING_MAX; i++) {
        assert_int_equal(call(w, "POST", "/monitor", json, "{\"path\":\"foo.yml\"}").status, 200);
    }
    expect(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 503, "send it again later");
    estate_double_end_syncs(w->estate, GW_OK);
    forget_events(w);
    expect(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 200, "[\"foo\"]");
}

/* With a secret a push without a signature is refused, and nothing happens. */
static void a_push_must_be_signed(void **state)
{
    world *w = *state;
    static const cs_webhook_rules rules = {.secret = "It's a Secret to Everybody"};
    w->app.hook_rules = &rules;
    expect(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 403, "\"status\":403");
    char *syncs = estate_double_take_syncs(w->estate);
    assert_string_equal(syncs, "");
    free(syncs);
    assert_int_equal(w->n_events, 0);
}

static void a_push_needs_no_bus(void **state)
{
    world *w = *state;
    w->app.bus.publish = NULL;
    expect(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 200, "[\"foo\"]");
    char *syncs = estate_double_take_syncs(w->estate);
    assert_string_equal(syncs, "*");
    free(syncs);
    expect(w, "POST", "/actuator/busrefresh", "", 503, "start configserver with -amqp URL");
    expect(w, "POST", "/monitor", "nonsense", 400, "the body is not JSON: line 1");
    expect(w, "POST", "/monitor", "", 400, "the body is not JSON");
}

static void the_bus_is_told(void **state)
{
    world *w = *state;
    static const char change[] = "{\"name\":\"a.b\",\"value\":\"1\"}";
    static const struct {
        const char *path, *body;
        int status;
        const char *type, *destinations;
    } cases[] = {
        {"/actuator/busrefresh", "", 204, REFRESH, "**"},
        {"/actuator/busrefresh/foo", "", 204, REFRESH, "foo:**"},
        {"/actuator/busrefresh/foo/6767", "", 204, REFRESH, "foo:6767:**"},
        {"/actuator/busrefresh/foo:6767", "", 204, REFRESH, "foo:6767:**"},
        {"/actuator/busrefresh/foo/**", "", 204, REFRESH, "foo:**"},
        {"/actuator/busrefresh/a/b/c", "", 204, REFRESH, "a:b:c"},
        {"/actuator/busrefresh/a%0ab", "", 400, REFRESH, ""},
        {"/actuator/bus-refresh", "", 204, REFRESH, "**"},
        {"/actuator/bus-refresh/foo", "", 204, REFRESH, "foo:**"},
        {"/bus/refresh", "", 204, REFRESH, "**"},
        {"/bus/refresh?destination=foo:6767", "", 204, REFRESH, "foo:6767:**"},
        {"/actuator/busenv", change, 204, CHANGE, "**"},
        {"/actuator/busenv/foo/6767", change, 204, CHANGE, "foo:6767:**"},
        {"/actuator/bus-env/foo", change, 204, CHANGE, "foo:**"},
        {"/bus/env", change, 204, CHANGE, "**"},
        {"/bus/env?destination=foo:6767", change, 204, CHANGE, "foo:6767:**"},
        {"/bus/env", "a.b=1", 400, CHANGE, ""},
        {"/actuator/busenv", "", 400, CHANGE, ""},
        {"/actuator/busenv", "{\"name\":\"a\"}", 400, CHANGE, ""},
        {"/actuator/busenv", "{\"name\":\"\",\"value\":\"\"}", 400, CHANGE, ""},
        {"/actuator/busenv", "{\"name\":\"a\",\"value\":{}}", 400, CHANGE, ""},
        {"/actuator/busenv", "[]", 400, CHANGE, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char found[512];
        reply got = call(w, "POST", cases[i].path, "", cases[i].body);
        destinations(w, cases[i].type, found, sizeof(found));
        if (got.status != cases[i].status || strcmp(found, cases[i].destinations) != 0) {
            fail_msg("%s gave %d '%s' '%s', wanted %d '%s'", cases[i].path, got.status, got.body,
                     found, cases[i].status, cases[i].destinations);
        }
        if (strcmp(cases[i].type, CHANGE) == 0 && got.status == 204) {
            assert_non_null(strstr(w->events[0], "\"values\":{\"a.b\":\"1\"}"));
        }
        forget_events(w);
    }
    w->is_full = true;
    expect(w, "POST", "/actuator/busrefresh", "", 503, "the outbox is full");
    expect(w, "POST", "/actuator/busenv", change, 503, "the outbox is full");
}

static void methods_are_told(void **state)
{
    world *w = *state;
    static const struct {
        const char *method, *path;
        int status;
        const char *allow;
    } cases[] = {
        {"GET", "/monitor", 405, "POST, OPTIONS"},
        {"HEAD", "/monitor", 405, "POST, OPTIONS"},
        {"DELETE", "/monitor", 405, "POST, OPTIONS"},
        {"OPTIONS", "/monitor", 204, "POST, OPTIONS"},
        {"GET", "/actuator/busrefresh", 405, "POST, OPTIONS"},
        {"GET", "/actuator/busrefresh/foo", 405, "POST, OPTIONS"},
        {"PUT", "/actuator/busrefresh/a/b/c", 405, "POST, OPTIONS"},
        {"GET", "/actuator/busenv", 405, "POST, OPTIONS"},
        {"GET", "/bus/refresh", 405, "POST, OPTIONS"},
        {"GET", "/bus/env", 405, "POST, OPTIONS"},
        {"POST", "/refresh", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/foo-dev.yml", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/foo/default", 405, "GET, HEAD, OPTIONS"},
        {"DELETE", "/foo/default/main", 405, "GET, HEAD, OPTIONS"},
        {"PUT", "/foo/default/main/x/y", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/explain/foo/dev", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/actuator/health", 405, "GET, HEAD, OPTIONS"},
        {"OPTIONS", "/foo/default", 204, "GET, HEAD, OPTIONS"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        reply got = call(w, cases[i].method, cases[i].path, "", "");
        if (got.status != cases[i].status || strcmp(header(&got, "Allow"), cases[i].allow) != 0) {
            fail_msg("%s %s gave %d '%s', wanted %d '%s'", cases[i].method, cases[i].path,
                     got.status, got.value, cases[i].status, cases[i].allow);
        }
    }
}

/* ---- health, and the prefix ------------------------------------------------------------------ */

static void health_tells_fresh_from_stale(void **state)
{
    world *w = *state;
    static const cs_repo_state repos[] = {
        {.name = "default",
         .uri = "https://host/a.git",
         .is_ready = true,
         .is_fresh = true,
         .age_ms = 2500,
         .default_commit = COMMIT,
         .n_faulty_files = 2},
        {.name = "team",
         .uri = "ssh://host/b.git",
         .is_ready = true,
         .age_ms = 61000,
         .reason = "cannot resolve host"},
    };
    estate_double_set_repos(w->estate, repos, N_OF(repos));
    reply got = get(w, "/actuator/health", "");
    assert_int_equal(got.status, 200);
    assert_string_equal(
        got.body,
        "{\"status\":\"UP\",\"components\":{\"configServer\":{\"status\":\"UP\",\"details\":{"
        "\"repositories\":[{\"name\":\"default\",\"uri\":\"https://host/"
        "a.git\",\"state\":\"fresh\","
        "\"ageSeconds\":2,\"version\":\"" COMMIT "\",\"faultyFiles\":2},{\"name\":\"team\",\"uri\":"
        "\"ssh://host/b.git\",\"state\":\"stale\",\"ageSeconds\":61,\"reason\":\"cannot resolve "
        "host\"}]}}}}");
    gw_health *component = gw_health_add("repository", true);
    cs_health_update(component, cs_estate_view(w->estate));
    assert_true(gw_health_is_ready());
    static const cs_repo_state missing[] = {
        {.name = "team", .uri = "ssh://host/b.git", .reason = "host key is not known"}};
    estate_double_set_repos(w->estate, missing, 1);
    cs_health_update(component, cs_estate_view(w->estate));
    assert_false(gw_health_is_ready());
    got = get(w, "/actuator/health", "");
    assert_int_equal(got.status, 503);
    json_t *health = json_loads(got.body, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(health);
    const json_t *components = json_object_get(health, "components");
    const char *reason =
        json_string_value(json_object_get(json_object_get(components, "repository"), "reason"));
    assert_string_equal(reason, "team: host key is not known");
    assert_non_null(strstr(got.body, "\"state\":\"missing\",\"reason\":\"host key is not known\""));
    json_decref(health);
    gw_health_remove(component);
}

static void health_is_up_without_a_repository_of_some(void **state)
{
    world *w = *state;
    static const cs_repo_state repos[] = {
        {.name = "default", .uri = "https://host/a.git", .is_ready = true, .is_fresh = true},
        {.name = "team", .uri = "ssh://host/b.git", .has_patterns = true, .reason = "away"},
    };
    estate_double_set_repos(w->estate, repos, N_OF(repos));
    gw_health *component = gw_health_add("repository", true);
    cs_health_update(component, cs_estate_view(w->estate));
    assert_true(gw_health_is_ready());
    reply got = get(w, "/actuator/health", "");
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(got.body, "\"configServer\":{\"status\":\"UP\""));
    assert_non_null(strstr(got.body, "\"state\":\"missing\",\"reason\":\"away\""));
    gw_health_remove(component);
}

static void health_follows_the_estate(void **state)
{
    world *w = *state;
    static const cs_repo_state missing[] = {{.name = "team", .uri = "x", .reason = "away"}};
    cs_health_watch *watch = NULL;
    assert_int_equal(cs_health_watch_start(w->estate, &watch, NULL), GW_OK);
    assert_true(gw_health_is_ready());
    estate_double_set_repos(w->estate, missing, 1);
    cs_health_watch_tell(watch);
    while (gw_health_is_ready()) {
        usleep(1000);
    }
    estate_double_set_repos(w->estate, NULL, 0);
    cs_health_watch_tell(watch);
    while (!gw_health_is_ready()) {
        usleep(1000);
    }
    cs_health_watch_stop(watch);
    cs_health_watch_tell(watch); /* as an estate that is closed then may */
    cs_health_watch_free(watch);
    cs_health_watch_free(NULL);
}

static void routes_can_have_a_prefix(void **state)
{
    world *w = *state;
    expect(w, "GET", "/api/config/foo/dev", "", 200, "\"server_port\":6868");
    expect(w, "GET", "/api/config/main/foo-dev.yml", "", 200, "server_port: 6868");
    expect(w, "GET", "/api/config/foo/dev/main/a/b.txt", "", 200, "deep");
    expect(w, "GET", "/api/config/explain/foo/dev", "", 200, "shadows");
    assert_non_null(strstr(get(w, "/api/config/encrypt/status", "").body, "NO_KEY"));
    expect(w, "GET", "/foo/dev", "", 404, "");
    expect(w, "GET", "/actuator/health", "", 200, "UP");
    expect(w, "POST", "/monitor", "{}", 200, "[]");
    static const char *const bad[] = {"a//b", "{x}", "a?b", "a b", "%61"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        cs_route_table table;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(cs_routes_make(&w->app, bad[i], &table, &err), GW_E_INVALID);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_route_answers),
        TEST(hostile_paths_are_refused),
        TEST(errors_speak_both_dialects),
        TEST(what_is_accepted_decides),
        TEST(head_is_get_without_a_body),
        TEST(what_a_client_has_is_not_sent_again),
        TEST(files_can_be_asked_for_by_date),
        TEST(a_stale_answer_says_so),
        TEST(every_route_asks_who_may),
        TEST(a_client_waits_for_a_change),
        TEST(a_wait_ends_with_the_current_etag),
        TEST(the_first_mirror_is_waited_for),
        TEST(who_waits_is_answered_at_the_end),
        TEST(a_push_syncs_and_then_tells),
        TEST(only_so_many_pushes_wait),
        TEST(a_push_must_be_signed),
        TEST(a_push_needs_no_bus),
        TEST(the_bus_is_told),
        TEST(methods_are_told),
        TEST(health_tells_fresh_from_stale),
        TEST(health_is_up_without_a_repository_of_some),
        TEST(health_follows_the_estate),
        cmocka_unit_test_setup_teardown(routes_can_have_a_prefix, setup_prefixed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
