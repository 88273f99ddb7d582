/* SPDX-License-Identifier: MIT */
/* Opening a bus's control file: the first and the others, what is refused, modes. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
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

#include "bus/control.h"
#include "support/child.h"

static char dir[256];
static gw__bus_place place;

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    memset(&place, 0, sizeof(place));
    snprintf(place.dir, sizeof(place.dir), "%s/bus", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    chmod(place.dir, 0700);
    remove_test_dir(dir);
    return 0;
}

static gw__control_file open_ok(void)
{
    gw__control_file file;
    gw_error err = GW_ERROR_INIT;
    if (gw__control_open(&place, &file, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return file;
}

static void ready_ok(gw__control_file *file)
{
    gw_error err = GW_ERROR_INIT;
    if (gw__control_ready(file, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

static void expect(gw_status st, const char *text)
{
    gw__control_file file;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__control_open(&place, &file, &err), st);
    if (strstr(err.text, text) == NULL || strstr(err.text, dir) == NULL) {
        fail_msg("'%s' does not say '%s' and the directory", err.text, text);
    }
}

static void put(const char *name, off_t at, const void *bytes, size_t len)
{
    char path[5000];
    snprintf(path, sizeof(path), "%s/%s", place.dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static void test_first_and_others(void **state)
{
    (void)state;
    gw__control_file a = open_ok();
    assert_true(a.first);
    assert_true(a.rebooted); /* the file is new */
    ready_ok(&a);
    atomic_store(&a.control->members[3].generation, 7);
    atomic_store(&a.control->last_serial, 42);
    gw__control_file b = open_ok();
    assert_false(b.first);
    assert_int_equal(atomic_load(&b.control->members[3].generation), 7);
    gw__control_close(&a);
    gw__control_file c = open_ok();
    assert_false(c.first);
    gw__control_close(&b);
    gw__control_close(&c);
    gw__control_close(&c);
    a = open_ok();
    assert_true(a.first);
    assert_false(a.rebooted);
    assert_int_equal(atomic_load(&a.control->members[3].generation), 8); /* gone */
    assert_int_equal(atomic_load(&a.control->last_serial), 42);
    gw__control_close(&a); /* recovery was not finished */
    a = open_ok();
    assert_true(a.first);
    assert_true(a.rebooted);
    ready_ok(&a);
    a.control->boot_id[0] = '!'; /* another start of the system */
    gw__control_close(&a);
    a = open_ok();
    assert_true(a.rebooted);
    gw__control_close(&a);
}

