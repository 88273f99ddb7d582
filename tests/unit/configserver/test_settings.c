/* SPDX-License-Identifier: MIT */
/* The settings file in Spring's words, the environment above it, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

typedef struct scene {
    char dir[64];
    char path[96];
    cs_settings settings;
    gw_error err;
} scene;

static void make(scene *s, const char *text)
{
    *s = (scene){.dir = "/tmp/gw-settings-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof(s->path), "%s/application.yml", s->dir);
    FILE *file = fopen(s->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static gw_status load(scene *s)
{
    cs_settings_flags flags = {.config = s->path};
    return cs_settings_load(&flags, &s->settings, &s->err);
}

static void end(scene *s)
{
    cs_settings_dispose(&s->settings);
    unlink(s->path);
    assert_int_equal(rmdir(s->dir), 0); /* nothing else was left there */
}

/* Loading this fails, and says that. */
static void refuses(const char *text, gw_status want, const char *words)
{
    scene s;
    make(&s, text);
    gw_status st = load(&s);
    if (st != want || strstr(s.err.text, words) == NULL) {
        fail_msg("%s\n  gives %s '%s', not '%s'", text, gw_status_name(st), s.err.text, words);
    }
    end(&s);
}

static void test_a_springs_application_yml_is_taken(void **state)
{
    (void)state;
    scene s;
    make(&s, "server: {port: 8888}\n"
             "spring:\n"
             "  application: {name: config}\n"
             "  security: {user: {name: admin, password: geheim}}\n"
             "  cloud:\n"
             "    config:\n"
             "      server:\n"
             "        accept-empty: false\n"
             "        prefix: /config\n"
             "        overrides: {a.b: x, quoted: '\\${y} \\{z}'}\n"
             "        git:\n"
             "          uri: https://git.example.com/default.git\n"
             "          searchPaths: [one, 'two/{application}']\n"
             "          default_label: trunk\n"
             "          try-master-branch: false\n"
             "          refresh-rate: 60\n"
             "          username: me\n"
             "          password: secret\n"
             "          repos:\n"
             "            simple: https://git.example.com/simple.git\n"
             "            team:\n"
             "              pattern: team-*/prod,team-*/stage\n"
             "              uri: https://git.example.com/team.git\n"
             "              password: other\n"
             "            '[a.b]':\n"
             "              uri: https://git.example.com/ab.git\n"
             "encrypt: {key: topsecret}\n"
             "godwit: {refuse-unknown-applications: true}\n"
             "management: {endpoints: {web: {exposure: {include: '*'}}}}\n");
    assert_int_equal(load(&s), GW_OK);
    const cs_settings *got = &s.settings;
    assert_int_equal(got->n_repos, 4);
    assert_string_equal(got->repos[0].name, "simple");
    assert_string_equal(got->repos[0].uri, "https://git.example.com/simple.git");
    assert_int_equal(got->repos[0].n_patterns, 1);
    assert_string_equal(got->repos[0].patterns[0], "simple");
    assert_int_equal(got->repos[1].n_patterns, 2);
    assert_string_equal(got->repos[1].patterns[1], "team-*/stage");
    assert_string_equal(got->repos[1].username, "me");
    assert_string_equal(got->repos[1].password, "other");
    assert_string_equal(got->repos[1].default_label, "trunk");
    assert_string_equal(got->repos[2].name, "a.b");
    const cs_repo_options *base = &got->repos[3];
    assert_int_equal(base->n_patterns, 0);
    assert_string_equal(base->uri, "https://git.example.com/default.git");
    assert_int_equal(base->n_search_paths, 2);
    assert_string_equal(base->search_paths[1], "two/{application}");
    assert_true(base->no_master);
    assert_int_equal(base->refresh_s, 60);
    assert_true(got->rules.refuse_empty);
    assert_true(got->rules.refuse_unknown);
    assert_int_equal(got->rules.n_overrides, 2);
    assert_string_equal(got->rules.overrides[0].key.bytes, "a.b");
    assert_memory_equal(got->rules.overrides[1].value.bytes, "${y} {z}", 9);
    assert_string_equal(got->prefix, "/config");
    assert_string_equal(got->port, "8888");
    assert_true(got->has_cipher);
    assert_string_equal(got->cipher.key, "topsecret");
    assert_int_equal(got->n_users, 1);
    assert_string_equal(got->users[0].name, "admin");
    assert_int_equal(got->users[0].actions, CS_ACTIONS_ALL);
    end(&s);
}

