/* SPDX-License-Identifier: MIT */
/* vipservice's handler and routes, over a broker in memory and the real HTTP server. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/log.h>
#include <godwit/testing.h>

#include "support/child.h"
#include "unit/http/peer.h"
#include "vips.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define BROKER  "memory:vips"
#define AT      "2026-11-22T10:42:13.667108584Z"
#define WAIT_MS 10000

typedef struct fixture {
    char dir[256];
    vips vips;
    gw_client *client;
    gw_http_server *http;
    uint16_t port;
    int real_stdout;
    int out; /* what was printed, from the start */
    peer_answer answer;
} fixture;

static fixture fix;

/* Standard output goes to a file for the time of a test. */
static void catch_stdout(void)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/stdout", fix.dir);
    fflush(stdout);
    fix.real_stdout = dup(STDOUT_FILENO);
    fix.out = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fix.out >= 0 && fix.real_stdout >= 0);
    assert_true(dup2(fix.out, STDOUT_FILENO) >= 0);
}

static void release_stdout(void)
{
    fflush(stdout);
    dup2(fix.real_stdout, STDOUT_FILENO);
    close(fix.real_stdout);
    close(fix.out);
}

static const char *printed(void)
{
    static char text[65536];
    ssize_t n = pread(fix.out, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static int setup(void **state)
{
    (void)state;
    memset(&fix, 0, sizeof(fix));
    make_test_dir(fix.dir, sizeof(fix.dir));
    char store_dir[300];
    snprintf(store_dir, sizeof(store_dir), "%s/store", fix.dir);
    vip_store_options options = {.where = store_dir, .max_seen = 1000, .max_seen_age_s = 3600};
    vip_store *store;
    assert_int_equal(vip_store_open(&options, &store, NULL), GW_OK);
    assert_int_equal(vips_init(&fix.vips, store, NULL), GW_OK);
    fix.vips.duplicates = gw_metrics_counter("test_duplicates", "Test.", NULL);
    fix.vips.health = gw_health_add("store", true);
    gw_health_up(fix.vips.health);
    assert_int_equal(gw_connect(BROKER, NULL, &fix.client, NULL), GW_OK);
    gw_subscribe_options sub = GW_SUBSCRIBE_OPTIONS_INIT;
    sub.max_attempts = UINT_MAX;
    sub.retry_delay_ms = 10;
    sub.commit = vips_commit;
    assert_int_equal(gw_subscribe_to_queue(fix.client, "vip_queue", &sub, vips_on_message,
                                           &fix.vips, NULL, NULL),
                     GW_OK);
    const gw_http_route routes[] = {
        {"ListVips", "GET", "/vips", vips_list, &fix.vips},
        {"GetVip", "GET", "/vips/{accountId}", vips_get, &fix.vips},
    };
    gw_http_options http = GW_HTTP_OPTIONS_INIT;
    http.address = "127.0.0.1";
    assert_int_equal(gw_http_server_start(&http, routes, N_OF(routes), &fix.http, NULL), GW_OK);
    fix.port = gw_http_server_port(fix.http);
    catch_stdout();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    release_stdout();
    gw_http_server_stop(fix.http, 5000);
    (void)gw_close(fix.client, 5000, NULL);
    vips_dispose(&fix.vips);
    gw_health_remove(fix.vips.health);
    remove_test_dir(fix.dir);
    return 0;
}

static void publish(const char *body, const char *id)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    assert_int_equal(gw_publish_on_queue(fix.client, "vip_queue", msg, NULL), GW_OK);
    gw_message_free(msg);
}

static void publish_read(const char *account_id, const char *id)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"accountId\":\"%s\",\"readAt\":\"" AT "\"}", account_id);
    publish(body, id);
}

static void wait_handled(void)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_testing_wait_handled(BROKER, "vip_queue", WAIT_MS, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

static void get(const char *path)
{
    char request[1024];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
             path);
    peer_ask(fix.port, request, &fix.answer);
}

/* ---- handling ------------------------------------------------------------------------ */

