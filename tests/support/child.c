/* SPDX-License-Identifier: MIT */
#include "support/child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 60000 /* tells a hang from a machine that is busy */

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* @thread the new process */
static void exec_child(const int fds[2], const char *const *argv, const char *const *env)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(fds[0], 1) < 0 || dup2(fds[1], 2) < 0) {
        _exit(126);
    }
    execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    _exit(127);
}

void child_start(child *it, const char *const *argv, const char *const *env)
{
    memset(it, 0, sizeof(*it));
    int out[2];
    int err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    it->pid = fork();
    if (it->pid == 0) {
        exec_child((const int[2]){out[1], err[1]}, argv, env);
    }
    close(out[1]);
    close(err[1]);
    it->fds[0] = out[0];
    it->fds[1] = err[0];
    assert_true(it->pid > 0);
}

static void give_up(child *it, const char *what)
{
    kill(it->pid, SIGKILL);
    waitpid(it->pid, NULL, 0);
    fail_msg("%s\n--- its standard output:\n%s--- its standard error:\n%s---", what, child_out(it),
             child_err(it));
}

/* Read what there is, waiting for it. False when both ends are closed. */
static bool read_some(child *it, long deadline_ms)
{
    struct pollfd polls[2] = {{.fd = it->fds[0], .events = POLLIN},
                              {.fd = it->fds[1], .events = POLLIN}};
    if (it->fds[0] < 0 && it->fds[1] < 0) {
        return false;
    }
    long left_ms = deadline_ms - now_ms();
    if (left_ms <= 0 || poll(polls, 2, (int)left_ms) == 0) {
        give_up(it, "the program took too long");
    }
    for (int i = 0; i < 2; i++) {
        if (polls[i].revents == 0) {
            continue;
        }
        ssize_t n = read(it->fds[i], it->text[i] + it->len[i], CHILD_TEXT_MAX - 1 - it->len[i]);
        if (n <= 0) {
            close(it->fds[i]);
            it->fds[i] = -1;
            continue;
        }
        it->len[i] += (size_t)n;
        it->text[i][it->len[i]] = '\0';
    }
    return true;
}

static const char *wait_text(child *it, int which, const char *text)
{
    long deadline_ms = now_ms() + WAIT_MS;
    const char *found;
    while ((found = strstr(it->text[which], text)) == NULL) {
        if (!read_some(it, deadline_ms)) {
            char what[256];
            snprintf(what, sizeof(what), "the program ended without '%.200s'", text);
            give_up(it, what);
        }
    }
    return found + strlen(text);
}

const char *child_wait_out(child *it, const char *text)
{
    return wait_text(it, 0, text);
}

const char *child_wait_err(child *it, const char *text)
{
    return wait_text(it, 1, text);
}

void child_signal(child *it, int signum)
{
    assert_int_equal(kill(it->pid, signum), 0);
}

int child_wait_exit(child *it)
{
    long deadline_ms = now_ms() + WAIT_MS;
    while (read_some(it, deadline_ms)) {}
    int status;
    assert_int_equal(waitpid(it->pid, &status, 0), it->pid);
    it->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int child_run(child *it, const char *const *argv, const char *const *env)
{
    child_start(it, argv, env);
    return child_wait_exit(it);
}

unsigned child_wait_port(child *it)
{
    const char *at = child_wait_err(it, "serving HTTP on port ");
    child_wait_err(it, "ms after the start"); /* the whole line is there */
    return (unsigned)strtoul(at, NULL, 10);
}

void make_test_dir(char *ret_path, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(ret_path, size, "%s/godwit-test-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(ret_path));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void remove_test_dir(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
