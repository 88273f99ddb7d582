/* SPDX-License-Identifier: MIT */
/* GET /accounts/{accountId}, through the real HTTP server, with a broker in memory or none at all.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/id.h>
#include <godwit/log.h>
#include <godwit/testing.h>

#include "accounts.h"
#include "support/child.h"
#include "unit/config/scripted_server.h"
#include "unit/http/peer.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define BROKER  "memory:accounts"

typedef struct fixture {
    char dir[256];
    gw_config *config;
    gw_settings *settings;
    accounts accounts;
    gw_http_server *http;
    uint16_t port;
    peer_answer answer;
} fixture;

static fixture fix;

static void start(const char *broker, const gw_client_options *options)
{
    memset(&fix, 0, sizeof(fix));
    make_test_dir(fix.dir, sizeof(fix.dir));
    assert_int_equal(gw_config_new(NULL, &fix.config, NULL), GW_OK);
    gw_settings_options options_of = {.table = account_settings_table,
                                      .n_rows = ACCOUNT_SETTINGS_N,
                                      .size = sizeof(account_settings)};
    assert_int_equal(gw_settings_new(fix.config, &options_of, &fix.settings, NULL, NULL), GW_OK);
    fix.accounts.settings = gw_settings_acquire(fix.settings);
    fix.accounts.vips = vip_list_new();
    assert_int_equal(vip_list_load(fix.accounts.vips, fix.settings, NULL), GW_OK);
    account_store_options store = {.where = fix.dir, .seed = true};
    assert_int_equal(account_store_open(&store, &fix.accounts.store, NULL), GW_OK);
    assert_int_equal(gw_connect(broker, options, &fix.accounts.client, NULL), GW_OK);
    snprintf(fix.accounts.served_by, sizeof(fix.accounts.served_by), "192.0.2.7");
    const gw_http_route routes[] = {
        {"GetAccount", "GET", "/accounts/{accountId}", accounts_get, &fix.accounts},
    };
    gw_http_options http = GW_HTTP_OPTIONS_INIT;
    http.address = "127.0.0.1";
    assert_int_equal(gw_http_server_start(&http, routes, 1, &fix.http, NULL), GW_OK);
    fix.port = gw_http_server_port(fix.http);
}

static void stop(void)
{
    gw_http_server_stop(fix.http, 5000);
    (void)gw_close(fix.accounts.client, 100, NULL);
    account_store_close(fix.accounts.store);
    vip_list_free(fix.accounts.vips);
    gw_settings_release(fix.accounts.settings);
    gw_settings_free(fix.settings);
    gw_config_free(fix.config);
    remove_test_dir(fix.dir);
}

static void get(const char *id)
{
    size_t size = strlen(id) + 128;
    char *request = malloc(size);
    assert_non_null(request);
    snprintf(request, size, "GET /accounts/%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
             id);
    peer_ask(fix.port, request, &fix.answer);
    free(request);
}

static size_t queue_len(void)
{
    size_t len = 0;
    gw_status st = gw_testing_queue_len(BROKER, "vip_queue", &len, NULL);
    assert_true(st == GW_OK || st == GW_E_NOT_FOUND);
    return st == GW_OK ? len : 0;
}

static void test_account(void **state)
{
    (void)state;
    start(BROKER, NULL);
    get("10042");
    assert_int_equal(fix.answer.status, 200);
    assert_string_equal(fix.answer.body,
                        "{\"id\":\"10042\",\"name\":\"Person_42\",\"servedBy\":\"192.0.2.7\"}");
    assert_string_equal(peer_header(&fix.answer, "Content-Type"), "application/json");
    assert_int_equal(queue_len(), 0); /* no VIP */
    stop();
}

static void test_unknown(void **state)
{
    (void)state;
    start(BROKER, NULL);
    get("10100");
    assert_int_equal(fix.answer.status, 404);
    assert_string_equal(peer_header(&fix.answer, "Content-Type"), "application/problem+json");
    assert_non_null(strstr(fix.answer.body, "\"detail\":\"there is no account '10100'\""));
    assert_int_equal(queue_len(), 0);
    stop();
}