static void test_the_environment_lies_above_the_file(void **state)
{
    (void)state;
    scene s;
    make(&s, "spring.cloud.config.server.git:\n"
             "  uri: '${TEST_SETTINGS_BASE:/nowhere}/repo'\n"
             "  search-paths: a\n");
    setenv("TEST_SETTINGS_BASE", "/srv", 1);
    setenv("SPRING_CLOUD_CONFIG_SERVER_GIT_SEARCHPATHS", "b, c", 1);
    setenv("SPRING_CLOUD_CONFIG_SERVER_GIT_DEFAULT_LABEL", "trunk", 1);
    setenv("ENCRYPT_KEY", "of the environment", 1);
    gw_status st = load(&s);
    unsetenv("TEST_SETTINGS_BASE");
    unsetenv("SPRING_CLOUD_CONFIG_SERVER_GIT_SEARCHPATHS");
    unsetenv("SPRING_CLOUD_CONFIG_SERVER_GIT_DEFAULT_LABEL");
    unsetenv("ENCRYPT_KEY");
    assert_int_equal(st, GW_OK);
    const cs_repo_options *repo = &s.settings.repos[0];
    assert_string_equal(repo->uri, "/srv/repo");
    assert_int_equal(repo->n_search_paths, 2);
    assert_string_equal(repo->search_paths[1], "c");
    assert_string_equal(repo->default_label, "trunk");
    assert_string_equal(s.settings.cipher.key, "of the environment");
    end(&s);
}

static void test_flags_lie_above_all(void **state)
{
    (void)state;
    scene s;
    make(&s, "spring.cloud.config.server.git: {uri: /a, default-label: x, username: me}\n");
    cs_settings_flags flags = {.config = s.path, .repo = "/b", .label = "y"};
    assert_int_equal(cs_settings_load(&flags, &s.settings, &s.err), GW_OK);
    assert_string_equal(s.settings.repos[0].uri, "/b");
    assert_string_equal(s.settings.repos[0].default_label, "y");
    assert_string_equal(s.settings.repos[0].username, "me");
    end(&s);
}

static void test_the_profile_native_is_a_directory(void **state)
{
    (void)state;
    scene s;
    make(&s,
         "spring.profiles.active: native\n"
         "spring.cloud.config.server.native.search-locations: file:///etc/conf/{application}\n");
    assert_int_equal(load(&s), GW_OK);
    assert_true(s.settings.repos[0].is_directory);
    assert_string_equal(s.settings.repos[0].uri, "file:///etc/conf/");
    assert_string_equal(s.settings.repos[0].search_paths[0], "{application}");
    end(&s);
}

