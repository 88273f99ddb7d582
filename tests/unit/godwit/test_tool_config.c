/* SPDX-License-Identifier: MIT */
/* godwit config get, explain, encrypt and decrypt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/child.h"
#include "tool_output.h"
#include "unit/config/cipher_vectors.h"
#include "unit/config/scripted_server.h"

#define MYSECRET "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"

static char dir[256];
static char key_file[300];
static scripted_server *server;

static int set_up(void **state)
{
    (void)state;
    unsetenv("ENCRYPT_KEY");
    unsetenv("GODWIT_CONFIG_SERVER_URL");
    make_test_dir(dir, sizeof(dir));
    snprintf(key_file, sizeof(key_file), "%s/key", dir);
    FILE *file = fopen(key_file, "w");
    fputs("foo\n", file);
    fclose(file);
    server = server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_stop(server);
    remove_test_dir(dir);
    return 0;
}

/* ---- encrypt, decrypt ---------------------------------------------------------------- */

static void texts_are_decrypted(void **state)
{
    (void)state;
    CHECK(NULL, 0, "mysecret\n", "", "decrypt", "--key-file", key_file, MYSECRET);
    CHECK(NULL, 0, "mysecret\n", "", "decrypt", "--key-file", key_file, "{cipher}" MYSECRET);
    CHECK("{cipher}" MYSECRET "\n", 0, "mysecret\n", "", "decrypt", "--key-file", key_file);
    CHECK(MYSECRET, 0, "mysecret\n", "", "decrypt", "-", "--key-file", key_file);
    CHECK(NULL, 1, "", "was not encrypted with this key", "decrypt", "--key-file", key_file, "00");
    CHECK(NULL, 1, "", "was not encrypted with this key", "decrypt", "--key-file", key_file,
          "--salt", "00", MYSECRET);
    setenv("ENCRYPT_KEY", rsa_key_lines, 1);
    CHECK(NULL, 0, "mysecret\n", "", "decrypt", rsa_mysecret);
    CHECK(NULL, 0, "Gr\xc3\xbc", "", "decrypt", "--oaep", rsa_oaep_greetings);
    CHECK(NULL, 0, "mysecret\n", "", "decrypt", "--key-file", key_file, MYSECRET);
    unsetenv("ENCRYPT_KEY");
}

static void what_was_encrypted_opens(void **state)
{
    (void)state;
    static const char *const inputs[] = {"pass word", "pass word\n", "pass word\r\n"};
    for (size_t i = 0; i < 3; i++) {
        tool_output got = tool_output_of(
            (const char *const[]){"encrypt", "--key-file", key_file, NULL}, inputs[i]);
        assert_int_equal(got.status, 0);
        assert_int_equal(strncmp(got.out, "{cipher}", 8), 0);
        tool_output back =
            tool_output_of((const char *const[]){"decrypt", "--key-file", key_file, NULL}, got.out);
        assert_string_equal(back.out, "pass word\n");
        tool_output_free(&got);
        tool_output_free(&back);
    }
    CHECK(NULL, 0, "{cipher}{key:a}", "", "encrypt", "--key-file", key_file, "{key:a}text");
}

static void keys_stay_off_the_command_line(void **state)
{
    (void)state;
    CHECK(NULL, 2, "", "there is no --key, since everybody", "encrypt", "--key", "s3cr3t", "x");
    CHECK(NULL, 2, "", "--keystore-password-file", "encrypt", "--keystore-password=s3cr3t", "x");
    tool_output got =
        tool_output_of((const char *const[]){"lint", "--key=s3cr3t", ".", NULL}, NULL);
    assert_int_equal(got.status, 2);
    assert_null(strstr(got.err, "s3cr3t"));
    tool_output_free(&got);
    CHECK(NULL, 1, "", "there is no key: name a file with --key-file", "decrypt", MYSECRET);
    CHECK(NULL, 1, "", "/nowhere: ", "decrypt", "--key-file", "/nowhere", MYSECRET);
    CHECK(NULL, 1, "", "give one of", "decrypt", "--key-file", key_file, "--keystore", "/x", "y");
}

/* ---- get ------------------------------------------------------------------------------- */

