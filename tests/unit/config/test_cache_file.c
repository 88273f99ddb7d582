/* SPDX-License-Identifier: MIT */
/* A start with what was good last, while no server answers. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/config.h>
#include <godwit/health.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "config/cache.h"
#include "config/snapshot.h"
#include "unit/config/client.h"
#include "unit/config/scripted_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static char dir[64];
static char path[128];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/godwit-cache-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/config", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when something was left behind */
}

static gw_config_options cached_options(const char *url)
{
    gw_config_options options = options_for(url);
    options.cache_file = path;
    options.timeout_ms = 50;
    return options;
}

/* Load once from a server, so that the file is there. */
static void fill(const char *properties)
{
    scripted_server *server = server_start();
    server_answer(server, 200, document(properties));
    gw_config_options options = cached_options(server_url(server));
    options.timeout_ms = 10000;
    gw_config *config = new_config(&options);
    must_load(config);
    gw_config_free(config);
    server_stop(server);
}

static int64_t gauge(void)
{
    return gw_gauge_get(gw_metrics_gauge("godwit_config_from_cache", "", NULL));
}

static bool health_says(const char *text)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    bool up = gw_health_write_json(&out, true);
    bool found = up && strstr(out.data, text) != NULL;
    gw_buf_dispose(&out);
    return found;
}

static void a_start_without_the_server(void **state)
{
    (void)state;
    fill("\"k\":\"kept\",\"p\":{\"value\":1,\"origin\":\"3:1\"}");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);

    scripted_server *server = server_start();
    server_answer(server, 503, "");
    gw_config_options options = cached_options(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(value_is(config, "k", "kept"));
    const gw_config_snapshot *snap = gw_config_acquire(config);
    assert_string_equal(gw_config_origin(snap, "p"), "file:///c/a-test.yml:3");
    assert_string_equal(gw_config_version(snap), "abc");
    assert_true(snap->layers.server.from_cache);
    uint64_t age_ns = gw_clock_unix_ns() - snap->layers.loaded_unix_ns; /* of the file, not now */
    assert_in_range(age_ns, 0, (uint64_t)60 * GW_NS_PER_S);
    gw_config_release(snap);
    assert_int_equal(gauge(), 1);
    assert_true(health_says("from the cache file, of 20"));
    assert_true(health_says("\"required\":false"));

    server_answer(server, 200, document("\"k\":\"new\"")); /* it is tried until it answers */
    wait_value(config, "k", "new");
    while (gauge() != 0) {
        pause_ms(1);
    }
    assert_false(health_says("from the cache file"));
    snap = gw_config_acquire(config);
    assert_false(snap->layers.server.from_cache);
    gw_config_release(snap);
    gw_config_free(config);
    server_stop(server);
}

/* The server may be away long, and answer nonsense or "no" first. */
static void it_is_tried_whatever_it_answers(void **state)
{
    (void)state;
    fill("\"k\":\"kept\"");
    scripted_server *server = server_start();
    server_answer_once(server, 500, ""); /* the load */
    server_answer_once(server, 404, ""); /* would not be tried again otherwise */
    server_answer(server, 200, document("\"k\":\"new\""));
    gw_config_options options = cached_options(server_url(server));
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(value_is(config, "k", "kept"));
    wait_value(config, "k", "new");
    gw_config_free(config);
    server_stop(server);
}

/* A server that refuses us is there: what is in the file is not for us any more. */
static void a_refusal_is_a_failure(void **state)
{
    (void)state;
    static const struct {
        int status;
        gw_status st;
    } cases[] = {{401, GW_E_DENIED}, {404, GW_E_NOT_FOUND}, {400, GW_E_PROTOCOL}};
    fill("\"k\":\"kept\"");
    scripted_server *server = server_start();
    for (size_t i = 0; i < N_OF(cases); i++) {
        server_answer(server, cases[i].status, "");
        gw_config_options options = cached_options(server_url(server));
        gw_config *config = new_config(&options);
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(gw_config_load(config, &err), cases[i].st);
        assert_int_equal(gauge(), 0);
        gw_config_free(config);
    }
    server_stop(server);
}

static void expect_refusal(const gw_config_options *options, gw_status st, const char *says)
{
    gw_config *config = new_config(options);
    gw_error err = GW_ERROR_INIT;
    gw_status got = gw_config_load(config, &err);
    if (got != st || strstr(err.text, says) == NULL ||
        strstr(err.text, "cannot load configuration from http://127.0.0.1") == NULL) {
        fail_msg("got %s '%s', expected '%s'", gw_status_name(got), err.text, says);
    }
    gw_config_free(config);
}