static void test_secrets_of_files(void **state)
{
    (void)state;
    scene s;
    make(&s, "");
    char secret[96];
    snprintf(secret, sizeof(secret), "%s/password", s.dir);
    FILE *file = fopen(secret, "w");
    assert_non_null(file);
    fputs("aus der datei\n", file);
    fclose(file);
    file = fopen(s.path, "w");
    assert_non_null(file);
    fprintf(file,
            "spring.cloud.config.server.git: {uri: /a, password-file: %s}\n"
            "godwit.webhook: {secret-file: %s, branches: [main, release]}\n"
            "godwit.access.users: [{name: ci, token-file: %s, allow: [refresh]}]\n",
            secret, secret, secret);
    fclose(file);
    assert_int_equal(load(&s), GW_OK);
    assert_string_equal(s.settings.repos[0].password, "aus der datei");
    assert_string_equal(s.settings.webhook.secret, "aus der datei");
    assert_int_equal(s.settings.webhook.n_branches, 2);
    assert_int_equal(s.settings.users[0].actions, CS_ACTION_REFRESH);
    assert_true(s.settings.users[0].is_token);
    unlink(secret);
    end(&s);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    const char *const repo = "spring.cloud.config.server.git.uri: /a\n";
    refuses("a: 1\n", GW_E_INVALID, "there is no repository");
    refuses("a: [\n", GW_E_INVALID, "application.yml:2: ");
    refuses("spring.cloud.config.server.git: {uri: /a, serch-paths: b}\n", GW_E_INVALID,
            "application.yml:1: 'spring.cloud.config.server.git.serch-paths' is not a setting");
    refuses("spring.cloud.config.server.git: {uri: /a, timeout: soon}\n", GW_E_INVALID,
            "is not a number of seconds");
    refuses("spring.cloud.config.server.git: {uri: /a, host-key: x}\n", GW_E_UNSUPPORTED,
            "is not supported");
    refuses("spring.cloud.config.server.git: {uri: /a, clone-submodules: true}\n", GW_E_UNSUPPORTED,
            "is not supported");
    refuses("spring.cloud.config.server: {git.uri: /a, accept-empty: perhaps}\n", GW_E_INVALID,
            "is neither true nor false");
    refuses("spring.cloud.config.server: {git.uri: /a, prefix: config/}\n", GW_E_INVALID,
            "must begin with '/'");
    refuses("spring.profiles.active: native\n", GW_E_INVALID, "search-locations");
    refuses("spring.cloud.config.server.vault.host: x\n", GW_E_UNSUPPORTED,
            "application.yml:1: 'spring.cloud.config.server.vault.host': files come from git or");
    refuses("spring.cloud.config.server: {composite: [{type: git, uri: /a}]}\n", GW_E_UNSUPPORTED,
            "composite[0].type': files come from git");
    refuses("spring.cloud.config.server.git.uri: /a\nencrypt.key: ${NO_SUCH_KEY}\n", GW_E_INVALID,
            "application.yml:2: 'encrypt.key' has a ${placeholder} for which there is no");
    refuses("spring.cloud.config.server.git: {uri: '/a/${NO_SUCH_${X}}'}\n", GW_E_INVALID,
            "there is no environment variable");
    char text[512];
    snprintf(text, sizeof(text), "%s%s", repo, "spring.cloud.config.server.vault.host: x\n");
    refuses(text, GW_E_INVALID, "is not a setting of configserver");
    snprintf(text, sizeof(text), "%s%s", repo, "godwit.access.users: [{name: a}]\n");
    refuses(text, GW_E_INVALID, "needs a name and one of");
    snprintf(text, sizeof(text), "%s%s", repo,
             "godwit.access.users: [{name: a, password: b, token: c}]\n");
    refuses(text, GW_E_INVALID, "one secret too many");
    snprintf(text, sizeof(text), "%s%s", repo,
             "godwit.access.users: [{name: a, password-sha256: abc}]\n");
    refuses(text, GW_E_INVALID, "is not a SHA-256");
    snprintf(text, sizeof(text), "%s%s", repo,
             "godwit.access.users: [{name: a, password: b, allow: [write]}]\n");
    refuses(text, GW_E_INVALID, "'write' is none of read");
    snprintf(text, sizeof(text), "%s%s", repo, "godwit.webhook.secret-file: /nowhere\n");
    refuses(text, GW_E_IO, "application.yml:2: godwit.webhook.secret-file '/nowhere'");
    snprintf(text, sizeof(text), "%s%s", repo, "encrypt.rsa.algorithm: RSA\n");
    refuses(text, GW_E_INVALID, "is neither DEFAULT nor OAEP");
}

/* A file with `n` items behind `head`, each with its number within. */
static char *repeat(const char *head, const char *before, const char *after, unsigned n,
                    const char *end)
{
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text, "spring.cloud.config.server.git.uri: /a\n%s", head);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_addf(&text, "%s%u%s", before, i, after);
    }
    gw_buf_add_str(&text, end);
    return gw_buf_detach(&text, NULL);
}

static void test_how_many_there_may_be(void **state)
{
    (void)state;
    static const struct {
        const char *head, *before, *after;
        unsigned most;
        const char *end;
        const char *words;
    } cases[] = {
        {"godwit.access.users:\n", "- {name: u", ", token: t}\n", CS_USERS_MAX, "",
         "more than 256 users"},
        {"spring.cloud.config.server.git.repos:\n", "  r", ": {uri: /r}\n", CS_REPOS_MAX - 1, "",
         "repositories"},
        {"godwit.webhook.branches: [", "b", ",", 64, "]\n", "godwit.webhook.branches"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text =
            repeat(cases[i].head, cases[i].before, cases[i].after, cases[i].most, cases[i].end);
        scene s;
        make(&s, text);
        if (load(&s) != GW_OK) {
            fail_msg("%s %s", cases[i].head, s.err.text);
        }
        end(&s);
        free(text);
        text =
            repeat(cases[i].head, cases[i].before, cases[i].after, cases[i].most + 1, cases[i].end);
        refuses(text, GW_E_LIMIT, cases[i].words);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_springs_application_yml_is_taken),
        cmocka_unit_test(test_the_environment_lies_above_the_file),
        cmocka_unit_test(test_flags_lie_above_all),
        cmocka_unit_test(test_the_profile_native_is_a_directory),
        cmocka_unit_test(test_secrets_of_files),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_how_many_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
