/* SPDX-License-Identifier: MIT */
/* What a program tells the service manager, as systemd would receive it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/child.h"

static child program;
static char dir[128];

/* A socket of the manager's, with the name in the form that NOTIFY_SOCKET has: '@' is abstract. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    assert_true(len < sizeof(address.sun_path));
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = 20};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    return fd;
}

static void expect_state(int fd, const char *expected)
{
    char text[256];
    ssize_t len = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, expected);
}

static void expect_silence(int fd)
{
    char text[256];
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
}

static void start(const char *socket_name, const char *mode)
{
    char variable[256];
    snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=%s", socket_name);
    const char *const env[] = {variable, "GODWIT_SHUTDOWN_TIMEOUT=4s", NULL};
    const char *const argv[] = {SAMPLE, "-port", "0", "-mode", mode, NULL};
    child_start(&program, argv, env);
}

/* Ready when it serves, not before; and how long the stop may take, as it is configured. */
static void tell_and_stop(const char *socket_name)
{
    int fd = listen_at(socket_name);
    start(socket_name, "plain");
    expect_state(fd, "READY=1");
    child_wait_port(&program);
    expect_silence(fd);
    child_signal(&program, SIGTERM);
    expect_state(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=7000000");
    assert_int_equal(child_wait_exit(&program), 0);
    expect_silence(fd);
    close(fd);
}

static void test_path(void **state)
{
    (void)state;
    char name[256];
    snprintf(name, sizeof(name), "%s/notify", dir);
    tell_and_stop(name);
}

static void test_abstract_name(void **state)
{
    (void)state;
    char name[256];
    snprintf(name, sizeof(name), "@godwit-test-notify-%d", (int)getpid());
    tell_and_stop(name);
}

static void test_a_failed_start_is_not_ready(void **state)
{
    (void)state;
    char name[256];
    snprintf(name, sizeof(name), "%s/failed", dir);
    int fd = listen_at(name);
    start(name, "broken-start");
    assert_int_equal(child_wait_exit(&program), 1);
    expect_state(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=7000000");
    expect_silence(fd);
    close(fd);
}

/* A manager that is gone, or a name that is none, is said and stops nothing. */
static void test_nobody_listens(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        {"/nonexistent/notify", "cannot tell the service manager: No such file or directory"},
        {"relative", "NOTIFY_SOCKET is neither an absolute path nor an abstract name"},
        {NULL, "nor an abstract name of at most 107 bytes"}, /* a path of 108 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char too_long[109];
        memset(too_long, '/', sizeof(too_long));
        too_long[sizeof(too_long) - 1] = '\0';
        start(cases[i].name != NULL ? cases[i].name : too_long, "plain");
        child_wait_port(&program);
        child_wait_err(&program, cases[i].text);
        child_signal(&program, SIGTERM);
        assert_int_equal(child_wait_exit(&program), 0);
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
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_abstract_name),
        cmocka_unit_test(test_a_failed_start_is_not_ready),
        cmocka_unit_test(test_nobody_listens),
    };
    return cmocka_run_group_tests_name("notify", tests, make_dir, remove_dir);
}
