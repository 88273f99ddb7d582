/* SPDX-License-Identifier: MIT */
/* Who may do what, asked over HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/http.h>
#include <godwit/http_client.h>

#include "access.h"

typedef struct door {
    cs_access *access;
    gw_http_server *server;
} door;

/* /{action}/{name}/{profiles} */
static void ask(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const door *self = ctx;
    cs_action action = (cs_action)atoi(gw_http_var(req, "action"));
    if (cs_access_allow(self->access, req, res, action, gw_http_var(req, "name"),
                        gw_http_var(req, "profiles"))) {
        gw_buf_add_str(gw_http_response_body(res), "in");
    }
}

static void digest_of(const char *secret, cs_user *user)
{
    user->has_secret = true;
    assert_int_equal(cs_digest_of(secret, strlen(secret), user->digest, NULL), GW_OK);
}

static int set_up(void **state)
{
    static const char *const billing[] = {"billing", "billing-*"};
    static const char *const test[] = {"test"};
    static const char *const public[] = {"public"};
    cs_user users[] = {
        {.name = "admin", .actions = CS_ACTIONS_ALL},
        {.name = "billing",
         .actions = CS_ACTION_READ,
         .applications = billing,
         .n_applications = 2,
         .profiles = test,
         .n_profiles = 1},
        {.name = "ci", .is_token = true, .actions = CS_ACTION_REFRESH},
        {.name = NULL, .actions = CS_ACTION_READ, .applications = public, .n_applications = 1},
    };
    digest_of("pass:word", &users[0]);
    digest_of("b", &users[1]);
    digest_of("t0ken", &users[2]);
    door *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->access = cs_access_new(users, sizeof(users) / sizeof(users[0]));
    assert_non_null(self->access);
    gw_http_route route = {"Ask", "GET", "/{action}/{name}/{profiles}", ask, self};
    gw_http_options options = GW_HTTP_OPTIONS_INIT;
    options.address = "127.0.0.1";
    assert_int_equal(gw_http_server_start(&options, &route, 1, &self->server, NULL), GW_OK);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    door *self = *state;
    gw_http_server_stop(self->server, 1000);
    cs_access_free(self->access);
    free(self);
    return 0;
}

/* The body is shown, cut, in `ret_body` of 512 bytes unless it is NULL. */
static int ask_for(const door *self, const char *user, const char *header, int action,
                   const char *rest, char *ret_body)
{
    char url[256];
    snprintf(url, sizeof(url), "http://%s%s127.0.0.1:%u/%d/%s", user, user[0] == '\0' ? "" : "@",
             gw_http_server_port(self->server), action, rest);
    const char *const headers[] = {header, NULL};
    gw_http_call call = {.url = url, .headers = header == NULL ? NULL : headers};
    gw_http_reply reply = {0};
    gw_error err = GW_ERROR_INIT;
    if (gw_http_perform(&call, &reply, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    int status = reply.status;
    if (ret_body != NULL) {
        snprintf(ret_body, 512, "%.*s", (int)reply.body.len, reply.body.data);
    }
    gw_http_reply_dispose(&reply);
    return status;
}

static int status_of(const door *self, const char *user, const char *header, int action,
                     const char *rest)
{
    return ask_for(self, user, header, action, rest, NULL);
}

static void test_basic(void **state)
{
    const door *self = *state;
    assert_int_equal(status_of(self, "admin:pass%3Aword", NULL, CS_ACTION_READ, "a/b"), 200);
    assert_int_equal(status_of(self, "admin:pass%3Aword", NULL, CS_ACTION_DECRYPT, "a/b"), 200);
    assert_int_equal(status_of(self, "admin:wrong", NULL, CS_ACTION_READ, "a/b"), 401);
    static const char *const others[] = {"nobody:pass%3Aword", "adm:pass%3Aword",
                                         "admin2:pass%3Aword", ":pass%3Aword", ":"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(status_of(self, others[i], NULL, CS_ACTION_READ, "a/b"), 401);
    }
    assert_int_equal(status_of(self, "", NULL, CS_ACTION_READ, "a/b"), 401);
}

static void test_who_is_refused_is_told_what_is_missing(void **state)
{
    const door *self = *state;
    char body[512];
    assert_int_equal(ask_for(self, "billing:b", NULL, CS_ACTION_READ, "billing/prod", body), 403);
    assert_non_null(
        strstr(body, "these credentials do not allow 'read' for billing/prod: see godwit.access"));
    assert_non_null(strstr(body, "\"error\":\"Forbidden\"")); /* as Spring Boot has it */
    assert_int_equal(ask_for(self, "billing:x", NULL, CS_ACTION_READ, "billing/prod", body), 401);
    assert_non_null(strstr(body, "\"error\":\"Unauthorized\""));
    assert_int_equal(ask_for(self, "billing:b", NULL, CS_ACTION_FILES, "billing/test", body), 403);
    assert_non_null(strstr(body, "do not allow 'files' for billing/test"));
}

static void test_rules_for_applications_and_profiles(void **state)
{
    const door *self = *state;
    const char *user = "billing:b";
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billing/test"), 200);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billing-eu/test"), 200);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billing/prod"), 403);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billing/test,prod"), 403);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billing,payments/test"), 403);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_READ, "billingx/test"), 403);
    assert_int_equal(status_of(self, user, NULL, CS_ACTION_FILES, "billing/test"), 403);
}

