/* SPDX-License-Identifier: MIT */
/* From the body of a git host's webhook to the names that are refreshed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/buf.h>

#include "configserver/rendering.h"
#include "files/document.h"
#include "webhook.h"
#include "webhook_headers.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static gw_status read_body(const char *const *headers, const char *body, size_t len,
                           char **ret_names, gw_error *err)
{
    cs_webhook hook = {
        .header = find_header, .ctx = (void *)(uintptr_t)headers, .body = body, .body_len = len};
    cs_push push;
    cs_push_init(&push);
    gw_status st = cs_webhook_read(&hook, &push, err);
    gw_buf out;
    gw_buf_init(&out, 0);
    for (size_t i = 0; i < push.names.n; i++) {
        gw_buf_addf(&out, "%s%s", i > 0 ? "," : "", push.names.items[i].bytes);
    }
    /* Either somebody is concerned, or there is a reason why not. */
    assert_true(st != GW_OK || (push.names.n == 0) == (push.reason[0] != '\0'));
    *ret_names = gw_buf_detach(&out, NULL);
    cs_push_dispose(&push);
    return st;
}

static void files_become_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *expected;
    } cases[] = {
        {"accountservice.yml", "accountservice"},
        {"tax-eu-dev.yml", "tax-eu-dev,tax-eu,tax"},
        {"application.yml", "*"},
        {"application-local.yml", "application-local,*"},
        {"application.properties", "*"},
        {"a/b/foo-dev.properties", "foo-dev,foo"},
        {"a\\b\\foo.yml", "foo"},
        {"foo", "foo"},
        {"foo.bar.yml", "foo.bar"},
        {"README.md", "README"},
        {".gitignore", ""},
        {"dir/", ""},
        {"", ""},
        {"-dev.yml", "-dev"},
        {"foo-.yml", "foo-,foo"},
        {"a--b.yml", "a--b,a-,a"},
        {"applications.yml", "applications"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        cs_names names;
        gw_buf_init(&out, 0);
        gw_buf_add_str(&out, "");
        cs_names_init(&names);
        cs_text path = {cases[i].path, strlen(cases[i].path)};
        assert_int_equal(cs_names_add_path(&names, path), GW_OK);
        for (size_t j = 0; j < names.n; j++) {
            gw_buf_addf(&out, "%s%s", j > 0 ? "," : "", names.items[j].bytes);
        }
        if (strcmp(out.data, cases[i].expected) != 0) {
            fail_msg("%s gave '%s', wanted '%s'", cases[i].path, out.data, cases[i].expected);
        }
        gw_buf_dispose(&out);
        cs_names_dispose(&names);
    }
}

#define COMMITS                                                                                    \
    "\"commits\":[{\"added\":[\"a.yml\"],\"removed\":[\"b.yml\"],\"modified\":[\"c-dev.yml\"]},"   \
    "{\"modified\":[\"a.yml\",\"d.yml\"]}]"
#define ALL_COMMITS "a,b,c-dev,c,d"
#define FORM        "Content-Type: application/x-www-form-urlencoded"

static void every_host_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *headers[4];
        const char *body;
        const char *expected;
    } cases[] = {
        {{"Content-Type: application/json"}, "{\"path\":\"foo.yml\"}", "foo"},
        {{NULL}, "{\"path\":[\"foo.yml\",\"bar-dev.yml\",5,\"foo.yml\"]}", "foo,bar-dev,bar"},
        {{NULL}, "{\"path\":{\"a\":1}}", ""},
        {{NULL}, "{}", ""},
        {{NULL}, "[]", ""},
        {{NULL}, "{" COMMITS "}", ""},
        {{"Content-Type: application/x-www-form-urlencoded"}, "path=foo.yml", "foo"},
        {{"content-type: application/x-www-form-urlencoded; charset=utf-8"},
         "x=1&path=foo.yml&path=dir%2Fbar-dev.yml&path=&path=a+b.yml&xpath=c",
         "foo,bar-dev,bar,a b"},
        {{"Content-Type: application/x-www-form-urlencoded"}, "", ""},
        {{"X-GitHub-Event: push"}, "{" COMMITS "}", ALL_COMMITS},
        {{"X-GitHub-Event: push", FORM},
         "payload=%7B%22commits%22%3A%5B%7B%22added%22%3A%5B%22my+app-x.yml%22%2C%22b.yml%22%5D%7D%"
         "5D%7D",
         "my app-x,my app,b"},
        {{"X-GitHub-Event: push", FORM}, "x=1&payload={" COMMITS "}", ALL_COMMITS},
        {{"X-GitHub-Event: ping", FORM}, "payload=%7B%22zen%22%3A%22x%22%7D", ""},
        {{FORM}, "payload=%7B%22path%22%3A%22foo.yml%22%7D", "foo"},
        {{FORM}, "payload=&path=foo.yml", "foo"},
        {{"X-GitHub-Event: ping"}, "{\"zen\":\"x\"}", ""},
        {{"X-GitHub-Event: push"}, "{\"commits\":[]}", ""},
        {{"X-GitHub-Event: push"}, "{\"commits\":{\"a\":5}}", ""},
        {{"X-GitHub-Event: push"}, "{\"commits\":[5,null,{\"added\":5}]}", ""},
        {{"X-Gitlab-Event: Push Hook"}, "{" COMMITS "}", ALL_COMMITS},
        {{"X-Gogs-Event: push"}, "{" COMMITS "}", ALL_COMMITS},
        {{"x-git-oschina-event: Push Hook"}, "{" COMMITS "}", ALL_COMMITS},
        {{"X-Gitee-Event: Push Hook"}, "{" COMMITS "}", ALL_COMMITS},
        {{"X-Gitea-Event: push", "X-GitHub-Event: push", "X-Gogs-Event: push"},
         "{" COMMITS "}",
         ALL_COMMITS},
        {{"X-Gitea-Event: push", "X-GitHub-Event: push"}, "{\"commits\":[{\"id\":\"x\"}]}", "*"},
        {{"X-Gitea-Event: push"}, "{}", ""},
        {{"X-Event-Key: repo:push", "X-Hook-UUID: 1"}, "{\"push\":{\"changes\":[{}]}}", "*"},
        {{"X-Event-Key: pullrequest:fulfilled", "X-Hook-UUID: 1"},
         "{\"push\":{\"changes\":[{}]}}",
         "*"},
        {{"X-Event-Key: repo:push"}, "{\"push\":{\"changes\":[{}]}}", ""},
        {{"X-Event-Key: repo:push", "X-Hook-UUID: 1"}, "{\"push\":5}", ""},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1"}, "{\"changes\":[{}]}", "*"},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1"}, "{}", ""},
        {{"X-Event-Key: pr:merged", "X-Request-Id: 1"}, "{}", "*"},
        {{"X-Event-Key: pr:opened", "X-Request-Id: 1"}, "{}", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *names = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st =
            read_body(cases[i].headers, cases[i].body, strlen(cases[i].body), &names, &err);
        if (st != GW_OK || strcmp(names, cases[i].expected) != 0) {
            fail_msg("%s gave %s '%s', wanted '%s'", cases[i].body, gw_status_name(st),
                     st == GW_OK ? names : err.text, cases[i].expected);
        }
        free(names);
    }
}