#define ENVIRONMENT                                                                                \
    "{\"name\":\"foo\",\"profiles\":[\"dev\"],\"label\":null,\"version\":\"1\",\"state\":\"\","    \
    "\"propertySources\":["                                                                        \
    "{\"name\":\"r/foo-dev.yml\",\"source\":{\"b\":1,\"list[0]\":\"x\",\"on\":true,"               \
    "\"db.password\":\"hunter2\",\"text\":\"a\\u001b[1mb\"}},"                                     \
    "{\"name\":\"r/foo.yml\",\"source\":{\"b\":2,\"list[0]\":\"y\",\"list[1]\":\"z\","             \
    "\"url\":\"amqp://u:hunter2@h/\",\"sealed\":\"{cipher}00ff\",\"a\":\"1.10\"}}]}"

static void a_table_shows_what_counts(void **state)
{
    (void)state;
    server_answer(server, 200, ENVIRONMENT);
    tool_output got = tool_output_of(
        (const char *const[]){"get", "foo/dev", "--url", server_url(server), NULL}, NULL);
    assert_int_equal(got.status, 0);
    assert_string_equal(got.out,
                        "KEY          VALUE                                     SOURCE\n"
                        "a            1.10                                      r/foo.yml\n"
                        "b            1                                         r/foo-dev.yml\n"
                        "db.password  ***                                       r/foo-dev.yml\n"
                        "list[0]      x                                         r/foo-dev.yml\n"
                        "on           true                                      r/foo-dev.yml\n"
                        "sealed       {cipher}***                               r/foo.yml\n"
                        "text         a\\x1b[1mb                                 r/foo-dev.yml\n"
                        "url          amqp://u:***@h/                           r/foo.yml\n");
    tool_output_free(&got);
    CHECK(NULL, 0, "hunter2  ", "", "get", "foo/dev", "--url", server_url(server),
          "--show-secrets");
    CHECK(NULL, 0, "hunter2\n", "", "get", "foo/dev", "--url", server_url(server), "--key",
          "db.password");
    CHECK(NULL, 1, "", "there is no key 'list[1]'", "get", "foo/dev", "--url", server_url(server),
          "--key", "list[1]");
    CHECK(NULL, 1, "", "there is no key 'list', but there are keys below it: 'list[0]'\n", "get",
          "foo/dev", "--url", server_url(server), "--key", "list");
    CHECK(NULL, 1, "", "there is no key 'd'\n", "get", "foo/dev", "--url", server_url(server),
          "--key", "d");
}

static void paths_are_as_servers_want_them(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *format;
        const char *path;
    } cases[] = {
        {"foo/dev", "table", "GET /foo/dev HTTP"},
        {"foo,bar/dev,qa/v1.2", "table", "GET /foo,bar/dev,qa/v1.2 HTTP"},
        {"foo/dev/feature/x y", NULL, NULL},
        {"foo/dev/feature/x", "table", "GET /foo/dev/feature(_)x HTTP"},
        {"foo/dev", "yaml", "GET /foo-dev.yml HTTP"},
        {"foo/dev/feature/x", "json", "GET /feature(_)x/foo-dev.json HTTP"},
        {"f\xc3\xbc/dev,qa", "properties", "GET /f%C3%BC-dev,qa.properties HTTP"},
    };
    server_answer(server, 200, "{}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *words[] = {"get",      cases[i].word,   "--url", server_url(server),
                               "--format", cases[i].format, NULL};
        if (cases[i].path == NULL) {
            words[4] = NULL;
            tool_output_check(words, NULL, 2, "", "a character that is not allowed");
            continue;
        }
        tool_output_check(words, NULL, 0, "", "");
        if (strstr(server_last_request(server), cases[i].path) == NULL) {
            fail_msg("%s: %s", cases[i].path, server_last_request(server));
        }
    }
}

