/* SPDX-License-Identifier: MIT */
/* Keys whose values are in files that the environment names, as a user of a program meets them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/child.h"
#include "unit/http/peer.h"

#define N_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define PATH_LEN 256

static child program;
static peer_answer answer;
static char dir[PATH_LEN - 64];

static const char *write_file(const char *name, const char *text)
{
    static char path[PATH_LEN];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static const char *env_of(char *line, const char *variable, const char *value)
{
    snprintf(line, PATH_LEN, "%s=%s", variable, value);
    return line;
}

static const char *config_of(unsigned port)
{
    peer_ask((uint16_t)port, "GET /config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
             &answer);
    assert_int_equal(answer.status, 200);
    return answer.body;
}

static void a_value_comes_from_its_file(void **state)
{
    (void)state;
    char greeting[PATH_LEN];
    char format[PATH_LEN];
    const char *argv[] = {SAMPLE, "-port", "0", NULL};
    const char *env[] = {
        env_of(greeting, "GODWIT_GREETING_FILE", write_file("greeting", "open sesame\n")),
        env_of(format, "GODWIT_LOG_FORMAT_FILE", write_file("format", "json")),
        NULL,
    };
    child_start(&program, argv, env);
    unsigned port = child_wait_port(&program);
    assert_non_null(strstr(child_err(&program), "{\"")); /* the log's lines are JSON */
    const char *body = config_of(port);
    assert_non_null(strstr(body, "\"key\":\"greeting\",\"value\":\"***\",\"origin\":"
                                 "\"the file that GODWIT_GREETING_FILE names\""));
    assert_null(strstr(body, "sesame"));
    child_signal(&program, SIGTERM);
    assert_int_equal(child_wait_exit(&program), 0);
    assert_null(strstr(child_err(&program), "sesame"));
}

static void a_flag_wins(void **state)
{
    (void)state;
    char level[PATH_LEN];
    const char *argv[] = {SAMPLE, "-port", "0", "-logFormat", "text", NULL};
    const char *env[] = {
        env_of(level, "GODWIT_LOG_FORMAT_FILE", write_file("format", "json\n")),
        NULL,
    };
    child_start(&program, argv, env);
    child_wait_port(&program);
    assert_null(strstr(child_err(&program), "{\""));
    child_signal(&program, SIGTERM);
    assert_int_equal(child_wait_exit(&program), 0);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static char long_text[20000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    static const struct {
        const char *text; /* NULL: no file */
        const char *other;
        const char *fault;
    } cases[] = {
        {NULL, "A=", "No such file"},
        {"", "A=", "it is empty"},
        {"hidden\nhidden\n", "A=", "it has to be one line"},
        {long_text, "A=", "it is too long"},
        {"hidden", "GODWIT_LIMIT=3", "both GODWIT_LIMIT and GODWIT_LIMIT_FILE are set"},
        {"hidden", "A=", "key 'limit' = '***' from the file that GODWIT_LIMIT_FILE names is not"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char line[PATH_LEN];
        const char *path = write_file("limit", cases[i].text != NULL ? cases[i].text : "");
        if (cases[i].text == NULL) {
            assert_int_equal(unlink(path), 0);
        }
        const char *argv[] = {SAMPLE, "-port", "0", NULL};
        const char *env[] = {env_of(line, "GODWIT_LIMIT_FILE", path), cases[i].other, NULL};
        int status = child_run(&program, argv, env);
        const char *err = child_err(&program);
        if (status != 1 || strstr(err, cases[i].fault) == NULL ||
            strstr(err, "GODWIT_LIMIT_FILE") == NULL || strstr(err, "hidden") != NULL) {
            fail_msg("case %zu: exit status %d, expected '%s':\n%s", i, status, cases[i].fault,
                     err);
        }
    }
}

static int make_dir(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_from_its_file),
        cmocka_unit_test(a_flag_wins),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests_name("key_files", tests, make_dir, remove_dir);
}