static void hostile_bodies_are_refused(void **state)
{
    (void)state;
    static const char *const json[] = {NULL};
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    char *deep = repeat("[", 100000);
    const struct {
        const char *const *headers;
        const char *body;
        size_t len;
        const char *error;
    } cases[] = {
        {json, "", 0, "the body is not JSON: line 1, column"},
        {json, "path=foo", 8, "the body is not JSON: line 1, column"},
        {json, "{\"path\":\n\"a", 11, "the body is not JSON: line 2, column"},
        {json, "{\"path\":\"a\0b\"}", 14, "the body is not JSON"},
        {json, "{\"path\":\"a\\u0000b\"}", 19, "the body is not JSON"},
        {json, "{\"path\":\"\xff\"}", 12, "the body is not JSON"},
        {json, "{\"path\":1,\"path\":2}", 19, "the body is not JSON"},
        {json, deep, 100000, "the body is not JSON"},
        {form, "path=%zz", 8, "the form's 'path' has a broken escape"},
        {form, "path=a\0b", 8, "has a broken escape or a NUL"},
        {form, "path=%00", 8, "the form's 'path' has a broken escape"},
        {form, "path=a%2", 8, "the form's 'path' has a broken escape"},
        {form, "payload=%zz", 11, "the form's 'payload' has a broken escape"},
        {form, "payload=%00", 11, "the form's 'payload' has a broken escape"},
        {form, "payload=%7B%22", 14, "the body is not JSON: line 1, column"},
        {form, "payload=x\0y", 11, "is not JSON"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *names = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_body(cases[i].headers, cases[i].body, cases[i].len, &names, &err);
        if (st != GW_E_INVALID || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("case %zu gave %s '%s', wanted '%s'", i, gw_status_name(st), err.text,
                     cases[i].error);
        }
        free(names);
    }
    free(deep);
}

static void too_much_is_bounded(void **state)
{
    (void)state;
    cs_names names;
    cs_names_init(&names);
    for (unsigned i = 0; i < CS_WEBHOOK_NAMES_MAX + 100; i++) {
        char path[32];
        int len = snprintf(path, sizeof(path), "app%u.yml", i);
        assert_int_equal(cs_names_add_path(&names, (cs_text){path, (size_t)len}), GW_OK);
    }
    assert_int_equal(names.n, CS_WEBHOOK_NAMES_MAX + 1);
    assert_true(cs_text_is(names.items[CS_WEBHOOK_NAMES_MAX], "*"));
    cs_names_dispose(&names);
    cs_names_init(&names);
    for (unsigned i = 0; i < CS_WEBHOOK_PATHS_MAX; i++) {
        assert_int_equal(cs_names_add_path(&names, (cs_text){"a.yml", 5}), GW_OK);
    }
    assert_int_equal(names.n, 1);
    assert_int_equal(cs_names_add_path(&names, (cs_text){"b.yml", 5}), GW_OK);
    assert_int_equal(names.n, 2);
    assert_true(cs_text_is(names.items[1], "*"));
    cs_names_dispose(&names);
    static const char *const json[] = {NULL};
    char *path = repeat("x", CS_WEBHOOK_PATH_MAX + 1);
    char *body = NULL;
    char *rendered = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_true(asprintf(&body, "{\"path\":\"%s\"}", path) > 0);
    assert_int_equal(read_body(json, body, strlen(body), &rendered, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "a path of more than 1024 bytes");
    free(rendered);
    free(body);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_become_names),
        cmocka_unit_test(every_host_is_understood),
        cmocka_unit_test(hostile_bodies_are_refused),
        cmocka_unit_test(too_much_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