/* "2026-11-22T10:42:13.667108584Z" */
static void check_time(const char *text)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
    assert_int_equal(strlen(text), strlen(pattern));
    for (size_t i = 0; pattern[i] != '\0'; i++) {
        if (pattern[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i]) {
            fail_msg("'%s' is not a time like %s", text, pattern);
        }
    }
}

static void test_vip(void **state)
{
    (void)state;
    start(BROKER, NULL);
    get("10000");
    assert_int_equal(fix.answer.status, 200);
    assert_string_equal(fix.answer.body,
                        "{\"id\":\"10000\",\"name\":\"Person_0\",\"servedBy\":\"192.0.2.7\"}");
    assert_int_equal(queue_len(), 1);
    gw_message *msg = NULL;
    assert_int_equal(gw_testing_take(BROKER, "vip_queue", 5000, &msg, NULL), GW_OK);
    assert_string_equal(gw_message_content_type(msg), "application/json");
    assert_true(gw_message_is_persistent(msg));
    assert_non_null(gw_message_id(msg));
    assert_true(gw_id_is_valid(gw_message_id(msg), strlen(gw_message_id(msg))));
    assert_string_equal(gw_message_routing_key(msg), "vip_queue");
    size_t len;
    const char *body = gw_message_body(msg, &len);
    assert_int_equal(len, strlen("{\"accountId\":\"10000\",\"readAt\":\"\"}") + 30);
    static const char head[] = "{\"accountId\":\"10000\",\"readAt\":\"";
    assert_memory_equal(body, head, strlen(head));
    json_t *root = json_loadb(body, len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), 2);
    check_time(json_string_value(json_object_get(root, "readAt")));
    json_decref(root);
    gw_message_free(msg);

    get("10000"); /* another read, another message */
    get("10001");
    get("10000");
    assert_int_equal(queue_len(), 2);
    stop();
}

/* The list is that of the configuration in force. */
static void test_vips_change(void **state)
{
    (void)state;
    start(BROKER, NULL);
    assert_int_equal(gw_config_set(fix.config, "vip_accounts", "10001,unknown", "the test", NULL),
                     GW_OK);
    assert_int_equal(vip_list_load(fix.accounts.vips, fix.settings, NULL), GW_OK);
    get("10000");
    assert_int_equal(queue_len(), 0);
    get("unknown"); /* a VIP that is no account */
    assert_int_equal(fix.answer.status, 404);
    assert_int_equal(queue_len(), 0);
    get("10001");
    assert_int_equal(queue_len(), 1);
    stop();
}

static void test_hostile_ids(void **state)
{
    (void)state;
    static char long_id[10241];
    static const struct {
        const char *id;
        int status;
    } cases[] = {
        {long_id, 414}, /* the server does not even hand it on */
        {long_id + 7240, 400},
        {"..%2f..%2fetc%2fpasswd", 400},
        {"%2e%2e%2f", 400},
        {"../../etc/passwd", 404}, /* more segments than the route has */
        {"..", 400},
        {"10000%00", 400},
        {"%00", 400},
        {"10000%0a", 400},
        {"10000%0d%0aX-Evil:1", 400},
        {"%22", 400},
        {"%27", 400},
        {"10000%22%2c%22x", 400},
        {"\"10000\"", 400},
        {"%7f", 400},
        {"%zz", 400},
        {"%", 400},
        {"%ec%96%b4", 400},
        {"%c0%af", 400},
        {"%ff", 400},
        {"10000%20", 400},
        {"10000+", 400},
        {"10000;x=y", 400},
    };
    memset(long_id, '1', sizeof(long_id) - 1);
    start(BROKER, NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        get(cases[i].id);
        if (fix.answer.status != cases[i].status) {
            fail_msg("'%.40s': got %d, expected %d: %s", cases[i].id, fix.answer.status,
                     cases[i].status, fix.answer.body);
        }
        assert_string_equal(peer_header(&fix.answer, "Content-Type"), "application/problem+json");
        json_t *root = json_loads(fix.answer.body, 0, NULL); /* whatever the id is made of */
        assert_non_null(root);
        assert_int_equal(json_integer_value(json_object_get(root, "status")), cases[i].status);
        json_decref(root);
        assert_true(strlen(fix.answer.body) < 1024);
        assert_null(peer_header(&fix.answer, "X-Evil"));
    }
    assert_int_equal(queue_len(), 0);
    get("10000"); /* and it still works */
    assert_int_equal(fix.answer.status, 200);
    stop();
}

