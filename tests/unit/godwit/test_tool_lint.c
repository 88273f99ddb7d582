/* SPDX-License-Identifier: MIT */
/* godwit config lint: each thing that it finds, in files of a directory and of a commit. */
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
#include <jansson.h>

#include "support/child.h"
#include "tool_output.h"

#define MYSECRET "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"

static char dir[256];

/* A fresh directory for each test. */
static int set_up(void **state)
{
    (void)state;
    unsetenv("ENCRYPT_KEY");
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static void put_bytes(const char *path, const char *bytes, size_t len)
{
    char full[512];
    snprintf(full, sizeof(full), "%s/%s", dir, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    mkdir(full, 0700);
    *slash = '/';
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

/* All that is found, less the summary. */
static void finds(int status, const char *expected)
{
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    size_t len = strlen(got.out);
    assert_true(len > 0);
    got.out[len - 1] = '\0';
    char *last = strrchr(got.out, '\n');
    *(last != NULL ? last + 1 : got.out) = '\0';
    if (got.status != status || strcmp(got.out, expected) != 0 || got.err[0] != '\0') {
        fail_msg("%d:\n%s%s\nand not %d:\n%s", got.status, got.out, got.err, status, expected);
    }
    tool_output_free(&got);
}

static void good_files_are_silent(void **state)
{
    (void)state;
    put("application.yml", "server_port: 8080\nservers:\n- a\n");
    put("foo-dev.properties", "a=1\nname=Gr\\u00fc\\u00dfe \xfc\n");
    put("foo.yml", "a: ${b}\ndb.password: ${DB_PASSWORD}\nx:\n  token-uri: http://h/\n---\n"
                   "spring.config.activate.on-profile: \"(a | b) & !c\"\nk: 1\n---\n"
                   "spring.config.activate.on-profile: [x, y]\nk: 2\n");
    put("dir/bar.xml", "<!DOCTYPE properties SYSTEM \"http://java.sun.com/dtd/properties.dtd\">"
                       "<properties><entry key=\"a\">1</entry></properties>");
    put("README.md", "\t\xff");
    put("data.json", "{");
    put(".git/config.yml", "a: 1\na: 2\n");
    finds(0, "");
    CHECK(NULL, 0, "4 files: 0 errors, 0 warnings, 0 notes\n", "", "lint", dir);
}

static void faults_of_readers_have_their_lines(void **state)
{
    (void)state;
    put("a.yml", "a: 1\na: 2\n");
    put("b.yml", "a: 1\n\tb: 2\n");
    put("c.properties", "a=1\nb=\\u00zz\n");
    put("d.yml", "a: |\n  x\n  \ttab in a text\n");
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    assert_int_equal(got.status, 1);
    assert_non_null(strstr(got.out, "a.yml:2: error: duplicate key 'a' (first at line 1)\n"));
    assert_non_null(strstr(got.out, "b.yml:2: error: "));
    assert_non_null(strstr(got.out, "b.yml:2: warning: a tab where the line is indented"));
    assert_non_null(strstr(got.out, "c.properties:2: error: "));
    assert_null(strstr(got.out, "d.yml"));
    assert_non_null(strstr(got.out, "4 files: 3 errors, 1 warning, 0 notes\n"));
    tool_output_free(&got);
}

static void keys_that_come_twice(void **state)
{
    (void)state;
    put("a.properties", "k=1\nx=2\nk=3\n");
    put("b.yml", "a.b: 1\na:\n  b: 2\n---\na.b: 3\n");
    finds(1, "a.properties:3: error: the key 'k' is there twice (first in line 1); the later value "
             "counts\n"
             "b.yml:3: error: the key 'a.b' is there twice (first in line 1); the later value "
             "counts\n");
}

static void characters_that_properties_lose(void **state)
{
    (void)state;
    put("a.properties", "a=\xc3\xa9t\xc3\xa9\nb=\xe9\nc=\x80\n");
    put("b.yml", "a: \xc3\xa9\n");
    finds(0, "a.properties:1: warning: a character in UTF-8: .properties are ISO-8859-1, where "
             "services get two or more others for it; write \\u00e9, or see --utf8-properties\n"
             "a.properties:3: warning: the byte 0x80 is no character of ISO-8859-1, which "
             ".properties are\n");
    CHECK(NULL, 0, "2 files: 0 errors, 0 warnings", "", "lint", "--utf8-properties", dir);
}

static void names_that_nobody_asks_for(void **state)
{
    (void)state;
    put("a,b.yml", "a: 1\n");
    put("we ird.yml", "a: 1\n");
    put(".hidden.yml", "a: 1\n");
    put("b.YML", "a: 1\n");
    put("sub/fine.yml", "a: 1\n");
    put("a..b.yml", "a: 1\n");
    finds(0, ".hidden.yml: warning: no application can ask for this file by its name: the "
             "application is not a name\n"
             "a,b.yml: warning: no application can ask for this file: its name has a comma, which "
             "separates names\n"
             "a..b.yml: warning: no application can ask for this file by its name: the application "
             "leads out of the repository\n"
             "b.YML: warning: not read: extensions are written in lower case\n"
             "we ird.yml: warning: no application can ask for this file by its name: the "
             "application has a character that is not allowed\n");
}

static void documents_that_never_apply(void **state)
{
    (void)state;
    put("a.yml", "x: 1\n---\nspring.config.activate.on-profile: a & !a\nk: 1\n");
    put("b.yml", "spring.config.activate.on-profile: a &\nk: 1\n");
    put("c.properties", "spring.config.activate.on-cloud-platform=kubernetes\nk=1\n");
    put("d.yml", "spring.config.activate.on-profile: \"-odd-\"\nk: 1\n");
    put("e.yml", "spring.profiles: old\nk: 1\n");
    put("foo-dev.yml", "k: 1\nspring.profiles.include: x\n");
    put("foo.yml", "spring.profiles.include: x\n");
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    static const char never[] = "warning: this document never applies: ";
    assert_int_equal(got.status, 1);
    assert_int_equal(strncmp(strstr(got.out, "a.yml:3: ") + 9, never, sizeof(never) - 1), 0);
    assert_non_null(strstr(got.out, "b.yml:1: error: malformed profile expression 'a &'"));
    assert_int_equal(strncmp(strstr(got.out, "c.properties:1: ") + 16, never, sizeof(never) - 1),
                     0);
    assert_int_equal(strncmp(strstr(got.out, "d.yml:1: ") + 9, never, sizeof(never) - 1), 0);
    assert_non_null(strstr(got.out, "e.yml:1: error: "));
    assert_non_null(strstr(got.out, "foo-dev.yml:1: warning: refused where what follows the '-'"));
    assert_null(strstr(got.out, "foo.yml"));
    tool_output_free(&got);
}

static void imports_that_leave_the_repository(void **state)
{
    (void)state;
    put("a.yml", "spring.config.import: ../../etc/passwd.yml\n");
    put("b.yml", "spring.config.import: optional:other.yml\n");
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    assert_int_equal(got.status, 1);
    assert_non_null(strstr(got.out, "a.yml:1: error: the import of '../../etc/passwd.yml'"));
    assert_null(strstr(got.out, "b.yml"));
    tool_output_free(&got);
}

static void secrets_that_anybody_can_read(void **state)
{
    (void)state;
    put("a.yml", "db:\n  adminPassword: topsecret\n  api-keys: [x]\n  apiKey: [topsecret]\n"
                 "url: amqp://u:topsecret@h/\nnone: amqp://u:${PW}@h/\npassword: \"\"\n"
                 "pin_token: false\nkey: |\n  -----BEGIN RSA PRIVATE KEY-----\n"
                 "secret: \"{cipher}" MYSECRET "\"\nhttp.password: 12345\n");
    finds(0, "a.yml:2: warning: 'db.adminPassword' looks like a secret: encrypt it (godwit config "
             "encrypt)\n"
             "a.yml:4: warning: 'db.apiKey[0]' looks like a secret: encrypt it (godwit config "
             "encrypt)\n"
             "a.yml:5: warning: 'url' is a URL with a password: encrypt it (godwit config "
             "encrypt)\n"
             "a.yml:9: warning: 'key' is a private key: encrypt it (godwit config encrypt)\n"
             "a.yml:12: warning: 'http.password' looks like a secret: encrypt it (godwit config "
             "encrypt)\n");
}

static void encrypted_values_are_tried(void **state)
{
    (void)state;
    put("a.yml", "good: \"{cipher}" MYSECRET "\"\nbad: \"{cipher}00\"\n");
    finds(0, "");
    setenv("ENCRYPT_KEY", "foo", 1);
    finds(1, "a.yml:2: error: the value of 'bad' cannot be decrypted with this key\n");
    setenv("ENCRYPT_KEY", "bar", 1);
    CHECK(NULL, 1, "1 file: 2 errors", "", "lint", dir);
    unsetenv("ENCRYPT_KEY");
    CHECK(NULL, 1, "", "/nowhere: ", "lint", "--key-file", "/nowhere", dir);
}

/* Quotes are needed in YAML, and are part of the value in .properties. */
static void quotes_around_encrypted_values(void **state)
{
    (void)state;
    put("a.yml", "a: 1\nb: {cipher}" MYSECRET "\n");
    put("b.properties", "a='{cipher}" MYSECRET "'\n");
    put("c.yml", "a: '{cipher}" MYSECRET "'\n");
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    assert_int_equal(got.status, 1);
    assert_non_null(strstr(got.out, "a.yml:2: warning: a {cipher} value needs quotes in YAML"));
    assert_non_null(strstr(got.out, "b.properties:1: error: the quotes are part of the value of "
                                    "'a'"));
    assert_null(strstr(got.out, "c.yml"));
    tool_output_free(&got);
}

static void lists_that_are_replaced(void **state)
{
    (void)state;
    put("application.yml", "list: [a, b]\n");
    put("foo.yml", "x: 1\nlist: [c]\nother: [1]\nmap: {'[k]': 1}\n");
    put("foo-dev.yml", "map: {'[k]': 2}\nlist:\n- d\n");
    put("foo-dev.properties", "list[0]=e\n");
    put("application-dev.yml", "list: [f]\n");
    put("food.yml", "other: [2]\n");
    put("sub/foo-dev.yml", "other: [3]\n");
    finds(0,
          "application-dev.yml:1: note: the list 'list' replaces that of application.yml:1 as a "
          "whole\n"
          "foo-dev.properties:1: note: the list 'list' replaces that of application-dev.yml:1 as "
          "a whole\n"
          "foo-dev.properties:1: note: the list 'list' replaces that of application.yml:1 as a "
          "whole\n"
          "foo-dev.properties:1: note: the list 'list' replaces that of foo-dev.yml:3 as a "
          "whole\n"
          "foo-dev.properties:1: note: the list 'list' replaces that of foo.yml:2 as a whole\n"
          "foo-dev.yml:3: note: the list 'list' replaces that of application-dev.yml:1 as a "
          "whole\n"
          "foo-dev.yml:3: note: the list 'list' replaces that of application.yml:1 as a whole\n"
          "foo-dev.yml:3: note: the list 'list' replaces that of foo.yml:2 as a whole\n"
          "foo.yml:2: note: the list 'list' replaces that of application.yml:1 as a whole\n");
}

static void links_and_large_files(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof(path), "%s/link.yml", dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    put("large.yml", "a: 1\n");
    snprintf(path, sizeof(path), "%s/large.yml", dir);
    assert_int_equal(truncate(path, (4 << 20) + 1), 0);
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    assert_int_equal(got.status, 1);
    assert_non_null(
        strstr(got.out, "link.yml: error: a symbolic link, which a server never follows\n"));
    assert_non_null(strstr(got.out, "large.yml: error: "));
    tool_output_free(&got);
}

static void what_is_shown_does_not_act(void **state)
{
    (void)state;
    put("a\x1b[1m.yml", "b: 1\nb: 2\n");
    tool_output got = tool_output_of((const char *const[]){"lint", dir, NULL}, NULL);
    assert_null(strchr(got.out, '\x1b'));
    assert_non_null(strstr(got.out, "a\\x1b[1m.yml:2: error: "));
    tool_output_free(&got);
}

static void findings_as_json(void **state)
{
    (void)state;
    put("a.yml", "a: 1\na: 2\n");
    put("b.yml", "x.password: topsecret\n");
    tool_output got = tool_output_of((const char *const[]){"lint", "--json", dir, NULL}, NULL);
    assert_int_equal(got.status, 1);
    json_t *root = json_loads(got.out, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "files")), 2);
    assert_int_equal(json_integer_value(json_object_get(root, "errors")), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "warnings")), 1);
    const json_t *first = json_array_get(json_object_get(root, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "file")), "a.yml");
    assert_int_equal(json_integer_value(json_object_get(first, "line")), 2);
    assert_string_equal(json_string_value(json_object_get(first, "level")), "error");
    assert_null(strstr(got.out, "topsecret"));
    json_decref(root);
    tool_output_free(&got);
}

