/* SPDX-License-Identifier: MIT */
/* Runs the program against servers that follow a script, and reads what a person would read. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/version.h>

#include "commit/commit.h"
#include "http/peer.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static char output[8192]; /* standard output and error of the last run */

/* Run with up to 6 arguments; the exit status. The environment is the test's own. */
static int run(const char *a, const char *b, const char *c, const char *d, const char *e)
{
    const char *arguments[] = {HEALTHCHECKER, a, b, c, d, e, NULL};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    pid_t pid = 0;
    char *argv[N_OF(arguments)];
    memcpy(argv, arguments, sizeof(argv));
    assert_int_equal(posix_spawn(&pid, HEALTHCHECKER, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t len = 0;
    ssize_t n = 0;
    while ((n = read(ends[0], output + len, sizeof(output) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    output[len] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Run against a server of this answer; its request is in `server` afterwards. */
static int run_against(peer_server *server, const char *path, const char *timeout)
{
    char url[300];
    peer_server_start(server);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server->port, path);
    int status = run("-url", url, "--timeout", timeout, NULL);
    peer_server_stop(server);
    return status;
}

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("GODWIT_PORT");
    unsetenv("GODWIT_HEALTH_PORT");
    unsetenv("GODWIT_HEALTH_URL");
    unsetenv("GODWIT_HEALTH_TIMEOUT");
    return 0;
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool healthy;
        const char *reason; /* after the URL */
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", true, " answered 200\n"},
        {"HTTP/1.0 200 OK\r\n\r\n", true, " answered 200\n"},
        {"HTTP/1.1 204\r\n\r\n", true, " answered 204\n"},
        {"HTTP/1.1 299 \r\n\r\n", true, " answered 299\n"},
        {"HTTP/1.1 200 \xc3\xa4\r\n\r\n", true, " answered 200\n"},
        {"HTTP/1.1 503 Down\r\nContent-Type: text/plain\r\n\r\nbroker: connection refused\n", false,
         ": answered 503: broker: connection refused \n"},
        {"HTTP/1.1 503 Down\r\n\r\n", false, ": answered 503\n"},
        {"HTTP/1.1 500 \r\n\r\na\x1b[31mb", false, ": answered 500: a [31mb\n"},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, ": answered 404\n"},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", false, ": answered 301\n"},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, ": answered 100\n"},
        {"HTTP/1.1 199 X\r\n\r\n", false, ": answered 199\n"},
        {"HTTP/1.1 300 X\r\n\r\n", false, ": answered 300\n"},
        {"", false, ": closed the connection without an answer\n"},
        {"HTTP/1.1 200 OK", false, ": the answer is not HTTP\n"}, /* broken off */
        {"HTTP/1.1 200 OK\n", false, ": the answer is not HTTP\n"},
        {"HTTP/2.0 200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.10 200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"http/1.1 200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1  200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 2000 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 20\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 2x0 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 099 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 600 OK\r\n", false, ": the answer is not HTTP\n"},
        {"HTTP/1.1 200 O\x01K\r\n", false, ": the answer is not HTTP\n"},
        {" HTTP/1.1 200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"\r\nHTTP/1.1 200 OK\r\n", false, ": the answer is not HTTP\n"},
        {"OK\r\n", false, ": the answer is not HTTP\n"},
        {"AMQP\x01\x01\x09\x01\r\n", false, ": the answer is not HTTP\n"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        peer_server server = {.bytes = cases[i].answer, .len = strlen(cases[i].answer)};
        int status = run_against(&server, "/health", "9s");
        char wanted[400];
        snprintf(wanted, sizeof(wanted), "%s: http://127.0.0.1:%u/health%s",
                 cases[i].healthy ? "healthy" : "unhealthy", server.port, cases[i].reason);
        assert_string_equal(output, wanted);
        assert_int_equal(status, cases[i].healthy ? 0 : 1);
    }
}

static void test_request(void **state)
{
    (void)state;
    peer_server server = {.bytes = "HTTP/1.1 200 OK\r\n\r\n", .len = 19};
    char wanted[300];
    static const struct {
        const char *path;
        const char *target;
    } cases[] = {{"", "/"}, {"/a/b?c=d#e", "/a/b?c=d"}, {"?x", "/?x"}, {"/%20", "/%20"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(run_against(&server, cases[i].path, "9"), 0);
        snprintf(wanted, sizeof(wanted),
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: godwit-healthchecker/%s\r\n"
                 "Accept: */*\r\nConnection: close\r\n\r\n",
                 cases[i].target, server.port, GW_VERSION);
        assert_string_equal(server.request, wanted);
    }
}

static void test_port_and_environment(void **state)
{
    (void)state;
    peer_server server = {.bytes = "HTTP/1.1 200 OK\r\n\r\n", .len = 19};
    peer_server_start(&server);
    char port[20];
    char flag[40];
    char url[80];
    snprintf(port, sizeof(port), "%u", server.port);
    snprintf(flag, sizeof(flag), "--port=%u", server.port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/health", server.port);
    int results[10];
    size_t n = 0;
    results[n++] = run("-port", port, NULL, NULL, NULL);
    results[n++] = run("--port", port, "-timeout=9000ms", NULL, NULL);
    results[n++] = run(flag, NULL, NULL, NULL, NULL);
    results[n++] = run(flag + 1, NULL, NULL, NULL, NULL);
    results[n++] = run("-port", port, "-timeout", "1h", NULL);
    results[n++] = run("-port", port, "-timeout", "60m", NULL);
    setenv("GODWIT_PORT", "1", 1); /* configserver's, which listens there */
    setenv("GODWIT_HEALTH_PORT", port, 1);
    results[n++] = run(NULL, NULL, NULL, NULL, NULL);
    setenv("GODWIT_HEALTH_PORT", "1", 1);
    setenv("GODWIT_HEALTH_URL", url, 1);
    results[n++] = run(NULL, NULL, NULL, NULL, NULL);
    setenv("GODWIT_HEALTH_URL", "http://127.0.0.1:1/", 1);
    setenv("GODWIT_HEALTH_TIMEOUT", "nonsense", 1);
    results[n++] = run("-port", port, "-timeout", "9", NULL);
    peer_server_stop(&server);
    for (size_t i = 0; i < n; i++) {
        if (results[i] != 0) {
            fail_msg("run %zu: %d", i, results[i]);
        }
    }
    assert_int_equal(run("-port", port, NULL, NULL, NULL), 1);
    assert_string_equal(output,
                        "healthchecker: 'nonsense' is not a timeout such as 500ms, 3s or 1m "
                        "(1h at most)\n");
    unsetenv("GODWIT_HEALTH_TIMEOUT");
    assert_int_equal(run("-port", port, NULL, NULL, NULL), 1); /* nobody there any more */
    snprintf(url, sizeof(url), "unhealthy: http://127.0.0.1:%s/health: connection refused\n", port);
    assert_string_equal(output, url);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        const char *c;
        const char *d;
        const char *text;
    } cases[] = {
        {"-x", NULL, NULL, NULL, "'-x' is not a flag (see --help)"},
        {"6767", NULL, NULL, NULL, "'6767' is not a flag"},
        {"-ports", "1", NULL, NULL, "'-ports' is not a flag"},
        {"-port", NULL, NULL, NULL, "-port needs a value"},
        {"-port", "0", NULL, NULL, "'0' is not a port"},
        {"-port", "65536", NULL, NULL, "'65536' is not a port"},
        {"-port", "12x", NULL, NULL, "'12x' is not a port"},
        {"-port=", NULL, NULL, NULL, "'' is not a port"},
        {"-timeout", "0", NULL, NULL, "'0' is not a timeout"},
        {"-timeout", "-1s", NULL, NULL, "'-1s' is not a timeout"},
        {"-timeout", "3 s", NULL, NULL, "'3 s' is not a timeout"},
        {"-timeout", "99999999999999999999s", NULL, NULL, "is not a timeout"},
        {"-timeout", "3601s", NULL, NULL, "(1h at most)"},
        {"-timeout", "2h", NULL, NULL, "(1h at most)"},
        {"-timeout", "s", NULL, NULL, "'s' is not a timeout"},
        {"-url", "https://127.0.0.1/", NULL, NULL, "https is not supported"},
        {"-url", "ftp://127.0.0.1/", NULL, NULL, "does not begin with http://"},
        {"-url", "127.0.0.1:80", NULL, NULL, "does not begin with http://"},
        {"-url", "http://", NULL, NULL, "host or the port of the URL is not valid"},
        {"-url", "http://:80/", NULL, NULL, "host or the port of the URL is not valid"},
        {"-url", "http://[::1/", NULL, NULL, "host or the port of the URL is not valid"},
        {"-url", "http://a:b/", NULL, NULL, "host or the port of the URL is not valid"},
        {"-url", "http://user:geheim@127.0.0.1/", NULL, NULL, "a user in the URL"},
        {"-url", "http://a/ b", NULL, NULL, "blank or a control character"},
        {"-url", "http://a/\r\nX: y", NULL, NULL, "blank or a control character"},
        {"-url", "http://127.0.0.1/", "-port", "1", "give -port or -url, not both"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(run(cases[i].a, cases[i].b, cases[i].c, cases[i].d, NULL), 1);
        if (strncmp(output, "healthchecker: ", 15) != 0 || strstr(output, cases[i].text) == NULL ||
            strstr(output, "geheim") != NULL) {
            fail_msg("wanted '%s', got '%s'", cases[i].text, output);
        }
    }
    static char url[3000] = "http://127.0.0.1/";
    memset(url + 17, 'a', sizeof(url) - 18);
    assert_int_equal(run("-url", url, NULL, NULL, NULL), 1);
    assert_string_equal(output, "healthchecker: the URL is too long\n");
}

static void test_help_and_version(void **state)
{
    (void)state;
    static const char *const flags[] = {"-help", "--help", "-h"};
    for (size_t i = 0; i < N_OF(flags); i++) {
        assert_int_equal(run(flags[i], NULL, NULL, NULL, NULL), 0);
        static const char *const words[] = {"-port",
                                            "-url",
                                            "-timeout",
                                            "GODWIT_HEALTH_PORT",
                                            "GODWIT_HEALTH_URL",
                                            "GODWIT_HEALTH_TIMEOUT"};
        assert_non_null(strstr(output, "\nusage: healthchecker [-flag value]...\n"));
        for (size_t k = 0; k < N_OF(words); k++) {
            assert_non_null(strstr(output, words[k]));
        }
    }
    assert_int_equal(run("--version", NULL, NULL, NULL, NULL), 0);
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "healthchecker %s (commit %s)\n", GW_VERSION, program_commit);
    assert_string_equal(output, wanted);
}

static void test_timeout(void **state)
{
    (void)state;
    peer_server servers[] = {
        {.bytes = "", .len = 0, .hold = true},
        {.bytes = "HTTP/1.1 200", .len = 12, .hold = true},
        {.bytes = "HTTP/1.1 200 OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO", .len = 50, .drip_ms = 100},
    };
    for (size_t i = 0; i < N_OF(servers); i++) {
        uint64_t start_ms = gw_clock_ms();
        assert_int_equal(run_against(&servers[i], "/", "250ms"), 1);
        assert_in_range(gw_clock_ms() - start_ms, 250, 9000);
        char wanted[100];
        snprintf(wanted, sizeof(wanted),
                 "unhealthy: http://127.0.0.1:%u/: no answer within 250 ms\n", servers[i].port);
        assert_string_equal(output, wanted);
    }
    /* The status is known when the time is up while the body still comes. */
    peer_server late = {.bytes = "HTTP/1.1 503 Down\r\n\r\nbro", .len = 24, .hold = true};
    assert_int_equal(run_against(&late, "/", "250ms"), 1);
    assert_non_null(strstr(output, "/: answered 503\n"));
}

static void test_endless_answers(void **state)
{
    (void)state;
    static const char *const parts[] = {"HTTP/1.1 200 OOOOOOOOOOOOOO", "xxxxxxxxxxxxxxxxxxxxxxx"};
    for (size_t i = 0; i < N_OF(parts); i++) {
        peer_server server = {.bytes = parts[i], .len = strlen(parts[i]), .endless = true};
        assert_int_equal(run_against(&server, "/", "9s"), 1);
        assert_non_null(strstr(output, "/: the answer is not HTTP\n"));
    }
    peer_server server = {.bytes = "HTTP/1.1 500 X\r\n\r\n", .len = 18, .endless = true};
    assert_int_equal(run_against(&server, "/", "9s"), 1);
    assert_non_null(strstr(output, "/: answered 500: HTTP/1.1 500"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_answers, clean_environment),
        cmocka_unit_test_setup(test_request, clean_environment),
        cmocka_unit_test_setup(test_port_and_environment, clean_environment),
        cmocka_unit_test_setup(test_bad_arguments, clean_environment),
        cmocka_unit_test_setup(test_help_and_version, clean_environment),
        cmocka_unit_test_setup(test_timeout, clean_environment),
        cmocka_unit_test_setup(test_endless_answers, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, clean_environment);
}