static void test_counts_and_prints(void **state)
{
    (void)state;
    publish_read("10000", "m1");
    publish_read("10000", "m2");
    publish_read("10001", "m3");
    wait_handled();
    assert_string_equal(printed(),
                        "Got a message: {\"accountId\":\"10000\",\"readAt\":\"" AT "\"}\n"
                        "Got a message: {\"accountId\":\"10000\",\"readAt\":\"" AT "\"}\n"
                        "Got a message: {\"accountId\":\"10001\",\"readAt\":\"" AT "\"}\n");
    get("/vips/10000");
    assert_int_equal(fix.answer.status, 200);
    assert_string_equal(fix.answer.body, "{\"accountId\":\"10000\",\"reads\":2,\"lastReadAt\":\"" AT
                                         "\",\"lastMessageId\":\"m2\"}");
}

static void test_duplicates(void **state)
{
    (void)state;
    uint64_t n = gw_counter_get(fix.vips.duplicates);
    publish_read("10000", "m1");
    publish_read("10000", "m1");
    wait_handled();
    assert_string_equal(printed(),
                        "Got a message: {\"accountId\":\"10000\",\"readAt\":\"" AT "\"}\n");
    assert_int_equal(gw_counter_get(fix.vips.duplicates), n + 1);
    get("/vips/10000");
    assert_non_null(strstr(fix.answer.body, "\"reads\":1,"));
}

/* Delivered again because the connection was lost before the acknowledgement. */
static void test_redelivered(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%d", i);
        publish_read("10000", id);
        if (i % 5 == 0) {
            assert_int_equal(gw_testing_disconnect(BROKER, NULL), GW_OK);
        }
    }
    wait_handled();
    get("/vips/10000");
    assert_non_null(strstr(fix.answer.body, "\"reads\":20,"));
}

/* A sender that gives no id: what it says makes the message unique. The library always gives one,
 * so the handler is called directly. */
static void test_without_an_id(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"accountId\":\"10000\",\"readAt\":\"one\"}",
        "{\"accountId\":\"10000\",\"readAt\":\"two\"}",
        "{\"accountId\":\"10000\",\"readAt\":\"one\"}",
    };
    for (size_t i = 0; i < N_OF(bodies); i++) {
        gw_message *msg = gw_message_new(bodies[i], strlen(bodies[i]));
        assert_int_equal(gw_message_set_id(msg, i == 1 ? "" : NULL), GW_OK);
        gw_error why = GW_ERROR_INIT;
        assert_int_equal(vips_on_message(&fix.vips, msg, &why), GW_DONE);
        assert_int_equal(vips_commit(&fix.vips, &why), GW_DONE);
        gw_message_free(msg);
    }
    get("/vips/10000");
    assert_string_equal(fix.answer.body, "{\"accountId\":\"10000\",\"reads\":2,\"lastReadAt\":"
                                         "\"two\",\"lastMessageId\":\"10000@two\"}");
}

