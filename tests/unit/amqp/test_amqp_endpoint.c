/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "amqp/endpoint.h"

typedef struct url_case {
    const char *url;
    gw_status st;
    const char *user;
    const char *password;
    const char *vhost;
    size_t n_hosts;
    const char *last_host;
    uint16_t last_port;
    unsigned heartbeat_s;
    const char *text; /* in the error; of a good one its password_file */
} url_case;

static const url_case cases[] = {
    {"amqp://h", GW_OK, "guest", "guest", "/", 1, "h", 5672, 10, NULL},
    {"amqp://h/", GW_OK, "guest", "guest", "/", 1, "h", 5672, 10, NULL},
    {"amqp://h/%2F", GW_OK, "guest", "guest", "/", 1, "h", 5672, 10, NULL},
    {"amqp://h/%2f", GW_OK, "guest", "guest", "/", 1, "h", 5672, 10, NULL},
    {"amqp://h/foo", GW_OK, "guest", "guest", "foo", 1, "h", 5672, 10, NULL},
    {"amqp://h/%2Ffoo", GW_OK, "guest", "guest", "/foo", 1, "h", 5672, 10, NULL},
    {"amqp://h/a%2Fb", GW_OK, "guest", "guest", "a/b", 1, "h", 5672, 10, NULL},
    {"amqp://h/a%40b", GW_OK, "guest", "guest", "a@b", 1, "h", 5672, 10, NULL},
    {"AMQP://me:p%40ss@h:1/v", GW_OK, "me", "p@ss", "v", 1, "h", 1, 10, NULL},
    {"amqp://me@h", GW_OK, "me", "guest", "/", 1, "h", 5672, 10, NULL},
    {"amqp://h1:1,h2", GW_OK, "guest", "guest", "/", 2, "h2", 5672, 10, NULL},
    {"amqp://[::1]:77/", GW_OK, "guest", "guest", "/", 1, "::1", 77, 10, NULL},
    {"amqp://h?heartbeat=30", GW_OK, "guest", "guest", "/", 1, "h", 5672, 30, NULL},
    {"amqp://h/v?heartbeat=0", GW_OK, "guest", "guest", "v", 1, "h", 5672, 0, NULL},
    {"amqp://h?", GW_OK, "guest", "guest", "/", 1, "h", 5672, 10, NULL},
    {.url = "amqp://h?heartbeat=x", .st = GW_E_INVALID, .text = "heartbeat"},
    {.url = "amqp://h?heartbeat=", .st = GW_E_INVALID, .text = "heartbeat"},
    {.url = "amqp://h?heartbeat=-1", .st = GW_E_INVALID, .text = "heartbeat"},
    {.url = "amqp://h?heartbeat=3601", .st = GW_E_INVALID, .text = "heartbeat"},
    {.url = "amqp://h?heartbeat=99999999999999999999", .st = GW_E_INVALID, .text = "heartbeat"},
    {.url = "amqp://h?frame_max=9", .st = GW_E_INVALID, .text = "'frame_max'"},
    {.url = "amqp://h?heartbeat=9&x", .st = GW_E_INVALID, .text = "'x'"},
    {.url = "amqp://u:geheim@h?x=1", .st = GW_E_INVALID, .text = "'x'"},
    {"amqp://me@h?password_file=/run/p", GW_OK, "me", "guest", "/", 1, "h", 5672, 10, "/run/p"},
    {"amqp://h?heartbeat=5&password_file=%2Fa%20b", GW_OK, "guest", "guest", "/", 1, "h", 5672, 5,
     "/a b"},
    {"amqp://h,i?confirm_timeout=5", GW_OK, "guest", "guest", "/", 2, "i", 5672, 10, NULL},
    {.url = "amqp://h?confirm_timeout=0", .st = GW_E_INVALID, .text = "confirm_timeout"},
    {.url = "amqp://h?confirm_timeout=3601", .st = GW_E_INVALID, .text = "confirm_timeout"},
    {.url = "amqp://h?confirm_timeout=1s", .st = GW_E_INVALID, .text = "confirm_timeout"},
    {.url = "amqp://h?password_file=", .st = GW_E_INVALID, .text = "absolute"},
    {.url = "amqp://h?password_file", .st = GW_E_INVALID, .text = "'password_file'"},
    {.url = "amqp://h?password_file=run/p", .st = GW_E_INVALID, .text = "absolute"},
    {.url = "amqp://h?password_file=/p%00", .st = GW_E_INVALID, .text = "absolute"},
    {.url = "amqp://u:geheim@h?password_file=/p", .st = GW_E_INVALID, .text = "one of them"},
    {.url = "amqp://h?password_files=/p", .st = GW_E_INVALID, .text = "'password_files'"},
    {.url = "amqps://h", .st = GW_E_UNSUPPORTED, .text = "TLS"},
    {.url = "http://h", .st = GW_E_UNSUPPORTED, .text = "'http'"},
    {.url = "amqp://", .st = GW_E_INVALID, .text = "host"},
    {.url = "amqp:h", .st = GW_E_INVALID, .text = "scheme"},
    {.url = "amqp://u:12?geheim@h", .st = GW_E_INVALID, .text = "%3F"},
    {.url = "amqp://u:12/geheim@h/", .st = GW_E_INVALID, .text = "%2F"},
    {.url = "amqp://u:12#geheim@h/v", .st = GW_E_INVALID, .text = "%23"},
    {.url = "amqp://u:geheim@h/v@w", .st = GW_E_INVALID, .text = "%40"},
    {.url = "amqp://u:geheim@h:0", .st = GW_E_INVALID, .text = "port"},
};

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const url_case *it = &cases[i];
        gw__endpoint endpoint;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__endpoint_parse(it->url, 10, &endpoint, &err);
        if (st != it->st) {
            fail_msg("%s: %s '%s' instead of %s", it->url, gw_status_name(st), err.text,
                     gw_status_name(it->st));
        }
        if (st != GW_OK) {
            if (strstr(err.text, it->text) == NULL || strstr(err.text, "geheim") != NULL) {
                fail_msg("%s: '%s'", it->url, err.text);
            }
            continue;
        }
        const gw_url_host *last = &endpoint.url.hosts[endpoint.url.n_hosts - 1];
        if (strcmp(endpoint.user, it->user) != 0 || strcmp(endpoint.password, it->password) != 0 ||
            strcmp(endpoint.vhost, it->vhost) != 0 || endpoint.url.n_hosts != it->n_hosts ||
            strcmp(last->name, it->last_host) != 0 || last->port != it->last_port ||
            endpoint.heartbeat_s != it->heartbeat_s) {
            fail_msg("%s: user %s, password %s, vhost %s, %zu hosts, the last %s:%u, heartbeat %u",
                     it->url, endpoint.user, endpoint.password, endpoint.vhost,
                     endpoint.url.n_hosts, last->name, last->port, endpoint.heartbeat_s);
        }
        if (it->text != NULL
                ? endpoint.password_file == NULL || strcmp(endpoint.password_file, it->text) != 0
                : endpoint.password_file != NULL) {
            fail_msg("%s: password_file '%s'", it->url, endpoint.password_file);
        }
        gw__endpoint_dispose(&endpoint);
    }
}

static void test_long_parts(void **state)
{
    (void)state;
    char url[2048];
    gw__endpoint endpoint;
    gw_error err;
    memset(url, 'x', sizeof(url));
    memcpy(url, "amqp://h/", 9);
    url[9 + 256] = '\0';
    assert_int_equal(gw__endpoint_parse(url, 10, &endpoint, &err), GW_E_LIMIT);
    url[9 + 255] = '\0';
    assert_int_equal(gw__endpoint_parse(url, 10, &endpoint, &err), GW_OK);
    gw__endpoint_dispose(&endpoint);
    memset(url, 'x', sizeof(url));
    memcpy(url, "amqp://", 7);
    memcpy(url + 7 + 256, "@h", 3);
    assert_int_equal(gw__endpoint_parse(url, 10, &endpoint, &err), GW_E_LIMIT);
    static char long_path[8192];
    memset(long_path, 'x', sizeof(long_path) - 1);
    memcpy(long_path, "amqp://h?password_file=/", 24);
    assert_int_equal(gw__endpoint_parse(long_path, 10, &endpoint, &err), GW_E_LIMIT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls),
                                              cmocka_unit_test(test_long_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
