/* SPDX-License-Identifier: MIT */
/* Which webhooks are heard: signatures, switches, branches; and which repository they name. The
 * bodies have the shape that each git host documents, cut to what matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/buf.h>

#include "webhook.h"
#include "webhook_headers.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The signatures below were made with Python's hmac and this secret. */
#define SECRET "topsecret"
#define BODY   "{\"ref\":\"refs/heads/main\",\"commits\":[{\"modified\":[\"billing.yml\"]}]}"
#define GOOD   "dbf79429157dec0731fea365d26efb249762194755eda47e875c4d36c874b142"
#define OTHER  "4fa37b1505adbaabf4e8febb272d7559af52c6e857dfc663889580b17397ac58"
#define SHA1   "ee226ce50882d2664f857f7459033bf3248e8bf4"

static const char *const main_branch[] = {"main"};

static gw_status read_push(const char *const *headers, const char *body,
                           const cs_webhook_rules *rules, bool is_authorised, cs_push *push,
                           gw_error *err)
{
    cs_webhook hook = {.header = find_header,
                       .ctx = (void *)(uintptr_t)headers,
                       .body = body,
                       .body_len = strlen(body),
                       .rules = rules,
                       .is_authorised = is_authorised};
    cs_push_init(push);
    return cs_webhook_read(&hook, push, err);
}