static void what_goes_wrong_is_told(void **state)
{
    (void)state;
    const char *url = server_url(server);
    CHECK(NULL, 2, "", "'foo' is not APP/PROFILE[/LABEL]", "get", "foo", "--url", url);
    CHECK(NULL, 2, "", "leads out of the repository", "get", "../dev", "--url", url);
    CHECK(NULL, 2, "", "not one of table, yaml, json, properties", "get", "foo/dev", "--format",
          "xml", "--url", url);
    CHECK(NULL, 2, "", "exclude each other", "get", "foo/dev", "--format", "yaml", "--key", "k");
    CHECK(NULL, 1, "", "no profile with a hyphen", "get", "foo/a-b", "--format", "yaml");
    CHECK(NULL, 2, "", "--url has a password", "get", "foo/dev", "--url", "http://u:p@h:1");
    server_answer(server, 404, "{\"title\":\"Not Found\",\"detail\":\"unknown label 'x'\"}");
    CHECK(NULL, 1, "", "/foo/dev/x answers 404: unknown label 'x'", "get", "foo/dev/x", "--url",
          url);
    server_answer(server, 401, "");
    CHECK(NULL, 1, "", "answers 401: name a token with --token-file", "get", "foo/dev", "--url",
          url);
    server_answer(server, 200, "<html>");
    CHECK(NULL, 1, "", "no configuration server", "get", "foo/dev", "--url", url);
    CHECK(NULL, 1, "", "http://127.0.0.1:", "get", "foo/dev", "--url", dead_url());
}

static void the_next_server_is_asked(void **state)
{
    (void)state;
    char urls[256];
    server_answer(server, 200, ENVIRONMENT);
    snprintf(urls, sizeof(urls), "%s,%s/", dead_url(), server_url(server));
    CHECK(NULL, 0, "1.10", "", "get", "foo/dev", "--url", urls);
    setenv("GODWIT_CONFIG_SERVER_URL", server_url(server), 1);
    CHECK(NULL, 0, "1.10", "", "get", "foo/dev");
    unsetenv("GODWIT_CONFIG_SERVER_URL");
}

static void a_token_comes_from_a_file(void **state)
{
    (void)state;
    server_answer(server, 200, ENVIRONMENT);
    CHECK(NULL, 0, "1.10", "", "get", "foo/dev", "--url", server_url(server), "--token-file",
          key_file);
    assert_non_null(strstr(server_last_request(server), "Authorization: Bearer foo\r\n"));
    CHECK(NULL, 1, "", "token-file '/nowhere'", "get", "foo/dev", "--url", server_url(server),
          "--token-file", "/nowhere");
}

/* ---- explain ----------------------------------------------------------------------------- */

#define EXPLANATION                                                                                \
    "{\"name\":\"foo\",\"properties\":["                                                           \
    "{\"key\":\"b\",\"value\":1,\"source\":\"r/foo-dev.yml\",\"file\":\"foo-dev.yml\","            \
    "\"line\":3,\"column\":1,\"shadows\":[{\"value\":2,\"source\":\"r/foo.yml\","                  \
    "\"file\":\"foo.yml\",\"line\":7,\"column\":1}]},"                                             \
    "{\"key\":\"db.password\",\"value\":\"***\",\"source\":\"r/foo-dev.yml\","                     \
    "\"file\":\"foo-dev.yml\",\"line\":4,\"column\":1,\"shadows\":[]},"                            \
    "{\"key\":\"list\",\"items\":[{\"key\":\"list[0]\",\"value\":\"x\",\"line\":5,\"column\":3}]," \
    "\"source\":\"overrides\",\"shadows\":[]}]}"

static void an_explanation_says_what_is_hidden(void **state)
{
    (void)state;
    server_answer(server, 200, EXPLANATION);
    tool_output got = tool_output_of(
        (const char *const[]){"explain", "foo/dev/v 1", "--url", server_url(server), NULL}, NULL);
    assert_int_equal(got.status, 2); /* the label */
    tool_output_free(&got);
    got = tool_output_of(
        (const char *const[]){"explain", "foo/dev/v1", "--url", server_url(server), "db&x", NULL},
        NULL);
    assert_int_equal(got.status, 0);
    assert_string_equal(got.out, "b = 1  (foo-dev.yml:3)\n"
                                 "    hides 2  (foo.yml:7)\n"
                                 "db.password = ***  (foo-dev.yml:4)\n"
                                 "list = a list, 1 value  (overrides:5)\n"
                                 "        list[0] = x\n");
    assert_non_null(strstr(server_last_request(server), "GET /explain/foo/dev/v1?key=db%26x HTTP"));
    tool_output_free(&got);
    CHECK(NULL, 0, "\"shadows\": [", "", "explain", "foo/dev", "--json", "--url",
          server_url(server));
}

static void secrets_are_asked_for(void **state)
{
    (void)state;
    server_answer_once(server, 200, EXPLANATION);
    server_answer(server, 200, ENVIRONMENT);
    CHECK(NULL, 0, "db.password = hunter2  (foo-dev.yml:4)\n", "", "explain", "foo/dev",
          "--show-secrets", "--url", server_url(server));
}