/* Of a commit nothing counts but what it has. */
static void a_commit_is_checked_as_it_is(void **state)
{
    (void)state;
    char command[1024];
    put("a.yml", "a: 1\na: 2\n");
    snprintf(command, sizeof(command),
             "cd %s && git init -q -b main . && git add -A && git -c user.name=t -c "
             "user.email=t@example.org commit -q -m t && git tag v1",
             dir);
    assert_int_equal(system(command), 0);
    put("a.yml", "a: 1\n");
    put("new.yml", "a: 1\na: 2\n");
    CHECK(NULL, 1, "a.yml:2: error: ", "", "lint", "--label", "main", dir);
    CHECK(NULL, 1, "1 file: 1 error", "", "lint", "--label", "v1", dir);
    CHECK(NULL, 1, "new.yml:2: error: ", "", "lint", dir);
    CHECK(NULL, 1, "", "clone the repository first", "lint", "--label", "main",
          "https://git.example.org/x.git");
    CHECK(NULL, 1, "", "no branch, tag or commit 'nope'", "lint", "--label", "nope", dir);
    CHECK(NULL, 1, "", "no branch, tag or commit '0123456789'", "lint", "--label", "0123456789",
          dir);
}

/* docs/examples/pre-push: what is found in a commit keeps it from being pushed. */
static void a_hook_keeps_faults_out(void **state)
{
    (void)state;
    char command[2048];
    snprintf(command, sizeof(command),
             "exec >%s/log 2>&1; set -ex; PATH=%s:$PATH; export PATH; cd %s\n"
             "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org "
             "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org\n"
             "git init -q --bare -b main there; git init -q -b main here; cd here\n"
             "cp %s .git/hooks/pre-push; git remote add origin ../there\n"
             "echo 'a: 1' >a.yml; git add .; git commit -q -m good; git push -q origin main\n"
             "git tag -a v1 -m v1; git push -q origin v1\n"
             "echo 'a: 2' >>a.yml; git add .; git commit -q -m bad\n"
             "echo 'a: 1' >a.yml\n"
             "if git push -q origin main; then exit 9; fi\n"
             "test \"$(git -C ../there rev-parse main)\" = \"$(git rev-parse main~)\"\n"
             "git push -q origin main~:refs/heads/x; git push -q origin :refs/heads/x\n",
             dir, GODWIT_DIR, dir, PRE_PUSH);
    int status = system(command);
    char path[300];
    char log[4096] = "";
    snprintf(path, sizeof(path), "%s/log", dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
    fclose(file);
    if (status != 0 || strstr(log, "a.yml:2: error: duplicate key 'a'") == NULL) {
        fail_msg("%d: %s", status, log);
    }
}

static void what_is_no_directory(void **state)
{
    (void)state;
    CHECK(NULL, 1, "", "/nowhere: No such file or directory", "lint", "/nowhere");
    CHECK(NULL, 2, "", "usage: godwit config lint", "lint");
    CHECK(NULL, 0, "0 files: 0 errors", "", "lint", dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_files_are_silent),
        TEST(faults_of_readers_have_their_lines),
        TEST(keys_that_come_twice),
        TEST(characters_that_properties_lose),
        TEST(names_that_nobody_asks_for),
        TEST(documents_that_never_apply),
        TEST(imports_that_leave_the_repository),
        TEST(secrets_that_anybody_can_read),
        TEST(encrypted_values_are_tried),
        TEST(quotes_around_encrypted_values),
        TEST(lists_that_are_replaced),
        TEST(links_and_large_files),
        TEST(what_is_shown_does_not_act),
        TEST(findings_as_json),
        TEST(a_commit_is_checked_as_it_is),
        TEST(a_hook_keeps_faults_out),
        TEST(what_is_no_directory),
    };
    return cmocka_run_group_tests_name("tool_lint", tests, NULL, NULL);
}