static void only_who_knows_the_secret_is_heard(void **state)
{
    (void)state;
    static const cs_webhook_rules rules = {.secret = SECRET};
    static const struct {
        const char *headers[6];
        gw_status st;
        const char *error;
    } cases[] = {
        {{"X-GitHub-Event: push", "X-Hub-Signature-256: sha256=" GOOD}, GW_OK, NULL},
        {{"X-GitHub-Event: push", "X-Hub-Signature: sha1=" SHA1,
          "x-hub-signature-256: sha256=" GOOD},
         GW_OK,
         NULL},
        {{"X-Gitea-Event: push", "X-Gitea-Signature: " GOOD, "X-Gogs-Signature: " GOOD,
          "X-Hub-Signature: sha1=" SHA1, "X-Hub-Signature-256: sha256=" GOOD},
         GW_OK,
         NULL},
        {{"X-Gitea-Event: push", "X-Forgejo-Signature: " GOOD}, GW_OK, NULL},
        {{"X-Gogs-Event: push", "X-Gogs-Signature: " GOOD}, GW_OK, NULL},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1", "X-Hub-Signature: sha256=" GOOD},
         GW_OK,
         NULL},
        {{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: " SECRET}, GW_OK, NULL},
        {{"X-Git-Oschina-Event: Push Hook", "X-Gitee-Token: " SECRET}, GW_OK, NULL},
        {{"X-Hub-Signature-256: sha256=" GOOD}, GW_OK, NULL}, /* a script may sign too */
        {{"X-GitHub-Event: push"}, GW_E_DENIED, "the body is not signed"},
        {{NULL}, GW_E_DENIED, "the body is not signed"},
        {{"X-GitHub-Event: push", "X-Hub-Signature: sha1=" SHA1},
         GW_E_DENIED,
         "the body is not signed"},
        {{"X-GitHub-Event: push", "X-Hub-Signature-256: " GOOD},
         GW_E_DENIED,
         "the body is not signed"},
        {{"X-GitHub-Event: push", "X-Hub-Signature-256: sha256=" OTHER},
         GW_E_DENIED,
         "X-Hub-Signature-256 was not made with the secret"},
        {{"X-GitHub-Event: push", "X-Hub-Signature-256: sha256="},
         GW_E_DENIED,
         "X-Hub-Signature-256 was not made"},
        {{"X-GitHub-Event: push", "X-Hub-Signature-256: sha256=" GOOD "00"},
         GW_E_DENIED,
         "X-Hub-Signature-256 was not made"},
        {{"X-GitHub-Event: push",
          "X-Hub-Signature-256: "
          "sha256=zbf79429157dec0731fea365d26efb249762194755eda47e875c4d36c874b142"},
         GW_E_DENIED,
         "X-Hub-Signature-256 was not made"},
        /* A good one does not make up for a wrong one. */
        {{"X-Gitea-Event: push", "X-Hub-Signature-256: sha256=" GOOD, "X-Gitea-Signature: " OTHER},
         GW_E_DENIED,
         "X-Gitea-Signature was not made"},
        {{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: topsecre"},
         GW_E_DENIED,
         "X-Gitlab-Token was not made"},
        {{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: topsecret "},
         GW_E_DENIED,
         "X-Gitlab-Token was not made"},
        {{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: "},
         GW_E_DENIED,
         "X-Gitlab-Token was not made"},
        {{"X-Git-Oschina-Event: Push Hook", "X-Gitee-Token: " GOOD},
         GW_E_DENIED,
         "X-Gitee-Token was not made"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_push push;
        gw_error err = GW_ERROR_INIT;
        gw_status st = read_push(cases[i].headers, BODY, &rules, false, &push, &err);
        if (st != cases[i].st || push.is_signed != (st == GW_OK) ||
            (st != GW_OK && strstr(err.text, cases[i].error) == NULL)) {
            fail_msg("case %zu gave %s '%s'", i, gw_status_name(st), err.text);
        }
        assert_null(strstr(err.text, SECRET));
        assert_null(strstr(err.text, GOOD));
        assert_true(st == GW_OK || (push.names.n == 0 && push.n_urls == 0));
        cs_push_dispose(&push);
    }
}

static void a_signature_is_of_the_body(void **state)
{
    (void)state;
    static const cs_webhook_rules rules = {.secret = SECRET};
    static const char *const headers[] = {"X-GitHub-Event: push",
                                          "X-Hub-Signature-256: sha256=" GOOD, NULL};
    cs_push push;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(read_push(headers, BODY " ", &rules, false, &push, &err), GW_E_DENIED);
    cs_push_dispose(&push);
    /* It is looked at before the body. */
    assert_int_equal(read_push(headers, "no json", &rules, false, &push, &err), GW_E_DENIED);
    cs_push_dispose(&push);
    static const char *const form[] = {
        "Content-Type: application/x-www-form-urlencoded",
        "X-Hub-Signature-256: "
        "sha256=dbb3ffefb5bb2b25215991b0de1b8ff1dcab4981945aaf30db916f55c842901d",
        NULL};
    assert_int_equal(read_push(form, "path=foo.yml", &rules, false, &push, &err), GW_OK);
    assert_int_equal(push.names.n, 1);
    cs_push_dispose(&push);
}

static void a_user_needs_no_signature(void **state)
{
    (void)state;
    static const cs_webhook_rules rules = {.secret = SECRET};
    static const cs_webhook_rules empty = {.secret = ""};
    static const char *const none[] = {NULL};
    static const char *const wrong[] = {"X-Hub-Signature-256: sha256=" OTHER, NULL};
    static const char body[] = "{\"path\":\"foo.yml\"}";
    const struct {
        const char *const *headers;
        const cs_webhook_rules *rules;
        bool is_authorised;
        gw_status st;
    } cases[] = {
        {none, &rules, true, GW_OK},        {none, &rules, false, GW_E_DENIED},
        {wrong, &rules, true, GW_E_DENIED}, {none, &empty, false, GW_OK},
        {wrong, &empty, false, GW_OK},      {none, NULL, false, GW_OK},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_push push;
        gw_error err = GW_ERROR_INIT;
        gw_status st =
            read_push(cases[i].headers, body, cases[i].rules, cases[i].is_authorised, &push, &err);
        if (st != cases[i].st || push.is_signed) {
            fail_msg("case %zu gave %s '%s'", i, gw_status_name(st), err.text);
        }
        cs_push_dispose(&push);
    }
}

#define GITHUB_REPOSITORY                                                                          \
    "\"repository\":{\"id\":1,\"full_name\":\"acme/config\",\"private\":true,"                     \
    "\"html_url\":\"https://github.example/acme/config\",\"url\":"                                 \
    "\"https://github.example/acme/config\",\"git_url\":\"git://github.example/acme/config.git\"," \
    "\"ssh_url\":\"git@github.example:acme/config.git\",\"clone_url\":"                            \
    "\"https://github.example/acme/config.git\"}"
#define GITHUB_URLS                                                                                \
    "https://github.example/acme/config.git git@github.example:acme/config.git "                   \
    "git://github.example/acme/config.git https://github.example/acme/config"
#define COMMITS                                                                                    \
    "\"commits\":[{\"id\":\"1f\",\"added\":[],\"removed\":[],\"modified\":[\"billing-dev.yml\"]}]"
#define ZEROS "0000000000000000000000000000000000000000"

#define GITHUB(ref, after, deleted)                                                                \
    "{\"ref\":\"" ref "\",\"before\":\"4e\",\"after\":\"" after "\",\"deleted\":" deleted          \
    ",\"pusher\":{\"name\":\"a\"}," GITHUB_REPOSITORY "," COMMITS "}"
#define GITLAB                                                                                     \
    "{\"object_kind\":\"push\",\"ref\":\"refs/heads/main\",\"checkout_sha\":\"da\",\"project\":"   \
    "{\"name\":\"config\",\"web_url\":\"https://gitlab.example/acme/config\",\"git_ssh_url\":"     \
    "\"git@gitlab.example:acme/config.git\",\"git_http_url\":"                                     \
    "\"https://gitlab.example/acme/config.git\",\"default_branch\":\"main\"},\"repository\":"      \
    "{\"name\":\"config\",\"url\":\"git@gitlab.example:acme/config.git\",\"git_http_url\":"        \
    "\"https://gitlab.example/acme/config.git\",\"visibility_level\":0}," COMMITS "}"
#define CLOUD_REPOSITORY                                                                           \
    "\"repository\":{\"type\":\"repository\",\"full_name\":\"acme/config\",\"links\":{\"self\":"   \
    "{\"href\":\"https://api.bitbucket.example/2.0/repositories/acme/config\"},\"html\":"          \
    "{\"href\":\"https://bitbucket.example/acme/config\"}}}"
#define CLOUD(changes) "{\"actor\":{},\"push\":{\"changes\":[" changes "]}," CLOUD_REPOSITORY "}"
#define CLOUD_BRANCH(member, name)                                                                 \
    "\"" member "\":{\"type\":\"branch\",\"name\":\"" name "\",\"target\":{\"hash\":\"1f\"}}"
#define SERVER_REPOSITORY                                                                          \
    "\"repository\":{\"slug\":\"config\",\"links\":{\"clone\":[{\"href\":"                         \
    "\"ssh://git@bb.example:7999/acme/config.git\",\"name\":\"ssh\"},{\"href\":"                   \
    "\"https://bb.example/scm/acme/config.git\",\"name\":\"http\"}],\"self\":[{\"href\":"          \
    "\"https://bb.example/projects/ACME/repos/config/browse\"}]}}"
#define SERVER_URLS                                                                                \
    "ssh://git@bb.example:7999/acme/config.git https://bb.example/scm/acme/config.git "            \
    "https://bb.example/projects/ACME/repos/config/browse"
#define SERVER(branch, type)                                                                       \
    "{\"eventKey\":\"repo:refs_changed\"," SERVER_REPOSITORY                                       \
    ",\"changes\":[{\"ref\":{\"id\":\"refs/heads/" branch "\",\"displayId\":\"" branch             \
    "\",\"type\":\"BRANCH\"},\"toHash\":\"1f\",\"type\":\"" type "\"}]}"
#define MERGED(branch)                                                                             \
    "{\"eventKey\":\"pr:merged\",\"pullRequest\":{\"id\":9,\"toRef\":{\"id\":\"refs/heads/" branch \
    "\",\"displayId\":\"" branch "\"," SERVER_REPOSITORY "}}}"

static void join(gw_buf *out, const cs_text *texts, size_t n)
{
    gw_buf_add_str(out, "");
    for (size_t i = 0; i < n; i++) {
        gw_buf_addf(out, "%s%s", i > 0 ? " " : "", texts[i].bytes);
    }
}

/* The branch main counts; master stands in for it. */
static void pushes_to_other_branches_concern_nobody(void **state)
{
    (void)state;
    static const cs_webhook_rules rules = {
        .branches = main_branch, .n_branches = 1, .with_stand_ins = true};
    static const struct {
        const char *headers[3];
        const char *body;
        const char *host;
        const char *names;
        const char *urls;
        const char *reason;
    } cases[] = {
        {{"X-GitHub-Event: push"},
         GITHUB("refs/heads/main", "1f", "false"),
         "GitHub",
         "billing-dev billing",
         GITHUB_URLS,
         ""},
        {{"X-GitHub-Event: push"},
         GITHUB("refs/heads/master", "1f", "false"),
         "GitHub",
         "billing-dev billing",
         GITHUB_URLS,
         ""},
        {{"X-GitHub-Event: push"},
         GITHUB("refs/heads/feature/x", "1f", "false"),
         "GitHub",
         "",
         GITHUB_URLS,
         "a push to 'feature/x', which is none of the branches that count: main"},
        {{"X-GitHub-Event: push"},
         GITHUB("refs/tags/v1", "1f", "false"),
         "GitHub",
         "",
         GITHUB_URLS,
         "a push to 'v1', which"},
        {{"X-GitHub-Event: push"},
         GITHUB("refs/heads/main", "1f", "true"),
         "GitHub",
         "",
         GITHUB_URLS,
         "the branch 'main' was deleted"},
        {{"X-Gitea-Event: push"},
         GITHUB("refs/heads/main", ZEROS, "false"),
         "Gitea",
         "",
         GITHUB_URLS,
         "the branch 'main' was deleted"},
        {{"X-Gogs-Event: push"},
         GITHUB("refs/heads/maint", "1f", "false"),
         "Gogs",
         "",
         GITHUB_URLS,
         "a push to 'maint', which"},
        {{"X-Gitee-Event: Push Hook"},
         GITHUB("refs/heads/main", "1f", "false"),
         "Gitee",
         "billing-dev billing",
         GITHUB_URLS,
         ""},
        {{"X-Gitlab-Event: Push Hook"},
         GITLAB,
         "GitLab",
         "billing-dev billing",
         "https://gitlab.example/acme/config.git git@gitlab.example:acme/config.git "
         "https://gitlab.example/acme/config",
         ""},
        {{"X-Event-Key: repo:push", "X-Hook-UUID: 1"},
         CLOUD("{\"old\":null," CLOUD_BRANCH("new", "main") "}"),
         "Bitbucket",
         "*",
         "https://bitbucket.example/acme/config "
         "https://api.bitbucket.example/2.0/repositories/acme/config",
         ""},
        {{"X-Event-Key: repo:push", "X-Hook-UUID: 1"},
         CLOUD("{" CLOUD_BRANCH("old", "x") "," CLOUD_BRANCH("new", "x") "},{" CLOUD_BRANCH(
             "old", "master") "," CLOUD_BRANCH("new", "master") "}"),
         "Bitbucket",
         "*",
         "https://bitbucket.example/acme/config "
         "https://api.bitbucket.example/2.0/repositories/acme/config",
         ""},
        {{"X-Event-Key: repo:push", "X-Hook-UUID: 1"},
         CLOUD("{" CLOUD_BRANCH("old", "main") ",\"new\":null}"),
         "Bitbucket",
         "",
         "https://bitbucket.example/acme/config "
         "https://api.bitbucket.example/2.0/repositories/acme/config",
         "the branch 'main' was deleted"},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1"},
         SERVER("main", "UPDATE"),
         "Bitbucket Server",
         "*",
         SERVER_URLS,
         ""},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1"},
         SERVER("main", "DELETE"),
         "Bitbucket Server",
         "",
         SERVER_URLS,
         "the branch 'main' was deleted"},
        {{"X-Event-Key: repo:refs_changed", "X-Request-Id: 1"},
         SERVER("x", "ADD"),
         "Bitbucket Server",
         "",
         SERVER_URLS,
         "a push to 'x', which"},
        {{"X-Event-Key: pr:merged", "X-Request-Id: 1"},
         MERGED("main"),
         "Bitbucket Server",
         "*",
         SERVER_URLS,
         ""},
        {{"X-Event-Key: pr:merged", "X-Request-Id: 1"},
         MERGED("dev"),
         "Bitbucket Server",
         "",
         SERVER_URLS,
         "a push to 'dev', which"},
        {{NULL}, "{\"path\":\"foo.yml\",\"ref\":\"refs/heads/x\"}", NULL, "foo", "", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_push push;
        gw_buf names;
        gw_buf urls;
        gw_error err = GW_ERROR_INIT;
        gw_buf_init(&names, 0);
        gw_buf_init(&urls, 0);
        gw_status st = read_push(cases[i].headers, cases[i].body, &rules, false, &push, &err);
        join(&names, push.names.items, push.names.n);
        join(&urls, push.urls, push.n_urls);
        if (st != GW_OK || strcmp(names.data, cases[i].names) != 0 ||
            strcmp(urls.data, cases[i].urls) != 0 ||
            strncmp(push.reason, cases[i].reason, strlen(cases[i].reason)) != 0 ||
            (cases[i].reason[0] == '\0') != (push.reason[0] == '\0')) {
            fail_msg("case %zu gave %s '%s', names '%s', URLs '%s', reason '%s'", i,
                     gw_status_name(st), err.text, names.data, urls.data, push.reason);
        }
        assert_string_equal(push.host != NULL ? push.host : "-",
                            cases[i].host != NULL ? cases[i].host : "-");
        gw_buf_dispose(&names);
        gw_buf_dispose(&urls);
        cs_push_dispose(&push);
    }
}

static void branches_are_a_list(void **state)
{
    (void)state;
    static const char *const some[] = {"main", "release", "v1"};
    static const char *const every[] = {"main", "*"};
    static const struct {
        cs_webhook_rules rules;
        const char *body;
        bool counts;
    } cases[] = {
        {{.n_branches = 0}, GITHUB("refs/heads/x", "1f", "false"), true},
        {{.n_branches = 0}, GITHUB("refs/heads/x", "1f", "true"), false},
        {{.branches = some, .n_branches = 3}, GITHUB("refs/heads/release", "1f", "false"), true},
        {{.branches = some, .n_branches = 3}, GITHUB("refs/tags/v1", "1f", "false"), true},
        {{.branches = some, .n_branches = 3}, GITHUB("refs/heads/master", "1f", "false"), false},
        {{.branches = some, .n_branches = 3}, GITHUB("refs/heads/Main", "1f", "false"), false},
        {{.branches = some, .n_branches = 3}, GITHUB("refs/heads/a/main", "1f", "false"), false},
        {{.branches = some, .n_branches = 3}, GITHUB("*", "1f", "false"), false},
        {{.branches = every, .n_branches = 2}, GITHUB("refs/heads/x", "1f", "false"), true},
        {{.branches = every, .n_branches = 2}, GITHUB("refs/heads/x", ZEROS, "false"), false},
        {{.branches = some, .n_branches = 3, .with_stand_ins = true},
         GITHUB("refs/heads/master", "1f", "false"),
         true},
    };
    static const char *const headers[] = {"X-GitHub-Event: push", NULL};
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_push push;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(read_push(headers, cases[i].body, &cases[i].rules, false, &push, &err),
                         GW_OK);
        if ((push.names.n > 0) != cases[i].counts) {
            fail_msg("case %zu: %zu names, '%s'", i, push.names.n, push.reason);
        }
        cs_push_dispose(&push);
    }
}

/* What a new webhook sends first; its log line is what one looks for. */
static void what_is_no_push_is_said_to_be_none(void **state)
{
    (void)state;
    static const struct {
        const char *headers[3];
        const char *reason;
    } cases[] = {
        {{"X-GitHub-Event: ping"}, "the host tells of 'ping', which is no push"},
        {{"X-Gitlab-Event: Tag Push Hook"}, "the host tells of 'Tag Push Hook', which is no push"},
        {{"X-GitHub-Event: push"}, "the body names no file"},
        {{NULL}, "the body names no file"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_push push;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(read_push(cases[i].headers, "{}", NULL, false, &push, &err), GW_OK);
        if (strncmp(push.reason, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("case %zu: '%s'", i, push.reason);
        }
        cs_push_dispose(&push);
    }
}

static void hosts_can_be_switched_off(void **state)
{
    (void)state;
    static const struct {
        cs_provider provider;
        const char *headers[4];
        const char *reason;
    } cases[] = {
        {CS_GITHUB, {"X-GitHub-Event: push"}, "pushes of GitHub are switched off"},
        {CS_GITLAB, {"X-Gitlab-Event: Push Hook"}, "pushes of GitLab are switched off"},
        {CS_GITEE, {"X-Git-Oschina-Event: Push Hook"}, "pushes of Gitee are switched off"},
        /* It is no push of GitHub either, although it says so. */
        {CS_GITEA,
         {"X-Gitea-Event: push", "X-GitHub-Event: push"},
         "pushes of Gitea are switched off"},
        {CS_GOGS, {"X-Gogs-Event: push"}, "pushes of Gogs are switched off"},
        {CS_BITBUCKET,
         {"X-Event-Key: pr:merged", "X-Request-Id: 1"},
         "pushes of Bitbucket Server are switched off"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_webhook_rules rules = {.disabled = 1u << cases[i].provider};
        cs_push push;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(read_push(cases[i].headers, BODY, &rules, false, &push, &err), GW_OK);
        assert_int_equal(push.names.n, 0);
        assert_string_equal(push.reason, cases[i].reason);
        cs_push_dispose(&push);
        rules.disabled = ~rules.disabled; /* all the others */
        assert_int_equal(read_push(cases[i].headers, BODY, &rules, false, &push, &err), GW_OK);
        assert_true(push.names.n > 0);
        cs_push_dispose(&push);
    }
}

static void hostile_bodies_are_bounded(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Event-Key: pr:merged", "X-Request-Id: 1", NULL};
    static const cs_webhook_rules rules = {.branches = main_branch, .n_branches = 1};
    gw_buf body;
    gw_buf_init(&body, 0);
    gw_buf_add_str(&body, "{\"pullRequest\":{\"toRef\":{\"displayId\":\"");
    for (int i = 0; i < 5000; i++) {
        gw_buf_add_str(&body, "x");
    }
    gw_buf_add_str(&body, "\",\"repository\":{\"links\":{\"clone\":[{\"href\":\"");
    for (int i = 0; i < 5000; i++) {
        gw_buf_add_str(&body, "y");
    }
    gw_buf_add_str(&body, "\"},5,null,{\"href\":5}");
    for (int i = 0; i < 100; i++) {
        gw_buf_addf(&body, ",{\"href\":\"https://h/%d\"}", i);
    }
    gw_buf_add_str(&body, "],\"html\":7,\"self\":{\"href\":[]}}}}}}");
    cs_push push;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(read_push(headers, body.data, &rules, false, &push, &err), GW_OK);
    assert_int_equal(push.names.n, 0);
    assert_int_equal(push.n_urls, CS_WEBHOOK_URLS_MAX);
    assert_string_equal(push.urls[0].bytes, "https://h/0"); /* what is too long is none */
    assert_true(strlen(push.reason) < CS_WEBHOOK_REASON_MAX);
    cs_push_dispose(&push);
    gw_buf_dispose(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_knows_the_secret_is_heard),
        cmocka_unit_test(a_signature_is_of_the_body),
        cmocka_unit_test(a_user_needs_no_signature),
        cmocka_unit_test(pushes_to_other_branches_concern_nobody),
        cmocka_unit_test(branches_are_a_list),
        cmocka_unit_test(what_is_no_push_is_said_to_be_none),
        cmocka_unit_test(hosts_can_be_switched_off),
        cmocka_unit_test(hostile_bodies_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