static void put(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* Files as they lie there; with a label, the commit. */
static void a_repository_is_explained_without_a_server(void **state)
{
    (void)state;
    put("application.yml", "a: 1\ndb.password: hunter2\n");
    put("foo-dev.yml", "x: 0\na: 2\n");
    CHECK(NULL, 0, "a = 2  (foo-dev.yml:2)\n    hides 1  (application.yml:1)\n", "", "explain",
          "foo/dev", "--repo", dir);
    CHECK(NULL, 0, "db.password = ***  (application.yml:2)\n", "", "explain", "foo/dev", "passw",
          "--repo", dir);
    CHECK(NULL, 0, "db.password = hunter2  (application.yml:2)\n", "", "explain", "foo/dev",
          "--show-secrets", "--repo", dir);
    CHECK(NULL, 1, "", "no key holds this text", "explain", "foo/dev", "nope", "--repo", dir);
    CHECK(NULL, 1, "", "/nowhere", "explain", "foo/dev", "--repo", "/nowhere");
    static const char *const remotes[] = {"https://u:s3cret@git.example.org/x.git",
                                          "ssh://git@git.example.org/x.git",
                                          "git@git.example.org:x.git"};
    for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++) {
        CHECK(NULL, 2, "", "clone the repository first", "explain", "foo/dev", "--repo",
              remotes[i]);
        CHECK(NULL, 2, "", "clone the repository first", "explain", "foo/dev/main", "--repo",
              remotes[i]);
    }
    char command[600];
    snprintf(command, sizeof(command),
             "cd %s && git init -q -b main . && git add -A && git -c user.name=t -c "
             "user.email=t@example.org commit -q -m t",
             dir);
    assert_int_equal(system(command), 0);
    put("foo-dev.yml", "x: 0\na: 3\n");
    CHECK(NULL, 0, "a = 3  (foo-dev.yml:2)\n", "", "explain", "foo/dev", "--repo", dir);
    CHECK(NULL, 0, "a = 2  (foo-dev.yml:2)\n", "", "explain", "foo/dev/main", "--repo", dir);
    CHECK(NULL, 1, "", "nope", "explain", "foo/dev/nope", "--repo", dir);
    put("foo.yml", "a: 1\na: 2\n");
    CHECK(NULL, 1, "", "foo.yml:2: duplicate key 'a'", "explain", "foo/dev", "--repo", dir);
}

static void nothing_to_explain_is_a_failure(void **state)
{
    (void)state;
    server_answer(server, 200, "{\"properties\":[]}");
    CHECK(NULL, 1, "", "no key holds this text", "explain", "foo/dev", "x", "--url",
          server_url(server));
    CHECK(NULL, 1, "", "no file has anything", "explain", "foo/dev", "--url", server_url(server));
}

static void help_fits_a_screen(void **state)
{
    (void)state;
    static const char *const commands[] = {"get", "explain", "encrypt", "decrypt", "lint"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        tool_output got = tool_output_of((const char *const[]){commands[i], "--help", NULL}, NULL);
        size_t n_lines = 0;
        for (const char *line = got.out; *line != '\0'; n_lines++) {
            size_t len = strcspn(line, "\n");
            assert_true(len <= 80);
            line += len + 1;
        }
        assert_true(n_lines <= 23);
        assert_non_null(strstr(got.out, "\nexample:\n  godwit config "));
        tool_output_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_decrypted),
        cmocka_unit_test(what_was_encrypted_opens),
        cmocka_unit_test(keys_stay_off_the_command_line),
        cmocka_unit_test(a_table_shows_what_counts),
        cmocka_unit_test(paths_are_as_servers_want_them),
        cmocka_unit_test(what_goes_wrong_is_told),
        cmocka_unit_test(the_next_server_is_asked),
        cmocka_unit_test(a_token_comes_from_a_file),
        cmocka_unit_test(an_explanation_says_what_is_hidden),
        cmocka_unit_test(secrets_are_asked_for),
        cmocka_unit_test(a_repository_is_explained_without_a_server),
        cmocka_unit_test(nothing_to_explain_is_a_failure),
        cmocka_unit_test(help_fits_a_screen),
    };
    return cmocka_run_group_tests_name("tool_config", tests, set_up, tear_down);
}
