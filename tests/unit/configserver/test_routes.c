/* SPDX-License-Identifier: MIT */
/* The routes over HTTP: what a client of Spring's, goblog's or a git host's sees. */
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

#include <godwit/log.h>

#include "configserver/fixture.h"
#include "routes.h"
#include "watch.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_EVENTS    16

typedef struct world {
    fixture fix;
    cs_repository *repo;
    cs_app app;
    gw_http_server *server;
    pthread_mutex_t lock;
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
static void destinations(world *w, char *ret, size_t size)
{
    pthread_mutex_lock(&w->lock);
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < w->n_events; i++) {
        json_t *event = json_loads(w->events[i], 0, NULL);
        assert_non_null(event);
        assert_string_equal(json_string_value(json_object_get(event, "type")),
                            "RefreshRemoteApplicationEvent");
        assert_string_equal(json_string_value(json_object_get(event, "originService")),
                            "configserver:0:test");
        const char *destination = json_string_value(json_object_get(event, "destinationService"));
        len += (size_t)snprintf(ret + len, size - len, "%s%s", i > 0 ? "," : "", destination);
        json_decref(event);
    }
    pthread_mutex_unlock(&w->lock);
}

static int setup(void **state)
{
    static const fixture_file files[] = {
        {"application.yml", "shared: 1\n", false},
        {"foo.yml", "server_port: 6767\n", false},
        {"broken.yml", "a: 1\na: 2\n", false},
    };
    world *w = calloc(1, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    fixture_make(&w->fix, true);
    fixture_commit(&w->fix, "main", files, N_OF(files), NULL);
    fixture_commit_file(&w->fix, "feature/x", "foo.yml", "server_port: 1\n", NULL);
    fixture_commit_file(&w->fix, "v1.2", "foo.yml", "server_port: 2\n", NULL);
    assert_int_equal(cs_repository_open(w->fix.repo, &w->repo, NULL), GW_OK);
    assert_int_equal(cs_lookup_new(w->repo, "main", &w->app.lookup, NULL), GW_OK);
    w->app.bus = (cs_bus){keep_event, w, "configserver:0:test"};
    size_t n_routes = 0;
    const gw_http_route *table = cs_routes(&n_routes);
    gw_http_route *routes = calloc(n_routes, sizeof(*routes));
    for (size_t i = 0; i < n_routes; i++) {
        routes[i] = table[i];
        routes[i].ctx = &w->app;
    }
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.address = "127.0.0.1";
    options.n_threads = 2;
    gw_error err = GW_ERROR_INIT;
    if (gw_http_server_start(&options, routes, n_routes, &w->server, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    free(routes);
    gw_log_set_level(GW_LOG_OFF);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    gw_http_server_stop(w->server, 1000);
    cs_lookup_free(w->app.lookup);
    cs_repository_free(w->repo);
    fixture_remove(&w->fix);
    forget_events(w);
    pthread_mutex_destroy(&w->lock);
    free(w);
    gw_log_set_level(GW_LOG_INFO);
    return 0;
}

typedef struct reply {
    int status;
    char content_type[64];
    char allow[64];
    char body[8192];
} reply;

/* Send the bytes as they are, which no HTTP client would do with some of them; read to the end. */
static size_t exchange(world *w, const char *request, char *ret, size_t size)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(gw_http_server_port(w->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = recv(fd, ret + len, size - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    ret[len] = '\0';
    return len;
}

/* `headers` is a list of lines with their "\r\n". */
static reply call(world *w, const char *method, const char *path, const char *headers,
                  const char *body)
{
    static char request[16384];
    static char text[16384];
    reply result = {.status = 0};
    snprintf(request, sizeof(request),
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
             method, path, headers, strlen(body), body);
    exchange(w, request, text, sizeof(text));
    char *end = strstr(text, "\r\n\r\n");
    if (end == NULL || sscanf(text, "HTTP/1.1 %d", &result.status) != 1) {
        fail_msg("%s %s: no answer but '%s'", method, path, text);
    }
    snprintf(result.body, sizeof(result.body), "%s", end + 4);
    *end = '\0';
    char *type = strcasestr(text, "\r\ncontent-type: ");
    if (type != NULL) {
        sscanf(type + 16, "%63[^\r;]", result.content_type);
    }
    char *allow = strcasestr(text, "\r\nallow: ");
    if (allow != NULL) {
        sscanf(allow + 9, "%63[^\r]", result.allow);
    }
    return result;
}

static void expect_reply(world *w, const char *method, const char *path, const char *body,
                         int status, const char *text)
{
    reply got = call(w, method, path, "", body);
    if (got.status != status || strstr(got.body, text) == NULL) {
        fail_msg("%s %s gave %d '%s', wanted %d '%s'", method, path, got.status, got.body, status,
                 text);
    }
    assert_string_equal(got.content_type,
                        status == 200 ? "application/json" : "application/problem+json");
}

static void environments_are_served(void **state)
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
        {"/foo/default/master", 200, "\"label\":\"master\","},
        {"/foo/default/feature(_)x", 200, "\"server_port\":1}"},
        {"/foo/default/v1.2", 200, "\"server_port\":2}"},
        {"/foo/default/nope", 404, "no branch, tag or commit 'nope'"},
        {"/unknown/default", 200, "\"propertySources\":[{"},
        {"/unknown/default/feature(_)x", 200, "\"propertySources\":[]}"},
        {"/broken/default", 500, "broken.yml:2: duplicate key 'a' (first at line 1)"},
        {"/foo/dev.yml", 404, "the flat formats"},
        {"/foo/dev.properties", 404, "the flat formats"},
        {"/foo/dev-yml", 200, "\"profiles\":[\"dev-yml\"]"},
        {"/foo-dev.yml", 404, "the flat formats"},
        {"/main/foo-dev.json", 404, "the flat formats"},
        {"/foo", 404, "an environment is at /{name}/{profiles}"},
        {"/foo/default/main/file.txt", 404, ""},
        {"/foo/default?x=1", 200, "\"name\":\"foo\""},
        /* attempts */
        {"/..%2f..%2fetc/default", 400, ""},
        {"/..%252f..%252fetc/default", 400, ""},
        {"/foo/..%2f..%2fetc%2fpasswd", 400, ""},
        {"/..(_)..(_)etc(_)passwd/default", 400, ""},
        {"/(_)etc(_)passwd/default", 400, ""},
        {"/foo/default/..(_)..(_)x", 400, ""},
        {"/foo/default/%23", 400, ""},
        {"/foo/default/main%23", 400, ""},
        {"/foo/default/main%2523", 400, ""},
        {"/foo/default/-x", 400, ""},
        {"/foo/default/--upload-pack=x", 400, ""},
        {"/foo/default/main%5E%7Bcommit%7D", 400, ""},
        {"/foo/default/feature%2Fx", 400, "write it as (_)"},
        {"/foo%00/default", 400, ""},
        {"/foo%0a/default", 400, ""},
        {"/foo/http%3A%2F%2Fx", 400, ""},
        {"/foo/%7Bprofile%7D", 400, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_reply(w, "GET", cases[i].path, "", cases[i].status, cases[i].text);
    }
}

/* Boot's clients ask for the V2 form first; flat values are understood by all of them. */
static void values_are_flat_whatever_is_accepted(void **state)
{
    world *w = *state;
    static const char *const accept[] = {
        "Accept: application/vnd.spring-cloud.config-server.v2+json\r\n",
        "Accept: application/json\r\n",
        "Accept: */*\r\n",
        "X-Config-Token: x\r\n",
    };
    for (size_t i = 0; i < N_OF(accept); i++) {
        reply got = call(w, "GET", "/foo/default", accept[i], "");
        assert_int_equal(got.status, 200);
        assert_string_equal(got.content_type, "application/json");
        json_t *json = json_loads(got.body, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(json_object_size(json), 6);
        json_t *source = json_array_get(json_object_get(json, "propertySources"), 0);
        json_t *value = json_object_get(json_object_get(source, "source"), "server_port");
        assert_int_equal(json_integer_value(value), 6767);
        json_decref(json);
    }
}

static void a_webhook_publishes_one_event_a_name(void **state)
{
    world *w = *state;
    static const char form[] = "Content-Type: application/x-www-form-urlencoded\r\n";
    static const char json[] = "Content-Type: application/json\r\n";
    static const char github[] = "Content-Type: application/json\r\nX-GitHub-Event: push\r\n";
    static const struct {
        const char *headers;
        const char *body;
        const char *reply;
        const char *destinations;
    } cases[] = {
        {json, "{\"path\":\"foo-dev.yml\"}", "[\"foo-dev\",\"foo\"]", "foo-dev:**,foo:**"},
        {form, "path=application.yml", "[\"*\"]", "*:**"},
        {github, "{\"commits\":[{\"modified\":[\"foo.yml\"]}]}", "[\"foo\"]", "foo:**"},
        {json, "{}", "[]", ""},
        {form, "{\"path\":\"foo.yml\"}", "[\"foo\"]", "foo:**"}, /* curl -d */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char found[512];
        reply got = call(w, "POST", "/monitor", cases[i].headers, cases[i].body);
        assert_int_equal(got.status, 200);
        assert_string_equal(got.body, cases[i].reply);
        destinations(w, found, sizeof(found));
        assert_string_equal(found, cases[i].destinations);
        forget_events(w);
    }
}

/* Standard error during a call, where the log goes; the handler has written before it answers. */
static reply call_and_read_log(world *w, const char *headers, const char *body, char *ret_log,
                               size_t size)
{
    int pipe_fds[2];
    int stderr_fd = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    gw_log_set_level(GW_LOG_INFO);
    reply got = call(w, "POST", "/monitor", headers, body);
    gw_log_set_level(GW_LOG_OFF);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], ret_log, size - 1);
    close(pipe_fds[0]);
    ret_log[n < 0 ? 0 : n] = '\0';
    return got;
}

static void a_webhook_is_logged(void **state)
{
    world *w = *state;
    static const char form[] = "Content-Type: application/x-www-form-urlencoded\r\n";
    static const char ping[] = "X-GitHub-Event: ping\r\n";
    static const char push[] = "X-GitHub-Event: push\r\n";
    static const char nothing[] = "INFO  monitor: nothing refreshed: the body names no file, "
                                  "neither as a push of a git host that is known nor with a "
                                  "'path'\n";
    static const struct {
        const char *headers;
        const char *body;
        const char *reply;
        const char *line; /* its end */
    } cases[] = {
        {form, "rubbish", "[]", nothing},
        {"", "{}", "[]", nothing},
        {"", "[]", "[]", nothing},
        {"", "{\"path\":7}", "[]", nothing},
        {ping, "{\"zen\":\"x\"}", "[]", nothing},
        {push, "{\"commits\":[]}", "[]", nothing},
        {"", "{\"path\":\"foo.yml\"}", "[\"foo\"]",
         "INFO  monitor: 1 file changed, 1 name refreshed\n"},
        {"", "{\"path\":[\"foo-dev.yml\",\"foo.yml\"]}", "[\"foo-dev\",\"foo\"]",
         "INFO  monitor: 2 files changed, 2 names refreshed\n"},
        {"", "{\"path\":\"\"}", "[]",
         "INFO  monitor: nothing refreshed: no application reads the "
         "files that the body names\n"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char log[1024];
        reply got = call_and_read_log(w, cases[i].headers, cases[i].body, log, sizeof(log));
        assert_int_equal(got.status, 200);
        assert_string_equal(got.body, cases[i].reply);
        const char *blank = strchr(log, ' '); /* after the time */
        if (blank == NULL || strcmp(blank + 1, cases[i].line) != 0) {
            fail_msg("'%s': logged '%s', wanted '%s'", cases[i].body, log, cases[i].line);
        }
        forget_events(w);
    }
}

static void busrefresh_publishes_one_event(void **state)
{
    world *w = *state;
    static const struct {
        const char *path;
        int status;
        const char *destinations;
    } cases[] = {
        {"/actuator/busrefresh", 204, "**"},
        {"/actuator/busrefresh/foo", 204, "foo:**"},
        {"/actuator/busrefresh/foo/6767", 204, "foo:6767:**"},
        {"/actuator/busrefresh/foo:6767", 204, "foo:6767:**"},
        {"/actuator/busrefresh/foo/**", 204, "foo:**"},
        {"/actuator/busrefresh/a/b/c", 204, "a:b:c"},
        {"/actuator/busrefresh/a%0ab", 400, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char found[512];
        reply got = call(w, "POST", cases[i].path, "", "");
        destinations(w, found, sizeof(found));
        if (got.status != cases[i].status || strcmp(found, cases[i].destinations) != 0) {
            fail_msg("%s gave %d '%s', wanted %d '%s'", cases[i].path, got.status, found,
                     cases[i].status, cases[i].destinations);
        }
        forget_events(w);
    }
}

static void a_webhook_can_fail(void **state)
{
    world *w = *state;
    expect_reply(w, "POST", "/monitor", "nonsense", 400, "the body is not JSON: line 1");
    expect_reply(w, "POST", "/monitor", "", 400, "the body is not JSON");
    w->is_full = true;
    expect_reply(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 503, "the outbox is full");
    expect_reply(w, "POST", "/actuator/busrefresh", "", 503, "the outbox is full");
    w->app.bus.publish = NULL;
    expect_reply(w, "POST", "/monitor", "{\"path\":\"foo.yml\"}", 503,
                 "start configserver with -amqp URL");
    expect_reply(w, "POST", "/actuator/busrefresh", "", 503, "start configserver with -amqp URL");
    assert_int_equal(w->n_events, 0);
}

static void methods_are_told(void **state)
{
    world *w = *state;
    static const struct {
        const char *method;
        const char *path;
        int status;
        const char *allow;
    } cases[] = {
        {"GET", "/monitor", 405, "POST, OPTIONS"},
        {"PUT", "/monitor", 405, "POST, OPTIONS"},
        {"PATCH", "/monitor", 405, "POST, OPTIONS"},
        {"DELETE", "/monitor", 405, "POST, OPTIONS"},
        {"PROPFIND", "/monitor", 405, "POST, OPTIONS"},
        {"OPTIONS", "/monitor", 204, "POST, OPTIONS"},
        {"GET", "/actuator/busrefresh", 405, "POST, OPTIONS"},
        {"DELETE", "/actuator/busrefresh", 405, "POST, OPTIONS"},
        {"GET", "/actuator/busrefresh/foo", 405, "POST, OPTIONS"},
        {"GET", "/actuator/busrefresh/foo/6767", 405, "POST, OPTIONS"},
        {"PUT", "/actuator/busrefresh/a/b/c", 405, "POST, OPTIONS"},
        {"PROPFIND", "/actuator/busrefresh/foo", 405, "POST, OPTIONS"},
        {"POST", "/refresh", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/foo-dev.yml", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/foo/default", 405, "GET, HEAD, OPTIONS"},
        {"DELETE", "/foo/default/main", 405, "GET, HEAD, OPTIONS"},
        {"POST", "/actuator/health", 405, "GET, HEAD, OPTIONS"},
        {"OPTIONS", "/foo/default", 204, "GET, HEAD, OPTIONS"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        reply got = call(w, cases[i].method, cases[i].path, "", "");
        if (got.status != cases[i].status || strcmp(got.allow, cases[i].allow) != 0) {
            fail_msg("%s %s gave %d '%s', wanted %d '%s'", cases[i].method, cases[i].path,
                     got.status, got.allow, cases[i].status, cases[i].allow);
        }
        if (got.status == 405) {
            assert_string_equal(got.content_type, "application/problem+json");
            assert_non_null(strstr(got.body, "is not among the methods of this path"));
        }
    }
    assert_int_equal(call(w, "HEAD", "/monitor", "", "").status, 405);
    assert_int_equal(w->n_events, 0);
}

/* The probe's answer once its status is `status`. */
static reply wait_for_health(world *w, int status)
{
    for (;;) {
        reply got = call(w, "GET", "/actuator/health", "", "");
        if (got.status == status) {
            return got;
        }
        usleep(1000);
    }
}

static void health_follows_the_repository(void **state)
{
    world *w = *state;
    cs_watch *watch = NULL;
    assert_int_equal(cs_watch_start(w->app.lookup, 10, &watch, NULL), GW_OK);
    reply got = call(w, "GET", "/actuator/health", "", "");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "{\"status\":\"UP\"}");
    fixture_delete_branch(&w->fix, "main");
    got = wait_for_health(w, 503);
    assert_non_null(strstr(got.body, "\"repository\":{\"status\":\"DOWN\""));
    assert_non_null(strstr(got.body, "no branch, tag or commit 'main' in file:///tmp/"));
    fixture_commit_file(&w->fix, "main", "foo.yml", "a: 1\n", NULL);
    wait_for_health(w, 200);
    cs_watch_stop(watch);
    cs_watch_stop(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(environments_are_served),
        TEST(values_are_flat_whatever_is_accepted),
        TEST(a_webhook_publishes_one_event_a_name),
        TEST(a_webhook_is_logged),
        TEST(busrefresh_publishes_one_event),
        TEST(a_webhook_can_fail),
        TEST(methods_are_told),
        TEST(health_follows_the_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