static void test_bad_messages(void **state)
{
    (void)state;
    static char large[5000];
    memset(large, ' ', sizeof(large) - 1);
    static const struct {
        const char *body;
        const char *reason;
    } cases[] = {
        {"hello", "not JSON: "},
        {"", "not JSON: "},
        {"[1]", "not a notification: not a JSON object"},
        {"{\"accountId\":10000}", "not a notification: \"accountId\" is not a string"},
        {"{\"accountId\":\"10000\"}", "not a notification: it has no \"readAt\""},
        {large, "not a notification: 4999 bytes are more than 4096"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char id[16];
        snprintf(id, sizeof(id), "good%zu", i);
        publish(cases[i].body, "bad");
        publish_read("10000", id); /* the next one is handled */
        wait_handled();
        gw_message *dead = NULL;
        assert_int_equal(gw_testing_take(BROKER, "vip_queue.dead", WAIT_MS, &dead, NULL), GW_OK);
        size_t len;
        const char *body = gw_message_body(dead, &len);
        assert_int_equal(len, strlen(cases[i].body));
        assert_memory_equal(body, cases[i].body, len);
        assert_string_equal(gw_message_id(dead), "bad");
        const char *reason = gw_message_header_text(dead, "x-godwit-reason");
        if (strncmp(reason, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("case %zu: got '%s', expected '%s'", i, reason, cases[i].reason);
        }
        assert_string_equal(gw_message_header_text(dead, "x-godwit-queue"), "vip_queue");
        assert_int_equal(gw_message_header_int(dead, "x-godwit-attempts", 0), 1);
        gw_message_free(dead);
    }
    size_t n_dead;
    assert_int_equal(gw_testing_queue_len(BROKER, "vip_queue.dead", &n_dead, NULL), GW_OK);
    assert_int_equal(n_dead, 0);
    get("/vips/10000");
    assert_non_null(strstr(fix.answer.body, "\"reads\":6,"));
    assert_null(strstr(printed(), "hello"));
}

/* Whatever the message holds, it is one line and no command to the terminal. */
static void test_prints_one_line(void **state)
{
    (void)state;
    publish("{\"accountId\":\"1\",\n\r\t\"readAt\":\"x\",\"more\":\"\xc2\x9b"
            "31m \xec\x96\xb4 \x7f\"}",
            "m1");
    wait_handled();
    assert_string_equal(printed(), "Got a message: {\"accountId\":\"1\",   \"readAt\":\"x\","
                                   "\"more\":\"  31m \xec\x96\xb4  \"}\n");
}

/* ---- showing ------------------------------------------------------------------------------- */

static void test_get(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *body;
    } cases[] = {
        {"/vips/10000", 404, "\"detail\":\"no read of account '10000' was counted\""},
        {"/vips/..%2fetc", 404, "no read of account '../etc' was counted"},
        {"/vips/%22%27", 404, "no read of account '\\\"'' was counted"},
        {"/vips/%ff", 404, "no read of account '"},
        {"/vips/a%00b", 400, "\"status\":400"},
        {"/vips", 200, "[]"},
        {"/vips?limit=0", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=1001", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=-1", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=+1", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=1x", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=", 400, "limit is a number from 1 to 1000"},
        {"/vips?limit=99999999999999999999", 400, "limit is a number from 1 to 1000"},
        {"/vips?after=", 400, "'after' is not an account id"},
        {"/vips?after=0123456789012345678901234567890123456789012345678901234567890123456", 400,
         "'after' is not an account id"},
        {"/vips?limit=1000&after=x", 200, "[]"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        get(cases[i].path);
        if (fix.answer.status != cases[i].status ||
            strstr(fix.answer.body, cases[i].body) == NULL) {
            fail_msg("%s: got %d %s, expected %d %s", cases[i].path, fix.answer.status,
                     fix.answer.body, cases[i].status, cases[i].body);
        }
        json_t *root = json_loads(fix.answer.body, 0, NULL);
        assert_non_null(root);
        json_decref(root);
        assert_string_equal(peer_header(&fix.answer, "Content-Type"),
                            cases[i].status == 200 ? "application/json"
                                                   : "application/problem+json");
    }
}

static void test_list(void **state)
{
    (void)state;
    publish_read("10001", "m1");
    publish_read("10000", "m2\"\\");
    publish_read("10002", "m3");
    wait_handled();
    get("/vips");
    assert_string_equal(fix.answer.body,
                        "[{\"accountId\":\"10000\",\"reads\":1,\"lastReadAt\":\"" AT
                        "\",\"lastMessageId\":\"m2\\\"\\\\\"},"
                        "{\"accountId\":\"10001\",\"reads\":1,\"lastReadAt\":\"" AT
                        "\",\"lastMessageId\":\"m1\"},"
                        "{\"accountId\":\"10002\",\"reads\":1,\"lastReadAt\":\"" AT
                        "\",\"lastMessageId\":\"m3\"}]");
    get("/vips?limit=1&after=10000");
    assert_string_equal(fix.answer.body,
                        "[{\"accountId\":\"10001\",\"reads\":1,\"lastReadAt\":\"" AT
                        "\",\"lastMessageId\":\"m1\"}]");
    get("/vips?after=10002");
    assert_string_equal(fix.answer.body, "[]");
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts_and_prints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redelivered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_an_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prints_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };
    return cmocka_run_group_tests_name("vips", tests, NULL, NULL);
}