static void without_a_file(void **state)
{
    (void)state;
    gw_config_options options = cached_options(dead_url());
    expect_refusal(&options, GW_E_UNAVAILABLE, "there is none yet");
}

static void the_file_of_another(void **state)
{
    (void)state;
    fill("\"k\":\"kept\"");
    gw_config_options cases[3];
    for (size_t i = 0; i < N_OF(cases); i++) {
        cases[i] = cached_options(dead_url());
    }
    cases[0].app = "vipservice";
    cases[1].profile = "prod";
    cases[2].label = "main,next";
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_refusal(&cases[i], GW_E_UNAVAILABLE, "is of another program, profile or label");
    }
}

/* Change one byte anywhere, cut it anywhere: refused, with a text. */
static void a_damaged_file(void **state)
{
    (void)state;
    fill("\"k\":\"kept\"");
    char text[2048];
    FILE *file = fopen(path, "r");
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    gw_config_options options = cached_options(dead_url());
    gw__cache cache;
    assert_int_equal(gw__cache_init(&cache, &options, NULL), GW_OK);
    for (size_t i = 0; i < 2 * len; i++) {
        char damaged[2048];
        memcpy(damaged, text, len);
        damaged[i % len] ^= 1;
        file = fopen(path, "w");
        fwrite(damaged, 1, i < len ? len : i - len, file);
        fclose(file);
        gw_buf body;
        gw_buf_init(&body, 0);
        char saved[GW_TIME_MS_LEN + 1];
        gw_error err = GW_ERROR_INIT;
        if (gw__cache_read(&cache, &body, saved, &err) != GW_E_INVALID ||
            strstr(err.text, path) == NULL) {
            fail_msg("%zu: '%s'", i, err.text);
        }
        assert_int_equal(body.len, 0);
        gw_buf_dispose(&body);
    }
    gw__cache_dispose(&cache);
}

static void a_file_that_is_none(void **state)
{
    (void)state;
    gw_config_options options = cached_options(dead_url());
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refusal(&options, GW_E_UNAVAILABLE, "is no ordinary file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal(&options, GW_E_UNAVAILABLE, "is no ordinary file");
    unlink(path);
    fill("\"k\":\"kept\"");
    char aside[sizeof(path) + 8];
    snprintf(aside, sizeof(aside), "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0); /* even to a good one */
    expect_refusal(&options, GW_E_UNAVAILABLE, "cache file ");
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(chmod(path, 0622), 0);
    expect_refusal(&options, GW_E_UNAVAILABLE, "others can write it");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, GW__CACHE_MAX + 1), 0);
    expect_refusal(&options, GW_E_UNAVAILABLE, "more than");
}

/* What cannot be kept is told and no reason to fail. */
static void a_directory_that_is_missing(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, document("\"k\":\"v\""));
    gw_config_options options = cached_options(server_url(server));
    options.timeout_ms = 10000;
    options.cache_file = "/nonexistent/dir/config";
    gw_config *config = new_config(&options);
    must_load(config);
    assert_true(value_is(config, "k", "v"));
    gw_config_free(config);
    server_stop(server);
}

/* The same again is not written again; something else is. */
static void written_when_it_changes(void **state)
{
    (void)state;
    gw_config_options options = cached_options(dead_url());
    gw__cache cache;
    struct stat first;
    struct stat second;
    assert_int_equal(gw__cache_init(&cache, &options, NULL), GW_OK);
    assert_int_equal(gw__cache_write(&cache, "one", 3, NULL), GW_OK);
    assert_int_equal(stat(path, &first), 0);
    assert_int_equal(gw__cache_write(&cache, "one", 3, NULL), GW_OK);
    assert_int_equal(stat(path, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    assert_int_equal(gw__cache_write(&cache, "another", 7, NULL), GW_OK);
    gw_buf body;
    gw_buf_init(&body, 0);
    char saved[GW_TIME_MS_LEN + 1];
    assert_int_equal(gw__cache_read(&cache, &body, saved, NULL), GW_OK);
    assert_string_equal(body.data, "another");
    gw_buf_dispose(&body);
    gw__cache_dispose(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_start_without_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_tried_whatever_it_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(written_when_it_changes, setup, teardown),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