/* Another process that opens the bus and tells of it; it recovers for ever when it is the first. */
static pid_t start_opener(int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        gw__control_file file;
        char told = gw__control_open(&place, &file, NULL) != GW_OK ? '!' : file.first ? '1' : '2';
        if (write(fds[1], &told, 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static char told(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char byte = 0;
    assert_int_equal(poll(&ready, 1, 20000), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    return byte;
}

static void end(pid_t pid, int fd)
{
    close(fd);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_others_wait_for_the_first(void **state)
{
    (void)state;
    int fds[2];
    pid_t pids[2];
    gw__control_file a = open_ok();
    pids[0] = start_opener(&fds[0]);
    struct pollfd early = {.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&early, 1, 50), 0); /* not let in; a slow one is no failure */
    ready_ok(&a);
    assert_int_equal(told(fds[0]), '2');
    end(pids[0], fds[0]);
    gw__control_close(&a);

    pids[0] = start_opener(&fds[0]); /* killed while it recovers: the next does it */
    assert_int_equal(told(fds[0]), '1');
    pids[1] = start_opener(&fds[1]);
    end(pids[0], fds[0]);
    assert_int_equal(told(fds[1]), '1');
    end(pids[1], fds[1]);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    place.must_exist = true;
    expect(GW_E_NOT_FOUND, "there is no bus in");
    place.must_exist = false;
    gw__control_file file = open_ok();
    gw__control_close(&file);

    uint32_t version = GW__CONTROL_VERSION + 1;
    put("control", 8, &version, sizeof(version));
    expect(GW_E_UNSUPPORTED, "version 2, and this program knows version 1");
    version = GW__CONTROL_VERSION;
    put("control", 8, &version, sizeof(version));
    uint32_t other = 100;
    put("control", 12, &other, sizeof(other));
    expect(GW_E_UNSUPPORTED, "another system");
    other = sizeof(gw__log_state);
    put("control", 12, &other, sizeof(other));
    put("control", sizeof(gw__control), "x", 1);
    expect(GW_E_PROTOCOL, "godwit bus recover");
    put("control", 0, "x", 1);
    expect(GW_E_PROTOCOL, "godwit bus recover");
    place.read_only = true;
    expect(GW_E_PROTOCOL, "godwit bus recover");
    place.read_only = false;
    char path[5000];
    snprintf(path, sizeof(path), "%s/control", place.dir);
    assert_int_equal(truncate(path, 0), 0);
    expect(GW_E_PROTOCOL, "godwit bus recover");
    unlink(path); /* as recovering does */
    file = open_ok();
    assert_true(file.first && file.rebooted);
    ready_ok(&file);
    unlink(path);
    expect(GW_E_NOT_FOUND, "others use the bus");
    gw__control_close(&file);
}

static void test_looking_only(void **state)
{
    (void)state;
    place.read_only = true;
    expect(GW_E_NOT_FOUND, "there is no bus in");
    place.read_only = false;
    gw__control_file file = open_ok();
    atomic_store(&file.control->last_serial, 5);
    gw__control_close(&file); /* not recovered */
    place.read_only = true;
    gw__control_file looker = open_ok();
    assert_false(looker.first);
    assert_int_equal(atomic_load(&looker.control->last_serial), 5);
    place.read_only = false;
    file = open_ok(); /* is not kept from recovering by who looks */
    assert_true(file.first);
    ready_ok(&file);
    gw__control_close(&looker);
    gw__control_close(&file);
    assert_int_equal(chmod(place.dir, 0500), 0);
    place.read_only = true;
    looker = open_ok();
    gw__control_close(&looker);
}

/* Root may write everywhere: the check is made as another user. */
static void test_a_directory_that_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(mkdir(place.dir, 0555), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        gw__control_file file;
        gw_error err = GW_ERROR_INIT;
        if (getuid() == 0 && setuid(65534) != 0) {
            _exit(2);
        }
        gw_status st = gw__control_open(&place, &file, &err);
        _exit(st == GW_E_DENIED && strstr(err.text, place.dir) != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static unsigned mode_of(const char *name)
{
    char path[5000];
    struct stat info;
    snprintf(path, sizeof(path), "%s%s", place.dir, name);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, getgid());
    return info.st_mode & 07777;
}

static void test_modes(void **state)
{
    (void)state;
    mode_t before = umask(077);
    for (int group = 0; group < 2; group++) {
        snprintf(place.dir, sizeof(place.dir), "%s/%d", dir, group);
        if (group == 1) {
            const struct group *own = getgrgid(getgid());
            assert_non_null(own);
            snprintf(place.group, sizeof(place.group), "%s", own->gr_name);
        }
        gw__control_file file = open_ok();
        assert_int_equal(file.dir_mode, group == 1 ? 02770 : 0700);
        assert_int_equal(file.file_mode, group == 1 ? 0660 : 0600);
        assert_int_equal(mode_of(""), file.dir_mode);
        assert_int_equal(mode_of("/logs"), file.dir_mode);
        assert_int_equal(mode_of("/members"), file.dir_mode);
        assert_int_equal(mode_of("/definitions"), file.dir_mode);
        assert_int_equal(mode_of("/control"), file.file_mode);
        assert_int_equal(mode_of("/lock"), file.file_mode);
        ready_ok(&file);
        gw__control_close(&file);
    }
    umask(before);
    snprintf(place.dir, sizeof(place.dir), "%s/0", dir);
    expect(GW_E_EXISTS, "was made without the group");
    snprintf(place.dir, sizeof(place.dir), "%s/1", dir);
    place.group[0] = '\0';
    gw__control_file file = open_ok(); /* the directory says it */
    assert_int_equal(file.file_mode, 0660);
    gw__control_close(&file);
    snprintf(place.group, sizeof(place.group), "no-such-group");
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__control_open(&place, &file, &err), GW_E_INVALID);
    assert_non_null(strstr(err.text, "no group no-such-group"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_first_and_others),
        test(test_others_wait_for_the_first),
        test(test_what_is_refused),
        test(test_looking_only),
        test(test_a_directory_that_cannot_be_written),
        test(test_modes),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
