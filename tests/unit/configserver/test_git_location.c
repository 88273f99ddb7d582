/* SPDX-License-Identifier: MIT */
/* Where repositories are, as operators write it, and what git's last words mean. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/git_failure.h"
#include "repo/git_location.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* "" stands for none. */
static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static void places_are_told_from_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        cs_git_scheme scheme;
        const char *url; /* path, if it is local */
        const char *uri;
        const char *host;
        const char *username;
        const char *password;
    } cases[] = {
        {"https://host/a/b.git", CS_GIT_HTTPS, "https://host/a/b.git", "https://host/a/b.git",
         "host", "", ""},
        {"https://joe:s%3Aecret@host:8443/b.git/", CS_GIT_HTTPS, "https://host:8443/b.git/",
         "https://host:8443/b.git", "host:8443", "joe", "s:ecret"},
        {"http://joe@[::1]:80/b", CS_GIT_HTTP, "http://[::1]:80/b", "http://[::1]:80/b", "[::1]:80",
         "joe", ""},
        {"https://a@b:c@d@host/x", CS_GIT_HTTPS, "https://host/x", "https://host/x", "host", "a@b",
         "c@d"},
        {"https://:token@host/x", CS_GIT_HTTPS, "https://host/x", "https://host/x", "host", "",
         "token"},
        {"ssh://git@host:22/~joe/b.git", CS_GIT_SSH, "ssh://git@host:22/~joe/b.git",
         "ssh://git@host:22/~joe/b.git", "host:22", "git", ""},
        {"ssh://git:s3cret@host/b.git", CS_GIT_SSH, "ssh://git@host/b.git", "ssh://git@host/b.git",
         "host", "git", "s3cret"},
        {"git@host.example:team/b.git", CS_GIT_SSH, "git@host.example:team/b.git",
         "git@host.example:team/b.git", "host.example", "git", ""},
        {"host:b.git", CS_GIT_SSH, "host:b.git", "host:b.git", "host", "", ""},
        {"/srv/b.git", CS_GIT_LOCAL, "/srv/b.git", "file:///srv/b.git", "", "", ""},
        {"/srv/a:b.git", CS_GIT_LOCAL, "/srv/a:b.git", "file:///srv/a:b.git", "", "", ""},
        {"file:///srv/b.git/", CS_GIT_LOCAL, "/srv/b.git/", "file:///srv/b.git", "", "", ""},
        {"file:/srv/b.git", CS_GIT_LOCAL, "/srv/b.git", "file:/srv/b.git", "", "", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_git_location got;
        gw_error err = GW_ERROR_INIT;
        if (cs_git_location_parse(cases[i].text, &got, &err) != GW_OK) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
        assert_int_equal(got.scheme, cases[i].scheme);
        assert_string_equal(text_of(got.scheme == CS_GIT_LOCAL ? got.path : got.url), cases[i].url);
        assert_string_equal(got.uri, cases[i].uri);
        assert_string_equal(text_of(got.host), cases[i].host);
        assert_string_equal(text_of(got.username), cases[i].username);
        assert_string_equal(text_of(got.password), cases[i].password);
        cs_git_location_dispose(&got);
    }
}

static void what_is_no_place_is_refused_without_its_secrets(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "https://joe:s3cret@/x",
        "https://joe:s3cret@host",
        "https://joe:s3cret@host/",
        "https://joe:s3cret@host/x?token=1",
        "https://joe:s3cret@ho st/x",
        "https://joe:s3cret@host:port/x",
        "https://joe:s3cret@host:123456/x",
        "https://joe:s3cret@{application}/x",
        "https://joe:s3cret@host/{application}",
        "https://joe:s3cret%zz@host/x",
        "https://joe:s3cret@host/x\ny",
        "ssh://-oX:s3cret@host/x",
        "ssh://-oX/x",
        "ssh://a b@host/x",
        "-u",
        "-oProxyCommand=s3cret:x",
        "git@host:",
        "git@host:-x",
        "git:s3cret@host:x",
        "",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_git_location got;
        gw_error err = GW_ERROR_INIT;
        gw_status st = cs_git_location_parse(cases[i], &got, &err);
        if (st != GW_E_INVALID || err.text[0] == '\0') {
            fail_msg("'%s' gave %s '%s'", cases[i], gw_status_name(st), err.text);
        }
        if (strstr(cases[i], ":s3cret") != NULL && strstr(err.text, "s3cret") != NULL) {
            fail_msg("'%s' shows its secret: %s", cases[i], err.text);
        }
    }
}

