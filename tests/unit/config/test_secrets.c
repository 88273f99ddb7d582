/* SPDX-License-Identifier: MIT */
/* `{cipher}` values that the server passes on as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/config.h>
#include <godwit/log.h>

#include "unit/config/client.h"
#include "unit/config/scripted_server.h"

/* "mysecret" with the key "foo": the example of Spring's documentation. */
#define CIPHERED "{cipher}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"

static scripted_server *server;

static int setup(void **state)
{
    (void)state;
    server = server_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_stop(server);
    return 0;
}

static gw_config *config_with_key(const char *key)
{
    gw_config_options options = options_for(server_url(server));
    options.cipher.key = key;
    return new_config(&options);
}

static void opened_here(void **state)
{
    (void)state;
    server_answer(server, 200,
                  document("\"a\":\"" CIPHERED "\",\"l[0]\":\"" CIPHERED "\",\"l[1]\":\"plain\","
                           "\"b\":{\"value\":\"" CIPHERED "\",\"origin\":\"4:2\"},"
                           "\"c\":\"see {cipher}00\""));
    gw_config *config = config_with_key("foo");
    must_load(config);
    assert_true(value_is(config, "a", "mysecret"));
    assert_true(value_is(config, "l[0]", "mysecret"));
    assert_true(value_is(config, "b", "mysecret"));
    assert_true(value_is(config, "c", "see {cipher}00")); /* not at its beginning */
    gw_config_free(config);
}

/* Whatever the key is called: nobody gets to read it. */
static void not_shown_in_errors(void **state)
{
    (void)state;
    server_answer(server, 200,
                  document("\"size\":{\"value\":\"" CIPHERED "\",\"origin\":\"4:2\"}"));
    gw_config *config = config_with_key("foo");
    must_load(config);
    const gw_config_snapshot *snap = gw_config_acquire(config);
    int64_t size;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_int(snap, "size", 1, 10, &size, &err), GW_E_INVALID);
    assert_string_equal(
        err.text, "key 'size' = '***' from file:///c/a-test.yml:4 is not a number from 1 to 10");
    gw_config_release(snap);
    gw_config_free(config);
}

static void expect_failure(const char *key, const char *says)
{
    gw_config *config = config_with_key(key);
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_config_load(config, &err);
    if (st != GW_E_INVALID || strstr(err.text, says) == NULL ||
        strstr(err.text, "682bc583") != NULL) {
        fail_msg("got %s '%s'", gw_status_name(st), err.text);
    }
    const gw_config_snapshot *snap = gw_config_acquire(config);
    assert_int_equal(gw_config_n_sources(snap), 0); /* all or nothing */
    gw_config_release(snap);
    gw_config_free(config);
}

static void failures_name_the_key(void **state)
{
    (void)state;
    server_answer(
        server, 200,
        document("\"fine\":1,\"db.pass\":{\"value\":\"" CIPHERED "\",\"origin\":\"7:9\"}"));
    expect_failure(NULL, "key 'db.pass' from file:///c/a-test.yml:7 is encrypted, and this program "
                         "has no key to open it");
    expect_failure("bar", "key 'db.pass' from file:///c/a-test.yml:7 cannot be decrypted");
    server_answer(server, 200, document("\"k\":\"{cipher}no hex\""));
    expect_failure("foo", "key 'k' from file:///c/a-test.yml cannot be decrypted");
}

/* A higher source's plain value hides what cannot be opened; so does nobody's business. */
static void what_is_hidden_does_not_matter(void **state)
{
    (void)state;
    server_answer(server, 200,
                  "{\"propertySources\":[{\"name\":\"a\",\"source\":{\"k\":\"plain\"}},{\"name\":"
                  "\"b\",\"source\":{\"k\":\"{cipher}00\"}}]}");
    gw_config *config = config_with_key("foo");
    must_load(config);
    assert_true(value_is(config, "k", "plain"));
    gw_config_free(config);
}

/* What a server could not open itself: it takes the key away and leaves a note. */
static void invalid_keys_are_inert(void **state)
{
    (void)state;
    server_answer(server, 200,
                  document("\"invalid.db.pass\":\"<n/a>\",\"invalid.x\":\"{cipher}00\",\"k\":1"));
    gw_config *config = config_with_key(NULL);
    must_load(config);
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_string(snap, "db.pass", &text, &err), GW_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "(which could not decrypt it)"));
    gw_config_release(snap);
    gw_config_free(config);
}

static void a_reload_that_cannot_be_opened(void **state)
{
    (void)state;
    server_answer(server, 200, document("\"k\":\"" CIPHERED "\",\"j\":1"));
    gw_config *config = config_with_key("foo");
    must_load(config);
    server_answer(server, 200, document("\"k\":\"{cipher}00\",\"j\":2"));
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_reload(config, &err), GW_E_INVALID);
    assert_true(value_is(config, "k", "mysecret"));
    assert_true(value_is(config, "j", "1"));
    gw_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opened_here, setup, teardown),
        cmocka_unit_test_setup_teardown(not_shown_in_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_name_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_hidden_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(invalid_keys_are_inert, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_that_cannot_be_opened, setup, teardown),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
