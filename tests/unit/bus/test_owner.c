/* SPDX-License-Identifier: MIT */
/* One process at a time. A network file system, which is refused, cannot be had in a test. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/owner.h"
#include "support/child.h"

static char dir[256];

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

/* Another process that has the directory until it is killed. */
static pid_t start_owner(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd;
        if (gw__owner_lock(dir, &fd, NULL) != GW_OK || write(fds[1], "!", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    char byte;
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static void expect_busy(long pid)
{
    int fd = -1;
    char text[64];
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__owner_lock(dir, &fd, &err), GW_E_BUSY);
    snprintf(text, sizeof(text), "in use by process %ld:", pid);
    assert_non_null(strstr(err.text, text));
    assert_non_null(strstr(err.text, dir));
    assert_int_equal(fd, -1);
    assert_int_equal(gw__owner_pid(dir), pid);
}

static void test_another_process(void **state)
{
    (void)state;
    assert_int_equal(gw__owner_pid(dir), 0);
    for (int i = 0; i < 3; i++) { /* also one that died with it */
        pid_t pid = start_owner();
        expect_busy(pid);
        expect_busy(pid);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(gw__owner_pid(dir), 0);
    }
    int fd;
    assert_int_equal(gw__owner_lock(dir, &fd, NULL), GW_OK);
    close(fd);
}

/* Two clients of one process are two owners as well. */
static void test_the_same_process(void **state)
{
    (void)state;
    int fd;
    assert_int_equal(gw__owner_lock(dir, &fd, NULL), GW_OK);
    expect_busy(getpid());
    close(fd);
    assert_int_equal(gw__owner_pid(dir), 0);
    assert_int_equal(gw__owner_lock(dir, &fd, NULL), GW_OK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); /* no program inherits it */
    close(fd);
}

static void test_nonsense_in_the_file(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "abc", "-7", "99999999999999999999999999999999999"};
    char path[300];
    snprintf(path, sizeof(path), "%s/owner", dir);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fd;
        assert_int_equal(gw__owner_lock(dir, &fd, NULL), GW_OK);
        int other = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(other >= 0);
        assert_int_equal(write(other, texts[i], strlen(texts[i])), strlen(texts[i]));
        close(other);
        assert_int_equal(gw__owner_lock(dir, &(int){0}, NULL), GW_E_BUSY);
        assert_int_not_equal(gw__owner_pid(dir), 0); /* there is one, whoever it is */
        close(fd);
    }
}

static void test_make_dir(void **state)
{
    (void)state;
    char path[GW__DIR_MAX + 10];
    struct stat info;
    snprintf(path, sizeof(path), "%s/a/b//c/", dir);
    for (int i = 0; i < 2; i++) {
        gw_error err = GW_ERROR_INIT;
        if (gw__owner_make_dir(path, GW__NO_GROUP, &err) != GW_OK) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0700);
    }
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__owner_make_dir("", GW__NO_GROUP, &err), GW_E_INVALID);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(gw__owner_make_dir(path, GW__NO_GROUP, &err), GW_E_INVALID);
    path[GW__DIR_MAX] = '\0'; /* one name of that length: the system refuses it */
    assert_int_not_equal(gw__owner_make_dir(path, GW__NO_GROUP, &err), GW_OK);
    snprintf(path, sizeof(path), "%s/file", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    snprintf(path, sizeof(path), "%s/file/sub", dir);
    assert_int_not_equal(gw__owner_make_dir(path, GW__NO_GROUP, &err), GW_OK);
    snprintf(path, sizeof(path), "%s/file", dir);
    assert_non_null(strstr(err.text, path));
    assert_int_not_equal(gw__owner_make_dir(path, GW__NO_GROUP, &err), GW_OK);
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_process, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_the_same_process, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_nonsense_in_the_file, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_make_dir, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