static void gits_last_words_are_understood(void **state)
{
    (void)state;
    static const struct {
        int exit_status;
        const char *said;
        gw_status expected;
        bool is_clear;
        const char *text;
    } cases[] = {
        {128,
         "Host key verification failed.\nfatal: Could not read from remote repository.\n\n"
         "Please make sure you have the correct access rights\nand the repository exists.\n",
         GW_E_DENIED, true,
         "U: the host's key is not the one that is known: compare it, then correct "
         "known-hosts-file: Host key verification failed."},
        {128, "git@h: Permission denied (publickey).\nfatal: Could not read from remote\n",
         GW_E_DENIED, true, "U: access refused (see username, private-key"},
        {128, "fatal: Authentication failed for 'https://joe:s3cret@h/x.git/'\n", GW_E_DENIED, true,
         "'https://joe:***@h/x.git/'"},
        {128, "remote: Repository not found.\nfatal: repository 'https://h/x/' not found\n",
         GW_E_NOT_FOUND, true,
         "U: there is no such repository: remote: Repository not found.; fatal: repository"},
        {128, "fatal: unable to access 'https://h/': Could not resolve host: h\n", GW_E_UNAVAILABLE,
         true, "U: the host cannot be reached"},
        {128, "fatal: unable to access 'https://h/': The requested URL returned error: 502\n",
         GW_E_UNAVAILABLE, true, "U: the host cannot answer"},
        {128, "Receiving objects:  10%\rReceiving objects:  20%\rfatal: early EOF\n",
         GW_E_UNAVAILABLE, false, "U: it cannot be fetched: fatal: early EOF"},
        {128, "error: file write error: No space left on device\nfatal: unpack-objects failed\n",
         GW_E_NO_SPACE, true, "U: the disk is full"},
        {-SIGXFSZ, "", GW_E_LIMIT, true, "U: a file of the mirror would be larger than 1024 MiB"},
        {128, "error: index-pack died of signal 25\nfatal: index-pack failed\n", GW_E_LIMIT, true,
         "U: a file of the mirror would be larger than 1024 MiB"},
        {-SIGKILL, "", GW_E_UNAVAILABLE, false, "U: it cannot be fetched: git gave no reason"},
        {127, "fatal: git cannot be run: No such file or directory\n", GW_E_IO, true,
         "U: remote repositories need the program git"},
    };
    cs_git_result *result = malloc(sizeof(*result));
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_error err = GW_ERROR_INIT;
        bool is_clear = !cases[i].is_clear;
        result->exit_status = cases[i].exit_status;
        result->len = strlen(strcpy(result->text, cases[i].said));
        gw_status st = cs_git_failure(result, "U", &is_clear, &err);
        if (st != cases[i].expected || is_clear != cases[i].is_clear ||
            strstr(err.text, cases[i].text) == NULL) {
            fail_msg("%s gave %s '%s', wanted '%s'", cases[i].said, gw_status_name(st), err.text,
                     cases[i].text);
        }
        assert_null(strstr(err.text, "s3cret"));
    }
    free(result);
}

static void a_long_reason_is_cut(void **state)
{
    (void)state;
    cs_git_result *result = calloc(1, sizeof(*result));
    gw_error err = GW_ERROR_INIT;
    bool is_clear = false;
    result->exit_status = 128;
    memset(result->text, 'x', sizeof(result->text) - 1);
    result->len = sizeof(result->text) - 1;
    cs_git_failure(result, "U", &is_clear, &err);
    assert_true(strlen(err.text) < 400);
    free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_told_from_secrets),
        cmocka_unit_test(what_is_no_place_is_refused_without_its_secrets),
        cmocka_unit_test(gits_last_words_are_understood),
        cmocka_unit_test(a_long_reason_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