static void check_refused(void)
{
    assert_int_equal(fix.answer.status, 503);
    assert_string_equal(peer_header(&fix.answer, "Retry-After"), "1");
    assert_string_equal(peer_header(&fix.answer, "Content-Type"), "application/problem+json");
    assert_non_null(
        strstr(fix.answer.body, "the notification of this read cannot be accepted at present"));
    assert_null(strstr(fix.answer.body, "Person")); /* nothing was read that nobody hears of */
}

/* The broker is away: reads go on until the outbox is full, then VIPs are refused, others not. */
static void test_outbox_full(void **state)
{
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "amqp://%s", dead_url() + strlen("http://"));
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.outbox_max_messages = 3;
    start(url, &options);
    for (int i = 0; i < 3; i++) {
        get("10000");
        assert_int_equal(fix.answer.status, 200);
    }
    for (int i = 0; i < 3; i++) {
        get("10000");
        check_refused();
        get("10001");
        assert_int_equal(fix.answer.status, 200);
    }
    stop();
}

/* It is there, and takes no more; when it does, so do we. */
static void test_broker_full(void **state)
{
    (void)state;
    static const char url[] = "memory:full?max_messages=1";
    start(url, NULL);
    get("10000");
    assert_int_equal(fix.answer.status, 200);
    get("10000");
    check_refused();
    gw_message *msg = NULL;
    assert_int_equal(gw_testing_take("memory:full", "vip_queue", 5000, &msg, NULL), GW_OK);
    gw_message_free(msg);
    get("10000");
    assert_int_equal(fix.answer.status, 200);
    stop();
}

/* Every 200 for a VIP account has its message. */
static void *reader_main(void *ctx)
{
    unsigned *n_ok = ctx;
    peer_answer *answer = malloc(sizeof(*answer));
    assert_non_null(answer);
    for (int i = 0; i < 200; i++) {
        peer_ask(fix.port,
                 "GET /accounts/10000 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", answer);
        *n_ok += answer->status == 200 ? 1 : 0;
    }
    free(answer);
    return NULL;
}

static void test_many_readers(void **state)
{
    (void)state;
    start(BROKER, NULL);
    pthread_t readers[8];
    unsigned n_ok[N_OF(readers)] = {0};
    for (size_t i = 0; i < N_OF(readers); i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &n_ok[i]), 0);
    }
    size_t total = 0;
    for (size_t i = 0; i < N_OF(readers); i++) {
        pthread_join(readers[i], NULL);
        total += n_ok[i];
    }
    assert_int_equal(total, 200 * N_OF(readers));
    assert_int_equal(queue_len(), total);
    stop();
}

static void test_address(void **state)
{
    (void)state;
    char address[64] = "";
    accounts_find_address(address, sizeof(address));
    unsigned part[4];
    char end;
    assert_int_equal(
        sscanf(address, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &end), 4);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account),     cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_vip),         cmocka_unit_test(test_vips_change),
        cmocka_unit_test(test_hostile_ids), cmocka_unit_test(test_outbox_full),
        cmocka_unit_test(test_broker_full), cmocka_unit_test(test_many_readers),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests_name("accounts", tests, NULL, NULL);
}