static void test_tokens(void **state)
{
    const door *self = *state;
    const char *token = "Authorization: Bearer t0ken";
    assert_int_equal(status_of(self, "", token, CS_ACTION_REFRESH, "a/b"), 200);
    assert_int_equal(status_of(self, "", token, CS_ACTION_READ, "a/b"), 403);
    assert_int_equal(status_of(self, "", "X-Config-Token: t0ken", CS_ACTION_REFRESH, "a/b"), 200);
    assert_int_equal(status_of(self, "", "Authorization: Bearer t0keN", CS_ACTION_REFRESH, "a/b"),
                     401);
    /* A password is no token, and a token no password. */
    assert_int_equal(status_of(self, "", "Authorization: Bearer pass:word", CS_ACTION_READ, "a/b"),
                     401);
    assert_int_equal(status_of(self, "ci:t0ken", NULL, CS_ACTION_REFRESH, "a/b"), 401);
}

static void test_everybody(void **state)
{
    const door *self = *state;
    assert_int_equal(status_of(self, "", NULL, CS_ACTION_READ, "public/prod"), 200);
    assert_int_equal(status_of(self, "", NULL, CS_ACTION_READ, "public,other/prod"), 401);
    assert_int_equal(status_of(self, "", NULL, CS_ACTION_EXPLAIN, "public/prod"), 401);
    /* Who gives wrong credentials is told so, even where none were needed. */
    assert_int_equal(status_of(self, "admin:wrong", NULL, CS_ACTION_READ, "public/prod"), 401);
}

static void test_broken_headers(void **state)
{
    const door *self = *state;
    static const char *const broken[] = {
        "Authorization: Basic",          "Authorization: Basic ====",
        "Authorization: Basic YWRtaW4=", "Authorization: Basic YQ",
        "Authorization: Basic %%%%",     "Authorization: Digest x",
        "Authorization: Bearer ",        "Authorization: Basic Og==x",
        "Authorization: bearer",         "Authorization: Basic YQ=",
        "Authorization: Basic ????????",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(status_of(self, "", broken[i], CS_ACTION_READ, "a/b"), 401);
    }
}

static void test_written_digests(void **state)
{
    (void)state;
    char text[] = "ba7816bf8f01cfea414140de5dae2223B00361A396177A9CB410FF61F20015AD"; /* of "abc" */
    unsigned char written[CS_DIGEST_BYTES];
    unsigned char made[CS_DIGEST_BYTES];
    assert_int_equal(cs_digest_of("abc", 3, made, NULL), GW_OK);
    assert_true(cs_digest_parse(text, written));
    assert_memory_equal(written, made, CS_DIGEST_BYTES);
    const char wrong[] = {'g', 'G', '/', ':', '@', '`', 0x10, 0x01, ' ', '\0'};
    for (size_t i = 0; i < sizeof(wrong); i++) {
        char broken[sizeof(text)];
        memcpy(broken, text, sizeof(text));
        broken[2] = wrong[i];
        if (cs_digest_parse(broken, written)) {
            fail_msg("0x%02x counts as a digit", (unsigned)wrong[i]);
        }
    }
    assert_false(cs_digest_parse(&text[2], written));
    assert_false(cs_digest_parse("", written));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_digests),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_who_is_refused_is_told_what_is_missing),
        cmocka_unit_test(test_rules_for_applications_and_profiles),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_broken_headers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
